//! Tests of the transitions: tables for HAProxy, Envoy and keepalived, from what their manuals say, and what holds of
//! any verdicts.

use proptest::prelude::*;

use super::Pace::{Down as WhileDown, Falling, Rising, Steady};
use super::State::{Down, Unknown, Up};
use super::*;

const SUCCESS: bool = true;
const FAILURE: bool = false;

/// A verdict, the state that it leads to, and the pace of the next check.
type Row = (bool, State, Pace);

#[track_caller]
fn assert_steps(initial: State, thresholds: &Thresholds, rows: &[Row]) {
    let mut hysteresis = Hysteresis::new(initial);
    for (number, &(is_up, state, pace)) in (1..).zip(rows) {
        hysteresis = hysteresis.after(is_up, thresholds);
        assert_eq!((hysteresis.state(), hysteresis.pace()), (state, pace), "after verdict {number}");
    }
}

/// HAProxy's `rise` and `fall`. Steady is `inter`, falling and rising are `fastinter`, down is `downinter`.
mod haproxy {
    use super::*;

    /// `rise 2 fall 3`, the defaults.
    const DEFAULTS: Thresholds = Thresholds { fall: 3, rise: 2, first_fall: 1, first_rise: 1 };

    #[test]
    fn init_state_up_falls_at_a_first_failure_and_then_counts() {
        let rows = [
            (FAILURE, Down, WhileDown),
            (FAILURE, Down, WhileDown),
            (SUCCESS, Down, Rising),
            (FAILURE, Down, WhileDown),
            (SUCCESS, Down, Rising),
            (SUCCESS, Up, Steady),
            (FAILURE, Up, Falling),
            (FAILURE, Up, Falling),
            (SUCCESS, Up, Steady),
            (FAILURE, Up, Falling),
            (FAILURE, Up, Falling),
            (FAILURE, Down, WhileDown),
        ];
        assert_steps(Up, &DEFAULTS, &rows);
    }

    #[test]
    fn init_state_up_needs_all_failures_after_a_first_success() {
        let rows = [
            (SUCCESS, Up, Steady),
            (FAILURE, Up, Falling),
            (FAILURE, Up, Falling),
            (FAILURE, Down, WhileDown),
            (SUCCESS, Down, Rising),
            (SUCCESS, Up, Steady),
        ];
        assert_steps(Up, &DEFAULTS, &rows);
    }

    #[test]
    fn init_state_fully_up_needs_all_failures_at_once() {
        let thresholds = Thresholds { first_fall: 3, ..DEFAULTS };
        let rows = [(FAILURE, Up, Falling), (FAILURE, Up, Falling), (FAILURE, Down, WhileDown)];
        assert_steps(Up, &thresholds, &rows);
    }

    #[test]
    fn init_state_down_rises_at_a_first_success() {
        let rows = [(SUCCESS, Up, Steady), (FAILURE, Up, Falling), (SUCCESS, Up, Steady)];
        assert_steps(Down, &DEFAULTS, &rows);
        let rows = [(FAILURE, Down, WhileDown), (SUCCESS, Down, Rising), (SUCCESS, Up, Steady), (FAILURE, Up, Falling)];
        assert_steps(Down, &DEFAULTS, &rows);
    }

    #[test]
    fn init_state_fully_down_needs_all_successes() {
        let thresholds = Thresholds { first_rise: 2, ..DEFAULTS };
        let rows =
            [(SUCCESS, Down, Rising), (FAILURE, Down, WhileDown), (SUCCESS, Down, Rising), (SUCCESS, Up, Steady)];
        assert_steps(Down, &thresholds, &rows);
    }
}

/// Envoy's thresholds. Steady is `interval`, falling `unhealthy_edge_interval`, rising `healthy_edge_interval`, down
/// `unhealthy_interval`. A host begins unhealthy, and one success is enough for the very first verdict.
mod envoy {
    use super::*;

    /// `unhealthy_threshold: 2`, `healthy_threshold: 3`.
    const THRESHOLDS: Thresholds = Thresholds { fall: 2, rise: 3, first_fall: 1, first_rise: 1 };

    #[test]
    fn one_success_is_enough_at_startup() {
        let rows = [
            (SUCCESS, Up, Steady),
            (SUCCESS, Up, Steady),
            (FAILURE, Up, Falling),
            (SUCCESS, Up, Steady),
            (FAILURE, Up, Falling),
            (FAILURE, Down, WhileDown),
        ];
        assert_steps(Down, &THRESHOLDS, &rows);
    }

    /// The example that stands in its sources beside the choice of the interval.
    #[test]
    fn an_unhealthy_host_is_checked_at_the_edge_interval_until_it_has_all_successes() {
        let rows = [
            (FAILURE, Down, WhileDown),
            (SUCCESS, Down, Rising),
            (SUCCESS, Down, Rising),
            (SUCCESS, Up, Steady),
            (SUCCESS, Up, Steady),
        ];
        assert_steps(Down, &THRESHOLDS, &rows);
    }

    #[test]
    fn a_failure_starts_the_count_of_successes_anew() {
        let rows = [
            (FAILURE, Down, WhileDown),
            (SUCCESS, Down, Rising),
            (SUCCESS, Down, Rising),
            (FAILURE, Down, WhileDown),
            (SUCCESS, Down, Rising),
            (SUCCESS, Down, Rising),
            (SUCCESS, Up, Steady),
            (FAILURE, Up, Falling),
            (FAILURE, Down, WhileDown),
        ];
        assert_steps(Down, &THRESHOLDS, &rows);
    }
}

/// keepalived's `retry`, so that fall is one more; one success is always enough. Steady and down are `delay_loop`, falling
/// is `delay_before_retry`.
mod keepalived {
    use super::*;

    /// `retry 2`.
    const RETRY: Thresholds = Thresholds { fall: 3, rise: 1, first_fall: 3, first_rise: 1 };

    #[test]
    fn a_server_is_removed_after_its_retries_and_comes_back_with_one_success() {
        let rows = [
            (FAILURE, Up, Falling),
            (FAILURE, Up, Falling),
            (FAILURE, Down, WhileDown),
            (FAILURE, Down, WhileDown),
            (SUCCESS, Up, Steady),
            (FAILURE, Up, Falling),
            (SUCCESS, Up, Steady),
            (FAILURE, Up, Falling),
            (FAILURE, Up, Falling),
            (FAILURE, Down, WhileDown),
        ];
        assert_steps(Up, &RETRY, &rows);
    }

    #[test]
    fn with_alpha_a_server_is_down_until_its_first_success() {
        let rows = [(FAILURE, Down, WhileDown), (SUCCESS, Up, Steady), (FAILURE, Up, Falling)];
        assert_steps(Down, &RETRY, &rows);
    }

    #[test]
    fn without_retries_each_failure_is_the_last_straw() {
        let thresholds = Thresholds { fall: 1, rise: 1, first_fall: 1, first_rise: 1 };
        let rows = [(FAILURE, Down, WhileDown), (SUCCESS, Up, Steady), (FAILURE, Down, WhileDown)];
        assert_steps(Up, &thresholds, &rows);
    }
}

#[test]
fn an_unknown_target_is_checked_at_the_pace_of_its_latest_verdict() {
    let thresholds = Thresholds { fall: 3, rise: 2, first_fall: 2, first_rise: 2 };
    assert_eq!(Hysteresis::new(Unknown).pace(), Steady);
    let rows = [
        (SUCCESS, Unknown, Rising),
        (FAILURE, Unknown, Steady),
        (SUCCESS, Unknown, Rising),
        (SUCCESS, Up, Steady),
        (FAILURE, Up, Falling),
    ];
    assert_steps(Unknown, &thresholds, &rows);
    assert_steps(Unknown, &thresholds, &[(FAILURE, Unknown, Steady), (FAILURE, Down, WhileDown)]);
}

#[test]
fn a_doubted_failure_leaves_the_state_and_starts_the_count_anew() {
    let thresholds = Thresholds { fall: 2, rise: 2, first_fall: 1, first_rise: 1 };
    let failing = Hysteresis::new(Unknown).after(SUCCESS, &thresholds).after(FAILURE, &thresholds);
    let doubted = failing.doubted();
    assert_eq!((doubted.state(), doubted.run(), doubted.pace()), (Up, 0, Falling));
    assert!(doubted.may_be_down());
    let again = doubted.after(FAILURE, &thresholds);
    assert_eq!((again.state(), again.run()), (Up, 1));
    assert_eq!(again.after(FAILURE, &thresholds).state(), Down);
    assert!(!doubted.after(SUCCESS, &thresholds).may_be_down());
}

#[test]
fn a_doubted_failure_after_successes_has_the_next_check_made_at_the_pace_of_failures() {
    let thresholds = Thresholds { fall: 3, rise: 2, first_fall: 3, first_rise: 1 };
    let doubted = Hysteresis::new(Unknown).after(SUCCESS, &thresholds).doubted();
    assert_eq!((doubted.state(), doubted.pace(), doubted.may_be_down()), (Up, Falling, true));
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    (1..6u32, 1..6u32, 1..6u32, 1..6u32).prop_map(|(fall, rise, first_fall, first_rise)| Thresholds {
        fall,
        rise,
        first_fall,
        first_rise,
    })
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![Just(Unknown), Just(Up), Just(Down)]
}

/// How many verdicts at the end of the list agree with its last.
fn run_at_end(verdicts: &[bool]) -> u32 {
    verdicts.iter().rev().take_while(|&is_up| Some(is_up) == verdicts.last()).count() as u32
}

proptest! {
    /// Against the whole list of verdicts, read anew each time.
    #[test]
    fn the_state_is_that_of_the_latest_run_that_was_long_enough(
        initial in state(),
        thresholds in thresholds(),
        verdicts in proptest::collection::vec(any::<bool>(), 0..80),
    ) {
        let first = (1..=verdicts.len()).find(|&end| {
            let needed = if verdicts[end - 1] { thresholds.first_rise } else { thresholds.first_fall };
            run_at_end(&verdicts[..end]) >= needed
        });
        let decided = |end: &usize| {
            let needed = if verdicts[end - 1] { thresholds.rise } else { thresholds.fall };
            Some(*end) == first || first.is_some_and(|first| *end > first) && run_at_end(&verdicts[..*end]) >= needed
        };
        let mut hysteresis = Hysteresis::new(initial);
        for end in 1..=verdicts.len() {
            hysteresis = hysteresis.after(verdicts[end - 1], &thresholds);
            let expected = match (1..=end).rev().find(decided) {
                Some(end) if verdicts[end - 1] => Up,
                Some(_) => Down,
                None => initial,
            };
            prop_assert_eq!(hysteresis.state(), expected);
            prop_assert_eq!(hysteresis.run(), run_at_end(&verdicts[..end]));
        }
    }

    #[test]
    fn a_verdict_changes_the_state_to_its_own_side_or_not_at_all(
        initial in state(),
        thresholds in thresholds(),
        verdicts in proptest::collection::vec(any::<bool>(), 0..80),
    ) {
        let mut hysteresis = Hysteresis::new(initial);
        for is_up in verdicts {
            let next = hysteresis.after(is_up, &thresholds);
            let own_side = if is_up { Up } else { Down };
            prop_assert!(next.state() == hysteresis.state() || next.state() == own_side);
            prop_assert_eq!(next.may_be_down(), !is_up || next.state() == Down);
            let paces = match (next.state(), is_up) {
                (Up, true) => Steady,
                (Up, false) => Falling,
                (Down | Unknown, true) => Rising,
                (Down, false) => WhileDown,
                (Unknown, false) => Steady,
            };
            prop_assert_eq!(next.pace(), paces);
            hysteresis = next;
        }
    }

    #[test]
    fn doubting_never_changes_the_state_and_costs_a_whole_run_of_failures(
        initial in state(),
        thresholds in thresholds(),
        verdicts in proptest::collection::vec(any::<bool>(), 0..40),
    ) {
        let before = verdicts.iter().fold(Hysteresis::new(initial), |hysteresis, &is_up| {
            hysteresis.after(is_up, &thresholds)
        });
        let mut doubted = before.doubted();
        prop_assert_eq!(doubted.state(), before.state());
        let needed = if before.is_first { thresholds.first_fall } else { thresholds.fall };
        for _ in 1..needed {
            doubted = doubted.after(FAILURE, &thresholds);
            prop_assert_eq!(doubted.state(), before.state());
        }
        prop_assert_eq!(doubted.after(FAILURE, &thresholds).state(), Down);
    }
}
