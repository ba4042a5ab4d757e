//! What follows from where things stand: inherited dependencies, who is selected by whom, the shape of the menus.

use std::sync::Arc;

use crate::{
    check,
    edition::Edition,
    expr::{Comparison, Expr, ExprId},
    graph::{EntryId, EntryKind, Graph, Property, PropertyId, PropertyKind, Reverse, SymbolId},
    message::Message,
    simplify::{self, Simplifier},
};

/// Submenus inside submenus that are made from dependencies alone.
const SUBMENU_LIMIT: usize = 200;

pub(crate) fn finalize(graph: &mut Graph, messages: &mut Vec<Message>) {
    if graph.entry(Graph::ROOT).prompt.is_none() {
        let id = PropertyId::new(graph.properties.len());
        let text = Some(Arc::from("Main menu"));
        let place = graph.entry(Graph::ROOT).place;
        graph.properties.push(Property {
            kind: PropertyKind::Menu,
            text,
            condition: None,
            visible: None,
            value: None,
            range: None,
            entry: Graph::ROOT,
            place,
        });
        graph.entries[Graph::ROOT.index()].prompt = Some(id);
    }
    let warned = vec![false; graph.symbols.len()];
    let mut finalizer = Finalizer { graph, messages, simplifier: Simplifier::new(), warned };
    finalizer.entry(Graph::ROOT, false, 0);
    for number in 0..graph.symbols.len() {
        let symbol = SymbolId::new(number);
        graph.symbols[number].choice = choice_of(graph, symbol);
    }
}

/// The choice that `symbol` is a member of: its entry with a prompt stands in it.
pub(crate) fn choice_of(graph: &Graph, symbol: SymbolId) -> Option<EntryId> {
    let entries = &graph.symbol(symbol).entries;
    let asked = entries.iter().find(|&&entry| graph.entry(entry).prompt.is_some())?;
    let mut above = graph.entry(*asked).parent;
    while let Some(id) = above {
        let entry = graph.entry(id);
        if entry.symbol.is_some() {
            return (entry.kind == EntryKind::Choice).then_some(id);
        }
        above = entry.parent;
    }
    None
}

struct Finalizer<'a> {
    graph: &'a mut Graph,
    messages: &'a mut Vec<Message>,
    simplifier: Simplifier,
    /// Symbols that were checked.
    warned: Vec<bool>,
}

impl Finalizer<'_> {
    fn entry(&mut self, parent: EntryId, inside_choice: bool, depth: usize) {
        let symbol = self.graph.entry(parent).symbol;
        if self.graph.entry(parent).first_child.is_some() {
            let mut next = self.graph.entry(parent).first_child;
            while let Some(child) = next {
                self.inherit(parent, child);
                next = self.graph.entry(child).next;
            }
            let is_choice = self.graph.entry(parent).kind == EntryKind::Choice;
            let mut next = self.graph.entry(parent).first_child;
            while let Some(child) = next {
                self.entry(child, is_choice, depth);
                next = self.graph.entry(child).next;
            }
        } else if let Some(symbol) = symbol.filter(|_| !inside_choice) {
            if depth < SUBMENU_LIMIT {
                self.gather_submenu(parent, symbol, depth);
            }
            // A declaration without any condition adds none to those of others (and lifts none of them).
            let depends = self.graph.entry(parent).depends;
            self.graph.symbols[symbol.index()].depends.extend(depends);
        }
        self.flatten(parent);
        if let Some(symbol) = symbol
            && !std::mem::replace(&mut self.warned[symbol.index()], true)
        {
            check::properties(self.graph, symbol, parent, self.messages);
        }
    }

    /// `child` and its statements depend on what `parent` depends on.
    fn inherit(&mut self, parent: EntryId, child: EntryId) {
        let above = self.graph.entry(parent).depends;
        let own = self.graph.entry(child).depends;
        let own = own.map(|own| self.simple(own));
        let depends = self.graph.exprs.and_maybe(above, own);
        let depends = depends.map(|depends| self.simplifier.deduplicate(self.graph, depends));
        self.graph.entries[child.index()].depends = depends;

        let symbol = self.graph.entry(child).symbol;
        for id in self.graph.entry(child).properties.clone() {
            let own = self.graph.property(id).visible;
            let own = own.map(|own| self.simple(own));
            let visible = self.graph.exprs.and_maybe(depends, own);
            let visible = visible.map(|visible| self.simplifier.deduplicate(self.graph, visible));
            self.graph.properties[id.index()].visible = visible;
            if let Some(symbol) = symbol {
                self.reverse(symbol, id, visible);
            }
        }
    }

    /// `select` and `imply` are also known to their targets.
    fn reverse(&mut self, by: SymbolId, property: PropertyId, visible: Option<ExprId>) {
        let kind = self.graph.property(property).kind;
        if !matches!(kind, PropertyKind::Select | PropertyKind::Imply) {
            return;
        }
        let Some(target) = self.graph.as_symbol(self.graph.property(property).value) else { return };
        let selector = self.graph.exprs.symbol(by);
        let condition = match visible {
            Some(visible) => self.graph.exprs.and(selector, visible),
            None => selector,
        };
        let reverse = Reverse { by, property, condition };
        let target = &mut self.graph.symbols[target.index()];
        match kind {
            PropertyKind::Select => target.selected_by.push(reverse),
            _ => target.implied_by.push(reverse),
        }
    }

    fn simple(&mut self, e: ExprId) -> ExprId {
        let e = self.with_modules(e);
        self.simplifier.transform(self.graph, e)
    }

    /// A bare `m` means: as far as there are modules.
    fn with_modules(&mut self, e: ExprId) -> ExprId {
        match self.graph.exprs.get(e) {
            Expr::Symbol(Graph::MODULE) => {
                let modules = self.graph.modules.unwrap_or(Graph::NO);
                let modules = self.graph.exprs.symbol(modules);
                self.graph.exprs.and(e, modules)
            }
            Expr::Symbol(_) | Expr::Compare(..) => e,
            Expr::Not(inner) => {
                let inner = self.with_modules(inner);
                self.graph.exprs.not(inner)
            }
            Expr::And(left, right) => {
                let (left, right) = (self.with_modules(left), self.with_modules(right));
                self.graph.exprs.and(left, right)
            }
            Expr::Or(left, right) => {
                let (left, right) = (self.with_modules(left), self.with_modules(right));
                self.graph.exprs.or(left, right)
            }
        }
    }

    /// Entries right behind `parent` that depend on its symbol move below it.
    fn gather_submenu(&mut self, parent: EntryId, symbol: SymbolId, depth: usize) {
        let mut last = None;
        let mut next = self.graph.entry(parent).next;
        while let Some(entry) = next {
            let depends = match self.graph.entry(entry).prompt {
                Some(prompt) => self.graph.property(prompt).visible,
                None => self.graph.entry(entry).depends,
            };
            let belongs = depends.is_some_and(|depends| self.depends_on(parent, symbol, depends));
            if !belongs {
                break;
            }
            self.entry(entry, false, depth + 1);
            self.graph.entries[entry.index()].parent = Some(parent);
            last = Some(entry);
            next = self.graph.entry(entry).next;
        }
        if let Some(last) = last {
            self.graph.entries[parent.index()].first_child = self.graph.entry(parent).next;
            self.graph.entries[parent.index()].next = self.graph.entry(last).next;
            self.graph.entries[last.index()].next = None;
        }
    }

    /// Whether `depends` can't hold without `symbol`, or else mentions it and holds only where `parent` is shown.
    fn depends_on(&mut self, parent: EntryId, symbol: SymbolId, depends: ExprId) -> bool {
        if !mentions(self.graph, depends, symbol) {
            return false;
        }
        if requires(self.graph, depends, symbol) {
            return true;
        }
        if self.graph.edition >= Edition::Linux7 && allows_off(self.graph, depends, symbol) {
            return false;
        }
        let shown = self.graph.entry(parent).prompt.and_then(|prompt| self.graph.property(prompt).visible);
        let mut shown = self.is_on(shown);
        let mut depends = self.is_on(Some(depends));
        self.simplifier.cancel(self.graph, &mut depends, &mut shown);
        matches!(self.graph.exprs.get(shown), Expr::Symbol(Graph::YES))
    }

    fn is_on(&mut self, e: Option<ExprId>) -> ExprId {
        let e = simplify::compare(&mut self.graph.exprs, e, Comparison::Unequal, Graph::NO);
        let e = self.simplifier.transform(self.graph, e);
        self.simplifier.deduplicate(self.graph, e)
    }

    /// What stands in blocks without a prompt moves up behind them.
    fn flatten(&mut self, parent: EntryId) {
        let mut next = self.graph.entry(parent).first_child;
        while let Some(child) = next {
            let entry = self.graph.entry(child);
            if let (Some(first), None) = (entry.first_child, entry.prompt) {
                let mut last = first;
                loop {
                    self.graph.entries[last.index()].parent = Some(parent);
                    match self.graph.entry(last).next {
                        Some(further) => last = further,
                        None => break,
                    }
                }
                self.graph.entries[last.index()].next = self.graph.entry(child).next;
                self.graph.entries[child.index()].next = Some(first);
                self.graph.entries[child.index()].first_child = None;
            }
            next = self.graph.entry(child).next;
        }
    }
}

fn mentions(graph: &Graph, e: ExprId, symbol: SymbolId) -> bool {
    let mut found = false;
    graph.exprs.symbols(e, &mut |mentioned| found |= mentioned == symbol);
    found
}

/// Whether `e` can't hold while `symbol` is off.
fn requires(graph: &Graph, e: ExprId, symbol: SymbolId) -> bool {
    match graph.exprs.get(e) {
        Expr::And(left, right) => requires(graph, left, symbol) || requires(graph, right, symbol),
        Expr::Symbol(this) => this == symbol,
        Expr::Compare(Comparison::Equal, this, value) => {
            this == symbol && matches!(value, Graph::YES | Graph::MODULE)
        }
        Expr::Compare(Comparison::Unequal, this, value) => this == symbol && value == Graph::NO,
        _ => false,
    }
}

/// Whether `e` speaks of `symbol` in a way that holds while it is off.
fn allows_off(graph: &Graph, e: ExprId, symbol: SymbolId) -> bool {
    match graph.exprs.get(e) {
        Expr::And(left, right) | Expr::Or(left, right) => {
            allows_off(graph, left, symbol) || allows_off(graph, right, symbol)
        }
        Expr::Not(inner) => matches!(graph.exprs.get(inner), Expr::Symbol(this) if this == symbol),
        Expr::Compare(Comparison::Equal, this, value) => this == symbol && value == Graph::NO,
        Expr::Compare(Comparison::Unequal, this, value) => {
            this == symbol && matches!(value, Graph::YES | Graph::MODULE)
        }
        _ => false,
    }
}
