//! What has to change, and the single wishes that are a step towards it.

use std::{collections::BTreeSet, rc::Rc, sync::Arc};

use rustc_hash::FxHashMap;

use super::{Requests, conditions};
use crate::{
    expr::{Comparison, Expr, ExprId},
    graph::{Graph, PropertyKind, SymbolId},
    number,
    request::Wanted,
    solve::Solution,
    tristate::{Kind, Tristate},
};

/// A value that is needed of one symbol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Goal {
    AtLeast(SymbolId, Tristate),
    AtMost(SymbolId, Tristate),
    Text(SymbolId, Arc<str>),
}

impl Goal {
    /// What a request asks for, as goals that have to be reached together.
    pub(super) fn of(symbol: SymbolId, wanted: &Wanted) -> Vec<Goal> {
        match wanted {
            Wanted::Text(text) => vec![Goal::Text(symbol, text.clone())],
            Wanted::Logical(Tristate::Yes) => vec![Goal::AtLeast(symbol, Tristate::Yes)],
            Wanted::Logical(Tristate::No) => vec![Goal::AtMost(symbol, Tristate::No)],
            Wanted::Logical(value) => vec![Goal::AtLeast(symbol, *value), Goal::AtMost(symbol, *value)],
        }
    }

    pub(super) fn is_met(&self, solution: &Solution) -> bool {
        match self {
            Goal::AtLeast(symbol, value) => solution.logical(*symbol) >= *value,
            Goal::AtMost(symbol, value) => solution.logical(*symbol) <= *value,
            Goal::Text(symbol, text) => super::is_honoured(solution, *symbol, &Wanted::Text(text.clone())),
        }
    }
}

/// A wish that is granted as soon as it is made.
pub(super) type Step = (SymbolId, Wanted);

/// How a goal can be approached.
#[derive(Clone, Debug)]
pub(super) enum Ways {
    Met,
    /// Any one of these brings it nearer.
    Steps(Vec<Step>),
    /// It can't be reached; each line is a reason.
    Dead(BTreeSet<String>),
}

impl Ways {
    fn dead(reason: String) -> Ways {
        Ways::Dead(BTreeSet::from([reason]))
    }

    /// Either of the two suffices.
    fn or(self, other: Ways) -> Ways {
        match (self, other) {
            (Ways::Met, _) | (_, Ways::Met) => Ways::Met,
            (Ways::Steps(mut steps), Ways::Steps(others)) => {
                steps.extend(others.into_iter().filter(|step| !steps.contains(step)).collect::<Vec<_>>());
                Ways::Steps(steps)
            }
            (Ways::Steps(steps), Ways::Dead(_)) | (Ways::Dead(_), Ways::Steps(steps)) => Ways::Steps(steps),
            (Ways::Dead(mut reasons), Ways::Dead(others)) => {
                reasons.extend(others);
                Ways::Dead(reasons)
            }
        }
    }

    /// Both are needed. Steps are those of the first that isn't met, since it has to be reached in any case.
    fn and(self, other: Ways) -> Ways {
        match (self, other) {
            (Ways::Met, other) => other,
            (this, Ways::Met) => this,
            (Ways::Dead(reasons), _) | (_, Ways::Dead(reasons)) => Ways::Dead(reasons),
            (this, Ways::Steps(_)) => this,
        }
    }
}

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
            return Ways::Dead(BTreeSet::new());
        }
        if self.open.len() > DEPTH_LIMIT {
            self.is_cut = true;
            return Ways::Dead(BTreeSet::new());
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
        let line = super::fragment_line(self.graph(), symbol, &asked.wanted);
        Some(Ways::dead(format!("{} asks for `{line}`", asked.origin)))
    }

    fn undeclared(&self, symbol: SymbolId) -> Option<Ways> {
        let graph = self.graph();
        if self.solution.is_constant(symbol) {
            return Some(Ways::Dead(BTreeSet::new()));
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
            return Ways::Dead(BTreeSet::new());
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
        if self.solution.visibility(symbol) >= value {
            return match self.contradiction(symbol, &wanted) {
                Some(dead) => dead,
                None => Ways::Steps(vec![(symbol, wanted)]),
            };
        }
        let has_prompt = graph.prompts(symbol).next().is_some();
        let mut ways = match (has_prompt, self.contradiction(symbol, &wanted)) {
            (true, Some(dead)) => dead,
            (true, None) => self.show(symbol, value),
            (false, _) => Ways::Dead(BTreeSet::new()),
        };
        if graph.symbol(symbol).choice.is_none() {
            ways = ways.or(self.by_default(symbol, value));
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
        let mut ways = Ways::Dead(BTreeSet::new());
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
        let mut ways = Ways::Dead(BTreeSet::new());
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
        let mut ways = Ways::Dead(BTreeSet::new());
        for &id in &graph.symbol(symbol).properties {
            if graph.property(id).text.is_none() {
                continue;
            }
            let mut all = Ways::Met;
            // From the outside in: what encloses most is needed first.
            for condition in conditions(graph, id).into_iter().rev() {
                let reasons = self.at_least(condition.expr, value);
                let reasons = match reasons {
                    Ways::Dead(reasons) => Ways::Dead(
                        reasons
                            .into_iter()
                            .map(|reason| {
                                format!(
                                    "{} needs `{} {}` ({}): {reason}",
                                    graph.name(symbol),
                                    condition.statement.as_str(),
                                    graph.show(condition.expr),
                                    graph.show_place(condition.place),
                                )
                            })
                            .collect(),
                    ),
                    ways => ways,
                };
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
                    let way = match self.at_most(reverse.condition, value) {
                        Ways::Dead(reasons) => Ways::Dead(
                            reasons
                                .into_iter()
                                .map(|reason| {
                                    let (by, name) = (graph.name(reverse.by), graph.name(symbol));
                                    format!("{by} selects {name} ({place}): {reason}")
                                })
                                .collect(),
                        ),
                        way => way,
                    };
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
            let gone = default.visible.map_or(Ways::Dead(BTreeSet::new()), |e| self.at_most(e, value));
            let other = default.value.map_or(Ways::Dead(BTreeSet::new()), |e| self.at_most(e, value));
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
        let Some(choice) = graph.symbol(symbol).choice else { return Ways::Dead(BTreeSet::new()) };
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

    fn write(&mut self, symbol: SymbolId, text: &Arc<str>) -> Ways {
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
            return Ways::dead(format!("{name} has the range {low} to {high} ({place})"));
        }
        Ways::Steps(vec![(symbol, wanted)])
    }

    /// Raises an expression.
    fn at_least(&mut self, expr: ExprId, value: Tristate) -> Ways {
        if self.solution.evaluate(expr) >= value {
            return Ways::Met;
        }
        match self.graph().exprs().get(expr) {
            Expr::Symbol(symbol) => self.ways(&Goal::AtLeast(symbol, value)),
            Expr::Not(inner) => self.at_most(inner, value.negated()),
            Expr::And(left, right) => {
                let left = self.at_least(left, value);
                left.and(self.at_least(right, value))
            }
            Expr::Or(left, right) => {
                let left = self.at_least(left, value);
                left.or(self.at_least(right, value))
            }
            Expr::Compare(comparison, left, right) => self.make_hold(comparison, left, right),
        }
    }

    /// Lowers an expression.
    fn at_most(&mut self, expr: ExprId, value: Tristate) -> Ways {
        if self.solution.evaluate(expr) <= value {
            return Ways::Met;
        }
        match self.graph().exprs().get(expr) {
            Expr::Symbol(symbol) => self.ways(&Goal::AtMost(symbol, value)),
            Expr::Not(inner) => self.at_least(inner, value.negated()),
            Expr::And(left, right) => {
                let left = self.at_most(left, value);
                left.or(self.at_most(right, value))
            }
            Expr::Or(left, right) => {
                let left = self.at_most(left, value);
                left.and(self.at_most(right, value))
            }
            Expr::Compare(comparison, left, right) => self.make_hold(comparison.negated(), left, right),
        }
    }

    fn make_hold(&mut self, comparison: Comparison, left: SymbolId, right: SymbolId) -> Ways {
        let graph = self.graph();
        let is_free = |symbol: SymbolId| !graph.symbol(symbol).entries.is_empty();
        let (symbol, other, comparison) = match (is_free(left), is_free(right)) {
            (true, _) => (left, right, comparison),
            (false, true) => (right, left, mirrored(comparison)),
            (false, false) => {
                let text = format!(
                    "{}{}{} doesn't hold here",
                    graph.name(left),
                    comparison.as_str(),
                    graph.name(right)
                );
                return Ways::dead(text);
            }
        };
        let value = self.solution.value(other).to_string();
        if graph.symbol(symbol).kind.is_logical() {
            return self.make_logical(comparison, symbol, &value);
        }
        let number = number::leading(&value, if value.starts_with("0x") { 16 } else { 10 });
        let text = match comparison {
            Comparison::Equal | Comparison::LessEqual | Comparison::GreaterEqual => value,
            Comparison::Less => (number - 1).to_string(),
            Comparison::Greater => (number + 1).to_string(),
            Comparison::Unequal if graph.symbol(symbol).kind == Kind::String && !value.is_empty() => {
                String::new()
            }
            Comparison::Unequal => (number + 1).to_string(),
        };
        self.ways(&Goal::Text(symbol, Arc::from(text)))
    }

    fn make_logical(&mut self, comparison: Comparison, symbol: SymbolId, value: &str) -> Ways {
        let level = match value {
            "y" => Tristate::Yes,
            "m" => Tristate::Module,
            _ => Tristate::No,
        };
        let at_least = |guide: &mut Self, level| guide.ways(&Goal::AtLeast(symbol, level));
        let at_most = |guide: &mut Self, level| guide.ways(&Goal::AtMost(symbol, level));
        match (comparison, level) {
            (Comparison::Equal, Tristate::Yes) => at_least(self, Tristate::Yes),
            (Comparison::Equal, Tristate::No) => at_most(self, Tristate::No),
            (Comparison::Equal, Tristate::Module) => {
                let low = at_least(self, Tristate::Module);
                low.and(at_most(self, Tristate::Module))
            }
            (Comparison::Unequal, Tristate::Yes) => at_most(self, Tristate::Module),
            (Comparison::Unequal, Tristate::No) => at_least(self, Tristate::Module),
            (Comparison::Unequal, Tristate::Module) => {
                let high = at_least(self, Tristate::Yes);
                high.or(at_most(self, Tristate::No))
            }
            (Comparison::GreaterEqual, level) => at_least(self, level),
            (Comparison::LessEqual, level) => at_most(self, level),
            (Comparison::Greater, Tristate::No) => at_least(self, Tristate::Module),
            (Comparison::Greater, _) => at_least(self, Tristate::Yes),
            (Comparison::Less, Tristate::Yes) => at_most(self, Tristate::Module),
            (Comparison::Less, _) => at_most(self, Tristate::No),
        }
    }
}

/// The comparison with its sides exchanged.
const fn mirrored(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal | Comparison::Unequal => comparison,
        Comparison::Less => Comparison::Greater,
        Comparison::LessEqual => Comparison::GreaterEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterEqual => Comparison::LessEqual,
    }
}
