//! The smallest set of further wishes that makes requests hold.
//!
//! The search deepens one wish at a time. At each point it solves the configuration, takes the first need that isn't
//! met, and tries every wish that brings it nearer. Of equally small sets that one is preferred which
//! asks for symbols themselves over one that turns them on through others.

use std::collections::BTreeSet;

use rustc_hash::FxHashSet;
use serde::Serialize;

use super::{
    Requests, fragment_line,
    guide::Guide,
    is_honoured,
    ways::{Goal, Step, Ways},
};
use crate::{graph::SymbolId, request::Wanted, solve::Solution};

/// How much may be tried.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Configurations that may be solved.
    pub solutions: usize,
    /// Wishes that may be made.
    pub lines: usize,
}

impl Default for Search {
    fn default() -> Search {
        Search { solutions: 400, lines: 12 }
    }
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "remedy", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Remedy {
    /// Lines for a fragment that come after all others. With them every target holds, and every request that held
    /// without them.
    Lines {
        lines: Vec<String>,
        /// No smaller set does; else the search was cut short.
        is_smallest: bool,
    },
    /// No wishes can make it hold beside the other requests.
    Impossible { because: Vec<String> },
    /// The search was cut short before anything was found.
    NotFound { tried: usize },
}

/// Looks for what makes the requests for `targets` hold, all of them together.
pub fn remedy(requests: &Requests, targets: &[SymbolId], search: Search) -> Remedy {
    let base = requests.solve();
    let held = requests.asked().filter(|asked| is_honoured(&base, asked.symbol, &asked.wanted));
    let held: Vec<(SymbolId, Wanted)> = held.map(|asked| (asked.symbol, asked.wanted.clone())).collect();
    let targets = targets.iter().filter_map(|&target| requests.get(target));
    let targets = targets.map(|asked| (asked.symbol, asked.wanted.clone()));
    let needs: Vec<(SymbolId, Wanted)> = targets.chain(held).collect();
    let mut searcher = Searcher {
        requests,
        needs,
        left: search.solutions,
        tried: 0,
        is_thorough: false,
        is_shallow: false,
        is_cut: false,
        seen: FxHashSet::default(),
        dead: BTreeSet::new(),
    };
    // First what people would do. Then the back doors, for something smaller, or before it is called impossible.
    let direct = searcher.search(search.lines);
    (searcher.is_thorough, searcher.is_cut) = (true, false);
    let limit = direct.as_ref().map_or(search.lines, |steps| steps.len().saturating_sub(1));
    let found = searcher.search(limit).or(direct);
    let is_cut = searcher.is_cut || searcher.is_shallow;
    match found {
        Some(steps) => {
            let steps = searcher.without_the_needless(steps);
            let line = |(symbol, wanted): &Step| fragment_line(requests.graph(), *symbol, wanted);
            // No line at all doesn't do, or it would have been found.
            let is_smallest = !searcher.is_cut || steps.len() == 1;
            Remedy::Lines { lines: steps.iter().map(line).collect(), is_smallest }
        }
        None if is_cut => Remedy::NotFound { tried: searcher.tried },
        None => Remedy::Impossible { because: longest(&searcher.dead) },
    }
}

/// Without reasons that others lead up to.
fn longest(reasons: &BTreeSet<String>) -> Vec<String> {
    let is_part =
        |reason: &String| reasons.iter().any(|other| other != reason && other.ends_with(reason.as_str()));
    reasons.iter().filter(|reason| !is_part(reason)).cloned().collect()
}

struct Searcher<'s, 'g> {
    requests: &'s Requests<'g>,
    /// Targets first, then what held before.
    needs: Vec<(SymbolId, Wanted)>,
    left: usize,
    tried: usize,
    is_thorough: bool,
    /// More wishes than this round allows may do.
    is_shallow: bool,
    /// Something else was left out.
    is_cut: bool,
    /// Sets of wishes that were tried in this round.
    seen: FxHashSet<BTreeSet<(SymbolId, String)>>,
    dead: BTreeSet<String>,
}

impl<'g> Searcher<'_, 'g> {
    /// The first set of at most `limit` wishes that does, smaller sets first.
    fn search(&mut self, limit: usize) -> Option<Vec<Step>> {
        for lines in 0..=limit {
            self.seen.clear();
            self.is_shallow = false;
            let mut steps = Vec::new();
            if self.deepen(&mut steps, lines) {
                return Some(steps);
            }
            if !self.is_shallow || self.left == 0 {
                break;
            }
        }
        None
    }

    /// Whether `steps`, with at most `more` further ones, do. They are left in `steps`.
    fn deepen(&mut self, steps: &mut Vec<Step>, more: usize) -> bool {
        let set = steps.iter().map(|(symbol, wanted)| (*symbol, format!("{wanted:?}"))).collect();
        if !self.seen.insert(set) {
            return false;
        }
        let Some(solution) = self.solve(steps) else { return false };
        let needs = self.needs.clone();
        let unmet = needs.iter().find(|(symbol, wanted)| !is_honoured(&solution, *symbol, wanted));
        let Some((symbol, wanted)) = unmet else { return true };
        let mut guide = Guide::new(self.requests, &solution, self.is_thorough);
        let mut ways = Ways::Met;
        for goal in Goal::of(*symbol, wanted) {
            if let Ways::Met = ways {
                ways = guide.ways(&goal);
            }
        }
        self.is_cut |= guide.is_cut;
        let options = match ways {
            Ways::Met => {
                // The value is right, but not as it has to be (a string that isn't written).
                return false;
            }
            Ways::Dead(reasons) => {
                self.dead.extend(reasons);
                return false;
            }
            Ways::Steps(options) => options,
        };
        if more == 0 {
            self.is_shallow = true;
            return false;
        }
        for step in options {
            if steps.iter().any(|(symbol, _)| *symbol == step.0) {
                continue;
            }
            steps.push(step);
            if self.deepen(steps, more - 1) {
                return true;
            }
            steps.pop();
        }
        false
    }

    fn solve(&mut self, steps: &[Step]) -> Option<Solution<'g>> {
        if self.left == 0 {
            self.is_cut = true;
            return None;
        }
        self.left -= 1;
        self.tried += 1;
        Some(self.requests.with(steps).solve())
    }

    /// Drops wishes that later ones made needless.
    fn without_the_needless(&mut self, mut steps: Vec<Step>) -> Vec<Step> {
        let mut number = 0;
        while number < steps.len() && steps.len() > 1 {
            let mut fewer = steps.clone();
            fewer.remove(number);
            let solution = self.requests.with(&fewer).solve();
            match self.needs.iter().all(|(symbol, wanted)| is_honoured(&solution, *symbol, wanted)) {
                true => steps = fewer,
                false => number += 1,
            }
        }
        steps
    }
}
