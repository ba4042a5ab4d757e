//! What somebody wants of a configuration: values of a .config or a fragment, and a rule for the rest.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    graph::{EntryId, EntryKind, Graph, SymbolId},
    message::Message,
    solve::Solution,
    tristate::{Kind, Tristate},
};

/// A value that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Logical(Tristate),
    /// Of an int, hex or string; without quotes.
    Text(Arc<str>),
}

/// How symbols get a value that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Their defaults (`alldefconfig`, `olddefconfig`).
    Defaults,
    /// `allnoconfig`.
    No,
    /// `allmodconfig`.
    Module,
    /// `allyesconfig`.
    Yes,
}

/// Values by symbol, as a configuration asks for them.
///
/// ```
/// use std::collections::BTreeMap;
/// use kconfig::{Fill, Request, Silent, parse};
///
/// let files = BTreeMap::from([(
///     "Kconfig".to_string(),
///     "config NET\n\tbool \"Networking\"\n\nconfig TUN\n\tbool \"Tunnels\"\n\tdepends on NET\n".to_string(),
/// )]);
/// let (graph, _) = parse("Kconfig", &files, &mut Silent).unwrap();
/// let mut request = Request::new(&graph);
/// request.read("my.config", b"CONFIG_TUN=y\n");
/// request.fill(Fill::No);
/// assert_eq!(request.solve().value_of("TUN").as_deref(), Some("n"));
/// ```
#[derive(Clone, Debug)]
pub struct Request<'g> {
    graph: &'g Graph,
    wanted: Vec<Option<Wanted>>,
    /// Members of each choice, the one that was asked for last first.
    priorities: FxHashMap<EntryId, Vec<SymbolId>>,
    /// Is off, whatever is asked for or selects it: to see what depends on it.
    pub(crate) banned: Option<SymbolId>,
}

impl<'g> Request<'g> {
    /// Asks for nothing.
    pub fn new(graph: &'g Graph) -> Request<'g> {
        let choices = graph.entries.iter().enumerate().filter(|(_, entry)| entry.kind == EntryKind::Choice);
        let priorities =
            choices.map(|(number, entry)| (EntryId::new(number), entry.members.clone())).collect();
        Request { graph, wanted: vec![None; graph.symbols.len()], priorities, banned: None }
    }

    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    pub fn wanted(&self, symbol: SymbolId) -> Option<&Wanted> {
        self.wanted[symbol.index()].as_ref()
    }

    pub(crate) fn wanted_mut(&mut self, symbol: SymbolId) -> &mut Option<Wanted> {
        &mut self.wanted[symbol.index()]
    }

    /// The members of a choice, those that count most first.
    pub(crate) fn members(&self, choice: EntryId) -> &[SymbolId] {
        self.priorities.get(&choice).map_or(&[], Vec::as_slice)
    }

    /// Asks for `value`, written as in a .config (`y`, `12`, `0x10`, `"text"`), and forgets what was asked of the
    /// symbol before. The error says why it is none.
    pub fn set(&mut self, symbol: SymbolId, value: &str) -> Result<(), String> {
        let kind = self.graph.symbol(symbol).kind;
        let invalid = || format!("symbol value '{value}' invalid for {}", self.graph.name(symbol));
        let first = value.as_bytes().first();
        let wanted = match (kind, first) {
            (Kind::Tristate, Some(b'm')) => Wanted::Logical(Tristate::Module),
            (Kind::Bool | Kind::Tristate, Some(b'y')) => Wanted::Logical(Tristate::Yes),
            (Kind::Bool | Kind::Tristate, Some(b'n')) => Wanted::Logical(Tristate::No),
            (Kind::Bool | Kind::Tristate, _) => return Err(invalid()),
            (Kind::String, Some(b'"')) => Wanted::Text(Arc::from(unquote(&value[1..])?)),
            // Neither is an error to conf, and neither asks for anything.
            (Kind::String, _) | (Kind::Unknown, _) => return Ok(()),
            (Kind::Int | Kind::Hex, _) if kind.accepts(value) => Wanted::Text(Arc::from(value)),
            (Kind::Int | Kind::Hex, _) => return Err(invalid()),
        };
        self.want(symbol, wanted);
        Ok(())
    }

    pub fn want(&mut self, symbol: SymbolId, wanted: Wanted) {
        self.wanted[symbol.index()] = Some(wanted);
        self.prefer(symbol);
    }

    /// Forgets what was asked of the symbol.
    pub fn forget(&mut self, symbol: SymbolId) {
        self.wanted[symbol.index()] = None;
    }

    /// Takes the symbol away, against all that asks for it or selects it. No configuration can be made so; it shows
    /// what the symbol holds up.
    pub fn ban(&mut self, symbol: SymbolId) {
        self.banned = Some(symbol);
    }

    /// If the symbol is a member of a choice: what is asked of it counts more than what is asked of the others.
    fn prefer(&mut self, symbol: SymbolId) {
        let choice = self.graph.symbol(symbol).choice;
        if let Some(members) = choice.and_then(|choice| self.priorities.get_mut(&choice))
            && let Some(position) = members.iter().position(|&member| member == symbol)
        {
            members[..=position].rotate_right(1);
        }
    }

    /// Forgets everything and reads a .config or a fragment. Unknown symbols are passed over; what conf would warn of
    /// comes back.
    pub fn read(&mut self, name: &str, content: &[u8]) -> Vec<Message> {
        self.wanted.fill(None);
        let name: Arc<str> = Arc::from(name);
        let mut messages = Vec::new();
        for (number, line) in content.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let whole = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line);
            // To conf a line ends at a NUL.
            let text = whole.split(|&byte| byte == 0).next().unwrap_or_default();
            let line = String::from_utf8_lossy(text);
            let mut warn = |text: String| {
                let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
                messages.push(Message::warning(&name, number, text));
            };
            let Some((symbol, value)) = assignment(&line, &mut warn) else { continue };
            let Some(symbol) = self.graph.find(symbol) else { continue };
            if self.wanted(symbol).is_some() {
                warn(format!("override: reassigning to symbol {}", self.graph.name(symbol)));
            }
            if let Err(text) = self.set(symbol, value) {
                warn(text);
            } else {
                self.prefer(symbol);
            }
        }
        messages
    }

    /// Asks for a value of every symbol that people are asked about and nobody asked for yet; members of choices are
    /// left to their choices.
    pub fn fill(&mut self, fill: Fill) {
        let value = match fill {
            Fill::Defaults => return,
            Fill::No => Tristate::No,
            Fill::Module => Tristate::Module,
            Fill::Yes => Tristate::Yes,
        };
        for entry in &self.graph.entries {
            let (Some(symbol), Some(_)) = (entry.symbol, entry.prompt) else { continue };
            let is_member = self.graph.symbol(symbol).choice.is_some();
            let is_open = self.graph.symbol(symbol).kind.is_logical() && !self.graph.is_choice(symbol);
            if is_open && !is_member && self.wanted(symbol).is_none() {
                self.wanted[symbol.index()] = Some(Wanted::Logical(value));
            }
        }
    }

    /// What comes of it.
    pub fn solve(self) -> Solution<'g> {
        Solution::of(self)
    }
}

/// Name (without prefix) and value of a line that sets a symbol.
fn assignment<'l>(line: &'l str, warn: &mut impl FnMut(String)) -> Option<(&'l str, &'l str)> {
    if line.is_empty() {
        return None;
    }
    if line.starts_with('#') {
        let (name, rest) = line.strip_prefix("# CONFIG_")?.split_once(' ')?;
        return (rest == "is not set").then_some((name, "n"));
    }
    let assignment = line.strip_prefix("CONFIG_").and_then(|line| line.split_once('='));
    if assignment.is_none() {
        warn(format!("unexpected data: {line}"));
    }
    assignment
}

/// What stands before the closing quote, with `\"` and `\\` resolved.
fn unquote(text: &str) -> Result<String, String> {
    let mut result = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Ok(result),
            '\\' => result.extend(characters.next()),
            other => result.push(other),
        }
    }
    Err("invalid string found".into())
}
