//! What Kconfig files come to: symbols, their properties, and the tree of menu entries, each with its place.
//!
//! The graph doesn't change once it is read; values live in a [`Solution`](crate::Solution).

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    edition::Edition,
    expr::{Expr, ExprId, Exprs},
    tristate::{Kind, Tristate},
};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u32);

        impl $name {
            pub(crate) fn new(number: usize) -> $name {
                $name(u32::try_from(number).expect("fewer than 2^32 of anything"))
            }

            pub(crate) const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

numbers! {
    /// Number of a symbol in its graph.
    SymbolId;
    /// Number of a menu entry in its graph.
    EntryId;
    /// Number of a property in its graph.
    PropertyId;
    /// Number of a file in its graph.
    FileId;
}

/// A line of a Kconfig file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: FileId,
    /// From 1.
    pub line: u32,
}

/// A configuration symbol, a constant, or (without a name) a choice.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// Without `CONFIG_`; `None` for a choice.
    pub name: Option<Arc<str>>,
    pub kind: Kind,
    /// Stands in quotes: a literal.
    pub is_constant: bool,
    /// Read from old configurations, never asked for, never written.
    pub is_transitional: bool,
    /// Where it is declared; empty if it is only mentioned.
    pub entries: Vec<EntryId>,
    /// In the order of the files.
    pub properties: Vec<PropertyId>,
    /// What each declaration that depends on something depends on, enclosing blocks included; one of them has to
    /// hold, if there is any.
    pub depends: Vec<ExprId>,
    /// Who selects it, in the order of the files.
    pub selected_by: Vec<Reverse>,
    /// Who implies it, likewise.
    pub implied_by: Vec<Reverse>,
    /// The choice that this is a member of.
    pub choice: Option<EntryId>,
}

/// A `select` or `imply` seen from its target.
#[derive(Clone, Copy, Debug)]
pub struct Reverse {
    pub by: SymbolId,
    pub property: PropertyId,
    /// The selecting symbol and the condition of the statement.
    pub condition: ExprId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyKind {
    Prompt,
    Comment,
    Menu,
    Default,
    Select,
    Imply,
    Range,
}

impl PropertyKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            PropertyKind::Prompt => "prompt",
            PropertyKind::Comment => "comment",
            PropertyKind::Menu => "menu",
            PropertyKind::Default => "default",
            PropertyKind::Select => "select",
            PropertyKind::Imply => "imply",
            PropertyKind::Range => "range",
        }
    }
}

/// One statement about a symbol, or the prompt of a menu or comment.
#[derive(Clone, Debug)]
pub struct Property {
    pub kind: PropertyKind,
    /// The prompt.
    pub text: Option<Arc<str>>,
    /// The statement's own `if`, as written.
    pub condition: Option<ExprId>,
    /// The condition with everything that encloses the statement; `None` means always.
    pub visible: Option<ExprId>,
    /// The default's value; the symbol that is selected or implied.
    pub value: Option<ExprId>,
    /// Lower and upper bound, inclusive.
    pub range: Option<(SymbolId, SymbolId)>,
    pub entry: EntryId,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Choice,
    Comment,
    If,
    /// `mainmenu`, `menu` and `menuconfig`.
    Menu,
    Config,
}

/// A node of the menu tree.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: EntryKind,
    pub symbol: Option<SymbolId>,
    pub prompt: Option<PropertyId>,
    /// All statements of this declaration, in order.
    pub properties: Vec<PropertyId>,
    /// `visible if`.
    pub visibility: Option<ExprId>,
    /// All that it depends on, enclosing blocks included; `None` means nothing.
    pub depends: Option<ExprId>,
    /// Its own `depends on` lines (an `if` block's condition), each with its place.
    pub own_depends: Vec<(ExprId, Place)>,
    pub help: Option<Arc<str>>,
    pub place: Place,
    /// The block that it is written in, before menus were rearranged.
    pub block: Option<EntryId>,
    pub(crate) parent: Option<EntryId>,
    pub(crate) first_child: Option<EntryId>,
    pub(crate) next: Option<EntryId>,
    /// Members of a choice, as declared.
    pub members: Vec<SymbolId>,
}

/// Everything that a tree of Kconfig files says.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) edition: Edition,
    pub(crate) files: Vec<Arc<str>>,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) properties: Vec<Property>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) exprs: Exprs,
    pub(crate) by_name: FxHashMap<Arc<str>, SymbolId>,
    pub(crate) constants: FxHashMap<Arc<str>, SymbolId>,
    /// The symbol that is marked `modules`.
    pub(crate) modules: Option<SymbolId>,
    /// Every declared symbol behind all that its value depends on; first those that `modules` needs, and it.
    pub(crate) order: Vec<SymbolId>,
}

impl Graph {
    pub const NO: SymbolId = SymbolId(0);
    pub const MODULE: SymbolId = SymbolId(1);
    pub const YES: SymbolId = SymbolId(2);
    pub const ROOT: EntryId = EntryId(0);

    pub(crate) fn new(edition: Edition) -> Graph {
        let mut graph = Graph {
            edition,
            files: Vec::new(),
            symbols: Vec::new(),
            properties: Vec::new(),
            entries: Vec::new(),
            exprs: Exprs::default(),
            by_name: FxHashMap::default(),
            constants: FxHashMap::default(),
            modules: None,
            order: Vec::new(),
        };
        for value in [Tristate::No, Tristate::Module, Tristate::Yes] {
            let id = graph.add_symbol(Some(Arc::from(value.as_str())), true);
            graph.symbols[id.index()].kind = Kind::Tristate;
            graph.by_name.insert(Arc::from(value.as_str()), id);
            graph.constants.insert(Arc::from(value.as_str()), id);
        }
        graph
    }

    /// The rules that the files were read by.
    pub fn edition(&self) -> Edition {
        self.edition
    }

    /// The value of one of the three logical constants.
    pub(crate) fn logical_constant(symbol: SymbolId) -> Option<Tristate> {
        match symbol {
            Self::NO => Some(Tristate::No),
            Self::MODULE => Some(Tristate::Module),
            Self::YES => Some(Tristate::Yes),
            _ => None,
        }
    }

    pub(crate) fn add_symbol(&mut self, name: Option<Arc<str>>, is_constant: bool) -> SymbolId {
        let id = SymbolId::new(self.symbols.len());
        self.symbols.push(Symbol {
            name,
            kind: Kind::Unknown,
            is_constant,
            is_transitional: false,
            entries: Vec::new(),
            properties: Vec::new(),
            depends: Vec::new(),
            selected_by: Vec::new(),
            implied_by: Vec::new(),
            choice: None,
        });
        id
    }

    /// The symbol of this name, made if need be. Quoted names are a world of their own, but for y, m and n.
    pub(crate) fn intern(&mut self, name: &Arc<str>, is_constant: bool) -> SymbolId {
        let known = if is_constant { &self.constants } else { &self.by_name };
        if let Some(&known) = known.get(name) {
            return known;
        }
        let id = self.add_symbol(Some(name.clone()), is_constant);
        let known = if is_constant { &mut self.constants } else { &mut self.by_name };
        known.insert(name.clone(), id);
        id
    }

    /// The symbol of this name (without `CONFIG_`), declared or only mentioned.
    pub fn find(&self, name: &str) -> Option<SymbolId> {
        self.by_name.get(name).copied()
    }

    /// The symbol of this name, if a Kconfig file declares it.
    pub fn declared(&self, name: &str) -> Option<SymbolId> {
        self.find(name).filter(|&symbol| !self.symbol(symbol).entries.is_empty())
    }

    pub fn symbol(&self, id: SymbolId) -> &Symbol {
        &self.symbols[id.index()]
    }

    pub fn property(&self, id: PropertyId) -> &Property {
        &self.properties[id.index()]
    }

    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id.index()]
    }

    pub fn exprs(&self) -> &Exprs {
        &self.exprs
    }

    /// Every symbol, constants and choices included, in the order in which the files first mention them.
    pub fn symbols(&self) -> impl Iterator<Item = (SymbolId, &Symbol)> {
        self.symbols.iter().enumerate().map(|(number, symbol)| (SymbolId::new(number), symbol))
    }

    /// The symbol that says whether there are modules.
    pub fn modules(&self) -> Option<SymbolId> {
        self.modules
    }

    /// Every file that was read, the first one first; paths as `source` names them.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| &**file)
    }

    pub fn file(&self, id: FileId) -> &str {
        &self.files[id.index()]
    }

    /// `drivers/hv/Kconfig:5`.
    pub fn show_place(&self, place: Place) -> String {
        format!("{}:{}", self.file(place.file), place.line)
    }

    /// The name, `<choice>` for a choice.
    pub fn name(&self, symbol: SymbolId) -> &str {
        self.symbol(symbol).name.as_deref().unwrap_or("<choice>")
    }

    pub(crate) fn is_choice(&self, symbol: SymbolId) -> bool {
        self.symbol(symbol).name.is_none()
    }

    /// Properties of one kind, in the order of the files.
    pub fn properties_of(
        &self,
        symbol: SymbolId,
        kind: PropertyKind,
    ) -> impl Iterator<Item = (PropertyId, &Property)> {
        let all = self.symbol(symbol).properties.iter();
        all.map(|&id| (id, self.property(id))).filter(move |(_, property)| property.kind == kind)
    }

    /// Statements with a text that is shown to people: prompts, menus.
    pub fn prompts(&self, symbol: SymbolId) -> impl Iterator<Item = &Property> {
        self.symbol(symbol).properties.iter().map(|&id| self.property(id)).filter(|p| p.text.is_some())
    }

    /// The symbol that an expression consists of.
    pub(crate) fn as_symbol(&self, expr: Option<ExprId>) -> Option<SymbolId> {
        match self.exprs.get(expr?) {
            Expr::Symbol(symbol) => Some(symbol),
            _ => None,
        }
    }

    /// Entries below `root`, depth first, `root` itself not among them.
    pub fn below(&self, root: EntryId) -> impl Iterator<Item = EntryId> + '_ {
        let mut at = root;
        std::iter::from_fn(move || {
            let entry = self.entry(at);
            if let Some(child) = entry.first_child {
                at = child;
                return Some(child);
            }
            while at != root && self.entry(at).next.is_none() {
                at = self.entry(at).parent?;
            }
            if at == root {
                return None;
            }
            at = self.entry(at).next?;
            Some(at)
        })
    }

    /// The entry that `entry` is shown below.
    pub fn parent(&self, entry: EntryId) -> Option<EntryId> {
        self.entry(entry).parent
    }

    /// The entries right below `parent`.
    pub fn children(&self, parent: EntryId) -> impl Iterator<Item = EntryId> + '_ {
        std::iter::successors(self.entry(parent).first_child, |&child| self.entry(child).next)
    }

    /// The text of a menu or comment, the prompt of a symbol, or its name.
    pub fn title(&self, entry: EntryId) -> &str {
        let entry = self.entry(entry);
        let prompt = entry.prompt.and_then(|prompt| self.property(prompt).text.as_deref());
        prompt.or_else(|| self.symbol(entry.symbol?).name.as_deref()).unwrap_or_default()
    }

    /// The expression as Kconfig writes it: `A && (B || !C) && D!=y`.
    pub fn show(&self, expr: ExprId) -> String {
        let mut text = String::new();
        self.write_expr(expr, &mut text, &|symbol, text| text.push_str(self.name(symbol)));
        text
    }

    /// The expression with each symbol written by `name`.
    pub fn write_expr(&self, expr: ExprId, text: &mut String, name: &impl Fn(SymbolId, &mut String)) {
        self.write_within(expr, Binding::Loosest, text, name);
    }

    fn write_within(
        &self,
        expr: ExprId,
        outer: Binding,
        text: &mut String,
        name: &impl Fn(SymbolId, &mut String),
    ) {
        let (own, bracketed) = match self.exprs.get(expr) {
            Expr::Symbol(_) | Expr::Compare(..) => (Binding::Tightest, false),
            Expr::Not(_) => (Binding::Not, false),
            Expr::And(..) => (Binding::And, outer > Binding::And),
            Expr::Or(..) => (Binding::Or, outer > Binding::Or),
        };
        if bracketed {
            text.push('(');
        }
        match self.exprs.get(expr) {
            Expr::Symbol(symbol) => name(symbol, text),
            Expr::Not(inner) => {
                text.push('!');
                self.write_within(inner, own, text, name);
            }
            Expr::And(left, right) => {
                self.write_within(left, own, text, name);
                text.push_str(" && ");
                self.write_within(right, own, text, name);
            }
            Expr::Or(left, right) => {
                self.write_within(left, own, text, name);
                text.push_str(" || ");
                self.write_within(right, own, text, name);
            }
            Expr::Compare(comparison, left, right) => {
                name(left, text);
                text.push_str(comparison.as_str());
                name(right, text);
            }
        }
        if bracketed {
            text.push(')');
        }
    }
}

/// How tightly an operator holds its operands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Loosest,
    Or,
    And,
    Not,
    Tightest,
}
