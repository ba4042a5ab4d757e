//! Who turned a symbol on, and what would fall with it.

use serde::Serialize;

use super::{Culprit, Requests};
use crate::{
    graph::{Graph, SymbolId},
    solve::{Origin, Solution},
    tristate::Tristate,
};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "source", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Source {
    /// A request, at this place.
    Asked {
        at: String,
    },
    /// The rule for everything that nobody asks for.
    Fill,
    Default {
        place: String,
        condition: Option<String>,
    },
    Selected {
        by: Vec<Culprit>,
    },
    Implied {
        by: Vec<Culprit>,
    },
    /// It is the member that its choice takes.
    Choice {
        choice: String,
        place: String,
    },
    Nothing,
}

/// A symbol, its value, and what it holds up. Symbols are named without `CONFIG_`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Provenance {
    pub symbol: String,
    pub value: String,
    pub kind: String,
    pub prompt: Option<String>,
    /// Where it is declared.
    pub places: Vec<String>,
    /// What its declarations depend on.
    pub depends: Vec<String>,
    pub sources: Vec<Source>,
    /// Requests that would no longer hold if it were off.
    pub requests_lost: Vec<String>,
    /// Other symbols that would then be off, or have another value.
    pub symbols_lost: Vec<String>,
}

/// Everything that is known of `symbol`.
pub fn provenance(requests: &Requests, solution: &Solution, symbol: SymbolId) -> Provenance {
    let graph = solution.graph();
    let entries = &graph.symbol(symbol).entries;
    let places = entries.iter().map(|&entry| graph.show_place(graph.entry(entry).place)).collect();
    let depends = graph.symbol(symbol).depends.iter().map(|&expr| graph.show(expr)).collect();
    let (requests_lost, symbols_lost) = match solution.logical(symbol) {
        Tristate::No => (Vec::new(), Vec::new()),
        _ => lost_without(requests, solution, symbol),
    };
    Provenance {
        symbol: graph.name(symbol).to_string(),
        value: solution.value(symbol).to_string(),
        kind: graph.symbol(symbol).kind.to_string(),
        prompt: graph.prompts(symbol).next().and_then(|prompt| prompt.text.as_deref()).map(str::to_string),
        places,
        depends,
        sources: sources(requests, solution, symbol),
        requests_lost,
        symbols_lost,
    }
}

fn sources(requests: &Requests, solution: &Solution, symbol: SymbolId) -> Vec<Source> {
    let graph = solution.graph();
    let culprits = |reverses: &[crate::graph::Reverse]| -> Vec<Culprit> {
        let active = reverses.iter().filter(|r| solution.evaluate(r.condition) != Tristate::No);
        let culprit = |reverse: &crate::graph::Reverse| Culprit {
            symbol: graph.name(reverse.by).to_string(),
            value: solution.value(reverse.by).to_string(),
            place: graph.show_place(graph.property(reverse.property).place),
            asked: requests.get(reverse.by).map(|asked| asked.origin.to_string()),
        };
        active.map(culprit).collect()
    };
    let asked = requests.get(symbol).map(|asked| Source::Asked { at: asked.origin.to_string() });
    let selected = || Source::Selected { by: culprits(&graph.symbol(symbol).selected_by) };
    let main = match solution.origin(symbol) {
        Origin::Wanted => asked.clone().unwrap_or(Source::Fill),
        Origin::Default(property) => {
            let property = graph.property(property);
            Source::Default {
                place: graph.show_place(property.place),
                condition: property.condition.map(|condition| graph.show(condition)),
            }
        }
        Origin::Selected => selected(),
        Origin::Implied => Source::Implied { by: culprits(&graph.symbol(symbol).implied_by) },
        Origin::Choice(choice) => asked.clone().unwrap_or_else(|| Source::Choice {
            choice: graph.title(choice).to_string(),
            place: graph.show_place(graph.entry(choice).place),
        }),
        Origin::Nothing => Source::Nothing,
    };
    let mut sources = vec![main];
    // Asked for, and selected too: it would stay without the request.
    if matches!(sources[0], Source::Asked { .. }) && solution.selected(symbol) != Tristate::No {
        sources.push(selected());
    }
    sources
}

/// Requests and other symbols whose value changes if `symbol` is off.
fn lost_without(requests: &Requests, solution: &Solution, symbol: SymbolId) -> (Vec<String>, Vec<String>) {
    let graph: &Graph = solution.graph();
    let mut request = requests.with(&[]);
    request.ban(symbol);
    let without = request.solve();
    let (mut lost_requests, mut lost_symbols) = (Vec::new(), Vec::new());
    for (id, other) in graph.symbols() {
        let is_named = other.name.is_some() && !other.entries.is_empty();
        let was_there = solution.is_written(id) && solution.value(id) != "n";
        let is_lost = !without.is_written(id) || without.value(id) != solution.value(id);
        if id == symbol || !is_named || !was_there || !is_lost {
            continue;
        }
        match requests.get(id) {
            Some(asked) => lost_requests.push(format!("{} ({})", graph.name(id), asked.origin)),
            None => lost_symbols.push(graph.name(id).to_string()),
        }
    }
    lost_requests.sort();
    lost_symbols.sort();
    (lost_requests, lost_symbols)
}
