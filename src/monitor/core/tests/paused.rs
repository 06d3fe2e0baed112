//! Tests of watches that are paused, and of checks that are asked for.

use super::*;

#[test]
fn a_paused_watch_has_no_checks_but_those_it_is_asked_for() {
    let mut core = core(at_once);
    let (id, _) = one_up(&mut core, watch(0));
    let slot = slot(&core, id);
    core.pause(slot, true, START);
    assert_eq!(core.next_at(), None);
    core.check_now(slot, START + SECOND);
    check_once(&mut core, START + SECOND, Status::Refused);
    assert_eq!(changes(&mut core), [(State::Up, State::Down)]);
    assert_eq!(core.next_at(), None);
    core.report(slot, true, START + SECOND).unwrap();
    assert_eq!(changes(&mut core), [(State::Down, State::Up)]);
    assert_eq!(core.next_at(), None);
    core.pause(slot, false, START + 2 * SECOND);
    check_once(&mut core, START + 2 * SECOND, Status::Up);
    assert!(core.next_at().is_some());
}

#[test]
fn a_check_that_was_paused_in_flight_counts_for_nothing() {
    let mut core = core(at_once);
    let (id, _) = one_up(&mut core, watch(0));
    let checks = due(&mut core, START + 1_001 * MS);
    core.pause(slot(&core, id), true, START);
    core.settle(&ended(checks[0], Status::Refused), START + 2 * SECOND);
    assert_eq!(changes(&mut core), []);
    assert_eq!(core.info(slot(&core, id)).checks, 1);
    assert_eq!(core.next_at(), None);
}

#[test]
fn check_now_while_one_is_in_flight_makes_one_more_at_its_end() {
    let mut core = core(at_once);
    let id = add(&mut core, watch(0), START);
    let checks = due(&mut core, START);
    core.check_now(slot(&core, id), START);
    core.check_now(slot(&core, id), START);
    assert_eq!(due(&mut core, START + MS), []);
    core.settle(&ended(checks[0], Status::Up), START + MS);
    check_once(&mut core, START + 2 * MS, Status::Up);
    assert_eq!(due(&mut core, START + 900 * MS), []);
}

#[test]
fn a_check_that_a_paused_watch_asks_for_is_made_though_the_others_of_its_target_are_paused_too() {
    let mut core = core(at_once);
    let ids = [0, 1].map(|_| add(&mut core, watch(0), START));
    core.pause(slot(&core, ids[0]), true, START);
    core.check_now(slot(&core, ids[0]), START);
    core.pause(slot(&core, ids[1]), true, START);
    check_once(&mut core, START, Status::Up);
    assert_eq!(ids.map(|id| core.info(slot(&core, id)).checks), [1, 0]);
    assert_eq!(core.next_at(), None);
}

#[test]
fn nobody_is_checked_for_a_watch_that_is_paused_or_removed_after_it_asked() {
    let ask: [fn(&mut Core, u32); 4] = [
        |core, slot| {
            core.check_now(slot, START);
            core.pause(slot, true, START);
        },
        |core, slot| {
            core.pause(slot, true, START);
            core.check_now(slot, START);
            core.pause(slot, false, START);
            core.pause(slot, true, START);
        },
        |core, slot| {
            core.check_now(slot, START);
            core.remove(slot);
        },
        |core, slot| {
            core.pause(slot, true, START);
            core.check_now(slot, START);
            core.remove(slot);
        },
    ];
    for (number, ask) in ask.into_iter().enumerate() {
        for is_in_flight in [false, true] {
            let mut core = core(at_once);
            // Another watch shares the probe, and keeps it, but is paused itself.
            let ids = [0, 1].map(|_| add(&mut core, watch(0), START));
            let checks = if is_in_flight { due(&mut core, START) } else { Vec::new() };
            core.pause(slot(&core, ids[1]), true, START);
            let asking = slot(&core, ids[0]);
            ask(&mut core, asking);
            checks.into_iter().for_each(|tag| core.settle(&ended(tag, Status::Up), START));
            assert_eq!(due(&mut core, START + SECOND), [], "way {number}, one in flight: {is_in_flight}");
            assert_eq!(core.next_at(), None);
        }
    }
}

#[test]
fn a_paused_watch_has_the_check_that_it_asked_for_however_often_others_ask() {
    let mut core = core(at_once);
    let ids = [0, 1].map(|_| add(&mut core, watch(0), START));
    let slots = ids.map(|id| slot(&core, id));
    core.pause(slots[0], true, START);
    core.check_now(slots[0], START);
    for number in 0..3u64 {
        let checks = due(&mut core, START + number * MS);
        core.check_now(slots[1], START);
        core.settle(&ended(checks[0], Status::Up), START + number * MS);
    }
    assert_eq!(slots.map(|slot| core.info(slot).checks), [1, 3]);
}

#[test]
fn a_paused_watch_that_asks_while_one_is_in_flight_has_the_next() {
    let mut core = core(at_once);
    let id = add(&mut core, watch(0), START);
    let slot = slot(&core, id);
    let checks = due(&mut core, START);
    core.pause(slot, true, START);
    core.check_now(slot, START);
    core.check_now(slot, START);
    core.settle(&ended(checks[0], Status::Refused), START);
    assert_eq!(core.info(slot).checks, 0);
    check_once(&mut core, START, Status::Up);
    assert_eq!(changes(&mut core), [(State::Unknown, State::Up)]);
    assert_eq!(core.next_at(), None);
}

#[test]
fn nobody_is_checked_for_a_paused_watch_any_more_after_the_check_that_it_asked_for() {
    let mut core = core(at_once);
    let ids = [0, 1].map(|_| add(&mut core, watch(0), START));
    let slots = ids.map(|id| slot(&core, id));
    core.pause(slots[0], true, START);
    core.check_now(slots[0], START);
    check_once(&mut core, START, Status::Up);
    assert_eq!(slots.map(|slot| core.info(slot).checks), [1, 1]);
    core.pause(slots[1], true, START);
    assert_eq!(core.next_at(), None);
}

#[test]
fn nobody_is_checked_where_whoever_asked_for_one_more_check_was_paused_meanwhile() {
    let mut core = core(at_once);
    let ids = [0, 1].map(|_| add(&mut core, watch(0), START));
    let slots = ids.map(|id| slot(&core, id));
    core.pause(slots[0], true, START);
    core.check_now(slots[0], START);
    let checks = due(&mut core, START);
    core.check_now(slots[1], START);
    core.pause(slots[1], true, START);
    core.settle(&ended(checks[0], Status::Up), START);
    assert_eq!(slots.map(|slot| core.info(slot).checks), [1, 0]);
    assert_eq!(core.next_at(), None);
}

#[test]
fn a_report_about_a_paused_watch_makes_no_check_earlier() {
    let mut core = core(at_once);
    let ids = [0, 1].map(|_| add(&mut core, Watch { falling_ms: 100, fall: 3, ..watch(0) }, START));
    let slots = ids.map(|id| slot(&core, id));
    check_once(&mut core, START, Status::Up);
    let next_us = core.info(slots[1]).next_us;
    core.pause(slots[0], true, START);
    core.report(slots[0], false, START + MS).unwrap();
    assert_eq!(core.info(slots[1]).next_us, next_us);
    core.report(slots[1], false, START + MS).unwrap();
    assert_eq!(core.info(slots[1]).next_us, Some((START + 101 * MS) / 1_000));
}

#[test]
fn when_a_paused_watch_has_its_next_check_is_told_only_if_it_asked_for_it() {
    let mut core = core(at_once);
    let ids = [0, 1].map(|_| add(&mut core, watch(0), START));
    let slots = ids.map(|id| slot(&core, id));
    check_once(&mut core, START, Status::Up);
    core.pause(slots[0], true, START);
    let next = |core: &Core| slots.map(|slot| core.info(slot).next_us);
    assert_eq!(next(&core), [None, Some((START + SECOND) / 1_000)]);
    core.check_now(slots[0], START + MS);
    assert_eq!(next(&core), [Some((START + MS) / 1_000); 2]);
}

#[test]
fn a_paused_watch_that_is_removed_leaves_the_others_of_its_target_their_checks() {
    let mut core = core(at_once);
    let ids = [0, 1].map(|_| add(&mut core, watch(0), START));
    core.pause(slot(&core, ids[0]), true, START);
    core.remove(slot(&core, ids[0]));
    check_once(&mut core, START, Status::Up);
    assert!(core.next_at().is_some());
}
