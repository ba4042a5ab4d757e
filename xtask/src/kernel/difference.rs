//! In which symbols two final configurations differ, why each has its value on each side, and which of the
//! differences only follow from others.

mod cause;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use kconfig::{Solution, SymbolId, Tristate};
use serde::Serialize;

use cause::Asked;
pub use cause::Cause;

use super::{Composed, DotConfig, Value};

/// One of the two configurations.
pub struct Side<'a> {
    pub config: DotConfig,
    /// How it came about; a file doesn't say.
    pub made: Option<Made<'a>>,
}

pub struct Made<'a> {
    pub composed: &'a Composed,
    pub solution: Solution<'a>,
}

/// A symbol with different values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// With prefix.
    pub symbol: String,
    pub one: Half,
    pub other: Half,
    /// Nobody can set it, or it differs only because another one does that is not derived.
    pub derived: bool,
}

/// A symbol on one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Half {
    /// `None`: the configuration doesn't mention it, which for most symbols is as good as n.
    pub value: Option<Value>,
    /// `None` where nothing is known but the file.
    pub cause: Option<Cause>,
}

/// Every symbol that differs, by name.
pub fn compare(one: &Side, other: &Side) -> Vec<Difference> {
    let names: BTreeSet<&str> =
        one.config.values().chain(other.config.values()).map(|(symbol, _)| symbol).collect();
    let is_off = |value: Option<&Value>| value.is_none_or(|value| *value == Value::No);
    let differs = |symbol: &&str| {
        let (one, other) = (one.config.get(symbol), other.config.get(symbol));
        one != other && !(is_off(one) && is_off(other))
    };
    let names: Vec<&str> = names.into_iter().filter(differs).collect();
    let derived = Derivation::new(one, other, &names).derived();
    let differences = names.into_iter().zip(derived).map(|(symbol, derived)| Difference {
        symbol: symbol.to_string(),
        one: one.half(symbol),
        other: other.half(symbol),
        derived,
    });
    differences.collect()
}

impl Side<'_> {
    fn half(&self, symbol: &str) -> Half {
        let cause = self.made.as_ref().map(|made| match made.find(symbol) {
            Some(id) => self.reason(made, symbol, id).0,
            None => Cause::NotInThisKernel,
        });
        Half { value: self.config.get(symbol).cloned(), cause }
    }

    /// Why the symbol has its value, and on which symbols that rests.
    fn reason(&self, made: &Made, symbol: &str, id: SymbolId) -> (Cause, Vec<SymbolId>) {
        let got = self.config.get(symbol).unwrap_or(&Value::No);
        let asked = made.composed.get(symbol);
        let asked = asked.map(|request| Asked { request, is_honoured: request.value == *got });
        cause::of(&made.solution, id, asked)
    }
}

impl Made<'_> {
    fn find(&self, symbol: &str) -> Option<SymbolId> {
        self.solution.graph().declared(symbol.strip_prefix("CONFIG_")?)
    }
}

/// What is known of the differing symbols together.
struct Derivation {
    /// A fragment of one side asks for it.
    asked: Vec<bool>,
    /// A person can set it on one of the sides.
    settable: Vec<bool>,
    /// Differing symbols on which its value rests, by number.
    rests_on: Vec<Vec<usize>>,
}

impl Derivation {
    fn new(one: &Side, other: &Side, names: &[&str]) -> Derivation {
        let numbers: BTreeMap<&str, usize> = names.iter().enumerate().map(|(n, name)| (*name, n)).collect();
        let count = names.len();
        let mut known = Derivation {
            asked: vec![false; count],
            settable: vec![false; count],
            rests_on: vec![Vec::new(); count],
        };
        for (number, name) in names.iter().enumerate() {
            let mut is_known = false;
            for side in [one, other] {
                let Some(made) = &side.made else { continue };
                known.asked[number] |= made.composed.get(name).is_some();
                let Some(id) = made.find(name) else { continue };
                is_known = true;
                known.settable[number] |= made.solution.visibility(id) != Tristate::No;
                let (_, symbols) = side.reason(made, name, id);
                let graph = made.solution.graph();
                let names = symbols.into_iter().map(|symbol| format!("CONFIG_{}", graph.name(symbol)));
                let differing = names.filter_map(|name| numbers.get(name.as_str()).copied());
                known.rests_on[number].extend(differing.filter(|&reason| reason != number));
            }
            // Of what no Kconfig file tells anything, nothing can be said to be derived.
            known.settable[number] |= !is_known;
        }
        known
    }

    /// Whether each symbol is derived.
    ///
    /// Roots are what fragments ask for. What rests on them follows. Of the rest, a symbol that somebody could set is
    /// a root of its own unless it rests on another such: a default that is another in another kernel, say.
    fn derived(&self) -> Vec<bool> {
        let count = self.asked.len();
        let mut explained = self.asked.clone();
        let mut roots = self.asked.clone();
        loop {
            self.follow(&mut explained);
            let open = |number: usize| !explained[number] && self.settable[number];
            let rests = |number: usize| self.rests_on[number].iter().any(|&reason| open(reason));
            let mut found: Vec<usize> = (0..count).filter(|&n| open(n) && !rests(n)).collect();
            if found.is_empty() {
                // What rests on each other in a circle.
                found = (0..count).filter(|&n| open(n)).take(1).collect();
            }
            if found.is_empty() {
                return roots.into_iter().map(|is_root| !is_root).collect();
            }
            for number in found {
                (explained[number], roots[number]) = (true, true);
            }
        }
    }

    /// Everything that rests on something explained is explained.
    fn follow(&self, explained: &mut [bool]) {
        loop {
            let rests = |number: &usize| self.rests_on[*number].iter().any(|&reason| explained[reason]);
            let new: Vec<usize> = (0..explained.len()).filter(|n| !explained[*n]).filter(rests).collect();
            if new.is_empty() {
                return;
            }
            new.into_iter().for_each(|number| explained[number] = true);
        }
    }
}
