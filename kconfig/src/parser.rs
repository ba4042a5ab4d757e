//! Statements → graph, as far as one statement at a time can tell; the rest is `finalize`'s.

mod build;
mod expression;
mod option;

use std::{ops::ControlFlow, sync::Arc};

use rustc_hash::FxHashMap;

use crate::{
    edition::Edition,
    graph::{Entry, EntryId, EntryKind, FileId, Graph, Place, PropertyKind, SymbolId},
    host::{Probes, Sources},
    lexer::{Buffer, Keyword, Statement, Token},
    macros::{At, Flavor, Macros, Stop},
    message::{Message, Severity},
    tristate::Kind,
};

use expression::Cursor;

/// Blocks inside blocks, and files inside files.
const NESTING_LIMIT: usize = 200;
/// Right tokens after a mistake that count as having understood again.
const RECOVERY: usize = 3;

/// Reads `path` and everything that it sources.
pub(crate) fn parse(path: &str, sources: &dyn Sources, probes: &mut dyn Probes) -> (Graph, Vec<Message>) {
    let mut parser = Parser {
        graph: Graph::new(Edition::of(probes)),
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
        recovering: 0,
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
        properties: Vec::new(),
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
    /// How many more tokens have to be right before a mistake is called a syntax error again.
    recovering: usize,
}

/// A statement that isn't one.
struct Failure {
    /// How many of its tokens are right.
    shifted: usize,
    invalid: Invalid,
}

/// What conf calls it.
enum Invalid {
    Statement,
    Unknown(Arc<str>),
    /// A `mainmenu` without a title: conf gives up.
    Title,
}

impl Parser<'_> {
    fn run(&mut self, path: &str) -> Result<(), Message> {
        let Some(bytes) = self.sources.read(path) else {
            return Err(Message::plain(Severity::Error, format!("can't find file {path}")));
        };
        let name: Arc<str> = self.graph.files[0].clone();
        self.included.insert(name.clone(), None);
        self.buffers.push((Buffer::new(FileId(0), name, bytes), 0));
        self.statements()?;
        // `menu` is the innermost open block; those around it follow.
        while self.blocks.pop().is_some() {
            let place = self.graph.entry(self.menu).place;
            self.report_at(place, "missing end statement for this entry".into());
            self.menu = self.graph.entry(self.menu).parent.unwrap_or(Graph::ROOT);
        }
        Ok(())
    }

    /// All statements of all files, to the end or to where conf gives up.
    fn statements(&mut self) -> Result<(), Message> {
        while let Some((buffer, _)) = self.buffers.last_mut() {
            let mut statement = Statement::default();
            let read = buffer.statement(&mut statement, &mut self.macros, self.probes, &mut self.messages);
            if let Err(stop) = read {
                self.judge_beginning(&mut statement)?;
                return Err(stop);
            }
            let is_outermost = self.buffers.len() == 1;
            if !statement.tokens.is_empty() {
                // The end of a file that another one sources is an end of line.
                statement.cut &= is_outermost;
                if self.statement(&statement)?.is_break() {
                    return Ok(());
                }
                continue;
            }
            if is_outermost {
                let line = self.buffer().line();
                self.end_options(line)?;
                if !self.blocks.is_empty() {
                    self.syntax_error(line);
                }
            }
            self.buffers.pop();
        }
        Ok(())
    }

    /// Reading stopped behind these tokens, which may have been wrong already.
    fn judge_beginning(&mut self, statement: &mut Statement) -> Result<(), Message> {
        statement.cut = true;
        let (read, said) = (statement.tokens.len(), self.messages.len());
        if read > 0
            && let Err(failure) = self.outcome(statement)?
        {
            if failure.shifted < read {
                self.shifted(failure.shifted);
                self.syntax_error(statement.line);
            } else {
                // conf waits for the next token before it does anything.
                self.messages.truncate(said);
            }
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

    /// An error now, a warning before it became one.
    fn report_since_7(&mut self, line: u32, text: String) {
        if self.graph.edition >= Edition::Linux7 {
            return self.report(line, text);
        }
        let file = self.buffer().name.clone();
        let text = format!("{file}:{line}: warning: {text}");
        self.messages.push(Message::plain(Severity::Warning, text));
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

    /// `Break`: conf reads no further.
    fn statement(&mut self, statement: &Statement) -> Result<ControlFlow<()>, Message> {
        let line = statement.line;
        let outcome = self.outcome(statement)?;
        if self.graph.exprs.too_deep {
            return Err(Message::error(&self.buffer().name, line, "the expression is nested too deeply"));
        }
        let Err(failure) = outcome else {
            self.shifted(statement.tokens.len() + 1);
            return Ok(ControlFlow::Continue(()));
        };
        self.shifted(failure.shifted);
        self.syntax_error(line);
        let text = match failure.invalid {
            _ if statement.cut => return Ok(ControlFlow::Break(())),
            Invalid::Statement => "invalid statement".into(),
            Invalid::Unknown(word) => format!("unknown statement \"{word}\""),
            Invalid::Title => return Ok(ControlFlow::Break(())),
        };
        self.report(line, text);
        // The rest of the line is passed over, its end is not.
        self.shifted(1);
        Ok(ControlFlow::Continue(()))
    }

    fn outcome(&mut self, statement: &Statement) -> Result<Result<(), Failure>, Message> {
        let is_first = std::mem::take(&mut self.is_first);
        match self.option(statement) {
            Some(outcome) => Ok(outcome),
            None => {
                self.end_options(statement.line)?;
                self.begin(statement, is_first)
            }
        }
    }

    /// So many tokens were read without a mistake.
    fn shifted(&mut self, tokens: usize) {
        self.recovering = self.recovering.saturating_sub(tokens);
    }

    /// One mistake often leads to others at once: conf is silent about those (as Bison's parsers are).
    fn syntax_error(&mut self, line: u32) {
        if self.recovering == 0 {
            self.report(line, "syntax error".into());
        }
        self.recovering = RECOVERY;
    }

    /// A statement that opens or closes something.
    fn begin(&mut self, statement: &Statement, is_first: bool) -> Result<Result<(), Failure>, Message> {
        let line = statement.line;
        let in_choice = self.blocks.last().is_some_and(|block| block.in_choice);
        let fail = |shifted: usize, invalid: Invalid| Ok(Err(Failure { shifted, invalid }));
        let (keyword, rest) = match &statement.tokens[..] {
            [Token::Word(name), operator @ (Token::Equal | Token::Assign(_)), value @ ..] if !in_choice => {
                let flavor = match operator {
                    Token::Assign(flavor) => *flavor,
                    _ => Flavor::Recursive,
                };
                return match value {
                    _ if statement.cut => fail(statement.tokens.len(), Invalid::Unknown(name.clone())),
                    [] => self.assign(name, flavor, "").map(Ok),
                    [Token::Value(value)] => self.assign(name, flavor, value).map(Ok),
                    _ => fail(2, Invalid::Unknown(name.clone())),
                };
            }
            [Token::Word(word), ..] if !in_choice => return fail(1, Invalid::Unknown(word.clone())),
            [Token::Keyword(keyword), rest @ ..] => (*keyword, rest),
            _ => return fail(0, Invalid::Statement),
        };
        let is_allowed = match keyword {
            Keyword::Config | Keyword::Comment | Keyword::If => true,
            Keyword::MenuConfig | Keyword::Choice | Keyword::Menu | Keyword::Source => !in_choice,
            Keyword::MainMenu => is_first,
            Keyword::EndIf | Keyword::EndMenu | Keyword::EndChoice => !self.blocks.is_empty(),
            _ => false,
        };
        if !is_allowed {
            return fail(0, Invalid::Statement);
        }
        let mut cursor = Cursor { tokens: rest, cut: statement.cut };
        if self.open_or_close(keyword, &mut cursor, line)?.is_some() {
            return Ok(Ok(()));
        }
        let invalid = if keyword == Keyword::MainMenu { Invalid::Title } else { Invalid::Statement };
        fail(statement.tokens.len() - cursor.tokens.len(), invalid)
    }

    /// What stands behind an allowed keyword; `None` if something else does.
    fn open_or_close(
        &mut self,
        keyword: Keyword,
        cursor: &mut Cursor,
        line: u32,
    ) -> Result<Option<()>, Message> {
        let text = match keyword {
            Keyword::Config | Keyword::MenuConfig => cursor.word(),
            Keyword::Comment | Keyword::Menu | Keyword::MainMenu | Keyword::Source => cursor.quoted(),
            _ => Some(Arc::from("")),
        };
        let Some(text) = text else { return Ok(None) };
        let mut condition = None;
        if keyword == Keyword::If {
            condition = expression::parse(&mut self.graph, cursor);
            if condition.is_none() {
                return Ok(None);
            }
        }
        if cursor.end().is_none() {
            return Ok(None);
        }
        match keyword {
            Keyword::Config => self.add_config(&text, EntryKind::Config, Options::Config, line),
            Keyword::MenuConfig => self.add_config(&text, EntryKind::Menu, Options::MenuConfig, line),
            Keyword::Comment => {
                self.add_entry(None, EntryKind::Comment, line);
                self.add_prompt(PropertyKind::Comment, &text, None, line);
                self.options = Options::Comment;
            }
            Keyword::Choice => {
                let symbol = self.graph.add_symbol(None, false);
                self.add_entry(Some(symbol), EntryKind::Choice, line);
                self.set_kind(Kind::Bool);
                self.options = Options::Choice;
            }
            Keyword::Menu => {
                self.add_entry(None, EntryKind::Menu, line);
                self.add_prompt(PropertyKind::Menu, &text, None, line);
                self.options = Options::Menu;
            }
            Keyword::MainMenu => {
                self.entry = Graph::ROOT;
                self.add_prompt(PropertyKind::Menu, &text, None, line);
            }
            Keyword::Source => self.source(&text, line)?,
            Keyword::EndIf => self.close(BlockKind::If, line),
            Keyword::EndMenu => self.close(BlockKind::Menu, line),
            Keyword::EndChoice => self.close(BlockKind::Choice, line),
            _ => {
                self.add_entry(None, EntryKind::If, line);
                let place = self.place(line);
                condition.into_iter().for_each(|condition| self.add_dependency(condition, place));
                self.open(BlockKind::If)?;
            }
        }
        Ok(Some(()))
    }

    fn assign(&mut self, name: &str, flavor: Flavor, value: &str) -> Result<(), Message> {
        // conf has read the end of the line by then.
        let (file, line) = (self.buffer().name.clone(), self.buffer().line());
        let at = At { file: &file, line };
        let assigned = self.macros.assign(name, value, flavor, at, self.probes);
        self.messages.extend(self.macros.tell(at));
        assigned.map_err(|Stop(text)| Message::error(&file, line, text))
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
        let first = self.included.get(path).filter(|_| self.graph.edition >= Edition::Linux7);
        if let Some(Some(first)) = first {
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
