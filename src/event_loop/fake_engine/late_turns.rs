//! Checks that wait for their turn until there is hardly any time for an answer.

use super::*;

/// What became of a check that has so much time, and waits until the one before it has timed out after so much.
fn second_of_two(first_ms: u32, second_ms: u32, answers_at: Option<u64>) -> (Status, Option<SocketAddr>) {
    let mut bench = Bench::new(config(0), 1);
    let target = |last: u8| Target::parse(format!("127.0.0.{last}:80").as_bytes());
    bench.submit_targets([target(1)].into_iter(), first_ms);
    bench.submit_targets([target(2)].into_iter(), second_ms);
    bench.wire.borrow_mut().answers.extend(answers_at.map(|ms| (BEGIN + ms * MS, 1)));
    bench.run_until(u64::from(second_ms));
    let reports = bench.reports();
    assert_eq!((reports.len(), reports[0].verdict.status), (2, Status::TimedOut));
    assert_eq!(bench.sent().last(), Some(&u64::from(first_ms)));
    (reports[1].verdict.status, reports[1].verdict.address)
}

#[test]
fn silence_after_a_turn_that_came_too_late_for_an_answer_is_no_verdict() {
    let asked = Some(([127, 0, 0, 2], 80).into());
    assert_eq!(second_of_two(495, 500, None), (Status::Busy, asked));
    assert_eq!(second_of_two(251, 500, None), (Status::Busy, asked));
    assert_eq!(second_of_two(250, 500, None), (Status::TimedOut, asked));
    assert_eq!(second_of_two(1_701, 2_000, None), (Status::Busy, asked));
    assert_eq!(second_of_two(1_700, 2_000, None), (Status::TimedOut, asked), "as long as a SYN is waited for");
}

#[test]
fn an_answer_counts_however_late_the_turn_came() {
    assert_eq!(second_of_two(490, 500, Some(499)).0, Status::Up);
}
