//! Never up by mistake, never down by mistake, never half-open by mistake, and nothing left behind: each under the load
//! or in the corner where a checker would get it wrong.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use support::counters::{Rise, Syns, counter};
use support::driven::stats;
use support::engine::is_raw;
use support::firewall::{self, Hook};
use support::handshake::{Completed, assert_sent_again, held_up, is_at_its_best, kept, often, proves, withholds_ack};
use support::process::{Forked, open_descriptors, sh, stop_parent_during, sysctl, threads, until};
use support::sized::sized;
use support::targets::{DEAD_PORT, Listener, V4, V6, at};
use tcpshaker::{Checker, Config, Handshake, Request, Status, Verdict};

const PORT: u16 = 8080;
const SILENT_PORT: u16 = 8081;

/// Ample for any machine where an answer is certain to come.
const PATIENCE_MS: u32 = 60_000;

fn checker() -> Checker {
    checker_with(|_| ())
}

fn checker_with(configure: impl FnOnce(&mut Config)) -> Checker {
    support::lists::checker(|config| {
        config.set_timeout(PATIENCE_MS).unwrap();
        configure(config);
    })
}

/// `::ffff:a.b.c.d`: IPv4, in the clothes of IPv6.
fn mapped(ip: Ipv4Addr) -> IpAddr {
    ip.to_ipv6_mapped().into()
}

mod never_up_by_mistake {
    use super::*;

    /// A dead port in the middle of a narrow ephemeral range, where sockets keep meeting themselves. The port has the
    /// parity of the range's beginning: connect() tries those ports first (__inet_hash_connect).
    const DEAD: u16 = 40_050;

    fn narrow_range() {
        sysctl("net/ipv4/ip_local_port_range", "40000 40099");
    }

    /// Counts the SYNs that a socket sends to itself.
    fn count_meetings() {
        firewall::add_counter("meetings");
        firewall::add(
            Hook::Output,
            &[&format!("tcp sport {DEAD} tcp dport {DEAD} tcp flags & (syn | ack) == syn counter name meetings")],
        );
    }

    #[test]
    fn naive_client_calls_a_dead_port_alive_hundreds_of_times() {
        namespaced!("nft");
        narrow_range();
        count_meetings();
        let connected = (0..60_000).filter(|_| naive_connect(at(V4, DEAD))).count();
        println!("{connected} of 60,000 connects to a dead port succeeded");
        assert!(connected >= 100, "only {connected}: the test of the checker would prove little");
        assert!(firewall::packets("meetings") >= connected as u64);
    }

    /// What a health check usually does: connect, and close without TIME_WAIT.
    fn naive_connect(target: SocketAddr) -> bool {
        let Ok(stream) = TcpStream::connect(target) else { return false };
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        true
    }

    fn assert_never_up(ip: IpAddr, checks: usize) {
        let checks = often(checks);
        narrow_range();
        count_meetings();
        let (checker, target) = (checker(), at(ip, DEAD));
        let check = || {
            for _ in 0..checks / 4 {
                let verdict = checker.check(&Request::new(target));
                assert_eq!((verdict.status, verdict.address), (Status::Refused, Some(target)), "{verdict:?}");
                assert!(!verdict.half_open && verdict.rtt_us == 0, "{verdict:?}");
            }
        };
        // One after the other first, then together.
        check();
        std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(check))));
        let meetings = firewall::packets("meetings");
        println!("met itself {meetings} times in {checks} checks");
        assert!(is_raw() || meetings >= checks as u64 / 600, "met itself only {meetings} times: this proves little");
        assert_eq!(checker.stats().refused, checks as u64);
    }

    #[test]
    fn dead_port_in_the_ephemeral_range_is_never_up_on_ipv4() {
        namespaced!("nft");
        assert_never_up(V4, 60_000);
    }

    #[test]
    fn dead_port_in_the_ephemeral_range_is_never_up_on_ipv6() {
        namespaced!("nft");
        assert_never_up(V6, 60_000);
    }

    #[test]
    fn dead_port_in_the_ephemeral_range_is_never_up_by_an_ipv4_mapped_address() {
        namespaced!("nft");
        assert_never_up(mapped(Ipv4Addr::LOCALHOST), 20_000);
    }

    #[test]
    fn dead_port_in_the_ephemeral_range_is_never_up_by_the_ipv4_mapped_unspecified_address() {
        namespaced!("nft");
        assert_never_up(mapped(Ipv4Addr::UNSPECIFIED), 20_000);
    }

    #[test]
    fn full_handshake_with_oneself_is_refused_too() {
        needs_sockets!("it makes no other handshake");
        namespaced!("nft");
        narrow_range();
        count_meetings();
        let checker = checker();
        for (handshake, linger) in [(Handshake::Full, false), (Handshake::HalfOpen, true)] {
            let request = Request { handshake, linger, ..Request::new(at(V4, DEAD)) };
            for _ in 0..5_000 {
                // A connection closed with FIN may hold the port for a minute, and this range has a hundred.
                let status = checker.check(&request).status;
                assert!(status == Status::Refused || linger && status == Status::LocalFault, "{status:?}");
            }
        }
        assert!(firewall::packets("meetings") > 0);
    }
}

mod never_down_by_mistake {
    use super::*;

    /// All checks at once, `each` from each of `callers` threads: all up, and nothing completed in silence.
    fn assert_all_up(callers: usize, each: usize) {
        let listener = Listener::on(V4, PORT);
        let completed = Completed::watch();
        let checker = checker();
        let unproven = AtomicU64::new(0);
        let start = Barrier::new(callers);
        let call = || {
            start.wait();
            for _ in 0..each {
                let verdict = checker.check(&Request::new(listener.address()));
                assert_eq!((verdict.status, verdict.os_error), (Status::Up, 0), "{verdict:?}");
                unproven.fetch_add(u64::from(!verdict.half_open), Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..callers {
                let small = std::thread::Builder::new().stack_size(64 << 10);
                small.spawn_scoped(scope, call).expect("a thread of many");
            }
        });
        let stats = checker.stats();
        assert_eq!((stats.submitted, stats.up), ((callers * each) as u64, (callers * each) as u64));
        assert_eq!((stats.in_flight, stats.queued), (0, 0));
        assert_eq!(unproven.into_inner(), stats.completed_handshakes);
        completed.assert_none_in_silence(&stats);
    }

    #[test]
    fn ipv4_mapped_address_is_up_even_where_ipv6_sockets_speak_ipv6_only() {
        namespaced!();
        let listener = Listener::on(V4, PORT);
        for only_v6 in ["1", "0"] {
            sysctl("net/ipv6/bindv6only", only_v6);
            let checker = checker();
            for ip in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
                let request = Request::new(at(mapped(ip), PORT));
                for verdict in [checker.check(&request), checker.check_many(std::slice::from_ref(&request))[0]] {
                    assert_eq!((verdict.status, verdict.half_open), (Status::Up, proves(&verdict)), "{verdict:?}");
                    assert_eq!(verdict.address, Some(at(mapped(ip), PORT)), "the address is told as it was asked");
                }
            }
        }
        listener.assert_untouched();
    }

    #[test]
    fn ten_thousand_threads_at_once_find_a_live_target_up_every_time() {
        namespaced!(alone);
        assert_all_up(10_000, often(20));
    }

    #[test]
    fn sixty_four_threads_find_a_live_target_up_every_time() {
        namespaced!(alone);
        assert_all_up(64, often(200_000) / 64);
    }

    #[test]
    fn answer_that_waits_while_the_process_is_stopped_beats_its_deadline() {
        needs_sockets!("nobody sends a SYN again while the process is stopped");
        namespaced!("nft");
        let listener = Listener::on(V4, PORT);
        // The answer to the second SYN comes at one second, or to the third at three, where it takes so long to let
        // them through; the deadline at four. The process sleeps through both.
        let beyond_the_deadline = || std::thread::sleep(Duration::from_millis(3500));
        let verdict = check_while_stopped(&checker(), listener.address(), 4000, beyond_the_deadline);
        assert_eq!(verdict.status, Status::Up, "{verdict:?}");
        assert!(verdict.elapsed_us >= 4_000_000, "the stop ended before the deadline: {verdict:?}");
    }

    #[test]
    fn server_that_hangs_up_while_the_process_is_stopped_was_up() {
        needs_sockets!("no ACK ever leaves");
        namespaced!("nft");
        for linger in [Some(Duration::ZERO), None] {
            let listener = std::net::TcpListener::bind(at(V4, 0)).expect("a listener");
            // It accepts when the ACK comes, by itself if need be, and is gone before the check has looked: by RST, by
            // FIN.
            let hang_up = || {
                let (stream, _) = listener.accept().expect("the check's connection");
                socket2::SockRef::from(&stream).set_linger(linger).expect("SO_LINGER");
            };
            let target = listener.local_addr().expect("a bound socket");
            let verdict = check_while_stopped(&checker(), target, PATIENCE_MS, hang_up);
            assert_eq!((verdict.status, verdict.os_error), (Status::Up, 0), "{linger:?}: {verdict:?}");
            assert!(!verdict.half_open, "{linger:?}: {verdict:?}");
        }
    }
}

/// Makes a check whose first SYN is lost and whose second is answered while the process is stopped. It goes on when a
/// child of it has done what comes `after` the answer.
fn check_while_stopped(checker: &Checker, target: SocketAddr, timeout_ms: u32, after: impl FnOnce()) -> Verdict {
    firewall::add(Hook::Input, &[&format!("tcp dport {} drop", target.port())]);
    let sent = Syns::watch();
    let child = Forked::new(move || {
        until("the SYN", || sent.now() > 0);
        std::thread::sleep(Duration::from_millis(300));
        stop_parent_during(|| {
            firewall::open();
            until_answered();
            after();
        });
        0
    });
    let verdict = checker.check(&Request { timeout_ms, ..Request::new(target) });
    assert_eq!(child.wait(), 0);
    verdict
}

/// A socket is established by the answer. Where there is none, the packet filter sees the answer go by.
fn until_answered() {
    if is_raw() {
        firewall::add_counter("answers");
        firewall::add(Hook::Input, &["tcp flags & (syn | ack) == syn | ack counter name answers"]);
        until("the answer", || firewall::packets("answers") > 0);
    } else {
        until("the answer", || counter("TcpCurrEstab") > 0);
    }
}

mod never_half_open_by_mistake {
    use super::*;

    #[test]
    fn check_stopped_long_after_its_answer_is_up_and_admits_that_the_ack_went_out() {
        needs_sockets!("no ACK ever leaves");
        namespaced!("nft");
        let listener = Listener::on(V4, PORT);
        let completed = Rise::of("TcpPassiveOpens");
        let checker = checker();
        let long_after = || std::thread::sleep(Duration::from_millis(600));
        let verdict = check_while_stopped(&checker, listener.address(), PATIENCE_MS, long_after);
        assert_eq!((verdict.status, verdict.half_open, completed.now()), (Status::Up, false, 1), "{verdict:?}");
        assert_sent_again(&verdict);
        assert_eq!(checker.stats().completed_handshakes, 1);
        // And the next one, on the same socket where there is one, is proven again.
        assert_eq!(listener.accept_all(), 1);
        let next = checker.check(&Request::new(listener.address()));
        assert_eq!((next.status, next.half_open), (Status::Up, proves(&next)), "{next:?}");
        assert!(completed.now() <= 1 + u64::from(!withholds_ack()) + held_up());
    }

    #[test]
    fn check_stopped_until_shortly_after_its_answer_is_up_and_proven_half_open() {
        needs_sockets!("no ACK ever leaves");
        only_where!(is_at_its_best(), "only a reset socket still knows when a late answer came");
        namespaced!("nft");
        let listener = Listener::on(V4, PORT);
        let checker = checker();
        // A slow machine may take so long to go on that the ACK gets out; then the verdict must say so.
        for _ in 0..10 {
            let completed = Rise::of("TcpPassiveOpens");
            let verdict = check_while_stopped(&checker, listener.address(), PATIENCE_MS, || ());
            assert_eq!(verdict.status, Status::Up, "{verdict:?}");
            assert!(verdict.syn_retransmits >= 1, "{verdict:?}");
            assert!(!verdict.half_open || completed.now() == 0, "{verdict:?}");
            if verdict.half_open {
                return listener.assert_untouched();
            }
            listener.accept_all();
        }
        panic!("this machine never went on within 200 ms of an answer");
    }

    #[test]
    fn checks_of_a_process_stopped_again_and_again_claim_no_more_than_the_kernel_counts() {
        only_where!(withholds_ack(), "no check claims anything");
        namespaced!(alone);
        let listener = Listener::on(V4, PORT);
        let checker = checker();
        let completed = Rise::of("TcpPassiveOpens");
        let stopper = Forked::new(|| {
            for round in 0..sized(24, 94) as u64 {
                // Not in step with anything.
                std::thread::sleep(Duration::from_micros(20_000 + round * 7919 % 13_000));
                stop_parent_during(|| std::thread::sleep(Duration::from_millis(250)));
            }
            0
        });
        let (done, made, unproven) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let verdict = checker.check(&Request::new(listener.address()));
                        assert_eq!(verdict.status, Status::Up, "{verdict:?}");
                        made.fetch_add(1, Ordering::Relaxed);
                        unproven.fetch_add(u64::from(!verdict.half_open), Ordering::Relaxed);
                    }
                });
            }
            assert_eq!(stopper.wait(), 0);
            done.store(true, Ordering::Relaxed);
        });
        let (made, unproven, completed) = (made.into_inner(), unproven.into_inner(), completed.now());
        println!("{made} checks, {unproven} not proven half-open, {completed} handshakes completed");
        assert!(unproven >= completed, "{completed} ACKs went out, {unproven} checks admit it");
        assert_eq!(checker.stats().completed_handshakes, unproven);
        // Each stop may cost each thread one, and a slow machine makes few between them.
        assert!(unproven * 10 < made, "{unproven} of {made} checks without a proof: is there any?");
    }
}

mod reuse {
    use super::*;

    /// A target for each verdict, and the verdict.
    fn targets(ip: IpAddr) -> [(Request, Status); 4] {
        let unreachable = if ip.is_ipv4() { "10.9.0.1:80" } else { "[fd09::1]:80" };
        [
            (Request::new(at(ip, PORT)), Status::Up),
            (Request::new(at(ip, DEAD_PORT)), Status::Refused),
            (Request { timeout_ms: 60, ..Request::new(at(ip, SILENT_PORT)) }, Status::TimedOut),
            (Request::new(unreachable), Status::Unreachable),
        ]
    }

    fn every_order() -> Vec<[usize; 4]> {
        let all = (0..256usize).map(|number| [number & 3, number >> 2 & 3, number >> 4 & 3, number >> 6]);
        all.filter(|order| (0..4).all(|target| order.contains(&target))).collect()
    }

    fn silence_and_no_way() {
        firewall::add(Hook::Input, &[&format!("tcp dport {SILENT_PORT} drop")]);
        sh("ip route add unreachable 10.9.0.0/24; ip route add unreachable fd09::/64");
    }

    /// A check may begin on the caller's thread or on the loop's, each with sockets of its own.
    #[derive(Clone, Copy)]
    enum By {
        Caller,
        Loop,
    }

    #[track_caller]
    fn assert_checked(checker: &Checker, by: By, (request, expected): &(Request, Status)) {
        let verdict = match by {
            By::Caller => checker.check(request),
            By::Loop => checker.check_many(std::slice::from_ref(request))[0],
        };
        // A slow machine may not even begin a check within the time of a silent target's: then it says nothing.
        if (verdict.status, *expected) == (Status::Busy, Status::TimedOut) {
            return assert_checked(checker, by, &(request.clone(), *expected));
        }
        assert_eq!(verdict.status, *expected, "{verdict:?}");
        assert_eq!(verdict.half_open, proves(&verdict), "{verdict:?}");
    }

    #[test]
    fn one_socket_gives_every_verdict_after_every_other() {
        namespaced!("nft");
        silence_and_no_way();
        for (ip, by) in [(V4, By::Caller), (V6, By::Caller), (V4, By::Loop), (V6, By::Loop)] {
            let listener = Listener::on(ip, PORT);
            let checker = checker_with(|config| config.set_max_in_flight(1).unwrap());
            let targets = targets(ip);
            let orders = every_order();
            assert_eq!(orders.len(), 24);
            for order in orders {
                order.iter().for_each(|&target| assert_checked(&checker, by, &targets[target]));
            }
            assert!(is_raw() || checker.stats().sockets == kept(1), "{:?}", checker.stats());
            listener.assert_untouched();
        }
    }

    #[test]
    fn one_checker_gives_every_verdict_on_both_families_in_turn() {
        namespaced!("nft");
        silence_and_no_way();
        let (v4_listener, v6_listener) = (Listener::on(V4, PORT), Listener::on(V6, PORT));
        let checker = checker_with(|config| config.set_max_in_flight(1).unwrap());
        let (v4, v6) = (targets(V4), targets(V6));
        for first in &v4 {
            for second in &v6 {
                for (by_first, by_second) in [(By::Caller, By::Loop), (By::Loop, By::Caller)] {
                    assert_checked(&checker, by_first, first);
                    assert_checked(&checker, by_second, second);
                }
            }
        }
        // One for each family and each way.
        assert!(is_raw() || checker.stats().sockets <= 4, "{:?}", checker.stats());
        v4_listener.assert_untouched();
        v6_listener.assert_untouched();
    }

    #[test]
    fn sockets_are_no_more_than_the_checks_that_were_in_flight_at_once() {
        needs_sockets!("a check has no socket");
        namespaced!("nft");
        silence_and_no_way();
        let listener = Listener::on(V4, PORT);
        let checker = checker_with(|config| config.set_max_in_flight(8).unwrap());
        let before = open_descriptors();
        let targets = targets(V4);
        std::thread::scope(|scope| {
            for thread in 0..32 {
                let (checker, targets) = (&checker, &targets);
                scope.spawn(move || {
                    for target in (0..24).map(|round| &targets[(thread + round) % 4]) {
                        // On the loop, a check's time runs from its own start: it is never too late for its turn.
                        let by = if target.1 == Status::TimedOut || thread % 2 == 0 { By::Loop } else { By::Caller };
                        assert_checked(checker, by, target);
                    }
                });
            }
        });
        // Eight for each way.
        assert!(checker.stats().sockets <= 16, "{:?}", checker.stats());
        assert_eq!(open_descriptors() - before, checker.stats().sockets as usize);
        listener.assert_untouched();
    }
}

mod nothing_left {
    use super::*;

    /// How often each thread gave up the processor or lost it, and in which state it is.
    fn activity() -> Vec<(u32, String)> {
        let of = |thread: u32| {
            let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).expect("/proc");
            let told = |line: &&str| line.starts_with("State") || line.contains("ctxt_switches");
            (thread, status.lines().filter(told).collect::<Vec<_>>().join("; "))
        };
        threads().into_iter().map(of).collect()
    }

    #[test]
    fn idle_checker_makes_no_system_call() {
        needs_a_thread!("only its caller makes any");
        namespaced!("nft");
        let before = threads();
        let listener = Listener::on(V4, PORT);
        firewall::add(Hook::Input, &[&format!("tcp dport {SILENT_PORT} drop")]);
        let checker = checker();
        // Awaken whatever there is to awaken: the loop, the resolver, deadlines.
        assert_eq!(checker.check(&Request::new(listener.address())).status, Status::Up);
        let silent = Request { timeout_ms: 1000, ..Request::new(at(V4, SILENT_PORT)) };
        assert_eq!(checker.check(&silent).status, Status::TimedOut);
        assert_eq!(checker.check_addr("localhost:9", 0).status, Status::Refused);
        std::thread::sleep(Duration::from_millis(300));
        let own = || activity().into_iter().filter(|(thread, _)| !before.contains(thread)).collect::<Vec<_>>();
        assert!(!own().is_empty(), "the checker has a thread");
        // A busy machine may take longer to come to rest; a tick would come every time.
        let is_quiet = (0..3).any(|_| {
            let asleep = own();
            std::thread::sleep(Duration::from_secs(2));
            // Who slept before, sleeps now, and was not scheduled in between, made no system call.
            asleep.iter().all(|(_, activity)| activity.contains("State:\tS")) && own() == asleep
        });
        assert!(is_quiet, "{:#?}", own());
    }

    #[test]
    fn dropped_checker_leaves_no_thread_and_no_descriptor() {
        namespaced!("nft");
        let listener = Listener::on(V4, PORT);
        firewall::add(Hook::Input, &[&format!("tcp dport {SILENT_PORT} drop")]);
        // The C library keeps what it opens for the first lookup.
        let _ = std::net::ToSocketAddrs::to_socket_addrs("localhost:80");
        let (threads_before, descriptors) = (threads(), open_descriptors());
        let requests = [
            (Request::new(listener.address()), Status::Up),
            (Request::new("localhost:9"), Status::Refused),
            (Request { timeout_ms: 200, ..Request::new(at(V4, SILENT_PORT)) }, Status::TimedOut),
        ];
        for _ in 0..10 {
            let checker = checker();
            std::thread::scope(|scope| {
                for (request, status) in requests.iter().cycle().take(24) {
                    let checker = &checker;
                    scope.spawn(move || {
                        let verdict = checker.check(request);
                        // A slow machine may not even begin a check within 200 ms.
                        assert!([*status, Status::Busy].contains(&verdict.status), "{verdict:?}");
                    });
                }
            });
            drop(checker);
            assert_eq!(open_descriptors(), descriptors);
            // A joined thread leaves /proc a moment after its stack is given back.
            until("the checker's threads to be gone", || threads() == threads_before);
        }
        listener.assert_untouched();
    }

    #[test]
    fn checker_dropped_with_checks_in_flight_leaves_nothing_either() {
        namespaced!("nft");
        firewall::add(Hook::Input, &[&format!("tcp dport {SILENT_PORT} drop")]);
        let (threads_before, descriptors) = (threads(), open_descriptors());
        let checker = checker();
        std::thread::scope(|scope| {
            let checks: Vec<_> =
                (0..32).map(|_| scope.spawn(|| checker.check(&Request::new(at(V4, SILENT_PORT))).status)).collect();
            until("32 checks in flight", || stats(&checker).in_flight == 32);
            checker.shutdown();
            checks.into_iter().for_each(|check| assert_eq!(check.join().unwrap(), Status::Closed));
        });
        drop(checker);
        assert_eq!(open_descriptors(), descriptors);
        until("the checker's threads to be gone", || threads() == threads_before);
    }
}
