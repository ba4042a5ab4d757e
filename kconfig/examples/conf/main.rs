//! A stand-in for the kernel's scripts/kconfig/conf on top of this library, for its tests and for comparing the two.
//! It takes the same options and environment; of the modes that ask questions it has `oldaskconfig` and `oldconfig`.

mod ask;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use kconfig::{Fill, Graph, Message, Probes, Request, Severity, Solution, Sources, Tristate, Wanted, parse};

struct Machine {
    tree: Option<PathBuf>,
}

impl Machine {
    /// As conf does: here first, then in the source tree.
    fn find(&self, path: &str) -> Option<Vec<u8>> {
        let in_tree = || self.tree.as_ref().filter(|_| !path.starts_with('/')).map(|tree| tree.join(path));
        fs::read(path).ok().or_else(|| fs::read(in_tree()?).ok())
    }
}

impl Sources for Machine {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.find(path)
    }
}

impl Probes for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }

    fn shell(&mut self, command: &str) -> Vec<u8> {
        let output = Command::new("sh").arg("-c").arg(command).stderr(Stdio::inherit()).output();
        output.map(|output| output.stdout).unwrap_or_default()
    }
}

/// A file that somebody asked for isn't there, or a message is an error.
struct Failed(String);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(text)) => {
            if !text.is_empty() {
                eprintln!("{text}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failed> {
    let mut mode = "oldaskconfig".to_string();
    let mut is_silent = false;
    let mut file = None;
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "-s" | "--silent" => is_silent = true,
            option if option.starts_with("--") => mode = option[2..].to_string(),
            path => file = Some(path.to_string()),
        }
    }
    let (mode, argument) = match mode.split_once('=') {
        Some((mode, argument)) => (mode.to_string(), Some(argument.to_string())),
        None => (mode, None),
    };
    let file = file.ok_or_else(|| Failed("Kconfig file missing".into()))?;
    let mut machine = Machine { tree: env::var_os("srctree").map(PathBuf::from) };
    let sources = Machine { tree: machine.tree.clone() };
    let parsed = parse(&file, &sources, &mut machine);
    let (graph, messages) = parsed.map_err(|rejected| {
        tell(&rejected.0);
        Failed(String::new())
    })?;
    tell(&messages);

    let mut request = Request::new(&graph);
    read_input(&mut request, &sources, &mode, argument.as_deref())?;
    let fill = match mode.as_str() {
        "allnoconfig" => Fill::No,
        "allyesconfig" => Fill::Yes,
        "allmodconfig" => Fill::Module,
        _ => Fill::Defaults,
    };
    request.fill(fill);
    let wanted = request.clone();
    let solution = match mode.as_str() {
        "randconfig" => randomize(request),
        "oldaskconfig" => ask::everything(request),
        "oldconfig" | "syncconfig" => ask::what_is_new(request),
        "listnewconfig" => {
            print!("{}", request.solve().new_symbols());
            return Ok(());
        }
        _ => request.solve(),
    };
    let quiet = is_silent || mode == "syncconfig";
    write_output(&wanted, &solution, &mode, argument.as_deref(), quiet)
}

fn tell(messages: &[Message]) {
    for message in messages {
        match message.severity {
            Severity::Info => println!("{message}"),
            Severity::Warning | Severity::Error => eprintln!("{message}"),
        }
    }
}

/// Reads the configuration that the mode starts from.
fn read_input(
    request: &mut Request,
    sources: &Machine,
    mode: &str,
    argument: Option<&str>,
) -> Result<(), Failed> {
    let mut read = |name: &str| -> bool {
        let content = sources.find(name);
        if let Some(content) = &content {
            tell(&request.read(name, content));
        }
        content.is_some()
    };
    match mode {
        "defconfig" => {
            let name = argument.unwrap_or_default();
            let failed = || Failed(format!("***\n*** Can't find default configuration \"{name}\"!\n***"));
            if read(name) { Ok(()) } else { Err(failed()) }
        }
        "allnoconfig" | "allyesconfig" | "allmodconfig" | "alldefconfig" | "randconfig" => {
            let Ok(name) = env::var("KCONFIG_ALLCONFIG") else { return Ok(()) };
            if name.is_empty() || name == "1" {
                return Err(Failed("KCONFIG_ALLCONFIG has to name a file here".into()));
            }
            let failed = || Failed(format!("*** Can't read seed configuration \"{name}\"!"));
            if read(&name) { Ok(()) } else { Err(failed()) }
        }
        _ => {
            let own = env::var("KCONFIG_CONFIG").unwrap_or_else(|_| ".config".into());
            if read(&own) {
                return Ok(());
            }
            let list = env::var("KCONFIG_DEFCONFIG_LIST").unwrap_or_default();
            let found = list.split_whitespace().find(|name| read(name));
            if let Some(name) = found {
                println!("#\n# using defaults found in {name}\n#");
            }
            Ok(())
        }
    }
}

fn write_output(
    wanted: &Request,
    solution: &Solution,
    mode: &str,
    argument: Option<&str>,
    is_silent: bool,
) -> Result<(), Failed> {
    if env::var("KCONFIG_WARN_CHANGED_INPUT").is_ok_and(|value| !value.is_empty()) {
        warn_of_changes(wanted, solution);
    }
    for &symbol in solution.unmet() {
        eprint!("{}", kconfig::unmet_warning(solution, symbol));
    }
    let is_defconfig = mode == "savedefconfig";
    let (name, content) = match is_defconfig {
        true => (argument.unwrap_or("defconfig").to_string(), solution.defconfig()),
        false => (env::var("KCONFIG_CONFIG").unwrap_or_else(|_| ".config".into()), solution.dot_config()),
    };
    let is_same = fs::read_to_string(&name).is_ok_and(|known| known == content);
    if let Some(folder) = Path::new(&name).parent() {
        fs::create_dir_all(folder).map_err(|error| Failed(error.to_string()))?;
    }
    if !is_same {
        fs::write(&name, content).map_err(|error| Failed(format!("{name}: {error}")))?;
    }
    if !is_silent && !is_defconfig {
        let what = if is_same { "No change to" } else { "configuration written to" };
        println!("#\n# {what} {name}\n#");
    }
    Ok(())
}

fn warn_of_changes(wanted: &Request, solution: &Solution) {
    let graph = solution.graph();
    let mut is_first = true;
    let mut seen = BTreeMap::new();
    for entry in graph.below(Graph::ROOT) {
        let Some(symbol) = graph.entry(entry).symbol else { continue };
        let asked = match wanted.wanted(symbol) {
            Some(Wanted::Logical(value)) => value.as_str().to_string(),
            Some(Wanted::Text(text)) => text.to_string(),
            None => continue,
        };
        if solution.value(symbol) == asked || seen.insert(symbol, ()).is_some() {
            continue;
        }
        if std::mem::take(&mut is_first) {
            eprintln!("warning: user-provided values changed by Kconfig:");
        }
        eprintln!("  CONFIG_{}: {asked} -> {}", graph.name(symbol), solution.value(symbol));
    }
}

/// A value by chance for everything that nobody asked for.
fn randomize(mut request: Request) -> Solution {
    let seed = env::var("KCONFIG_SEED").unwrap_or_default();
    let mut state = u64::from_str_radix(seed.trim_start_matches("0x"), 16).unwrap_or(1).wrapping_add(0x9e37);
    println!("KCONFIG_SEED={seed}");
    let mut chance = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let graph = request.graph();
    for entry in graph.below(Graph::ROOT) {
        let entry = graph.entry(entry);
        let Some(symbol) = entry.symbol else { continue };
        if entry.kind == kconfig::EntryKind::Choice {
            // Members in an order by chance; the one that is asked for last counts most.
            let mut members = entry.members.clone();
            while !members.is_empty() {
                let at = usize::try_from(chance(members.len() as u64)).unwrap_or_default();
                request.want(members.swap_remove(at), Wanted::Logical(Tristate::Yes));
            }
            continue;
        }
        let is_open = graph.symbol(symbol).kind.is_logical() && graph.symbol(symbol).choice.is_none();
        if entry.prompt.is_some() && is_open && request.wanted(symbol).is_none() {
            let value = if chance(2) == 0 { Tristate::No } else { Tristate::Yes };
            request.want(symbol, Wanted::Logical(value));
        }
    }
    request.solve()
}
