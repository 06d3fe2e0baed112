//! A loop that is short of descriptors says so until it has one, and the checker counts it once.

use super::*;

impl<const REPEATS: bool> BenchOf<REPEATS> {
    /// Whether the loop says that it is short of descriptors, and whether the checker knows of a loop that is.
    fn is_short(&self) -> (bool, bool) {
        (self.handle.is_short_of_descriptors(), self.shared.opener.is_short_of_descriptors())
    }
}

#[test]
fn it_is_known_until_there_is_one_and_the_check_has_its_verdict() {
    let mut bench = Bench::new(config(0), 8);
    // One check holds a descriptor, or the next would have no hope.
    bench.submit(1, 10_000);
    bench.run_until(1);
    assert_eq!(bench.is_short(), (false, false));
    bench.wire.borrow_mut().has_no_descriptor = true;
    bench.submit(2, 5_000);
    for ms in [2, 3, 4] {
        bench.run_until(ms);
        assert_eq!(bench.is_short(), (true, true));
        bench.handle.tell_of_room();
    }
    assert_eq!(bench.sent(), [0]);
    bench.wire.borrow_mut().has_no_descriptor = false;
    bench.handle.inbox.wake();
    bench.run_until(5);
    assert_eq!(bench.is_short(), (false, false));
    assert_eq!(bench.sent().len(), 3);
}

#[test]
fn it_is_over_when_no_check_wants_one_any_more() {
    let mut bench = Bench::new(config(0), 8);
    bench.submit(1, 10_000);
    bench.run_until(1);
    bench.wire.borrow_mut().has_no_descriptor = true;
    bench.submit(2, 100);
    bench.run_until(99);
    assert_eq!(bench.is_short(), (true, true));
    bench.run_until(200);
    let reports = bench.reports();
    let busy = (Status::Busy, os_error::OUT_OF_DESCRIPTORS);
    assert!(reports.len() == 2 && reports.iter().all(|it| (it.verdict.status, it.verdict.os_error) == busy));
    assert_eq!(bench.is_short(), (false, false));
}
