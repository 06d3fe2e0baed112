//! What callers of a caller-driven checker do at awkward moments: in callbacks while they drive it, while another
//! drives it, with no descriptor left, and at its end.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::descriptor::{LONG, is_readable, reap_now};
use support::engine::is_raw;
use support::lists::*;
use support::process::{open_descriptors, until};
use support::rlimit::{NoDescriptorLeft, set_descriptor_limit};
use support::targets::{DEAD_PORT, Listener, V4, at};
use tcpshaker::{Checker, Error, Report, Request, Status};

fn driven() -> Checker {
    checker(|config| config.set_caller_driven(true).unwrap())
}

fn live() -> Request {
    Request::new(at(V4, PORT))
}

fn silent() -> Request {
    with_timeout(10 * PATIENCE_MS, at(V4, SILENT_PORT))
}

fn call_back(checker: &Checker, request: Request, callback: impl FnOnce(&Report) + Send + 'static) {
    checker.submit_with(request, Box::new(callback)).expect("a live checker");
}

mod callback {
    use super::*;

    /// Forks in a callback while `call` drives the checker, and returns from it in the child too. `call` says whether
    /// it returned as it should.
    fn forks_during(call: impl Fn(&Checker) -> bool) {
        silence(SILENT_PORT);
        let _listener = Listener::on(V4, PORT);
        let checker = driven();
        let fd = checker.raw_fd().expect("a descriptor");
        let first = checker.submit(vec![silent(); 10]).expect("a live checker");
        reap_now(&checker);
        let child = Arc::new(AtomicUsize::new(usize::MAX));
        let forked = child.clone();
        call_back(&checker, live(), move |_| {
            // SAFETY: the child makes no call but those of the checker, and ends by _exit.
            forked.store(unsafe { libc::fork() } as usize, Ordering::SeqCst);
        });
        let is_well = call(&checker);
        if child.load(Ordering::SeqCst) == 0 {
            let is_well = is_well
                && call(&checker)
                && checker.check(&live()).status == Status::Forked
                && checker.check_many(&[live()])[0].status == Status::Forked
                && checker.submit(vec![live()]) == Err(Error::Forked)
                && checker.raw_fd().is_none()
                && checker.reap(&mut Vec::new(), 1, None) == 0;
            drop(checker);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if is_well { 0 } else { 1 }) };
        }
        assert!(is_well);
        let mut status = 0;
        // SAFETY: the child is this process's own, and `status` is for the kernel to write.
        unsafe { libc::waitpid(child.load(Ordering::SeqCst) as i32, &mut status, 0) };
        assert_eq!(status, 0, "the child found something amiss");
        // The parent's checker is as it was.
        assert_eq!(checker.check(&live()).status, Status::Up);
        assert_eq!(checker.stats().in_flight, 10);
        checker.cancel(first).unwrap();
        assert!(is_readable(fd, LONG));
        assert_eq!(reap(&checker, 1)[0].verdict.status, Status::Cancelled);
    }

    #[test]
    fn that_forks_during_reap_leaves_the_child_outside_of_it_with_a_forked_checker() {
        namespaced!("nft");
        forks_during(|checker| {
            if is_raw() {
                reap_now(checker); // sends the SYN, whose answer the next call finds
            }
            reap_now(checker).is_empty()
        });
    }

    #[test]
    fn that_forks_during_a_check_gives_the_child_the_verdict_that_it_is_forked() {
        namespaced!("nft");
        forks_during(|checker| {
            let status = checker.check(&with_timeout(300, at(V4, SILENT_PORT))).status;
            status == if checker.is_forked() { Status::Forked } else { Status::TimedOut }
        });
    }

    #[test]
    fn that_forks_during_a_list_gives_the_child_the_same_for_all_of_it() {
        namespaced!("nft");
        forks_during(|checker| {
            let verdicts = checker.check_many(&vec![with_timeout(300, at(V4, SILENT_PORT)); 3]);
            let expected = if checker.is_forked() { Status::Forked } else { Status::TimedOut };
            verdicts.iter().all(|verdict| verdict.status == expected)
        });
    }

    #[test]
    fn that_shuts_the_checker_down_ends_every_check_the_one_that_drives_included() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let _listener = Listener::on(V4, PORT);
        let checker = Arc::new(driven());
        checker.submit(vec![silent(); 50]).expect("a live checker");
        let closed = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let closed = closed.clone();
            call_back(&checker, silent(), move |report| {
                closed.fetch_add(usize::from(report.verdict.status == Status::Closed), Ordering::SeqCst);
            });
        }
        let own = checker.clone();
        call_back(&checker, live(), move |_| {
            own.shutdown();
            assert_eq!(own.submit(vec![live()]), Err(Error::Closed));
        });
        assert_eq!(checker.check(&silent()).status, Status::Closed);
        assert_eq!(closed.load(Ordering::SeqCst), 50);
        let reports = reap_now(&checker);
        assert_eq!(reports.len(), 50);
        assert!(reports.iter().all(|report| report.verdict.status == Status::Closed));
        assert_eq!(checker.reap(&mut Vec::new(), 1, None), 0);
    }

    #[test]
    fn that_panics_is_nobody_elses_matter() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        let checker = driven();
        let called = Arc::new(AtomicUsize::new(0));
        for number in 0..10 {
            let called = called.clone();
            call_back(&checker, live(), move |_| {
                called.fetch_add(1, Ordering::SeqCst);
                if number % 2 == 0 {
                    std::panic::resume_unwind(Box::new(()));
                }
            });
        }
        checker.submit(vec![live(); 2]).expect("a live checker");
        assert_eq!(reap(&checker, 2).len(), 2);
        until("every callback", || {
            reap_now(&checker);
            called.load(Ordering::SeqCst) == 10
        });
        assert_eq!(checker.check(&live()).status, Status::Up);
        assert_eq!(checker.stats().internal, 0);
    }

    #[test]
    fn of_one_checker_may_drive_another_whose_callback_may_not_drive_the_first() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        let (one, other) = (Arc::new(driven()), Arc::new(driven()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (first, second, note) = (one.clone(), other.clone(), seen.clone());
        call_back(&one, live(), move |_| {
            let (first, inner) = (first.clone(), note.clone());
            call_back(&second, live(), move |_| {
                inner.lock().unwrap().push(first.check(&live()).status);
                inner.lock().unwrap().push(first.check_many(&[live()])[0].status);
                assert_eq!(first.reap(&mut Vec::new(), 1, None), 0);
                first.submit(vec![tagged(7, live())]).expect("a live checker");
            });
            // It goes through the loop, which runs the callback on the way.
            let verdicts = second.check_many(&vec![live(); 2]);
            note.lock().unwrap().extend(verdicts.iter().map(|verdict| verdict.status));
        });
        assert_eq!(reap(&one, 1)[0].tag, 7);
        assert_eq!(*seen.lock().unwrap(), [Status::Deadlock, Status::Deadlock, Status::Up, Status::Up]);
        assert_eq!(other.check(&live()).status, Status::Up);
    }
}

mod readers {
    use super::*;

    #[test]
    fn that_another_was_quicker_than_wait_on_until_each_has_a_result() {
        namespaced!();
        let checker = driven();
        for round in 0..300 {
            std::thread::scope(|scope| {
                let read = || checker.reap(&mut Vec::new(), 1, Some(LONG));
                let readers: Vec<_> = (0..8).map(|_| scope.spawn(read)).collect();
                for _ in 0..8 {
                    checker.submit(vec![Request::new(at(V4, DEAD_PORT))]).expect("a live checker");
                }
                let taken: Vec<usize> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
                assert_eq!(taken, [1; 8], "round {round}");
            });
        }
    }
}

mod reap_with_nothing_to_do {
    use super::*;

    #[test]
    fn or_without_room_returns_at_once_and_takes_nothing() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let _listener = Listener::on(V4, PORT);
        let checker = driven();
        let begun = Instant::now();
        for _ in 0..1_000 {
            for wait in [None, Some(Duration::ZERO), Some(10 * LONG)] {
                assert_eq!(checker.reap(&mut Vec::new(), 0, wait), 0);
            }
            assert_eq!(checker.reap(&mut Vec::new(), 1, Some(Duration::ZERO)), 0);
        }
        checker.submit(vec![silent(), live()]).expect("a live checker");
        until("it is up", || {
            assert_eq!(checker.reap(&mut Vec::new(), 0, None), 0);
            checker.stats().up == 1
        });
        assert!(begun.elapsed() < LONG);
        assert_eq!(reap_now(&checker).len(), 1, "it was there, and stayed there");
    }
}

mod descriptor {
    use super::*;

    #[test]
    fn that_is_not_to_be_had_is_told_leaks_nothing_and_can_be_asked_for_again() {
        namespaced!();
        set_descriptor_limit(256);
        let _listener = Listener::on(V4, PORT);
        let checker = driven();
        let before = open_descriptors();
        // One for the results, one for the set, one for its time: each may be the one that is not there.
        for spare in [0, 1, 1] {
            let mut taken = NoDescriptorLeft::take_all();
            taken.give_back(spare);
            assert_eq!(checker.raw_fd(), None, "with {spare} to be had");
            drop(taken);
            assert!(open_descriptors() <= before + 1, "with {spare} to be had");
        }
        let fd = checker.raw_fd().expect("a descriptor");
        checker.submit(vec![Request::new(at(V4, PORT))]).expect("a live checker");
        assert!(is_readable(fd, LONG));
        assert_eq!(reap(&checker, 1)[0].verdict.status, Status::Up);
    }

    #[test]
    fn asked_for_while_another_thread_drives_tells_of_what_that_one_leaves() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let _listener = Listener::on(V4, PORT);
        let checker = driven();
        std::thread::scope(|scope| {
            let check = scope.spawn(|| checker.check(&with_timeout(500, at(V4, SILENT_PORT))).status);
            until("in flight", || checker.stats().in_flight == 1);
            let fd = checker.raw_fd().expect("a descriptor");
            checker.submit(vec![with_timeout(1_500, at(V4, SILENT_PORT)); 2]).expect("a live checker");
            assert_eq!(check.join().unwrap(), Status::TimedOut);
            let mut reports = Vec::new();
            while reports.len() < 2 {
                assert!(is_readable(fd, LONG), "the deadlines of what was left");
                reports.extend(reap_now(&checker));
            }
            assert!(reports.iter().all(|report| report.verdict.status == Status::TimedOut));
        });
    }

    /// Whoever polls would spin while another thread sleeps in the checker.
    #[test]
    fn does_not_tell_of_a_time_that_another_thread_sees_to() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = driven();
        let fd = checker.raw_fd().expect("a descriptor");
        checker.submit(vec![with_timeout(300, at(V4, SILENT_PORT))]).expect("a live checker");
        reap_now(&checker);
        std::thread::scope(|scope| {
            let check = scope.spawn(|| checker.check(&with_timeout(3_000, at(V4, SILENT_PORT))).status);
            until("both in flight", || checker.stats().in_flight == 2);
            assert!(is_readable(fd, LONG), "the first one's deadline");
            assert_eq!(reap(&checker, 1).len(), 1);
            let mut turns = 0;
            while !check.is_finished() {
                // A moment between two system calls of the other thread shows, and may last where the machine is busy.
                if is_readable(fd, Duration::from_millis(20)) {
                    turns += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                reap_now(&checker);
            }
            assert!(turns < 20, "it was readable {turns} times while another thread drove the checker");
        });
    }

    #[test]
    fn first_asked_for_after_the_shutdown_tells_of_the_results_that_are_left_and_of_nothing_else() {
        namespaced!("nft");
        silence(SILENT_PORT);
        for is_asked_early in [true, false] {
            let checker = driven();
            let early = is_asked_early.then(|| checker.raw_fd().expect("a descriptor"));
            checker.submit(vec![with_timeout(300, at(V4, SILENT_PORT)); 3]).expect("a live checker");
            reap_now(&checker);
            checker.shutdown();
            // Its numbers are those that the checker's loop had.
            let strangers: Vec<_> = (0..8).map(|_| std::os::unix::net::UnixStream::pair().unwrap()).collect();
            strangers.iter().for_each(|(one, _)| std::io::Write::write_all(&mut &*one, b"!").unwrap());
            let fd = checker.raw_fd().expect("a descriptor");
            assert!(early.is_none_or(|early| early == fd));
            assert!(is_readable(fd, Duration::ZERO), "three results wait");
            assert_eq!(reap_now(&checker).len(), 3);
            assert!(!is_readable(fd, Duration::from_millis(600)), "asked for early: {is_asked_early}");
        }
    }
}

mod end {
    use super::*;

    #[test]
    fn of_thousands_of_checkers_leaves_no_descriptor_whatever_waits_in_them() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let _listener = Listener::on(V4, PORT);
        let before = open_descriptors();
        for number in 0..3_000 {
            let checker = driven();
            if number % 2 == 0 {
                checker.raw_fd().expect("a descriptor");
            }
            if number % 3 == 0 {
                checker.submit(vec![live(), silent(), Request::new(at(V4, DEAD_PORT))]).expect("a live checker");
            }
            if number % 6 == 0 {
                reap_now(&checker);
            }
            drop(checker);
        }
        assert_eq!(open_descriptors(), before);
    }

    /// The thread that drives may be about to leave.
    #[test]
    fn by_a_shutdown_at_any_moment_calls_every_callback_though_nobody_drives_any_more() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let begun = Instant::now();
        let mut rounds = 0;
        while begun.elapsed() < Duration::from_secs(3) {
            rounds += 1;
            let checker = driven();
            let called = Arc::new(AtomicUsize::new(0));
            for _ in 0..3 {
                let called = called.clone();
                call_back(&checker, silent(), move |_| assert!(called.fetch_add(1, Ordering::SeqCst) < 3));
            }
            let is_over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !is_over.load(Ordering::SeqCst) {
                        reap_now(&checker);
                    }
                });
                until("in flight", || checker.stats().in_flight == 3);
                (0..rounds * 37 % 2_000).for_each(|_| std::hint::spin_loop());
                is_over.store(true, Ordering::SeqCst);
                checker.shutdown();
            });
            assert_eq!(called.load(Ordering::SeqCst), 3, "round {rounds}");
        }
        println!("{rounds} rounds");
    }
}
