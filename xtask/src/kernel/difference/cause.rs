//! Why a symbol has its value.

use std::fmt;

use kconfig::{EntryId, ExprId, Origin, PropertyId, PropertyKind, Reverse, Solution, SymbolId, Tristate};
use serde::Serialize;

use crate::kernel::fragment::Request;

/// Names of symbols are without their prefix, as Kconfig files write them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "kind")]
pub enum Cause {
    /// A fragment asks for it.
    Asked {
        /// file:line
        at: String,
    },
    /// A fragment asks for a number out of this range, and gets the nearer end.
    OutOfRange {
        at: String,
        low: String,
        high: String,
    },
    /// A fragment asks for it in vain: conditions of its prompt don't hold, or it has none.
    NotSettable {
        at: String,
        unmet: Vec<String>,
    },
    /// Nobody asks, and this line of a Kconfig file has its default.
    Default {
        at: String,
    },
    Selected {
        by: Vec<String>,
    },
    Implied {
        by: Vec<String>,
    },
    /// Another member of its choice is on.
    Choice {
        chosen: String,
    },
    /// Conditions of its dependencies that don't hold.
    Dependency {
        unmet: Vec<String>,
    },
    NotInThisKernel,
    /// Nobody asks for it, and no default holds.
    NobodyAsks,
}

/// More names than this would not say more.
const NAMES: usize = 3;

/// What a fragment asks for, and whether it is what came of it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub request: &'a Request,
    pub is_honoured: bool,
}

impl Asked<'_> {
    fn place(&self) -> String {
        format!("{}:{}", self.request.origin.file, self.request.origin.line)
    }
}

/// The cause, and the symbols that it names or rests on.
pub fn of(solution: &Solution, id: SymbolId, asked: Option<Asked>) -> (Cause, Vec<SymbolId>) {
    let (cause, mut symbols) = by_origin(solution, id, asked);
    let Some(asked) = asked.filter(|asked| !asked.is_honoured) else { return (cause, symbols) };
    let cause = match cause {
        Cause::Default { .. } | Cause::NobodyAsks if solution.visibility(id) == Tristate::No => {
            let graph = solution.graph();
            let conditions: Vec<ExprId> = graph.prompts(id).filter_map(|prompt| prompt.visible).collect();
            let unmet = failing(solution, &conditions, &mut symbols);
            Cause::NotSettable { at: asked.place(), unmet }
        }
        Cause::Asked { at } => match solution.active_range(id) {
            Some((_, low, high)) => {
                let value = |symbol| solution.value(symbol).to_string();
                Cause::OutOfRange { at, low: value(low), high: value(high) }
            }
            None => Cause::Asked { at },
        },
        cause => cause,
    };
    (cause, symbols)
}

fn by_origin(solution: &Solution, id: SymbolId, asked: Option<Asked>) -> (Cause, Vec<SymbolId>) {
    let graph = solution.graph();
    let names = |symbols: &[SymbolId]| {
        let names = symbols.iter().map(|&symbol| graph.name(symbol).to_string());
        names.take(NAMES).collect::<Vec<_>>()
    };
    let symbol = graph.symbol(id);
    match solution.origin(id) {
        Origin::Wanted => match asked {
            Some(asked) => (Cause::Asked { at: asked.place() }, Vec::new()),
            None => (Cause::NobodyAsks, Vec::new()),
        },
        Origin::Selected => {
            let by = reverse(solution, &symbol.selected_by);
            (Cause::Selected { by: names(&by.0) }, by.1)
        }
        Origin::Implied => {
            let by = reverse(solution, &symbol.implied_by);
            (Cause::Implied { by: names(&by.0) }, by.1)
        }
        Origin::Choice(choice) => of_member(solution, id, choice, asked),
        Origin::Default(_) if solution.dependencies(id) == Tristate::No && solution.value(id) == "n" => {
            unmet(solution, id)
        }
        Origin::Default(property) => by_default(solution, id, property),
        Origin::Nothing => unmet(solution, id),
    }
}

fn of_member(
    solution: &Solution,
    id: SymbolId,
    choice: EntryId,
    asked: Option<Asked>,
) -> (Cause, Vec<SymbolId>) {
    let graph = solution.graph();
    let members = graph.entry(choice).members.clone();
    let is_on = |&&member: &&SymbolId| solution.logical(member) == Tristate::Yes;
    match (members.iter().find(is_on), asked) {
        (Some(&on), Some(asked)) if on == id => (Cause::Asked { at: asked.place() }, Vec::new()),
        (Some(&on), None) if on == id => {
            (Cause::Default { at: graph.show_place(graph.entry(choice).place) }, members)
        }
        (Some(&on), _) => (Cause::Choice { chosen: graph.name(on).to_string() }, members),
        (None, _) => unmet(solution, id),
    }
}

fn by_default(solution: &Solution, id: SymbolId, property: PropertyId) -> (Cause, Vec<SymbolId>) {
    let graph = solution.graph();
    let place = graph.property(property).place;
    let mut symbols = Vec::new();
    let mut note = |e: ExprId| graph.exprs().symbols(e, &mut |symbol| symbols.push(symbol));
    graph.property(property).value.into_iter().for_each(&mut note);
    // Those before it may hold no longer.
    for (_, default) in graph.properties_of(id, PropertyKind::Default) {
        default.visible.into_iter().for_each(&mut note);
        if default.place == place {
            break;
        }
    }
    (Cause::Default { at: graph.show_place(place) }, symbols)
}

/// Who selects (or implies) a symbol, and everything that this rests on.
fn reverse(solution: &Solution, reverses: &[Reverse]) -> (Vec<SymbolId>, Vec<SymbolId>) {
    let graph = solution.graph();
    let (mut by, mut all) = (Vec::new(), Vec::new());
    for reverse in reverses.iter().filter(|reverse| solution.evaluate(reverse.condition) != Tristate::No) {
        if !by.contains(&reverse.by) {
            by.push(reverse.by);
        }
        graph.exprs().symbols(reverse.condition, &mut |symbol| all.push(symbol));
    }
    (by, all)
}

/// What of a symbol's dependencies, or of the conditions of its defaults, doesn't hold.
fn unmet(solution: &Solution, id: SymbolId) -> (Cause, Vec<SymbolId>) {
    let graph = solution.graph();
    let symbol = graph.symbol(id);
    let mut symbols = Vec::new();
    let mut note = |e: ExprId| graph.exprs().symbols(e, &mut |symbol| symbols.push(symbol));
    let holds = |e: &ExprId| solution.evaluate(*e) != Tristate::No;
    let depends = match symbol.choice {
        // The symbol itself depends on what the choice is shown for.
        Some(_) => graph.prompts(id).filter_map(|prompt| prompt.visible).collect(),
        None => symbol.depends.clone(),
    };
    if depends.is_empty() || depends.iter().any(holds) {
        for (_, default) in graph.properties_of(id, PropertyKind::Default) {
            default.visible.into_iter().for_each(&mut note);
        }
        for reverse in symbol.selected_by.iter().chain(&symbol.implied_by) {
            note(reverse.condition);
        }
        return (Cause::NobodyAsks, symbols);
    }
    let unmet = failing(solution, &depends, &mut symbols);
    (Cause::Dependency { unmet }, symbols)
}

/// The parts of conditions that don't hold, as Kconfig writes them; their symbols are added to `symbols`.
fn failing(solution: &Solution, conditions: &[ExprId], symbols: &mut Vec<SymbolId>) -> Vec<String> {
    let graph = solution.graph();
    let mut texts = Vec::new();
    for part in conditions.iter().flat_map(|&e| graph.exprs().conjuncts(e)) {
        if solution.evaluate(part) != Tristate::No {
            continue;
        }
        graph.exprs().symbols(part, &mut |symbol| symbols.push(symbol));
        let text = graph.show(part);
        if !texts.contains(&text) && texts.len() < NAMES {
            texts.push(text);
        }
    }
    texts
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Asked { at } => write!(f, "asked for, {at}"),
            Cause::OutOfRange { at, low, high } => {
                write!(f, "asked for, {at}, but it has to be from {low} to {high}")
            }
            Cause::NotSettable { at, unmet } if unmet.is_empty() => {
                write!(f, "asked for, {at}, but it has no prompt")
            }
            Cause::NotSettable { at, unmet } => {
                write!(f, "asked for, {at}, but it can be set only if {}", unmet.join(" && "))
            }
            Cause::Default { at } => write!(f, "default, {at}"),
            Cause::Selected { by } => write!(f, "selected by {}", by.join(", ")),
            Cause::Implied { by } => write!(f, "implied by {}", by.join(", ")),
            Cause::Choice { chosen } => write!(f, "its choice has {chosen}"),
            Cause::Dependency { unmet } if unmet.len() == 1 => write!(f, "dependency not met: {}", unmet[0]),
            Cause::Dependency { unmet } => write!(f, "dependencies not met: {}", unmet.join("; ")),
            Cause::NotInThisKernel => f.write_str("not in this kernel"),
            Cause::NobodyAsks => f.write_str("nobody asks for it"),
        }
    }
}
