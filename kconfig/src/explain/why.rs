//! The chain of causes behind a value that isn't the one that was asked for.

use serde::Serialize;

use super::{Condition, Requests, conditions};
use crate::{
    expr::{Comparison, Expr, ExprId},
    graph::{Graph, Reverse, SymbolId},
    request::Wanted,
    solve::Solution,
    tristate::{Kind, Tristate},
};

/// Causes of causes: deeper ones are left out.
const DEPTH_LIMIT: usize = 8;
/// Symbols that select the same one; the rest is counted.
const SELECTOR_LIMIT: usize = 12;

/// Why a symbol has its value. Symbols are named without `CONFIG_`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Why {
    pub symbol: String,
    pub value: String,
    /// The value that is needed, where that is not the one it has.
    pub needed: Option<String>,
    /// Who asks for it, and for what: file, line and value.
    pub asked: Option<(String, String)>,
    pub reasons: Vec<Reason>,
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Reason {
    /// No Kconfig file declares a symbol of this name.
    Unknown { did_you_mean: Vec<String> },
    /// Its prompt isn't shown: this condition doesn't hold far enough.
    Unmet {
        /// `depends on`, `if`, `prompt if` or `visible if`.
        statement: String,
        condition: String,
        place: String,
        /// The symbols in it that are to blame.
        because: Vec<Why>,
    },
    /// It has no prompt: only others can turn it on, and none of them does.
    NoPrompt {
        place: String,
        /// Who could: `symbol (file:line)`.
        selectors: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// Others select it.
    Selected { by: Vec<Culprit>, more: usize },
    /// Nobody asks, or nobody is heard, and this is the default.
    Default { place: String },
    /// Another member of the choice is on.
    Chosen { choice: String, place: String, member: String, asked: Option<String> },
    /// The number is outside the range that holds.
    OutOfRange { low: String, high: String, place: String },
    /// The value isn't one of the symbol's type.
    WrongType { kind: String },
    /// It is a tristate and there are no modules, or it is a bool.
    NoModules,
    /// A request for something else is in the way.
    AskedOtherwise { value: String, at: String },
    /// Nothing stands in the way: nobody asks for it.
    NotAsked,
}

/// A symbol that selects another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Culprit {
    pub symbol: String,
    pub value: String,
    pub place: String,
    /// Who asks for it.
    pub asked: Option<String>,
}

/// Why `symbol`, which may be unknown, isn't worth `wanted`.
pub fn why(requests: &Requests, solution: &Solution, symbol: SymbolId, wanted: &Wanted) -> Why {
    let mut tracer = Tracer { requests, solution, open: Vec::new() };
    let need = match wanted {
        // Too much is as wrong as too little.
        Wanted::Logical(Tristate::Module) if solution.logical(symbol) == Tristate::Yes => {
            Need::AtMost(Tristate::Module)
        }
        wanted => Need::of(wanted),
    };
    tracer.symbol(symbol, &need)
}

/// Names of declared symbols that are like `name`, the likest first.
pub fn did_you_mean(graph: &Graph, name: &str) -> Vec<String> {
    let limit = (name.len() / 3).clamp(1, 5);
    let mut near: Vec<(usize, &str)> = graph
        .symbols()
        .filter(|(_, symbol)| !symbol.entries.is_empty())
        .filter_map(|(_, symbol)| symbol.name.as_deref())
        .filter(|known| known.len().abs_diff(name.len()) <= limit)
        .map(|known| (strsim::osa_distance(known, name), known))
        .filter(|&(distance, _)| distance <= limit)
        .collect();
    near.sort_unstable();
    // `FOO_BAR` may have become `FOO_BAR_BAZ`, or the other way round.
    let is_part = |known: &str| name.len() > 4 && (known.starts_with(name) || known.ends_with(name));
    let parts = graph.by_name.keys().filter(|known| is_part(known) && graph.declared(known).is_some());
    let mut parts: Vec<&str> = parts.map(|known| &**known).collect();
    parts.sort_unstable_by_key(|known| (known.len(), *known));
    let mut names: Vec<String> = Vec::new();
    for known in near.into_iter().map(|(_, known)| known).chain(parts) {
        if !names.iter().any(|name| name == known) && names.len() < 3 {
            names.push(known.to_string());
        }
    }
    names
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Need {
    AtLeast(Tristate),
    AtMost(Tristate),
    Text(String),
}

impl Need {
    fn of(wanted: &Wanted) -> Need {
        match wanted {
            Wanted::Logical(Tristate::No) => Need::AtMost(Tristate::No),
            Wanted::Logical(value) => Need::AtLeast(*value),
            Wanted::Text(text) => Need::Text(text.to_string()),
        }
    }

    fn show(&self) -> String {
        match self {
            Need::AtLeast(Tristate::Module) => "m or y".into(),
            Need::AtMost(Tristate::Module) => "m or n".into(),
            Need::AtLeast(value) | Need::AtMost(value) => value.to_string(),
            Need::Text(text) => text.clone(),
        }
    }

    fn is_met(&self, solution: &Solution, symbol: SymbolId) -> bool {
        match self {
            Need::AtLeast(value) => solution.logical(symbol) >= *value,
            Need::AtMost(value) => solution.logical(symbol) <= *value,
            Need::Text(text) => solution.value(symbol) == text,
        }
    }
}

struct Tracer<'s, 'g> {
    requests: &'s Requests<'g>,
    solution: &'s Solution<'g>,
    /// The chain that is followed.
    open: Vec<SymbolId>,
}

impl<'g> Tracer<'_, 'g> {
    fn graph(&self) -> &'g Graph {
        self.solution.graph()
    }

    fn symbol(&mut self, id: SymbolId, need: &Need) -> Why {
        let graph = self.graph();
        let is_met = need.is_met(self.solution, id);
        let asked = self.requests.get(id).map(|asked| {
            let value = match &asked.wanted {
                Wanted::Logical(value) => value.to_string(),
                Wanted::Text(text) => text.to_string(),
            };
            (asked.origin.to_string(), value)
        });
        let mut why = Why {
            symbol: graph.name(id).to_string(),
            value: self.solution.value(id).to_string(),
            needed: (!is_met).then(|| need.show()),
            asked,
            reasons: Vec::new(),
        };
        if graph.symbol(id).entries.is_empty() {
            why.value = "n".into();
            why.reasons.push(Reason::Unknown { did_you_mean: did_you_mean(graph, graph.name(id)) });
        } else if self.open.contains(&id) || self.open.len() >= DEPTH_LIMIT {
            // Told already, or too far away from what was asked.
        } else {
            self.open.push(id);
            why.reasons = match need {
                Need::AtLeast(value) => self.too_low(id, *value),
                Need::AtMost(value) => self.too_high(id, *value),
                Need::Text(text) => self.other_text(id, text),
            };
            self.open.pop();
        }
        why
    }

    fn too_low(&mut self, id: SymbolId, value: Tristate) -> Vec<Reason> {
        let graph = self.graph();
        let kind = graph.symbol(id).kind;
        if !kind.is_logical() {
            return vec![Reason::WrongType { kind: kind.to_string() }];
        }
        if self.solution.visibility(id) < value {
            let hidden = self.hidden(id, value);
            return if hidden.is_empty() { vec![Reason::NoModules] } else { hidden };
        }
        if let Some(chosen) = self.chosen(id) {
            return vec![chosen];
        }
        vec![self.asked_otherwise(id).unwrap_or(Reason::NotAsked)]
    }

    fn too_high(&mut self, id: SymbolId, value: Tristate) -> Vec<Reason> {
        let graph = self.graph();
        if graph.symbol(id).choice.is_some() {
            return vec![self.asked_otherwise(id).unwrap_or(Reason::NotAsked)];
        }
        if self.solution.selected(id) > value {
            let active = |r: &&Reverse| self.solution.evaluate(r.condition) > value;
            let selectors: Vec<&Reverse> = graph.symbol(id).selected_by.iter().filter(active).collect();
            let more = selectors.len().saturating_sub(SELECTOR_LIMIT);
            let by = selectors.into_iter().take(SELECTOR_LIMIT).map(|reverse| self.culprit(reverse));
            return vec![Reason::Selected { by: by.collect(), more }];
        }
        if value == Tristate::Module && self.solution.kind(id) == Kind::Bool {
            return vec![Reason::NoModules];
        }
        let mut reasons = Vec::new();
        if self.solution.visibility(id) == Tristate::No {
            if let Some((default, _)) = self.solution.active_default(id) {
                reasons.push(Reason::Default { place: graph.show_place(graph.property(default).place) });
            }
            reasons.extend(self.hidden(id, Tristate::Yes));
            return reasons;
        }
        vec![self.asked_otherwise(id).unwrap_or(Reason::NotAsked)]
    }

    fn other_text(&mut self, id: SymbolId, text: &str) -> Vec<Reason> {
        let graph = self.graph();
        let kind = graph.symbol(id).kind;
        if kind.is_logical() || !kind.accepts(text) {
            return vec![Reason::WrongType { kind: kind.to_string() }];
        }
        if self.solution.visibility(id) == Tristate::No {
            let mut reasons = Vec::new();
            if let Some((default, _)) = self.solution.active_default(id) {
                reasons.push(Reason::Default { place: graph.show_place(graph.property(default).place) });
            }
            reasons.extend(self.hidden(id, Tristate::Yes));
            return reasons;
        }
        match self.solution.active_range(id) {
            Some((range, low, high)) if matches!(kind, Kind::Int | Kind::Hex) => {
                vec![Reason::OutOfRange {
                    low: self.solution.value(low).to_string(),
                    high: self.solution.value(high).to_string(),
                    place: graph.show_place(graph.property(range).place),
                }]
            }
            _ => vec![self.asked_otherwise(id).unwrap_or(Reason::NotAsked)],
        }
    }

    fn asked_otherwise(&self, id: SymbolId) -> Option<Reason> {
        let asked = self.requests.get(id)?;
        let value = match &asked.wanted {
            Wanted::Logical(value) => value.to_string(),
            Wanted::Text(text) => text.to_string(),
        };
        Some(Reason::AskedOtherwise { value, at: asked.origin.to_string() })
    }

    fn culprit(&self, reverse: &Reverse) -> Culprit {
        let graph = self.graph();
        Culprit {
            symbol: graph.name(reverse.by).to_string(),
            value: self.solution.value(reverse.by).to_string(),
            place: graph.show_place(graph.property(reverse.property).place),
            asked: self.requests.get(reverse.by).map(|asked| asked.origin.to_string()),
        }
    }

    /// The member that is on instead.
    fn chosen(&self, id: SymbolId) -> Option<Reason> {
        let graph = self.graph();
        let choice = graph.symbol(id).choice?;
        let members = &graph.entry(choice).members;
        let member = members.iter().find(|&&member| self.solution.logical(member) == Tristate::Yes)?;
        Some(Reason::Chosen {
            choice: graph.title(choice).to_string(),
            place: graph.show_place(graph.entry(choice).place),
            member: graph.name(*member).to_string(),
            asked: self.requests.get(*member).map(|asked| asked.origin.to_string()),
        })
    }

    /// Why no prompt is shown as far as `value`; empty if one is.
    fn hidden(&mut self, id: SymbolId, value: Tristate) -> Vec<Reason> {
        let graph = self.graph();
        let symbol = graph.symbol(id);
        let prompts: Vec<_> =
            symbol.properties.iter().copied().filter(|&p| graph.property(p).text.is_some()).collect();
        if prompts.is_empty() {
            let place = symbol.entries.first().map(|&entry| graph.show_place(graph.entry(entry).place));
            let selectors = symbol.selected_by.iter().map(|reverse| {
                let place = graph.show_place(graph.property(reverse.property).place);
                format!("{} ({place})", graph.name(reverse.by))
            });
            let more = symbol.selected_by.len().saturating_sub(SELECTOR_LIMIT);
            return vec![Reason::NoPrompt {
                place: place.unwrap_or_default(),
                selectors: selectors.take(SELECTOR_LIMIT).collect(),
                more,
            }];
        }
        let mut reasons = Vec::new();
        for prompt in prompts {
            for Condition { expr, statement, place } in conditions(graph, prompt) {
                if self.solution.evaluate(expr) >= value {
                    continue;
                }
                let mut culprits = Vec::new();
                self.culprits(expr, value, true, &mut culprits);
                let because = culprits.iter().map(|(symbol, need)| self.symbol(*symbol, need)).collect();
                reasons.push(Reason::Unmet {
                    statement: statement.as_str().into(),
                    condition: graph.show(expr),
                    place: graph.show_place(place),
                    because,
                });
            }
        }
        reasons
    }

    /// The symbols that keep an expression below `value` (`rising`) or above it, and what would be needed of them.
    fn culprits(&self, expr: ExprId, value: Tristate, rising: bool, found: &mut Vec<(SymbolId, Need)>) {
        let current = self.solution.evaluate(expr);
        if (rising && current >= value) || (!rising && current <= value) {
            return;
        }
        match self.graph().exprs().get(expr) {
            Expr::Symbol(symbol) => {
                if !self.solution.is_constant(symbol) {
                    let need = if rising { Need::AtLeast(value) } else { Need::AtMost(value) };
                    found.push((symbol, need));
                }
            }
            Expr::Not(inner) => self.culprits(inner, value.negated(), !rising, found),
            Expr::And(left, right) | Expr::Or(left, right) => {
                self.culprits(left, value, rising, found);
                self.culprits(right, value, rising, found);
            }
            Expr::Compare(comparison, left, right) => {
                let comparison = if rising { comparison } else { comparison.negated() };
                let graph = self.graph();
                let is_free = |symbol: SymbolId| !graph.symbol(symbol).entries.is_empty();
                let (symbol, other) = if is_free(left) { (left, right) } else { (right, left) };
                if !is_free(symbol) {
                    return;
                }
                let value = self.solution.value(other);
                let need = match (graph.symbol(symbol).kind.is_logical(), comparison, value) {
                    (true, Comparison::Equal, "y") => Need::AtLeast(Tristate::Yes),
                    (true, Comparison::Unequal, "n") => Need::AtLeast(Tristate::Module),
                    (true, Comparison::Equal, "n") => Need::AtMost(Tristate::No),
                    (true, Comparison::Unequal, "y") => Need::AtMost(Tristate::Module),
                    _ => Need::Text(format!("{}{value}", comparison.as_str().trim_start_matches('='))),
                };
                found.push((symbol, need));
            }
        }
    }
}
