//! What is said to be the smallest change is the smallest: every possible change to small configurations is tried.

use std::{collections::BTreeMap, fmt::Write as _};

use kconfig::{
    Fill, Graph, Silent, SymbolId, Tristate, Wanted,
    explain::{Asked, Remedy, Requests, Search, is_honoured, remedy},
    parse,
};

const SYMBOLS: usize = 7;

struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit as u64).unwrap()
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A condition on symbols before `number`.
    fn condition(&mut self, number: usize) -> String {
        let term = |chance: &mut Chance| {
            let not = if chance.percent(30) { "!" } else { "" };
            format!("{not}S{}", chance.below(number))
        };
        let first = term(self);
        match self.below(3) {
            0 => first,
            1 => format!("{first} && {}", term(self)),
            _ => format!("({first} || {})", term(self)),
        }
    }
}

/// Bools that depend on earlier ones and select later ones.
fn kconfig(chance: &mut Chance) -> String {
    let mut text = String::new();
    for number in 0..SYMBOLS {
        let _ = writeln!(text, "config S{number}\n\tbool");
        if chance.percent(75) {
            let condition = match number > 0 && chance.percent(25) {
                true => format!(" if {}", chance.condition(number)),
                false => String::new(),
            };
            let _ = writeln!(text, "\tprompt \"S{number}\"{condition}");
        }
        if number > 0 && chance.percent(60) {
            let _ = writeln!(text, "\tdepends on {}", chance.condition(number));
        }
        if number > 0 && chance.percent(35) {
            let _ = writeln!(text, "\tdefault y if {}", chance.condition(number));
        } else if chance.percent(15) {
            let _ = writeln!(text, "\tdefault y");
        }
        for target in number + 1..SYMBOLS {
            if chance.percent(12) {
                let _ = writeln!(text, "\tselect S{target}");
            }
        }
    }
    text
}

fn logical(symbol: SymbolId, value: Tristate, origin: &str) -> Asked {
    Asked { symbol, wanted: Wanted::Logical(value), origin: origin.into() }
}

/// The fewest further wishes that make all `needs` hold, by trying all sets of them.
fn fewest(graph: &Graph, asked: &[Asked], needs: &[Asked]) -> Option<usize> {
    let free: Vec<SymbolId> = (0..SYMBOLS)
        .map(|number| graph.find(&format!("S{number}")).unwrap())
        .filter(|symbol| !asked.iter().any(|asked| asked.symbol == *symbol))
        .collect();
    let mut best = None;
    for code in 0..3_usize.pow(free.len().try_into().unwrap()) {
        let (mut rest, mut wishes) = (code, asked.to_vec());
        for &symbol in &free {
            match rest % 3 {
                1 => wishes.push(logical(symbol, Tristate::Yes, "x")),
                2 => wishes.push(logical(symbol, Tristate::No, "x")),
                _ => {}
            }
            rest /= 3;
        }
        let more = wishes.len() - asked.len();
        if best.is_some_and(|best| best <= more) {
            continue;
        }
        let solution = Requests::new(graph, Fill::No, wishes).solve();
        if needs.iter().all(|need| is_honoured(&solution, need.symbol, &need.wanted)) {
            best = Some(more);
        }
    }
    best
}

#[test]
fn proposals_are_smallest_and_impossibilities_true() {
    let exhaustive = std::env::var_os("VTLFORGE_EXHAUSTIVE").is_some();
    let cases = if exhaustive { 20_000 } else { 600 };
    let (mut solved, mut impossible, mut wrong) = (0_u64, 0_u64, Vec::new());
    for seed in 0..cases {
        let mut chance = Chance(seed * 7919 + 1);
        let text = kconfig(&mut chance);
        let files = BTreeMap::from([("Kconfig".to_string(), text.clone())]);
        let (graph, _) = parse("Kconfig", &files, &mut Silent).unwrap();
        let mut asked: Vec<Asked> = Vec::new();
        for number in 0..SYMBOLS {
            if chance.percent(35) {
                let value = if chance.percent(70) { Tristate::Yes } else { Tristate::No };
                asked.push(logical(
                    graph.find(&format!("S{number}")).unwrap(),
                    value,
                    &format!("a:{number}"),
                ));
            }
        }
        let requests = Requests::new(&graph, Fill::No, asked.clone());
        let base = requests.solve();
        let is_lost = |asked: &&Asked| !is_honoured(&base, asked.symbol, &asked.wanted);
        let Some(target) = asked.iter().find(is_lost) else { continue };
        let held = asked.iter().filter(|asked| !is_lost(asked));
        let needs: Vec<Asked> = held.chain([target]).cloned().collect();
        let expected = fewest(&graph, &asked, &needs);
        let found = remedy(&requests, &[target.symbol], Search::default());
        let is_right = match (&found, expected) {
            (Remedy::Lines { lines, is_smallest: true }, Some(fewest)) => {
                solved += 1;
                lines.len() == fewest
            }
            (Remedy::Impossible { .. }, None) => {
                impossible += 1;
                true
            }
            _ => false,
        };
        if !is_right {
            let names: Vec<String> =
                asked.iter().map(|a| kconfig::explain::fragment_line(&graph, a.symbol, &a.wanted)).collect();
            let target = graph.name(target.symbol);
            wrong.push(format!("seed {seed}: {target} of {names:?}: {found:?}, fewest {expected:?}\n{text}"));
        }
    }
    assert!(solved > cases / 20 && impossible > cases / 20, "{solved} solved, {impossible} impossible");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases, wrong[..wrong.len().min(3)].join("\n"));
}
