//! Why symbols have the values they have, and what would have to be asked for so that they had others.
//!
//! | question | answer |
//! |---|---|
//! | why was a request not honoured? | [`why`]: the chain of causes, each with its place |
//! | what would make it hold? | [`remedy`]: the smallest set of further requests, or why there is none |
//! | who turned this on, and what would fall with it? | [`provenance`] |
//!
//! Whatever is proposed was solved before it is said.
//!
//! ```
//! use std::collections::BTreeMap;
//! use kconfig::{Fill, Silent, Tristate, Wanted, parse};
//! use kconfig::explain::{Asked, Requests, Search, remedy, why};
//!
//! let files = BTreeMap::from([(
//!     "Kconfig".to_string(),
//!     "config EXPERT\n\tbool \"Expert\"\n\nconfig MTRR\n\tbool \"MTRR\" if EXPERT\n\tdefault y\n".to_string(),
//! )]);
//! let (graph, _) = parse("Kconfig", &files, &mut Silent).unwrap();
//! let mtrr = graph.declared("MTRR").unwrap();
//! let off = Wanted::Logical(Tristate::No);
//! let asked = Asked { symbol: mtrr, wanted: off.clone(), origin: "my.config:1".into() };
//! let requests = Requests::new(&graph, Fill::No, vec![asked]);
//!
//! let solution = requests.solve();
//! assert_eq!(
//!     why(&requests, &solution, mtrr, &off).to_string(),
//!     "MTRR is y, has to be n; my.config:1 asks for n\n\
//!      \x20 by default (Kconfig:6)\n\
//!      \x20 not met: prompt if EXPERT (Kconfig:5)\n\
//!      \x20   EXPERT is n, has to be y\n\
//!      \x20     nobody asks for that; it could be"
//! );
//! assert_eq!(
//!     remedy(&requests, &[mtrr], Search::default()).to_string(),
//!     "the smallest change that makes it hold:\n  CONFIG_EXPERT=y"
//! );
//! ```

mod guide;
mod provenance;
mod remedy;
mod text;
mod ways;
mod why;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    expr::ExprId,
    graph::{Graph, Place, PropertyId, SymbolId},
    number::{self, Comparable},
    request::{Fill, Request, Wanted},
    solve::Solution,
    tristate::{Kind, Tristate},
};

pub use provenance::{Provenance, Source, provenance};
pub use remedy::{Remedy, Search, remedy};
pub use why::{Culprit, Reason, Why, did_you_mean, why};

/// A value that somebody asked for, and where.
#[derive(Clone, Debug)]
pub struct Asked {
    pub symbol: SymbolId,
    pub wanted: Wanted,
    /// `configs/base.config:12`.
    pub origin: Arc<str>,
}

impl Asked {
    /// Whether the symbol's type has the value.
    fn is_possible(&self, graph: &Graph) -> bool {
        let kind = graph.symbol(self.symbol).kind;
        match &self.wanted {
            Wanted::Logical(Tristate::Module) => kind == Kind::Tristate,
            Wanted::Logical(_) => kind.is_logical(),
            Wanted::Text(text) => !kind.is_logical() && kind.accepts(text),
        }
    }
}

/// All that is asked of one configuration.
#[derive(Clone, Debug)]
pub struct Requests<'g> {
    graph: &'g Graph,
    fill: Fill,
    asked: Vec<Asked>,
    by_symbol: FxHashMap<SymbolId, usize>,
}

impl<'g> Requests<'g> {
    /// Asks for `asked`, in that order, of a configuration in which everything else follows `fill`. Of two requests
    /// for one symbol the later counts.
    pub fn new(graph: &'g Graph, fill: Fill, asked: Vec<Asked>) -> Requests<'g> {
        let by_symbol = asked.iter().enumerate().map(|(number, asked)| (asked.symbol, number)).collect();
        Requests { graph, fill, asked, by_symbol }
    }

    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The requests that count, in the order in which they were made.
    pub fn asked(&self) -> impl Iterator<Item = &Asked> {
        let counts = |(number, asked): &(usize, &Asked)| self.by_symbol.get(&asked.symbol) == Some(number);
        self.asked.iter().enumerate().filter(counts).map(|(_, asked)| asked)
    }

    pub fn get(&self, symbol: SymbolId) -> Option<&Asked> {
        Some(&self.asked[*self.by_symbol.get(&symbol)?])
    }

    pub fn solve(&self) -> Solution<'g> {
        self.with(&[]).solve()
    }

    /// The request, with `further` wishes that come last.
    fn with(&self, further: &[(SymbolId, Wanted)]) -> Request<'g> {
        let mut request = Request::new(self.graph);
        // A value that the symbol's type doesn't have is passed over, as conf does.
        for asked in self.asked().filter(|asked| asked.is_possible(self.graph)) {
            request.want(asked.symbol, asked.wanted.clone());
        }
        for (symbol, wanted) in further {
            request.want(*symbol, wanted.clone());
        }
        request.fill(self.fill);
        request
    }
}

/// Whether the symbol has the value. A symbol that is off need not be mentioned; numbers count by their value.
pub fn is_honoured(solution: &Solution, symbol: SymbolId, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Logical(wanted) => solution.logical(symbol) == *wanted,
        Wanted::Text(wanted) => {
            let (kind, value) = (solution.graph().symbol(symbol).kind, solution.value(symbol));
            let is_number = matches!(kind, Kind::Int | Kind::Hex);
            let number = |text: &str| number::comparable(text, kind);
            let is_same = value == &**wanted
                || (is_number && number(value) == number(wanted) && number(value) != Comparable::Text);
            is_same && solution.is_written(symbol)
        }
    }
}

/// A value as a fragment writes it: `CONFIG_X=y`, `# CONFIG_X is not set`.
pub fn fragment_line(graph: &Graph, symbol: SymbolId, wanted: &Wanted) -> String {
    let name = graph.name(symbol);
    match wanted {
        Wanted::Logical(Tristate::No) => format!("# CONFIG_{name} is not set"),
        Wanted::Logical(value) => format!("CONFIG_{name}={value}"),
        Wanted::Text(text) if graph.symbol(symbol).kind == Kind::String => {
            format!("CONFIG_{name}={}", crate::output::quote(text))
        }
        Wanted::Text(text) => format!("CONFIG_{name}={text}"),
    }
}

/// What a condition that something rests on is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statement {
    DependsOn,
    /// An enclosing `if`.
    If,
    /// The prompt's own.
    PromptIf,
    /// An enclosing menu's.
    VisibleIf,
}

impl Statement {
    const fn as_str(self) -> &'static str {
        match self {
            Statement::DependsOn => "depends on",
            Statement::If => "if",
            Statement::PromptIf => "prompt if",
            Statement::VisibleIf => "visible if",
        }
    }
}

/// One condition, where it is written.
#[derive(Clone, Copy, Debug)]
struct Condition {
    expr: ExprId,
    statement: Statement,
    place: Place,
}

/// All that has to hold for the prompt to be shown, from the prompt outwards.
fn conditions(graph: &Graph, prompt: PropertyId) -> Vec<Condition> {
    let prompt = graph.property(prompt);
    let mut conditions = Vec::new();
    if let Some(expr) = prompt.condition {
        conditions.push(Condition { expr, statement: Statement::PromptIf, place: prompt.place });
    }
    conditions.extend(dependencies(graph, prompt.entry));
    let mut block = graph.entry(prompt.entry).block;
    while let Some(id) = block {
        let entry = graph.entry(id);
        if let Some(expr) = entry.visibility {
            conditions.push(Condition { expr, statement: Statement::VisibleIf, place: entry.place });
        }
        block = entry.block;
    }
    conditions
}

/// All that the entry depends on, its own conditions first.
fn dependencies(graph: &Graph, entry: crate::graph::EntryId) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let mut at = Some(entry);
    while let Some(id) = at {
        let entry = graph.entry(id);
        let statement = match entry.kind {
            crate::graph::EntryKind::If => Statement::If,
            _ => Statement::DependsOn,
        };
        conditions.extend(entry.own_depends.iter().map(|&(expr, place)| Condition {
            expr,
            statement,
            place,
        }));
        at = entry.block;
    }
    conditions
}
