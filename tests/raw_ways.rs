//! Which way checks go, and from which address, where rules, zones, interfaces and several routers have a say: the engine
//! that makes its own segments says what a socket does.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{SocketAddr, SocketAddrV6, TcpListener};

use support::engine::{UP, every_way, raw, said, with_sockets};
use support::far_host::FarHost;
use support::firewall::{self, Hook};
use support::lists::{PORT, SILENT_PORT, reap, with_timeout};
use support::network::{Network, ip, lay_cable, listen_to_all, scope_of};
use support::process::{sh, sysctl, until};
use support::targets::{Listener, at};
use tcpshaker::{Checker, Config, Request, Status};

const V4_ANY: &str = "0.0.0.0";
const V6_ANY: &str = "::";

/// Ample for a target that answers, and not for one that does not.
const PATIENCE_MS: u32 = 3_000;

fn zoned(text: &str, zone: &str) -> SocketAddr {
    SocketAddrV6::new(text.parse().expect("an address"), PORT, 0, scope_of(zone)).into()
}

fn plain(text: &str) -> SocketAddr {
    at(ip(text), PORT)
}

/// A checker of each engine.
fn both(settings: impl Fn(&mut Config)) -> [Checker; 2] {
    [raw(&settings), with_sockets(&settings)]
}

#[track_caller]
fn assert_all(checkers: &[Checker], target: SocketAddr, expected: (Status, i32), when: &str) {
    for checker in checkers {
        for verdict in every_way(checker, &with_timeout(PATIENCE_MS, target)) {
            assert_eq!(said(&verdict), expected, "{when}: {verdict:?}");
        }
    }
}

/// Two cables to one host. It drops what comes by one cable with the address of the other, as a router at the edge of a
/// network does (RFC 2827). The routes of the host lead by the first one, those of table 100 by the second.
fn two_cables() -> (FarHost, Vec<Listener>) {
    let far = FarHost::new();
    lay_cable(&far, 1);
    lay_cable(&far, 2);
    let listeners = far.run(|| {
        sh("ip route add local 10.3.0.0/24 dev lo; ip route add local fd03::/64 dev lo");
        let foreign =
            ["far1 ip saddr 10.2.0.1", "far2 ip saddr 10.1.0.1", "far1 ip6 saddr fd02::1", "far2 ip6 saddr fd01::1"];
        firewall::add(Hook::Input, &foreign.map(|what| format!("iif {what} drop")).each_ref().map(String::as_str));
        listen_to_all().into()
    });
    for (number, rest) in [(1, "metric 1"), (2, "metric 2"), (2, "table 100")] {
        sh(&format!("ip route add default via 10.{number}.0.2 {rest}"));
        sh(&format!("ip -6 route add default via fd0{number}::2 {rest}"));
    }
    (far, listeners)
}

mod by_rules {
    use super::*;

    #[test]
    fn for_protocols_and_marks_the_source_is_that_of_the_way() {
        namespaced!("nft");
        let (_far, _listeners) = two_cables();
        for rule in ["ipproto tcp", "ipproto udp", "dport 80", "ipproto udp dport 80", "fwmark 7"] {
            for family in ["-4", "-6"] {
                sh(&format!("ip {family} rule add pref 100 {rule} lookup 100"));
            }
            let unmarked = both(|_| ());
            let marked = both(|config| config.set_mark(7).unwrap());
            for target in ["10.3.0.1", "fd03::1"] {
                assert_all(&unmarked, plain(target), UP, rule);
                assert_all(&marked, plain(target), UP, rule);
            }
            sh("ip -4 rule del pref 100; ip -6 rule del pref 100");
        }
    }

    #[test]
    fn that_look_at_the_source_no_source_is_asked_for_twice() {
        namespaced!("nft");
        let (_far, _listeners) = two_cables();
        sh("ip -6 rule add pref 100 from fd01::1 lookup 100");
        assert_all(&both(|_| ()), plain("fd03::1"), UP, "a rule for segments from an address");
    }
}

#[test]
fn by_several_routers_each_target_is_asked_from_the_address_of_its_own() {
    namespaced!("nft");
    let (_far, _listeners) = two_cables();
    sh("ip route flush default; ip -6 route flush default");
    sh("ip route add default nexthop via 10.1.0.2 nexthop via 10.2.0.2");
    sh("ip -6 route add default nexthop via fd01::2 nexthop via fd02::2");
    let targets = (1..=60).flat_map(|host| [format!("10.3.0.{host}"), format!("fd03::{host}")]);
    let requests: Vec<Request> = targets.map(|target| with_timeout(PATIENCE_MS, plain(&target))).collect();
    for checker in both(|_| ()) {
        for verdict in checker.check_many(&requests) {
            assert_eq!(said(&verdict), UP, "{verdict:?}");
        }
    }
}

mod with_zones {
    use super::*;

    #[test]
    fn one_that_is_down_says_nothing_of_other_targets() {
        namespaced!("nft");
        let _network = Network::new();
        let far = FarHost::new();
        lay_cable(&far, 2);
        let _listeners = far.run(listen_to_all);
        let gone = zoned("fe80::2", "near2");
        sh("ip link set near2 down");
        let checkers = both(|_| ());
        assert_all(&checkers, gone, (Status::Unreachable, libc::ENETUNREACH), "the interface is down");
        assert_all(&checkers, plain("fd01::2"), UP, "another one");
        assert_all(&checkers, zoned("fe80::2", "near1"), UP, "another zone");
    }

    #[test]
    fn a_target_in_another_zone_than_the_source_is_this_hosts_fault() {
        namespaced!("nft");
        let _network = Network::new();
        let far = FarHost::new();
        lay_cable(&far, 2);
        let _listeners = far.run(listen_to_all);
        let from = both(|config| config.set_source("fe80::1%near1").unwrap());
        assert_all(&from, zoned("fe80::2", "near1"), UP, "the same zone");
        assert_all(&from, plain("fe80::2"), UP, "no zone but that of the source");
        assert_all(&from, zoned("fe80::2", "near2"), (Status::LocalFault, libc::EINVAL), "another zone");
        let by = both(|config| config.set_interface("near1").unwrap());
        assert_all(&by, plain("fe80::2"), UP, "no zone but the interface");
        assert_all(&by, zoned("fe80::2", "near2"), (Status::LocalFault, libc::EINVAL), "another interface");
    }
}

mod from_a_source {
    use super::*;

    #[test]
    fn that_is_unspecified_goes_what_has_none() {
        namespaced!("nft");
        let _network = Network::new();
        let checkers = both(|config| {
            config.set_source("10.1.0.1").unwrap();
            config.set_source("0.0.0.0").unwrap();
            config.set_source("::").unwrap();
        });
        for target in ["127.0.0.1", "10.1.0.2", "::1", "fd01::2"] {
            assert_all(&checkers, plain(target), UP, "no source");
        }
    }

    #[test]
    fn that_is_written_as_one_of_ipv6_goes_what_is_ipv4() {
        namespaced!("nft");
        let _network = Network::new();
        sh("ip addr add 10.1.0.9/24 dev near1");
        let checkers = both(|config| config.set_source("::ffff:10.1.0.9").unwrap());
        assert_all(&checkers, plain("10.1.0.2"), UP, "IPv4");
        assert_all(&checkers, plain("fd01::2"), UP, "IPv6, for which there is none");
    }

    #[test]
    fn no_unspecified_target_of_ipv6_is_another_one_than_localhost() {
        namespaced!("nft");
        let _network = Network::new();
        let _localhost = TcpListener::bind("[::1]:4444").unwrap();
        let _other = TcpListener::bind("[fd01::1]:5555").unwrap();
        let checkers = both(|config| config.set_source("fd01::1").unwrap());
        assert_all(&checkers, at(ip("::"), 4444), UP, "it listens on ::1");
        assert_all(&checkers, at(ip("::"), 5555), (Status::Refused, libc::ECONNREFUSED), "it does not");
    }

    #[test]
    fn of_the_interface_goes_what_is_asked_of_the_unspecified_address() {
        namespaced!("nft");
        let _network = Network::new();
        let _listener = TcpListener::bind("10.1.0.1:4444").unwrap();
        let checkers = both(|config| config.set_interface("near1").unwrap());
        assert_all(&checkers, at(ip("0.0.0.0"), 4444), UP, "the address of the interface");
    }

    #[test]
    fn that_leaves_the_host_nothing_goes_and_no_target_is_down() {
        namespaced!("nft");
        let _network = Network::new();
        for (source, add, target) in [
            ("10.1.0.7", "10.1.0.7/24 dev near1", "10.1.0.2"),
            ("fd01::7", "fd01::7/64 dev near1 nodad", "fd01::2"),
            ("fe80::7%near1", "fe80::7/64 dev near1 nodad", "fe80::2"),
        ] {
            sh(&format!("ip addr add {add}"));
            let checkers = both(|config| config.set_source(source).unwrap());
            assert_all(&checkers, plain(target), UP, source);
            sh(&format!("ip addr del {}", add.replace(" nodad", "")));
            for checker in &checkers {
                for verdict in every_way(checker, &with_timeout(PATIENCE_MS, plain(target))) {
                    assert_eq!(verdict.status, Status::LocalFault, "{source} is gone: {verdict:?}");
                }
            }
            sh(&format!("ip addr add {add}"));
            assert_all(&checkers, plain(target), UP, "it is back");
        }
    }

    /// Hosts that wait to take an address over let sockets be bound to it before (ip_nonlocal_bind).
    #[test]
    fn that_this_host_has_not_got_yet_no_target_is_down_where_sockets_may_be_bound_to_it() {
        namespaced!("nft");
        let _network = Network::new();
        for family in ["ipv4", "ipv6"] {
            sysctl(&format!("net/{family}/ip_nonlocal_bind"), "1");
        }
        for (source, add, target) in [
            ("10.1.0.7", "10.1.0.7/24 dev near1", "10.1.0.2"),
            ("10.1.0.7", "10.1.0.7/24 dev near1", "127.0.0.1"),
            ("fd01::7", "fd01::7/64 dev near1 nodad", "fd01::2"),
        ] {
            let checkers = both(|config| config.set_source(source).unwrap());
            let gone = (Status::LocalFault, libc::EADDRNOTAVAIL);
            assert_all(&checkers, plain(target), gone, source);
            sh(&format!("ip addr add {add}"));
            assert_all(&checkers, plain(target), UP, "it is there");
            assert_all(&checkers, at(ip(target), PORT + 2), (Status::Refused, libc::ECONNREFUSED), "it is there");
            assert_silent(&checkers, target);
            sh(&format!("ip addr del {}", add.replace(" nodad", "")));
            assert_all(&checkers, plain(target), gone, source);
        }
        // Of these networks this host has all addresses.
        sh("ip route add local 10.9.0.0/24 dev lo; ip route add local fd09::/64 dev lo");
        for (source, target) in [("10.9.0.7", "10.1.0.1"), ("fd09::7", "fd01::1")] {
            let checkers = both(|config| config.set_source(source).unwrap());
            assert_all(&checkers, plain(target), UP, source);
            assert_silent(&checkers, target);
        }
    }

    #[test]
    fn that_leaves_the_host_while_a_check_waits_the_target_is_not_down() {
        namespaced!("nft");
        let _network = Network::new();
        for (source, add, target) in
            [("10.1.0.7", "10.1.0.7/24 dev near1", "10.1.0.2"), ("fd01::7", "fd01::7/64 dev near1 nodad", "fd01::2")]
        {
            for checker in both(|config| config.set_source(source).unwrap()) {
                sh(&format!("ip addr add {add}"));
                checker.submit(vec![with_timeout(250, at(ip(target), SILENT_PORT))]).expect("an open checker");
                sh(&format!("ip addr del {}", add.replace(" nodad", "")));
                let report = &reap(&checker, 1)[0];
                assert_eq!(said(&report.verdict), (Status::LocalFault, libc::EADDRNOTAVAIL), "{source}: {report:?}");
            }
        }
    }

    /// As long as no address of its own is known to be unique, after it has started.
    #[test]
    fn of_loopback_for_want_of_another_one_no_target_is_down() {
        namespaced!("nft");
        let _network = Network::new();
        sh("ip -6 addr flush dev near1; ip -6 route add fd01::/64 dev near1; ip route add local fd09::/64 dev lo");
        let checkers = both(|_| ());
        for checker in &checkers {
            let verdict = checker.check(&with_timeout(500, plain("fd01::2")));
            assert_eq!(said(&verdict), (Status::LocalFault, libc::EADDRNOTAVAIL), "{verdict:?}");
        }
        assert_all(&checkers, plain("::1"), UP, "this host");
        assert_silent(&checkers, "::1");
        assert_silent(&checkers, "fd09::7");
        sh("ip -6 addr add fd01::1/64 dev near1 nodad");
        assert_all(&checkers, plain("fd01::2"), UP, "it has one");
        assert_silent(&checkers, "fd01::2");
    }

    /// A port that drops what comes is silent, whatever the source is.
    #[track_caller]
    fn assert_silent(checkers: &[Checker], target: &str) {
        for checker in checkers {
            let verdict = checker.check(&with_timeout(250, at(ip(target), SILENT_PORT)));
            assert_eq!(said(&verdict), (Status::TimedOut, 0), "{verdict:?}");
        }
    }
}

/// A target that keeps what is half open holds few of them: one that is never reset stands in the way of the next checks.
#[test]
fn by_an_interface_or_with_a_mark_connections_are_reset_the_same_way() {
    namespaced!("nft");
    let (far, listeners) = two_cables();
    drop(listeners);
    let _listeners = far.run(|| {
        sysctl("net/ipv4/tcp_syncookies", "0");
        [V4_ANY, V6_ANY].map(|any| Listener::with_backlog(at(ip(any), PORT), 8))
    });
    sh("ip rule add fwmark 7 lookup 100; ip -6 rule add fwmark 7 lookup 100");
    let half_open = || {
        far.run(|| {
            let table = |name| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).expect("/proc");
            let lines = table("tcp") + &table("tcp6");
            lines.lines().filter(|line| line.split_whitespace().nth(3) == Some("03")).count()
        })
    };
    for checker in both(|config| config.set_mark(7).unwrap()).iter().chain(&both(|c| c.set_interface("near2").unwrap()))
    {
        for target in ["10.3.0.1", "fd03::1"] {
            for _ in 0..30 {
                let verdict = checker.check(&with_timeout(PATIENCE_MS, plain(target)));
                assert_eq!(said(&verdict), UP, "{verdict:?}");
            }
        }
        until("nothing is half open", || half_open() == 0);
    }
    // The mark of one check among others that have none.
    let checker = raw(|_| ());
    let marked = Request { mark: 7, ..with_timeout(PATIENCE_MS, plain("10.3.0.1")) };
    for request in [marked, with_timeout(PATIENCE_MS, plain("10.3.0.1"))].iter().cycle().take(60) {
        assert_eq!(said(&checker.check(request)), UP);
    }
    until("nothing is half open", || half_open() == 0);
}
