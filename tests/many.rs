//! Many checks at once: lists of a million, thousands in flight, several loops and callers.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::counters::Rise;
use support::driven::{self, stats};
use support::etc;
use support::firewall;
use support::handshake::{Completed, assert_proven, assert_sent_again, often};
use support::lists::*;
use support::process::{self, until};
use support::rlimit::set_descriptor_limit;
use support::targets::{DEAD_PORT, Listener, V4, V6, at};
use tcpshaker::{Checker, Report, Request, Status, Verdict};

/// The memory of this process that is really there, in bytes (VmRSS, proc(5)).
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

mod a_million {
    use super::*;

    const LISTENERS: usize = 1_000;

    #[test]
    fn checks_in_one_call_are_all_up_complete_no_handshake_in_silence_and_take_no_more_memory_at_the_end() {
        namespaced!(alone);
        let count = often(1_000_000);
        set_descriptor_limit(DESCRIPTORS);
        let listeners: Vec<Listener> = (0..LISTENERS).map(|number| Listener::on(nth(number * 257), PORT)).collect();
        let targets: Vec<SocketAddr> = listeners.iter().map(Listener::address).collect();
        let requests: Vec<Request> = (0..count).map(|number| Request::new(targets[number % LISTENERS])).collect();
        let completed = Completed::watch();
        let checker = checker(|config| config.set_max_in_flight(10_000).unwrap());

        let (verdicts, early, late) = std::thread::scope(|scope| {
            let early = scope.spawn(|| {
                let begun = Instant::now();
                while checker.stats().up < count as u64 / 5 {
                    assert!(begun.elapsed() < Duration::from_secs(240), "a fifth of the checks takes for ever");
                    std::thread::sleep(Duration::from_millis(5));
                }
                resident()
            });
            let verdicts = checker.check_many(&requests);
            let late = resident();
            (verdicts, early.join().expect("the watcher"), late)
        });

        assert_eq!(verdicts.len(), count);
        for (number, verdict) in verdicts.iter().enumerate() {
            assert_eq!((verdict.status, verdict.os_error), (Status::Up, 0), "number {number}: {verdict:?}");
            assert_eq!(verdict.address, Some(targets[number % LISTENERS]), "number {number} is another's result");
        }
        let stats = checker.stats();
        completed.assert_none_in_silence(&stats);
        assert_eq!((stats.submitted, stats.up), (count as u64, count as u64));
        assert_eq!((stats.in_flight, stats.queued), (0, 0));
        assert!(stats.sockets <= 10_000, "{stats:?}");
        println!("{early} bytes after a fifth of the checks, {late} at the end");
        // An eighth of what it would take to keep 64 bytes of each.
        assert!(late < early + often(6 << 20), "memory grew from {early} to {late} bytes");
    }
}

mod in_flight {
    use super::*;

    #[test]
    fn hundred_thousand_silent_targets_hold_up_no_live_one_and_time_out_on_time() {
        namespaced!(alone, "nft");
        set_descriptor_limit(DESCRIPTORS);
        let (silent, live) = (often(100_000), often(1_000));
        let listener = listen_everywhere();
        silence(SILENT_PORT);
        let requests: Vec<Request> = (0..silent + live)
            .map(|number| at(nth(number), if number % 101 == 50 { PORT } else { SILENT_PORT }))
            .map(|target| with_timeout(500, target))
            .collect();
        let checker = checker(|config| config.set_max_in_flight(15_000).unwrap());

        let (verdicts, peak) = std::thread::scope(|scope| {
            let checks = scope.spawn(|| checker.check_many(&requests));
            let mut peak = 0;
            while !checks.is_finished() {
                let stats = checker.stats();
                assert!(stats.in_flight <= 15_000 && stats.sockets <= 15_000, "{stats:?}");
                peak = peak.max(stats.in_flight);
                std::thread::sleep(Duration::from_millis(1));
            }
            (checks.join().expect("check_many"), peak)
        });

        let mut up = 0;
        for (number, verdict) in verdicts.iter().enumerate() {
            let expected = if number % 101 == 50 { Status::Up } else { Status::TimedOut };
            assert_eq!(verdict.status, expected, "number {number}: {verdict:?}");
            up += usize::from(expected == Status::Up);
            if expected == Status::TimedOut {
                let elapsed = Duration::from_micros(verdict.elapsed_us);
                assert!(elapsed >= Duration::from_millis(500), "too early: {verdict:?}");
                assert!(elapsed <= Duration::from_millis(1500), "more than a second late: {verdict:?}");
            }
        }
        assert_eq!(up, live);
        assert_proven(&verdicts);
        println!("at most {peak} were in flight");
        assert!(peak > 1_000.min(silent as u64 / 2), "only {peak} were ever in flight: this proves little");
        assert_eq!(checker.stats().in_flight, 0);
        listener.assert_untouched();
    }

    #[test]
    fn ten_thousand_answers_that_come_at_once_are_all_up_and_no_completed_handshake_is_kept_quiet() {
        namespaced!(alone, "nft");
        set_descriptor_limit(DESCRIPTORS);
        let count = 10_000;
        let listeners: Vec<Listener> = (0..100).map(|number| Listener::on(nth(number), PORT)).collect();
        silence(PORT);
        let requests: Vec<Request> =
            (0..count).map(|number| Request::new(listeners[number % listeners.len()].address())).collect();
        let completed = Rise::of("TcpPassiveOpens");
        let checker = checker(|config| config.set_max_in_flight(count as u32).unwrap());
        let verdicts = std::thread::scope(|scope| {
            let checks = scope.spawn(|| checker.check_many(&requests));
            until("all are in flight", || stats(&checker).in_flight == count as u64);
            // From now on the kernel's second SYNs get through, one for each check, within as long as the first took.
            firewall::open();
            checks.join().expect("check_many")
        });
        for verdict in &verdicts {
            assert_eq!(verdict.status, Status::Up, "{verdict:?}");
            assert_sent_again(verdict);
        }
        let unproven = verdicts.iter().filter(|verdict| !verdict.half_open).count() as u64;
        println!("{} handshakes completed, {unproven} not proven half-open", completed.now());
        assert_eq!(checker.stats().completed_handshakes, unproven);
        assert!(completed.now() <= unproven, "{} completed, {unproven} admitted", completed.now());
    }

    #[test]
    fn never_more_checks_than_allowed_are_in_flight_whichever_way_they_came() {
        namespaced!("nft");
        silence(SILENT_PORT);
        for threads in [1, 2] {
            let checker = checker(|config| {
                config.set_max_in_flight(50).unwrap();
                config.set_threads(threads).unwrap();
            });
            let requests: Vec<Request> =
                (0..300).map(|number| with_timeout(50, at(nth(number), SILENT_PORT))).collect();
            std::thread::scope(|scope| {
                let batch = scope.spawn(|| checker.check_many(&requests));
                checker.submit(requests.clone()).expect("a live checker");
                let blocked = scope.spawn(|| {
                    for request in &requests[..5] {
                        checker.check(request);
                    }
                });
                while !(batch.is_finished() && blocked.is_finished()) {
                    let stats = checker.stats();
                    assert!(stats.in_flight <= 50, "{threads} loops: {stats:?}");
                }
            });
            reap(&checker, 300);
        }
    }

    #[test]
    fn of_one_family_after_the_other_need_no_more_sockets_than_may_be_in_flight() {
        needs_sockets!("a check has no socket");
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = checker(|config| config.set_max_in_flight(50).unwrap());
        // A socket serves one family only, and those of the other lie idle beside it.
        for ip in [V4, V6, V4, V6] {
            let verdicts = checker.check_many(&vec![with_timeout(100, at(ip, SILENT_PORT)); 50]);
            assert_eq!(tally(&verdicts), HashMap::from([(Status::TimedOut, 50)]));
            // Callers may keep a few of their own.
            assert!(checker.stats().sockets <= 60, "{:?}", checker.stats());
        }
    }
}

mod order {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_requests_whatever_the_order_of_the_answers() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        for threads in [1, 2, 3] {
            let checker = loops(threads);
            // Slow ones first, so that every answer overtakes another.
            let kinds: Vec<(Request, Status)> = (0..3_000)
                .map(|number| match number % 5 {
                    0 => (with_timeout(400 - number as u32 / 10, at(nth(number), SILENT_PORT)), Status::TimedOut),
                    1 => (Request::new(at(nth(number), PORT)), Status::Up),
                    2 => (Request::new(at(nth(number), DEAD_PORT)), Status::Refused),
                    3 => (Request::new("nowhere"), Status::BadAddress),
                    _ => (Request::new(format!("{}:{PORT}", nth(number)).as_str()), Status::Up),
                })
                .collect();
            let requests: Vec<Request> = kinds.iter().map(|(request, _)| request.clone()).collect();
            let verdicts = checker.check_many(&requests);
            assert_eq!(verdicts.len(), requests.len());
            for (number, (verdict, (_, expected))) in verdicts.iter().zip(&kinds).enumerate() {
                assert_eq!(verdict.status, *expected, "number {number}, {threads} loops: {verdict:?}");
                let address = (*expected != Status::BadAddress).then_some(nth(number));
                assert_eq!(verdict.address.map(|address| address.ip()), address, "number {number}");
            }
        }
    }

    /// Waits until the loop's thread has slept for a while, so that it must be woken.
    fn until_the_loop_sleeps() {
        let naps = || -> Option<String> {
            let ids = process::threads().into_iter().map(|id| format!("/proc/self/task/{id}"));
            let is_the_loops = |path: &String| {
                std::fs::read_to_string(format!("{path}/comm")).is_ok_and(|name| name.starts_with("shaker-loop"))
            };
            let status = std::fs::read_to_string(format!("{}/status", ids.into_iter().find(is_the_loops)?)).ok()?;
            let told = |line: &&str| line.starts_with("State") || line.contains("ctxt_switches");
            status.contains("State:\tS").then(|| status.lines().filter(told).collect())
        };
        until("the loop's sleep", || {
            let before = naps();
            std::thread::sleep(Duration::from_millis(100));
            before.is_some() && before == naps()
        });
    }

    /// A write(2) that fails, and shows in strace's account where something begins or ends.
    fn mark(text: &str) {
        // SAFETY: the text is as long as it says; there is no descriptor -1.
        assert_eq!(unsafe { libc::write(-1, text.as_ptr().cast(), text.len()) }, -1);
    }

    #[test]
    fn ten_thousand_requests_in_one_submit_wake_the_loop_once() {
        needs_a_thread!("there is no loop to wake");
        namespaced!("strace");
        const TRACED: &str = "TCPSHAKER_TEST_TRACED";
        if std::env::var_os(TRACED).is_some() {
            let _listener = listen_everywhere();
            let checker = loops(1);
            let requests = (0..10_000).map(|number| Request::new(at(nth(number), PORT))).collect();
            until_the_loop_sleeps();
            mark("begin");
            checker.submit(requests).expect("a live checker");
            mark("end");
            return;
        }
        // The same test once more, under strace, which stops it at nothing but writes: a loop that is much slowed down
        // is never asleep when it is to be woken.
        let log = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("wake-ups.strace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "--seccomp-bpf", "-e", "trace=write", "-o"]).arg(&log);
        strace.arg(std::env::current_exe().expect("the path of this test")).arg("--exact");
        strace.arg("order::ten_thousand_requests_in_one_submit_wake_the_loop_once").env(TRACED, "1");
        let output = strace.output().expect("strace starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let told = std::fs::read_to_string(&log).expect("what strace saw");
        let _ = std::fs::remove_file(&log);
        let begin = told.lines().find(|line| line.contains("\"begin\"")).expect("the mark");
        let thread = begin.split_whitespace().next().expect("its thread");
        let own = told.lines().skip_while(|line| *line != begin).skip(1).filter(|line| line.starts_with(thread));
        let writes: Vec<&str> = own.take_while(|line| !line.contains("\"end\"")).collect();
        // Eight bytes wake a loop (eventfd(2)).
        assert!(writes.len() == 1 && writes[0].contains(", 8"), "{writes:#?}");
    }

    #[test]
    fn no_request_means_no_result_and_no_wait() {
        let checker = loops(2);
        assert!(checker.check_many(&[]).is_empty());
        checker.submit(Vec::new()).expect("nothing to refuse");
        assert_eq!(checker.reap(&mut Vec::new(), 10, Some(Duration::ZERO)), 0);
        assert_eq!(checker.stats().submitted, 0);
    }

    #[test]
    fn results_come_while_later_requests_are_still_being_made() {
        namespaced!();
        let _listener = listen_everywhere();
        let checker = checker(|config| config.set_max_in_flight(100).unwrap());
        let (made, seen) = (AtomicUsize::new(0), Mutex::new(vec![false; 100_000]));
        let mut ahead = 0;
        let requests = (0..100_000).map(|number| {
            made.store(number + 1, Ordering::Relaxed);
            Request::new(at(nth(number), PORT))
        });
        let mut done = 0;
        let checked = checker.check_each(requests, |number, verdict| {
            assert_eq!((verdict.status, verdict.address), (Status::Up, Some(at(nth(number), PORT))), "{verdict:?}");
            assert!(!std::mem::replace(&mut seen.lock().unwrap()[number], true), "number {number} came twice");
            ahead = ahead.max(made.load(Ordering::Relaxed) - done);
            done += 1;
        });
        assert_eq!(checked, Ok(()));
        assert_eq!(done, 100_000);
        println!("at most {ahead} requests were made ahead of their results");
        assert!(ahead < 20_000, "{ahead} requests were made ahead");
    }
}

mod results {
    use super::*;

    #[test]
    fn of_several_loops_come_once_each_with_the_id_and_tag_of_their_request() {
        namespaced!();
        let _listener = listen_everywhere();
        let checker = loops(2);
        let count = 50_000;
        let mut ids = HashMap::new();
        for (batch, size) in [(0, 20_000), (20_000, 1), (20_001, 63), (20_064, 64), (20_128, count - 20_128)] {
            let target = |number| at(nth(number), if number % 2 == 0 { PORT } else { DEAD_PORT });
            let requests = (batch..batch + size).map(|number| tagged(number, Request::new(target(number)))).collect();
            let first = checker.submit(requests).expect("a live checker");
            ids.extend((first..).zip(batch..batch + size));
        }
        assert_eq!(ids.len(), count, "an id was given twice");
        let reports = reap(&checker, count);
        for report in &reports {
            assert_eq!(ids.get(&report.id), Some(&report.tag), "{report:?}");
            let expected = if report.tag % 2 == 0 { Status::Up } else { Status::Refused };
            assert_eq!(report.verdict.status, expected, "{report:?}");
            assert_eq!(report.verdict.address.map(|address| address.ip()), Some(nth(report.tag)));
        }
        assert_each_once(reports.iter().map(|report| report.tag).collect(), count);
        assert_eq!(checker.reap(&mut Vec::new(), 1, Some(Duration::from_millis(50))), 0, "one more came");
        let stats = checker.stats();
        assert_eq!((stats.submitted, stats.up, stats.refused), (50_000, 25_000, 25_000));
    }

    #[test]
    fn reaped_by_several_threads_come_to_one_of_them_each() {
        namespaced!();
        let _listener = listen_everywhere();
        let (checker, count) = (loops(2), 40_000);
        let taken = AtomicUsize::new(0);
        let tags = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for capacity in [1, 7, 300, 100_000] {
                let (checker, taken, tags) = (&checker, &taken, &tags);
                scope.spawn(move || {
                    let mut own = Vec::new();
                    while taken.load(Ordering::SeqCst) < count {
                        let reaped = checker.reap(&mut own, capacity, Some(Duration::from_millis(20)));
                        assert!(reaped <= capacity);
                        taken.fetch_add(reaped, Ordering::SeqCst);
                    }
                    tags.lock().unwrap().extend(own.iter().map(|report| report.tag));
                });
            }
            for batch in 0..count / 100 {
                let numbers = batch * 100..(batch + 1) * 100;
                let requests = numbers.map(|number| tagged(number, Request::new(at(nth(number), PORT)))).collect();
                checker.submit(requests).expect("a live checker");
            }
        });
        assert_each_once(tags.into_inner().unwrap(), count);
    }

    #[test]
    fn go_to_the_callback_once_each_and_not_to_the_queue() {
        namespaced!();
        let _listener = listen_everywhere();
        let (checker, count) = (loops(2), 20_000);
        let (sender, calls) = channel();
        for number in 0..count {
            let sender = sender.clone();
            let request = tagged(number, Request::new(at(nth(number), if number % 2 == 0 { PORT } else { DEAD_PORT })));
            let asked = checker.submit_with(request, Box::new(move |report| sender.send(*report).unwrap()));
            asked.expect("a live checker");
        }
        drop(sender);
        let reports: Vec<Report> = (0..count).map(|_| driven::receive(&checker, &calls).unwrap()).collect();
        for report in &reports {
            assert_eq!(report.verdict.status, if report.tag % 2 == 0 { Status::Up } else { Status::Refused });
        }
        assert_each_once(reports.iter().map(|report| report.tag).collect(), count);
        // Every callback was consumed, or a sender would be left.
        assert!(driven::receive(&checker, &calls).is_err());
        assert_eq!(checker.reap(&mut Vec::new(), 1, Some(Duration::ZERO)), 0);
    }

    #[test]
    fn of_callbacks_that_submit_the_next_check_keep_coming() {
        namespaced!();
        let _listener = listen_everywhere();
        let checker = std::sync::Arc::new(loops(2));
        let (sender, ended) = channel();

        /// Checks the target `left` times, each time from the callback of the time before.
        fn go_on(
            checker: &std::sync::Arc<Checker>,
            target: SocketAddr,
            left: usize,
            sender: std::sync::mpsc::Sender<()>,
        ) {
            let next = checker.clone();
            let callback = move |report: &Report| {
                assert_eq!(report.verdict.status, Status::Up);
                assert_eq!(next.check(&Request::new(target)).status, Status::Deadlock);
                assert_eq!(next.check_many(&[Request::new(target)])[0].status, Status::Deadlock);
                assert_eq!(next.cancel(report.id), Ok(()));
                match left {
                    1 => sender.send(()).unwrap(),
                    _ => go_on(&next, target, left - 1, sender),
                }
            };
            checker.submit_with(Request::new(target), Box::new(callback)).expect("a live checker");
        }

        for number in 0..10 {
            go_on(&checker, at(nth(number), PORT), 500, sender.clone());
        }
        for _ in 0..10 {
            driven::receive(&checker, &ended).expect("a chain of callbacks ends");
        }
        assert_eq!(checker.stats().up, 5_000);
    }

    #[test]
    fn have_ids_that_are_never_zero_and_rise_from_batch_to_batch_and_from_thread_to_thread() {
        namespaced!();
        let _listener = listen_everywhere();
        let checker = loops(2);
        let given = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for size in [1, 3, 100] {
                let (checker, given) = (&checker, &given);
                scope.spawn(move || {
                    let mut last = 0;
                    for _ in 0..100 {
                        let requests = vec![Request::new(at(V4, PORT)); size];
                        let first = checker.submit(requests).expect("a live checker");
                        assert!(first > last, "{first} after {last}");
                        last = first + size as u64 - 1;
                        given.lock().unwrap().extend(first..=last);
                        let called = checker.submit_with(Request::new(at(V4, PORT)), Box::new(|_| ()));
                        last = called.inspect(|id| assert!(*id > last)).expect("a live checker");
                    }
                });
            }
        });
        let mut given = given.into_inner().unwrap();
        let mut reaped: Vec<u64> = reap(&checker, given.len()).iter().map(|report| report.id).collect();
        given.sort_unstable();
        reaped.sort_unstable();
        assert!(given.windows(2).all(|pair| pair[0] < pair[1]), "an id was given twice");
        assert_eq!(given, reaped);
        // Blocking checks have none.
        assert_ne!(given[0], 0);
    }
}

mod turns {
    use super::*;

    /// A checker with few permits, all of which are soon taken by silent targets.
    fn few_permits(threads: u32) -> Checker {
        silence(SILENT_PORT);
        checker(|config| {
            config.set_max_in_flight(10).unwrap();
            config.set_threads(threads).unwrap();
        })
    }

    #[test]
    fn submitted_checks_that_wait_too_long_for_theirs_are_busy_and_say_nothing_of_their_targets() {
        namespaced!("nft");
        for threads in [1, 2] {
            let checker = few_permits(threads);
            let requests = (0..200).map(|number| tagged(number, with_timeout(1_000, at(nth(number), SILENT_PORT))));
            checker.submit(requests.collect()).expect("a live checker");
            let reports = reap(&checker, 200);
            let verdicts: Vec<Verdict> = reports.iter().map(|report| report.verdict).collect();
            assert_eq!(tally(&verdicts), HashMap::from([(Status::TimedOut, 10), (Status::Busy, 190)]));
            for verdict in verdicts {
                assert_eq!((verdict.os_error, verdict.address.is_some()), (0, verdict.status == Status::TimedOut));
                assert!(verdict.elapsed_us >= 1_000_000, "{verdict:?}");
            }
            assert_eq!(checker.stats().busy, 190);
        }
    }

    #[test]
    fn that_come_after_the_deadline_are_not_taken_and_such_checks_are_busy_not_down() {
        namespaced!("nft");
        let (checker, count) = (few_permits(1), 100_000);
        let holders = checker.submit(vec![with_timeout(60_000, at(V4, SILENT_PORT)); 10]).expect("a live checker");
        checker.submit(vec![with_timeout(1_000, at(V4, SILENT_PORT)); count]).expect("a live checker");
        let submitted = Instant::now();
        // So many have the same deadline that it takes the loop a while to end them all; permits come free meanwhile.
        driven::sleep(&checker, Duration::from_millis(1_001));
        for holder in holders..holders + 10 {
            assert_eq!(checker.cancel(holder), Ok(()));
            driven::sleep(&checker, Duration::from_millis(2));
        }
        println!("the last permit came free after {:?}", submitted.elapsed());
        let verdicts: Vec<Verdict> = reap(&checker, count + 10).iter().map(|report| report.verdict).collect();
        // Begun after its deadline, a check could only say that its target is down, and had no time to know.
        assert_eq!(tally(&verdicts), HashMap::from([(Status::Cancelled, 10), (Status::Busy, count)]));
    }

    #[test]
    fn of_a_list_come_to_all_and_none_is_busy() {
        namespaced!("nft");
        for threads in [1, 2] {
            let checker = few_permits(threads);
            let requests: Vec<Request> =
                (0..200).map(|number| with_timeout(50, at(nth(number), SILENT_PORT))).collect();
            let verdicts = checker.check_many(&requests);
            assert_eq!(tally(&verdicts), HashMap::from([(Status::TimedOut, 200)]));
            assert!(verdicts.iter().all(|verdict| verdict.elapsed_us >= 50_000), "{verdicts:?}");
            // From its own start: nobody is charged for the wait, which is longer than this for half of them.
            let charged = verdicts.iter().filter(|verdict| verdict.elapsed_us > 500_000).count();
            assert!(charged < 50, "{charged} of 200: {verdicts:?}");
        }
    }

    #[test]
    fn of_a_list_of_names_come_to_all_and_none_is_busy() {
        namespaced!("nft");
        etc::replace();
        let checker = few_permits(1);
        let request = Request { timeout_ms: 50, ..Request::new(format!("four.test:{SILENT_PORT}").as_str()) };
        let verdicts = checker.check_many(&vec![request; 100]);
        assert_eq!(tally(&verdicts), HashMap::from([(Status::TimedOut, 100)]));
    }

    #[test]
    fn of_addresses_come_before_those_of_names_submitted_later() {
        namespaced!();
        etc::replace();
        let _listener = listen_everywhere();
        let checker = checker(|config| config.set_max_rate(100).unwrap());
        let name = Request::new(format!("four.test:{PORT}").as_str());
        // At this rate the names are resolved long before the last address has had its turn.
        checker.submit((0..50).map(|number| tagged(number, Request::new(at(nth(number), PORT)))).collect()).unwrap();
        checker.submit((50..100).map(|number| tagged(number, name.clone())).collect()).unwrap();
        let reports = reap(&checker, 100);
        assert!(reports.iter().all(|report| report.verdict.status == Status::Up));
        assert_each_once(reports[..50].iter().map(|report| report.tag).collect(), 50);
    }

    #[test]
    fn of_a_list_that_the_rate_holds_back_come_to_all_and_none_is_busy() {
        namespaced!();
        let _listener = listen_everywhere();
        let checker = checker(|config| config.set_max_rate(500).unwrap());
        let begun = Instant::now();
        let requests: Vec<Request> = (0..1_000).map(|number| with_timeout(100, at(nth(number), PORT))).collect();
        assert_eq!(tally(&checker.check_many(&requests)), HashMap::from([(Status::Up, 1_000)]));
        assert!(begun.elapsed() >= Duration::from_millis(1_900), "1,000 checks at 500 a second take two seconds");
        // Submitted ones that are not held back by their own deadline alone.
        checker.submit(requests).expect("a live checker");
        let verdicts: Vec<Verdict> = reap(&checker, 1_000).iter().map(|report| report.verdict).collect();
        let tally = tally(&verdicts);
        assert_eq!(tally.values().sum::<usize>(), 1_000);
        assert!(tally[&Status::Busy] >= 900 && tally.keys().all(|status| [Status::Up, Status::Busy].contains(status)));
    }

    #[test]
    fn of_lists_from_several_threads_come_to_all_of_them() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        for threads in [1, 2] {
            let checker = checker(|config| {
                config.set_max_in_flight(100).unwrap();
                config.set_threads(threads).unwrap();
            });
            std::thread::scope(|scope| {
                for caller in 0..8 {
                    let checker = &checker;
                    scope.spawn(move || {
                        let target = |number: usize| match number % 50 {
                            0 => with_timeout(100, at(nth(number), SILENT_PORT)),
                            other if other % 2 == 0 => Request::new(at(nth(number), DEAD_PORT)),
                            _ => Request::new(at(nth(number), PORT)),
                        };
                        let numbers = caller * 5_000..(caller + 1) * 5_000;
                        let requests: Vec<Request> = numbers.clone().map(target).collect();
                        for (number, verdict) in numbers.zip(checker.check_many(&requests)) {
                            let expected = match number % 50 {
                                0 => Status::TimedOut,
                                other if other % 2 == 0 => Status::Refused,
                                _ => Status::Up,
                            };
                            assert_eq!(verdict.status, expected, "number {number}: {verdict:?}");
                            assert_eq!(verdict.address.map(|address| address.ip()), Some(nth(number)));
                        }
                    });
                }
            });
            let stats = checker.stats();
            assert_eq!((stats.submitted, stats.up, stats.timed_out), (40_000, 20_000, 800));
        }
    }
}
