//! Ways to make conditions hold, or not hold.

use std::sync::Arc;

use super::{
    super::ways::{Goal, Ways},
    Guide,
};
use crate::{
    expr::{Comparison, Expr, ExprId},
    graph::SymbolId,
    number,
    tristate::{Kind, Tristate},
};

impl Guide<'_, '_> {
    /// Raises an expression.
    pub(super) fn at_least(&mut self, expr: ExprId, value: Tristate) -> Ways {
        if self.solution.evaluate(expr) >= value {
            return Ways::Met;
        }
        match self.graph().exprs().get(expr) {
            Expr::Symbol(symbol) => self.ways(&Goal::AtLeast(symbol, value)),
            Expr::Not(inner) => self.at_most(inner, value.negated()),
            Expr::And(left, right) => {
                let left = self.at_least(left, value);
                left.and(self.at_least(right, value))
            }
            Expr::Or(left, right) => {
                let left = self.at_least(left, value);
                left.or(self.at_least(right, value))
            }
            Expr::Compare(comparison, left, right) => self.make_hold(comparison, left, right),
        }
    }

    /// Lowers an expression.
    pub(super) fn at_most(&mut self, expr: ExprId, value: Tristate) -> Ways {
        if self.solution.evaluate(expr) <= value {
            return Ways::Met;
        }
        match self.graph().exprs().get(expr) {
            Expr::Symbol(symbol) => self.ways(&Goal::AtMost(symbol, value)),
            Expr::Not(inner) => self.at_least(inner, value.negated()),
            Expr::And(left, right) => {
                let left = self.at_most(left, value);
                left.or(self.at_most(right, value))
            }
            Expr::Or(left, right) => {
                let left = self.at_most(left, value);
                left.and(self.at_most(right, value))
            }
            Expr::Compare(comparison, left, right) => self.make_hold(comparison.negated(), left, right),
        }
    }

    fn make_hold(&mut self, comparison: Comparison, left: SymbolId, right: SymbolId) -> Ways {
        let graph = self.graph();
        let is_free = |symbol: SymbolId| !graph.symbol(symbol).entries.is_empty();
        let (symbol, other, comparison) = match (is_free(left), is_free(right)) {
            (true, _) => (left, right, comparison),
            (false, true) => (right, left, mirrored(comparison)),
            (false, false) => {
                let text = format!(
                    "{}{}{} doesn't hold here",
                    graph.name(left),
                    comparison.as_str(),
                    graph.name(right)
                );
                return Ways::dead(text);
            }
        };
        let value = self.solution.value(other).to_string();
        if graph.symbol(symbol).kind.is_logical() {
            return self.make_logical(comparison, symbol, &value);
        }
        let number = number::leading(&value, if value.starts_with("0x") { 16 } else { 10 });
        let text = match comparison {
            Comparison::Equal | Comparison::LessEqual | Comparison::GreaterEqual => value,
            Comparison::Less => (number - 1).to_string(),
            Comparison::Greater => (number + 1).to_string(),
            Comparison::Unequal if graph.symbol(symbol).kind == Kind::String && !value.is_empty() => {
                String::new()
            }
            Comparison::Unequal => (number + 1).to_string(),
        };
        self.ways(&Goal::Text(symbol, Arc::from(text)))
    }

    fn make_logical(&mut self, comparison: Comparison, symbol: SymbolId, value: &str) -> Ways {
        let level = match value {
            "y" => Tristate::Yes,
            "m" => Tristate::Module,
            _ => Tristate::No,
        };
        let at_least = |guide: &mut Self, level| guide.ways(&Goal::AtLeast(symbol, level));
        let at_most = |guide: &mut Self, level| guide.ways(&Goal::AtMost(symbol, level));
        match (comparison, level) {
            (Comparison::Equal, Tristate::Yes) => at_least(self, Tristate::Yes),
            (Comparison::Equal, Tristate::No) => at_most(self, Tristate::No),
            (Comparison::Equal, Tristate::Module) => {
                let low = at_least(self, Tristate::Module);
                low.and(at_most(self, Tristate::Module))
            }
            (Comparison::Unequal, Tristate::Yes) => at_most(self, Tristate::Module),
            (Comparison::Unequal, Tristate::No) => at_least(self, Tristate::Module),
            (Comparison::Unequal, Tristate::Module) => {
                let high = at_least(self, Tristate::Yes);
                high.or(at_most(self, Tristate::No))
            }
            (Comparison::GreaterEqual, level) => at_least(self, level),
            (Comparison::LessEqual, level) => at_most(self, level),
            (Comparison::Greater, Tristate::No) => at_least(self, Tristate::Module),
            (Comparison::Greater, _) => at_least(self, Tristate::Yes),
            (Comparison::Less, Tristate::Yes) => at_most(self, Tristate::Module),
            (Comparison::Less, _) => at_most(self, Tristate::No),
        }
    }
}

/// The comparison with its sides exchanged.
const fn mirrored(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal | Comparison::Unequal => comparison,
        Comparison::Less => Comparison::Greater,
        Comparison::LessEqual => Comparison::GreaterEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterEqual => Comparison::LessEqual,
    }
}
