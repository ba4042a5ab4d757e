//! From what was asked for to what comes out, as conf reckons it.

mod choice;
mod defaults;

use std::{cmp::Ordering, sync::Arc};

use rustc_hash::FxHashSet;

use crate::{
    expr::{self, Comparison, Expr, ExprId},
    graph::{EntryId, Graph, PropertyId, PropertyKind, SymbolId},
    number::{self, Comparable},
    request::{Request, Wanted},
    tristate::{Kind, Tristate},
};

/// What is known of one symbol.
#[derive(Clone, Debug, Default)]
struct Value {
    is_known: bool,
    /// Belongs into the .config.
    is_written: bool,
    logical: Tristate,
    /// Of an int, hex or string; the name of an undeclared symbol.
    text: Option<Arc<str>>,
    /// How much a person may ask for.
    visible: Tristate,
    depends: Tristate,
    selected: Tristate,
    implied: Tristate,
}

/// Where a symbol's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was asked for, and may be.
    Wanted,
    /// The default of this property.
    Default(PropertyId),
    /// Selected by others, beyond what was asked for or is the default.
    Selected,
    /// Implied by others.
    Implied,
    /// Decided by the choice that it is a member of.
    Choice(EntryId),
    /// No default holds.
    Nothing,
}

/// Values of all symbols.
#[derive(Clone, Debug)]
pub struct Solution<'g> {
    graph: &'g Graph,
    request: Request<'g>,
    values: Vec<Value>,
    /// By expression; 3 where it isn't known yet.
    exprs: Vec<u8>,
    modules: Tristate,
    unmet: Vec<SymbolId>,
    /// Choices whose member is known.
    decided: FxHashSet<EntryId>,
    /// Calculations inside calculations.
    depth: usize,
}

const UNKNOWN: u8 = 3;

/// In the graph's order a calculation finds everything that it needs, so only expressions nest. Circles of ranges
/// alone could go deeper; what is beyond counts as nothing.
const DEPTH_LIMIT: usize = expr::DEPTH_LIMIT as usize + 1000;

impl<'g> Solution<'g> {
    pub(crate) fn of(request: Request<'g>) -> Solution<'g> {
        let graph = request.graph();
        let mut solution = Solution {
            graph,
            request,
            values: vec![Value::default(); graph.symbols.len()],
            exprs: vec![UNKNOWN; graph.exprs.len()],
            modules: Tristate::No,
            unmet: Vec::new(),
            decided: FxHashSet::default(),
            depth: 0,
        };
        if let Some(modules) = graph.modules {
            let needed = graph.order.iter().take_while(|&&symbol| symbol != modules);
            needed.for_each(|&symbol| solution.calculate(symbol));
            solution.calculate(modules);
            // What this looked at was worth what it is without modules, and stays so.
            solution.modules = solution.values[modules.index()].logical;
        }
        for &symbol in &graph.order {
            solution.calculate(symbol);
        }
        // Those that nothing declares, and those that only unchecked places mention.
        for number in 0..graph.symbols.len() {
            solution.calculate(SymbolId::new(number));
        }
        solution
    }

    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// What was asked for; transitional symbols may have added to it.
    pub fn request(&self) -> &Request<'g> {
        &self.request
    }

    /// As in a .config, without quotes: `y`, `12`, `0x10`, `text`.
    pub fn value(&self, symbol: SymbolId) -> &str {
        let value = &self.values[symbol.index()];
        match (self.graph.symbol(symbol).kind.is_logical(), &value.text) {
            (false, Some(text)) => text,
            _ => value.logical.as_str(),
        }
    }

    /// The same by name (without `CONFIG_`); `None` if no Kconfig file declares the symbol.
    pub fn value_of(&self, name: &str) -> Option<String> {
        Some(self.value(self.graph.declared(name)?).to_string())
    }

    /// `n` for anything but bools and tristates.
    pub fn logical(&self, symbol: SymbolId) -> Tristate {
        self.values[symbol.index()].logical
    }

    /// Whether the symbol has a line in the .config.
    pub fn is_written(&self, symbol: SymbolId) -> bool {
        self.values[symbol.index()].is_written
    }

    /// The most that a person may ask for; `n`: the symbol's prompt isn't shown.
    pub fn visibility(&self, symbol: SymbolId) -> Tristate {
        self.values[symbol.index()].visible
    }

    /// What the symbol's dependencies come to.
    pub fn dependencies(&self, symbol: SymbolId) -> Tristate {
        self.values[symbol.index()].depends
    }

    /// What others select it to.
    pub fn selected(&self, symbol: SymbolId) -> Tristate {
        self.values[symbol.index()].selected
    }

    /// What others imply it to.
    pub fn implied(&self, symbol: SymbolId) -> Tristate {
        self.values[symbol.index()].implied
    }

    /// Whether a person's answer could make a difference.
    pub fn is_changeable(&self, symbol: SymbolId) -> bool {
        let value = &self.values[symbol.index()];
        !self.graph.is_choice(symbol) && value.visible > value.selected
    }

    /// Value of an expression of the graph. One that no symbol or menu depends on is worth `n`.
    pub fn evaluate(&self, expr: ExprId) -> Tristate {
        match self.exprs.get(expr.0 as usize) {
            Some(0) | None => Tristate::No,
            Some(1) => Tristate::Module,
            Some(2) => Tristate::Yes,
            // Parts of conditions are evaluated with them, so only what stands nowhere is left.
            Some(_) => self.evaluate_parts(expr),
        }
    }

    fn evaluate_parts(&self, expr: ExprId) -> Tristate {
        match self.graph.exprs.get(expr) {
            Expr::Symbol(symbol) => self.logical(symbol),
            Expr::Not(inner) => self.evaluate(inner).negated(),
            Expr::And(left, right) => self.evaluate(left).min(self.evaluate(right)),
            Expr::Or(left, right) => self.evaluate(left).max(self.evaluate(right)),
            Expr::Compare(comparison, left, right) => self.compared(comparison, left, right),
        }
    }

    /// Symbols that are selected though what they depend on doesn't hold.
    pub fn unmet(&self) -> &[SymbolId] {
        &self.unmet
    }

    /// The type that counts: without modules a tristate is a bool.
    pub fn kind(&self, symbol: SymbolId) -> Kind {
        match self.graph.symbol(symbol).kind {
            Kind::Tristate if self.modules == Tristate::No => Kind::Bool,
            kind => kind,
        }
    }

    fn expr(&mut self, expr: Option<ExprId>) -> Tristate {
        let Some(expr) = expr else { return Tristate::Yes };
        match self.exprs[expr.0 as usize] {
            0 => return Tristate::No,
            1 => return Tristate::Module,
            2 => return Tristate::Yes,
            _ => {}
        }
        if self.depth > DEPTH_LIMIT {
            return Tristate::No;
        }
        self.depth += 1;
        let value = match self.graph.exprs.get(expr) {
            Expr::Symbol(symbol) => {
                self.calculate(symbol);
                self.logical(symbol)
            }
            Expr::Not(inner) => self.expr(Some(inner)).negated(),
            Expr::And(left, right) => {
                let left = self.expr(Some(left));
                left.min(self.expr(Some(right)))
            }
            Expr::Or(left, right) => {
                let left = self.expr(Some(left));
                left.max(self.expr(Some(right)))
            }
            Expr::Compare(comparison, left, right) => {
                self.calculate(left);
                self.calculate(right);
                self.compared(comparison, left, right)
            }
        };
        self.depth -= 1;
        self.exprs[expr.0 as usize] = value as u8;
        value
    }

    fn compared(&self, comparison: Comparison, left: SymbolId, right: SymbolId) -> Tristate {
        let (one, other) = (self.value(left), self.value(right));
        let (kind, other_kind) = (self.graph.symbol(left).kind, self.graph.symbol(right).kind);
        let (a, b) = match (kind, other_kind) {
            (Kind::String, Kind::String) => (Comparable::Text, Comparable::Text),
            _ => (number::comparable(one, kind), number::comparable(other, other_kind)),
        };
        let order = match (a, b) {
            (Comparable::Text, _) | (_, Comparable::Text) => one.as_bytes().cmp(other.as_bytes()),
            (Comparable::Signed(a), Comparable::Signed(b)) => a.cmp(&b),
            _ => a.bits().cmp(&b.bits()),
        };
        let holds = match comparison {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::Unequal => order != Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::LessEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::GreaterEqual => order != Ordering::Less,
        };
        if holds { Tristate::Yes } else { Tristate::No }
    }

    fn calculate(&mut self, id: SymbolId) {
        if self.values[id.index()].is_known || self.depth > DEPTH_LIMIT {
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

    fn calculate_visibility(&mut self, id: SymbolId) {
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
    pub(crate) fn range(&mut self, id: SymbolId) -> Option<(SymbolId, SymbolId)> {
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
    fn text(&self, id: SymbolId) -> Arc<str> {
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
