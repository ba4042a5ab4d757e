//! Ways to give numbers and strings their values.

use std::sync::Arc;

use super::{super::ways::Ways, Guide};
use crate::{
    graph::{Property, PropertyKind, SymbolId},
    number,
    request::Wanted,
    tristate::{Kind, Tristate},
};

/// On which side of a number another one has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    AtMost,
    AtLeast,
}

/// Defaults of defaults.
const DEPTH_LIMIT: usize = 8;

impl Guide<'_, '_> {
    pub(super) fn write(&mut self, symbol: SymbolId, text: &Arc<str>) -> Ways {
        if let Some(dead) = self.undeclared(symbol) {
            return dead;
        }
        let graph = self.graph();
        let name = graph.name(symbol);
        let kind = graph.symbol(symbol).kind;
        let wanted = Wanted::Text(text.clone());
        if let Some(dead) = self.contradiction(symbol, &wanted) {
            return dead;
        }
        if kind.is_logical() || !kind.accepts(text) {
            return Ways::dead(format!("{name} is of type {kind}, and `{text}` is no value of that"));
        }
        if self.solution.visibility(symbol) == Tristate::No {
            return match graph.prompts(symbol).next() {
                Some(_) => self.show(symbol, Tristate::Yes),
                None => Ways::dead(format!("{name} can't be asked for (it has no prompt)")),
            };
        }
        if !self.solution.accepts(symbol, text)
            && let Some((range, low, high)) = self.solution.active_range(symbol)
        {
            let (low, high) = (self.solution.value(low), self.solution.value(high));
            let place = graph.show_place(graph.property(range).place);
            let text = format!("{name} has the range {low} to {high} ({place})");
            return match self.widen(symbol, number::leading(text_of(&wanted), base(kind))) {
                Ways::Dead(_) => Ways::dead(text),
                ways => ways,
            };
        }
        Ways::Steps(vec![(symbol, wanted)])
    }

    /// Lets another range count, or moves a bound of one.
    fn widen(&mut self, symbol: SymbolId, wanted: i64) -> Ways {
        let graph = self.solution.graph();
        let ranges: Vec<&Property> =
            graph.properties_of(symbol, PropertyKind::Range).map(|(_, range)| range).collect();
        let mut ways = Ways::none();
        let mut none_before = Ways::Met;
        for range in ranges {
            let Some((low, high)) = range.range else { continue };
            let counts = range.visible.map_or(Ways::Met, |e| self.at_least(e, Tristate::Module));
            let low = self.bound(low, Side::AtMost, wanted, 0);
            let high = self.bound(high, Side::AtLeast, wanted, 0);
            ways = ways.or(none_before.clone().and(counts).and(low).and(high));
            let gone = range.visible.map_or(Ways::none(), |e| self.at_most(e, Tristate::No));
            none_before = none_before.and(gone);
        }
        ways.or(none_before)
    }

    /// Moves a bound: it is a number, or a symbol whose defaults are numbers.
    fn bound(&mut self, bound: SymbolId, side: Side, wanted: i64, depth: usize) -> Ways {
        let graph = self.solution.graph();
        let value = self.solution.value(bound);
        let base = match graph.symbol(bound).kind {
            Kind::Unknown if value.starts_with("0x") => 16,
            kind => base(kind),
        };
        let value = number::leading(value, base);
        let fits = match side {
            Side::AtMost => value <= wanted,
            Side::AtLeast => value >= wanted,
        };
        if fits {
            return Ways::Met;
        }
        let mut ways = Ways::none();
        let mut none_before = Ways::Met;
        let is_declared = !graph.symbol(bound).entries.is_empty();
        for (_, default) in graph.properties_of(bound, PropertyKind::Default) {
            let Some(source) = graph.as_symbol(default.value) else { continue };
            if is_declared && depth < DEPTH_LIMIT {
                let counts = default.visible.map_or(Ways::Met, |e| self.at_least(e, Tristate::Module));
                let fits = self.bound(source, side, wanted, depth + 1);
                ways = ways.or(none_before.clone().and(counts).and(fits));
            }
            let gone = default.visible.map_or(Ways::none(), |e| self.at_most(e, Tristate::No));
            none_before = none_before.and(gone);
        }
        ways
    }
}

fn text_of(wanted: &Wanted) -> &str {
    match wanted {
        Wanted::Text(text) => text,
        Wanted::Logical(value) => value.as_str(),
    }
}

const fn base(kind: Kind) -> u32 {
    match kind {
        Kind::Hex => 16,
        _ => 10,
    }
}
