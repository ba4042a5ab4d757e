//! Files that are larger, deeper or more tangled than anybody means: an answer or an error, soon, and never a stack that
//! overflows. Test threads have two megabytes of it.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use kconfig::{Fill, Probes, Rejected, Request, Silent, Sources, parse};

/// Far more than any of these take, and far less than forever.
const PATIENCE: Duration = Duration::from_secs(60);

/// One file, or as many as are asked for.
struct Text(Vec<u8>);

impl Sources for Text {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        (path == "Kconfig").then(|| self.0.clone())
    }
}

/// The last line of what is said, and the value of `A` if the files are accepted and everything is asked for.
fn outcome(text: impl Into<Vec<u8>>) -> Result<String, String> {
    outcome_of(&Text(text.into()), &mut Silent)
}

fn outcome_of(sources: &dyn Sources, probes: &mut dyn Probes) -> Result<String, String> {
    let started = Instant::now();
    let result = match parse("Kconfig", sources, probes) {
        Ok((graph, _)) => {
            let mut request = Request::new(&graph);
            request.fill(Fill::Yes);
            let solution = request.solve();
            let file = solution.dot_config();
            assert!(file.starts_with('#') && solution.defconfig().len() <= file.len());
            Ok(solution.value_of("A").unwrap_or_default())
        }
        Err(Rejected(messages)) => {
            let last = messages.last().expect("a message").to_string();
            Err(last.lines().next().unwrap_or_default().to_string())
        }
    };
    assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
    result
}

fn refused(text: impl Into<Vec<u8>>) -> String {
    outcome(text).expect_err("accepted")
}

#[test]
fn brackets_and_negations() {
    let depends = |expression: &str| format!("config A\n\tbool \"A\"\n\tdepends on {expression}\n");
    let nested = |count: usize| format!("{}B{}", "(".repeat(count), ")".repeat(count));
    assert_eq!(outcome(depends(&nested(100))).as_deref(), Ok("n"));
    assert_eq!(refused(depends(&nested(3_000))), "Kconfig:3: invalid statement");
    assert_eq!(refused(depends(&nested(10_000))), "Kconfig:3: the statement is too long");
    assert_eq!(refused(depends(&format!("{}B", "!".repeat(3_000)))), "Kconfig:3: invalid statement");
}

#[test]
fn long_expressions() {
    let terms = |count: usize, operator: &str| {
        let terms: Vec<String> = (0..count).map(|number| format!("X{number}")).collect();
        format!("config A\n\tbool \"A\"\n\tdepends on {}\n", terms.join(operator))
    };
    for operator in ["&&", "||"] {
        assert_eq!(outcome(terms(1_900, operator)).as_deref(), Ok("n"));
        assert_eq!(refused(terms(3_000, operator)), "Kconfig:3: the expression is nested too deeply");
        assert_eq!(refused(terms(100_000, operator)), "Kconfig:3: the statement is too long");
    }
    let alternating: String = (0..450).map(|number| format!("(X{number} && (Y{number} || ")).collect();
    let text = format!("config A\n\tbool \"A\"\n\tdepends on {}Z{}\n", alternating, "))".repeat(450));
    assert_eq!(refused(text), "Kconfig:3: invalid statement");
    let alternating: String = (0..200).map(|number| format!("(X{number} && (Y{number} || ")).collect();
    let text = format!("config A\n\tbool \"A\"\n\tdepends on {}Z{}\n", alternating, "))".repeat(200));
    assert_eq!(outcome(text).as_deref(), Ok("n"));
}

#[test]
fn many_dependencies_of_one_symbol() {
    let lines: String =
        (0..100_000).fold(String::new(), |text, number| text + &format!("\tdepends on X{number}\n"));
    assert_eq!(
        refused(format!("config A\n\tbool \"A\"\n{lines}")),
        "Kconfig:2004: the expression is nested too deeply"
    );
    let inner: String = (0..150).map(|number| format!("if X{number} && Y{number}\n")).collect();
    let text = format!("{inner}config A\n\tbool \"A\"\n{}", "endif\n".repeat(150));
    assert_eq!(outcome(text).as_deref(), Ok("n"));
}

#[test]
fn blocks() {
    for (open, close, line) in [("menu \"M\"", "endmenu", 203), ("if X", "endif", 202)] {
        let nested = |count: usize| {
            let (open, close) = (format!("{open}\n").repeat(count), format!("{close}\n").repeat(count));
            format!("{open}config A\n\tbool \"A\"\n{close}")
        };
        assert!(outcome(nested(150)).is_ok());
        for count in [201, 10_000] {
            assert_eq!(refused(nested(count)), format!("Kconfig:{line}: blocks are nested too deeply"));
        }
    }
    let ends = "endmenu\n".repeat(10_000);
    assert_eq!(refused(ends), "Kconfig:10000: invalid statement");
}

#[test]
fn submenus_of_submenus() {
    let mut text = String::from("config A\n\tbool \"A\"\nconfig S0\n\tbool \"0\"\n");
    for number in 1..20_000 {
        let _ = writeln!(text, "config S{number}\n\tbool \"S\"\n\tdepends on S{}", number - 1);
    }
    assert_eq!(outcome(text).as_deref(), Ok("y"));
}

/// Every file sources the next.
struct Endless;

impl Sources for Endless {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let number: usize = path.strip_prefix("Kconfig").and_then(|number| number.parse().ok()).unwrap_or(0);
        (number < 10_000).then(|| format!("source \"Kconfig{}\"\n", number + 1).into_bytes())
    }
}

#[test]
fn files_in_files() {
    assert_eq!(outcome_of(&Endless, &mut Silent), Err("Kconfig199:1: files are nested too deeply".into()));
}

#[test]
fn macros_that_grow() {
    let doubling = |first: &str| {
        let mut text = format!("a0 = {first}\n");
        for number in 1..64 {
            let _ = writeln!(text, "a{number} = $(a{0})$(a{0})", number - 1);
        }
        text + "config A\n\tstring \"A\"\n\tdefault \"$(a63)\"\n"
    };
    for first in ["laugh", "", "$(unset)"] {
        assert_eq!(refused(doubling(first)), "Kconfig:67: expansion makes too much text", "{first}");
    }
    let simple = doubling("laugh").replace(" = ", " := ");
    assert!(refused(simple).ends_with("expansion makes too much text"));
    let functions = "f = $(f,$(1)$(1))\nconfig A\n\tstring \"$(f,x)\"\n";
    assert!(refused(functions).starts_with("Kconfig:3: "));
    let itself = "f = $(f,x)$(f,y)\nconfig A\n\tstring \"$(f)\"\n";
    assert_eq!(refused(itself), "Kconfig:3: Too deep recursive expansion");
    let ignored = format!("v := {}\n{}", "x".repeat(1 << 20), "$(ignore,$(v))\n".repeat(1 << 16));
    assert!(refused(ignored).ends_with("expansion makes too much text"));
}

#[test]
fn references_in_references() {
    let text = |count: usize| format!("X := {}x{}\n", "$(".repeat(count), ")".repeat(count));
    assert!(outcome(text(100)).is_ok());
    assert_eq!(refused(text(10_000)), "Kconfig:2: references are nested too deeply");
    assert!(refused(format!("X := {}\n", "$(".repeat(100_000))).contains("missing ')'"));
    let many = format!("config A\n\tstring \"A\"\n\tdefault \"{}\"\n", "$(x)".repeat(250_000));
    assert_eq!(outcome(many).as_deref(), Ok(""));
}

/// In both directions, so that neither the order of declaration nor that of use helps.
fn chains(link: impl Fn(usize, usize) -> String) {
    const LENGTH: usize = 100_000;
    for is_forward in [true, false] {
        let mut text = String::from("config A\n\tbool \"A\"\n");
        for number in 0..LENGTH {
            let (this, next) =
                if is_forward { (number, number + 1) } else { (LENGTH - number, LENGTH - number - 1) };
            text += &link(this, next);
        }
        assert_eq!(outcome(text).as_deref(), Ok("y"));
    }
}

#[test]
fn chains_of_dependencies() {
    chains(|this, next| format!("config S{this}\n\tbool \"S\"\n\tdepends on S{next}\n"));
}

#[test]
fn chains_of_selects() {
    chains(|this, next| format!("config S{this}\n\tbool \"S\"\n\tselect S{next}\n"));
}

#[test]
fn chains_of_defaults() {
    chains(|this, next| format!("config S{this}\n\tint\n\tdefault S{next}\n"));
}

#[test]
fn chains_of_ranges() {
    chains(|this, next| format!("config S{this}\n\tint\n\trange S{next} S{next}\n"));
}

#[test]
fn chains_that_modules_hangs_on() {
    let head = "config MODULES\n\tbool \"Modules\"\n\tmodules\n\tdepends on S0\n";
    let link = |this: usize| format!("config S{this}\n\tbool \"S\"\n\tdepends on S{}\n", this + 1);
    let text = head.to_string() + &(0..100_000).map(link).collect::<String>();
    assert_eq!(outcome(text).as_deref(), Ok(""));
}

#[test]
fn circles() {
    let circle = |option: &str| -> String {
        let symbol =
            |number: usize| format!("config S{number}\n\tint \"S\"\n\t{option} S{}\n", (number + 1) % 50_000);
        (0..50_000).map(symbol).collect()
    };
    assert_eq!(refused(circle("depends on")), "error: recursive dependency detected!");
    // conf looks for no circles there.
    assert!(outcome(circle("range 0")).is_ok());
}

#[test]
fn one_symbol_many_times() {
    let text = "config A\n\tbool \"A\"\n\tdefault y if X\n".repeat(50_000);
    assert_eq!(outcome(text).as_deref(), Ok("y"));
}

#[test]
fn a_choice_of_many() {
    let member = |number: usize| format!("config S{number}\n\tbool \"S\"\n\tdepends on X\n");
    let members: String = (0..20_000).map(member).collect();
    let text =
        format!("config X\n\tbool\nchoice\n\tprompt \"C\"\n{members}endchoice\nconfig A\n\tbool \"A\"\n");
    assert_eq!(outcome(text).as_deref(), Ok("y"));
}

#[test]
fn long_lines() {
    for unit in ["@", "$(x) ", "\"\" ", "x", "# ", "\\\n", " "] {
        // Refused or not: it ends.
        let _ = outcome(unit.repeat(500_000));
        let _ = outcome(format!("config A\n\tbool \"{}\n", unit.repeat(200_000)));
    }
    let help = format!("config A\n\tbool \"A\"\n\thelp\n{}", "\t  text\n\n".repeat(200_000));
    assert_eq!(outcome(help).as_deref(), Ok("y"));
}

#[test]
fn long_requests() {
    let (graph, _) = parse("Kconfig", &Text(b"config A\n\tstring \"A\"\n".to_vec()), &mut Silent).unwrap();
    let mut request = Request::new(&graph);
    let value = "x\\\"".repeat(500_000);
    let text = format!("CONFIG_A=\"{value}\"\n{}", "CONFIG_UNKNOWN=y\njunk\n".repeat(200_000));
    assert_eq!(request.read(".config", text.as_bytes()).len(), 200_000);
    assert_eq!(request.solve().dot_config().lines().nth(4).unwrap().len(), value.len() + 11);
}
