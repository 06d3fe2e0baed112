//! Tests of a schedule that has moved, as this program was late once.

use super::*;

/// A monitor that was late by so many milliseconds, and the time at which it goes on. Its clock is behind since then.
fn late_by(ms: u64) -> (Core, u64) {
    let mut core = core(at_once);
    let id = add(&mut core, watch(99), START + MS);
    let now = START + MS + ms * MS;
    check_once(&mut core, now, Status::Up);
    core.remove(slot(&core, id));
    changes(&mut core);
    assert_eq!(core.schedule.behind(), ms * MS);
    (core, now)
}

fn next_at(core: &Core, id: u64) -> u64 {
    core.info(slot(core, id)).next_us.unwrap() * 1_000
}

#[test]
fn when_the_next_check_is_due_is_told_as_it_is() {
    let (mut core, now) = late_by(2_000);
    let id = add(&mut core, watch(0), now);
    assert_eq!(next_at(&core, id), now);
    check_once(&mut core, now + MS, Status::Up);
    assert_eq!(next_at(&core, id), now + MS + SECOND, "from the end of the check");
}

#[test]
fn a_check_that_begins_a_little_late_has_its_next_one_in_its_time() {
    for late_ms in [500, 1_234, 2_000, 86_400_000] {
        let (mut core, now) = late_by(late_ms);
        let id = add(&mut core, watch(0), now);
        check_once(&mut core, now + 8 * MS, Status::Up);
        assert_eq!(next_at(&core, id), now + 1_001 * MS + 50_000, "late by {late_ms} ms before");
    }
}

#[test]
fn a_report_makes_the_next_check_earlier_and_never_later() {
    let (mut core, now) = late_by(2_000);
    let id = add(&mut core, Watch { falling_ms: 100, fall: 3, ..watch(0) }, now);
    check_once(&mut core, now, Status::Up);
    core.report(slot(&core, id), true, now + 500 * MS).unwrap();
    assert_eq!(next_at(&core, id), now + SECOND);
    core.report(slot(&core, id), false, now + 500 * MS).unwrap();
    assert_eq!(next_at(&core, id), now + 600 * MS);
    core.report(slot(&core, id), false, now + 550 * MS).unwrap();
    assert_eq!(next_at(&core, id), now + 600 * MS);
}

/// How much later than an interval after this program came back two checks are made whose latest ones began 20 ms after
/// each other, were under way while it was away for 4,950 ms, and took so long.
fn later_ms(status: Status, elapsed_ms: u64) -> [u64; 2] {
    let (mut core, now) = late_by(2_000);
    let ids = [0, 1].map(|number| {
        let began = now + u64::from(number) * 20 * MS;
        let id = add(&mut core, watch(number), began);
        (id, due(&mut core, began)[0])
    });
    add(&mut core, watch(2), now + 50 * MS);
    let back = now + 5_000 * MS;
    assert_eq!(due(&mut core, back).len(), 1, "by this one it is seen that all is late");
    ids.map(|(id, tag)| {
        let mut report = ended(tag, status);
        report.verdict.elapsed_us = elapsed_ms * 1_000;
        core.settle(&report, back);
        (next_at(&core, id) - (back + SECOND)) / MS
    })
}

#[test]
fn checks_that_were_under_way_while_the_program_was_away_keep_their_distance() {
    assert_eq!(later_ms(Status::Up, 300), [250, 270]);
    assert_eq!(later_ms(Status::Up, 10), [0, 0], "never earlier than an interval from now");
    assert_eq!(later_ms(Status::TimedOut, 4_990), [950, 970], "as if it had ended in its time, which is a second");
}

/// From when on the next interval runs of a check that is seen to have ended so many milliseconds after it began.
fn runs_from_us(seen_ms: u64) -> u64 {
    let (mut core, now) = late_by(2_000);
    let id = add(&mut core, watch(0), now);
    let checks = due(&mut core, now);
    core.settle(&ended(checks[0], Status::Up), now + seen_ms * MS);
    (next_at(&core, id) - SECOND - now) / 1_000
}

#[test]
fn an_interval_is_shorter_by_a_thirtieth_at_most() {
    assert_eq!([0, 20, 33].map(runs_from_us), [0, 50, 50], "it ended after 50 us, and was seen later");
    assert_eq!([34, 40, 400].map(runs_from_us), [34_000, 40_000, 400_000]);
}
