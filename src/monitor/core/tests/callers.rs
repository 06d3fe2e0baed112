//! Tests of monitors that callers drive, who look when they have time.

use super::*;

/// Each has its interval, and as much more as the callers are late.
#[test]
fn callers_who_look_ten_times_a_second_have_all_watches_checked() {
    let mut core = Core::new(MonitorConfig::default(), Looks::Callers, START);
    let ids: Vec<u64> = (0..1_000).map(|number| add(&mut core, watch(number), START)).collect();
    for tenth in 1..=100 {
        let now = START + tenth * 100 * MS;
        for tag in due(&mut core, now) {
            core.settle(&ended(tag, Status::Up), now);
        }
    }
    let checks = ids.iter().map(|&id| core.info(slot(&core, id)).checks);
    let few: Vec<u32> = checks.filter(|checks| !(9..=10).contains(checks)).collect();
    assert_eq!(few, [], "each second, and up to a tenth later");
}

/// A caller who was away for longer has no burst for it either.
#[test]
fn after_a_stop_they_begin_no_more_than_a_quarter_of_a_second_at_once() {
    let mut core = Core::new(MonitorConfig::default(), Looks::Callers, START);
    for number in 0..1_000 {
        add(&mut core, watch(number), START);
    }
    let most = due(&mut core, START + 900 * MS).len();
    assert!(most <= 251, "{most} of a thousand that are spread over a second");
}

/// The state of a watch whose check has a second for its answer, and gets none, when callers look so many milliseconds
/// after it began. Maybe another check is due half a second after it began.
fn after_a_silence(looks_ms: &[u64], has_other: bool) -> State {
    let mut config = MonitorConfig::default();
    at_once(&mut config);
    let mut core = Core::new(config, Looks::Callers, START);
    if has_other {
        add(&mut core, watch(1), START);
        check_once(&mut core, START, Status::Up);
    }
    let begun = START + 500 * MS;
    let id = add(&mut core, Watch { initial: State::Up, ..watch(0) }, begun);
    let checks = due(&mut core, begun);
    assert_eq!(checks.len(), 1);
    looks_ms.iter().for_each(|ms| drop(due(&mut core, begun + ms * MS)));
    let last = looks_ms.last().expect("somebody looks");
    let mut report = ended(checks[0], Status::TimedOut);
    report.verdict.elapsed_us = last * 1_000;
    core.settle(&report, begun + last * MS);
    core.info(slot(&core, id)).state
}

#[test]
fn of_callers_who_are_late_by_more_than_200_ms_no_silence_takes_a_target_down() {
    for has_other in [false, true] {
        assert_eq!(after_a_silence(&[200, 400, 600, 800, 1_000], has_other), State::Down);
        assert_eq!(after_a_silence(&[350, 700, 1_050, 1_200], has_other), State::Down, "late by 200 ms at most");
        assert_eq!(after_a_silence(&[400, 800, 1_201], has_other), State::Up, "the end was late");
        assert_eq!(after_a_silence(&[270, 540, 1_000], has_other), State::Up, "away for more than 450 ms");
    }
    assert_eq!(after_a_silence(&[400, 703, 1_000], false), State::Down);
    assert_eq!(after_a_silence(&[400, 703, 1_000], true), State::Up, "another began late");
}
