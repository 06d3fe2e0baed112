//! Early SYNs of an engine with a socket for each: they are checks of their own.

use super::*;

type SocketBench = BenchOf<false>;

#[test]
fn a_check_without_an_answer_has_three_more_syns_in_the_interval() {
    let mut bench = SocketBench::new(config(300), 8);
    bench.submit(1, 1500);
    bench.run_until(1500);
    assert_eq!(bench.wire.borrow().sent, [(0, 0), (300, 1), (600, 2), (900, 3)]);
    let verdict = bench.reports()[0].verdict;
    assert_eq!((verdict.status, verdict.syn_retransmits), (Status::TimedOut, 3));
}

#[test]
fn what_is_wanted_for_checks_that_are_over_is_forgotten_and_what_is_wanted_still_has_its_turn() {
    let mut bench = SocketBench::new(config(300), 3);
    bench.submit(1, 1_000_000);
    // The two others are in flight all the time: when some end, the next ones wait. Each wants an early SYN meanwhile.
    for round in 0..200 {
        bench.run_until(1 + round * 350);
        bench.submit(2, 351);
        let wanted = bench.event_loop.checks.early_wanted.len();
        assert!(wanted <= 64 + 2 * 3 + 1, "{wanted} are wanted after {round} rounds");
    }
    assert_eq!(bench.sent().len(), 1 + 2 * 199, "nobody has an early SYN");
    let last_end = 1 + 200 * 350 + 1;
    bench.run_until(last_end);
    assert_eq!(bench.sent().last(), Some(&last_end), "the first one has room now");
}
