//! Expressions over symbols, each distinct one stored once: equal expressions have equal numbers.

use rustc_hash::FxHashMap;

use crate::graph::SymbolId;

/// Number of an expression in its [`Exprs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExprId(pub(crate) u32);

/// How two symbols are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    pub const fn as_str(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::Unequal => "!=",
            Comparison::Less => "<",
            Comparison::LessEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterEqual => ">=",
        }
    }

    /// The comparison that holds exactly when this one does not.
    #[must_use]
    pub const fn negated(self) -> Comparison {
        match self {
            Comparison::Equal => Comparison::Unequal,
            Comparison::Unequal => Comparison::Equal,
            Comparison::Less => Comparison::GreaterEqual,
            Comparison::LessEqual => Comparison::Greater,
            Comparison::Greater => Comparison::LessEqual,
            Comparison::GreaterEqual => Comparison::Less,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    Symbol(SymbolId),
    Not(ExprId),
    And(ExprId, ExprId),
    Or(ExprId, ExprId),
    Compare(Comparison, SymbolId, SymbolId),
}

/// Deeper expressions than this are refused, so that walking one can't exhaust the stack.
pub(crate) const DEPTH_LIMIT: u16 = 2000;

/// Every expression of a graph.
#[derive(Clone, Debug, Default)]
pub struct Exprs {
    nodes: Vec<Expr>,
    depths: Vec<u16>,
    known: FxHashMap<Expr, ExprId>,
    /// An expression was refused for its depth.
    pub(crate) too_deep: bool,
}

impl Exprs {
    pub fn get(&self, id: ExprId) -> Expr {
        self.nodes[id.0 as usize]
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(crate) fn add(&mut self, expr: Expr) -> ExprId {
        if let Some(&known) = self.known.get(&expr) {
            return known;
        }
        let depth = |id: ExprId| self.depths[id.0 as usize];
        let depth = match expr {
            Expr::Symbol(_) | Expr::Compare(..) => 0,
            Expr::Not(inner) => depth(inner) + 1,
            Expr::And(left, right) | Expr::Or(left, right) => depth(left).max(depth(right)) + 1,
        };
        if depth > DEPTH_LIMIT {
            self.too_deep = true;
            match expr {
                Expr::Not(left) | Expr::And(left, _) | Expr::Or(left, _) => return left,
                Expr::Symbol(_) | Expr::Compare(..) => {}
            }
        }
        let id = ExprId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 expressions"));
        self.nodes.push(expr);
        self.depths.push(depth);
        self.known.insert(expr, id);
        id
    }

    pub(crate) fn symbol(&mut self, symbol: SymbolId) -> ExprId {
        self.add(Expr::Symbol(symbol))
    }

    pub(crate) fn not(&mut self, inner: ExprId) -> ExprId {
        self.add(Expr::Not(inner))
    }

    pub(crate) fn and(&mut self, left: ExprId, right: ExprId) -> ExprId {
        self.add(Expr::And(left, right))
    }

    pub(crate) fn or(&mut self, left: ExprId, right: ExprId) -> ExprId {
        self.add(Expr::Or(left, right))
    }

    /// Conjunction in which an absent side means `y`.
    pub(crate) fn and_maybe(&mut self, left: Option<ExprId>, right: Option<ExprId>) -> Option<ExprId> {
        match (left, right) {
            (Some(left), Some(right)) => Some(self.and(left, right)),
            (one, other) => one.or(other),
        }
    }

    /// Calls `found` with every symbol in `id`, from left to right.
    pub fn symbols(&self, id: ExprId, found: &mut impl FnMut(SymbolId)) {
        match self.get(id) {
            Expr::Symbol(symbol) => found(symbol),
            Expr::Not(inner) => self.symbols(inner, found),
            Expr::And(left, right) | Expr::Or(left, right) => {
                self.symbols(left, found);
                self.symbols(right, found);
            }
            Expr::Compare(_, left, right) => {
                found(left);
                found(right);
            }
        }
    }

    /// The operands of nested conjunctions, from left to right; anything else is its own only operand.
    pub fn conjuncts(&self, id: ExprId) -> Vec<ExprId> {
        let mut operands = Vec::new();
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            match self.get(id) {
                Expr::And(left, right) => pending.extend([right, left]),
                _ => operands.push(id),
            }
        }
        operands
    }

    /// The operands of nested disjunctions, likewise.
    pub fn disjuncts(&self, id: ExprId) -> Vec<ExprId> {
        let mut operands = Vec::new();
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            match self.get(id) {
                Expr::Or(left, right) => pending.extend([right, left]),
                _ => operands.push(id),
            }
        }
        operands
    }
}
