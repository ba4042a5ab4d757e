//! Ways to raise and lower symbols, in one solution.

mod condition;
mod number;

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::{
    Requests, conditions, fragment_line,
    ways::{Goal, Step, Ways},
};
use crate::{
    graph::{Graph, PropertyKind, SymbolId},
    request::Wanted,
    solve::Solution,
    tristate::{Kind, Tristate},
};

/// Causes of causes of causes.
const DEPTH_LIMIT: usize = 40;
/// Steps of one goal: a symbol may be selected by hundreds of others.
const STEP_LIMIT: usize = 48;

/// Finds ways in one solution.
pub(super) struct Guide<'s, 'g> {
    pub requests: &'s Requests<'g>,
    pub solution: &'s Solution<'g>,
    known: FxHashMap<Goal, Rc<Ways>>,
    open: Vec<Goal>,
    /// Symbols that can be asked for may also be turned on through others.
    is_thorough: bool,
    /// Something was left out, so that a dead end proves nothing.
    pub is_cut: bool,
}

impl<'s, 'g> Guide<'s, 'g> {
    pub(super) fn new(
        requests: &'s Requests<'g>,
        solution: &'s Solution<'g>,
        is_thorough: bool,
    ) -> Guide<'s, 'g> {
        let (known, open) = (FxHashMap::default(), Vec::new());
        Guide { requests, solution, known, open, is_thorough, is_cut: false }
    }

    fn graph(&self) -> &'g Graph {
        self.solution.graph()
    }

    pub(super) fn ways(&mut self, goal: &Goal) -> Ways {
        if goal.is_met(self.solution) {
            return Ways::Met;
        }
        if let Some(known) = self.known.get(goal) {
            return (**known).clone();
        }
        if self.open.contains(goal) {
            // What needs itself is no way.
            return Ways::none();
        }
        if self.open.len() > DEPTH_LIMIT {
            self.is_cut = true;
            return Ways::none();
        }
        self.open.push(goal.clone());
        let mut ways = match goal {
            Goal::AtLeast(symbol, value) => self.raise(*symbol, *value),
            Goal::AtMost(symbol, value) => self.lower(*symbol, *value),
            Goal::Text(symbol, text) => self.write(*symbol, text),
        };
        self.open.pop();
        if let Ways::Steps(steps) = &mut ways
            && steps.len() > STEP_LIMIT
        {
            self.is_cut = true;
            steps.truncate(STEP_LIMIT);
        }
        // Below an open goal an answer may lack what leads back to it.
        if self.open.is_empty() || matches!(ways, Ways::Steps(_)) {
            self.known.insert(goal.clone(), Rc::new(ways.clone()));
        }
        ways
    }

    /// A request of somebody else that stands against this one.
    fn contradiction(&self, symbol: SymbolId, wanted: &Wanted) -> Option<Ways> {
        let asked = self.requests.get(symbol)?;
        if asked.wanted == *wanted {
            return None;
        }
        let line = fragment_line(self.graph(), symbol, &asked.wanted);
        Some(Ways::dead(format!("{} asks for `{line}`", asked.origin)))
    }

    fn undeclared(&self, symbol: SymbolId) -> Option<Ways> {
        let graph = self.graph();
        if self.solution.is_constant(symbol) {
            return Some(Ways::none());
        }
        graph.symbol(symbol).entries.is_empty().then(|| {
            Ways::dead(format!(
                "{} is declared in no Kconfig file of this kernel that this architecture reads",
                graph.name(symbol)
            ))
        })
    }

    fn raise(&mut self, symbol: SymbolId, value: Tristate) -> Ways {
        if let Some(dead) = self.undeclared(symbol) {
            return dead;
        }
        let graph = self.graph();
        let kind = self.solution.kind(symbol);
        if !kind.is_logical() {
            return Ways::none();
        }
        if graph.symbol(symbol).kind == Kind::Tristate && kind == Kind::Bool && value == Tristate::Module {
            return self.allow_modules();
        }
        if let Some(dead) = self.rival(symbol) {
            return dead;
        }
        let wish = match self.solution.visibility(symbol) {
            Tristate::Module if kind == Kind::Tristate && value == Tristate::Module => Tristate::Module,
            _ => Tristate::Yes,
        };
        let wanted = Wanted::Logical(wish);
        let has_prompt = graph.prompts(symbol).next().is_some();
        let mut ways = match self.contradiction(symbol, &wanted) {
            _ if !has_prompt => Ways::none(),
            Some(dead) => dead,
            None if self.solution.visibility(symbol) >= value => Ways::Steps(vec![(symbol, wanted)]),
            None => self.show(symbol, value),
        };
        if graph.symbol(symbol).choice.is_none() {
            if self.solution.visibility(symbol) < value {
                ways = ways.or(self.by_default(symbol, value));
            }
            if self.is_thorough || !has_prompt || matches!(ways, Ways::Dead(_)) {
                ways = ways.or(self.by_others(symbol, value));
            }
        }
        match ways {
            Ways::Dead(reasons) if reasons.is_empty() && !has_prompt => Ways::dead(format!(
                "{} can't be asked for (it has no prompt), and nothing that could be turned on selects it",
                graph.name(symbol)
            )),
            ways => ways,
        }
    }

    /// Another member of the choice that is asked for: only one can be on.
    fn rival(&self, symbol: SymbolId) -> Option<Ways> {
        let graph = self.graph();
        let members = &graph.entry(graph.symbol(symbol).choice?).members;
        let asked = members.iter().filter(|&&member| member != symbol).find_map(|&member| {
            self.requests.get(member).filter(|asked| asked.wanted == Wanted::Logical(Tristate::Yes))
        })?;
        let (name, rival) = (graph.name(symbol), graph.name(asked.symbol));
        let text = format!("{name} and {rival}, which {} asks for, are members of one choice", asked.origin);
        Some(Ways::dead(text))
    }

    /// Without modules, `m` becomes `y`.
    fn allow_modules(&mut self) -> Ways {
        match self.graph().modules() {
            Some(modules) => self.ways(&Goal::AtLeast(modules, Tristate::Yes)),
            None => Ways::dead("there are no modules in this kernel".into()),
        }
    }

    /// Through one of the symbol's defaults.
    fn by_default(&mut self, symbol: SymbolId, value: Tristate) -> Ways {
        let graph = self.graph();
        let mut ways = Ways::none();
        for (_, default) in graph.properties_of(symbol, PropertyKind::Default) {
            let holds = default.visible.map_or(Ways::Met, |e| self.at_least(e, value));
            let Some(source) = default.value else { continue };
            let way = holds.and(self.at_least(source, value));
            // All of it holds, and yet the symbol is off: an earlier default comes first.
            if !matches!(way, Ways::Met) {
                ways = ways.or(way);
            }
        }
        ways
    }

    /// Through whoever selects or implies the symbol.
    fn by_others(&mut self, symbol: SymbolId, value: Tristate) -> Ways {
        let mut ways = Ways::none();
        let symbol = self.graph().symbol(symbol);
        for reverse in symbol.selected_by.iter().chain(&symbol.implied_by) {
            let way = self.at_least(reverse.condition, value);
            if !matches!(way, Ways::Met) {
                ways = ways.or(way);
            }
        }
        ways
    }

    /// Makes one of the symbol's prompts visible.
    fn show(&mut self, symbol: SymbolId, value: Tristate) -> Ways {
        let graph = self.graph();
        let mut ways = Ways::none();
        for &id in &graph.symbol(symbol).properties {
            if graph.property(id).text.is_none() {
                continue;
            }
            let mut all = Ways::Met;
            // From the outside in: what encloses most is needed first.
            for condition in conditions(graph, id).into_iter().rev() {
                let reasons = self.at_least(condition.expr, value).explained(|reason| {
                    let (name, statement) = (graph.name(symbol), condition.statement.as_str());
                    let (expr, place) = (graph.show(condition.expr), graph.show_place(condition.place));
                    format!("{name} needs `{statement} {expr}` ({place}): {reason}")
                });
                all = all.and(reasons);
            }
            // A prompt that is visible, with the symbol still below: modules are off, or it is a bool.
            if !matches!(all, Ways::Met) {
                ways = ways.or(all);
            }
        }
        ways
    }

    fn lower(&mut self, symbol: SymbolId, value: Tristate) -> Ways {
        if let Some(dead) = self.undeclared(symbol) {
            return dead;
        }
        let graph = self.graph();
        if graph.symbol(symbol).choice.is_some() {
            return self.displace(symbol);
        }
        let wanted = Wanted::Logical(value);
        if let Some(dead) = self.contradiction(symbol, &wanted) {
            return dead;
        }
        if value == Tristate::Module && self.solution.kind(symbol) == Kind::Bool {
            return match graph.symbol(symbol).kind {
                Kind::Tristate => self.allow_modules(),
                _ => Ways::dead(format!("{} is a bool and can't be a module", graph.name(symbol))),
            };
        }
        if self.solution.selected(symbol) > value {
            // Every selector has to let go; the first one is as good a start as any.
            let mut ways = Ways::Met;
            for reverse in &graph.symbol(symbol).selected_by {
                if self.solution.evaluate(reverse.condition) > value {
                    let place = graph.show_place(graph.property(reverse.property).place);
                    let way = self.at_most(reverse.condition, value).explained(|reason| {
                        let (by, name) = (graph.name(reverse.by), graph.name(symbol));
                        format!("{by} selects {name} ({place}): {reason}")
                    });
                    ways = ways.and(way);
                }
            }
            return ways;
        }
        if self.solution.visibility(symbol) > Tristate::No {
            return Ways::Steps(vec![(symbol, wanted)]);
        }
        let mut ways = self.show(symbol, Tristate::Yes);
        if let Some((default, _)) = self.solution.active_default(symbol) {
            let default = graph.property(default);
            let gone = default.visible.map_or(Ways::none(), |e| self.at_most(e, value));
            let other = default.value.map_or(Ways::none(), |e| self.at_most(e, value));
            ways = ways.or(gone.or(other));
        }
        for reverse in &graph.symbol(symbol).implied_by {
            if self.solution.evaluate(reverse.condition) > value {
                ways = ways.or(self.at_most(reverse.condition, value));
            }
        }
        match ways {
            Ways::Dead(reasons) if reasons.is_empty() => {
                Ways::dead(format!("{} is on by itself, and can't be turned off", graph.name(symbol)))
            }
            ways => ways,
        }
    }

    /// Another member of the choice is on instead.
    fn displace(&mut self, symbol: SymbolId) -> Ways {
        let graph = self.graph();
        let Some(choice) = graph.symbol(symbol).choice else { return Ways::none() };
        let on = Wanted::Logical(Tristate::Yes);
        let others = graph.entry(choice).members.iter().filter(|&&member| {
            member != symbol
                && self.solution.visibility(member) > Tristate::No
                && self.contradiction(member, &on).is_none()
        });
        let steps: Vec<Step> = others.map(|&member| (member, on.clone())).collect();
        match steps.is_empty() {
            true => {
                let place = graph.show_place(graph.entry(choice).place);
                let name = graph.name(symbol);
                Ways::dead(format!("{name} is the only member of its choice ({place}) that can be on"))
            }
            false => Ways::Steps(steps),
        }
    }
}
