//! Tests of failures made while too many watches failed, when that is over.

use super::*;

/// Watches that are up, of which half may go down. Each needs so many failures for that.
fn up<const N: usize>(falls: [u32; N]) -> (Core, [u32; N]) {
    let mut core = core(|config| {
        at_once(config);
        config.set_max_down_percent(50).unwrap();
    });
    let mut number = 0;
    let slots = falls.map(|fall| {
        number += 1;
        let up = Watch { initial: State::Up, fall, first_fall: fall, ..watch(number) };
        let id = add(&mut core, up, START);
        slot(&core, id)
    });
    (core, slots)
}

fn fail(core: &mut Core, slots: &[u32], now: u64) {
    slots.iter().for_each(|&slot| core.report(slot, false, now).unwrap());
}

fn succeed(core: &mut Core, slots: &[u32], now: u64) {
    slots.iter().for_each(|&slot| core.report(slot, true, now).unwrap());
}

/// How many failures it still takes until the watch is down.
fn failures_until_down(core: &mut Core, slot: u32, mut now: u64) -> u32 {
    let mut failures = 0;
    while core.info(slot).state != State::Down {
        now += MS;
        fail(core, &[slot], now);
        failures += 1;
    }
    failures
}

#[test]
fn failures_made_while_too_many_failed_do_not_count_with_those_made_since() {
    for failures in 0..7 {
        let (mut core, slots) = up([3; 4]);
        for second in 1..3 {
            fail(&mut core, &slots, START + second * SECOND);
        }
        for second in 0..failures {
            fail(&mut core, &slots[..1], START + (3 + second) * SECOND);
        }
        succeed(&mut core, &slots[1..], START + 20 * SECOND);
        assert_eq!(failures_until_down(&mut core, slots[0], START + 21 * SECOND), 3, "after {failures} more");
        assert_eq!(core.held(), failures.div_ceil(3));
    }
}

#[test]
fn nor_does_one_made_before_too_many_were_found_to_fail() {
    let (mut core, slots) = up([2; 4]);
    for (number, &slot) in slots.iter().enumerate() {
        fail(&mut core, &[slot], START + number as u64 * SECOND);
    }
    succeed(&mut core, &slots[1..], START + 5 * SECOND);
    assert_eq!(failures_until_down(&mut core, slots[0], START + 6 * SECOND), 2);
}

#[test]
fn while_no_more_fail_than_may_all_failures_count() {
    let (mut core, slots) = up([3; 4]);
    for second in 1..3 {
        fail(&mut core, &slots[..2], START + second * SECOND);
    }
    assert_eq!(failures_until_down(&mut core, slots[0], START + 3 * SECOND), 1);
    assert_eq!(failures_until_down(&mut core, slots[1], START + 3 * SECOND), 1);
    assert_eq!(core.held(), 0);
}

#[test]
fn a_check_that_began_while_too_many_failed_takes_nothing_down_though_it_ends_afterwards() {
    for fall in 1..4 {
        let (mut core, slots) = up([fall, 4, 4, 4]);
        let checks = due(&mut core, START);
        fail(&mut core, &slots[1..], START + 100 * MS);
        succeed(&mut core, &slots[1..], START + 800 * MS);
        core.settle(&ended(checks[0], Status::Unreachable), START + SECOND);
        assert_eq!(core.held(), u64::from(fall == 1));
        assert_eq!(failures_until_down(&mut core, slots[0], START + 2 * SECOND), fall);
    }
}

/// The last failure does not tell when it was over: an answer does.
#[test]
fn it_is_over_when_answers_say_so_and_not_at_the_last_failure() {
    let (mut core, slots) = up([1, 4, 4, 4]);
    let first = due(&mut core, START);
    core.settle(&ended(first[0], Status::Up), START);
    fail(&mut core, &slots[1..], START + 100 * MS);
    core.check_now(slots[0], START + 200 * MS);
    let begun = due(&mut core, START + 200 * MS);
    assert_eq!(begun, first[..1]);
    succeed(&mut core, &slots[1..], START + 800 * MS);
    core.settle(&ended(begun[0], Status::Refused), START + 900 * MS);
    assert_eq!((core.info(slots[0]).state, core.held()), (State::Up, 1));
    check_once(&mut core, START + 1_901 * MS, Status::Refused);
    assert_eq!(core.info(slots[0]).state, State::Down);
}

#[test]
fn of_one_that_was_down_before_the_failures_are_counted_on() {
    let (mut core, slots) = up([1, 4, 4, 4]);
    fail(&mut core, &slots[..1], START);
    assert_eq!(core.info(slots[0]).state, State::Down);
    fail(&mut core, &slots, START + SECOND);
    succeed(&mut core, &slots[1..], START + 2 * SECOND);
    fail(&mut core, &slots[..1], START + 3 * SECOND);
    assert_eq!((core.info(slots[0]).state, core.info(slots[0]).run), (State::Down, 3));
}
