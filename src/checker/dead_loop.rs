//! Tests that a loop which dies of a defect takes nobody else's results along.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Checker;
use crate::event_loop::DEADLY_TAG;
use crate::{Config, Error, Report, Request, Status};

/// A checker of two loops, of which the first has died of a check, and has told whoever it owed a result.
fn checker_with_a_dead_loop(target: &Request) -> Checker {
    let checker = Checker::new(&Config { loops: 2, ..Config::default() }).unwrap();
    let deadly = Request { tag: DEADLY_TAG, ..target.clone() };
    // Two of one call are not begun on the caller's thread, and go to the loop whose turn it is.
    checker.submit(vec![deadly, target.clone()]).unwrap();
    assert_eq!(statuses(&checker, 1), [Status::Internal], "the check that came in with the deadly one");
    let patience = Instant::now() + Duration::from_secs(20);
    // What is left is what callers hold of the loop: it has dropped its sinks.
    while Arc::strong_count(&checker.shared.handles[0]) > 1 {
        assert!(Instant::now() < patience, "the loop lives on");
        std::thread::sleep(Duration::from_millis(1));
    }
    checker
}

/// The next results, each waited for without an end.
fn statuses(checker: &Checker, count: usize) -> Vec<Status> {
    let mut reports: Vec<Report> = Vec::new();
    while reports.len() < count {
        let taken = checker.reap(&mut reports, 1, None);
        assert_eq!(taken, 1, "the wait for a result is over, and there is none");
    }
    reports.iter().map(|report| report.verdict.status).collect()
}

#[test]
fn a_dead_loop_does_not_end_the_wait_for_the_results_of_others() {
    // A target that gives no answer, so that the results are waited for: the accept queue holds one, and it is taken.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let target = listener.local_addr().unwrap().as_socket().unwrap();
    let _taken = std::net::TcpStream::connect(target).unwrap();

    let silent = Request { timeout_ms: 300, ..Request::new(target) };
    let checker = checker_with_a_dead_loop(&silent);
    checker.submit(vec![silent; 2]).unwrap(); // the other loop's turn
    assert_eq!(statuses(&checker, 2), [Status::TimedOut; 2]);
}

#[test]
fn a_dead_loop_refuses_its_checks_and_the_other_one_makes_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Request::new(listener.local_addr().unwrap());
    let checker = checker_with_a_dead_loop(&target);
    for _ in 0..3 {
        checker.submit(vec![target.clone(); 2]).unwrap();
        assert_eq!(statuses(&checker, 2), [Status::Up; 2]);
        assert_eq!(checker.submit(vec![target.clone(); 2]), Err(Error::Internal));
    }
}
