//! A reused socket forgets its last target: whatever was checked before, the verdict is what a fresh checker says.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::engine::is_raw;
use support::far_host::FarHost;
use support::firewall::{self, Hook};
use support::handshake::{kept, make_room_for_completed_handshakes, withholds_ack};
use support::lists::{checker, with_timeout};
use support::network::{lay_cable, listen_to_all};
use support::process::sh;
use support::targets::{DEAD_PORT, Listener, V4, V6, at};
use tcpshaker::{Checker, Request, Status, Verdict};

const PORT: u16 = 8080;
const SILENT_PORT: u16 = 8081;

/// Ample for an answer of a host that is a cable away.
const PATIENCE_MS: u32 = 10_000;
/// Short, where none will come.
const IMPATIENCE_MS: u32 = 150;

const FIRST_CABLE: &str = "near1";
const SECOND_CABLE: &str = "near2";

/// A far host at the end of two cables, with the same link-local address on both, and something to hear on each
/// address: a listener that never accepts, a dead port, a silent one.
struct Network {
    _far: FarHost,
    _listeners: Vec<Listener>,
}

impl Network {
    fn new() -> Network {
        let far = FarHost::new();
        for number in [1, 2] {
            let (near, far_end) = (format!("near{number}"), format!("far{number}"));
            let near_ip = (&*near, &*format!("10.{number}.0.1/24"));
            far.connect(near_ip, (&far_end, &format!("10.{number}.0.2/24")));
            // An address that is not probed for duplicates is there at once.
            let add = |device: &str, host: u8| {
                format!(
                    "ip addr add fd0{number}::{host}/64 dev {device} nodad; \
                     ip addr add fe80::{host}/64 dev {device} nodad"
                )
            };
            sh(&add(&near, 1));
            let command = add(&far_end, 2);
            far.run(move || sh(&command));
        }
        for ip in ["10.9.0.0/24", "fd09::/64"] {
            sh(&format!("ip route add unreachable {ip}"));
        }
        for ip in ["10.8.0.0/24", "fd08::/64"] {
            sh(&format!("ip route add prohibit {ip}"));
        }
        for ip in ["10.7.0.0/24", "fd07::/64"] {
            sh(&format!("ip route add blackhole {ip}"));
        }
        let silence = || firewall::add(Hook::Input, &[&format!("tcp dport {SILENT_PORT} drop")]);
        silence();
        far.run(silence);
        let mut listeners = vec![Listener::on(V4, PORT), Listener::on(V6, PORT)];
        listeners.extend(far.run(|| {
            make_room_for_completed_handshakes();
            ["0.0.0.0", "::"].map(|ip| Listener::on(ip.parse().unwrap(), PORT))
        }));
        Network { _far: far, _listeners: listeners }
    }
}

/// A kind of target, and what a fresh checker says of it.
struct Kind {
    name: &'static str,
    target: SocketAddr,
    expected: (Status, i32),
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// fe80::2 on the link of an interface; 0 names none.
fn link_local(scope: u32, port: u16) -> SocketAddr {
    let far: Ipv6Addr = "fe80::2".parse().unwrap();
    SocketAddrV6::new(far, port, 0, scope).into()
}

fn scope_of(interface: &str) -> u32 {
    let listing = sh(&format!("ip -o link show {interface}"));
    listing.split(':').next().and_then(|number| number.parse().ok()).expect("the number of the interface")
}

const UP: (Status, i32) = (Status::Up, 0);
const REFUSED: (Status, i32) = (Status::Refused, libc::ECONNREFUSED);
const SILENT: (Status, i32) = (Status::TimedOut, 0);

fn every_kind() -> Vec<Kind> {
    let (first, second) = (scope_of(FIRST_CABLE), scope_of(SECOND_CABLE));
    let labelled = SocketAddrV6::new("fd01::2".parse().unwrap(), PORT, 0x0bcdef, 0);
    let scoped = SocketAddrV6::new("fd01::2".parse().unwrap(), PORT, 0, second);
    let all = [
        ("IPv4 loopback, live", at(V4, PORT), UP),
        ("IPv4 loopback, refused", at(V4, DEAD_PORT), REFUSED),
        ("IPv4 loopback, silent", at(V4, SILENT_PORT), SILENT),
        ("IPv4 far, live", at(ip("10.1.0.2"), PORT), UP),
        ("IPv4 far by the second cable, live", at(ip("10.2.0.2"), PORT), UP),
        ("IPv4 far, refused", at(ip("10.1.0.2"), DEAD_PORT), REFUSED),
        ("IPv4 far, silent", at(ip("10.1.0.2"), SILENT_PORT), SILENT),
        ("IPv4 without a route", at(ip("10.6.0.1"), PORT), (Status::Unreachable, libc::ENETUNREACH)),
        ("IPv4 unreachable", at(ip("10.9.0.1"), PORT), (Status::Unreachable, libc::EHOSTUNREACH)),
        ("IPv4 prohibited", at(ip("10.8.0.1"), PORT), (Status::LocalFault, libc::EACCES)),
        ("IPv4 blackholed", at(ip("10.7.0.1"), PORT), (Status::LocalFault, libc::EINVAL)),
        ("IPv4-mapped loopback, live", at(ip("::ffff:127.0.0.1"), PORT), UP),
        ("IPv4-mapped loopback, refused", at(ip("::ffff:127.0.0.1"), DEAD_PORT), REFUSED),
        ("IPv4-mapped far, live", at(ip("::ffff:10.1.0.2"), PORT), UP),
        ("IPv6 loopback, live", at(V6, PORT), UP),
        ("IPv6 loopback, refused", at(V6, DEAD_PORT), REFUSED),
        ("IPv6 loopback, silent", at(V6, SILENT_PORT), SILENT),
        ("IPv6 far, live", at(ip("fd01::2"), PORT), UP),
        ("IPv6 far by the second cable, live", at(ip("fd02::2"), PORT), UP),
        ("IPv6 far, refused", at(ip("fd01::2"), DEAD_PORT), REFUSED),
        ("IPv6 far, silent", at(ip("fd01::2"), SILENT_PORT), SILENT),
        ("IPv6 far with a flow label, live", labelled.into(), UP),
        ("IPv6 far with another cable's scope, live", scoped.into(), UP),
        ("IPv6 without a route", at(ip("fd06::1"), PORT), (Status::Unreachable, libc::ENETUNREACH)),
        ("IPv6 unreachable", at(ip("fd09::1"), PORT), (Status::Unreachable, libc::EHOSTUNREACH)),
        ("IPv6 prohibited", at(ip("fd08::1"), PORT), (Status::LocalFault, libc::EACCES)),
        ("IPv6 blackholed", at(ip("fd07::1"), PORT), (Status::LocalFault, libc::EINVAL)),
        ("link-local, live", link_local(first, PORT), UP),
        ("link-local, refused", link_local(first, DEAD_PORT), REFUSED),
        ("link-local, silent", link_local(first, SILENT_PORT), SILENT),
        ("link-local on the second cable, live", link_local(second, PORT), UP),
        ("link-local without a zone", link_local(0, PORT), (Status::LocalFault, libc::EINVAL)),
    ];
    all.into_iter().map(|(name, target, expected)| Kind { name, target, expected }).collect()
}

/// A check may begin on the caller's thread or on the loop's, each with sockets of its own.
#[derive(Clone, Copy, Debug)]
enum By {
    Caller,
    Loop,
}

impl Kind {
    /// A socket that served it is fit for any other target: nothing of the target sticks to it.
    fn leaves_no_trace(&self) -> bool {
        self.expected.0 == Status::Up && !self.is_link_local()
    }

    fn is_link_local(&self) -> bool {
        matches!(self.target, SocketAddr::V6(target) if target.ip().is_unicast_link_local())
    }

    fn check(&self, checker: &Checker, by: By) -> Verdict {
        let impatient = matches!(self.expected.0, Status::TimedOut | Status::LocalFault);
        let timeout_ms = if impatient { IMPATIENCE_MS } else { PATIENCE_MS };
        let request = Request { timeout_ms, ..Request::new(self.target) };
        match by {
            By::Caller => checker.check(&request),
            By::Loop => checker.check_many(&[request])[0],
        }
    }
}

fn uses_v6_socket(target: &SocketAddr) -> bool {
    target.ip().to_canonical().is_ipv6()
}

/// One place, so that there is one socket of a family for each way.
fn checker_of_one_socket() -> Checker {
    checker(|config| config.set_max_in_flight(1).unwrap())
}

fn said(verdict: &Verdict) -> (Status, i32) {
    (verdict.status, verdict.os_error)
}

#[test]
fn fresh_checker_tells_each_kind_of_target_apart() {
    namespaced!("nft");
    let _network = Network::new();
    for kind in every_kind() {
        for by in [By::Caller, By::Loop] {
            let verdict = kind.check(&checker_of_one_socket(), by);
            assert_eq!(said(&verdict), kind.expected, "{}, by {by:?}: {verdict:?}", kind.name);
        }
    }
}

/// Checks each pair on a checker of its own, by a few threads, since the silent ones take their time.
fn assert_second_is_not_told_by_the_first(by: By) {
    let _network = Network::new();
    let kinds = every_kind();
    let pairs = kinds.iter().flat_map(|first| kinds.iter().map(move |second| (first, second)));
    let pairs: Vec<(&Kind, &Kind)> = pairs.collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((first, second)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let checker = checker_of_one_socket();
            first.check(&checker, by);
            let one_is_kept =
                first.leaves_no_trace() && uses_v6_socket(&first.target) == uses_v6_socket(&second.target);
            if one_is_kept {
                assert!(is_raw() || checker.stats().sockets == kept(1), "after {}", first.name);
            }
            let verdict = second.check(&checker, by);
            if said(&verdict) != second.expected {
                wrong.lock().unwrap().push(format!("{} after {}: {verdict}", second.name, first.name));
            }
            if one_is_kept && second.leaves_no_trace() {
                assert!(is_raw() || checker.stats().sockets == kept(1), "{} after {}", second.name, first.name);
            }
        }
    };
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(work))));
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} pairs, by {by:?}:\n{}", wrong.len(), pairs.len(), wrong.join("\n"));
}

#[test]
fn second_check_of_every_pair_is_what_a_fresh_checker_says_on_the_callers_thread() {
    namespaced!("nft");
    assert_second_is_not_told_by_the_first(By::Caller);
}

#[test]
fn second_check_of_every_pair_is_what_a_fresh_checker_says_on_the_loops_thread() {
    namespaced!("nft");
    assert_second_is_not_told_by_the_first(By::Loop);
}

/// The verdicts of a thousand checks of a target on the checker's own sockets, as far as they are not up.
fn not_up_of_a_thousand(checker: &Checker, target: &str, by: By) -> Vec<Verdict> {
    let request = Request { timeout_ms: PATIENCE_MS, ..Request::new(target) };
    let verdicts = match by {
        By::Caller => (0..1000).map(|_| checker.check(&request)).collect(),
        By::Loop => checker.check_many(&vec![request; 1000]),
    };
    verdicts.into_iter().filter(|verdict| verdict.status != Status::Up).collect()
}

#[test]
fn thousand_checks_of_a_live_loopback_are_up_after_one_of_a_link_local_target() {
    namespaced!("nft");
    let _network = Network::new();
    for by in [By::Caller, By::Loop] {
        let checker = checker_of_one_socket();
        let first = format!("[fe80::2%{FIRST_CABLE}]:{PORT}");
        let request = Request::new(first.as_str());
        let first = if matches!(by, By::Caller) { checker.check(&request) } else { checker.check_many(&[request])[0] };
        assert_eq!(first.status, Status::Up, "{first}");
        let down = not_up_of_a_thousand(&checker, "[::1]:8080", by);
        assert!(down.is_empty(), "{} of 1000 by {by:?} are not up; the first: {}", down.len(), down[0]);
    }
}

#[test]
fn live_loopback_is_up_between_checks_of_link_local_targets_on_several_sockets() {
    namespaced!("nft");
    let _network = Network::new();
    let checker = checker(|config| config.set_max_in_flight(16).unwrap());
    let targets = [
        format!("[fe80::2%{FIRST_CABLE}]:{PORT}"),
        format!("[::1]:{PORT}"),
        format!("[fe80::2%{SECOND_CABLE}]:{PORT}"),
        format!("[fd01::2]:{PORT}"),
    ];
    let requests: Vec<Request> =
        (0..2000).map(|number| Request::new(targets[number % targets.len()].as_str())).collect();
    let verdicts = checker.check_many(&requests);
    let down: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.status != Status::Up).collect();
    assert!(down.is_empty(), "{} of 2000 are not up; the first: {}", down.len(), down[0]);
}

#[test]
fn link_local_target_without_a_zone_is_a_local_fault_even_on_a_socket_that_has_known_one() {
    namespaced!("nft");
    let _network = Network::new();
    for by in [By::Caller, By::Loop] {
        let checker = checker_of_one_socket();
        let kinds = every_kind();
        let find = |name: &str| kinds.iter().find(|kind| kind.name == name).expect("one of the kinds");
        assert_eq!(find("link-local, live").check(&checker, by).status, Status::Up);
        let verdict = find("link-local without a zone").check(&checker, by);
        assert_eq!(said(&verdict), (Status::LocalFault, libc::EINVAL), "by {by:?}: {verdict}");
    }
}

/// It may be that of a half-open connection which an earlier check has left.
#[test]
fn refusal_by_a_target_that_was_up_is_asked_for_once_more_and_then_counts() {
    needs_sockets!("it has tests of its own for that");
    only_where!(withholds_ack(), "no half-open connection is left");
    namespaced!();
    let far = FarHost::new();
    lay_cable(&far, 1);
    let addresses = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.0.2", "fd01::2"].map(|text| at(ip(text), PORT));
    for target in addresses.into_iter().chain([link_local(scope_of(FIRST_CABLE), PORT)]) {
        for by_caller in [true, false] {
            let listeners = (listen_to_all(), far.run(listen_to_all));
            let checker = checker(|_| ());
            let check = || {
                let request = with_timeout(PATIENCE_MS, target);
                let verdict = if by_caller {
                    checker.check(&request)
                } else {
                    checker.check_many(std::slice::from_ref(&request))[0]
                };
                (verdict.status, verdict.os_error, verdict.syn_retransmits)
            };
            let refused_after = |syns| (Status::Refused, libc::ECONNREFUSED, syns);
            assert_eq!([check(), check()], [(Status::Up, 0, 0); 2], "{target}");
            drop(listeners);
            assert_eq!([check(), check()], [refused_after(1), refused_after(0)], "{target}");
            let listeners = (listen_to_all(), far.run(listen_to_all));
            assert_eq!(check(), (Status::Up, 0, 0), "{target}");
            drop(listeners);
        }
    }
}
