//! Routes that change and errors that come back, seen by the engine that makes its own segments: what it says of them is
//! what a socket does.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use support::engine::{UP, assert_said, every_way, raw, said, with_sockets};
use support::far_host::FarHost;
use support::firewall::{self, Hook};
use support::lists::{PORT, with_timeout};
use support::network::{Network, ip, lay_cable, listen_to_all, scope_of};
use support::process::{sh, sysctl};
use support::targets::at;
use tcpshaker::{Checker, Config, Request, Status};

mod a_change {
    use super::*;

    /// Less than a check may take that goes the old way, or has the old address.
    const SOON_MS: u32 = 5_000;

    #[track_caller]
    fn assert_up(checker: &Checker, target: &str, when: &str) {
        for verdict in every_way(checker, &with_timeout(SOON_MS, at(ip(target), PORT))) {
            assert_eq!(said(&verdict), UP, "{when}: {verdict:?}");
        }
    }

    #[test]
    fn of_this_hosts_address_is_noticed() {
        namespaced!("nft");
        let _network = Network::new();
        // Its other addresses stay when the first of a network goes.
        sysctl("net/ipv4/conf/all/promote_secondaries", "1");
        let checker = raw(|_| ());
        for round in 0..3 {
            for (new, old) in [(7, 1), (1, 7)] {
                assert_up(&checker, "10.1.0.2", "before");
                assert_up(&checker, "fd01::2", "before");
                sh(&format!("ip addr add 10.1.0.{new}/24 dev near1; ip addr del 10.1.0.{old}/24 dev near1"));
                sh(&format!("ip addr add fd01::{new}/64 dev near1 nodad; ip addr del fd01::{old}/64 dev near1"));
                assert_up(&checker, "10.1.0.2", &format!("round {round}, 10.1.0.{new}"));
                assert_up(&checker, "fd01::2", &format!("round {round}, fd01::{new}"));
            }
        }
    }

    #[test]
    fn of_the_default_route_is_noticed() {
        namespaced!("nft");
        let far = FarHost::new();
        lay_cable(&far, 1);
        lay_cable(&far, 2);
        let _listeners = far.run(|| {
            sh("ip addr add 192.0.2.1/32 dev lo");
            // What comes by one cable with the address of the other is dropped.
            sysctl("net/ipv4/conf/all/rp_filter", "1");
            listen_to_all()
        });
        let checker = raw(|_| ());
        sh("ip route add default via 10.1.0.2");
        for round in 0..3 {
            for number in [2, 1] {
                assert_up(&checker, "192.0.2.1", "before");
                sh(&format!("ip route replace default via 10.{number}.0.2"));
                assert_up(&checker, "192.0.2.1", &format!("round {round}, cable {number}"));
            }
        }
    }

    #[test]
    fn of_no_route_into_one_and_back_is_noticed() {
        namespaced!("nft");
        let far = FarHost::new();
        lay_cable(&far, 1);
        let _listeners = far.run(|| {
            sh("ip addr add 192.0.2.1/32 dev lo");
            listen_to_all()
        });
        let checker = raw(|_| ());
        let request = with_timeout(SOON_MS, at(ip("192.0.2.1"), PORT));
        for _ in 0..3 {
            assert_said(&checker, &request, (Status::Unreachable, libc::ENETUNREACH));
            sh("ip route add 192.0.2.1 via 10.1.0.2");
            assert_said(&checker, &request, UP);
            sh("ip route replace unreachable 192.0.2.1");
            sh("ip route del 192.0.2.1 via 10.1.0.2 2>/dev/null || true");
            assert_said(&checker, &request, (Status::Unreachable, libc::EHOSTUNREACH));
            sh("ip route del unreachable 192.0.2.1");
        }
    }

    #[test]
    fn of_an_interface_that_is_taken_down_and_up_again_is_noticed() {
        namespaced!("nft");
        let _network = Network::new();
        let checker = raw(|_| ());
        for _ in 0..3 {
            assert_up(&checker, "10.1.0.2", "while it is up");
            sh("ip link set near1 down");
            let request = with_timeout(SOON_MS, at(ip("10.1.0.2"), PORT));
            assert_said(&checker, &request, (Status::Unreachable, libc::ENETUNREACH));
            sh("ip link set near1 up");
        }
    }
}

mod a_source_address {
    use super::*;

    /// Asked by one interface, where the routes of the host choose the other one.
    #[test]
    fn is_that_of_the_interface_for_each_target() {
        namespaced!("nft");
        let far = FarHost::new();
        lay_cable(&far, 1);
        lay_cable(&far, 2);
        let _listeners = far.run(|| {
            sh("ip route add local 10.3.0.0/24 dev lo; ip route add local fd03::/64 dev lo");
            // What comes by one cable with the address of the other is dropped.
            sysctl("net/ipv4/conf/all/rp_filter", "1");
            listen_to_all()
        });
        for (number, metric) in [(1, 1), (2, 2)] {
            sh(&format!("ip route add 10.3.0.0/24 via 10.{number}.0.2 metric {metric}"));
            sh(&format!("ip route add fd03::/64 via fd0{number}::2 metric {metric}"));
        }
        let bound = |interface: &str| raw(|config| config.set_interface(interface).unwrap());
        let targets = |host: usize| ["10.3.0.", "fd03::"].map(|prefix| at(ip(&format!("{prefix}{host}")), PORT));
        let requests: Vec<Request> = (1..=20).flat_map(targets).map(|target| with_timeout(5_000, target)).collect();
        for checker in [bound("near2"), bound("near1"), raw(|_| ())] {
            for verdict in checker.check_many(&requests) {
                assert_eq!(said(&verdict), UP, "{verdict:?}");
            }
        }
    }

    #[test]
    fn of_one_link_alone_reaches_targets_of_all_the_world() {
        namespaced!("nft");
        let far = FarHost::new();
        lay_cable(&far, 1);
        let _listeners = far.run(|| {
            sh("ip addr add fd08::1/128 dev far1 nodad");
            listen_to_all()
        });
        sh("ip addr del fd01::1/64 dev near1; ip route add fd08::1 dev near1");
        let requests = ["fd08::1", "fe80::2"].map(|text| {
            let target = match at(ip(text), PORT) {
                std::net::SocketAddr::V6(mut v6) if v6.ip().is_unicast_link_local() => {
                    v6.set_scope_id(scope_of("near1"));
                    v6.into()
                }
                target => target,
            };
            with_timeout(5_000, target)
        });
        for checker in [raw(|_| ()), with_sockets(|_| ())] {
            for request in &requests {
                assert_said(&checker, request, UP);
            }
        }
    }
}

mod errors {
    use super::*;

    const ICMP: [&str; 7] = [
        "net-unreachable",
        "host-unreachable",
        "prot-unreachable",
        "port-unreachable",
        "net-prohibited",
        "host-prohibited",
        "admin-prohibited",
    ];
    const ICMPV6: [&str; 6] =
        ["no-route", "admin-prohibited", "addr-unreachable", "port-unreachable", "policy-fail", "reject-route"];

    /// A rule for each kind of rejection, on a port of its own.
    fn reject_ports() -> (Vec<String>, Vec<(u16, bool)>) {
        let mut rules = vec!["meta nfproto ipv4 tcp dport 100 reject with tcp reset".to_owned()];
        rules.push("meta nfproto ipv6 tcp dport 100 reject with tcp reset".to_owned());
        let mut ports = vec![(100, true), (100, false)];
        for (port, kind) in (101..).zip(ICMP) {
            rules.push(format!("meta nfproto ipv4 tcp dport {port} reject with icmp type {kind}"));
            ports.push((port, true));
        }
        for (port, kind) in (101..).zip(ICMPV6) {
            rules.push(format!("meta nfproto ipv6 tcp dport {port} reject with icmpv6 type {kind}"));
            ports.push((port, false));
        }
        (rules, ports)
    }

    /// What both engines say of each port, where `interval` is that of early SYNs.
    fn compare(v4: &str, v6: &str, interval: u32, timeout: u32) {
        let settings = |config: &mut Config| config.set_syn_interval(interval).unwrap();
        let (own, sockets) = (raw(settings), with_sockets(settings));
        let requests: Vec<Request> = reject_ports()
            .1
            .into_iter()
            .map(|(port, is_v4)| with_timeout(timeout, at(ip(if is_v4 { v4 } else { v6 }), port)))
            .collect();
        let (own, expected) = (own.check_many(&requests), sockets.check_many(&requests));
        let mut different = Vec::new();
        for (own, expected) in own.iter().zip(&expected) {
            println!("{expected}");
            // What ICMPv6 prohibits is EACCES, and a socket that hears of it after its second SYN takes that for a sandbox's.
            let prohibited = (said(own), said(expected))
                == ((Status::Unreachable, libc::EACCES), (Status::LocalFault, libc::EACCES));
            if said(own) != said(expected) && !prohibited {
                different.push(format!("{own}, by a socket: {expected}"));
            }
        }
        assert!(different.is_empty(), "every {interval} ms for {timeout} ms:\n{}", different.join("\n"));
    }

    #[test]
    fn of_a_router_are_what_they_are_to_a_socket() {
        namespaced!("nft");
        let network = Network::new();
        let reject = || firewall::add(Hook::Forward, &reject_ports().0.iter().map(String::as_str).collect::<Vec<_>>());
        network.router.run(reject);
        compare("10.5.0.2", "fd05::2", 0, 3_000);
        compare("10.5.0.2", "fd05::2", 300, 700);
    }

    #[test]
    fn of_the_target_itself_are_what_they_are_to_a_socket() {
        namespaced!("nft");
        let network = Network::new();
        let reject = || firewall::add(Hook::Input, &reject_ports().0.iter().map(String::as_str).collect::<Vec<_>>());
        network.router.run(reject);
        compare("10.1.0.2", "fd01::2", 0, 3_000);
        compare("10.1.0.2", "fd01::2", 300, 700);
    }

    #[test]
    fn of_this_hosts_own_firewall_are_what_they_are_to_a_socket() {
        namespaced!("nft");
        let _network = Network::new();
        firewall::add(Hook::Input, &reject_ports().0.iter().map(String::as_str).collect::<Vec<_>>());
        compare("127.0.0.1", "::1", 0, 3_000);
        compare("10.1.0.1", "fd01::1", 300, 700);
    }

    #[test]
    fn of_this_hosts_routes_are_what_they_are_to_a_socket() {
        namespaced!("nft");
        let _network = Network::new();
        for (kind, number) in [("unreachable", 9), ("prohibit", 8), ("blackhole", 7), ("throw", 4)] {
            sh(&format!("ip route add {kind} 10.{number}.0.0/24; ip route add {kind} fd0{number}::/64"));
        }
        sh("ip route add 10.3.0.0/24 dev near1");
        let (own, sockets) = (raw(|_| ()), with_sockets(|_| ()));
        let targets = [
            "10.9.0.1",
            "10.8.0.1",
            "10.7.0.1",
            "10.4.0.1",
            "10.6.0.1",
            "10.3.0.1",
            "fd09::1",
            "fd08::1",
            "fd07::1",
            "fd04::1",
            "fd06::1",
            "10.1.0.255",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "fe80::2",
            "10.1.0.3",
            "fd01::3",
            "240.0.0.1",
            "::ffff:10.9.0.1",
        ];
        let mut different = Vec::new();
        let requests = targets.map(|text| with_timeout(5_000, at(ip(text), PORT)));
        for (own, expected) in own.check_many(&requests).iter().zip(sockets.check_many(&requests)) {
            println!("{expected}");
            if said(own) != said(&expected) {
                different.push(format!("{own}, by a socket: {expected}"));
            }
        }
        assert!(different.is_empty(), "{}", different.join("\n"));
    }
}
