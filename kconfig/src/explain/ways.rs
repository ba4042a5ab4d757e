//! What has to change, and the single wishes that are a step towards it.

use std::{collections::BTreeSet, sync::Arc};

use super::is_honoured;
use crate::{graph::SymbolId, request::Wanted, solve::Solution, tristate::Tristate};

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
            Goal::Text(symbol, text) => is_honoured(solution, *symbol, &Wanted::Text(text.clone())),
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
    pub(super) fn dead(reason: String) -> Ways {
        Ways::Dead(BTreeSet::from([reason]))
    }

    /// Either of the two suffices.
    pub(super) fn or(self, other: Ways) -> Ways {
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
    pub(super) fn and(self, other: Ways) -> Ways {
        match (self, other) {
            (Ways::Met, other) => other,
            (this, Ways::Met) => this,
            (Ways::Dead(reasons), _) | (_, Ways::Dead(reasons)) => Ways::Dead(reasons),
            (this, Ways::Steps(_)) => this,
        }
    }

    /// No way, for a reason that is told elsewhere.
    pub(super) fn none() -> Ways {
        Ways::Dead(BTreeSet::new())
    }

    /// The same with every reason told as part of another.
    pub(super) fn explained(self, told: impl Fn(String) -> String) -> Ways {
        match self {
            Ways::Dead(reasons) => Ways::Dead(reasons.into_iter().map(told).collect()),
            ways => ways,
        }
    }
}
