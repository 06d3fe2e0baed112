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
