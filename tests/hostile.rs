//! Peers that do what they should not: meet a check with a SYN, answer twice, talk at once, or send an error after the
//! answer. None of it makes a dead target up, or a live one down.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::IpAddr;
use std::time::Duration;

use support::counters::Syns;
use support::firewall::{self, Hook};
use support::handshake::{make_room_for_completed_handshakes, often, withholds_ack};
use support::lists::{PORT, checker, reap, tagged, with_timeout};
use support::network::ip;
use support::peer::{ACK, Action, Peer, RST, SYN, Segment};
use support::process::{sh, sysctl, until};
use support::targets::{Listener, V4, V6, at};
use tcpshaker::{Checker, Request, Status, Verdict};

/// Ample for any machine where an answer is certain to come.
const PATIENCE_MS: u32 = 30_000;
/// Short, where none will come.
const IMPATIENCE_MS: u32 = 300;

const ISN: u32 = 0x1234_5678;

fn send(segment: Segment) -> Action {
    Action::Send(segment.packet())
}

fn syn_ack(syn: &Segment) -> Action {
    send(syn.answer(SYN | ACK, ISN))
}

mod two_checks_that_meet {
    use super::*;

    /// Four ports for all sockets, which nobody listens on: a check from each to each of them.
    const PORTS: std::ops::RangeInclusive<u16> = 40_000..=40_003;

    fn narrow_range() {
        sysctl("net/ipv4/ip_local_port_range", "40000 40003");
    }

    /// Checks each port from each port while SYNs are lost; those that the kernel sends again meet each other.
    fn meet(checker: &Checker, ip: IpAddr) -> Vec<Verdict> {
        firewall::add(Hook::Input, &["tcp flags & (syn | ack) == syn drop"]);
        let ports: Vec<u16> = PORTS.collect();
        let targets = (0..16).map(|number| at(ip, ports[number % 4]));
        let requests = targets.enumerate().map(|(tag, target)| tagged(tag, with_timeout(5000, target))).collect();
        let sent = Syns::watch();
        checker.submit(requests).expect("an open checker");
        // Some may find no port left, which is this machine's fault and said so at once.
        until("all SYNs that can be sent", || sent.now() + checker.stats().local_fault == 16);
        firewall::open();
        reap(checker, 16).into_iter().map(|report| report.verdict).collect()
    }

    fn assert_never_up(ip: IpAddr) {
        narrow_range();
        let rounds = often(5);
        let verdicts: Vec<Verdict> = (0..rounds).flat_map(|_| meet(&checker(|_| ()), ip)).collect();
        let sent_again = verdicts.iter().filter(|verdict| verdict.syn_retransmits > 0).count();
        let up: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.status == Status::Up).collect();
        println!("{sent_again} of {} checks sent their SYN again, {} are up", verdicts.len(), up.len());
        assert!(up.is_empty(), "{} of {} are up and nobody listens: {up:?}", up.len(), verdicts.len());
        assert!(sent_again >= 2 * rounds, "only {sent_again} SYNs were sent again: this proves little");
    }

    #[test]
    fn checks_of_one_checker_are_not_up_for_having_met_on_ipv4() {
        needs_sockets!("no connection could meet another");
        only_where!(withholds_ack(), "TCP alone knows whom a connection met");
        namespaced!("nft");
        assert_never_up(V4);
    }

    #[test]
    fn checks_of_one_checker_are_not_up_for_having_met_on_ipv6() {
        needs_sockets!("no connection could meet another");
        only_where!(withholds_ack(), "TCP alone knows whom a connection met");
        namespaced!("nft");
        assert_never_up(V6);
    }

    fn faults(checkers: &[Checker]) -> u64 {
        checkers.iter().map(|checker| checker.stats().local_fault).sum()
    }

    #[test]
    fn checks_of_two_checkers_are_not_up_for_having_met() {
        needs_sockets!("no connection could meet another");
        only_where!(withholds_ack(), "TCP alone knows whom a connection met");
        namespaced!("nft");
        narrow_range();
        let checkers = [checker(|_| ()), checker(|_| ())];
        let mut up = Vec::new();
        for _ in 0..often(5) {
            firewall::add(Hook::Input, &["tcp flags & (syn | ack) == syn drop"]);
            let (sent, faults) = (Syns::watch(), faults(&checkers));
            for checker in &checkers {
                let request = |(tag, port)| tagged(tag, with_timeout(5000, at(V4, port)));
                checker.submit(PORTS.chain(PORTS).enumerate().map(request).collect()).expect("an open checker");
            }
            until("all SYNs that can be sent", || sent.now() + self::faults(&checkers) - faults == 16);
            firewall::open();
            for checker in &checkers {
                let verdicts = reap(checker, 8).into_iter().map(|report| report.verdict);
                up.extend(verdicts.filter(|verdict| verdict.status == Status::Up));
            }
        }
        assert!(up.is_empty(), "{} are up and nobody listens: {up:?}", up.len());
    }

    /// The kernel gives the next socket this port.
    fn give_out(port: u16) {
        let others = if port == *PORTS.start() { "40001-40003" } else { "40000,40002-40003" };
        sysctl("net/ipv4/ip_local_reserved_ports", others);
    }

    /// A check from the first port to the second waits for its answer, since its SYN is lost. The other way a SYN goes
    /// through, and meets it.
    fn crossing(waits: &Checker, waits_at: IpAddr, asks: &Checker, asked_from: IpAddr) -> Verdict {
        let [first, second] = [0, 1].map(|number| PORTS.start() + number);
        let family = if waits_at.is_ipv4() { "ip" } else { "ip6" };
        let lost = format!("{family} daddr {asked_from} tcp dport {second} tcp flags & (syn | ack) == syn drop");
        firewall::add(Hook::Input, &[&lost]);
        give_out(first);
        waits.submit(vec![with_timeout(900, at(asked_from, second))]).expect("an open checker");
        let state = format!("ss -tnH state syn-sent sport = :{first}");
        until("it waits", || !sh(&state).is_empty());
        give_out(second);
        let verdict = asks.check(&with_timeout(500, at(waits_at, first)));
        firewall::open();
        reap(waits, 1);
        verdict
    }

    #[test]
    fn checks_between_two_addresses_of_this_host_are_not_up_for_having_met() {
        needs_sockets!("no connection could meet another");
        only_where!(withholds_ack(), "TCP alone knows whom a connection met");
        namespaced!("nft", "ss");
        narrow_range();
        sh(
            "ip addr add fd09::1/128 dev lo nodad; ip addr add fd09::2/128 dev lo nodad; ip addr add 10.9.0.1/32 dev lo",
        );
        for (one, other) in [("127.0.0.1", "127.0.0.2"), ("10.9.0.1", "127.0.0.1"), ("fd09::1", "fd09::2")] {
            for (one, other) in [(one, other), (other, one)] {
                let from = |ip: &str| checker(|config| config.set_source(ip).unwrap());
                let verdict = crossing(&from(one), ip(one), &from(other), ip(other));
                assert_eq!(verdict.status, Status::Refused, "{other} asks {one}, and nobody listens: {verdict:?}");
            }
        }
    }

    #[test]
    fn checks_are_not_up_for_having_met_after_the_range_of_ports_was_changed() {
        needs_sockets!("no connection could meet another");
        only_where!(withholds_ack(), "TCP alone knows whom a connection met");
        namespaced!("nft", "ss");
        let (waits, asks) = (checker(|_| ()), checker(|_| ()));
        sysctl("net/ipv4/ip_local_port_range", "50000 50003");
        let listener = Listener::on(V4, 50_001);
        firewall::add(Hook::Input, &[&format!("tcp dport {PORT} drop")]);
        waits.submit(vec![with_timeout(300, at(V4, PORT))]).expect("an open checker");
        assert_eq!(asks.check(&Request::new(listener.address())).status, Status::Up); // it knows the range by now
        firewall::open();
        reap(&waits, 1);
        narrow_range();
        std::thread::sleep(Duration::from_millis(1_100));
        let verdict = crossing(&waits, V4, &asks, V4);
        assert_eq!(verdict.status, Status::Refused, "nobody listens: {verdict:?}");
    }
}

mod listener_among_the_ports_of_checks {
    use super::*;

    #[test]
    fn listener_on_a_port_that_checks_may_have_is_up_every_time_and_under_load() {
        namespaced!();
        sysctl("net/ipv4/ip_local_port_range", "40000 40999");
        make_room_for_completed_handshakes();
        let _listeners = [Listener::on(V4, 40_500), Listener::on(V6, 40_500)];
        let checker = checker(|config| config.set_max_in_flight(200).unwrap());
        let requests = [V4, V6].map(|ip| with_timeout(PATIENCE_MS, at(ip, 40_500)));
        let list: Vec<Request> = requests.iter().cycle().take(often(20_000)).cloned().collect();
        let mut verdicts = std::thread::scope(|scope| {
            let call =
                || (0..often(2_000)).map(|number| checker.check(&requests[number % 2])).collect::<Vec<Verdict>>();
            let callers = [(); 4].map(|()| scope.spawn(call));
            let listed = checker.check_many(&list);
            callers.into_iter().flat_map(|caller| caller.join().unwrap()).chain(listed).collect::<Vec<Verdict>>()
        });
        let count = verdicts.len();
        verdicts.retain(|verdict| verdict.status != Status::Up);
        assert!(verdicts.is_empty(), "{} of {count} are not up; the first: {}", verdicts.len(), verdicts[0]);
    }

    #[test]
    fn listener_that_answers_the_second_syn_is_up() {
        namespaced!("nft");
        sysctl("net/ipv4/ip_local_port_range", "40000 40999");
        let _listeners = [Listener::on(V4, 40_500), Listener::on(V6, 40_500)];
        firewall::add(Hook::Input, &["tcp flags & (syn | ack) == syn drop"]);
        let checker = checker(|_| ());
        let sent = Syns::watch();
        let targets = [V4, V6].into_iter().cycle().take(20).map(|ip| at(ip, 40_500));
        let requests = targets.enumerate().map(|(tag, target)| tagged(tag, with_timeout(PATIENCE_MS, target)));
        checker.submit(requests.collect()).expect("an open checker");
        until("all SYNs", || sent.now() == 20);
        firewall::open();
        for report in reap(&checker, 20) {
            assert_eq!(report.verdict.status, Status::Up, "{}", report.verdict);
        }
    }
}

mod syn_without_an_ack {
    use super::*;

    /// What a peer with such a habit is said to be, by a check on the caller's thread and one on the loop's.
    fn assert_not_up(habit: impl Fn(&Segment) -> Vec<Action> + Send + 'static) {
        let _peer = Peer::start(habit);
        let checker = checker(|_| ());
        let request = with_timeout(IMPATIENCE_MS, Peer::at(80));
        for verdict in [checker.check(&request), checker.check_many(std::slice::from_ref(&request))[0]] {
            assert_ne!(verdict.status, Status::Up, "{verdict:?}");
            assert!(!verdict.half_open, "{verdict:?}");
        }
    }

    #[test]
    fn peer_that_answers_a_syn_with_a_syn_is_not_up() {
        only_where!(withholds_ack(), "TCP alone knows whom a connection met");
        namespaced!();
        assert_not_up(|segment| match segment.flags {
            SYN => vec![send(segment.answer(SYN, ISN))],
            _ => Vec::new(),
        });
    }

    #[test]
    fn peer_that_answers_a_syn_with_a_syn_and_then_acknowledges_is_not_up() {
        only_where!(withholds_ack(), "TCP alone knows whom a connection met");
        namespaced!();
        assert_not_up(|segment| match segment.flags {
            SYN => vec![send(segment.answer(SYN, ISN)), send(segment.answer(ACK, ISN + 1))],
            _ => Vec::new(),
        });
    }

    #[test]
    fn peer_that_answers_a_syn_with_a_syn_and_then_resets_is_not_up() {
        only_where!(withholds_ack(), "TCP alone knows whom a connection met");
        namespaced!();
        assert_not_up(|segment| match segment.flags {
            SYN => vec![send(segment.answer(SYN, ISN)), send(segment.answer(RST, ISN + 1))],
            _ => Vec::new(),
        });
    }

    #[test]
    fn peer_that_acknowledges_a_syn_without_one_of_its_own_is_not_up() {
        namespaced!();
        assert_not_up(|segment| match segment.flags {
            SYN => vec![send(segment.answer(ACK, ISN))],
            _ => Vec::new(),
        });
    }
}

mod what_comes_behind_the_answer {
    use super::*;

    /// Ports of the peer: it misbehaves on one, and is live and a little slow, or dead, on the others.
    const HOSTILE: u16 = 80;
    const LIVE: u16 = 81;
    const DEAD: u16 = 82;

    /// Slow enough that a look at the socket finds no answer yet.
    const LATENCY: Duration = Duration::from_millis(2);

    fn peer(habit: impl Fn(&Segment) -> Vec<Action> + Send + 'static) -> Peer {
        Peer::start(move |segment| match (segment.flags, segment.destination.port()) {
            (SYN, HOSTILE) => habit(segment),
            (SYN, LIVE) => vec![Action::Pause(LATENCY), syn_ack(segment)],
            (SYN, DEAD) => vec![Action::Pause(LATENCY), send(segment.answer(RST | ACK, 0))],
            _ => Vec::new(),
        })
    }

    fn request(tag: usize, port: u16) -> Request {
        tagged(tag, with_timeout(PATIENCE_MS, Peer::at(port)))
    }

    /// The peer's own verdict is up, every time; the live target's too, on the socket that the peer had last.
    fn assert_live_is_up_afterwards(habit: impl Fn(&Segment) -> Vec<Action> + Send + 'static) {
        let _peer = peer(habit);
        let rounds = often(600);
        let one_socket = checker(|config| config.set_max_in_flight(1).unwrap());
        let (mut hostile, mut live) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            hostile.push(one_socket.check(&request(0, HOSTILE)));
            live.push(one_socket.check(&request(0, LIVE)));
        }
        let ports = [HOSTILE, LIVE];
        let list = (0..2 * rounds).map(|number| request(number, ports[number % 2])).collect::<Vec<_>>();
        for pair in one_socket.check_many(&list).chunks(2) {
            hostile.push(pair[0]);
            live.push(pair[1]);
        }
        assert_all_up("live", &live);
        assert_all_up("hostile", &hostile);
    }

    #[track_caller]
    fn assert_all_up(what: &str, verdicts: &[Verdict]) {
        let down: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.status != Status::Up).collect();
        let count = verdicts.len();
        assert!(
            down.is_empty(),
            "{} of {count} checks of a {what} target are not up; the first: {}",
            down.len(),
            down[0]
        );
    }

    #[test]
    fn error_about_the_syn_behind_the_answer_is_not_the_next_targets() {
        namespaced!();
        assert_live_is_up_afterwards(|syn| vec![syn_ack(syn), Action::Send(syn.port_unreachable(syn.sequence))]);
    }

    #[test]
    fn error_about_what_would_follow_the_syn_is_not_the_next_targets() {
        namespaced!();
        assert_live_is_up_afterwards(|syn| {
            vec![syn_ack(syn), Action::Send(syn.port_unreachable(syn.sequence.wrapping_add(1)))]
        });
    }

    #[test]
    fn errors_in_a_row_behind_the_answer_are_not_the_next_targets() {
        namespaced!();
        assert_live_is_up_afterwards(|syn| {
            let late = |offset| Action::Send(syn.port_unreachable(syn.sequence.wrapping_add(offset)));
            let errors = (0..10).flat_map(|_| [late(0), late(1)]);
            std::iter::once(syn_ack(syn)).chain(errors).collect()
        });
    }

    #[test]
    fn peer_that_talks_at_once_is_up() {
        namespaced!();
        assert_live_is_up_afterwards(|syn| {
            let talk = |number: u32| {
                let payload = vec![b'x'; 100];
                send(Segment { payload, ..syn.answer(ACK, ISN + 1 + 100 * number) })
            };
            std::iter::once(syn_ack(syn)).chain((0..3).map(talk)).collect()
        });
    }

    #[test]
    fn peer_that_answers_twice_is_up() {
        namespaced!();
        assert_live_is_up_afterwards(|syn| vec![syn_ack(syn), syn_ack(syn)]);
    }

    #[test]
    fn peer_that_answers_twice_and_differently_is_up() {
        namespaced!();
        assert_live_is_up_afterwards(|syn| vec![syn_ack(syn), send(syn.answer(SYN | ACK, !ISN))]);
    }

    #[test]
    fn peer_that_answers_and_hangs_up_at_once_is_up() {
        namespaced!();
        assert_live_is_up_afterwards(|syn| vec![syn_ack(syn), send(syn.answer(RST | ACK, ISN + 1))]);
    }

    #[test]
    fn dead_port_is_refused_after_a_hostile_peer() {
        namespaced!();
        let _peer = peer(|syn| vec![syn_ack(syn), Action::Send(syn.port_unreachable(syn.sequence)), syn_ack(syn)]);
        let checker = checker(|config| config.set_max_in_flight(1).unwrap());
        for _ in 0..often(200) {
            assert_eq!(checker.check(&request(0, HOSTILE)).status, Status::Up);
            let dead = checker.check(&request(0, DEAD));
            assert_eq!((dead.status, dead.os_error), (Status::Refused, libc::ECONNREFUSED), "{dead}");
        }
    }
}

/// The RSTs of checks are lost, and nearly all checks have the same port: a SYN finds the half-open connection of the check
/// before it. New sockets give it an ISN in that one's window, which is reset then. The first check has its socket from
/// the callers', the other from the loop's.
mod half_open_connections_that_are_left {
    use super::*;

    /// A target of this port on a host whose checks send no RST.
    fn assert_up_twice(ip: IpAddr, port: u16) {
        // On a slow machine the other check comes when the window is over. Then the target does not answer that port.
        let has_early_syns = |config: &mut tcpshaker::Config| config.set_syn_interval(300).unwrap();
        let (listener, checker) = (Listener::on(ip, port), checker(has_early_syns));
        let request = with_timeout(PATIENCE_MS, listener.address());
        let verdicts = [checker.check(&request), checker.check_many(std::slice::from_ref(&request))[0]];
        assert_eq!(verdicts.map(|verdict| verdict.status), [Status::Up; 2], "{verdicts:?}");
    }

    fn assert_no_live_target_is_refused(ip: IpAddr) {
        sysctl("net/ipv4/ip_local_port_range", "40000 40003");
        firewall::add_counter("resets");
        let refusal = "tcp sport 8000-8199 tcp flags & (rst | ack) == rst | ack counter name resets";
        firewall::add(Hook::Output, &["tcp sport 40000-40003 tcp flags & rst == rst drop", refusal]);
        let is_reset_after = |ports: std::ops::Range<u16>| {
            let rounds = ports.len();
            ports.for_each(|port| assert_up_twice(ip, port));
            let resets = firewall::packets("resets");
            println!("{resets} SYNs were reset by the end of {rounds} rounds");
            resets > 0
        };
        let mut ports = (8000..8200).step_by(40).map(|first| first..first + 40);
        assert!(ports.any(is_reset_after), "this proves little");
    }

    #[test]
    fn refuse_no_live_target_on_ipv4() {
        needs_sockets!("its checks have ports of their own");
        only_where!(withholds_ack(), "no half-open connection is left");
        namespaced!("nft");
        assert_no_live_target_is_refused(V4);
    }

    #[test]
    fn refuse_no_live_target_on_ipv6() {
        needs_sockets!("its checks have ports of their own");
        only_where!(withholds_ack(), "no half-open connection is left");
        namespaced!("nft");
        assert_no_live_target_is_refused(V6);
    }
}
