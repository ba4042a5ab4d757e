//! The restart policy of a service as a pure function: how it ended and how long it ran → what happens next.

use std::time::Duration;

use crate::config::Restart;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// A service that ran this long was well: its earlier failures are forgotten.
const WELL_AFTER: Duration = Duration::from_secs(10);

/// How a run of a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Exited(i32),
    Killed(i32),
    /// The program could not be started.
    NotStarted,
}

/// What comes after an ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start again after `delay`; `quick_ends` is to be handed in at the next ending.
    Restart {
        delay: Duration,
        quick_ends: u32,
    },
    Finished,
}

/// Decides what comes next. `quick_ends` counts the endings in a row that came before the service was well.
pub fn next(policy: Restart, ending: Ending, ran_for: Duration, quick_ends: u32) -> Next {
    let again = match policy {
        Restart::Always => true,
        Restart::OnFailure => ending != Ending::Exited(0),
        Restart::Never => false,
    };
    if !again {
        return Next::Finished;
    }
    let quick_ends = if ran_for >= WELL_AFTER { 0 } else { quick_ends };
    let factor = 1_u32.checked_shl(quick_ends).unwrap_or(u32::MAX);
    let delay = FIRST_DELAY.saturating_mul(factor).min(LONGEST_DELAY);
    Next::Restart { delay, quick_ends: quick_ends.saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let check = |policy, ending, again: bool| {
            let next = next(policy, ending, Duration::ZERO, 0);
            assert_eq!(next != Next::Finished, again, "{policy:?} {ending:?}");
        };
        check(Restart::Always, Ending::Exited(0), true);
        check(Restart::Always, Ending::Killed(9), true);
        check(Restart::OnFailure, Ending::Exited(0), false);
        check(Restart::OnFailure, Ending::Exited(1), true);
        check(Restart::OnFailure, Ending::Killed(15), true);
        check(Restart::OnFailure, Ending::NotStarted, true);
        check(Restart::Never, Ending::Exited(1), false);
        check(Restart::Never, Ending::NotStarted, false);
    }

    #[test]
    fn delays_double_up_to_a_limit_and_start_over_after_a_good_run() {
        let check = |ran_for_s, quick_ends, wanted_ms, wanted_ends| {
            let wanted = Next::Restart { delay: Duration::from_millis(wanted_ms), quick_ends: wanted_ends };
            let ran_for = Duration::from_secs(ran_for_s);
            assert_eq!(next(Restart::Always, Ending::Exited(1), ran_for, quick_ends), wanted);
        };
        check(0, 0, 100, 1);
        check(0, 1, 200, 2);
        check(9, 5, 3_200, 6);
        check(0, 9, 30_000, 10);
        check(0, 31, 30_000, 32);
        check(0, u32::MAX, 30_000, u32::MAX);
        check(10, 9, 100, 1);
    }
}
