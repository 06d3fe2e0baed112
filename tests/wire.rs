//! What goes over the wire: the three segments of a half-open check and no fourth, and what each setting does to them.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::time::Duration;

use support::capture::{Capture, Segment, conversations};
use support::counters::Syns;
use support::driven;
use support::engine::is_raw;
use support::far_host::FarHost;
use support::firewall::{self, Hook};
use support::handshake::{self, Completed, held_up, often, proves, segments_sent, withholds_ack};
use support::process::{sh, sysctl, until};
use support::targets::{DEAD_PORT, Listener, V4, V6, at, wait_for_server};
use tcpshaker::{Checker, Config, Family, Handshake, Report, Request, Status, Verdict};

/// Ample for any machine; a check that needs it is a failure, not a slow success.
const PATIENCE_MS: u32 = 30_000;

const PORT: u16 = 8080;

fn checker(configure: impl FnOnce(&mut Config)) -> Checker {
    support::lists::checker(|config| {
        config.set_timeout(PATIENCE_MS).unwrap();
        configure(config);
    })
}

#[track_caller]
fn assert_up_and_proven(verdict: Verdict, target: SocketAddr) {
    // A SYN from a port whose last RST is still under way on another CPU is sent again, so syn_retransmits may be 1.
    assert_eq!((verdict.status, verdict.os_error, verdict.address), (Status::Up, 0, Some(target)), "{verdict:?}");
    assert_eq!(verdict.half_open, proves(&verdict), "{verdict:?}");
    assert!(verdict.rtt_us > 0, "{verdict:?}");
}

/// Checks a listener and returns the segments of every check in text, as `>S <S. >R.`.
fn conversations_of_checks(ip: IpAddr, count: usize, checker: &Checker, request: &Request) -> Vec<String> {
    let target = at(ip, PORT);
    let capture = Capture::start();
    for _ in 0..count {
        let verdict = checker.check(request);
        assert_eq!((verdict.status, verdict.address), (Status::Up, Some(target)), "{verdict:?}");
    }
    conversations(&capture.finish(), target).iter().map(|conversation| conversation.text()).collect()
}

fn segments_of(capture: &[Segment], server: SocketAddr) -> Vec<Vec<String>> {
    conversations(capture, server).into_iter().map(|conversation| conversation.segments).collect()
}

fn each_check_is_syn_synack_rst(ip: IpAddr) {
    let listener = Listener::on(ip, PORT);
    let checker = checker(|_| ());
    let capture = Capture::start();
    // On the caller's thread, where an answer from this machine is there at once, and on the loop's.
    for _ in 0..100 {
        assert_up_and_proven(checker.check(&Request::new(listener.address())), listener.address());
    }
    for verdict in checker.check_many(&vec![Request::new(listener.address()); 100]) {
        assert_up_and_proven(verdict, listener.address());
    }
    let conversations = segments_of(&capture.finish(), listener.address());
    assert_eq!(conversations.len(), 200);
    handshake::assert_conversations(&conversations);
    listener.assert_untouched();
}

#[test]
fn each_ipv4_check_is_syn_synack_rst_and_nothing_else() {
    namespaced!("tcpdump");
    each_check_is_syn_synack_rst(V4);
}

#[test]
fn each_ipv6_check_is_syn_synack_rst_and_nothing_else() {
    namespaced!("tcpdump");
    each_check_is_syn_synack_rst(V6);
}

#[test]
fn refused_check_is_syn_and_the_servers_rst_and_nothing_else() {
    namespaced!("tcpdump");
    for target in [at(V4, DEAD_PORT), at(V6, DEAD_PORT)] {
        let checker = checker(|_| ());
        let capture = Capture::start();
        for _ in 0..50 {
            assert_eq!(checker.check(&Request::new(target)).status, Status::Refused);
        }
        for verdict in checker.check_many(&vec![Request::new(target); 50]) {
            assert_eq!(verdict.status, Status::Refused);
        }
        drop(checker);
        let conversations = conversations(&capture.finish(), target);
        assert_eq!(conversations.len(), 100);
        for conversation in conversations {
            assert_eq!(conversation.segments, [">S", "<R."], "from {}", conversation.client);
        }
    }
}

#[test]
fn check_that_times_out_is_its_syns_and_nothing_else() {
    namespaced!("tcpdump", "nft");
    firewall::add(Hook::Input, &[&format!("tcp dport {PORT} drop")]);
    let checker = checker(|_| ());
    let capture = Capture::start();
    let request = |ip| Request { timeout_ms: 1500, ..Request::new(at(ip, PORT)) };
    let verdicts = checker.check_many(&[request(V4), request(V6)]);
    drop(checker);
    let segments = capture.finish();
    for verdict in verdicts {
        assert_eq!(verdict.status, Status::TimedOut, "{verdict:?}");
        let conversations = conversations(&segments, verdict.address.unwrap());
        // One SYN at once, and the kernel's own after a second, as the verdict says where the kernel tells. A raw
        // checker's leaves from another port.
        assert_eq!(conversations.len(), if is_raw() { 2 } else { 1 });
        let segments: Vec<_> = conversations.iter().flat_map(|one| one.segments.clone()).collect();
        assert!(segments.len() >= 2 && segments.iter().all(|segment| segment == ">S"), "{segments:?}");
        let told = if withholds_ack() { segments.len() - 1 } else { 0 };
        assert_eq!(verdict.syn_retransmits as usize, told, "{verdict:?}");
    }
}

#[test]
fn nothing_is_sent_after_the_last_verdict_and_at_the_end_of_the_checker() {
    namespaced!("tcpdump");
    let listener = Listener::on(V4, PORT);
    let capture = Capture::start();
    let checker = checker(|_| ());
    assert_up_and_proven(checker.check(&Request::new(listener.address())), listener.address());
    std::thread::sleep(Duration::from_millis(500)); // longer than the kernel may delay an ACK
    drop(checker);
    let conversations = segments_of(&capture.finish(), listener.address());
    assert_eq!(conversations.len(), 1);
    handshake::assert_conversations(&conversations);
}

#[test]
fn twenty_thousand_checks_complete_no_handshake() {
    namespaced!(alone);
    let (v4, v6) = (Listener::on(V4, PORT), Listener::on(V6, PORT));
    let completed = Completed::watch();
    let checker = checker(|_| ());
    for _ in 0..often(10_000) {
        assert_up_and_proven(checker.check(&Request::new(v4.address())), v4.address());
        assert_up_and_proven(checker.check(&Request::new(v6.address())), v6.address());
    }
    assert_eq!(checker.stats().up, 2 * often(10_000) as u64);
    completed.assert_none(&checker.stats());
    v4.assert_untouched();
    v6.assert_untouched();
}

#[test]
fn twenty_thousand_checks_from_several_threads_complete_no_handshake() {
    namespaced!(alone);
    let listener = Listener::on(V4, PORT);
    let completed = Completed::watch();
    let checker = checker(|_| ());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..often(2_500) {
                    assert_up_and_proven(checker.check(&Request::new(listener.address())), listener.address());
                }
            });
        }
    });
    completed.assert_none(&checker.stats());
    listener.assert_untouched();
}

#[test]
fn linger_ends_with_fin_and_claims_no_half_open() {
    needs_sockets!("it makes no other handshake");
    namespaced!("tcpdump");
    for ip in [V4, V6] {
        let listener = Listener::on(ip, PORT);
        let checker = checker(|_| ());
        let request = Request { linger: true, ..Request::new(listener.address()) };
        assert!(!checker.check(&request).half_open);
        for conversation in conversations_of_checks(ip, 20, &checker, &request) {
            assert!(conversation.starts_with(">S <S. ") && conversation.contains(">F"), "{conversation}");
            assert!(!conversation.contains(">R"), "{conversation}");
        }
        assert_eq!(listener.accept_all(), 21);
    }
}

#[test]
fn full_handshake_sends_the_ack_and_claims_no_half_open() {
    needs_sockets!("it makes no other handshake");
    namespaced!("tcpdump");
    for ip in [V4, V6] {
        let listener = Listener::on(ip, PORT);
        let checker = checker(|_| ());
        let request = Request { handshake: Handshake::Full, ..Request::new(listener.address()) };
        assert!(!checker.check(&request).half_open);
        for conversation in conversations_of_checks(ip, 20, &checker, &request) {
            assert_eq!(conversation, ">S <S. >. >R.");
        }
        assert_eq!(listener.accept_all(), 21);
    }
}

#[test]
fn full_handshake_with_linger_is_what_an_ordinary_client_does() {
    needs_sockets!("it makes no other handshake");
    namespaced!("tcpdump");
    let listener = Listener::on(V4, PORT);
    let request = Request { handshake: Handshake::Full, linger: true, ..Request::new(listener.address()) };
    for conversation in conversations_of_checks(V4, 20, &checker(|_| ()), &request) {
        assert!(conversation.starts_with(">S <S. >. >F."), "{conversation}");
    }
    assert_eq!(listener.accept_all(), 20);
}

#[test]
fn checker_without_zero_linger_ends_with_fin_and_claims_no_half_open() {
    needs_sockets!("it makes no other handshake");
    namespaced!("tcpdump");
    let listener = Listener::on(V4, PORT);
    let checker = checker(|config| config.set_zero_linger(false).unwrap());
    let request = Request::new(listener.address());
    assert!(!checker.check(&request).half_open);
    for conversation in conversations_of_checks(V4, 20, &checker, &request) {
        assert!(conversation.contains(">F") && !conversation.contains(">R"), "{conversation}");
    }
    assert_eq!(listener.accept_all(), 21);
}

#[test]
fn half_open_and_complete_checks_on_one_checker_do_not_disturb_each_other() {
    needs_sockets!("it makes no other handshake");
    namespaced!();
    let listener = Listener::on(V4, PORT);
    let checker = checker(|config| config.set_max_in_flight(1).unwrap());
    let half_open = Request::new(listener.address());
    let full = Request { handshake: Handshake::Full, ..half_open.clone() };
    let linger = Request { linger: true, ..half_open.clone() };
    for request in [&full, &linger, &full, &full, &linger, &linger, &full] {
        assert!(!checker.check(request).half_open);
        assert_eq!(listener.accept_all(), 1);
        assert_up_and_proven(checker.check(&half_open), listener.address());
        listener.assert_untouched();
    }
}

/// So many segments are those of so many checks; one that was held up sends its ACK besides.
#[track_caller]
fn assert_sent(segments: usize, checks: usize) {
    // What the kernel sends for no socket bears no setting of a socket's.
    let expected = if is_raw() { checks } else { checks * segments_sent() };
    assert!((expected..=expected + held_up() as usize).contains(&segments), "{segments} segments of {checks} checks");
}

/// The segments that left for the listener, but for those that the kernel sends for no socket.
fn sent(segments: &[Segment], target: SocketAddr) -> impl Iterator<Item = &Segment> {
    segments.iter().filter(move |segment| segment.destination == target && (!is_raw() || segment.flags == "S"))
}

/// The same as a rule of the packet filter.
fn sent_rule() -> String {
    let kind = if is_raw() { " tcp flags & (syn | ack) == syn" } else { "" };
    format!("tcp dport {PORT}{kind}")
}

#[test]
fn each_family_has_its_own_source_address() {
    namespaced!("tcpdump");
    sh("ip -6 addr add fd00::5/128 dev lo nodad");
    let (v4, v6) = (Listener::on(V4, PORT), Listener::on(V6, PORT));
    let checker = checker(|config| {
        config.set_source("127.0.0.5").unwrap();
        config.set_source("fd00::5").unwrap();
    });
    let capture = Capture::start();
    for _ in 0..20 {
        assert_up_and_proven(checker.check(&Request::new(v4.address())), v4.address());
        assert_up_and_proven(checker.check(&Request::new(v6.address())), v6.address());
    }
    let segments = capture.finish();
    for (listener, source) in [(&v4, "127.0.0.5"), (&v6, "fd00::5")] {
        let sources: Vec<IpAddr> = sent(&segments, listener.address()).map(|segment| segment.source.ip()).collect();
        assert!(sources.iter().all(|ip| *ip == source.parse::<IpAddr>().unwrap()), "{sources:?}");
        assert_sent(sources.len(), 20);
        listener.assert_untouched();
    }
}

#[test]
fn source_address_does_not_use_up_the_ports() {
    namespaced!("nft");
    // Sixteen ports, and three times eight checks at once: they fit because a port is only taken for one target.
    sysctl("net/ipv4/ip_local_port_range", "40000 40015");
    firewall::add(Hook::Input, &[&format!("tcp dport {PORT} drop")]);
    let checker = checker(|config| config.set_source("127.0.0.5").unwrap());
    let verdicts = std::thread::scope(|scope| {
        let spawn = |host: usize| {
            let request = Request { timeout_ms: 1500, ..Request::new(at([127, 0, 1, (host / 8) as u8].into(), PORT)) };
            let checker = &checker;
            scope.spawn(move || checker.check(&request))
        };
        let threads: Vec<_> = (0..24).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<Verdict>>()
    });
    assert!(verdicts.iter().all(|verdict| verdict.status == Status::TimedOut), "{verdicts:#?}");
}

#[test]
fn source_address_that_is_not_of_this_host_is_a_local_fault() {
    namespaced!();
    let listener = Listener::on(V4, PORT);
    let checker = checker(|config| config.set_source("192.0.2.1").unwrap());
    let verdict = checker.check(&Request::new(listener.address()));
    assert_eq!((verdict.status, verdict.os_error), (Status::LocalFault, libc::EADDRNOTAVAIL));
}

#[test]
fn every_segment_bears_the_type_of_service() {
    namespaced!("tcpdump");
    let (v4, v6) = (Listener::on(V4, PORT), Listener::on(V6, PORT));
    let checker = checker(|config| config.set_tos(0x28).unwrap());
    let capture = Capture::start();
    for _ in 0..20 {
        assert_up_and_proven(checker.check(&Request::new(v4.address())), v4.address());
        assert_up_and_proven(checker.check(&Request::new(v6.address())), v6.address());
    }
    let segments = capture.finish();
    for listener in [v4, v6] {
        let tos: Vec<u8> = sent(&segments, listener.address()).map(|segment| segment.tos).collect();
        assert!(tos.iter().all(|tos| *tos == 0x28), "to {}: {tos:?}", listener.address());
        assert_sent(tos.len(), 20);
    }
}

#[test]
fn every_segment_bears_the_mark() {
    namespaced!("nft");
    let (v4, v6) = (Listener::on(V4, PORT), Listener::on(V6, PORT));
    firewall::add_counter("marked");
    firewall::add_counter("plain");
    let to_port = sent_rule();
    let marked = format!("{to_port} meta mark 0x2a counter name marked accept");
    firewall::add(Hook::Output, &[&marked, &format!("{to_port} counter name plain")]);
    let checker = checker(|config| config.set_mark(0x2a).unwrap());
    for _ in 0..20 {
        assert_up_and_proven(checker.check(&Request::new(v4.address())), v4.address());
        assert_up_and_proven(checker.check(&Request::new(v6.address())), v6.address());
    }
    assert_eq!(firewall::packets("plain"), 0);
    assert_sent(firewall::packets("marked") as usize, 40);
}

#[test]
fn interface_decides_which_way_the_check_leaves() {
    namespaced!("nft");
    // Two cables to one host; the routing table prefers the first.
    let far = FarHost::new();
    far.connect(("first", "10.1.0.1/24"), ("first_far", "10.1.0.2/24"));
    far.connect(("second", "10.2.0.1/24"), ("second_far", "10.2.0.2/24"));
    sh("ip route add 192.0.2.1 via 10.1.0.2 metric 1; ip route add 192.0.2.1 via 10.2.0.2 metric 2");
    let listener = far.run(|| {
        sh("ip addr add 192.0.2.1/32 dev lo");
        Listener::on([192, 0, 2, 1].into(), PORT)
    });
    for name in ["first", "second"] {
        firewall::add_counter(name);
        firewall::add(Hook::Output, &[&format!("oifname {name} {} counter name {name}", sent_rule())]);
    }
    let bound = |interface: &str| checker(|config| config.set_interface(interface).unwrap());
    let leaving = || (firewall::packets("first") as usize, firewall::packets("second") as usize);
    for (checker, expected) in [(checker(|_| ()), (1, 0)), (bound("second"), (1, 1)), (bound("first"), (2, 1))] {
        assert_up_and_proven(checker.check(&Request::new(listener.address())), listener.address());
        assert_sent(leaving().0, expected.0);
        assert_sent(leaving().1, expected.1);
    }
    listener.assert_untouched();
    let missing = bound("third").check(&Request::new(listener.address()));
    assert_eq!((missing.status, missing.os_error), (Status::LocalFault, libc::ENODEV));
}

/// Checks a target without a callback, each way there is, beginning with a certain one.
fn every_way(checker: &Checker, target: SocketAddr, first: usize) -> Vec<Verdict> {
    let request = Request::new(target);
    let submitted = || {
        checker.submit(vec![request.clone(); 3]).expect("a live checker");
        let mut reports = Vec::new();
        while reports.len() < 3 {
            assert_ne!(checker.reap(&mut reports, 3, Some(Duration::from_secs(60))), 0, "a result is missing");
        }
        reports.into_iter().map(|report| report.verdict).collect::<Vec<Verdict>>()
    };
    let way = |way: usize| match way % 3 {
        0 => vec![checker.check(&request), checker.check(&request)],
        1 => submitted(),
        _ => checker.check_many(&vec![request.clone(); 3]),
    };
    (first..first + 3).flat_map(way).collect()
}

#[test]
fn interface_that_is_made_anew_under_its_name_is_used_like_the_old_one() {
    namespaced!();
    let far = FarHost::new();
    let (v4, v6) = (at([10, 1, 0, 2].into(), PORT), at("fd01::2".parse().unwrap(), PORT));
    let lay_cable = || {
        far.connect(("near", "10.1.0.1/24"), ("far", "10.1.0.2/24"));
        sh("ip -6 addr add fd01::1/64 dev near nodad");
        far.run(|| sh("ip -6 addr add fd01::2/64 dev far nodad"));
        // A cable may need a moment before it carries anything.
        wait_for_server(v4);
        wait_for_server(v6);
    };
    let unspecified: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let _listeners = far.run(move || unspecified.map(|ip| Listener::on(ip, PORT)));
    lay_cable();
    let checker = checker(|config| config.set_interface("near").unwrap());
    for (first, target) in (0..3).flat_map(|first| [(first, v4), (first, v6)]) {
        for other in [v4, v6] {
            every_way(&checker, other, 0).into_iter().for_each(|verdict| assert_up_and_proven(verdict, other));
        }
        sh("ip link delete near");
        if first == 2 {
            // Nobody may be called down for want of an interface of this host.
            for verdict in every_way(&checker, target, first) {
                assert_eq!((verdict.status, verdict.os_error), (Status::LocalFault, libc::ENODEV), "{verdict:?}");
            }
        }
        lay_cable();
        every_way(&checker, target, first).into_iter().for_each(|verdict| assert_up_and_proven(verdict, target));
    }
}

/// Each of two interfaces leads to a host of its own, and the target is on one of them.
#[test]
fn interface_that_gives_its_name_to_another_one_is_used_no_more() {
    namespaced!();
    let hosts = [FarHost::new(), FarHost::new()];
    for (number, host) in (1..).zip(&hosts) {
        let (near, far) = (format!("near{number}"), format!("far{number}"));
        host.connect((&near, &format!("10.{number}.0.1/24")), (&far, &format!("10.{number}.0.2/24")));
    }
    let target = at([10, 3, 0, 9].into(), PORT);
    let _listener = hosts[1].run(move || {
        sh("ip addr add 10.3.0.9/32 dev lo");
        Listener::on(Ipv4Addr::UNSPECIFIED.into(), PORT)
    });
    let lay_routes = || {
        for number in [1, 2] {
            sh(&format!("ip route replace 10.3.0.9 via 10.{number}.0.2 metric {number}"));
        }
    };
    lay_routes();
    let checker = checker(|config| {
        config.set_interface("near1").unwrap();
        config.set_timeout(2_000).unwrap();
    });
    for verdict in every_way(&checker, target, 0) {
        assert_ne!(verdict.status, Status::Up, "nobody has the address there");
    }
    for name in ["near1", "near2"] {
        sh(&format!("ip link set {name} down"));
    }
    sh("ip link set near1 name aside; ip link set near2 name near1; ip link set aside name near2");
    for name in ["near1", "near2"] {
        sh(&format!("ip link set {name} up"));
    }
    lay_routes();
    wait_for_server(at([10, 2, 0, 2].into(), PORT));
    for first in 0..3 {
        every_way(&checker, target, first).into_iter().for_each(|verdict| assert_up_and_proven(verdict, target));
    }
}

#[test]
fn list_that_meets_an_interface_made_anew_waits_its_turn_once_more_and_is_not_busy() {
    namespaced!();
    let far = FarHost::new();
    let (open, closed) = (at([10, 1, 0, 2].into(), PORT), at([10, 1, 0, 2].into(), PORT + 1));
    let lay_cable = || {
        far.connect(("near", "10.1.0.1/24"), ("far", "10.1.0.2/24"));
        wait_for_server(open);
    };
    let _listener = far.run(|| Listener::on(Ipv4Addr::UNSPECIFIED.into(), PORT));
    lay_cable();
    let checker = checker(|config| {
        config.set_interface("near").unwrap();
        config.set_max_rate(2).unwrap();
    });
    // Its second start comes half a second after the first one, which the old socket spoils: later than its timeout.
    let list = [Request { timeout_ms: 400, ..Request::new(closed) }];
    assert_eq!(checker.check_many(&list)[0].status, Status::Refused);
    sh("ip link delete near");
    lay_cable();
    assert_eq!(checker.check_many(&list)[0].status, Status::Refused);
}

#[test]
fn callback_runs_when_its_connection_is_gone_already() {
    needs_sockets!("there is no connection");
    namespaced!("nft");
    let listener = Listener::on(Ipv4Addr::UNSPECIFIED.into(), PORT);
    let silent_port = PORT + 1;
    firewall::add(Hook::Input, &[&format!("tcp dport {silent_port} drop")]);
    let checker = checker(|_| ());
    // A connection under way is in the kernel's table (proc(5)), or its absence would prove nothing.
    checker.submit(vec![Request::new(at(V4, silent_port))]).expect("a live checker");
    until("the silent target in the table", || {
        driven::drive(&checker);
        is_in_table(at(V4, silent_port))
    });
    let (sender, calls) = channel();
    for number in 0..50 {
        let (sender, target) = (sender.clone(), at([127, 0, 1, number].into(), PORT));
        let callback = move |report: &Report| sender.send((report.verdict, target, is_in_table(target))).unwrap();
        checker.submit_with(Request::new(target), Box::new(callback)).expect("a live checker");
    }
    for _ in 0..50 {
        let (verdict, target, is_there) = driven::receive(&checker, &calls).expect("a callback");
        // While one callback reads the table no other check goes on, and then its ACK may get out.
        assert_eq!((verdict.status, verdict.address), (Status::Up, Some(target)), "{verdict:?}");
        assert!(!is_there, "the connection to {target} is there still");
    }
    drop(listener);
}

/// Whether some socket of this namespace is connected, or on its way, to this IPv4 address.
fn is_in_table(target: SocketAddr) -> bool {
    let IpAddr::V4(ip) = target.ip() else { panic!("{target} is not IPv4") };
    let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), target.port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").expect("/proc");
    table.lines().any(|line| line.split_whitespace().nth(2) == Some(remote.as_str()))
}

#[test]
fn family_of_the_checker_or_of_the_check_keeps_the_other_off_the_wire() {
    namespaced!();
    let (v4, v6) = (Listener::on(V4, PORT), Listener::on(V6, PORT));
    let sent = Syns::watch();
    let only_v4 = checker(|config| config.set_family(Family::V4).unwrap());
    assert_eq!(only_v4.check(&Request::new(v6.address())).status, Status::BadAddress);
    let only_v6 = Request { family: Family::V6, ..Request::new(v4.address()) };
    assert_eq!(checker(|_| ()).check(&only_v6).status, Status::BadAddress);
    assert_eq!(sent.now(), 0);
    // The check's own family counts, whatever the checker's is.
    let own = Request { family: Family::V6, ..Request::new(v6.address()) };
    assert_up_and_proven(only_v4.check(&own), v6.address());
    assert_up_and_proven(only_v4.check(&Request::new(v4.address())), v4.address());
}
