//! What is said and counted of checks that end before their time, or whose handshake was completed.

use super::*;

impl<const REPEATS: bool> BenchOf<REPEATS> {
    /// Handshakes that were completed although their checks meant to keep them from it.
    fn completed(&self) -> u64 {
        self.shared.counters.read().completed_handshakes
    }
}

#[test]
fn a_cancelled_check_says_how_long_it_took() {
    let mut bench = Bench::new(config(0), 8);
    bench.submit(2, 1_000);
    bench.run_until(100);
    bench.handle.inbox.give(Command::Cancel(2)).unwrap();
    bench.run_until(101);
    let report = bench.reports()[0];
    assert_eq!((report.id, report.verdict.status, report.verdict.elapsed_us), (2, Status::Cancelled, 100_000));
}

#[test]
fn each_handshake_that_was_completed_is_counted_once() {
    let mut bench = Bench::new(config(0), 8);
    bench.submit(3, 1_000);
    bench.wire.borrow_mut().answers.extend([(BEGIN + 10 * MS, 0), (BEGIN + 20 * MS, 1)]);
    bench.run_until(1_000);
    // The engine's answers come without the proof that no ACK was sent.
    assert_eq!((bench.reports().len(), bench.completed()), (3, 2));
}

#[test]
fn a_handshake_of_a_cancelled_check_is_counted_too() {
    let mut bench = Bench::new(config(0), 8);
    bench.submit(3, 1_000);
    bench.run_until(10);
    bench.handle.inbox.give(Command::Cancel(1)).unwrap();
    bench.run_until(11);
    assert_eq!(bench.completed(), 0);
    bench.wire.borrow_mut().is_up_at_last = true;
    for id in [2, 3] {
        bench.handle.inbox.give(Command::Cancel(id)).unwrap();
    }
    bench.run_until(12);
    assert!(bench.reports().iter().all(|report| report.verdict.status == Status::Cancelled));
    assert_eq!(bench.completed(), 2);
}

#[test]
fn a_check_ends_with_those_that_came_before_a_time_and_not_with_later_ones() {
    let mut bench = Bench::new(config(0), 8);
    bench.submit(1, 1_000);
    bench.run_until(10);
    let before = bench.event_loop.checks.table.next_generation();
    bench.submit(1, 1_000);
    bench.run_until(20);
    for slot in 0..3 {
        bench.event_loop.checks.end_if_older(slot, before, Status::Cancelled);
    }
    bench.run_until(21);
    assert_eq!(bench.reports().iter().map(|report| report.verdict.status).collect::<Vec<_>>(), [Status::Cancelled]);
    assert!(bench.event_loop.checks.table.get(1).is_some());
}

#[test]
fn a_loop_is_closing_from_when_it_was_told_to_and_ends_what_is_there() {
    let mut bench = Bench::new(config(0), 8);
    bench.submit(2, 1_000);
    bench.run_until(10);
    assert!(!bench.event_loop.is_closing());
    bench.handle.inbox.close(Status::Closed);
    assert!(bench.event_loop.is_closing());
    while bench.event_loop.step(Some(Duration::ZERO)) {}
    assert_eq!(bench.reports().iter().map(|report| report.verdict.status).collect::<Vec<_>>(), [Status::Closed; 2]);
}
