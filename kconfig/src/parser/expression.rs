//! Expressions: `||` binds loosest, then `&&`, `!`, and comparisons of two symbols.

use std::sync::Arc;

use crate::{
    expr::{Comparison, Expr, ExprId},
    graph::{Graph, SymbolId},
    lexer::{Keyword, Token},
};

/// Brackets inside brackets.
const NESTING_LIMIT: usize = 500;

/// What is left of a statement.
pub(super) struct Cursor<'t> {
    pub tokens: &'t [Token],
    /// The end of the tokens isn't that of the line: the file ends there.
    pub cut: bool,
}

impl Cursor<'_> {
    fn take(&mut self, wanted: &Token) -> bool {
        match self.tokens {
            [token, rest @ ..] if token == wanted => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    pub(super) fn keyword(&mut self, keyword: Keyword) -> Option<()> {
        self.take(&Token::Keyword(keyword)).then_some(())
    }

    pub(super) fn end(&self) -> Option<()> {
        (self.tokens.is_empty() && !self.cut).then_some(())
    }

    pub(super) fn quoted(&mut self) -> Option<Arc<str>> {
        match self.tokens {
            [Token::Quoted(text), rest @ ..] => {
                self.tokens = rest;
                Some(text.clone())
            }
            _ => None,
        }
    }

    pub(super) fn word(&mut self) -> Option<Arc<str>> {
        match self.tokens {
            [Token::Word(text), rest @ ..] => {
                self.tokens = rest;
                Some(text.clone())
            }
            _ => None,
        }
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let [token, rest @ ..] = self.tokens else { return None };
        let comparison = match token {
            Token::Equal => Comparison::Equal,
            Token::Unequal => Comparison::Unequal,
            Token::Less => Comparison::Less,
            Token::LessEqual => Comparison::LessEqual,
            Token::Greater => Comparison::Greater,
            Token::GreaterEqual => Comparison::GreaterEqual,
            _ => return None,
        };
        self.tokens = rest;
        Some(comparison)
    }
}

/// The longest expression that `cursor` begins with; `None` if it begins with none.
pub(super) fn parse(graph: &mut Graph, cursor: &mut Cursor) -> Option<ExprId> {
    disjunction(graph, cursor, 0)
}

/// A word or a quoted constant.
pub(super) fn operand(graph: &mut Graph, cursor: &mut Cursor) -> Option<SymbolId> {
    if let Some(text) = cursor.quoted() {
        return Some(graph.intern(&text, true));
    }
    let name = cursor.word()?;
    Some(graph.intern(&name, false))
}

fn disjunction(graph: &mut Graph, cursor: &mut Cursor, depth: usize) -> Option<ExprId> {
    let mut left = conjunction(graph, cursor, depth)?;
    while cursor.take(&Token::Or) {
        let right = conjunction(graph, cursor, depth)?;
        left = graph.exprs.or(left, right);
    }
    Some(left)
}

fn conjunction(graph: &mut Graph, cursor: &mut Cursor, depth: usize) -> Option<ExprId> {
    let mut left = negation(graph, cursor, depth)?;
    while cursor.take(&Token::And) {
        let right = negation(graph, cursor, depth)?;
        left = graph.exprs.and(left, right);
    }
    Some(left)
}

fn negation(graph: &mut Graph, cursor: &mut Cursor, depth: usize) -> Option<ExprId> {
    if depth > NESTING_LIMIT {
        return None;
    }
    if cursor.take(&Token::Not) {
        let inner = negation(graph, cursor, depth + 1)?;
        return Some(graph.exprs.not(inner));
    }
    if cursor.take(&Token::Open) {
        let inner = disjunction(graph, cursor, depth + 1)?;
        return cursor.take(&Token::Close).then_some(inner);
    }
    let left = operand(graph, cursor)?;
    Some(match cursor.comparison() {
        Some(comparison) => {
            let right = operand(graph, cursor)?;
            graph.exprs.add(Expr::Compare(comparison, left, right))
        }
        None => graph.exprs.symbol(left),
    })
}
