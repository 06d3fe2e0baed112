//! A process that may have only so much: descriptors, memory, privileges. Checks wait for what will come free, and what
//! cannot be had is said, not blamed on a target.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::driven::stats;
use support::handshake::assert_proven;
use support::lists::*;
use support::privileges::drop_capabilities;
use support::process::{Forked, sh, until};
use support::rlimit::{NoDescriptorLeft, set_descriptor_limit};
use support::targets::{DEAD_PORT, Listener, V4, V6, at};
use tcpshaker::c_api::{
    SHAKER_IPV4, shaker_checker_free, shaker_checker_new, shaker_config_free, shaker_config_new,
    shaker_config_set_mark, shaker_reap, shaker_request, shaker_result, shaker_status, shaker_submit,
};
use tcpshaker::{Checker, Config, Error, Monitor, MonitorConfig, Request, Status, Watch};

#[path = "limits/in_flight.rs"]
mod in_flight;
#[path = "limits/threads.rs"]
mod threads;

mod descriptors {
    use super::*;

    #[test]
    fn fewer_than_checks_in_flight_are_shared_by_two_loops_until_all_have_a_verdict() {
        needs_sockets!("a check needs no descriptor");
        namespaced!("nft");
        silence(SILENT_PORT);
        set_descriptor_limit(40);
        for round in 0..20 {
            let checker = checker(|config| {
                config.set_threads(2).unwrap();
                config.set_max_in_flight(200).unwrap();
            });
            let (sender, lists) = channel();
            let caller = std::thread::spawn(move || {
                // The first loop to be awake takes all descriptors. Now and then the families compete for them as well.
                let target = |number: usize| if round % 4 == 3 && number.is_multiple_of(3) { V6 } else { nth(number) };
                let requests = (0..100).map(|number| with_timeout(20, at(target(number), SILENT_PORT)));
                let requests: Vec<Request> = requests.collect();
                sender.send((checker.check_many(&requests), checker.stats())).unwrap();
            });
            let (verdicts, stats) = lists.recv_timeout(Duration::from_secs(60)).expect("the list comes back");
            caller.join().expect("the checker and its descriptors are gone");
            assert_eq!(tally(&verdicts), HashMap::from([(Status::TimedOut, 100)]));
            assert!(stats.sockets < 40, "{stats:?}");
        }
    }

    #[test]
    fn that_several_loops_wait_for_do_not_keep_the_processor_busy() {
        needs_sockets!("a check needs no descriptor");
        namespaced!("nft");
        silence(SILENT_PORT);
        set_descriptor_limit(40);
        let checker = checker(|config| {
            config.set_threads(4).unwrap();
            config.set_max_in_flight(400).unwrap();
        });
        let silent = |number| with_timeout(3_000, at(nth(number), SILENT_PORT));
        checker.submit((0..200).map(silent).collect()).expect("a live checker");
        until("all loops wait", || stats(&checker).queued > 150 && stats(&checker).in_flight > 0);
        std::thread::sleep(Duration::from_millis(200));
        let busy = processor_time();
        // No result comes before their timeout.
        checker.reap(&mut Vec::new(), 1, Some(Duration::from_millis(1_500)));
        // Loops that wake each other take over a second of it each; asking now and then takes a hundredth.
        assert!(processor_time() - busy < Duration::from_millis(700), "{:?}", processor_time() - busy);
    }

    /// What this process has used so far, on all processors.
    fn processor_time() -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the clock exists, and `time` is for it to fill.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    #[test]
    fn given_back_by_the_host_let_waiting_checks_go_on() {
        needs_sockets!("a check needs no descriptor");
        namespaced!("nft");
        let listener = Listener::on(V4, PORT);
        silence(SILENT_PORT);
        for threads in [1, 2] {
            let checker = loops(threads);
            // While the checker has this one under way, it is worth waiting for a descriptor. It outlasts all the
            // others.
            checker.submit(vec![with_timeout(10 * PATIENCE_MS, at(V4, SILENT_PORT))]).expect("a live checker");
            until("the silent target in flight", || stats(&checker).in_flight == 1);
            set_descriptor_limit(256);
            let taken = NoDescriptorLeft::take_all();
            let request = Request::new(listener.address());
            let verdicts = std::thread::scope(|scope| {
                let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| checker.check(&request))).collect();
                until("eight checks wait", || stats(&checker).queued == 8);
                std::thread::sleep(Duration::from_millis(200));
                assert_eq!((checker.stats().queued, checker.stats().sockets), (8, 1));
                drop(taken); // of which nobody tells the checker
                let given_back = Instant::now();
                let verdicts: Vec<_> = waiting.into_iter().map(|check| check.join().expect("check")).collect();
                // A hundred times as long as the checker lets pass before it asks again, far less than their timeout.
                assert!(given_back.elapsed() < Duration::from_secs(5), "{:?}", given_back.elapsed());
                verdicts
            });
            assert_eq!(tally(&verdicts), HashMap::from([(Status::Up, 8)]));
            assert_proven(&verdicts);
            assert_eq!(checker.stats().in_flight, 1);
        }
        listener.assert_untouched();
    }
}

mod memory {
    use super::*;

    #[test]
    fn of_two_gibibytes_is_enough_for_twenty_thousand_requests_with_and_without_callback_by_turns() {
        namespaced!();
        static CALLS: AtomicUsize = AtomicUsize::new(0);

        unsafe extern "C" fn count(result: *const shaker_result, _: *mut c_void) {
            // SAFETY: the library's result, which is valid until this returns.
            assert_eq!(unsafe { (*result).status }, shaker_status::SHAKER_REFUSED as i32);
            CALLS.fetch_add(1, Ordering::SeqCst);
        }

        const TWO_GIBIBYTES: libc::rlim_t = 2 << 30;
        let limit = libc::rlimit { rlim_cur: TWO_GIBIBYTES, rlim_max: TWO_GIBIBYTES };
        // SAFETY: the struct is this function's own.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
        let addr = CString::new(at(V4, DEAD_PORT).to_string()).expect("a text");
        let request = |number: usize| shaker_request {
            addr: addr.as_ptr(),
            sockaddr: std::ptr::null(),
            sockaddr_len: 0,
            timeout_ms: PATIENCE_MS,
            flags: SHAKER_IPV4,
            callback: number.is_multiple_of(2).then_some(count as _),
            user_data: std::ptr::null_mut(),
            mark: 0,
            reserved: [0; 3],
        };
        let requests: Vec<shaker_request> = (0..20_000).map(request).collect();
        let mut checker = std::ptr::null_mut();
        // SAFETY: arguments as the header wants them; all of them outlive the calls.
        unsafe {
            assert_eq!(shaker_checker_new(std::ptr::null(), &mut checker), shaker_status::SHAKER_OK);
            let submitted = shaker_submit(checker, requests.as_ptr(), requests.len(), std::ptr::null_mut());
            assert_eq!(submitted, shaker_status::SHAKER_OK);
            let mut results = std::mem::zeroed::<[shaker_result; 1_000]>();
            let mut reaped = 0;
            while reaped < 10_000 {
                let taken = shaker_reap(checker, results.as_mut_ptr(), results.len(), PATIENCE_MS);
                assert!(results[..taken].iter().all(|result| result.status == shaker_status::SHAKER_REFUSED as i32));
                assert_ne!(taken, 0, "only {reaped} results came");
                reaped += taken;
            }
            until("every callback", || CALLS.load(Ordering::SeqCst) == 10_000);
            assert_eq!(shaker_checker_free(checker), shaker_status::SHAKER_OK);
        }
    }

    const MEBIBYTE: u64 = 1 << 20;

    /// Does something while this process may have so many mebibytes more than it has.
    fn with_mebibytes<T>(count: u64, what: impl FnOnce() -> T) -> T {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
        let set = |soft| {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: libc::RLIM_INFINITY };
            // SAFETY: the struct is this function's own.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
        };
        // SAFETY: takes a number only.
        set(pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64 + count * MEBIBYTE);
        let result = what();
        set(libc::RLIM_INFINITY);
        result
    }

    fn refused_requests(count: usize) -> Vec<Request> {
        (0..count).map(|tag| tagged(tag, with_timeout(PATIENCE_MS, at(V4, DEAD_PORT)))).collect()
    }

    #[test]
    fn that_is_not_there_for_two_hundred_thousand_requests_refuses_them_as_a_whole() {
        namespaced!();
        let checker = checker(|_| ());
        assert_eq!(checker.check(&refused_requests(1)[0]).status, Status::Refused);
        let before = stats(&checker).submitted;
        let requests = refused_requests(200_000);
        assert_eq!(with_mebibytes(8, || checker.submit(requests)), Err(Error::LocalFault));
        assert_eq!((stats(&checker).submitted, stats(&checker).queued), (before, 0));
        let names: Vec<Request> = (0..200_000).map(|_| Request::new("localhost:9")).collect();
        assert_eq!(with_mebibytes(8, || checker.submit(names)), Err(Error::LocalFault));
        assert_eq!(stats(&checker).submitted, before);
        assert_eq!(checker.check(&refused_requests(1)[0]).status, Status::Refused);
    }

    #[test]
    fn that_is_short_refuses_a_list_or_some_of_its_checks_and_ends_no_process() {
        namespaced!();
        for mebibytes in [4, 8, 9, 10, 12, 16] {
            let checker = checker(|_| ());
            let (requests, mut reports) = (refused_requests(20_000), Vec::with_capacity(20_000));
            let is_right = |verdict: &tcpshaker::Verdict| {
                matches!((verdict.status, verdict.os_error), (Status::Refused, _) | (Status::LocalFault, libc::ENOMEM))
            };
            with_mebibytes(mebibytes, || match checker.submit(requests) {
                Err(status) => assert_eq!(status, Error::LocalFault),
                Ok(_) => {
                    while reports.len() < 20_000 {
                        assert_ne!(checker.reap(&mut reports, 20_000, Some(Duration::from_secs(60))), 0);
                    }
                }
            });
            assert!(reports.iter().all(|report| is_right(&report.verdict)), "{mebibytes}");
            assert_eq!(checker.check(&refused_requests(1)[0]).status, Status::Refused, "{mebibytes}");
        }
    }

    #[test]
    fn that_is_not_there_for_two_hundred_thousand_watches_refuses_them_as_a_whole() {
        namespaced!();
        let checker = std::sync::Arc::new(checker(|_| ()));
        let monitor = Monitor::new(checker, &MonitorConfig::default()).expect("a monitor");
        let watch = |number: usize| {
            let mut watch = Watch::new(at(nth(number), DEAD_PORT));
            watch.interval_ms = 60_000;
            watch
        };
        let watches: Vec<Watch> = (0..200_000).map(watch).collect();
        for mebibytes in [4, 24, 40] {
            assert_eq!(with_mebibytes(mebibytes, || monitor.add(&watches)), Err(Error::LocalFault), "{mebibytes}");
        }
        let ids = monitor.add(&watches[..1]).expect("one watch");
        monitor.check_now(ids[0]).unwrap();
        let mut changes = Vec::new();
        monitor.reap(&mut changes, 2, None);
        assert_eq!((changes.len(), changes[0].id), (1, ids[0]));
    }
}

mod proc_file_system {
    use super::*;

    fn verdicts(listener: &Listener) -> Vec<Status> {
        let mut told = Vec::new();
        for (is_raw, is_driven) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut config = Config::default();
            config.set_caller_driven(is_driven).unwrap();
            if is_raw {
                support::engine::choose_raw(&mut config).unwrap();
            }
            let checker = Checker::new(&config).expect("a checker");
            let targets = [listener.address(), at(V4, DEAD_PORT)].map(|target| with_timeout(PATIENCE_MS, target));
            told.extend(targets.iter().map(|request| checker.check(request).status));
            told.extend(checker.check_many(&targets).iter().map(|verdict| verdict.status));
        }
        told
    }

    #[test]
    fn that_is_read_only_or_not_there_changes_no_verdict() {
        namespaced!();
        let listener = Listener::on(V4, PORT);
        let expected = [Status::Up, Status::Refused].repeat(8);
        sh("mount --bind /proc /proc && mount -o remount,bind,ro /proc");
        assert_eq!(verdicts(&listener), expected, "read-only");
        sh("mount -t tmpfs none /proc");
        assert!(std::fs::read_dir("/proc").unwrap().next().is_none());
        let told = verdicts(&listener);
        sh("umount /proc && umount /proc");
        assert_eq!(told, expected, "none");
    }
}

mod privileges {
    use super::*;

    #[test]
    fn that_a_mark_needs_and_the_process_has_not_are_told_when_the_checker_is_made() {
        namespaced!();
        let mut config = Config::default();
        config.set_mark(42).unwrap();
        assert_eq!(Checker::new(&config).err(), None);
        let child = Forked::new(move || {
            drop_capabilities();
            assert_eq!(Checker::new(&config).err(), Some(Error::Unsupported));
            // SAFETY: arguments as the header wants them; all of them outlive the calls.
            unsafe {
                let config = shaker_config_new();
                assert_eq!(shaker_config_set_mark(config, 42), shaker_status::SHAKER_OK);
                let mut checker = std::ptr::dangling_mut();
                let made = shaker_checker_new(config, &mut checker);
                assert_eq!((made, checker.is_null()), (shaker_status::SHAKER_ERR_UNSUPPORTED, true));
                shaker_config_free(config);
            }
            // Whoever sets no mark needs no privilege.
            let plain = Checker::new(&Config::default()).expect("a checker");
            assert_eq!(plain.check(&Request::new(at(V4, DEAD_PORT))).status, Status::Refused);
            0
        });
        assert_eq!(child.wait(), 0);
    }
}
