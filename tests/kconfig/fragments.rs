//! Configurations by chance, right and wrong in every way that a person or a script gets them wrong.

use kconfig::{EntryKind, Graph, Kind, SymbolId};

use super::{
    harness::Random,
    question::{Mode, Question},
};

/// A kernel's symbols, by what can be asked of them.
pub struct Symbols {
    all: Vec<(String, Kind)>,
    /// Those of few: numbers and strings, transitional symbols.
    rare: Vec<(String, Kind)>,
    choices: Vec<Vec<String>>,
}

impl Symbols {
    pub fn of(graph: &Graph) -> Symbols {
        let mut symbols = Symbols { all: Vec::new(), rare: Vec::new(), choices: Vec::new() };
        for entry in graph.below(Graph::ROOT) {
            let entry = graph.entry(entry);
            let Some(id) = entry.symbol else { continue };
            if entry.kind == EntryKind::Choice {
                let name = |&member: &SymbolId| graph.name(member).to_string();
                symbols.choices.push(entry.members.iter().map(name).collect());
                continue;
            }
            let symbol = graph.symbol(id);
            let named = (graph.name(id).to_string(), symbol.kind);
            if !symbol.kind.is_logical() || symbol.is_transitional {
                symbols.rare.push(named.clone());
            }
            symbols.all.push(named);
        }
        symbols
    }
}

/// The question of this `number`: most are asked of olddefconfig, some of the modes that fill in.
pub fn question(random: &mut Random, symbols: &Symbols, bases: &[Vec<u8>], number: usize) -> Question {
    let mode = match number % 8 {
        3 => [Mode::AllNo, Mode::AllYes, Mode::AllMod, Mode::AllDef][number / 8 % 4],
        5 => Mode::SaveDefault,
        6 => Mode::ListNew,
        _ => Mode::OldDefault,
    };
    Question::new(mode, Some(fragment(random, symbols, bases)))
}

/// A few lines or some hundred, alone or behind a part of a whole configuration.
fn fragment(random: &mut Random, symbols: &Symbols, bases: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    if random.below(3) > 0 {
        let base = pick(random, bases);
        let kept = random.below(101);
        for line in base.split_inclusive(|&byte| byte == b'\n') {
            if random.below(100) < kept {
                text.extend_from_slice(line);
            }
        }
    }
    let is_strict = random.below(3) == 0;
    let most = if random.below(2) == 0 { 20 } else { 400 };
    for _ in 0..=random.below(most) {
        let line = if is_strict { right_line(random, symbols) } else { any_line(random, symbols) };
        let end: &[u8] = if random.below(60) == 0 { b"\r\n" } else { b"\n" };
        text.extend_from_slice(line.as_bytes());
        text.extend_from_slice(end);
        if random.below(25) == 0 {
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(end);
        }
    }
    if random.below(10) == 0 {
        text.pop();
    }
    text
}

fn pick<'t, T>(random: &mut Random, from: &'t [T]) -> &'t T {
    &from[index(random, from.len())]
}

fn index(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.below(length as u64)).expect("below a length")
}

/// A line that means something.
fn right_line(random: &mut Random, symbols: &Symbols) -> String {
    match random.below(8) {
        0 => {
            let members = pick(random, &symbols.choices);
            if members.is_empty() {
                return String::new();
            }
            let name = pick(random, members).clone();
            logical(random, &name)
        }
        1 if !symbols.rare.is_empty() => {
            let (name, kind) = pick(random, &symbols.rare).clone();
            of_kind(random, &name, kind)
        }
        _ => {
            let (name, kind) = pick(random, &symbols.all).clone();
            of_kind(random, &name, kind)
        }
    }
}

fn logical(random: &mut Random, name: &str) -> String {
    match random.below(5) {
        0 | 1 => format!("CONFIG_{name}=y"),
        2 => format!("CONFIG_{name}=m"),
        3 => format!("# CONFIG_{name} is not set"),
        _ => format!("CONFIG_{name}=n"),
    }
}

fn of_kind(random: &mut Random, name: &str, kind: Kind) -> String {
    match kind {
        Kind::Int | Kind::Hex => format!("CONFIG_{name}={}", number(random, kind)),
        Kind::String => format!("CONFIG_{name}={}", string(random)),
        _ => logical(random, name),
    }
}

/// Near and far from what ranges allow.
fn number(random: &mut Random, kind: Kind) -> String {
    const INTS: [&str; 10] = [
        "0",
        "1",
        "-1",
        "64",
        "4096",
        "2147483647",
        "2147483648",
        "-9223372036854775808",
        "18446744073709551616",
        "1000000",
    ];
    const HEXES: [&str; 9] = [
        "0x0",
        "0x1",
        "0x10",
        "0x1000000",
        "0xffffffff",
        "0xffffffff80000000",
        "0x1ffffffffffffffff",
        "10",
        "0XaB",
    ];
    match (random.below(3), kind) {
        (0, Kind::Hex) => format!("0x{:x}", random.below(1 << 32)),
        (0, _) => random.below(1 << 16).to_string(),
        (_, Kind::Hex) => (*pick(random, &HEXES)).to_string(),
        _ => (*pick(random, &INTS)).to_string(),
    }
}

fn string(random: &mut Random) -> String {
    const STRINGS: [&str; 7] = [
        "\"\"",
        "\"text\"",
        "\"with \\\"quotes\\\" and \\\\ backslash\"",
        "\"Grüße\"",
        "\"tab\there\"",
        "\"y\"",
        "\"a longer text with / and = and # in it\"",
    ];
    (*pick(random, &STRINGS)).to_string()
}

/// A line that may be wrong.
fn any_line(random: &mut Random, symbols: &Symbols) -> String {
    let (name, kind) = pick(random, &symbols.all).clone();
    match random.below(40) {
        0 => format!("CONFIG_{name}="),
        1 => format!("CONFIG_{name}"),
        2 => format!("CONFIG_{name}=Y"),
        3 => format!("CONFIG_{name}=yes please"),
        4 => format!("CONFIG_{name}=y # because"),
        5 => format!("  CONFIG_{name}=y"),
        6 => format!("CONFIG_{name} =y"),
        7 => format!("CONFIG_{name}= y"),
        8 => format!("# CONFIG_{name} is not set "),
        9 => format!("#CONFIG_{name} is not set"),
        10 => format!("# CONFIG_{name} is  not set"),
        11 => format!("# CONFIG_{name}=y"),
        12 => format!("CONFIG_{name}=\"unterminated"),
        13 => format!("CONFIG_{name}=\"text\" and more"),
        14 => format!("CONFIG_{name}=0x1f"),
        15 => format!("CONFIG_{name}=12 "),
        16 => format!("CONFIG_{name}=-"),
        17 => format!("CONFIG_{name}=007"),
        18 => format!("CONFIG_{name}={}", string(random)),
        19 => format!("CONFIG_{name}={}", number(random, Kind::Int)),
        20 => format!("CONFIG_NO_{name}_AT_ALL=y"),
        21 => format!("# CONFIG_NO_{name}_AT_ALL is not set"),
        22 => format!("{name}=y"),
        23 => format!("config_{}=y", name.to_lowercase()),
        24 => "# A comment".into(),
        25 => String::new(),
        26 => "   ".into(),
        27 => format!("CONFIG_{name}=y=n"),
        28 => "CONFIG_=y".into(),
        29 => format!("CONFIG_{name}=mod"),
        30 => format!("CONFIG_{name}={}", "long ".repeat(2000)),
        31 => format!("export CONFIG_{name}=y"),
        _ => match kind {
            Kind::Int | Kind::Hex | Kind::String => of_kind(random, &name, kind),
            _ => right_line(random, symbols),
        },
    }
}
