//! Expressions made smaller without changing their value. conf does the same for its menus: whether an entry becomes
//! a submenu of the one before depends on the simplified form.

use rustc_hash::FxHashMap;

use crate::{
    expr::{Comparison, Expr, ExprId, Exprs},
    graph::{Graph, SymbolId},
    tristate::Kind,
};

/// Steps that simplifying one graph may take; whatever comes later stays as it is, which is as right, only longer.
const BUDGET: u64 = 100_000_000;

/// Results that are known, and what is left of the budget.
pub(crate) struct Simplifier {
    transformed: FxHashMap<ExprId, ExprId>,
    deduplicated: FxHashMap<ExprId, ExprId>,
    budget: u64,
    /// Simplifications made since somebody set it to zero.
    count: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
}

/// The operands, if `id` is of this operator.
fn operands(exprs: &Exprs, operator: Operator, id: ExprId) -> Option<(ExprId, ExprId)> {
    match (exprs.get(id), operator) {
        (Expr::And(left, right), Operator::And) | (Expr::Or(left, right), Operator::Or) => {
            Some((left, right))
        }
        _ => None,
    }
}

fn operator(exprs: &Exprs, id: ExprId) -> Option<Operator> {
    match exprs.get(id) {
        Expr::And(..) => Some(Operator::And),
        Expr::Or(..) => Some(Operator::Or),
        _ => None,
    }
}

fn join(exprs: &mut Exprs, operator: Operator, left: ExprId, right: ExprId) -> ExprId {
    match operator {
        Operator::And => exprs.and(left, right),
        Operator::Or => exprs.or(left, right),
    }
}

/// `e` compared with a constant, pushed down to its symbols: for `=n`, `A && B` becomes `A=n || B=n`.
/// No expression stands for `y`.
pub(crate) fn compare(
    exprs: &mut Exprs,
    e: Option<ExprId>,
    comparison: Comparison,
    constant: SymbolId,
) -> ExprId {
    let negated = comparison == Comparison::Unequal;
    let negate_if = |exprs: &mut Exprs, e: ExprId| if negated { exprs.not(e) } else { e };
    let Some(e) = e else {
        let symbol = exprs.symbol(constant);
        return negate_if(exprs, symbol);
    };
    match exprs.get(e) {
        Expr::And(left, right) | Expr::Or(left, right) => {
            let left = compare(exprs, Some(left), Comparison::Equal, constant);
            let right = compare(exprs, Some(right), Comparison::Equal, constant);
            let is_and = matches!(exprs.get(e), Expr::And(..));
            let joined = match is_and == (constant == Graph::YES) {
                true => exprs.and(left, right),
                false => exprs.or(left, right),
            };
            negate_if(exprs, joined)
        }
        Expr::Not(inner) => compare(exprs, Some(inner), comparison.negated(), constant),
        Expr::Compare(..) => match (constant, negated) {
            (Graph::YES, false) | (Graph::NO, true) => e,
            (Graph::MODULE, false) => exprs.symbol(Graph::NO),
            (Graph::MODULE, true) => exprs.symbol(Graph::YES),
            _ => exprs.not(e),
        },
        Expr::Symbol(symbol) => exprs.add(Expr::Compare(comparison, symbol, constant)),
    }
}

impl Simplifier {
    pub(crate) fn new() -> Simplifier {
        Simplifier {
            transformed: FxHashMap::default(),
            deduplicated: FxHashMap::default(),
            budget: BUDGET,
            count: 0,
        }
    }

    /// Whether another step may be taken.
    fn step(&mut self) -> bool {
        self.budget = self.budget.saturating_sub(1);
        self.budget > 0
    }

    /// Comparisons of bools with constants become the symbol or its negation, and negations move to the symbols.
    pub(crate) fn transform(&mut self, graph: &mut Graph, e: ExprId) -> ExprId {
        if let Some(&known) = self.transformed.get(&e) {
            return known;
        }
        if !self.step() {
            return e;
        }
        let result = match graph.exprs.get(e) {
            Expr::Symbol(_) => e,
            Expr::Compare(comparison, left, right) => {
                bool_comparison(graph, comparison, left, right).unwrap_or(e)
            }
            Expr::And(left, right) => {
                let (left, right) = (self.transform(graph, left), self.transform(graph, right));
                graph.exprs.and(left, right)
            }
            Expr::Or(left, right) => {
                let (left, right) = (self.transform(graph, left), self.transform(graph, right));
                graph.exprs.or(left, right)
            }
            Expr::Not(inner) => {
                let inner = self.transform(graph, inner);
                self.negate(graph, inner)
            }
        };
        self.transformed.insert(e, result);
        result
    }

    fn negate(&mut self, graph: &mut Graph, inner: ExprId) -> ExprId {
        let exprs = &mut graph.exprs;
        match exprs.get(inner) {
            Expr::Not(e) => e,
            Expr::Compare(comparison, left, right) => {
                exprs.add(Expr::Compare(comparison.negated(), left, right))
            }
            Expr::Or(left, right) => {
                let (left, right) = (exprs.not(left), exprs.not(right));
                let both = exprs.and(left, right);
                self.transform(graph, both)
            }
            Expr::And(left, right) => {
                let (left, right) = (exprs.not(left), exprs.not(right));
                let either = exprs.or(left, right);
                self.transform(graph, either)
            }
            Expr::Symbol(Graph::YES) => exprs.symbol(Graph::NO),
            Expr::Symbol(Graph::MODULE) => inner,
            Expr::Symbol(Graph::NO) => exprs.symbol(Graph::YES),
            Expr::Symbol(_) => exprs.not(inner),
        }
    }

    /// Removes operands that others of the same level make redundant.
    pub(crate) fn deduplicate(&mut self, graph: &mut Graph, e: ExprId) -> ExprId {
        if let Some(&known) = self.deduplicated.get(&e) {
            return known;
        }
        let before = self.count;
        let mut result = e;
        loop {
            self.count = 0;
            if let Some(operator) = operator(&graph.exprs, result)
                && let Some((left, right)) = operands(&graph.exprs, operator, result)
                && self.step()
            {
                let mut left = self.deduplicate(graph, left);
                let mut right = self.deduplicate(graph, right);
                self.join_leaves(graph, operator, &mut left, &mut right);
                result = join(&mut graph.exprs, operator, left, right);
            }
            result = without_constants(&mut graph.exprs, result);
            if self.count == 0 {
                break;
            }
        }
        self.count = before;
        self.deduplicated.insert(e, result);
        result
    }

    /// Every operand of `left` with every operand of `right`.
    fn join_leaves(&mut self, graph: &mut Graph, operator: Operator, left: &mut ExprId, right: &mut ExprId) {
        if let Some((mut one, mut two)) = operands(&graph.exprs, operator, *left) {
            self.join_leaves(graph, operator, &mut one, right);
            self.join_leaves(graph, operator, &mut two, right);
            *left = join(&mut graph.exprs, operator, one, two);
            return;
        }
        if let Some((mut one, mut two)) = operands(&graph.exprs, operator, *right) {
            self.join_leaves(graph, operator, left, &mut one);
            self.join_leaves(graph, operator, left, &mut two);
            *right = join(&mut graph.exprs, operator, one, two);
            return;
        }
        if !self.step() {
            return;
        }
        let joined = match self.equal(graph, *left, *right) {
            true => Some(*left),
            false => join_pair(graph, operator, *left, *right),
        };
        if let Some(joined) = joined {
            let neutral = if operator == Operator::And { Graph::YES } else { Graph::NO };
            *left = graph.exprs.symbol(neutral);
            *right = joined;
            self.count += 1;
        }
    }

    /// Whether the two say the same, whatever the order of operands.
    fn equal(&mut self, graph: &mut Graph, one: ExprId, other: ExprId) -> bool {
        if one == other {
            return true;
        }
        if !self.step() {
            return false;
        }
        match (graph.exprs.get(one), graph.exprs.get(other)) {
            (Expr::Not(one), Expr::Not(other)) => self.equal(graph, one, other),
            (Expr::And(..), Expr::And(..)) | (Expr::Or(..), Expr::Or(..)) => {
                let before = self.count;
                let (mut one, mut other) = (one, other);
                self.cancel(graph, &mut one, &mut other);
                self.count = before;
                one == other && matches!(graph.exprs.get(one), Expr::Symbol(_))
            }
            _ => false,
        }
    }

    /// Removes from both what they have in common.
    pub(crate) fn cancel(&mut self, graph: &mut Graph, one: &mut ExprId, other: &mut ExprId) {
        let first = operator(&graph.exprs, *one);
        if let Some(operator) = first {
            self.cancel_leaves(graph, operator, one, other);
        }
        let second = operator(&graph.exprs, *other);
        if operator(&graph.exprs, *one) != second
            && let Some(operator) = second
        {
            self.cancel_leaves(graph, operator, one, other);
        }
        *one = without_constants(&mut graph.exprs, *one);
        *other = without_constants(&mut graph.exprs, *other);
    }

    fn cancel_leaves(&mut self, graph: &mut Graph, operator: Operator, one: &mut ExprId, other: &mut ExprId) {
        if let Some((mut left, mut right)) = operands(&graph.exprs, operator, *one) {
            self.cancel_leaves(graph, operator, &mut left, other);
            self.cancel_leaves(graph, operator, &mut right, other);
            *one = join(&mut graph.exprs, operator, left, right);
            return;
        }
        if let Some((mut left, mut right)) = operands(&graph.exprs, operator, *other) {
            self.cancel_leaves(graph, operator, one, &mut left);
            self.cancel_leaves(graph, operator, one, &mut right);
            *other = join(&mut graph.exprs, operator, left, right);
            return;
        }
        let is_constant = |e| matches!(graph.exprs.get(e), Expr::Symbol(Graph::YES | Graph::NO));
        if (*one == *other && is_constant(*one)) || !self.equal(graph, *one, *other) {
            return;
        }
        let neutral = if operator == Operator::And { Graph::YES } else { Graph::NO };
        *one = graph.exprs.symbol(neutral);
        *other = *one;
        self.count += 1;
    }
}

/// A bool compared with a constant.
fn bool_comparison(
    graph: &mut Graph,
    comparison: Comparison,
    left: SymbolId,
    right: SymbolId,
) -> Option<ExprId> {
    let negated = match comparison {
        Comparison::Equal => false,
        Comparison::Unequal => true,
        _ => return None,
    };
    if graph.symbol(left).kind != Kind::Bool {
        return None;
    }
    let exprs = &mut graph.exprs;
    match (right, negated) {
        (Graph::YES, false) | (Graph::NO, true) => Some(exprs.symbol(left)),
        (Graph::NO, false) | (Graph::YES, true) => {
            let symbol = exprs.symbol(left);
            Some(exprs.not(symbol))
        }
        (Graph::MODULE, false) => Some(exprs.symbol(Graph::NO)),
        (Graph::MODULE, true) => Some(exprs.symbol(Graph::YES)),
        _ => None,
    }
}

/// Applies `y` and `n` to what they stand beside.
fn without_constants(exprs: &mut Exprs, e: ExprId) -> ExprId {
    let (operator, (left, right)) = match exprs.get(e) {
        Expr::And(left, right) => (Operator::And, (left, right)),
        Expr::Or(left, right) => (Operator::Or, (left, right)),
        _ => return e,
    };
    let (left, right) = (without_constants(exprs, left), without_constants(exprs, right));
    let (neutral, absorbing) = match operator {
        Operator::And => (Graph::YES, Graph::NO),
        Operator::Or => (Graph::NO, Graph::YES),
    };
    for (this, that) in [(left, right), (right, left)] {
        match exprs.get(this) {
            Expr::Symbol(symbol) if symbol == absorbing => return this,
            Expr::Symbol(symbol) if symbol == neutral => return that,
            _ => {}
        }
    }
    e
}

/// One condition on one symbol: the symbol itself, its negation, or a comparison with a constant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Is,
    Not,
    Equal(SymbolId),
    Unequal(SymbolId),
    /// The negation of a comparison.
    Other,
}

fn condition(graph: &Graph, e: ExprId) -> Option<(SymbolId, Condition)> {
    match graph.exprs.get(e) {
        Expr::Symbol(symbol) => Some((symbol, Condition::Is)),
        Expr::Compare(Comparison::Equal, symbol, value) => Some((symbol, Condition::Equal(value))),
        Expr::Compare(Comparison::Unequal, symbol, value) => Some((symbol, Condition::Unequal(value))),
        Expr::Not(inner) => match graph.exprs.get(inner) {
            Expr::Symbol(symbol) => Some((symbol, Condition::Not)),
            Expr::Compare(Comparison::Equal | Comparison::Unequal, symbol, _) => {
                Some((symbol, Condition::Other))
            }
            _ => None,
        },
        _ => None,
    }
}

/// One expression for two about the same symbol, where there is one.
fn join_pair(graph: &mut Graph, operator: Operator, left: ExprId, right: ExprId) -> Option<ExprId> {
    let (symbol, one) = condition(graph, left)?;
    let (other_symbol, other) = condition(graph, right)?;
    let kind = graph.symbol(symbol).kind;
    if symbol != other_symbol || !kind.is_logical() {
        return None;
    }
    // `constant` stands on the right of a comparison that both sides of a pair make.
    let pair = |one: SymbolId, other: SymbolId, a: SymbolId, b: SymbolId| {
        (one, other) == (a, b) || (one, other) == (b, a)
    };
    let (y, m, n) = (Graph::YES, Graph::MODULE, Graph::NO);
    let exprs = &mut graph.exprs;
    match operator {
        Operator::Or => match (one, other) {
            (Condition::Equal(one), Condition::Equal(other)) if kind == Kind::Tristate => {
                let rest = [(y, m, n), (y, n, m), (m, n, y)];
                let (.., rest) = rest.into_iter().find(|&(a, b, _)| pair(one, other, a, b))?;
                Some(exprs.add(Expr::Compare(Comparison::Unequal, symbol, rest)))
            }
            (Condition::Not, Condition::Is) | (Condition::Is, Condition::Not) if kind == Kind::Bool => {
                Some(exprs.symbol(y))
            }
            _ => None,
        },
        Operator::And => match (one, other) {
            (Condition::Is, Condition::Equal(value)) | (Condition::Equal(value), Condition::Is)
                if value == y =>
            {
                Some(exprs.add(Expr::Compare(Comparison::Equal, symbol, y)))
            }
            (Condition::Is, Condition::Unequal(value)) | (Condition::Unequal(value), Condition::Is)
                if value == n =>
            {
                Some(exprs.symbol(symbol))
            }
            (Condition::Is, Condition::Unequal(value)) | (Condition::Unequal(value), Condition::Is)
                if value == m =>
            {
                Some(exprs.add(Expr::Compare(Comparison::Equal, symbol, y)))
            }
            _ if kind != Kind::Tristate => None,
            (Condition::Equal(is), Condition::Unequal(is_not))
            | (Condition::Unequal(is_not), Condition::Equal(is)) => {
                if !graph.symbols[is.index()].is_constant || !graph.symbols[is_not.index()].is_constant {
                    return None;
                }
                match is == is_not {
                    true => Some(graph.exprs.symbol(n)),
                    false => Some(graph.exprs.add(Expr::Compare(Comparison::Equal, symbol, is))),
                }
            }
            (Condition::Unequal(one), Condition::Unequal(other)) => {
                let rest = [(y, n, m), (y, m, n), (m, n, y)];
                let (.., rest) = rest.into_iter().find(|&(a, b, _)| pair(one, other, a, b))?;
                Some(exprs.add(Expr::Compare(Comparison::Equal, symbol, rest)))
            }
            _ => None,
        },
    }
}
