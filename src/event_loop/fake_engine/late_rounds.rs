//! A round whose SYNs left late gives its own checks some time, and no others.

use super::*;

#[test]
fn a_check_whose_syn_left_late_has_time_for_the_answer() {
    for (answered, status, ended) in [(260, Status::Up, 260), (9_000, Status::TimedOut, 550)] {
        let mut bench = Bench::new(config(300), 8);
        bench.wire.borrow_mut().held_up_for = 250 * MS;
        bench.wire.borrow_mut().answers.push((BEGIN + answered * MS, 0));
        bench.submit(1, 100);
        bench.run_until(ended - 1);
        assert!(bench.reports().is_empty());
        bench.run_until(ended);
        let statuses: Vec<Status> = bench.reports().iter().map(|report| report.verdict.status).collect();
        assert_eq!((statuses, bench.sent()), (vec![status], vec![250]), "{answered}");
    }
}

/// When each check ended, by its target's last number.
fn ends(bench: &mut Bench, until: u64) -> Vec<(u8, u64)> {
    let mut ends = Vec::new();
    let mut now = (clock::now() - BEGIN) / MS;
    while now < until {
        now += 1;
        bench.run_until(now);
        let last = |report: &Report| match report.verdict.address {
            Some(SocketAddr::V4(v4)) => v4.ip().octets()[3],
            other => panic!("{other:?}"),
        };
        ends.extend(bench.reports().iter().map(|report| (last(report), now)));
    }
    ends
}

fn submit_one(bench: &Bench, last: u8, timeout_ms: u32) {
    bench.submit_targets([Target::Literal(([127, 0, 0, last], 80).into())].into_iter(), timeout_ms);
}

#[test]
fn a_round_whose_syns_left_late_gives_time_to_its_own_checks_and_to_no_others() {
    let mut bench = Bench::new(config(0), 8);
    submit_one(&bench, 1, 500);
    bench.run_until(300);
    bench.wire.borrow_mut().held_up_for = 150 * MS;
    submit_one(&bench, 2, 100);
    submit_one(&bench, 3, 700);
    bench.run_until(460);
    submit_one(&bench, 4, 100);
    // The first had left long before, the third has its own time, and the last left at once.
    assert_eq!(ends(&mut bench, 1_100), [(1, 500), (4, 560), (2, 750), (3, 1_000)]);
}

#[test]
fn it_is_polled_again_when_the_engine_wants_it() {
    let mut bench = Bench::new(config(0), 8);
    bench.run_until(1);
    assert_eq!(bench.event_loop.rest(), None);
    bench.handle.inbox.awake();
    bench.wire.borrow_mut().wants_poll_at = Some(BEGIN + 5 * MS);
    assert_eq!(bench.event_loop.rest(), Some(BEGIN + 5 * MS));
}
