//! Tests of how old an answer of the resolver a check takes, if its target is a name.

use super::*;

/// Nine tenths of the interval of `watch`.
const KEPT: u32 = 900;

/// Has the one watch checked once at this time. Returns how old an answer that check took.
fn age(core: &mut Core, now: u64, status: Status) -> u32 {
    let check = core.next_check(now).expect("a check that is due");
    core.settle(&ended(check.request.tag, status), now);
    check.name_age_ms
}

fn named(core: &mut Core) -> u32 {
    let target = "name.test:80".into();
    let paced = Watch { target, falling_ms: 100, rising_ms: 200, down_ms: 300, fall: 2, rise: 2, ..watch(0) };
    let id = add(core, paced, START);
    slot(core, id)
}

#[test]
fn one_that_was_kept_is_taken_only_after_a_check_that_was_up() {
    let mut core = core(at_once);
    let slot = named(&mut core);
    let mut now = START;
    let steps = [
        (Status::Up, 0, 0, State::Up),
        (Status::Up, 1_000, KEPT, State::Up),
        (Status::Refused, 1_000, KEPT, State::Up),
        (Status::Refused, 100, 0, State::Down),
        (Status::Refused, 300, 0, State::Down),
        (Status::Up, 300, 0, State::Down),
        (Status::TimedOut, 200, KEPT, State::Down),
        (Status::Up, 300, 0, State::Down),
        (Status::Unresolved, 200, KEPT, State::Down), // no verdict: the same pace
        (Status::Up, 200, 0, State::Up),
        (Status::Busy, 1_000, KEPT, State::Up),
        (Status::Up, 1_000, 0, State::Up),
        (Status::Up, 1_000, KEPT, State::Up),
    ];
    for (step, (status, after_ms, taken, state)) in steps.into_iter().enumerate() {
        now += (after_ms + 1) * MS;
        assert_eq!(age(&mut core, now, status), taken, "step {step}");
        assert_eq!(core.info(slot).state, state);
    }
}

#[test]
fn none_that_was_kept_is_taken_by_a_check_that_was_asked_for() {
    let mut core = core(at_once);
    let slot = named(&mut core);
    assert_eq!(age(&mut core, START, Status::Up), 0);
    core.check_now(slot, START);
    assert_eq!(age(&mut core, START, Status::Up), 0);
    // While one is in flight: it is the one after that which was asked for.
    let check = core.next_check(START + 1_001 * MS).unwrap();
    assert_eq!(check.name_age_ms, KEPT);
    core.check_now(slot, START + 1_001 * MS);
    core.settle(&ended(check.request.tag, Status::Up), START + 1_002 * MS);
    assert_eq!(age(&mut core, START + 1_003 * MS, Status::Up), 0);
    assert_eq!(age(&mut core, START + 2_004 * MS, Status::Up), KEPT);
    // Also if the watch is paused.
    core.pause(slot, true, START + 2_005 * MS);
    core.check_now(slot, START + 2_006 * MS);
    assert_eq!(age(&mut core, START + 2_007 * MS, Status::Up), 0);
}

#[test]
fn nor_by_one_that_follows_a_failure_which_was_reported() {
    let mut core = core(at_once);
    let slot = named(&mut core);
    age(&mut core, START, Status::Up);
    core.report(slot, true, START).unwrap();
    assert_eq!(age(&mut core, START + 1_001 * MS, Status::Up), KEPT);
    core.report(slot, false, START + 1_002 * MS).unwrap();
    core.report(slot, true, START + 1_003 * MS).unwrap();
    assert_eq!(age(&mut core, START + 1_200 * MS, Status::Up), 0);
}
