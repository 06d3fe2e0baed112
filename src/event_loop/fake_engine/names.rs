//! Checks of names, whose addresses the tests tell by hand.

use super::*;
use crate::event_loop::race_event::RaceEvent;
use crate::resolver::NOT_IN_TIME;

/// A loop whose resolver answers nothing by itself.
fn bench(syn_interval_ms: u32) -> Bench {
    let bench = Bench::new(config(syn_interval_ms), 8);
    bench.shared.resolver.close();
    bench
}

/// Submits checks of names, the first of this id.
fn submit_names(bench: &Bench, first_id: u64, count: usize, timeout_ms: u32, paced: bool) {
    let (submitted, close_mode) = (clock::now(), CloseMode::HALF_OPEN);
    let terms = Terms { submitted, timeout_ms, close_mode, mark: 0, paced, has_token: false, syns: 0 };
    let target = || Target::parse(b"never-asked.invalid:80");
    let check = |id| SubmittedCheck { id, tag: 0, target: target(), family: Family::V4, name_age_ms: 0, terms };
    let sink = Sink::Queue(bench.shared.completions.clone());
    let checks = (first_id..).take(count).map(check).collect();
    bench.handle.inbox.give(Command::Batch { sink, checks }).unwrap();
}

/// Tells the addresses of a race; each race of these tests has the generation after its slot's number.
fn resolve(bench: &Bench, race: u32, addresses: Result<&[u8], i32>) {
    let address = |last: &u8| ([127, 0, 0, *last], 80).into();
    let addresses = addresses.map(|lasts| lasts.iter().map(address).collect());
    bench.handle.inbox.leave(Command::Resolved { race, generation: race + 1, addresses });
}

fn statuses(bench: &Bench) -> Vec<(u64, Status, i32)> {
    let mut all: Vec<_> =
        bench.reports().iter().map(|report| (report.id, report.verdict.status, report.verdict.os_error)).collect();
    all.sort_unstable_by_key(|one| one.0);
    all
}

#[test]
fn a_name_without_addresses_by_the_deadline_is_unresolved_then() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 2, 500, false);
    bench.run_until(499);
    assert_eq!((bench.event_loop.races.resolving(), bench.reports().len()), (2, 0));
    assert!(!bench.event_loop.races.is_empty());
    bench.run_until(500);
    let reports = bench.reports();
    assert_eq!(reports.len(), 2);
    for Report { verdict, .. } in reports {
        let said = (verdict.status, verdict.os_error, verdict.elapsed_us);
        assert_eq!(said, (Status::Unresolved, NOT_IN_TIME, 500_000));
    }
    assert!(bench.event_loop.races.is_empty() && bench.event_loop.races.resolving() == 0);
}

#[test]
fn a_name_that_cannot_be_resolved_is_unresolved_at_once() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 1, 500, false);
    bench.run_until(20);
    resolve(&bench, 0, Err(-2));
    bench.run_until(20);
    assert_eq!(statuses(&bench), [(1, Status::Unresolved, -2)]);
}

#[test]
fn addresses_that_come_too_late_or_for_an_earlier_check_of_the_place_are_nothing() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 2, 500, false);
    bench.run_until(0);
    bench.handle.inbox.leave(Command::Resolved { race: 0, generation: 7, addresses: Err(-2) });
    bench.run_until(10);
    assert!(bench.reports().is_empty(), "of an earlier check of the place");
    clock::by_hand::set(BEGIN + 500 * MS);
    resolve(&bench, 0, Ok(&[1]));
    resolve(&bench, 1, Ok(&[1]));
    bench.run_until(510);
    let unresolved = |id| (id, Status::Unresolved, NOT_IN_TIME);
    assert_eq!(statuses(&bench), [unresolved(1), unresolved(2)]);
    assert!(bench.sent().is_empty());
}

#[test]
fn the_next_address_has_its_turn_after_a_quarter_of_a_second_if_there_is_time() {
    for (timeout_ms, sent) in
        [(260, vec![10]), (261, vec![10, 260]), (511, vec![10, 260, 510]), (900, vec![10, 260, 510])]
    {
        let mut bench = bench(0);
        submit_names(&bench, 1, 1, timeout_ms, false);
        bench.run_until(10);
        resolve(&bench, 0, Ok(&[1, 2, 3]));
        bench.run_until(10);
        assert_eq!(bench.event_loop.races.resolving(), 0);
        bench.run_until(u64::from(timeout_ms));
        assert_eq!(bench.sent(), sent, "{timeout_ms} ms");
        assert_eq!(statuses(&bench), [(1, Status::TimedOut, 0)]);
        assert!(bench.event_loop.races.is_empty());
    }
}

#[test]
fn the_first_address_that_answers_is_the_verdict_and_the_others_end() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 1, 900, false);
    bench.run_until(10);
    resolve(&bench, 0, Ok(&[1, 2, 3]));
    bench.wire.borrow_mut().answers.push((BEGIN + 300 * MS, 1));
    bench.run_until(900);
    assert_eq!(bench.sent(), [10, 260]);
    assert_eq!(statuses(&bench), [(1, Status::Up, 0)]);
    assert_eq!(bench.event_loop.checks.table.len(), 0);
}

#[test]
fn a_cancelled_name_ends_and_those_that_are_submitted_later_go_on() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 3, 500, false);
    bench.run_until(10);
    resolve(&bench, 1, Ok(&[1]));
    [77, 3].into_iter().for_each(|id| bench.handle.inbox.give(Command::Cancel(id)).unwrap());
    bench.run_until(20);
    assert_eq!(statuses(&bench), [(3, Status::Cancelled, 0)]);
    bench.handle.inbox.give(Command::CancelAll).unwrap();
    submit_names(&bench, 4, 1, 500, false);
    bench.run_until(30);
    assert_eq!(statuses(&bench), [(1, Status::Cancelled, 0), (2, Status::Cancelled, 0)]);
    assert_eq!(bench.event_loop.races.resolving(), 1);
    bench.run_until(520);
    assert_eq!(statuses(&bench), [(4, Status::Unresolved, NOT_IN_TIME)]);
}

#[test]
fn hundreds_of_names_and_addresses_are_cancelled_together() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 200, 500, false);
    bench.submit(200, 500);
    bench.run_until(10);
    assert_eq!((bench.event_loop.races.resolving(), bench.sent().len()), (200, 8));
    bench.handle.inbox.give(Command::CancelAll).unwrap();
    bench.run_until(20);
    let reports = bench.reports();
    assert_eq!(reports.len(), 400);
    assert!(reports.iter().all(|report| report.verdict.status == Status::Cancelled));
    assert!(bench.event_loop.races.is_empty() && bench.event_loop.checks.table.is_empty());
}

#[test]
fn what_came_two_thousand_million_checks_ago_is_cancelled_and_what_comes_afterwards_is_not() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 1, 5_000_000, false);
    bench.submit_targets([Target::Literal(([127, 0, 0, 9], 80).into())].into_iter(), 5_000_000);
    bench.run_until(10);
    bench.event_loop.checks.table.pass_generations((1 << 31) + 5);
    bench.handle.inbox.give(Command::CancelAll).unwrap();
    submit_names(&bench, 2, 1, 5_000_000, false);
    bench.run_until(20);
    assert_eq!(statuses(&bench), [(1, Status::Cancelled, 0); 2]);
    assert_eq!(bench.event_loop.races.resolving(), 1);
}

/// An early SYN is given up in the step in which another one of its race was answered.
#[test]
fn what_is_heard_of_a_race_that_has_ended_is_nothing() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 1, 500, false);
    bench.run_until(10);
    resolve(&bench, 0, Err(-2));
    bench.run_until(20);
    let verdict = Verdict::without_segments(Status::Up, 0);
    let EventLoop { races, checks, .. } = &mut bench.event_loop;
    races.hear_of(checks, RaceEvent::Started { race: 0, waited: 0 });
    races.hear_of(checks, RaceEvent::Concluded { race: 0, check: 0, verdict, at: clock::now() });
    races.hear_of(checks, RaceEvent::GivenUp { race: 0, check: 0, retransmits: 0 });
    assert_eq!(statuses(&bench).len(), 1);
}

#[test]
fn the_time_of_a_name_in_a_list_runs_from_when_its_lookup_begins() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 1, 500, true);
    bench.run_until(2_000);
    assert!(bench.reports().is_empty());
    bench.handle.inbox.leave(Command::LookupBegan { race: 0, generation: 1 });
    bench.run_until(2_499);
    assert!(bench.reports().is_empty());
    bench.run_until(2_500);
    assert_eq!(statuses(&bench), [(1, Status::Unresolved, NOT_IN_TIME)]);
}

#[test]
fn places_of_names_are_enough_for_all_and_are_given_back() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 100, 500, false);
    bench.run_until(1);
    assert!(bench.event_loop.races.slots() >= 100);
    bench.run_until(500);
    assert_eq!(statuses(&bench).len(), 100);
    bench.event_loop.races.shrink();
    assert_eq!(bench.event_loop.races.slots(), 0);
}

#[test]
fn silence_of_a_name_that_was_known_too_late_for_an_answer_is_no_verdict() {
    let unresolved = (1, Status::Unresolved, NOT_IN_TIME);
    for (paced, timeout_ms, known_at, said) in [
        (false, 500, 251, unresolved),
        (false, 500, 250, (1, Status::TimedOut, 0)),
        (false, 2_000, 1_701, unresolved),
        (false, 2_000, 1_700, (1, Status::TimedOut, 0)),
        (true, 500, 251, unresolved),
        (true, 500, 250, (1, Status::TimedOut, 0)),
    ] {
        let mut bench = bench(0);
        submit_names(&bench, 1, 1, timeout_ms, paced);
        bench.run_until(0);
        bench.handle.inbox.leave(Command::LookupBegan { race: 0, generation: 1 });
        bench.run_until(known_at);
        resolve(&bench, 0, Ok(&[1, 2]));
        bench.run_until(u64::from(timeout_ms));
        assert_eq!(statuses(&bench), [said], "of {timeout_ms} ms, known after {known_at}");
    }
}

#[test]
fn an_answer_counts_however_late_a_name_was_known() {
    let mut bench = bench(0);
    submit_names(&bench, 1, 1, 500, false);
    bench.run_until(490);
    resolve(&bench, 0, Ok(&[1]));
    bench.wire.borrow_mut().answers.push((BEGIN + 495 * MS, 0));
    bench.run_until(500);
    assert_eq!(statuses(&bench), [(1, Status::Up, 0)]);
}
