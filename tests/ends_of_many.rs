//! The end of many checks at once, and of many one after another: no answered socket is left alone for it, no thread is
//! left behind, and memory stays flat.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use support::counters::Rise;
use support::driven::{self, stats};
use support::etc;
use support::handshake::{often, withholds_ack};
use support::lists::*;
use support::process::{sh, share_one_processor, threads, until};
use support::rlimit::set_descriptor_limit;
use support::targets::{Listener, V4, at};
use tcpshaker::{Checker, Report, Request, Status, Verdict};

/// A figure of this process in bytes (proc(5), /proc/pid/status).
fn memory(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect(name);
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

mod in_flight {
    use super::*;

    const SILENT: usize = 19_000;
    /// Answered late, and started last.
    const LATE: usize = 500;
    /// Threads that want the loop's processor, too.
    const RIVALS: usize = 6;

    /// Takes processor time until it is dropped, so that resetting all sockets in one go takes longer than the 200 ms
    /// for which the kernel withholds an ACK; but no thread waits as long for its turn.
    struct Rivals(Arc<AtomicBool>);

    impl Rivals {
        fn start() -> Rivals {
            let over = Arc::new(AtomicBool::new(false));
            for _ in 0..RIVALS {
                let over = over.clone();
                std::thread::spawn(move || while !over.load(Ordering::Relaxed) {});
            }
            Rivals(over)
        }
    }

    impl Drop for Rivals {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A checker with all its checks in flight and the late ones' answers about to come; what will come of those; and
    /// the kernel's count of handshakes.
    fn about_to_be_answered() -> (Checker, Receiver<Verdict>, Rise) {
        set_descriptor_limit(DESCRIPTORS);
        share_one_processor();
        silence(SILENT_PORT);
        sh("nft add table inet lossy");
        sh("nft add chain inet lossy arriving '{ type filter hook input priority 0; }'");
        sh(&format!("nft add rule inet lossy arriving tcp dport {PORT} drop"));
        let checker = checker(|config| {
            config.set_max_in_flight((SILENT + LATE) as u32).unwrap();
            config.set_syn_interval(0).unwrap(); // each holds one socket, and the kernel alone sends a SYN again
        });
        let silent = (0..SILENT).map(|number| with_timeout(10 * PATIENCE_MS, at(nth(number), SILENT_PORT)));
        checker.submit(silent.collect()).expect("a live checker");
        until("the silent ones in flight", || stats(&checker).in_flight == SILENT as u64);
        let completed = Rise::of("TcpPassiveOpens");
        let begun = Instant::now();
        let (sender, late) = channel();
        for number in 0..LATE {
            let sender = sender.clone();
            let callback = Box::new(move |report: &Report| sender.send(report.verdict).unwrap());
            let request = with_timeout(10 * PATIENCE_MS, at(nth(number), PORT));
            checker.submit_with(request, callback).expect("a live checker");
        }
        until("the late ones in flight", || stats(&checker).in_flight == (SILENT + LATE) as u64);
        sh("nft delete table inet lossy");
        // The kernel sends a SYN again after a second (TCP_TIMEOUT_INIT), and that one is answered.
        std::thread::sleep((begun + Duration::from_millis(900)).saturating_duration_since(Instant::now()));
        (checker, late, completed)
    }

    /// Ends everything, and compares the handshakes that the kernel completed with those that the verdicts admit.
    fn assert_none_in_silence(end: impl FnOnce(Checker) -> Option<Checker>) {
        let listener = listen_everywhere();
        let (checker, late, completed) = about_to_be_answered();
        let rivals = Rivals::start();
        let begun = Instant::now();
        let checker = end(checker);
        // Until no callback is left.
        let late: Vec<Verdict> = match &checker {
            Some(checker) => std::iter::from_fn(|| driven::receive(checker, &late).ok()).collect(),
            None => late.iter().collect(),
        };
        println!("all ended after {:?}", begun.elapsed());
        drop(rivals);
        std::thread::sleep(Duration::from_millis(500)); // for the ACK of a socket that was forgotten
        let admitted = late.iter().filter(|verdict| verdict.status == Status::Up && !verdict.half_open).count() as u64;
        let completed = completed.now();
        println!("{completed} handshakes completed, {admitted} admitted; {:?}", tally(&late));
        assert_eq!(late.len(), LATE);
        assert!(completed <= admitted, "{completed} handshakes completed, {admitted} admitted: {:?}", tally(&late));
        assert!(listener.accept_all() as u64 <= admitted, "more arrived than were admitted");
        if let Some(checker) = checker {
            reap(&checker, SILENT);
            let stats = checker.stats();
            assert_eq!((stats.completed_handshakes, stats.in_flight, stats.queued), (admitted, 0, 0));
        }
    }

    #[test]
    fn that_are_all_cancelled_complete_no_handshake_in_silence() {
        namespaced!(alone, "nft");
        only_where!(withholds_ack(), "every answer completes a handshake");
        assert_none_in_silence(|checker| {
            assert_eq!(checker.cancel(0), Ok(()));
            Some(checker)
        });
    }

    #[test]
    fn that_a_shutdown_ends_complete_no_handshake_in_silence() {
        namespaced!(alone, "nft");
        only_where!(withholds_ack(), "every answer completes a handshake");
        assert_none_in_silence(|checker| {
            checker.shutdown();
            Some(checker)
        });
    }

    #[test]
    fn that_a_drop_ends_complete_no_handshake_in_silence() {
        namespaced!(alone, "nft");
        only_where!(withholds_ack(), "every answer completes a handshake");
        assert_none_in_silence(|checker| {
            drop(checker);
            None
        });
    }
}

mod last_handle {
    use super::*;

    /// Has a checker resolve a name, so that it has threads of each kind, and drops its last handle inside a callback.
    fn drop_inside_a_callback() {
        let checker = Arc::new(loops(2));
        let (sender, dropped) = channel();
        let (go, may_drop) = channel::<()>();
        let last = checker.clone();
        let callback = move |_: &Report| {
            may_drop.recv().expect("the other handle is gone");
            drop(last);
            sender.send(()).unwrap();
        };
        checker.submit_with(Request::new("localhost:9"), Box::new(callback)).expect("a live checker");
        drop(checker);
        go.send(()).unwrap();
        dropped.recv_timeout(Duration::from_secs(60)).expect("the callback returns");
    }

    #[test]
    fn dropped_inside_a_callback_leaves_no_thread_and_no_stack_behind() {
        needs_a_thread!("nobody runs the callback that has the last handle");
        namespaced!();
        etc::replace();
        let before = threads();
        let alone = || until("its threads are gone", || threads() == before);
        // The C library keeps a few stacks for the threads to come.
        for _ in 0..100 {
            drop_inside_a_callback();
            alone();
        }
        let (early, rounds) = (memory("VmSize"), often(1_000));
        for _ in 0..rounds {
            drop_inside_a_callback();
            alone();
        }
        let late = memory("VmSize");
        println!("{early} bytes mapped after 100 rounds, {late} after {rounds} more");
        // A stack is two mebibytes: this is a twentieth of one for each round.
        assert!(late < early + rounds * (100 << 10), "the mapped memory grew from {early} to {late} bytes");
    }
}

mod memory_stays_flat {
    use super::*;

    /// One place, taken by a silent target, and another silent target that waits for it at the head of the queue.
    fn waiting_head() -> Checker {
        silence(SILENT_PORT);
        let checker = checker(|config| config.set_max_in_flight(1).unwrap());
        let silent = with_timeout(100 * PATIENCE_MS, at(V4, SILENT_PORT));
        checker.submit(vec![silent.clone()]).expect("a live checker");
        until("the place is taken", || stats(&checker).in_flight == 1);
        checker.submit(vec![silent]).expect("a live checker");
        until("the other waits", || stats(&checker).queued == 1);
        checker
    }

    const BATCH: usize = 10_000;

    /// Half of what would be left of three million checks, if each left eight bytes or more.
    const SLACK: usize = 12 << 20;

    /// Runs batches and compares the resident memory after the first tenth with that at the end.
    fn assert_flat(batches: usize, mut batch: impl FnMut()) {
        (0..batches / 10).for_each(|_| batch());
        let early = memory("VmRSS");
        (batches / 10..batches).for_each(|_| batch());
        let late = memory("VmRSS");
        let checks = batches * BATCH;
        println!("{early} bytes resident after {} checks, {late} after {checks}", checks / 10);
        assert!(late < early + SLACK, "resident memory grew from {early} to {late} bytes");
    }

    #[test]
    fn while_checks_expire_behind_one_that_waits_for_its_turn() {
        namespaced!(alone, "nft");
        let checker = waiting_head();
        assert_flat(400, || {
            checker.submit(vec![with_timeout(1, at(V4, SILENT_PORT)); BATCH]).expect("a live checker");
            let reports = reap(&checker, BATCH);
            assert!(reports.iter().all(|report| report.verdict.status == Status::Busy));
        });
        assert_eq!((checker.stats().in_flight, checker.stats().queued), (1, 1));
    }

    #[test]
    fn while_checks_are_cancelled_behind_one_that_waits_for_its_turn() {
        namespaced!(alone, "nft");
        let checker = waiting_head();
        assert_flat(400, || {
            let batch = vec![with_timeout(10 * PATIENCE_MS, at(V4, SILENT_PORT)); BATCH];
            let first = checker.submit(batch).expect("a live checker");
            // One that comes after them is over, so all of them have arrived.
            assert_eq!(checker.check(&with_timeout(1, at(V4, SILENT_PORT))).status, Status::Busy);
            (first..first + BATCH as u64).for_each(|id| assert_eq!(checker.cancel(id), Ok(())));
            let reports = reap(&checker, BATCH);
            assert!(reports.iter().all(|report| report.verdict.status == Status::Cancelled));
        });
        assert_eq!((checker.stats().in_flight, checker.stats().queued), (1, 1));
    }

    #[test]
    fn while_checks_that_are_over_are_cancelled_and_new_ones_arrive_without_end() {
        namespaced!(alone, "nft");
        silence(SILENT_PORT);
        let listener = Listener::on(V4, PORT);
        let checker = checker(|_| ());
        let over = AtomicBool::new(false);
        // Cheap ones, never fewer than the loop takes in at once, and never more than a bound.
        let arriving = Request::new("nowhere");
        let (mut cancelled, submitted, reaped) = (0, AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let under_way = submitted.load(Ordering::Relaxed) - reaped.load(Ordering::Relaxed);
                    if checker.stats().queued < 100_000 && under_way < 200_000 {
                        submitted.fetch_add(20_000, Ordering::Relaxed);
                        checker.submit(vec![arriving.clone(); 20_000]).expect("a live checker");
                    }
                }
            });
            scope.spawn(|| {
                let mut reports = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    reports.clear();
                    let count = checker.reap(&mut reports, 10_000, Some(Duration::from_millis(10)));
                    reaped.fetch_add(count, Ordering::Relaxed);
                }
            });
            until("there is always more", || stats(&checker).queued > 50_000);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                assert_flat(300, || {
                    // Ids that nobody has: each is as good as one whose check is over.
                    for id in cancelled..cancelled + BATCH as u64 {
                        assert_eq!(checker.cancel(u64::MAX - id), Ok(()));
                    }
                    cancelled += BATCH as u64;
                    // It goes through the loop, which has heard of all cancels by the time it is over.
                    let verdict = checker.check(&with_timeout(1, at(V4, SILENT_PORT)));
                    // Its turn may come too late.
                    assert!([Status::TimedOut, Status::Busy].contains(&verdict.status), "{verdict:?}");
                })
            }));
            over.store(true, Ordering::Relaxed);
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        listener.assert_untouched();
    }
}
