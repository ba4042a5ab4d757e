//! The graph grows: entries, their properties, and the blocks that they stand in.

use std::sync::Arc;

use super::{Block, BlockKind, NESTING_LIMIT, Options, Parser, new_entry};
use crate::{
    expr::ExprId,
    graph::{EntryId, EntryKind, Graph, Place, Property, PropertyId, PropertyKind, SymbolId},
    message::Message,
    tristate::Kind,
};

impl Parser<'_> {
    pub(super) fn set_kind(&mut self, kind: Kind) {
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

    pub(super) fn add_config(&mut self, name: &Arc<str>, kind: EntryKind, options: Options, line: u32) {
        let symbol = self.graph.intern(name, false);
        self.add_entry(Some(symbol), kind, line);
        self.options = options;
    }

    pub(super) fn add_entry(&mut self, symbol: Option<SymbolId>, kind: EntryKind, line: u32) {
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

    pub(super) fn add_dependency(&mut self, expr: ExprId, place: Place) {
        let depends = self.graph.entry(self.entry).depends;
        let depends = self.graph.exprs.and_maybe(depends, Some(expr));
        let entry = &mut self.graph.entries[self.entry.index()];
        entry.depends = depends;
        entry.own_depends.push((expr, place));
    }

    pub(super) fn add_property(
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
        self.graph.entries[entry.index()].properties.push(id);
        if let Some(symbol) = self.graph.entry(entry).symbol {
            self.graph.symbols[symbol.index()].properties.push(id);
        }
        id
    }

    pub(super) fn add_prompt(
        &mut self,
        kind: PropertyKind,
        text: &Arc<str>,
        condition: Option<ExprId>,
        line: u32,
    ) {
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
    pub(super) fn end_options(&mut self, line: u32) -> Result<(), Message> {
        let options = std::mem::replace(&mut self.options, Options::None);
        let entry = self.graph.entry(self.entry);
        let (place, prompt, symbol) = (entry.place, entry.prompt, entry.symbol);
        match (options, prompt) {
            (Options::Config, _) => self.end_member(),
            (Options::MenuConfig, Some(prompt)) => {
                self.graph.properties[prompt.index()].kind = PropertyKind::Menu;
            }
            (Options::MenuConfig, None) => {
                self.report_since_7(line, "menuconfig statement without prompt".into());
            }
            (Options::Choice, _) => {
                if prompt.is_none() {
                    self.report_at(place, "error: choice must have a prompt".into());
                }
                debug_assert!(symbol.is_some(), "a choice has a symbol");
                self.choice = Some(self.entry);
                self.open(BlockKind::Choice)?;
            }
            (Options::Menu, _) => self.open(BlockKind::Menu)?,
            (Options::Comment | Options::None, _) => {}
        }
        Ok(())
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

    pub(super) fn open(&mut self, kind: BlockKind) -> Result<(), Message> {
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

    /// There has to be a block.
    pub(super) fn close(&mut self, kind: BlockKind, line: u32) {
        let block = self.blocks.pop().expect("there is a block to close");
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
    }
}
