//! Every verdict by its real cause: each test makes the cause in a network of its own and checks it.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use support::counters::{Rise, Syns};
use support::driven::stats;
use support::far_host::FarHost;
use support::firewall::{self, Hook};
use support::handshake::{assert_sent_again, proves};
use support::process::{Forked, sh, sysctl, until};
use support::rlimit::{NoDescriptorLeft, set_descriptor_limit};
use support::targets::{DEAD_PORT, FullListener, Listener, V4, V6, at};
use tcpshaker::{Checker, Config, Request, Status, Verdict};

const PORT: u16 = 8080;
const SILENT_PORT: u16 = 8081;

/// Ample for any machine where an answer is certain to come.
const PATIENCE_MS: u32 = 30_000;
/// Short, where none will come.
const IMPATIENCE_MS: u32 = 400;
/// What a slow machine may need to notice a deadline.
const LATENESS: Duration = Duration::from_secs(3);

fn checker() -> Checker {
    checker_with(|_| ())
}

fn checker_with(configure: impl FnOnce(&mut Config)) -> Checker {
    support::lists::checker(|config| {
        config.set_timeout(PATIENCE_MS).unwrap();
        configure(config);
    })
}

/// A port whose SYNs nobody answers.
fn silence(port: u16) {
    firewall::add(Hook::Input, &[&format!("tcp dport {port} drop")]);
}

/// The verdict is this one, about this address; only Up comes with a measured time, and with a proof.
#[track_caller]
fn assert_verdict(verdict: Verdict, status: Status, os_error: i32, address: SocketAddr) {
    assert_eq!((verdict.status, verdict.os_error), (status, os_error), "{verdict:?}");
    assert_eq!(verdict.address, Some(address), "{verdict:?}");
    assert_eq!(verdict.rtt_us > 0, status == Status::Up, "{verdict:?}");
    assert_eq!(verdict.half_open, proves(&verdict), "{verdict:?}");
}

#[track_caller]
fn assert_timed_out(verdict: Verdict, timeout_ms: u32, address: SocketAddr) {
    assert_verdict(verdict, Status::TimedOut, 0, address);
    let elapsed = Duration::from_micros(verdict.elapsed_us);
    assert!(elapsed >= Duration::from_millis(timeout_ms.into()), "before its deadline: {verdict:?}");
    assert!(elapsed < Duration::from_millis(timeout_ms.into()) + LATENESS, "{verdict:?}");
}

/// Makes all checks at the same time, each on a thread of its own.
fn check_together(checker: &Checker, targets: &[SocketAddr], timeout_ms: u32) -> Vec<Verdict> {
    std::thread::scope(|scope| {
        let check = |&target| {
            let request = Request { timeout_ms, ..Request::new(target) };
            scope.spawn(move || checker.check(&request))
        };
        let threads: Vec<_> = targets.iter().map(check).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

mod answers {
    use super::*;

    #[test]
    fn listener_is_up_on_both_families() {
        namespaced!();
        let checker = checker();
        for ip in [V4, V6] {
            let listener = Listener::on(ip, PORT);
            assert_verdict(checker.check(&Request::new(listener.address())), Status::Up, 0, listener.address());
            let text = listener.address().to_string();
            assert_verdict(checker.check_addr(&text, 0), Status::Up, 0, listener.address());
            listener.assert_untouched();
        }
    }

    #[test]
    fn closed_port_is_refused_and_says_econnrefused() {
        namespaced!();
        let checker = checker();
        for target in [at(V4, DEAD_PORT), at(V6, DEAD_PORT)] {
            let verdict = checker.check(&Request::new(target));
            assert_verdict(verdict, Status::Refused, libc::ECONNREFUSED, target);
        }
    }

    #[test]
    fn reset_by_a_firewall_is_refused() {
        namespaced!("nft");
        firewall::add(Hook::Input, &[&format!("tcp dport {PORT} reject with tcp reset")]);
        let (_v4, _v6) = (Listener::on(V4, PORT), Listener::on(V6, PORT));
        for target in [at(V4, PORT), at(V6, PORT)] {
            let verdict = checker().check(&Request::new(target));
            assert_verdict(verdict, Status::Refused, libc::ECONNREFUSED, target);
        }
    }

    #[test]
    fn answer_to_the_second_syn_is_up_and_says_that_the_first_was_lost() {
        namespaced!("nft");
        let listener = Listener::on(V4, PORT);
        silence(PORT);
        let checker = checker();
        let verdict = std::thread::scope(|scope| {
            let sent = Syns::watch();
            // Of a list, so that a raw checker has no SYN leave from the caller's thread.
            let check = scope.spawn(|| checker.check_many(&[Request::new(listener.address())])[0]);
            until("the SYN", || sent.now() == 1);
            firewall::open();
            check.join().unwrap()
        });
        assert_verdict(verdict, Status::Up, 0, listener.address());
        assert_sent_again(&verdict);
        assert!(verdict.elapsed_us >= 300_000, "the interval of SYNs: {verdict:?}");
        listener.assert_untouched();
    }

    #[test]
    fn far_host_is_up_refused_or_silent_just_as_a_near_one() {
        namespaced!();
        let far = FarHost::new();
        far.connect(("near", "10.1.0.1/24"), ("far", "10.1.0.2/24"));
        let ip: IpAddr = [10, 1, 0, 2].into();
        let listener = far.run(move || Listener::on(ip, PORT));
        let checker = checker();
        assert_verdict(checker.check(&Request::new(at(ip, PORT))), Status::Up, 0, at(ip, PORT));
        let refused = checker.check(&Request::new(at(ip, DEAD_PORT)));
        assert_verdict(refused, Status::Refused, libc::ECONNREFUSED, at(ip, DEAD_PORT));
        listener.assert_untouched();
        // An address of the network that no host has: nobody answers ARP.
        let nobody = at([10, 1, 0, 3].into(), PORT);
        assert_verdict(checker.check(&Request::new(nobody)), Status::Unreachable, libc::EHOSTUNREACH, nobody);
    }
}

mod silence {
    use super::*;

    #[test]
    fn dropped_syn_is_timed_out_at_the_deadline() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = checker();
        for target in [at(V4, SILENT_PORT), at(V6, SILENT_PORT)] {
            let verdict = checker.check(&Request { timeout_ms: IMPATIENCE_MS, ..Request::new(target) });
            assert_timed_out(verdict, IMPATIENCE_MS, target);
            assert!(verdict.syn_retransmits == 0 || verdict.elapsed_us >= 300_000, "{verdict:?}");
        }
    }

    #[test]
    fn checkers_own_timeout_is_the_deadline_of_checks_that_name_none() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = checker_with(|config| config.set_timeout(IMPATIENCE_MS).unwrap());
        let target = at(V4, SILENT_PORT);
        assert_timed_out(checker.check(&Request::new(target)), IMPATIENCE_MS, target);
        assert_timed_out(checker.check_addr(&target.to_string(), 0), IMPATIENCE_MS, target);
    }

    #[test]
    fn full_accept_queue_is_timed_out() {
        namespaced!();
        let full = FullListener::on(V4, PORT);
        let overflows = Rise::of("TcpExtListenOverflows");
        let verdict = checker().check(&Request { timeout_ms: IMPATIENCE_MS, ..Request::new(full.address()) });
        assert_timed_out(verdict, IMPATIENCE_MS, full.address());
        assert!(overflows.now() > 0, "the queue was not full");
    }

    #[test]
    fn kernel_that_gives_up_first_is_timed_out_with_its_errno() {
        needs_sockets!("the kernel does not know of its SYNs");
        namespaced!("nft");
        silence(SILENT_PORT);
        sysctl("net/ipv4/tcp_syn_retries", "1");
        let verdict = checker().check(&Request::new(at(V4, SILENT_PORT)));
        assert_verdict(verdict, Status::TimedOut, libc::ETIMEDOUT, at(V4, SILENT_PORT));
        assert_sent_again(&verdict);
    }

    #[test]
    fn loopback_that_is_down_is_timed_out() {
        namespaced!();
        // The route stays, the SYN goes nowhere.
        sh("ip link set lo down");
        let verdict = checker().check(&Request { timeout_ms: IMPATIENCE_MS, ..Request::new(at(V4, PORT)) });
        assert_timed_out(verdict, IMPATIENCE_MS, at(V4, PORT));
    }
}

mod no_way {
    use super::*;

    /// Rejects each port with its own ICMP code, checks them all together, and compares.
    fn assert_icmp(ip: IpAddr, protocol: &str, codes: &[(&str, Status, i32)]) {
        let ports = 100u16..;
        let targets: Vec<SocketAddr> = ports.take(codes.len()).map(|port| at(ip, port)).collect();
        let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
        let reject = |(target, (code, ..)): (&SocketAddr, &(&str, Status, i32))| {
            format!("meta nfproto {family} tcp dport {} reject with {protocol} type {code}", target.port())
        };
        let rules: Vec<String> = targets.iter().zip(codes).map(reject).collect();
        firewall::add(Hook::Input, &rules.iter().map(String::as_str).collect::<Vec<_>>());
        let verdicts = check_together(&checker(), &targets, PATIENCE_MS);
        for ((verdict, &(code, status, errno)), target) in verdicts.into_iter().zip(codes).zip(targets) {
            println!("{protocol} {code}: {verdict:?}");
            assert_verdict(verdict, status, errno, target);
        }
    }

    #[test]
    fn each_icmp_code_has_its_verdict() {
        namespaced!("nft");
        assert_icmp(
            V4,
            "icmp",
            &[
                ("net-unreachable", Status::Unreachable, libc::ENETUNREACH),
                ("host-unreachable", Status::Unreachable, libc::EHOSTUNREACH),
                ("prot-unreachable", Status::Unreachable, libc::ENOPROTOOPT),
                ("port-unreachable", Status::Refused, libc::ECONNREFUSED),
                ("net-prohibited", Status::Unreachable, libc::ENETUNREACH),
                ("host-prohibited", Status::Unreachable, libc::EHOSTUNREACH),
                ("admin-prohibited", Status::Unreachable, libc::EHOSTUNREACH),
            ],
        );
    }

    #[test]
    fn each_icmpv6_code_has_its_verdict() {
        namespaced!("nft");
        // The kernel's errno for "prohibited" is EACCES; but it is a host on the way that says so, not this machine.
        assert_icmp(
            V6,
            "icmpv6",
            &[
                ("no-route", Status::Unreachable, libc::ENETUNREACH),
                ("admin-prohibited", Status::Unreachable, libc::EACCES),
                ("addr-unreachable", Status::Unreachable, libc::EHOSTUNREACH),
                ("port-unreachable", Status::Refused, libc::ECONNREFUSED),
                ("policy-fail", Status::Unreachable, libc::EACCES),
                ("reject-route", Status::Unreachable, libc::EACCES),
            ],
        );
    }

    #[test]
    fn route_that_says_unreachable_is_unreachable() {
        namespaced!();
        sh("ip route add unreachable 10.9.0.0/24; ip route add unreachable fd09::/64");
        for target in ["10.9.0.1:80", "[fd09::1]:80"] {
            let verdict = checker().check_addr(target, 0);
            assert_verdict(verdict, Status::Unreachable, libc::EHOSTUNREACH, target.parse().unwrap());
        }
    }

    #[test]
    fn no_route_at_all_is_unreachable() {
        namespaced!();
        for target in ["10.9.0.1:80", "[fd09::1]:80"] {
            let verdict = checker().check_addr(target, 0);
            assert_verdict(verdict, Status::Unreachable, libc::ENETUNREACH, target.parse().unwrap());
        }
    }

    #[test]
    fn route_that_this_machine_prohibits_is_its_own_fault() {
        namespaced!();
        sh("ip route add prohibit 10.8.0.0/24; ip route add prohibit fd08::/64");
        sh("ip route add blackhole 10.7.0.0/24; ip route add blackhole fd07::/64");
        let expected = [
            ("10.8.0.1:80", libc::EACCES),
            ("[fd08::1]:80", libc::EACCES),
            ("10.7.0.1:80", libc::EINVAL),
            ("[fd07::1]:80", libc::EINVAL),
        ];
        for (target, errno) in expected {
            let verdict = checker().check_addr(target, 0);
            assert_verdict(verdict, Status::LocalFault, errno, target.parse().unwrap());
        }
    }

    #[test]
    fn interface_that_is_down_is_unreachable() {
        namespaced!();
        let far = FarHost::new();
        far.connect(("near", "10.1.0.1/24"), ("far", "10.1.0.2/24"));
        let ip: IpAddr = [10, 1, 0, 2].into();
        let _listener = far.run(move || Listener::on(ip, PORT));
        let bound = checker_with(|config| config.set_interface("near").unwrap());
        for checker in [&checker(), &bound] {
            assert_verdict(checker.check(&Request::new(at(ip, PORT))), Status::Up, 0, at(ip, PORT));
        }
        sh("ip link set near down");
        for checker in [&checker(), &bound] {
            let verdict = checker.check(&Request::new(at(ip, PORT)));
            assert_verdict(verdict, Status::Unreachable, libc::ENETUNREACH, at(ip, PORT));
        }
    }
}

mod this_machine {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn ipv6_switched_off_is_a_local_fault() {
        namespaced!();
        sysctl("net/ipv6/conf/all/disable_ipv6", "1");
        let verdict = checker().check(&Request::new(at(V6, PORT)));
        assert_verdict(verdict, Status::LocalFault, libc::EADDRNOTAVAIL, at(V6, PORT));
    }

    #[test]
    fn no_ephemeral_port_left_is_a_local_fault() {
        needs_sockets!("its ports are bound when it is made");
        namespaced!();
        let listener = Listener::on(V4, PORT);
        sysctl("net/ipv4/ip_local_port_range", "40000 40003");
        let holders: Vec<TcpStream> = std::iter::from_fn(|| TcpStream::connect(listener.address()).ok()).collect();
        assert_eq!(holders.len(), 4);
        let checker = checker();
        let verdict = checker.check(&Request::new(listener.address()));
        assert_verdict(verdict, Status::LocalFault, libc::EADDRNOTAVAIL, listener.address());
        // With a port free again, the same checker is as good as new.
        drop(holders);
        assert_eq!(listener.accept_all(), 4);
        sysctl("net/ipv4/ip_local_port_range", "40000 40103");
        assert_verdict(checker.check(&Request::new(listener.address())), Status::Up, 0, listener.address());
    }

    #[test]
    fn no_descriptor_left_is_a_local_fault_when_the_checker_holds_no_busy_socket() {
        needs_sockets!("a check needs no descriptor");
        namespaced!();
        let listener = Listener::on(V4, PORT);
        let checker = checker();
        set_descriptor_limit(256);
        let taken = NoDescriptorLeft::take_all();
        let verdict = checker.check(&Request::new(listener.address()));
        drop(taken);
        assert_eq!((verdict.status, verdict.os_error), (Status::LocalFault, libc::EMFILE), "{verdict:?}");
        assert_verdict(checker.check(&Request::new(listener.address())), Status::Up, 0, listener.address());
    }

    #[test]
    fn no_descriptor_left_is_a_matter_of_waiting_while_the_checker_holds_a_busy_socket() {
        needs_sockets!("a check needs no descriptor");
        namespaced!("nft");
        let listener = Listener::on(V4, PORT);
        silence(SILENT_PORT);
        let checker = checker();
        let silent = Request { timeout_ms: 2000, ..Request::new(at(V4, SILENT_PORT)) };
        std::thread::scope(|scope| {
            let busy: Vec<_> = std::iter::repeat_with(|| scope.spawn(|| checker.check(&silent))).take(2).collect();
            until("two checks in flight", || stats(&checker).in_flight == 2);
            set_descriptor_limit(256);
            let _taken = NoDescriptorLeft::take_all();
            let targets = [listener.address(); 8];
            for verdict in check_together(&checker, &targets, PATIENCE_MS) {
                assert_verdict(verdict, Status::Up, 0, listener.address());
            }
            for busy in busy {
                assert_timed_out(busy.join().unwrap(), 2000, at(V4, SILENT_PORT));
            }
        });
        listener.assert_untouched();
    }

    #[test]
    fn check_whose_turn_never_comes_is_busy_and_says_nothing_of_its_target() {
        namespaced!("nft");
        let listener = Listener::on(V4, PORT);
        silence(SILENT_PORT);
        let checker = checker_with(|config| config.set_max_in_flight(1).unwrap());
        let silent = Request { timeout_ms: 6000, ..Request::new(at(V4, SILENT_PORT)) };
        std::thread::scope(|scope| {
            let first = scope.spawn(|| checker.check(&silent));
            until("the first check in flight", || stats(&checker).in_flight == 1);
            let sent = Syns::to(PORT);
            let second = checker.check(&Request { timeout_ms: IMPATIENCE_MS, ..Request::new(listener.address()) });
            assert_eq!((second.status, second.os_error, second.address), (Status::Busy, 0, None), "{second:?}");
            assert_eq!(sent.now(), 0);
            // A patient one gets its turn.
            let third = checker.check(&Request::new(listener.address()));
            assert_verdict(third, Status::Up, 0, listener.address());
            assert_timed_out(first.join().unwrap(), 6000, at(V4, SILENT_PORT));
        });
    }
}

mod the_end {
    use super::*;

    #[test]
    fn shutdown_ends_checks_in_flight_and_later_ones_with_closed() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = checker();
        let silent = Request::new(at(V4, SILENT_PORT));
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| checker.check(&silent))).collect();
            until("eight checks in flight", || stats(&checker).in_flight == 8);
            checker.shutdown();
            for thread in waiting {
                let verdict = thread.join().unwrap();
                assert_eq!((verdict.status, verdict.os_error), (Status::Closed, 0), "{verdict:?}");
            }
        });
        let sent = Syns::watch();
        for target in ["127.0.0.1:80", "[::1]:80", "localhost:80"] {
            assert_eq!(checker.check_addr(target, 0).status, Status::Closed);
        }
        checker.shutdown();
        assert_eq!(sent.now(), 0);
    }

    #[test]
    fn forked_child_is_told_so_and_disturbs_nothing() {
        namespaced!("nft");
        let listener = Listener::on(V4, PORT);
        silence(PORT);
        let checker = checker();
        let request = Request::new(listener.address());
        let verdicts = std::thread::scope(|scope| {
            // In flight while the child comes and goes; the second SYN is let through.
            let waiting: Vec<_> = (0..4).map(|_| scope.spawn(|| checker.check(&request))).collect();
            until("four checks in flight", || stats(&checker).in_flight == 4);
            let child = Forked::new(|| {
                let address = listener.address();
                let told = |verdict: Verdict| verdict.status == Status::Forked && verdict.address.is_none();
                let all = told(checker.check(&Request::new(address)))
                    && told(checker.check_addr("127.0.0.1:80", 0))
                    && told(checker.check_addr("localhost:80", 0));
                checker.shutdown();
                // A checker of the child's own is like any other.
                let own = Checker::new(&Config::default()).expect("a checker in the child");
                let refused = own.check(&Request::new(at(V4, DEAD_PORT))).status == Status::Refused;
                drop(own);
                // SAFETY: the child exits without returning, so nobody sees the checker again; its copy on the parent's
                // side of fork() is another one.
                unsafe { std::ptr::drop_in_place((&raw const checker).cast_mut()) };
                i32::from(!all) + 2 * i32::from(!refused)
            });
            assert_eq!(child.wait(), 0);
            firewall::open();
            waiting.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        for verdict in verdicts {
            assert_verdict(verdict, Status::Up, 0, listener.address());
            assert_sent_again(&verdict);
        }
        assert_verdict(checker.check(&Request::new(listener.address())), Status::Up, 0, listener.address());
        listener.assert_untouched();
    }

    #[test]
    fn dropping_the_checker_waits_for_no_deadline() {
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = std::sync::Arc::new(checker());
        let waiting = std::thread::spawn({
            let checker = checker.clone();
            move || checker.check(&Request::new(at(V4, SILENT_PORT)))
        });
        until("the check in flight", || stats(&checker).in_flight == 1);
        let begun = Instant::now();
        checker.shutdown();
        assert_eq!(waiting.join().unwrap().status, Status::Closed);
        drop(checker);
        assert!(begun.elapsed() < LATENESS);
    }
}
