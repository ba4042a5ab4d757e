//! What symbols would be without anybody's wishes, given the values of all others.

use crate::{
    graph::{EntryId, Graph, PropertyId, PropertyKind, SymbolId},
    number,
    request::Wanted,
    solve::{Origin, Solution},
    tristate::{Kind, Tristate},
};

impl Solution<'_> {
    /// The first default whose condition holds, and how far it does.
    pub fn active_default(&self, id: SymbolId) -> Option<(PropertyId, Tristate)> {
        self.graph.properties_of(id, PropertyKind::Default).find_map(|(property, default)| {
            let condition = default.visible.map_or(Tristate::Yes, |e| self.evaluate(e));
            (condition != Tristate::No).then_some((property, condition))
        })
    }

    /// The first range whose condition holds: lower and upper bound.
    pub fn active_range(&self, id: SymbolId) -> Option<(PropertyId, SymbolId, SymbolId)> {
        self.graph.properties_of(id, PropertyKind::Range).find_map(|(property, range)| {
            let condition = range.visible.map_or(Tristate::Yes, |e| self.evaluate(e));
            let (low, high) = range.range.filter(|_| condition != Tristate::No)?;
            Some((property, low, high))
        })
    }

    /// The value that the symbol has if nobody asks, as a .config writes it but for quotes.
    pub(crate) fn default_value(&self, id: SymbolId) -> String {
        let kind = self.graph.symbol(id).kind;
        let default = self.active_default(id);
        if !kind.is_logical() {
            let source = default.and_then(|(p, _)| self.graph.as_symbol(self.graph.property(p).value));
            let text = source.map(|source| self.text(source)).filter(|text| !text.is_empty());
            let nothing = match kind {
                Kind::Int => "0",
                Kind::Hex => "0x0",
                _ => "",
            };
            return text.map_or_else(|| nothing.to_string(), |text| text.to_string());
        }
        let value = default.map_or(Tristate::No, |(property, condition)| {
            let value = self.graph.property(property).value;
            value.map_or(Tristate::No, |value| self.evaluate(value)).min(condition)
        });
        let mut value = value.max(self.selected(id));
        let is_member = self.graph.symbol(id).choice.is_some();
        if value == Tristate::Module && (kind == Kind::Bool || (!is_member && self.modules == Tristate::No)) {
            value = Tristate::Yes;
        }
        value.max(self.implied(id)).as_str().to_string()
    }

    /// The member that a choice takes if nobody asks.
    pub fn choice_default(&self, choice: EntryId) -> Option<SymbolId> {
        let symbol = self.graph.entry(choice).symbol?;
        let by_default = self.graph.properties_of(symbol, PropertyKind::Default).find_map(|(_, default)| {
            let condition = default.visible.map_or(Tristate::Yes, |e| self.evaluate(e));
            let member = self.graph.as_symbol(default.value).filter(|_| condition != Tristate::No)?;
            self.is_visible(member).then_some(member)
        });
        by_default.or_else(|| {
            let members = self.graph.below(choice).filter_map(|entry| self.graph.entry(entry).symbol);
            members.into_iter().find(|&member| self.is_visible(member))
        })
    }

    /// Whether a person could set the symbol to `value`, all else being as it is.
    pub fn accepts(&self, id: SymbolId, value: &str) -> bool {
        let kind = self.kind(id);
        if kind.is_logical() {
            let value = match value {
                "n" => Tristate::No,
                "m" if kind == Kind::Tristate => Tristate::Module,
                "y" => Tristate::Yes,
                _ => return false,
            };
            let (visible, selected) = (self.visibility(id), self.selected(id));
            return visible > selected && (selected..=visible).contains(&value);
        }
        if !kind.accepts(value) {
            return false;
        }
        let base = if kind == Kind::Hex { 16 } else { 10 };
        let bound = |symbol: SymbolId| {
            let base = match self.graph.symbol(symbol).kind {
                Kind::Int => 10,
                Kind::Hex => 16,
                _ => base,
            };
            number::leading(&self.text(symbol), base)
        };
        let range = self.active_range(id).filter(|_| kind != Kind::String);
        range.is_none_or(|(_, low, high)| (bound(low)..=bound(high)).contains(&number::leading(value, base)))
    }

    /// Where the symbol's value comes from.
    pub fn origin(&self, id: SymbolId) -> Origin {
        let symbol = self.graph.symbol(id);
        if let Some(choice) = symbol.choice {
            return Origin::Choice(choice);
        }
        let wanted = self.request.wanted(id).filter(|_| self.is_visible(id));
        if !symbol.kind.is_logical() {
            return match (wanted, self.active_default(id)) {
                (Some(_), _) => Origin::Wanted,
                (None, Some((property, _))) => Origin::Default(property),
                (None, None) => Origin::Nothing,
            };
        }
        let value = self.logical(id);
        let by_default = self.active_default(id).map(|(property, condition)| {
            let value = self.graph.property(property).value;
            (property, value.map_or(Tristate::No, |value| self.evaluate(value)).min(condition))
        });
        let asked = match wanted {
            Some(&Wanted::Logical(wanted)) => Some(wanted.min(self.visibility(id))),
            _ => None,
        };
        match (asked, by_default) {
            (Some(asked), _) if asked >= self.selected(id) => Origin::Wanted,
            (Some(_), _) => Origin::Selected,
            (None, Some((property, default))) if default > Tristate::No && default >= self.selected(id) => {
                Origin::Default(property)
            }
            _ if value > Tristate::No && self.selected(id) >= value => Origin::Selected,
            _ if value > Tristate::No && self.implied(id) > Tristate::No => Origin::Implied,
            (None, Some((property, _))) => Origin::Default(property),
            (None, None) => Origin::Nothing,
        }
    }

    /// Whether the symbol is one of the three logical constants or otherwise not configurable at all.
    pub fn is_constant(&self, id: SymbolId) -> bool {
        Graph::logical_constant(id).is_some() || self.graph.symbol(id).is_constant
    }
}
