//! Networks, seen by the engine that makes its own segments: whatever the kernel does with a SYN on its way, or says of
//! it, the verdict is what a socket's would be.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{SocketAddr, SocketAddrV6};

use support::engine::{REFUSED, SILENT, UP, assert_said, every_way, raw, said, with_sockets};
use support::etc;
use support::far_host::FarHost;
use support::firewall::{self, Hook};
use support::lists::{PORT, SILENT_PORT, nth, tally, with_timeout};
use support::name_server::{Answer, NameServer};
use support::network::{Network, ip, lay_cable, listen_to_all, scope_of};
use support::process::sh;
use support::targets::{DEAD_PORT, Listener, V4, V6, at};
use tcpshaker::{Checker, Request, Status, Verdict};

#[test]
fn target_is_up_refused_or_silent_wherever_it_is() {
    namespaced!("nft");
    let _network = Network::new();
    let link_local = |port| SocketAddr::from(SocketAddrV6::new("fe80::2".parse().unwrap(), port, 0, scope_of("near1")));
    let targets = [
        "127.0.0.1",
        "127.9.8.7",
        "0.0.0.0",
        "10.1.0.1",
        "10.1.0.2",
        "10.5.0.2",
        "10.5.0.1",
        "::1",
        "::",
        "fd01::1",
        "fd01::2",
        "fd05::2",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "::ffff:10.1.0.2",
        "::ffff:10.5.0.2",
    ];
    let checker = raw(|config| config.set_syn_interval(100).unwrap());
    for (port, expected) in [(PORT, UP), (DEAD_PORT, REFUSED), (SILENT_PORT, SILENT)] {
        for target in targets.map(|text| at(ip(text), port)).into_iter().chain([link_local(port)]) {
            let request = with_timeout(if expected == SILENT { 250 } else { 30_000 }, target);
            for verdict in every_way(&checker, &request) {
                assert_eq!((said(&verdict), verdict.address), (expected, Some(target)), "{target}: {verdict:?}");
            }
        }
    }
    let by_name = format!("[fe80::2%near1]:{PORT}");
    assert_said(&checker, &Request::new(by_name.as_str()), UP);
}

#[test]
fn name_is_up_if_one_of_its_addresses_is() {
    namespaced!("nft");
    let _network = Network::new();
    etc::replace();
    etc::use_name_server(5, 1);
    let addresses = |texts: &[&str]| Answer::Addresses(texts.iter().map(|text| ip(text)).collect());
    let _server = NameServer::start(&[
        ("first.test", addresses(&["10.5.0.2", "10.1.0.2"])),
        ("second.test", addresses(&["10.6.0.1", "fd06::1", "10.1.0.2"])),
        ("six.test", addresses(&["fd05::2"])),
    ]);
    sh("ip route add blackhole 10.6.0.0/24 table 100; ip rule add to 10.6.0.0/24 unreachable");
    let checker = raw(|_| ());
    for name in ["first.test", "second.test", "six.test"] {
        assert_said(&checker, &Request::new(format!("{name}:{PORT}").as_str()), UP);
        assert_said(&checker, &Request::new(format!("{name}:{DEAD_PORT}").as_str()), REFUSED);
    }
}

mod a_setting {
    use super::*;

    #[test]
    fn of_a_source_address_is_kept_on_every_target_of_its_family() {
        namespaced!("nft");
        let network = Network::new();
        sh("ip addr add 10.1.0.77/24 dev near1; ip addr add fd01::77/64 dev near1 nodad");
        // Nobody else is answered.
        let open_to_one = || {
            let others = "ip saddr != 10.1.0.77 ip protocol tcp drop";
            firewall::add(Hook::Input, &[others, "ip6 saddr != fd01::77 meta l4proto tcp drop"]);
        };
        network.router.run(open_to_one);
        let checker = raw(|config| {
            config.set_source("10.1.0.77").unwrap();
            config.set_source("fd01::77").unwrap();
        });
        for target in ["10.1.0.2", "fd01::2", "::ffff:10.1.0.2", "10.1.0.1", "127.0.0.1"] {
            assert_said(&checker, &Request::new(at(ip(target), PORT)), UP);
        }
        assert_said(&raw(|_| ()), &with_timeout(200, at(ip("10.1.0.2"), PORT)), SILENT);
    }

    #[test]
    fn of_a_source_address_that_this_host_lacks_is_a_local_fault() {
        namespaced!();
        let _listeners = listen_to_all();
        let lacking = (Status::LocalFault, libc::EADDRNOTAVAIL);
        let checker = raw(|config| {
            config.set_source("192.0.2.1").unwrap();
            config.set_source("2001:db8::1").unwrap();
        });
        for ip in [V4, V6] {
            assert_said(&checker, &with_timeout(2_000, at(ip, PORT)), lacking);
        }
        // It may come later.
        sh("ip addr add 192.0.2.1/32 dev lo");
        assert_said(&checker, &Request::new(at(V4, PORT)), UP);
        sh("ip addr del 192.0.2.1/32 dev lo");
        assert_said(&checker, &with_timeout(2_000, at(V4, PORT)), lacking);
    }

    #[test]
    fn of_an_interface_decides_which_way_checks_leave() {
        namespaced!("nft");
        let far = FarHost::new();
        lay_cable(&far, 1);
        lay_cable(&far, 2);
        sh("ip route add 192.0.2.1 via 10.1.0.2 metric 1; ip route add 192.0.2.1 via 10.2.0.2 metric 2");
        let _listeners = far.run(|| {
            sh("ip addr add 192.0.2.1/32 dev lo");
            listen_to_all()
        });
        for number in [1, 2] {
            firewall::add_counter(&format!("near{number}"));
            let rule = format!("oifname near{number} tcp dport {PORT} tcp flags syn counter name near{number}");
            firewall::add(Hook::Output, &[&rule]);
        }
        let bound = |name: &str| raw(|config| config.set_interface(name).unwrap());
        for (name, expected) in [("near2", [0, 6]), ("near1", [6, 6])] {
            assert_said(&bound(name), &Request::new(at(ip("192.0.2.1"), PORT)), UP);
            assert_eq!(["near1", "near2"].map(firewall::packets), expected, "by {name}");
        }
        assert_said(&bound("near2"), &Request::new(format!("[fe80::2%near2]:{PORT}").as_str()), UP);
        assert_said(&bound("near3"), &Request::new(at(ip("192.0.2.1"), PORT)), (Status::LocalFault, libc::ENODEV));
    }

    #[test]
    fn of_a_mark_or_a_type_of_service_is_on_every_syn() {
        namespaced!("nft");
        let _listeners = listen_to_all();
        for name in ["own", "one", "other", "tos"] {
            firewall::add_counter(name);
        }
        let syn = format!("tcp dport {PORT} tcp flags & (syn | ack) == syn");
        firewall::add(
            Hook::Output,
            &[
                &format!("{syn} ip dscp 10 counter name tos"),
                &format!("{syn} ip6 dscp 10 counter name tos"),
                &format!("{syn} meta mark 42 counter name own accept"),
                &format!("{syn} meta mark 7 counter name one accept"),
                &format!("{syn} counter name other"),
            ],
        );
        let checker = raw(|config| {
            config.set_mark(42).unwrap();
            config.set_tos(0x28).unwrap();
        });
        let plain = raw(|_| ());
        for ip in [V4, V6] {
            for (checker, mark) in [(&checker, 0), (&checker, 7), (&plain, 7), (&plain, 0)] {
                assert_said(checker, &Request { mark, ..Request::new(at(ip, PORT)) }, UP);
            }
        }
        assert_eq!(["own", "one", "other", "tos"].map(firewall::packets), [12, 24, 12, 24]);
    }

    #[test]
    fn of_a_network_namespace_moves_all_checks_there() {
        namespaced!("nft");
        let far = FarHost::new();
        lay_cable(&far, 1);
        let _listener = far.run(|| Listener::on(V4, PORT));
        let checker = raw(|config| config.set_network_namespace(&far.namespace()).unwrap());
        assert_said(&checker, &Request::new(at(V4, PORT)), UP);
        assert_said(&checker, &Request::new(at(ip("10.1.0.1"), PORT)), REFUSED);
        assert_said(&raw(|_| ()), &Request::new(at(V4, PORT)), REFUSED);
        let verdicts =
            checker.check_many(&(0..2_000).map(|number| Request::new(at(nth(number), DEAD_PORT))).collect::<Vec<_>>());
        assert!(verdicts.iter().all(|verdict| said(verdict) == REFUSED), "{:?}", tally(&verdicts));
    }
}

mod translation_of_addresses {
    use super::*;

    /// Many checks of the same target, one after another and at once.
    #[track_caller]
    fn assert_all(checker: &Checker, target: SocketAddr, expected: (Status, i32)) {
        let mut verdicts: Vec<Verdict> = (0..100).map(|_| checker.check(&Request::new(target))).collect();
        verdicts.extend(checker.check_many(&vec![Request::new(target); 1_000]));
        let others: Vec<&Verdict> = verdicts.iter().filter(|verdict| said(verdict) != expected).collect();
        assert!(others.is_empty(), "{} of {}, the first: {:?}", others.len(), verdicts.len(), others[0]);
        assert!(verdicts.iter().all(|verdict| verdict.address == Some(target)), "the address is told as it was asked");
    }

    #[test]
    fn of_a_target_on_this_host_makes_no_difference() {
        namespaced!("nft");
        let _listeners = listen_to_all();
        let rule = |service: &str, backend: &str| format!("{service} tcp dport 443 dnat to {backend}:{PORT}");
        let dead = |service: &str, backend: &str| format!("{service} tcp dport 444 dnat to {backend}:{DEAD_PORT}");
        firewall::translate(
            "ip",
            &[&rule("ip daddr 127.1.2.3", "127.0.0.1"), &dead("ip daddr 127.1.2.3", "127.0.0.1")],
            &[],
        );
        sh("ip addr add fd00::5/128 dev lo nodad");
        firewall::translate("ip6", &[&rule("ip6 daddr fd00::5", "[::1]"), &dead("ip6 daddr fd00::5", "[::1]")], &[]);
        let checker = raw(|_| ());
        for service in [ip("127.1.2.3"), ip("fd00::5")] {
            assert_all(&checker, at(service, 443), UP);
            assert_all(&checker, at(service, 444), REFUSED);
        }
    }

    #[test]
    fn of_a_service_address_to_a_backend_far_away_makes_no_difference() {
        namespaced!("nft");
        let _network = Network::new();
        // Where the service address would be if it were anybody's is not where the backend is.
        sh("ip route add default via 10.1.0.2");
        firewall::translate(
            "ip",
            &[
                &format!("ip daddr 10.96.0.1 tcp dport 443 dnat to 10.5.0.2:{PORT}"),
                &format!("ip daddr 10.96.0.1 tcp dport 444 dnat to 10.1.0.2:{DEAD_PORT}"),
                &format!("ip daddr 10.96.0.1 tcp dport 445 dnat to 127.0.0.1:{PORT}"),
                &format!("ip daddr 10.96.0.2 tcp dport 443 dnat to 10.1.0.1:{PORT}"),
            ],
            &["ip daddr 127.0.0.1 masquerade"],
        );
        let checker = raw(|_| ());
        assert_all(&checker, at(ip("10.96.0.1"), 443), UP);
        assert_all(&checker, at(ip("10.96.0.1"), 444), REFUSED);
        assert_all(&checker, at(ip("10.96.0.2"), 443), UP);
        // A packet from an outer address to 127.0.0.1 needs route_localnet: as with a socket.
        let request = with_timeout(300, at(ip("10.96.0.1"), 445));
        let said_by = |checker: &Checker| said(&checker.check(&request));
        assert_eq!(said_by(&checker), said_by(&with_sockets(|_| ())));
    }

    #[test]
    fn of_this_hosts_own_address_makes_no_difference() {
        namespaced!("nft");
        let network = Network::new();
        sh("ip addr add 10.1.0.50/32 dev near1");
        firewall::translate("ip", &[], &["oifname near1 tcp dport 8080 snat to 10.1.0.50", "oifname near1 masquerade"]);
        firewall::translate("ip6", &[], &["oifname near1 masquerade"]);
        network.router.run(|| firewall::add(Hook::Input, &[&format!("ip saddr 10.1.0.1 tcp dport {PORT} drop")]));
        let checker = raw(|_| ());
        for target in ["10.1.0.2", "10.5.0.2", "fd01::2", "fd05::2"] {
            assert_all(&checker, at(ip(target), PORT), UP);
            assert_all(&checker, at(ip(target), DEAD_PORT), REFUSED);
        }
    }

    #[test]
    fn and_a_firewall_that_lets_only_known_connections_through_make_no_difference() {
        namespaced!("nft");
        let network = Network::new();
        let strict = || {
            let rules = ["ct state invalid drop", "ct state established,related accept"];
            firewall::add(Hook::Output, &rules);
            firewall::add(
                Hook::Forward,
                &[rules[0], rules[1], "ct state new tcp flags & (syn | ack) == syn accept", "meta l4proto tcp drop"],
            );
            firewall::add(
                Hook::Input,
                &[rules[0], rules[1], "ct state new tcp flags & (syn | ack) == syn accept", "meta l4proto tcp drop"],
            );
        };
        strict();
        network.router.run(strict);
        let checker = raw(|_| ());
        for target in ["127.0.0.1", "10.1.0.2", "10.5.0.2", "fd05::2"] {
            assert_all(&checker, at(ip(target), PORT), UP);
            assert_all(&checker, at(ip(target), DEAD_PORT), REFUSED);
        }
    }
}
