//! Every case of `cases/` gives what stands beside it there, which is what conf gives.
#![allow(clippy::disallowed_methods, reason = "reads the cases")]

#[path = "cases/mod.rs"]
mod cases;

use std::path::Path;

use cases::{Case, Outcome, sorted_warnings, without_heading};
use kconfig::{Fill, Message, Probes, Rejected, Request, Severity, parse};

#[test]
fn cases_give_what_conf_gives() {
    let mut different = Vec::new();
    for file in cases::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let (answered, _) = cases::answered(&text, answer);
        for (wanted, found) in text.split("\n=== ").zip(answered.split("\n=== ")) {
            if wanted.trim_end() != found.trim_end() {
                different.push(format!("{}\n--- wanted\n{wanted}--- found\n{found}", file.display()));
            }
        }
    }
    assert!(different.is_empty(), "{} cases differ\n{}", different.len(), different.join("\n"));
}

struct Prepared<'c>(&'c Case);

impl Probes for Prepared<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.variable(name)
    }

    fn shell(&mut self, command: &str) -> Vec<u8> {
        let printed = self.0.shell(command);
        printed.unwrap_or_else(|| panic!("{}: nobody says what is printed by {command}", self.0.name)).into()
    }
}

fn answer(case: &Case) -> Outcome {
    let (graph, messages) = match parse("Kconfig", &case.files(), &mut Prepared(case)) {
        Ok(read) => read,
        Err(Rejected(messages)) => {
            let (stdout, stderr) = told(&messages);
            return Outcome { is_refused: true, stdout, stderr, written: String::new() };
        }
    };
    let (mut stdout, mut stderr) = told(&messages);
    let mut request = Request::new(&graph);
    let fill = match case.mode() {
        "allnoconfig" => Some(Fill::No),
        "allyesconfig" => Some(Fill::Yes),
        "allmodconfig" => Some(Fill::Module),
        "alldefconfig" => Some(Fill::Defaults),
        _ => None,
    };
    if let Some(text) = case.request() {
        let name = if fill.is_some() { "requests" } else { ".config" };
        stderr += &told(&request.read(name, text.as_bytes())).1;
    }
    request.fill(fill.unwrap_or(Fill::Defaults));
    let solution = request.solve();
    for &symbol in solution.unmet() {
        stderr += &kconfig::unmet_warning(&solution, symbol);
    }
    let written = match case.mode() {
        "listnewconfig" => {
            stdout += &solution.new_symbols();
            String::new()
        }
        "savedefconfig" => solution.defconfig(),
        _ => without_heading(&solution.dot_config()),
    };
    Outcome { is_refused: false, stdout, stderr: sorted_warnings(&stderr), written }
}

/// Standard output and standard error.
fn told(messages: &[Message]) -> (String, String) {
    let of = |is_info: bool| {
        let some = messages.iter().filter(|message| (message.severity == Severity::Info) == is_info);
        some.map(|message| format!("{message}\n")).collect::<String>()
    };
    (of(true), of(false))
}
