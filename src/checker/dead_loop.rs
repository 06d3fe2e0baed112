//! Tests that a loop which dies of a defect takes nobody else's results along.

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Checker;
use crate::event_loop::DEADLY_TAG;
use crate::test_targets::{listening, silent};
use crate::{Config, EngineKind, Error, Monitor, MonitorConfig, Report, Request, State, Status, Watch};

/// The engines that this process may have. Without the privilege for raw sockets these tests are about one, and say so.
fn engines() -> Vec<EngineKind> {
    let mut engines = vec![EngineKind::Socket, EngineKind::Raw];
    if Checker::new(&Config { engine: EngineKind::Raw, ..Config::default() }).is_err() {
        let _ = writeln!(std::io::stderr(), "not on the raw engine: this process may open no raw socket");
        engines.pop();
    }
    engines
}

/// A checker of two loops, of which the first has died of a check, and has told whoever it owed a result.
fn checker_with_a_dead_loop(engine: EngineKind, target: &Request) -> Checker {
    let checker = Checker::new(&Config { engine, loops: 2, ..Config::default() }).unwrap();
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
fn a_dead_loop_keeps_nobody_waiting_of_whatever_call() {
    for engine in engines() {
        for caller_driven in [false, true] {
            keeps_nobody_waiting(&Config { engine, caller_driven, syn_interval_ms: 0, ..Config::default() });
        }
    }
}

fn keeps_nobody_waiting(config: &Config) {
    let (_listener, _taken, silent) = silent();
    let silent = Request { timeout_ms: 600_000, ..Request::new(silent) };
    let checker = Arc::new(Checker::new(config).unwrap());
    let monitor = Monitor::new(checker.clone(), &MonitorConfig::default()).unwrap();
    let watch = Watch { interval_ms: 1, timeout_ms: 600_000, ..Watch::new(silent.target.clone()) };
    let id = monitor.add(&[watch]).unwrap()[0];
    let (mut changes, called) = (Vec::new(), Arc::new(Mutex::new(Vec::new())));
    std::thread::scope(|scope| {
        let blocking = [(); 3].map(|()| scope.spawn(|| checker.check(&silent).status));
        let listed = scope.spawn(|| checker.check_many(&vec![silent.clone(); 3]));
        checker.submit(vec![silent.clone(); 3]).unwrap();
        for _ in 0..3 {
            let called = called.clone();
            let note = move |report: &Report| called.lock().unwrap().push(report.verdict.status);
            checker.submit_with(silent.clone(), Box::new(note)).unwrap();
        }
        let reaped = scope.spawn(|| statuses(&checker, 4)); // all but the one that it dies of
        let patience = Instant::now() + Duration::from_secs(20);
        while checker.stats().in_flight < 13 {
            assert!(Instant::now() < patience, "{:?}", checker.stats());
            monitor.reap(&mut changes, 1, Some(Duration::from_millis(1))); // which has a caller-driven one get on
        }
        checker.submit(vec![Request { tag: DEADLY_TAG, ..silent.clone() }; 2]).unwrap();
        blocking.into_iter().for_each(|check| assert_eq!(check.join().unwrap(), Status::Internal));
        assert!(listed.join().unwrap().iter().all(|verdict| verdict.status == Status::Internal));
        assert!(reaped.join().unwrap().iter().all(|status| *status == Status::Internal));
    });
    assert_eq!(checker.check(&silent).status, Status::Internal);
    assert_eq!(checker.submit_with(silent.clone(), Box::new(|_| unreachable!("refused"))), Err(Error::Internal));
    // Nothing was learned of the target that is watched.
    monitor.reap(&mut changes, 1, Some(Duration::from_millis(100)));
    assert!(changes.is_empty(), "{changes:?}");
    assert_eq!(monitor.get(id).unwrap().state, State::Unknown);
    drop(monitor);
    drop(checker); // joins the thread on which callbacks ran
    assert_eq!(*called.lock().unwrap(), [Status::Internal; 3]);
    let (_listener, target) = live_target();
    assert_eq!(Checker::new(config).unwrap().check(&target).status, Status::Up, "another checker's");
}

/// A target that answers.
fn live_target() -> (TcpListener, Request) {
    let (listener, target) = listening();
    (listener, Request::new(target))
}

#[test]
fn a_dead_loop_does_not_end_the_wait_for_the_results_of_others() {
    for engine in engines() {
        let (_listener, _taken, silent) = silent(); // so that the results are waited for
        let silent = Request { timeout_ms: 300, ..Request::new(silent) };
        let checker = checker_with_a_dead_loop(engine, &silent);
        checker.submit(vec![silent; 2]).unwrap(); // the other loop's turn
        assert_eq!(statuses(&checker, 2), [Status::TimedOut; 2]);
    }
}

#[test]
fn a_dead_loop_refuses_its_checks_and_the_other_one_makes_its_own() {
    for engine in engines() {
        let (_listener, target) = live_target();
        let checker = checker_with_a_dead_loop(engine, &target);
        for _ in 0..3 {
            checker.submit(vec![target.clone(); 2]).unwrap();
            assert_eq!(statuses(&checker, 2), [Status::Up; 2]);
            assert_eq!(checker.submit(vec![target.clone(); 2]), Err(Error::Internal));
        }
    }
}
