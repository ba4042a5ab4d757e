//! Which member of a choice is on.

use crate::{
    graph::{EntryId, PropertyKind, SymbolId},
    request::Wanted,
    solve::Solution,
    tristate::Tristate,
};

impl Solution<'_> {
    /// Decides which member of a choice is on.
    pub(super) fn calculate_choice(&mut self, choice: EntryId) {
        if !self.decided.insert(choice) {
            return;
        }
        let members = self.request.members(choice).to_vec();
        let mut chosen = None;
        for &member in &members {
            self.calculate_visibility(member);
            let is_wanted = self.request.wanted(member) == Some(&Wanted::Logical(Tristate::Yes));
            if chosen.is_none() && self.is_visible(member) && is_wanted {
                chosen = Some(member);
            }
        }
        let is_refused = |solution: &Self, member: SymbolId| {
            solution.request.wanted(member) == Some(&Wanted::Logical(Tristate::No))
        };
        let shown: Vec<SymbolId> =
            self.graph.below(choice).filter_map(|entry| self.graph.entry(entry).symbol).collect();
        let shown: Vec<SymbolId> = shown.into_iter().filter(|&member| self.is_visible(member)).collect();
        let chosen = chosen
            .or_else(|| self.default_member(choice, &shown).filter(|&member| !is_refused(self, member)))
            .or_else(|| shown.iter().copied().find(|&member| self.request.wanted(member).is_none()))
            // All are refused: the one whose refusal counts least is on.
            .or_else(|| members.iter().rev().copied().find(|&member| self.is_visible(member)));
        for member in shown {
            let value = &mut self.values[member.index()];
            value.logical = if chosen == Some(member) { Tristate::Yes } else { Tristate::No };
            value.is_known = true;
            value.is_written = true;
        }
    }

    pub(super) fn is_visible(&self, symbol: SymbolId) -> bool {
        self.values[symbol.index()].visible != Tristate::No
    }

    /// The member that a choice takes if nobody asks: its first default that can be seen, or the first that can be.
    fn default_member(&mut self, choice: EntryId, shown: &[SymbolId]) -> Option<SymbolId> {
        let graph = self.graph;
        let symbol = graph.entry(choice).symbol?;
        for (_, default) in graph.properties_of(symbol, PropertyKind::Default) {
            if self.expr(default.visible) == Tristate::No {
                continue;
            }
            if let Some(member) = graph.as_symbol(default.value).filter(|&member| self.is_visible(member)) {
                return Some(member);
            }
        }
        shown.first().copied()
    }
}
