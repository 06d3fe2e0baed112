//! How verdicts reach their caller: each as it comes, the caller's own code in nobody's way, and what a near target
//! answered at once there at once.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use support::driven;
use support::engine::is_raw;
use support::firewall::{self, Hook};
use support::handshake::{Completed, often, withholds_ack};
use support::lists::*;
use support::targets::{DEAD_PORT, V4, at};
use tcpshaker::{Checker, Request, Status, Verdict};

/// What a slow machine may need for a list of near targets.
const SOON: Duration = Duration::from_secs(2);

/// Runs what might never return, on a thread that is left behind if it does not.
fn within_a_minute<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, outcome) = channel();
    std::thread::spawn(move || sender.send(work()));
    match outcome.recv_timeout(Duration::from_secs(60)) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => panic!("{what} still hangs after a minute"),
        Err(RecvTimeoutError::Disconnected) => panic!("{what} panicked"),
    }
}

mod verdict_of_a_list {
    use super::*;

    #[test]
    fn is_delivered_as_it_comes_and_waits_for_no_silent_target() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let timeout = 3 * SOON;
        for threads in [1, 2] {
            let checker = loops(threads);
            let requests = (0..200).map(|number| match number {
                70 => with_timeout(timeout.as_millis() as u32, at(nth(number), SILENT_PORT)),
                _ => Request::new(at(nth(number), if number % 2 == 0 { PORT } else { DEAD_PORT })),
            });
            let begun = Instant::now();
            let mut came = Vec::new();
            let done = checker.check_each(requests, |number, verdict| {
                assert_eq!(verdict.status == Status::TimedOut, number == 70, "{verdict:?}");
                came.push(begun.elapsed());
            });
            assert_eq!((done, came.len()), (Ok(()), 200));
            println!("the first after {:?}, the 199th after {:?}, the last after {:?}", came[0], came[198], came[199]);
            assert!(came[199] >= timeout);
            assert!(came[198] < SOON, "199 verdicts were there, and came only after {:?}", came[198]);
        }
    }

    #[test]
    fn is_delivered_as_it_comes_from_a_long_list_as_well() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let timeout = 3 * SOON;
        let checker = checker(|config| config.set_max_in_flight(100).unwrap());
        // Fewer silent ones than places, so that the others always have some.
        let count = often(20_000);
        let is_silent = |number: usize| number.is_multiple_of(count / 50);
        let requests = (0..count).map(|number| match is_silent(number) {
            true => with_timeout(timeout.as_millis() as u32, at(nth(number), SILENT_PORT)),
            false => Request::new(at(nth(number), PORT)),
        });
        let begun = Instant::now();
        let (mut up, mut late) = (0, 0);
        let done = checker.check_each(requests, |_, verdict: Verdict| {
            up += usize::from(verdict.status == Status::Up);
            late += usize::from(verdict.status == Status::Up && begun.elapsed() >= timeout);
        });
        assert_eq!((done, up), (Ok(()), count - 50));
        assert_eq!(late, 0, "{late} of {up} live targets were told of only when the silent ones' time was over");
    }
}

mod callers_own_code {
    use super::*;

    #[test]
    fn that_sleeps_keeps_no_answer_waiting_for_its_reset() {
        needs_a_thread!("nobody drives it while its caller sleeps");
        namespaced!(alone, "nft");
        only_where!(withholds_ack(), "every answer completes a handshake");
        let listener = listen_everywhere();
        // Every fifth SYN is lost, and its like is answered a second later, when the caller may be asleep.
        firewall::add(Hook::Input, &[&format!("tcp dport {PORT} tcp flags syn numgen inc mod 5 == 0 drop")]);
        let completed = Completed::watch();
        let checker = checker(|config| config.set_max_in_flight(400).unwrap());
        let count = 4_000;
        let mut done = 0;
        let requests = (0..count).map(|number| Request::new(at(nth(number), PORT)));
        let checked = checker.check_each(requests, |_, verdict| {
            assert_eq!(verdict.status, Status::Up, "{verdict:?}");
            done += 1;
            if done % 200 == 0 {
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        assert_eq!((checked, done), (Ok(()), count));
        let stats = checker.stats();
        let arrived = listener.accept_all();
        println!("{arrived} handshakes arrived, {} admitted", stats.completed_handshakes);
        assert!(arrived as u64 <= stats.completed_handshakes, "{arrived} arrived: {stats:?}");
        completed.assert_none_in_silence(&stats);
    }

    /// A list whose caller does something with the same checker at some of its verdicts.
    fn list_with(threads: u32, at_verdict: impl Fn(&Checker) + Send + 'static) {
        // Few places, so that verdicts come while the loops are at work still.
        let checker = Arc::new(checker(|config| {
            config.set_threads(threads).unwrap();
            config.set_max_in_flight(100).unwrap();
        }));
        let count = 5_000;
        let own = checker.clone();
        let done = within_a_minute("the list", move || {
            let mut done = 0;
            let requests = (0..count).map(|number| Request::new(at(nth(number), PORT)));
            let checked = own.check_each(requests, |_, verdict| {
                assert_eq!(verdict.status, Status::Up, "{verdict:?}");
                done += 1;
                if done % 100 == 0 {
                    at_verdict(&own);
                }
            });
            assert_eq!(checked, Ok(()));
            done
        });
        assert_eq!(done, count);
    }

    #[test]
    fn may_submit_to_the_same_checker_and_reap_from_it() {
        namespaced!();
        let _listener = listen_everywhere();
        for threads in [1, 2] {
            list_with(threads, |checker| {
                checker.submit(vec![Request::new(at(V4, PORT)); 10]).expect("a live checker");
                assert!(reap(checker, 10).iter().all(|report| report.verdict.status == Status::Up));
            });
        }
    }

    #[test]
    fn may_make_blocking_checks_of_the_same_checker() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        for threads in [1, 2] {
            list_with(threads, |checker| {
                // The ports of a raw checker take a while at first.
                let timeout = if is_raw() { 200 } else { 5 };
                let verdict = checker.check(&with_timeout(timeout, at(V4, SILENT_PORT)));
                assert_eq!(verdict.status, Status::TimedOut, "{verdict:?}");
            });
        }
    }

    #[test]
    fn may_check_a_list_within_a_list_of_the_same_checker() {
        namespaced!();
        let _listener = listen_everywhere();
        for threads in [1, 2] {
            list_with(threads, |checker| {
                let verdicts = checker.check_many(&vec![Request::new(at(V4, PORT)); 50]);
                assert_eq!(tally(&verdicts), HashMap::from([(Status::Up, 50)]));
            });
        }
    }

    #[test]
    fn may_cancel_everything_and_shut_the_same_checker_down() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        for (end, expected) in [
            ((|checker| assert_eq!(checker.cancel(0), Ok(()))) as fn(&Checker), Status::Cancelled),
            (Checker::shutdown, Status::Closed),
        ] {
            let checker = loops(1);
            let ended = within_a_minute("the list", move || {
                let target = |number: usize| at(nth(number), if number == 0 { PORT } else { SILENT_PORT });
                let requests = (0..100).map(|number| with_timeout(20_000, target(number)));
                let mut ended = 0;
                let checked = checker.check_each(requests, |_, verdict| match verdict.status {
                    Status::Up => end(&checker),
                    status => {
                        assert_eq!(status, expected, "nobody was told of the first verdict before this");
                        ended += 1;
                    }
                });
                assert_eq!(checked, Ok(()));
                ended
            });
            assert_eq!(ended, 99);
        }
    }
}

mod near_target {
    use super::*;

    /// Submits one check at a time, and counts the results that are there when the call returns.
    fn at_once(port: u16, expected: Status) -> usize {
        let checker = loops(1);
        let mut at_once = 0;
        for number in 0..1_000 {
            let mut reports = Vec::new();
            let id = checker.submit(vec![tagged(number, Request::new(at(V4, port)))]).expect("a live checker");
            at_once += checker.reap(&mut reports, 1, Some(Duration::ZERO));
            if reports.is_empty() {
                reports = reap(&checker, 1);
            }
            let report = reports[0];
            assert_eq!((report.id, report.tag, report.verdict.status), (id, number, expected), "{report:?}");
        }
        let stats = checker.stats();
        assert_eq!((stats.submitted, stats.in_flight, stats.queued), (1_000, 0, 0));
        println!("{at_once} of 1000 results were there at once");
        at_once
    }

    #[test]
    fn that_is_up_has_its_result_there_when_submit_returns() {
        needs_sockets!("no check begins on its caller's thread");
        namespaced!(alone);
        let listener = listen_everywhere();
        let at_once = at_once(PORT, Status::Up);
        assert!(at_once >= 950, "only {at_once} of 1000 results were there at once");
        listener.assert_untouched();
    }

    #[test]
    fn that_refuses_has_its_result_there_when_submit_returns() {
        needs_sockets!("no check begins on its caller's thread");
        namespaced!(alone);
        let at_once = at_once(DEAD_PORT, Status::Refused);
        assert!(at_once >= 950, "only {at_once} of 1000 results were there at once");
    }

    #[test]
    fn of_a_submit_with_callback_calls_back_once_on_the_thread_that_drives_the_checker() {
        namespaced!();
        let _listener = listen_everywhere();
        let checker = loops(1);
        let (sender, calls) = channel();
        let submitter = std::thread::current().id();
        for number in 0..1_000 {
            let sender = sender.clone();
            let callback = move |report: &tcpshaker::Report| {
                assert_eq!(std::thread::current().id() == submitter, driven::is_driven());
                sender.send((report.tag, report.verdict.status)).unwrap();
            };
            let request = tagged(number, Request::new(at(V4, PORT)));
            checker.submit_with(request, Box::new(callback)).expect("a live checker");
        }
        drop(sender);
        let mut tags = Vec::new();
        while let Ok((tag, status)) = driven::receive(&checker, &calls) {
            assert_eq!(status, Status::Up);
            tags.push(tag);
        }
        assert_each_once(tags, 1_000);
    }
}
