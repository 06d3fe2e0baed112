//! Nobody sleeps through what they wait for: readers of results, a loop that waits for a place, a loop that falls
//! asleep as a check is handed to it. And the rarer answers of a network, which come as an errno or not at all.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{IpAddr, SocketAddr};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::driven::stats;
use support::firewall::{self, Hook};
use support::handshake::{often, withholds_ack};
use support::lists::*;
use support::process::{Forked, sh, until};
use support::targets::{DEAD_PORT, Listener, V4, V6, at};
use tcpshaker::{Checker, Request, Status, Verdict};

/// No wake-up takes a hundredth of it. Whoever sleeps through one sleeps for longer: the checks have more time.
const WOKEN: Duration = Duration::from_millis(PATIENCE_MS as u64 / 4);

mod reader {
    use super::*;

    const READERS: usize = 8;

    /// Has readers wait, each with room for one result, and hands the results out as `submit` does.
    fn each_reader_gets_one(rounds: usize, submit: impl Fn(&Checker, usize)) {
        let checker = loops(1);
        let start = Barrier::new(READERS + 1);
        let (returned, in_vain, over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    loop {
                        start.wait();
                        if over.load(Ordering::SeqCst) {
                            return;
                        }
                        let asleep = Instant::now();
                        let taken = checker.reap(&mut Vec::new(), 1, Some(WOKEN));
                        // Whoever wakes by itself in the end may find its result then.
                        let slept_on = taken == 0 || asleep.elapsed() > WOKEN / 2;
                        in_vain.fetch_add(usize::from(slept_on), Ordering::SeqCst);
                        returned.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for round in 1..=rounds {
                start.wait();
                // By turns they are all asleep, or about to be.
                if round % 2 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                submit(&checker, round);
                while returned.load(Ordering::SeqCst) < round * READERS {
                    std::thread::yield_now();
                }
                if in_vain.load(Ordering::SeqCst) > 0 {
                    break;
                }
            }
            over.store(true, Ordering::SeqCst);
            start.wait();
        });
        let in_vain = in_vain.into_inner();
        assert_eq!(in_vain, 0, "{in_vain} readers slept on while their results were there");
        assert_eq!(checker.reap(&mut Vec::new(), 1, Some(Duration::ZERO)), 0);
    }

    fn dead(count: usize) -> Vec<Request> {
        vec![Request::new(at(V4, DEAD_PORT)); count]
    }

    #[test]
    fn with_room_for_one_wakes_the_next_when_results_come_together() {
        namespaced!();
        each_reader_gets_one(often(2_000), |checker, _| {
            checker.submit(dead(READERS)).expect("a live checker");
        });
    }

    #[test]
    fn with_room_for_one_wakes_the_next_when_results_come_one_by_one() {
        namespaced!();
        each_reader_gets_one(often(2_000), |checker, _| {
            for _ in 0..READERS {
                checker.submit(dead(1)).expect("a live checker");
            }
        });
    }

    #[test]
    fn with_room_for_one_wakes_the_next_when_some_come_first_and_the_rest_later() {
        namespaced!();
        each_reader_gets_one(often(2_000), |checker, round| {
            let first = 1 + round % (READERS - 1);
            checker.submit(dead(first)).expect("a live checker");
            if round % 3 == 0 {
                std::thread::sleep(Duration::from_micros(200));
            }
            checker.submit(dead(READERS - first)).expect("a live checker");
        });
    }

    #[test]
    fn that_waits_for_ever_is_woken_by_the_shutdown_as_are_all_others() {
        namespaced!();
        for _ in 0..often(200) {
            let checker = loops(2);
            std::thread::scope(|scope| {
                let readers: Vec<_> =
                    (0..READERS).map(|_| scope.spawn(|| checker.reap(&mut Vec::new(), 1, None))).collect();
                checker.submit(dead(2)).expect("a live checker");
                checker.shutdown();
                let taken: usize = readers.into_iter().map(|reader| reader.join().expect("a reader")).sum();
                assert!(taken <= 2, "{taken} results of two checks");
            });
        }
    }
}

mod sleeping_loop {
    use super::*;

    /// Runs `round` for some seconds, while others disturb the same checker.
    fn again_and_again(checker: &Checker, disturb: impl Fn() + Sync, mut round: impl FnMut(usize)) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    disturb();
                }
            });
            let begun = Instant::now();
            let mut rounds = 0;
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                while begun.elapsed() < Duration::from_secs(3) {
                    round(rounds);
                    rounds += 1;
                }
            }));
            over.store(true, Ordering::Relaxed);
            println!("{rounds} rounds");
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        assert_eq!((checker.stats().queued, checker.stats().internal), (0, 0));
    }

    fn result_comes(checker: &Checker, expected: &[Status]) {
        let mut reports = Vec::new();
        assert_eq!(checker.reap(&mut reports, 1, Some(WOKEN)), 1, "the loop sleeps on: {:?}", checker.stats());
        assert!(expected.contains(&reports[0].verdict.status), "{:?}", reports[0]);
    }

    /// A blocking check of a live target, which takes a place on its caller's thread and gives it up there.
    fn checks_of_a_caller(checker: &Checker) -> impl Fn() + Sync {
        || {
            let verdict = checker.check(&Request::new(at(V4, PORT)));
            assert_eq!(verdict.status, Status::Up, "{verdict:?}");
        }
    }

    /// A blocking check has the one place on its caller's thread; when it gives it up, nobody but it can wake the loop.
    #[test]
    fn that_waits_for_a_place_is_woken_when_a_caller_gives_one_up() {
        namespaced!();
        let _listener = listen_everywhere();
        let checker = checker(|config| config.set_max_in_flight(1).unwrap());
        again_and_again(&checker, checks_of_a_caller(&checker), |number| {
            checker.submit(vec![Request::new(at(nth(number), DEAD_PORT))]).expect("a live checker");
            result_comes(&checker, &[Status::Refused]);
        });
    }

    /// The same for a list, which waits for a place as long as it must.
    #[test]
    fn whose_list_waits_for_a_place_is_woken_when_a_caller_gives_one_up() {
        namespaced!();
        let _listener = listen_everywhere();
        let checker = checker(|config| config.set_max_in_flight(1).unwrap());
        let mut longest = Duration::ZERO;
        again_and_again(&checker, checks_of_a_caller(&checker), |number| {
            let begun = Instant::now();
            let verdicts = checker.check_many(&[Request::new(at(nth(number), DEAD_PORT))]);
            assert_eq!(verdicts[0].status, Status::Refused, "{verdicts:?}");
            longest = longest.max(begun.elapsed());
        });
        println!("the longest took {longest:?}");
        assert!(longest < WOKEN, "the loop slept for {longest:?}");
    }

    /// The same where the place is held for longer, by a check that goes to the loop and is cancelled there.
    #[test]
    fn that_waits_for_a_place_is_woken_when_a_check_is_cancelled() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = checker(|config| config.set_max_in_flight(1).unwrap());
        again_and_again(
            &checker,
            || (),
            |number| {
                let silent = with_timeout(100 * PATIENCE_MS, at(V4, SILENT_PORT));
                let id = checker.submit(vec![silent]).expect("a live checker");
                if number.is_multiple_of(2) {
                    until("the place is taken", || stats(&checker).in_flight == 1);
                }
                checker.submit(vec![Request::new(at(nth(number), DEAD_PORT))]).expect("a live checker");
                assert_eq!(checker.cancel(id), Ok(()));
                result_comes(&checker, &[Status::Cancelled, Status::Refused]);
                result_comes(&checker, &[Status::Cancelled, Status::Refused]);
            },
        );
    }

    /// A check is handed over at any moment of the loop's way to sleep.
    #[test]
    fn hears_of_every_check_however_it_falls_asleep() {
        namespaced!();
        for threads in [1, 2] {
            let checker = loops(threads);
            again_and_again(
                &checker,
                || (),
                |number| {
                    (0..number * 37 % 3_000).for_each(|_| std::hint::spin_loop());
                    // Two of one call are not begun on the caller's thread.
                    checker.submit(vec![Request::new(at(nth(number), DEAD_PORT)); 2]).expect("a live checker");
                    result_comes(&checker, &[Status::Refused]);
                    result_comes(&checker, &[Status::Refused]);
                },
            );
        }
    }
}

/// Checks a target in each way that there is.
fn each_way(checker: &Checker, request: &Request) -> Vec<(&'static str, Verdict)> {
    let listed = checker.check_many(std::slice::from_ref(request))[0];
    checker.submit(vec![request.clone()]).expect("a live checker");
    vec![("blocking", checker.check(request)), ("list", listed), ("submitted", reap(checker, 1)[0].verdict)]
}

fn assert_each_way(checker: &Checker, request: &Request, status: Status, errno: i32) -> Vec<Verdict> {
    let verdicts = each_way(checker, request);
    for (way, verdict) in &verdicts {
        assert_eq!((verdict.status, verdict.os_error), (status, errno), "{way}: {verdict:?}");
    }
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

mod errno {
    use super::*;

    /// Has the kernel answer every connect() of this process and its threads with an errno (seccomp(2)).
    fn have_connect_fail_with(errno: i32) {
        const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
        let mut steps = [
            step(LOAD, 0, 0, 0), // the number of the system call
            step(JUMP_IF_EQUAL, 0, 1, libc::SYS_connect as u32),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
        // SAFETY: the kernel copies the program, which is whole.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            let set = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0);
            assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        }
    }

    fn assert_of_connect(errno: i32, status: Status) {
        let child = Forked::new(move || {
            have_connect_fail_with(errno);
            let checker = loops(1);
            for ip in [V4, V6] {
                for verdict in assert_each_way(&checker, &Request::new(at(ip, DEAD_PORT)), status, errno) {
                    assert_eq!(verdict.address, Some(at(ip, DEAD_PORT)));
                }
            }
            assert_eq!(checker.stats().in_flight, 0);
            0
        });
        assert_eq!(child.wait(), 0, "errno {errno}");
    }

    #[test]
    fn of_a_network_or_host_that_is_down_is_unreachable() {
        needs_sockets!("no SYN of its is sent by connect");
        namespaced!();
        for errno in [libc::ENETDOWN, libc::EHOSTDOWN, libc::ENETUNREACH, libc::EHOSTUNREACH] {
            assert_of_connect(errno, Status::Unreachable);
        }
    }

    #[test]
    fn of_this_machines_own_troubles_is_a_local_fault() {
        needs_sockets!("no SYN of its is sent by connect");
        namespaced!();
        for errno in [libc::EACCES, libc::EPERM, libc::EADDRNOTAVAIL, libc::ENOBUFS, libc::ENOMEM, libc::EINVAL] {
            assert_of_connect(errno, Status::LocalFault);
        }
    }

    #[test]
    fn of_an_interface_that_is_taken_down_meanwhile_is_unreachable_and_passes() {
        namespaced!();
        sh("ip link add near type veth peer name far && ip link set far up");
        sh("ip addr add 10.1.0.1/24 dev near && ip link set near up");
        let checker = loops(1);
        let target = at([10, 1, 0, 2].into(), PORT);
        let request = with_timeout(100, target);
        // Nobody there answers a question for the address (ARP), which takes three seconds to be a verdict.
        assert_each_way(&checker, &request, Status::TimedOut, 0);
        for _ in 0..3 {
            sh("ip link set near down");
            assert_each_way(&checker, &request, Status::Unreachable, libc::ENETUNREACH);
            sh("ip link set near up");
            assert_each_way(&checker, &request, Status::TimedOut, 0);
        }
        let patient = checker.check(&with_timeout(30_000, target));
        assert_eq!((patient.status, patient.os_error), (Status::Unreachable, libc::EHOSTUNREACH), "{patient:?}");
    }
}

mod icmp_error {
    use super::*;

    /// One that comes back while connect() still holds the socket is noted, and not acted upon (sk_err_soft,
    /// tcp_v4_err() in net/ipv4/tcp_ipv4.c); another one, to the SYN that is sent again a second later, would be.
    fn targets() -> [SocketAddr; 4] {
        sh("ip addr add 10.9.0.1/32 dev lo && ip addr add fd09::1/128 dev lo nodad");
        firewall::add(
            Hook::Input,
            &[
                &format!("meta nfproto ipv4 tcp dport {PORT} reject with icmp type host-unreachable"),
                &format!("meta nfproto ipv6 tcp dport {PORT} reject with icmpv6 type addr-unreachable"),
            ],
        );
        let ips: [IpAddr; 4] = [V4, [10, 9, 0, 1].into(), V6, "fd09::1".parse().unwrap()];
        ips.map(|ip| at(ip, PORT))
    }

    #[test]
    fn that_comes_back_within_connect_is_the_verdict_at_the_latest_at_the_deadline() {
        namespaced!("nft");
        let checker = checker(|config| config.set_syn_interval(300).unwrap());
        for target in targets() {
            // The deadline is before the kernel's second SYN.
            let request = with_timeout(700, target);
            for verdict in assert_each_way(&checker, &request, Status::Unreachable, libc::EHOSTUNREACH) {
                println!("{verdict:?}");
                assert_eq!(verdict.address, Some(target), "{verdict:?}");
            }
        }
    }

    #[test]
    fn of_a_loopback_target_is_the_verdict_at_once() {
        namespaced!("nft");
        let checker = loops(1);
        for target in targets().into_iter().filter(|target| target.ip().is_loopback()) {
            for verdict in assert_each_way(&checker, &Request::new(target), Status::Unreachable, libc::EHOSTUNREACH) {
                // Any later, it would be that of the second SYN.
                assert!(verdict.syn_retransmits == 0 && verdict.elapsed_us < 900_000, "{verdict:?}");
            }
        }
    }

    #[test]
    fn leaves_its_socket_fit_for_a_live_target() {
        namespaced!("nft");
        let live = Listener::on(V4, SILENT_PORT);
        let checker = checker(|config| config.set_max_in_flight(1).unwrap());
        let target = targets()[0];
        for _ in 0..often(100) {
            assert_each_way(&checker, &Request::new(target), Status::Unreachable, libc::EHOSTUNREACH);
            for verdict in assert_each_way(&checker, &Request::new(live.address()), Status::Up, 0) {
                assert_eq!(verdict.half_open, withholds_ack(), "{verdict:?}");
            }
        }
        live.assert_untouched();
    }
}
