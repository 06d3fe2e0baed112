//! Checkers that have no thread of their own: they get on inside the calls of their callers, and their descriptor says
//! when that is of use.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::descriptor::{LONG, is_readable, reap_now};
use support::etc;
use support::firewall;
use support::handshake::withholds_ack;
use support::lists::*;
use support::name_server::{Answer, NameServer};
use support::process::until;
use support::targets::{DEAD_PORT, Listener, V4, at};
use tcpshaker::{Checker, Config, Report, Request, Status};

fn driven(settings: impl FnOnce(&mut Config)) -> Checker {
    checker(|config| {
        config.set_caller_driven(true).unwrap();
        settings(config);
    })
}

/// Does what a program with an event loop of its own does, until `count` results are there.
fn poll_and_reap(checker: &Checker, count: usize) -> Vec<Report> {
    let fd = checker.raw_fd().expect("a descriptor");
    let (begun, mut reports) = (Instant::now(), Vec::new());
    while reports.len() < count {
        assert!(is_readable(fd, LONG), "{} of {count} results, and nothing to do", reports.len());
        reports.extend(reap_now(checker));
        assert!(begun.elapsed() < LONG, "{} of {count} results", reports.len());
    }
    reports
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("the process's threads").count()
}

mod without_a_thread {
    use super::*;

    #[test]
    fn every_kind_of_call_has_its_verdict_and_none_is_made() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let _listener = Listener::on(V4, PORT);
        let before = threads();
        let checker = driven(|config| config.set_timeout(300).unwrap());
        assert_eq!(checker.check(&Request::new(at(V4, PORT))).status, Status::Up);
        assert_eq!(checker.check(&Request::new(at(V4, DEAD_PORT))).status, Status::Refused);
        assert_eq!(checker.check(&Request::new(at(V4, SILENT_PORT))).status, Status::TimedOut);
        let list: Vec<Request> =
            (0..1_000).map(|number| Request::new(at(V4, if number % 2 == 0 { PORT } else { DEAD_PORT }))).collect();
        let verdicts = checker.check_many(&list);
        for (number, verdict) in verdicts.iter().enumerate() {
            assert_eq!(verdict.status, if number % 2 == 0 { Status::Up } else { Status::Refused });
        }
        let called = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let called = called.clone();
            let callback = move |report: &Report| {
                assert_eq!(report.verdict.status, Status::Up);
                called.fetch_add(1, Ordering::Relaxed);
            };
            checker.submit_with(Request::new(at(V4, PORT)), Box::new(callback)).expect("a live checker");
        }
        assert_eq!(called.load(Ordering::Relaxed), 0, "callbacks run where the checker is driven, not in submit");
        let begun = Instant::now();
        while called.load(Ordering::Relaxed) < 100 && begun.elapsed() < LONG {
            checker.reap(&mut Vec::new(), 1, Some(Duration::from_millis(10)));
        }
        assert_eq!(called.load(Ordering::Relaxed), 100);
        assert_eq!(threads(), before);
    }

    #[test]
    fn a_name_takes_a_thread_only_for_its_lookup() {
        namespaced!();
        etc::replace();
        etc::use_name_server(5, 1);
        let _server = NameServer::start(&[("here.test", Answer::Addresses(vec![V4]))]);
        let _listener = Listener::on(V4, PORT);
        let checker = driven(|_| {});
        assert_eq!(checker.check(&Request::new(format!("here.test:{PORT}").as_str())).status, Status::Up);
        checker.submit(vec![Request::new(format!("here.test:{PORT}").as_str())]).expect("a live checker");
        assert_eq!(poll_and_reap(&checker, 1)[0].verdict.status, Status::Up);
    }

    #[test]
    fn thousands_of_checks_are_each_reported_once_and_no_handshake_is_completed_in_silence() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let checker = driven(|config| config.set_max_in_flight(400).unwrap());
        let ports = [PORT, DEAD_PORT, SILENT_PORT];
        let requests = (0..6_000).map(|number| {
            let port = if number % 50 == 0 { SILENT_PORT } else { ports[number % 2] };
            tagged(number, Request { timeout_ms: 3_000, ..Request::new(at(nth(number), port)) })
        });
        checker.submit(requests.collect()).expect("a live checker");
        let mut reports = poll_and_reap(&checker, 6_000);
        reports.sort_by_key(|report| report.tag);
        for (number, report) in reports.iter().enumerate() {
            assert_eq!(report.tag, number);
            let status = report.verdict.status;
            match number {
                _ if number % 50 == 0 => assert!(matches!(status, Status::TimedOut | Status::Busy), "{report:?}"),
                _ if number % 2 == 0 => assert_eq!(status, Status::Up, "{report:?}"),
                _ => assert_eq!(status, Status::Refused, "{report:?}"),
            }
        }
        let unproven = reports.iter().filter(|report| report.verdict.status == Status::Up && !report.verdict.half_open);
        only_where!(withholds_ack(), "every answer completes a handshake");
        assert_eq!(unproven.count() as u64, checker.stats().completed_handshakes);
    }
}

mod descriptor {
    use super::*;

    #[test]
    fn tells_of_an_answer_that_comes_later() {
        namespaced!("nft");
        let checker = driven(|_| {});
        let fd = checker.raw_fd().expect("a descriptor");
        assert!(!is_readable(fd, Duration::ZERO));
        // The first SYN is lost, and the one that the kernel sends again after a second is not.
        silence(PORT);
        let _listener = Listener::on(V4, PORT);
        checker.submit(vec![Request { timeout_ms: 20_000, ..Request::new(at(V4, PORT)) }]).expect("a live checker");
        reap_now(&checker);
        assert!(reap_now(&checker).is_empty());
        assert!(!is_readable(fd, Duration::from_millis(100)), "there is nothing to do");
        firewall::open();
        assert_eq!(poll_and_reap(&checker, 1)[0].verdict.status, Status::Up);
        assert!(reap_now(&checker).is_empty());
        assert!(!is_readable(fd, Duration::from_millis(100)));
    }

    #[test]
    fn tells_of_a_deadline() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = driven(|config| config.set_syn_interval(0).unwrap());
        let fd = checker.raw_fd().expect("a descriptor");
        let begun = Instant::now();
        checker.submit(vec![Request { timeout_ms: 700, ..Request::new(at(V4, SILENT_PORT)) }]).expect("a live checker");
        reap_now(&checker);
        let mut turns = 0;
        let report = loop {
            assert!(is_readable(fd, LONG));
            turns += 1;
            if let Some(report) = reap_now(&checker).pop() {
                break report;
            }
        };
        assert_eq!(report.verdict.status, Status::TimedOut);
        assert!(begun.elapsed() >= Duration::from_millis(700));
        assert!(turns <= 5, "it was readable {turns} times for one deadline");
    }

    #[test]
    fn tells_of_what_another_thread_submits_and_cancels() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = driven(|_| {});
        let fd = checker.raw_fd().expect("a descriptor");
        let checker = &checker;
        std::thread::scope(|scope| {
            let id = scope.spawn(|| {
                let request = Request { timeout_ms: 10 * PATIENCE_MS, ..Request::new(at(V4, SILENT_PORT)) };
                checker.submit(vec![request; 2]).expect("a live checker")
            });
            let id = id.join().unwrap();
            assert!(is_readable(fd, LONG), "a check was submitted");
            until("both in flight", || {
                reap_now(checker);
                checker.stats().in_flight == 2
            });
            assert!(!is_readable(fd, Duration::from_millis(50)));
            scope.spawn(move || checker.cancel(id)).join().unwrap().unwrap();
            let report = poll_and_reap(checker, 1)[0];
            assert_eq!((report.id, report.verdict.status), (id, Status::Cancelled));
        });
    }
}

mod callers {
    use super::*;

    #[test]
    fn on_many_threads_each_have_their_own_verdict() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let _listener = Listener::on(V4, PORT);
        let checker = driven(|config| config.set_timeout(200).unwrap());
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let checker = &checker;
                scope.spawn(move || {
                    for _ in 0..20 {
                        let (port, status) = match thread % 4 {
                            0 => (SILENT_PORT, Status::TimedOut),
                            1 => (DEAD_PORT, Status::Refused),
                            _ => (PORT, Status::Up),
                        };
                        let verdict = checker.check(&Request { timeout_ms: 500, ..Request::new(at(V4, port)) });
                        assert_eq!(verdict.status, status, "{verdict:?}");
                    }
                });
            }
        });
    }

    #[test]
    fn that_wait_for_less_are_not_held_up_by_one_that_waits_for_ever() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let _listener = Listener::on(V4, PORT);
        let checker = driven(|_| {});
        std::thread::scope(|scope| {
            let forever = scope.spawn(|| {
                let mut reports = Vec::new();
                checker.reap(&mut reports, 1, None);
                reports
            });
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(checker.check(&Request::new(at(V4, PORT))).status, Status::Up);
            let request = Request { timeout_ms: 1000, ..Request::new(at(V4, SILENT_PORT)) };
            assert_eq!(checker.check(&request).status, Status::TimedOut);
            let begun = Instant::now();
            assert_eq!(checker.reap(&mut Vec::new(), 1, Some(Duration::from_millis(100))), 0);
            assert!(begun.elapsed() < LONG);
            checker.submit(vec![tagged(7, Request::new(at(V4, PORT)))]).expect("a live checker");
            let reports = forever.join().unwrap();
            assert_eq!((reports[0].tag, reports[0].verdict.status), (7, Status::Up));
        });
    }

    #[test]
    fn may_submit_from_callbacks_but_not_block_there() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        let checker = Arc::new(driven(|_| {}));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (inner, statuses) = (checker.clone(), seen.clone());
        let callback = move |_: &Report| {
            let verdict = inner.check(&Request::new(at(V4, PORT)));
            let none = inner.reap(&mut Vec::new(), 1, None);
            let id = inner.submit(vec![Request::new(at(V4, PORT))]);
            statuses.lock().unwrap().push((verdict.status, none, id.is_ok()));
        };
        checker.submit_with(Request::new(at(V4, PORT)), Box::new(callback)).expect("a live checker");
        let mut reports = Vec::new();
        checker.reap(&mut reports, 1, Some(LONG));
        assert_eq!(reports.len(), 1);
        assert_eq!(*seen.lock().unwrap(), [(Status::Deadlock, 0, true)]);
    }
}

mod signal {
    use super::*;

    static SIGNALS: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn count(_: i32) {
        SIGNALS.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn that_interrupts_the_caller_ends_no_wait_early_and_changes_no_verdict() {
        namespaced!("nft");
        silence(SILENT_PORT);
        // SAFETY: the handler touches an atomic only; without SA_RESTART system calls are interrupted.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = count as extern "C" fn(i32) as usize;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
        }
        let checker = driven(|_| {});
        let is_over = AtomicBool::new(false);
        // SAFETY: only returns a number.
        let caller = unsafe { libc::pthread_self() };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    // SAFETY: the caller outlives this scope.
                    unsafe { libc::pthread_kill(caller, libc::SIGUSR1) };
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let begun = Instant::now();
            assert_eq!(checker.reap(&mut Vec::new(), 1, Some(Duration::from_millis(300))), 0);
            assert!(begun.elapsed() >= Duration::from_millis(300));
            let verdict = checker.check(&with_timeout(500, at(V4, SILENT_PORT)));
            is_over.store(true, Ordering::SeqCst);
            assert_eq!(verdict.status, Status::TimedOut);
            assert!(verdict.elapsed_us >= 500_000, "{verdict:?}");
        });
        assert!(SIGNALS.load(Ordering::SeqCst) > 20);
    }
}

mod end {
    use super::*;

    #[test]
    fn shutdown_ends_every_check_with_nobody_driving() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = driven(|_| {});
        let requests = vec![Request { timeout_ms: 10 * PATIENCE_MS, ..Request::new(at(V4, SILENT_PORT)) }; 100];
        checker.submit(requests).expect("a live checker");
        reap_now(&checker);
        checker.shutdown();
        let reports = reap_now(&checker);
        assert_eq!(reports.len(), 100);
        assert!(reports.iter().all(|report| report.verdict.status == Status::Closed));
        assert_eq!(checker.check(&Request::new(at(V4, PORT))).status, Status::Closed);
        assert_eq!(checker.reap(&mut Vec::new(), 1, None), 0);
    }

    #[test]
    fn shutdown_by_another_thread_wakes_the_one_that_drives() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = driven(|_| {});
        let request = Request { timeout_ms: 10 * PATIENCE_MS, ..Request::new(at(V4, SILENT_PORT)) };
        std::thread::scope(|scope| {
            let check = scope.spawn(|| checker.check(&request));
            until("in flight", || checker.stats().in_flight == 1);
            checker.shutdown();
            assert_eq!(check.join().unwrap().status, Status::Closed);
        });
    }

    #[test]
    fn drop_calls_the_callbacks_of_what_was_under_way() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let called = Arc::new(Mutex::new(Vec::new()));
        let checker = driven(|_| {});
        for _ in 0..10 {
            let called = called.clone();
            let request = Request { timeout_ms: 10 * PATIENCE_MS, ..Request::new(at(V4, SILENT_PORT)) };
            let callback = move |report: &Report| called.lock().unwrap().push(report.verdict.status);
            checker.submit_with(request, Box::new(callback)).expect("a live checker");
        }
        drop(checker);
        assert_eq!(*called.lock().unwrap(), [Status::Closed; 10]);
    }
}
