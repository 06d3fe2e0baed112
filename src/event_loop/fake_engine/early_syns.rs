//! Early SYNs of an engine with a socket for each: they are checks of their own.

use super::*;
use crate::event_loop::checks::Checks;
use crate::event_loop::race_event::RaceEvent;

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

#[test]
fn an_early_syn_that_could_not_be_sent_is_no_verdict_and_one_that_is_answered_at_once_is() {
    let ends = |status| {
        let mut bench = SocketBench::new(config(300), 8);
        bench.wire.borrow_mut().ends_at_once = Some((1, status));
        bench.submit(1, 1500);
        bench.run_until(1500);
        let [report] = bench.reports()[..] else { panic!("one check has one report") };
        (report.verdict.status, report.verdict.elapsed_us, bench.sent())
    };
    let tried_again = vec![0, 300, 300, 600, 900];
    assert_eq!(ends(Status::LocalFault), (Status::TimedOut, 1_500_000, tried_again));
    assert_eq!(ends(Status::Up), (Status::Up, 300_000, vec![0, 300]));
    assert_eq!(ends(Status::Refused), (Status::Refused, 300_000, vec![0, 300]));
}

#[test]
fn where_there_is_one_permit_or_no_interval_no_early_syn_is_wanted() {
    for (interval_ms, in_flight) in [(300, 1), (0, 8), (0, 1)] {
        let mut bench = SocketBench::new(config(interval_ms), in_flight);
        bench.submit(1, 1500);
        bench.run_until(1000);
        let checks = &bench.event_loop.checks;
        assert!(checks.early_wanted.is_empty() && bench.event_loop.races.is_empty(), "{interval_ms}, {in_flight}");
        assert_eq!(bench.sent(), [0]);
    }
}

#[test]
fn room_that_a_check_leaves_is_for_the_early_syn_that_was_wanted() {
    let mut bench = SocketBench::new(config(300), 2);
    bench.submit(1, 5_000);
    bench.submit(1, 450);
    bench.run_until(449);
    assert_eq!(bench.sent(), [0, 0]);
    bench.run_until(451);
    assert_eq!(bench.sent(), [0, 0, 450]);
}

#[test]
fn an_early_syn_after_the_first_one_waits_for_room_too() {
    let mut bench = SocketBench::new(config(300), 3);
    bench.submit(1, 5_000);
    bench.run_until(500);
    bench.submit(1, 350);
    bench.run_until(849);
    assert_eq!(bench.sent(), [0, 300, 500]);
    bench.run_until(851);
    assert_eq!(bench.sent(), [0, 300, 500, 850]);
}

#[test]
fn syns_that_the_kernel_sent_again_count_where_another_one_was_answered() {
    let mut bench = SocketBench::new(config(300), 8);
    bench.submit(1, 5_000);
    bench.run_until(350);
    bench.wire.borrow_mut().syns[0] += 2;
    bench.wire.borrow_mut().answers.push((BEGIN + 400 * MS, 1));
    bench.run_until(400);
    let verdict = bench.reports()[0].verdict;
    assert_eq!((verdict.status, verdict.syn_retransmits), (Status::Up, 3), "one in the interval and two");
}

#[test]
fn only_a_check_that_is_still_the_same_and_in_flight_becomes_a_race() {
    let mut bench = SocketBench::new(config(0), 1);
    bench.submit(2, 1_000);
    bench.run_until(10);
    let checks = &mut bench.event_loop.checks;
    let generation = |slot, checks: &mut Checks<_>| checks.table.check(slot).generation;
    let [first, second] = [0, 1].map(|slot| generation(slot, &mut *checks));
    assert!(checks.give_to_race(0, first + 1, 0).is_none(), "it was another one");
    assert!(checks.give_to_race(1, second, 0).is_none(), "it waits for its turn");
    assert!(checks.give_to_race(0, first, 0).is_some());
    assert!(checks.give_to_race(0, first, 0).is_none(), "it is one already");
}

#[test]
fn races_that_are_forgotten_hear_nothing_more() {
    let mut bench = SocketBench::new(config(0), 8);
    let checks = &mut bench.event_loop.checks;
    checks.want_early_syn(0, 1);
    checks.race_events.push_back(RaceEvent::Room { race: 0, generation: 1 });
    checks.forget_race_events();
    assert!(checks.next_race_event().is_none() && checks.wanted_early_syns() == 0);
}
