//! The value of one symbol, from what was asked for and the values of others. Each is worked out once, when it is first
//! asked for.

use std::sync::Arc;

use super::{DEPTH_LIMIT, Solution};
use crate::{
    graph::{Graph, PropertyId, PropertyKind, SymbolId},
    number,
    request::Wanted,
    tristate::{Kind, Tristate},
};

impl Solution<'_> {
    pub(super) fn calculate(&mut self, id: SymbolId) {
        if self.values[id.index()].is_known {
            return;
        }
        if self.depth > DEPTH_LIMIT {
            self.is_too_deep = true;
            return;
        }
        self.depth += 1;
        self.calculate_now(id);
        self.depth -= 1;
    }

    fn calculate_now(&mut self, id: SymbolId) {
        let symbol = self.graph.symbol(id);
        let value = &mut self.values[id.index()];
        value.is_known = true;
        value.is_written = false;
        value.logical = Tristate::No;
        value.text = match symbol.kind {
            Kind::Unknown => {
                value.text.clone_from(&symbol.name);
                return;
            }
            Kind::Int => Some(Arc::from("0")),
            Kind::Hex => Some(Arc::from("0x0")),
            Kind::String => Some(Arc::from("")),
            Kind::Bool | Kind::Tristate => None,
        };
        if let Some(constant) = Graph::logical_constant(id) {
            value.logical = constant;
            return;
        }
        if self.request.banned == Some(id) {
            return;
        }
        self.calculate_visibility(id);
        let value = &mut self.values[id.index()];
        value.is_written = value.visible != Tristate::No;
        let used_default = match symbol.kind.is_logical() {
            true => self.calculate_logical(id),
            false => self.calculate_text(id),
        };
        if let Some(default) = used_default {
            self.adopt_transitional(id, default);
        }
        self.apply_range(id);
        if symbol.name.is_none() || symbol.is_transitional {
            self.values[id.index()].is_written = false;
        }
    }

    pub(super) fn calculate_visibility(&mut self, id: SymbolId) {
        let graph = self.graph;
        let symbol = graph.symbol(id);
        if symbol.is_transitional {
            self.values[id.index()].visible = Tristate::Yes;
            return;
        }
        let mut visible = Tristate::No;
        for prompt in graph.prompts(id) {
            visible = visible.max(self.expr(prompt.visible));
        }
        if visible == Tristate::Module && (symbol.kind != Kind::Tristate || self.modules == Tristate::No) {
            visible = Tristate::Yes;
        }
        self.values[id.index()].visible = visible;
        if symbol.choice.is_some() {
            return;
        }
        let is_bool = self.kind(id) == Kind::Bool;
        let rounded = |value: Tristate| match value {
            Tristate::Module if is_bool => Tristate::Yes,
            value => value,
        };
        let mut depends = if symbol.depends.is_empty() { Tristate::Yes } else { Tristate::No };
        for &expr in &symbol.depends {
            depends = depends.max(self.expr(Some(expr)));
        }
        let mut selected = Tristate::No;
        for reverse in &symbol.selected_by {
            selected = selected.max(self.expr(Some(reverse.condition)));
        }
        let mut implied = Tristate::No;
        for reverse in &symbol.implied_by {
            implied = implied.max(self.expr(Some(reverse.condition)));
        }
        let value = &mut self.values[id.index()];
        (value.depends, value.selected, value.implied) =
            (rounded(depends), rounded(selected), rounded(implied));
    }

    /// Sets the value of a bool or tristate. The default that was looked at, if there was one.
    fn calculate_logical(&mut self, id: SymbolId) -> Option<PropertyId> {
        let mut used = None;
        let mut logical = Tristate::No;
        if let Some(choice) = self.graph.symbol(id).choice {
            self.calculate_choice(choice);
            logical = self.values[id.index()].logical;
        } else {
            let value = &self.values[id.index()];
            let (visible, selected, implied, depends) =
                (value.visible, value.selected, value.implied, value.depends);
            let wanted = match self.request.wanted(id) {
                Some(&Wanted::Logical(wanted)) if visible != Tristate::No => Some(wanted),
                _ => None,
            };
            if let Some(wanted) = wanted {
                logical = wanted.min(visible);
            } else {
                let mut is_written = selected != Tristate::No;
                if !self.graph.is_choice(id) {
                    if let Some((property, condition)) = self.default_property(id) {
                        used = Some(property);
                        let default = self.expr(self.graph.property(property).value);
                        logical = default.min(condition);
                        is_written |= logical != Tristate::No;
                    }
                    if implied != Tristate::No {
                        is_written = true;
                        logical = logical.max(implied).min(depends);
                    }
                }
                self.values[id.index()].is_written |= is_written;
            }
            if depends < selected {
                self.unmet.push(id);
            }
            logical = logical.max(selected);
        }
        if logical == Tristate::Module && self.kind(id) == Kind::Bool {
            logical = Tristate::Yes;
        }
        self.values[id.index()].logical = logical;
        used
    }

    fn calculate_text(&mut self, id: SymbolId) -> Option<PropertyId> {
        if let Some(Wanted::Text(wanted)) = self.request.wanted(id)
            && self.values[id.index()].visible != Tristate::No
        {
            self.values[id.index()].text = Some(wanted.clone());
            return None;
        }
        let (property, _) = self.default_property(id)?;
        if let Some(source) = self.graph.as_symbol(self.graph.property(property).value) {
            self.values[id.index()].is_written = true;
            self.calculate(source);
            self.values[id.index()].text = Some(self.text(source));
        }
        Some(property)
    }

    /// The first default whose condition holds, and how far it does.
    fn default_property(&mut self, id: SymbolId) -> Option<(PropertyId, Tristate)> {
        let graph = self.graph;
        for (property, default) in graph.properties_of(id, PropertyKind::Default) {
            let condition = self.expr(default.visible);
            if condition != Tristate::No {
                return Some((property, condition));
            }
        }
        None
    }

    /// A value that comes from what was asked of a transitional symbol counts as asked for.
    fn adopt_transitional(&mut self, id: SymbolId, default: PropertyId) {
        if self.request.wanted(id).is_some() {
            return;
        }
        let Some(source) = self.graph.as_symbol(self.graph.property(default).value) else { return };
        if self.graph.symbol(source).is_transitional && self.request.wanted(source).is_some() {
            let value = &self.values[id.index()];
            let wanted = match &value.text {
                Some(text) => Wanted::Text(text.clone()),
                None => Wanted::Logical(value.logical),
            };
            *self.request.wanted_mut(id) = Some(wanted);
        }
    }

    /// The first range whose condition holds.
    fn range(&mut self, id: SymbolId) -> Option<(SymbolId, SymbolId)> {
        let graph = self.graph;
        for (_, range) in graph.properties_of(id, PropertyKind::Range) {
            if self.expr(range.visible) != Tristate::No {
                return range.range;
            }
        }
        None
    }

    fn bound(&mut self, id: SymbolId, base: u32) -> i64 {
        self.calculate(id);
        let base = match self.graph.symbol(id).kind {
            Kind::Int => 10,
            Kind::Hex => 16,
            _ => base,
        };
        number::leading(&self.text(id), base)
    }

    /// What a symbol is worth to a number or string that takes its value. A bool is worth `n`, whatever its value:
    /// conf keeps both apart.
    pub(super) fn text(&self, id: SymbolId) -> Arc<str> {
        match (&self.values[id.index()].text, Graph::logical_constant(id)) {
            (Some(text), _) => text.clone(),
            (None, Some(constant)) => Arc::from(constant.as_str()),
            (None, None) => Arc::from("n"),
        }
    }

    /// A number outside its range becomes the nearer bound.
    fn apply_range(&mut self, id: SymbolId) {
        let base = match self.graph.symbol(id).kind {
            Kind::Int => 10,
            Kind::Hex => 16,
            _ => return,
        };
        let Some((low, high)) = self.range(id) else { return };
        let value = number::leading(self.value(id), base);
        let bound = if value < self.bound(low, base) {
            low
        } else if value > self.bound(high, base) {
            high
        } else {
            return;
        };
        self.calculate(bound);
        self.values[id.index()].text = Some(self.text(bound));
    }
}
