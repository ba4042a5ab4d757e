//! Options of an entry: its type, prompt, defaults, dependencies, help.

use std::sync::Arc;

use super::{
    Failure, Invalid, Options, Parser,
    expression::{self, Cursor},
};
use crate::{
    edition::Edition,
    expr::{Comparison, ExprId},
    graph::{Graph, PropertyKind, SymbolId},
    lexer::{Keyword, Statement, Token},
    simplify,
    tristate::Kind,
};

impl Parser<'_> {
    /// An option of the current entry: `None` if it isn't one.
    pub(super) fn option(&mut self, statement: &Statement) -> Option<Result<(), Failure>> {
        let line = statement.line;
        let [Token::Keyword(keyword), rest @ ..] = &statement.tokens[..] else {
            return None;
        };
        let is_old_choice = self.options == Options::Choice && self.graph.edition < Edition::Linux7;
        let in_config = matches!(self.options, Options::Config | Options::MenuConfig);
        let allowed = match keyword {
            Keyword::Bool => in_config || is_old_choice,
            Keyword::Tristate
            | Keyword::Int
            | Keyword::Hex
            | Keyword::String
            | Keyword::DefBool
            | Keyword::DefTristate
            | Keyword::Select
            | Keyword::Imply
            | Keyword::Range
            | Keyword::Modules
            | Keyword::Transitional => in_config,
            Keyword::Prompt | Keyword::Default | Keyword::Help => {
                in_config || self.options == Options::Choice
            }
            Keyword::Depends => self.options != Options::None,
            Keyword::Visible => self.options == Options::Menu,
            _ => false,
        };
        if !allowed {
            return None;
        }
        let mut cursor = Cursor { tokens: rest, cut: statement.cut };
        if self.parse_option(*keyword, &mut cursor, line).is_some() {
            return Some(Ok(()));
        }
        // conf forgets the entry: nothing that is due at its end happens.
        self.options = Options::None;
        let shifted = statement.tokens.len() - cursor.tokens.len();
        Some(Err(Failure { shifted, invalid: Invalid::Statement }))
    }

    fn parse_option(&mut self, keyword: Keyword, cursor: &mut Cursor, line: u32) -> Option<()> {
        let kind = match keyword {
            Keyword::Bool | Keyword::DefBool => Some(Kind::Bool),
            Keyword::Tristate | Keyword::DefTristate => Some(Kind::Tristate),
            Keyword::Int => Some(Kind::Int),
            Keyword::Hex => Some(Kind::Hex),
            Keyword::String => Some(Kind::String),
            _ => None,
        };
        match keyword {
            Keyword::Bool if self.options == Options::Choice => {
                return self.parse_option(Keyword::Prompt, cursor, line);
            }
            Keyword::Bool | Keyword::Tristate | Keyword::Int | Keyword::Hex | Keyword::String => {
                if let Some(text) = cursor.quoted() {
                    let condition = self.condition(cursor)?;
                    self.add_prompt(PropertyKind::Prompt, &text, condition, line);
                }
                cursor.end()?;
                self.set_kind(kind?);
            }
            Keyword::Prompt => {
                let text = cursor.quoted()?;
                let condition = self.condition(cursor)?;
                cursor.end()?;
                self.add_prompt(PropertyKind::Prompt, &text, condition, line);
            }
            Keyword::Default if self.options == Options::Choice => {
                let symbol = self.word(cursor)?;
                let condition = self.condition(cursor)?;
                cursor.end()?;
                let value = self.graph.exprs.symbol(symbol);
                self.add_property(PropertyKind::Default, Some(value), condition, line);
            }
            Keyword::Default | Keyword::DefBool | Keyword::DefTristate => {
                let value = expression::parse(&mut self.graph, cursor)?;
                let condition = self.condition(cursor)?;
                cursor.end()?;
                self.add_property(PropertyKind::Default, Some(value), condition, line);
                if let Some(kind) = kind {
                    self.set_kind(kind);
                }
            }
            Keyword::Select | Keyword::Imply => {
                let symbol = self.word(cursor)?;
                let condition = self.condition(cursor)?;
                cursor.end()?;
                let value = self.graph.exprs.symbol(symbol);
                let kind = match keyword {
                    Keyword::Select => PropertyKind::Select,
                    _ => PropertyKind::Imply,
                };
                self.add_property(kind, Some(value), condition, line);
            }
            Keyword::Range => {
                let low = expression::operand(&mut self.graph, cursor)?;
                let high = expression::operand(&mut self.graph, cursor)?;
                let condition = self.condition(cursor)?;
                cursor.end()?;
                let property = self.add_property(PropertyKind::Range, None, condition, line);
                self.graph.properties[property.index()].range = Some((low, high));
            }
            Keyword::Modules => {
                cursor.end()?;
                self.set_modules(line);
            }
            Keyword::Transitional => {
                cursor.end()?;
                let symbol = self.graph.entry(self.entry).symbol?;
                self.graph.symbols[symbol.index()].is_transitional = true;
            }
            Keyword::Depends => {
                cursor.keyword(Keyword::On)?;
                let expr = expression::parse(&mut self.graph, cursor)?;
                let condition = self.condition(cursor)?;
                cursor.end()?;
                let expr = match condition {
                    // X if Y: X || Y=n
                    Some(condition) => {
                        let unless = simplify::compare(
                            &mut self.graph.exprs,
                            Some(condition),
                            Comparison::Equal,
                            Graph::NO,
                        );
                        self.graph.exprs.or(expr, unless)
                    }
                    None => expr,
                };
                let place = self.place(line);
                self.add_dependency(expr, place);
            }
            Keyword::Visible => {
                let condition = self.condition(cursor)?;
                cursor.end()?;
                let visibility = self.graph.entry(self.entry).visibility;
                let visibility = self.graph.exprs.and_maybe(visibility, condition);
                self.graph.entries[self.entry.index()].visibility = visibility;
            }
            Keyword::Help => {
                cursor.end()?;
                self.help();
            }
            _ => return None,
        }
        Some(())
    }

    /// `if …`, or nothing.
    fn condition(&mut self, cursor: &mut Cursor) -> Option<Option<ExprId>> {
        match cursor.keyword(Keyword::If) {
            Some(()) => expression::parse(&mut self.graph, cursor).map(Some),
            None => Some(None),
        }
    }

    fn word(&mut self, cursor: &mut Cursor) -> Option<SymbolId> {
        let name = cursor.word()?;
        Some(self.graph.intern(&name, false))
    }

    fn help(&mut self) {
        let (buffer, _) = self.buffers.last_mut().expect("a file is being read");
        let text = buffer.help();
        let line = buffer.line();
        let entry = self.graph.entry(self.entry);
        let name = entry.symbol.map_or("<choice>", |symbol| self.graph.name(symbol)).to_string();
        if entry.help.is_some() {
            let which = match self.graph.edition {
                Edition::Before7 => " -- only the last one will be used",
                Edition::Linux7 => "",
            };
            self.report_since_7(line, format!("'{name}' defined with more than one help text{which}"));
        }
        if text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']).is_empty() {
            self.report_since_7(line, format!("'{name}' defined with blank help text"));
        }
        self.graph.entries[self.entry.index()].help = Some(Arc::from(text));
    }

    fn set_modules(&mut self, line: u32) {
        let Some(symbol) = self.graph.entry(self.entry).symbol else { return };
        if let Some(earlier) = self.graph.modules {
            let (name, earlier) = (self.graph.name(symbol), self.graph.name(earlier));
            let text =
                format!("symbol '{name}' redefines option 'modules' already defined by symbol '{earlier}'");
            self.report(line, text);
        }
        self.graph.modules = Some(symbol);
    }
}
