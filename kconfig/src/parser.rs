//! Statements → graph, as far as one statement at a time can tell; the rest is `finalize`'s.

mod expression;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    expr::{Comparison, ExprId},
    graph::{Entry, EntryId, EntryKind, FileId, Graph, Place, Property, PropertyId, PropertyKind, SymbolId},
    host::{Probes, Sources},
    lexer::{Buffer, Keyword, Statement, Token},
    macros::{At, Flavor, Macros, Stop},
    message::{Message, Severity},
    simplify,
    tristate::Kind,
};

use expression::Cursor;

/// Blocks inside blocks, and files inside files.
const NESTING_LIMIT: usize = 200;

/// Reads `path` and everything that it sources.
pub(crate) fn parse(path: &str, sources: &dyn Sources, probes: &mut dyn Probes) -> (Graph, Vec<Message>) {
    let mut parser = Parser {
        graph: Graph::new(),
        sources,
        probes,
        macros: Macros::default(),
        messages: Vec::new(),
        buffers: Vec::new(),
        included: FxHashMap::default(),
        blocks: Vec::new(),
        menu: Graph::ROOT,
        entry: Graph::ROOT,
        last: None,
        choice: None,
        options: Options::None,
        is_first: true,
    };
    let root = Place { file: FileId(0), line: 0 };
    parser.graph.files.push(Arc::from(path));
    parser.graph.entries.push(new_entry(EntryKind::Menu, None, root));
    if let Err(stop) = parser.run(path) {
        parser.messages.push(stop);
    }
    (parser.graph, parser.messages)
}

fn new_entry(kind: EntryKind, symbol: Option<SymbolId>, place: Place) -> Entry {
    Entry {
        kind,
        symbol,
        prompt: None,
        visibility: None,
        depends: None,
        own_depends: Vec::new(),
        help: None,
        place,
        block: None,
        parent: None,
        first_child: None,
        next: None,
        members: Vec::new(),
    }
}

/// Which options the next statement may be one of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Options {
    None,
    Config,
    MenuConfig,
    Choice,
    Menu,
    Comment,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    If,
    Menu,
    Choice,
}

impl BlockKind {
    const fn as_str(self) -> &'static str {
        match self {
            BlockKind::If => "if",
            BlockKind::Menu => "menu",
            BlockKind::Choice => "choice",
        }
    }
}

struct Block {
    kind: BlockKind,
    /// Inside a choice: fewer statements are allowed.
    in_choice: bool,
}

/// A file and the line that sources it.
struct Included {
    by: Arc<str>,
    line: u32,
}

struct Parser<'a> {
    graph: Graph,
    sources: &'a dyn Sources,
    probes: &'a mut dyn Probes,
    macros: Macros,
    messages: Vec<Message>,
    /// The file that is read, and those that source it, outermost first, each with the line of its `source`.
    buffers: Vec<(Buffer, u32)>,
    included: FxHashMap<Arc<str>, Option<Included>>,
    blocks: Vec<Block>,
    /// The menu that new entries go into.
    menu: EntryId,
    /// The entry that options belong to.
    entry: EntryId,
    /// The entry that the next one follows; `None`: it will be the first in `menu`.
    last: Option<EntryId>,
    choice: Option<EntryId>,
    options: Options,
    is_first: bool,
}

/// A statement that isn't one: what conf calls it.
enum Invalid {
    Statement,
    Unknown(Arc<str>),
}

impl Parser<'_> {
    fn run(&mut self, path: &str) -> Result<(), Message> {
        let Some(bytes) = self.sources.read(path) else {
            return Err(Message::plain(Severity::Error, format!("can't find file {path}")));
        };
        let name: Arc<str> = self.graph.files[0].clone();
        self.included.insert(name.clone(), None);
        self.buffers.push((Buffer::new(FileId(0), name, bytes), 0));
        let mut line = 0;
        while let Some((buffer, _)) = self.buffers.last_mut() {
            match buffer.statement(&mut self.macros, self.probes, &mut self.messages)? {
                Some(statement) => {
                    line = statement.line;
                    let outermost = self.buffers.len() == 1;
                    if statement.cut && outermost {
                        self.report(line, "syntax error".into());
                    } else {
                        self.statement(&statement)?;
                    }
                }
                None => {
                    if self.buffers.len() == 1 {
                        self.end_options(line);
                        if !self.blocks.is_empty() {
                            let line = self.buffer().line();
                            self.report(line, "syntax error".into());
                        }
                    }
                    self.buffers.pop();
                }
            }
        }
        // `menu` is the innermost open block; those around it follow.
        while self.blocks.pop().is_some() {
            let place = self.graph.entry(self.menu).place;
            self.report_at(place, "missing end statement for this entry".into());
            self.menu = self.graph.entry(self.menu).parent.unwrap_or(Graph::ROOT);
        }
        if self.graph.exprs.too_deep {
            return Err(Message::plain(Severity::Error, "an expression is nested too deeply"));
        }
        Ok(())
    }

    fn buffer(&self) -> &Buffer {
        &self.buffers.last().expect("a file is being read").0
    }

    fn report(&mut self, line: u32, text: String) {
        let file = self.buffer().name.clone();
        self.messages.push(Message::error(&file, line, text));
    }

    fn report_at(&mut self, place: Place, text: String) {
        let file = self.graph.files[place.file.index()].clone();
        self.messages.push(Message::error(&file, place.line, text));
    }

    fn warn_at(&mut self, place: Place, text: String) {
        let file = self.graph.files[place.file.index()].clone();
        self.messages.push(Message::warning(&file, place.line, text));
    }

    fn place(&self, line: u32) -> Place {
        Place { file: self.buffer().file, line }
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Message> {
        let line = statement.line;
        let is_first = std::mem::take(&mut self.is_first);
        match self.option(statement) {
            Some(Ok(())) => return Ok(()),
            Some(Err(())) => {
                self.end_options(line);
                self.report(line, "syntax error".into());
                self.report(line, "invalid statement".into());
                return Ok(());
            }
            None => self.end_options(line),
        }
        match self.begin(statement, is_first)? {
            Ok(()) => {}
            Err(invalid) => {
                self.report(line, "syntax error".into());
                self.report(
                    line,
                    match invalid {
                        Invalid::Statement => "invalid statement".into(),
                        Invalid::Unknown(word) => format!("unknown statement \"{word}\""),
                    },
                );
            }
        }
        Ok(())
    }

    /// A statement that opens or closes something.
    fn begin(&mut self, statement: &Statement, is_first: bool) -> Result<Result<(), Invalid>, Message> {
        let line = statement.line;
        let in_choice = self.blocks.last().is_some_and(|block| block.in_choice);
        let tokens = &statement.tokens[..];
        let keyword = match tokens {
            [Token::Word(name), operator @ (Token::Equal | Token::Assign(_)), Token::Value(value)]
                if !in_choice =>
            {
                let flavor = match operator {
                    Token::Assign(flavor) => *flavor,
                    _ => Flavor::Recursive,
                };
                let at = At { file: &self.buffers.last().expect("a file is being read").0.name, line };
                let assigned = self.macros.assign(name, value, flavor, at, self.probes);
                return match assigned {
                    Ok(()) => Ok(Ok(())),
                    Err(Stop(text)) => Err(Message::error(&self.buffer().name, line, text)),
                };
            }
            [Token::Word(word), ..] if !in_choice => return Ok(Err(Invalid::Unknown(word.clone()))),
            [Token::Keyword(keyword), ..] => *keyword,
            _ => return Ok(Err(Invalid::Statement)),
        };
        let ok = match (keyword, &tokens[1..]) {
            (Keyword::Config, [Token::Word(name)]) => {
                self.add_config(name, EntryKind::Config, Options::Config, line);
                true
            }
            (Keyword::MenuConfig, [Token::Word(name)]) if !in_choice => {
                self.add_config(name, EntryKind::Menu, Options::MenuConfig, line);
                true
            }
            (Keyword::Comment, [Token::Quoted(text)]) => {
                self.add_entry(None, EntryKind::Comment, line);
                self.add_prompt(PropertyKind::Comment, text, None, line);
                self.options = Options::Comment;
                true
            }
            (Keyword::If, condition) => match self.expression(condition) {
                Some(condition) => {
                    self.add_entry(None, EntryKind::If, line);
                    let place = self.place(line);
                    self.add_dependency(condition, place);
                    self.open(BlockKind::If)?;
                    true
                }
                None => false,
            },
            (Keyword::Choice, []) if !in_choice => {
                let symbol = self.graph.add_symbol(None, false);
                self.add_entry(Some(symbol), EntryKind::Choice, line);
                self.set_kind(Kind::Bool);
                self.options = Options::Choice;
                true
            }
            (Keyword::Menu, [Token::Quoted(text)]) if !in_choice => {
                self.add_entry(None, EntryKind::Menu, line);
                self.add_prompt(PropertyKind::Menu, text, None, line);
                self.options = Options::Menu;
                true
            }
            (Keyword::MainMenu, [Token::Quoted(text)]) if is_first => {
                self.entry = Graph::ROOT;
                self.add_prompt(PropertyKind::Menu, text, None, line);
                true
            }
            (Keyword::Source, [Token::Quoted(path)]) if !in_choice => {
                self.source(path, line)?;
                true
            }
            (Keyword::EndIf, []) => self.close(BlockKind::If, line),
            (Keyword::EndMenu, []) => self.close(BlockKind::Menu, line),
            (Keyword::EndChoice, []) => self.close(BlockKind::Choice, line),
            _ => false,
        };
        Ok(if ok { Ok(()) } else { Err(Invalid::Statement) })
    }

    /// An option of the current entry: `None` if it isn't one.
    fn option(&mut self, statement: &Statement) -> Option<Result<(), ()>> {
        let line = statement.line;
        let [Token::Keyword(keyword), rest @ ..] = &statement.tokens[..] else {
            return None;
        };
        let in_config = matches!(self.options, Options::Config | Options::MenuConfig);
        let allowed = match keyword {
            Keyword::Bool
            | Keyword::Tristate
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
        let mut cursor = Cursor { tokens: rest };
        let done = self.parse_option(*keyword, &mut cursor, line);
        Some(match done {
            Some(()) if cursor.tokens.is_empty() => Ok(()),
            _ => Err(()),
        })
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
            Keyword::Bool | Keyword::Tristate | Keyword::Int | Keyword::Hex | Keyword::String => {
                if let Some(text) = cursor.quoted() {
                    let condition = self.condition(cursor)?;
                    cursor.end()?;
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

    /// What stands behind `if`, to the end of the statement.
    fn expression(&mut self, tokens: &[Token]) -> Option<ExprId> {
        let mut cursor = Cursor { tokens };
        let expr = expression::parse(&mut self.graph, &mut cursor)?;
        cursor.end()?;
        Some(expr)
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
            self.report(line, format!("'{name}' defined with more than one help text"));
        }
        if text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']).is_empty() {
            self.report(line, format!("'{name}' defined with blank help text"));
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

    fn set_kind(&mut self, kind: Kind) {
        let entry = self.graph.entry(self.entry);
        let (Some(id), place) = (entry.symbol, entry.place) else { return };
        let symbol = &mut self.graph.symbols[id.index()];
        match symbol.kind {
            Kind::Unknown => symbol.kind = kind,
            known if known == kind => {}
            known => {
                let name = self.graph.name(id);
                let text = format!("ignoring type redefinition of '{name}' from '{known}' to '{kind}'");
                self.warn_at(place, text);
            }
        }
    }

    fn add_config(&mut self, name: &Arc<str>, kind: EntryKind, options: Options, line: u32) {
        let symbol = self.graph.intern(name, false);
        self.add_entry(Some(symbol), kind, line);
        self.options = options;
    }

    fn add_entry(&mut self, symbol: Option<SymbolId>, kind: EntryKind, line: u32) {
        let id = EntryId::new(self.graph.entries.len());
        let mut entry = new_entry(kind, symbol, self.place(line));
        entry.parent = Some(self.menu);
        entry.block = Some(self.menu);
        self.graph.entries.push(entry);
        match self.last {
            Some(last) => self.graph.entries[last.index()].next = Some(id),
            None => self.graph.entries[self.menu.index()].first_child = Some(id),
        }
        (self.last, self.entry) = (Some(id), id);
        if let Some(symbol) = symbol {
            self.graph.symbols[symbol.index()].entries.push(id);
        }
    }

    fn add_dependency(&mut self, expr: ExprId, place: Place) {
        let depends = self.graph.entry(self.entry).depends;
        let depends = self.graph.exprs.and_maybe(depends, Some(expr));
        let entry = &mut self.graph.entries[self.entry.index()];
        entry.depends = depends;
        entry.own_depends.push((expr, place));
    }

    fn add_property(
        &mut self,
        kind: PropertyKind,
        value: Option<ExprId>,
        condition: Option<ExprId>,
        line: u32,
    ) -> PropertyId {
        let id = PropertyId::new(self.graph.properties.len());
        let (entry, place) = (self.entry, self.place(line));
        self.graph.properties.push(Property {
            kind,
            text: None,
            condition,
            visible: condition,
            value,
            range: None,
            entry,
            place,
        });
        if let Some(symbol) = self.graph.entry(entry).symbol {
            self.graph.symbols[symbol.index()].properties.push(id);
        }
        id
    }

    fn add_prompt(&mut self, kind: PropertyKind, text: &Arc<str>, condition: Option<ExprId>, line: u32) {
        let id = self.add_property(kind, None, condition, line);
        let place = self.graph.property(id).place;
        let blank = [' ', '\t', '\n', '\r', '\x0b', '\x0c'];
        let trimmed = text.trim_start_matches(blank);
        if trimmed.len() != text.len() {
            self.warn_at(place, "leading whitespace ignored".into());
        }
        if self.graph.entry(self.entry).prompt.is_some() {
            self.warn_at(place, "prompt redefined".into());
        }
        // What all menus above say of visibility counts for prompts.
        let mut visible = condition;
        let mut above = self.graph.entry(self.entry).parent.filter(|_| kind == PropertyKind::Prompt);
        while let Some(menu) = above {
            let menu = self.graph.entry(menu);
            above = menu.parent;
            visible = self.graph.exprs.and_maybe(visible, menu.visibility);
        }
        let property = &mut self.graph.properties[id.index()];
        property.visible = visible;
        property.text = Some(if trimmed.len() == text.len() { text.clone() } else { Arc::from(trimmed) });
        self.graph.entries[self.entry.index()].prompt = Some(id);
    }

    /// The current entry has all its options.
    fn end_options(&mut self, line: u32) {
        let options = std::mem::replace(&mut self.options, Options::None);
        let entry = self.graph.entry(self.entry);
        let (place, prompt, symbol) = (entry.place, entry.prompt, entry.symbol);
        match (options, prompt) {
            (Options::Config, _) => self.end_member(),
            (Options::MenuConfig, Some(prompt)) => {
                self.graph.properties[prompt.index()].kind = PropertyKind::Menu;
            }
            (Options::MenuConfig, None) => self.report(line, "menuconfig statement without prompt".into()),
            (Options::Choice, _) => {
                if prompt.is_none() {
                    self.report_at(place, "error: choice must have a prompt".into());
                }
                debug_assert!(symbol.is_some(), "a choice has a symbol");
                self.choice = Some(self.entry);
                // A failure to open is found again at the next block.
                let _ = self.open(BlockKind::Choice);
            }
            (Options::Menu, _) => _ = self.open(BlockKind::Menu),
            (Options::Comment | Options::None, _) => {}
        }
    }

    /// A `config` inside a choice is its member.
    fn end_member(&mut self) {
        let Some(choice) = self.choice else { return };
        let entry = self.graph.entry(self.entry);
        let (Some(id), place) = (entry.symbol, entry.place) else { return };
        if entry.prompt.is_none() {
            self.report_at(place, "error: choice member must have a prompt".into());
        }
        if self.graph.symbol(id).kind != Kind::Bool {
            self.report_at(place, "error: choice member must be bool".into());
        }
        let members = &mut self.graph.entries[choice.index()].members;
        if !members.contains(&id) {
            members.push(id);
        }
    }

    fn open(&mut self, kind: BlockKind) -> Result<(), Message> {
        if self.blocks.len() >= NESTING_LIMIT {
            return Err(Message::error(
                &self.buffer().name,
                self.buffer().line(),
                "blocks are nested too deeply",
            ));
        }
        let in_choice = kind == BlockKind::Choice || self.blocks.last().is_some_and(|block| block.in_choice);
        self.blocks.push(Block { kind, in_choice });
        (self.menu, self.last) = (self.entry, None);
        Ok(())
    }

    /// Whether there is a block to close at all.
    fn close(&mut self, kind: BlockKind, line: u32) -> bool {
        let Some(block) = self.blocks.pop() else {
            return false;
        };
        if block.kind == BlockKind::Choice {
            self.choice = None;
        }
        let opened = self.graph.entry(self.menu).place;
        if block.kind != kind {
            self.report(line, format!("unexpected '{}' within {} block", kind.as_str(), block.kind.as_str()));
        } else if opened.file != self.buffer().file {
            let text = format!("'{}' in different file than '{}'", kind.as_str(), kind.as_str());
            self.report(line, text);
            self.report_at(opened, format!("location of the '{}'", kind.as_str()));
        }
        self.last = Some(self.menu);
        self.menu = self.graph.entry(self.menu).parent.unwrap_or(Graph::ROOT);
        true
    }

    fn source(&mut self, path: &Arc<str>, line: u32) -> Result<(), Message> {
        let by = self.buffer().name.clone();
        let Some(bytes) = self.sources.read(path) else {
            return Err(Message::error(&by, line, format!("can't open file \"{path}\"")));
        };
        if self.buffers.iter().any(|(buffer, _)| buffer.name == *path) {
            let mut text =
                format!("Recursive inclusion detected.\nInclusion path:\n  current file : {path}\n");
            let mut line = line;
            for (buffer, sourced_at) in self.buffers.iter().rev() {
                text.push_str(&format!("  included from: {}:{line}\n", buffer.name));
                line = *sourced_at;
            }
            return Err(Message::plain(Severity::Error, text.trim_end()));
        }
        if let Some(Some(first)) = self.included.get(path) {
            let text = format!(
                "{by}:{line}: error: repeated inclusion of {path}\n{}:{}: note: location of first inclusion of {path}",
                first.by, first.line
            );
            return Err(Message::plain(Severity::Error, text));
        }
        if self.buffers.len() >= NESTING_LIMIT {
            return Err(Message::error(&by, line, "files are nested too deeply"));
        }
        self.included.insert(path.clone(), Some(Included { by, line }));
        let file = FileId::new(self.graph.files.len());
        self.graph.files.push(path.clone());
        self.buffers.push((Buffer::new(file, path.clone(), bytes), line));
        Ok(())
    }
}
