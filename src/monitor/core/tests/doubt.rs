//! Tests of changes to down that are held back.

use super::*;

#[test]
fn a_silence_that_a_late_program_listened_to_takes_nothing_down() {
    let mut core = core(at_once);
    let (id, now) = one_up(&mut core, watch(0));
    let checks = due(&mut core, now + 1_001 * MS);
    let mut late = ended(checks[0], Status::TimedOut);
    late.verdict.elapsed_us = 3_000_000; // of a timeout of one second
    core.settle(&late, now + 4 * SECOND);
    assert_eq!((core.info(slot(&core, id)).state, core.held()), (State::Up, 1));
    // Judged by what is checked since: one such failure is enough for this watch.
    check_once(&mut core, now + 5 * SECOND + MS, Status::TimedOut);
    assert_eq!(changes(&mut core), [(State::Up, State::Down)]);
}

#[test]
fn a_late_schedule_makes_the_silences_of_that_time_doubtful_and_no_refusal() {
    for (status, state) in [(Status::TimedOut, State::Up), (Status::Refused, State::Down)] {
        let mut core = core(at_once);
        let (id, now) = one_up(&mut core, watch(0));
        let early = due(&mut core, now + 1_001 * MS);
        add(&mut core, watch(1), now + 1_001 * MS);
        assert_eq!(due(&mut core, now + 1_900 * MS).len(), 1, "900 ms too late");
        core.settle(&ended(early[0], status), now + 2_002 * MS);
        assert_eq!(core.info(slot(&core, id)).state, state);
    }
}

/// The only watch: while its check is in flight, no other is due that could be late.
#[test]
fn a_program_that_was_stopped_in_the_middle_of_a_check_does_not_believe_its_silence() {
    for (looks_ms, state) in [(&[600][..], State::Up), (&[250, 500, 750], State::Down), (&[], State::Up)] {
        let mut core = core(at_once);
        let (id, now) = one_up(&mut core, watch(0));
        let begun = now + 1_001 * MS;
        let checks = due(&mut core, begun);
        for ms in looks_ms {
            assert!(core.next_at().is_some_and(|at| at <= begun + ms * MS), "it is to look by then");
            assert_eq!(due(&mut core, begun + ms * MS), []);
        }
        core.settle(&ended(checks[0], Status::TimedOut), begun + SECOND);
        assert_eq!(core.info(slot(&core, id)).state, state, "looked after {looks_ms:?} ms");
    }
}

#[test]
fn while_too_many_would_be_down_none_goes_down() {
    let mut core = core(|config| {
        at_once(config);
        config.set_max_down_percent(50).unwrap();
    });
    let ids: Vec<u64> = (0..10).map(|number| add(&mut core, Watch { fall: 2, ..watch(number) }, START)).collect();
    let mut now = START;
    let mut round = |core: &mut Core, status: fn(usize) -> Status| {
        let checks = due(core, now);
        assert_eq!(checks.len(), 10);
        checks.into_iter().for_each(|tag| core.settle(&ended(tag, status(tag)), now));
        now += 1_001 * MS;
    };
    round(&mut core, |_| Status::Up);
    changes(&mut core);
    (0..6).for_each(|_| round(&mut core, |_| Status::Unreachable));
    assert_eq!(changes(&mut core), []);
    assert_eq!(core.held(), 30, "every second failure of each");
    // Half of them are really down, and are judged by two failures from now on.
    let half = |tag: usize| if tag.is_multiple_of(2) { Status::Refused } else { Status::Up };
    (0..3).for_each(|_| round(&mut core, half));
    let down = ids.iter().filter(|&&id| core.info(slot(&core, id)).state == State::Down);
    assert_eq!(down.count(), 5);
}

#[test]
fn of_few_watches_as_many_may_go_down_as_the_percentage_allows() {
    for (watches, percent, allowed) in
        [(1, 100, 1), (1, 99, 0), (2, 50, 1), (2, 49, 0), (3, 50, 1), (3, 67, 2), (4, 0, 0)]
    {
        let mut core = core(|config| {
            at_once(config);
            config.set_max_down_percent(percent).unwrap();
        });
        let up = |number| Watch { initial: State::Up, ..watch(number) };
        let ids: Vec<u64> = (0..watches).map(|number| add(&mut core, up(number), START)).collect();
        ids.iter().for_each(|&id| core.report(slot(&core, id), false, START).unwrap());
        assert_eq!(changes(&mut core).len(), allowed, "{watches} watches, {percent} %");
        assert_eq!(core.held(), u64::from(watches) - allowed as u64);
    }
}

#[test]
fn those_that_left_count_no_more() {
    let mut core = core(|config| {
        at_once(config);
        config.set_max_down_percent(50).unwrap();
    });
    let downs: Vec<u64> =
        (0..8).map(|number| add(&mut core, Watch { initial: State::Down, ..watch(number) }, START)).collect();
    let up = [8, 9].map(|number| add(&mut core, Watch { initial: State::Up, ..watch(number) }, START));
    core.report(slot(&core, up[0]), false, START).unwrap();
    assert_eq!((core.held(), changes(&mut core)), (1, Vec::new()));
    downs.iter().for_each(|&id| core.remove(slot(&core, id)));
    core.report(slot(&core, up[0]), false, START).unwrap();
    assert_eq!(changes(&mut core), [(State::Up, State::Down)]);
}

#[test]
fn a_doubtful_silence_is_none_of_the_failures_that_take_a_target_down() {
    let mut core = core(at_once);
    let (id, now) = one_up(&mut core, Watch { fall: 3, ..watch(0) });
    let state = |core: &Core| (core.info(slot(core, id)).state, core.held());
    let mut late = ended(due(&mut core, now + 1_001 * MS)[0], Status::TimedOut);
    late.verdict.elapsed_us = 3_000_000; // of a timeout of one second
    core.settle(&late, now + 4 * SECOND);
    for second in 1..=2 {
        check_once(&mut core, now + (4 + second) * SECOND + MS * second, Status::TimedOut);
        assert_eq!(state(&core), (State::Up, 0));
    }
    check_once(&mut core, now + 8 * SECOND, Status::TimedOut);
    assert_eq!(state(&core), (State::Down, 0));
}
