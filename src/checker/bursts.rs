//! What a burst of checks took is given back after it.

use std::time::{Duration, Instant};

use crate::test_targets::{listening, silent};
use crate::{Checker, Config, Request};

#[test]
fn a_burst_does_not_hold_its_sockets_for_ever() {
    // Each check of it needs a socket of its own.
    let (_listener, _taken, silent) = silent();
    let silent = Request::new(silent);
    let checker = Checker::new(&Config { idle_ms: 50, timeout_ms: 200, ..Config::default() }).unwrap();
    checker.submit(vec![silent.clone(); 40]).unwrap();
    let mut reports = Vec::new();
    while reports.len() < 40 {
        checker.reap(&mut reports, 40, None);
    }
    assert!(reports.iter().all(|report| report.verdict.status == crate::Status::TimedOut));
    let patience = Instant::now() + Duration::from_secs(20);
    while checker.stats().sockets > 0 {
        assert!(Instant::now() < patience, "{} sockets are held still", checker.stats().sockets);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(checker.check(&silent).status, crate::Status::TimedOut);
}

#[test]
fn the_spare_sockets_of_callers_are_not_held_for_ever() {
    let (_listener, target) = listening();
    let checker = Checker::new(&Config { idle_ms: 50, ..Config::default() }).unwrap();
    let target = Request::new(target);
    for _ in 0..2 {
        assert_eq!(checker.check(&target).status, crate::Status::Up);
        let patience = Instant::now() + Duration::from_secs(20);
        while checker.stats().sockets > 0 {
            assert!(Instant::now() < patience, "{} sockets are held still", checker.stats().sockets);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The heap of a process is measured, so the test has a process of its own.
#[cfg(target_env = "gnu")]
#[test]
fn a_burst_does_not_hold_its_memory_for_ever() {
    let tests = std::env::current_exe().unwrap();
    let alone = ["--exact", "checker::bursts::the_memory_of_a_burst_is_given_back", "--ignored", "--nocapture"];
    let status = std::process::Command::new(tests).args(alone).status().unwrap();
    assert!(status.success());
}

#[cfg(target_env = "gnu")]
#[test]
#[ignore = "run by the test above, in a process of its own"]
fn the_memory_of_a_burst_is_given_back() {
    const BURST: usize = 200_000;
    // SAFETY: mallinfo2 only reads.
    let heap = || unsafe { libc::mallinfo2() };
    let in_use = || heap().uordblks + heap().hblkhd;
    let (listener, target) = listening();
    // Ordinary handshakes would fill the queue of a program that never accepts.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let checker = Checker::new(&Config { idle_ms: 50, max_in_flight: Some(1), ..Config::default() }).unwrap();
    checker.check_addr(&target.to_string(), 0);
    let before = in_use();
    checker.submit(vec![Request::new(target); BURST]).unwrap();
    let (mut reports, mut most) = (Vec::new(), 0);
    while reports.len() < BURST {
        checker.reap(&mut reports, BURST, None);
        most = most.max(in_use());
    }
    drop(reports);
    assert!(most - before > BURST * 80, "the burst took {} bytes only", most - before);
    let patience = Instant::now() + Duration::from_secs(20);
    // The queue of results keeps room for 32,768 of them, which are 80 bytes each.
    while in_use() > before + BURST * 16 {
        assert!(Instant::now() < patience, "{} bytes are held still", in_use() - before);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(checker.check_addr(&target.to_string(), 0).status, crate::Status::Up);
}

#[test]
fn when_a_checker_is_gone_so_are_the_threads_that_looked_names_up() {
    for loops in [1, 2] {
        let checker = Checker::new(&Config { loops, ..Config::default() }).unwrap();
        let shared = checker.shared.clone();
        checker.check(&Request::new("localhost:9"));
        assert!(shared.resolver.has_threads());
        drop(checker);
        assert!(!shared.resolver.has_threads());
    }
}
