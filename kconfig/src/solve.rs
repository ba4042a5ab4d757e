//! From what was asked for to what comes out, as conf reckons it.

mod calculate;
mod choice;
mod defaults;

use std::{cmp::Ordering, sync::Arc};

use rustc_hash::FxHashSet;

use crate::{
    expr::{self, Comparison, Expr, ExprId},
    graph::{EntryId, Graph, PropertyId, SymbolId},
    number::{self, Comparable},
    request::Request,
    tristate::{Kind, Tristate},
};

/// What is known of one symbol.
#[derive(Clone, Debug, Default)]
struct Value {
    is_known: bool,
    /// Belongs into the .config.
    is_written: bool,
    logical: Tristate,
    /// Of an int, hex or string; the name of an undeclared symbol.
    text: Option<Arc<str>>,
    /// How much a person may ask for.
    visible: Tristate,
    depends: Tristate,
    selected: Tristate,
    implied: Tristate,
}

/// Where a symbol's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was asked for, and may be.
    Wanted,
    /// The default of this property.
    Default(PropertyId),
    /// Selected by others, beyond what was asked for or is the default.
    Selected,
    /// Implied by others.
    Implied,
    /// Decided by the choice that it is a member of.
    Choice(EntryId),
    /// No default holds.
    Nothing,
}

/// Values of all symbols.
#[derive(Clone, Debug)]
pub struct Solution<'g> {
    graph: &'g Graph,
    request: Request<'g>,
    values: Vec<Value>,
    /// By expression; 3 where it isn't known yet.
    exprs: Vec<u8>,
    modules: Tristate,
    unmet: Vec<SymbolId>,
    /// Choices whose member is known.
    decided: FxHashSet<EntryId>,
    /// Calculations inside calculations.
    depth: usize,
    /// They went too deep, and something was taken for nothing.
    is_too_deep: bool,
}

const UNKNOWN: u8 = 3;

/// In the graph's order a calculation finds everything that it needs, so only expressions nest. Circles of ranges
/// alone could go deeper; what is beyond counts as nothing.
const DEPTH_LIMIT: usize = expr::DEPTH_LIMIT as usize + 1000;

impl<'g> Solution<'g> {
    pub(crate) fn of(request: Request<'g>) -> Solution<'g> {
        let graph = request.graph();
        let mut solution = Solution::unsolved(request);
        if let Some(modules) = graph.modules {
            // What this looks at is worth what it is without modules, and stays so; nothing else may be calculated yet.
            solution.calculate(modules);
            if solution.is_too_deep {
                solution = Solution::unsolved(solution.request);
                let needed = graph.order.iter().take_while(|&&symbol| symbol != modules);
                needed.for_each(|&symbol| solution.calculate(symbol));
                solution.calculate(modules);
            }
            solution.modules = solution.values[modules.index()].logical;
        }
        for &symbol in &graph.order {
            solution.calculate(symbol);
        }
        // Those that nothing declares, and those that only unchecked places mention.
        for number in 0..graph.symbols.len() {
            solution.calculate(SymbolId::new(number));
        }
        solution
    }

    fn unsolved(request: Request<'g>) -> Solution<'g> {
        let graph = request.graph();
        Solution {
            graph,
            request,
            values: vec![Value::default(); graph.symbols.len()],
            exprs: vec![UNKNOWN; graph.exprs.len()],
            modules: Tristate::No,
            unmet: Vec::new(),
            decided: FxHashSet::default(),
            depth: 0,
            is_too_deep: false,
        }
    }

    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// What was asked for; transitional symbols may have added to it.
    pub fn request(&self) -> &Request<'g> {
        &self.request
    }

    /// As in a .config, without quotes: `y`, `12`, `0x10`, `text`.
    pub fn value(&self, symbol: SymbolId) -> &str {
        let value = &self.values[symbol.index()];
        match (self.graph.symbol(symbol).kind.is_logical(), &value.text) {
            (false, Some(text)) => text,
            _ => value.logical.as_str(),
        }
    }

    /// The same by name (without `CONFIG_`); `None` if no Kconfig file declares the symbol.
    pub fn value_of(&self, name: &str) -> Option<String> {
        Some(self.value(self.graph.declared(name)?).to_string())
    }

    /// `n` for anything but bools and tristates.
    pub fn logical(&self, symbol: SymbolId) -> Tristate {
        self.values[symbol.index()].logical
    }

    /// Whether the symbol has a line in the .config.
    pub fn is_written(&self, symbol: SymbolId) -> bool {
        self.values[symbol.index()].is_written
    }

    /// The most that a person may ask for; `n`: the symbol's prompt isn't shown.
    pub fn visibility(&self, symbol: SymbolId) -> Tristate {
        self.values[symbol.index()].visible
    }

    /// What the symbol's dependencies come to.
    pub fn dependencies(&self, symbol: SymbolId) -> Tristate {
        self.values[symbol.index()].depends
    }

    /// What others select it to.
    pub fn selected(&self, symbol: SymbolId) -> Tristate {
        self.values[symbol.index()].selected
    }

    /// What others imply it to.
    pub fn implied(&self, symbol: SymbolId) -> Tristate {
        self.values[symbol.index()].implied
    }

    /// Whether a person's answer could make a difference.
    pub fn is_changeable(&self, symbol: SymbolId) -> bool {
        let value = &self.values[symbol.index()];
        !self.graph.is_choice(symbol) && value.visible > value.selected
    }

    /// Value of an expression of the graph. One that no symbol or menu depends on is worth `n`.
    pub fn evaluate(&self, expr: ExprId) -> Tristate {
        match self.exprs.get(expr.0 as usize) {
            Some(0) | None => Tristate::No,
            Some(1) => Tristate::Module,
            Some(2) => Tristate::Yes,
            // Parts of conditions are evaluated with them, so only what stands nowhere is left.
            Some(_) => self.evaluate_parts(expr),
        }
    }

    fn evaluate_parts(&self, expr: ExprId) -> Tristate {
        match self.graph.exprs.get(expr) {
            Expr::Symbol(symbol) => self.logical(symbol),
            Expr::Not(inner) => self.evaluate(inner).negated(),
            Expr::And(left, right) => self.evaluate(left).min(self.evaluate(right)),
            Expr::Or(left, right) => self.evaluate(left).max(self.evaluate(right)),
            Expr::Compare(comparison, left, right) => self.compared(comparison, left, right),
        }
    }

    /// Symbols that are selected though what they depend on doesn't hold.
    pub fn unmet(&self) -> &[SymbolId] {
        &self.unmet
    }

    /// The type that counts: without modules a tristate is a bool.
    pub fn kind(&self, symbol: SymbolId) -> Kind {
        match self.graph.symbol(symbol).kind {
            Kind::Tristate if self.modules == Tristate::No => Kind::Bool,
            kind => kind,
        }
    }

    fn expr(&mut self, expr: Option<ExprId>) -> Tristate {
        let Some(expr) = expr else { return Tristate::Yes };
        match self.exprs[expr.0 as usize] {
            0 => return Tristate::No,
            1 => return Tristate::Module,
            2 => return Tristate::Yes,
            _ => {}
        }
        if self.depth > DEPTH_LIMIT {
            self.is_too_deep = true;
            return Tristate::No;
        }
        self.depth += 1;
        let value = match self.graph.exprs.get(expr) {
            Expr::Symbol(symbol) => {
                self.calculate(symbol);
                self.logical(symbol)
            }
            Expr::Not(inner) => self.expr(Some(inner)).negated(),
            Expr::And(left, right) => {
                let left = self.expr(Some(left));
                left.min(self.expr(Some(right)))
            }
            Expr::Or(left, right) => {
                let left = self.expr(Some(left));
                left.max(self.expr(Some(right)))
            }
            Expr::Compare(comparison, left, right) => {
                self.calculate(left);
                self.calculate(right);
                self.compared(comparison, left, right)
            }
        };
        self.depth -= 1;
        self.exprs[expr.0 as usize] = value as u8;
        value
    }

    fn compared(&self, comparison: Comparison, left: SymbolId, right: SymbolId) -> Tristate {
        let (one, other) = (self.value(left), self.value(right));
        let (kind, other_kind) = (self.graph.symbol(left).kind, self.graph.symbol(right).kind);
        let (a, b) = match (kind, other_kind) {
            (Kind::String, Kind::String) => (Comparable::Text, Comparable::Text),
            _ => (number::comparable(one, kind), number::comparable(other, other_kind)),
        };
        let order = match (a, b) {
            (Comparable::Text, _) | (_, Comparable::Text) => one.as_bytes().cmp(other.as_bytes()),
            (Comparable::Signed(a), Comparable::Signed(b)) => a.cmp(&b),
            _ => a.bits().cmp(&b.bits()),
        };
        let holds = match comparison {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::Unequal => order != Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::LessEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::GreaterEqual => order != Ordering::Less,
        };
        if holds { Tristate::Yes } else { Tristate::No }
    }
}
