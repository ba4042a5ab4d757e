//! Why a symbol has its value.

use std::fmt;

use kconfig::{ExprId, Origin, PropertyKind, Reverse, Solution, SymbolId, Tristate};
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

/// The cause, and the symbols that it names or rests on.
pub fn of(solution: &Solution, id: SymbolId, request: Option<&Request>) -> (Cause, Vec<SymbolId>) {
    let graph = solution.graph();
    let names = |symbols: &[SymbolId]| {
        let names = symbols.iter().map(|&symbol| graph.name(symbol).to_string());
        names.take(NAMES).collect::<Vec<_>>()
    };
    let symbol = graph.symbol(id);
    match solution.origin(id) {
        Origin::Wanted => match request {
            Some(request) => {
                let at = format!("{}:{}", request.origin.file, request.origin.line);
                (Cause::Asked { at }, Vec::new())
            }
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
        Origin::Choice(choice) => {
            let is_on = solution.logical(id) == Tristate::Yes;
            let mut members = graph.entry(choice).members.iter();
            let chosen = members.find(|&&member| member != id && solution.logical(member) == Tristate::Yes);
            match (is_on, request, chosen) {
                (true, Some(request), _) => {
                    let at = format!("{}:{}", request.origin.file, request.origin.line);
                    (Cause::Asked { at }, Vec::new())
                }
                (false, _, Some(&chosen)) => {
                    let cause = Cause::Choice { chosen: graph.name(chosen).to_string() };
                    (cause, graph.entry(choice).members.clone())
                }
                (true, None, _) => {
                    let at = graph.show_place(graph.entry(choice).place);
                    (Cause::Default { at }, graph.entry(choice).members.clone())
                }
                (false, _, None) => unmet(solution, id),
            }
        }
        Origin::Default(property) => {
            if solution.dependencies(id) == Tristate::No && solution.value(id) == "n" {
                return unmet(solution, id);
            }
            let property = graph.property(property);
            let mut symbols = Vec::new();
            let parts = property.visible.into_iter().chain(property.value);
            parts.for_each(|part| graph.exprs().symbols(part, &mut |symbol| symbols.push(symbol)));
            // An earlier default may have stopped to hold.
            for (_, earlier) in graph.properties_of(id, PropertyKind::Default) {
                if earlier.place == property.place {
                    break;
                }
                earlier.visible.iter().for_each(|&e| graph.exprs().symbols(e, &mut |s| symbols.push(s)));
            }
            (Cause::Default { at: graph.show_place(property.place) }, symbols)
        }
        Origin::Nothing => unmet(solution, id),
    }
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
    let mut conditions = Vec::new();
    for condition in depends.iter().flat_map(|&e| graph.exprs().conjuncts(e)).filter(|e| !holds(e)) {
        note(condition);
        let text = graph.show(condition);
        if !conditions.contains(&text) && conditions.len() < NAMES {
            conditions.push(text);
        }
    }
    (Cause::Dependency { unmet: conditions }, symbols)
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Asked { at } => write!(f, "asked for, {at}"),
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
