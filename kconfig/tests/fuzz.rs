//! Whatever the files and the request are, there is an answer: no panic, no endless work.
#![allow(clippy::disallowed_methods, reason = "reads the cases")]

#[path = "cases/mod.rs"]
mod cases;
#[path = "cases/mutation.rs"]
mod mutation;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use kconfig::{
    Fill, Graph, Probes, Request, Sources, Tristate, Wanted,
    explain::{Asked, Requests, Search, provenance, remedy, why},
    parse,
};
use mutation::{Random, TOKENS, mutate};

const SEED: u64 = 0x66_757a_7a21;

/// Far more than any input of a few hundred bytes takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn rounds(sample: usize) -> usize {
    if std::env::var_os("VTLFORGE_EXHAUSTIVE").is_some() { sample * 50 } else { sample }
}

/// Files by name; any other is empty every second time.
struct Files(BTreeMap<String, Vec<u8>>);

impl Sources for Files {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).cloned().or_else(|| path.len().is_multiple_of(2).then(Vec::new))
    }
}

/// Answers without a machine behind them.
struct Imagined;

impl Probes for Imagined {
    fn variable(&self, name: &str) -> Option<String> {
        name.len().is_multiple_of(2).then(|| name.to_lowercase())
    }

    fn shell(&mut self, command: &str) -> Vec<u8> {
        [&b"y\n"[..], b"n\n", b"", b"12\n\n", b"two\nlines\n", b"\xff\x00z"][command.len() % 6].to_vec()
    }
}

/// All that can be asked, of files that may be anything.
fn everything(files: &Files, request: &[u8]) {
    let started = Instant::now();
    let read = parse("Kconfig", files, &mut Imagined);
    if let Err(rejected) = &read {
        assert!(rejected.errors().next().is_some(), "refused without a reason");
    }
    if let Ok((graph, _)) = &read {
        for fill in [Fill::Defaults, Fill::No, Fill::Module, Fill::Yes] {
            solve(graph, request, fill);
        }
        explain(graph);
    }
    assert!(started.elapsed() < PATIENCE, "it takes {:?}", started.elapsed());
}

fn solve(graph: &Graph, text: &[u8], fill: Fill) {
    let mut request = Request::new(graph);
    request.read(".config", text);
    request.fill(fill);
    let solution = request.solve();
    let written = solution.dot_config();
    let _ = (solution.defconfig(), solution.new_symbols());
    for &symbol in solution.unmet() {
        kconfig::unmet_warning(&solution, symbol);
    }
    for (symbol, _) in graph.symbols() {
        let value = solution.value(symbol).to_string();
        let _ = (solution.origin(symbol), solution.accepts(symbol, &value), solution.line(symbol));
    }
    // What was written can be read.
    let mut again = Request::new(graph);
    again.read(".config", written.as_bytes());
    again.solve();
}

/// Asks for each symbol to be on, and why it isn't.
fn explain(graph: &Graph) {
    let declared = graph.symbols().filter(|(_, symbol)| symbol.name.is_some() && !symbol.entries.is_empty());
    for (symbol, kind) in declared.take(6).map(|(id, symbol)| (id, symbol.kind)) {
        let wanted =
            if kind.is_logical() { Wanted::Logical(Tristate::Yes) } else { Wanted::Text("7".into()) };
        let asked = Asked { symbol, wanted: wanted.clone(), origin: "fragment:1".into() };
        let requests = Requests::new(graph, Fill::No, vec![asked]);
        let solution = requests.solve();
        let _ = why(&requests, &solution, symbol, &wanted).to_string();
        let _ = provenance(&requests, &solution, symbol);
        let _ = remedy(&requests, &[symbol], Search::default()).to_string();
    }
}

fn corpus() -> Vec<(Files, Vec<u8>)> {
    let mut corpus = Vec::new();
    for file in cases::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")) {
        for case in cases::read(&std::fs::read_to_string(file).unwrap()) {
            let files = case.files().into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
            corpus.push((Files(files), case.request().unwrap_or_default().into_bytes()));
        }
    }
    corpus
}

/// Runs `round` so often; what panics is shown with its number and the input.
fn check(count: usize, mut input: impl FnMut() -> (Files, Vec<u8>)) {
    for number in 0..count {
        let (files, request) = input();
        let run = std::panic::AssertUnwindSafe(|| everything(&files, &request));
        if let Err(panic) = std::panic::catch_unwind(run) {
            let files: Vec<String> = files
                .0
                .iter()
                .map(|(name, text)| format!("--- {name}\n{}", String::from_utf8_lossy(text)))
                .collect();
            let request = String::from_utf8_lossy(&request);
            eprintln!("number {number}\n{}--- .config\n{request}", files.join("\n"));
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn mistakes_in_right_files() {
    let (corpus, mut random) = (corpus(), Random::new(SEED));
    check(rounds(6_000), || {
        let (files, request) = random.pick(&corpus);
        let (mut files, mut request) = (files.0.clone(), request.clone());
        for text in files.values_mut() {
            *text = mutate(&mut random, &String::from_utf8_lossy(text)).into_bytes();
        }
        if random.below(2) == 0 {
            request = mutate(&mut random, &String::from_utf8_lossy(&request)).into_bytes();
        }
        (Files(files), request)
    });
}

#[test]
fn one_case_in_another() {
    let (corpus, mut random) = (corpus(), Random::new(SEED));
    check(rounds(3_000), || {
        let mut text = Vec::new();
        for _ in 0..=random.below(6) {
            let (files, _) = random.pick(&corpus);
            let part = &files.0["Kconfig"];
            let (start, end) = (random.below(part.len()), random.below(part.len()));
            let part = if random.below(2) == 0 { &part[..] } else { &part[start.min(end)..start.max(end)] };
            let at = if random.below(3) == 0 { random.below(text.len() + 1) } else { text.len() };
            text.splice(at..at, part.iter().copied());
        }
        let (_, request) = random.pick(&corpus);
        (Files(BTreeMap::from([("Kconfig".into(), text)])), request.clone())
    });
}

#[test]
fn words_by_chance() {
    let mut random = Random::new(SEED);
    check(rounds(6_000), || {
        let mut text = String::new();
        for _ in 0..random.below(60) {
            let &token = random.pick(&TOKENS);
            text.push_str(token);
            let &gap = random.pick(&[" ", " ", " ", "\n", "\n\t", ""]);
            text.push_str(gap);
        }
        (Files(BTreeMap::from([("Kconfig".into(), text.into_bytes())])), b"CONFIG_A=y\nCONFIG_X=m\n".to_vec())
    });
}

#[test]
fn bytes_by_chance() {
    let mut random = Random::new(SEED);
    check(rounds(6_000), || {
        let limit = *random.pick(&[256, 128]);
        let mut bytes = |most: usize| -> Vec<u8> {
            let count = random.below(most);
            (0..count).map(|_| u8::try_from(random.below(limit)).unwrap_or_default()).collect()
        };
        let mut text = bytes(200);
        let mut request = bytes(100);
        if limit == 256 {
            text.splice(0..0, b"config A\n\tstring \"A\"\n".iter().copied());
            request.splice(0..0, b"CONFIG_A=\"".iter().copied());
        }
        (Files(BTreeMap::from([("Kconfig".into(), text)])), request)
    });
}

/// What isn't UTF-8 is read as far as it goes.
#[test]
fn bytes_that_are_no_text() {
    let kconfig = b"config A\n\tstring \"gr\xfc\xdf\"\n\tdefault \"\xff\"\nconfig B\n\tbool \"B\"\n".to_vec();
    let files = Files(BTreeMap::from([("Kconfig".into(), kconfig)]));
    let (graph, messages) = parse("Kconfig", &files, &mut Imagined).unwrap();
    assert!(messages.is_empty());
    let mut request = Request::new(&graph);
    let messages = request.read(".config", b"CONFIG_B=y\nCONFIG_\xff=y\nCONFIG_A=\"\xe4\"\n\xff\n");
    let messages: Vec<String> = messages.iter().map(ToString::to_string).collect();
    assert_eq!(messages, [".config:4:warning: unexpected data: \u{fffd}"]);
    let solution = request.solve();
    assert_eq!(solution.value_of("A").as_deref(), Some("\u{fffd}"));
    assert_eq!(solution.value_of("B").as_deref(), Some("y"));
}
