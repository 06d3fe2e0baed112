//! Addresses that nobody should have to guess at: a number in the clothes of a name, and IPv4 in the clothes of IPv6.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use support::capture::Capture;
use support::counters::Rise;
use support::etc;
use support::lists::{checker, reap};
use support::name_server::{Answer, NameServer};
use support::process::{sh, threads};
use support::targets::{Listener, V4, V6, at};
use tcpshaker::{Checker, Family, Request, Status, Target, Verdict};

const PORT: u16 = 8080;

/// Each way to make one check: blocking, in a list, submitted.
fn every_way(checker: &Checker, request: &Request) -> Vec<Verdict> {
    let mut verdicts = vec![checker.check(request)];
    verdicts.extend(checker.check_many(std::slice::from_ref(request)));
    checker.submit(vec![request.clone()]).expect("an open checker");
    verdicts.extend(reap(checker, 1).iter().map(|report| report.verdict));
    verdicts
}

/// What left this network namespace: connects, segments, datagrams.
struct Sent([Rise; 3]);

impl Sent {
    fn watch() -> Sent {
        Sent(["TcpActiveOpens", "TcpOutSegs", "UdpOutDatagrams"].map(Rise::of))
    }

    fn now(&self) -> [u64; 3] {
        self.0.each_ref().map(Rise::now)
    }
}

mod numbers {
    use super::*;

    /// Hosts that end in a number, decimal or hexadecimal, and are no four decimal numbers: inet_aton(3) guesses at
    /// most of them.
    const MALFORMED: [&str; 46] = [
        "127.1",
        "127.0.1",
        "127",
        "0",
        "1",
        "2130706433",
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "0177.0.0.1",
        "0x7f.1",
        "0x7f.0.0.1",
        "0X7F.0.0.1",
        "0x7f000001",
        "017700000001",
        "010.0.0.1",
        "10.0.0.010",
        "127.0.0.01",
        "00.0.0.0",
        "127.0.0.0x1",
        "127.0.0.0X1",
        "0x",
        "127.0.0.0x",
        "1.2.3.256",
        "1.2.256",
        "256.0.0.1",
        "1.2.3.4.5",
        "1.2.3",
        "1.2.3.",
        "127.1.",
        "2130706433.",
        "0x7f.1.",
        "010.0.0.1.",
        "1..2",
        "1.2..4",
        ".1",
        "..1",
        "example.1",
        "example.1.",
        "example.01",
        "example.0x1f",
        "example.0x",
        "a.b.256",
        "localhost.127",
        "09.0.0.1",
        "08",
    ];

    /// Hosts that hold a number and do not end in one.
    const NAMES: [&str; 12] = [
        "1.example",
        "127.0.0.1.example",
        "010.example",
        "1e100.example",
        "1e100",
        "3com",
        "0xg",
        "x1",
        "1a",
        "example.1a",
        "example.0xfg",
        "1-1",
    ];

    /// Every address is this host's, so that a guess would find a listener.
    fn everything_is_here() -> Listener {
        sh("ip route add local default dev lo");
        Listener::on(Ipv4Addr::UNSPECIFIED.into(), PORT)
    }

    #[test]
    fn number_that_is_no_dotted_decimal_address_is_no_target() {
        let kept: Vec<String> = MALFORMED.iter().map(|host| format!("{host}:{PORT}")).collect();
        let kept: Vec<&String> =
            kept.iter().filter(|text| !matches!(Target::from(text.as_str()), Target::Malformed(_))).collect();
        assert!(kept.is_empty(), "{} of {}: {kept:?}", kept.len(), MALFORMED.len());
    }

    #[test]
    fn number_that_is_no_dotted_decimal_address_is_bad_at_once_and_nothing_is_sent_or_asked() {
        namespaced!("tcpdump");
        etc::replace();
        let everything = Answer::Addresses(vec![V4]);
        let table: Vec<(&str, Answer)> =
            MALFORMED.iter().map(|host| (host.trim_end_matches('.'), everything.clone())).collect();
        let server = NameServer::start(&table);
        let listener = everything_is_here();
        let capture = Capture::start();
        let checker = checker(|config| config.set_timeout(5000).unwrap());
        let (before, sent) = (threads(), Sent::watch());
        let mut wrong = Vec::new();
        for host in MALFORMED {
            for service in ["8080", "checkme"] {
                let text = format!("{host}:{service}");
                for verdict in every_way(&checker, &Request::new(text.as_str())) {
                    if (verdict.status, verdict.os_error, verdict.address) != (Status::BadAddress, 0, None) {
                        wrong.push(format!("{text}: {verdict}"));
                    }
                }
            }
        }
        // The capture has a thread of its own until it is finished.
        let after = threads();
        let (sent, asked) = (sent.now(), MALFORMED.map(|host| server.asked_for_v4(host.trim_end_matches('.'))));
        let syns = capture.finish().into_iter().filter(|segment| segment.flags == "S").count();
        let asked: usize = asked.iter().sum();
        let count = 6 * MALFORMED.len();
        assert!(
            wrong.is_empty(),
            "{} of {count} are not a bad address, {syns} SYNs on the wire, {asked} questions to the name server:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        assert_eq!((sent, syns, asked), ([0, 0, 0], 0, 0));
        assert_eq!(after, before, "a thread came to resolve something");
        listener.assert_untouched();
    }

    #[test]
    fn name_that_only_begins_with_a_number_is_looked_up() {
        namespaced!();
        etc::replace();
        let here = Answer::Addresses(vec![V4]);
        let table: Vec<(&str, Answer)> = NAMES.iter().map(|name| (*name, here.clone())).collect();
        let _server = NameServer::start(&table);
        let listener = everything_is_here();
        let checker = checker(|_| ());
        for name in NAMES {
            for text in [format!("{name}:{PORT}"), format!("{name}.:{PORT}")] {
                let verdict = checker.check_addr(&text, 0);
                assert_eq!((verdict.status, verdict.address), (Status::Up, Some(at(V4, PORT))), "{text}: {verdict}");
            }
        }
        listener.assert_untouched();
    }

    #[test]
    fn dotted_decimal_address_means_what_it_says_and_is_never_looked_up() {
        namespaced!();
        etc::replace();
        let listener = everything_is_here();
        let (checker, datagrams) = (checker(|_| ()), Rise::of("UdpOutDatagrams"));
        for host in ["127.0.0.1", "10.0.0.10", "8.0.0.1", "200.100.50.25"] {
            let verdict = checker.check_addr(&format!("{host}:{PORT}"), 0);
            let address = at(host.parse().unwrap(), PORT);
            assert_eq!((verdict.status, verdict.address), (Status::Up, Some(address)), "{verdict}");
        }
        // With its root dot it is the same address or none; never a name.
        let rooted = checker.check_addr(&format!("127.0.0.1.:{PORT}"), 0);
        let meant = (rooted.status, rooted.address);
        let allowed = [(Status::Up, Some(at(V4, PORT))), (Status::BadAddress, None)];
        assert!(allowed.contains(&meant), "{rooted}");
        assert_eq!(datagrams.now(), 0);
        listener.assert_untouched();
    }
}

mod mapped {
    use super::*;

    fn mapped(ip: Ipv4Addr, port: u16) -> SocketAddr {
        at(IpAddr::V6(ip.to_ipv6_mapped()), port)
    }

    /// The address as text and as a socket address; for a checker that is kept to a family, and for a check that is.
    fn each_form(family: Family) -> Vec<(Checker, Request)> {
        let target = mapped(Ipv4Addr::LOCALHOST, PORT);
        let texts = [format!("[::ffff:127.0.0.1]:{PORT}"), format!("[::ffff:7f00:1]:{PORT}")];
        let mut targets: Vec<Target> = texts.iter().map(|text| Target::from(text.as_str())).collect();
        targets.push(target.into());
        let mut forms = Vec::new();
        for target in targets {
            let request = Request::new(target);
            forms.push((checker(|config| config.set_family(family).unwrap()), request.clone()));
            forms.push((checker(|_| ()), Request { family, ..request }));
        }
        forms
    }

    #[test]
    fn ipv4_mapped_address_is_refused_where_only_ipv6_is_allowed_as_ipv4_is() {
        namespaced!();
        let listener = Listener::on(V4, PORT);
        let sent = Sent::watch();
        let ipv4 = checker(|config| config.set_family(Family::V6).unwrap()).check(&Request::new(at(V4, PORT)));
        assert_eq!((ipv4.status, ipv4.address), (Status::BadAddress, None), "{ipv4}");
        let mut wrong = Vec::new();
        for (checker, request) in each_form(Family::V6) {
            for verdict in every_way(&checker, &request) {
                if (verdict.status, verdict.os_error, verdict.address) != (Status::BadAddress, 0, None) {
                    wrong.push(format!("{:?}: {verdict}", request.target));
                }
            }
        }
        let sent = sent.now();
        assert!(wrong.is_empty(), "{} of 18 were checked, {} connects:\n{}", wrong.len(), sent[0], wrong.join("\n"));
        assert_eq!(sent, [0, 0, 0]);
        listener.assert_untouched();
    }

    #[test]
    fn ipv4_mapped_address_is_checked_where_only_ipv4_is_allowed() {
        namespaced!();
        let listener = Listener::on(V4, PORT);
        let mut wrong = Vec::new();
        for (checker, request) in each_form(Family::V4) {
            for verdict in every_way(&checker, &request) {
                if verdict.status != Status::Up {
                    wrong.push(format!("{:?}: {verdict}", request.target));
                }
            }
        }
        assert!(wrong.is_empty(), "{} of 18 are not up:\n{}", wrong.len(), wrong.join("\n"));
        listener.assert_untouched();
    }

    #[test]
    fn name_of_an_ipv4_mapped_address_sends_no_ipv4_where_only_ipv6_is_allowed() {
        namespaced!();
        etc::replace();
        let address = mapped(Ipv4Addr::LOCALHOST, PORT).ip();
        let _server = NameServer::start(&[("mapped.test", Answer::Addresses(vec![address]))]);
        let listener = Listener::on(V4, PORT);
        let sent = Rise::of("TcpActiveOpens");
        let checker = checker(|config| config.set_family(Family::V6).unwrap());
        for verdict in every_way(&checker, &Request::new(format!("mapped.test:{PORT}").as_str())) {
            assert!(!verdict.status.is_verdict(), "{verdict}");
        }
        assert_eq!(sent.now(), 0);
        listener.assert_untouched();
    }

    #[test]
    fn ipv6_address_is_still_refused_where_only_ipv4_is_allowed() {
        namespaced!();
        let listener = Listener::on(V6, PORT);
        let sent = Sent::watch();
        let checker = checker(|config| config.set_family(Family::V4).unwrap());
        // ::127.0.0.1 is no mapped address: it has been IPv6 since RFC 4291 gave up "IPv4-compatible".
        for target in [at(V6, PORT), at("::127.0.0.1".parse().unwrap(), PORT)] {
            for verdict in every_way(&checker, &Request::new(target)) {
                assert_eq!((verdict.status, verdict.address), (Status::BadAddress, None), "{verdict}");
            }
        }
        assert_eq!(sent.now(), [0, 0, 0]);
        listener.assert_untouched();
    }
}
