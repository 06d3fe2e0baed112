//! Answers that nobody gave, and firewalls that swallow some: the engine that makes its own segments believes none of the
//! first, and does not hang on the second.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::engine::{REFUSED, SILENT, UP, every_way, raw, said, with_sockets};
use support::firewall::{self, Hook};
use support::lists::{PORT, SILENT_PORT, listen_everywhere, nth, silence, tally, with_timeout};
use support::peer::{ACK, Action, FIN, Forger, Peer, RST, SYN, Segment, forge_on_loopback, ip_packet};
use support::process::until;
use support::targets::{DEAD_PORT, V4, V6, at};
use tcpshaker::{Request, Status, Verdict};

/// Short, where no answer will come.
const IMPATIENCE_MS: u32 = 400;

const ISN: u32 = 0x1234_5678;

/// Every way to check the peer ends so, whatever it sends.
#[track_caller]
fn assert_peer(expected: (Status, i32), habit: impl Fn(&Segment) -> Vec<Action> + Send + 'static) {
    let _peer = Peer::start(move |segment| if segment.flags == SYN { habit(segment) } else { Vec::new() });
    let checker = raw(|config| config.set_syn_interval(100).unwrap());
    let timeout = if expected == SILENT { IMPATIENCE_MS } else { 30_000 };
    for verdict in every_way(&checker, &with_timeout(timeout, Peer::at(80))) {
        assert_eq!(said(&verdict), expected, "{verdict:?}");
    }
}

fn send(segment: Segment) -> Action {
    Action::Send(segment.packet())
}

/// Segments that are no answer to this SYN, though each looks a little like one.
fn forgeries(syn: &Segment) -> Vec<Segment> {
    let up = syn.answer(SYN | ACK, ISN);
    let refused = syn.answer(RST | ACK, 0);
    let other =
        |address: SocketAddrV4| SocketAddrV4::new(Ipv4Addr::from_bits(address.ip().to_bits() ^ 0x100), address.port());
    let mut all = Vec::new();
    for good in [up, refused] {
        for off in [-1i32, 1, 2, 64, 1 << 16, i32::MIN] {
            all.push(Segment { acknowledged: good.acknowledged.wrapping_add_signed(off), ..good.clone() });
        }
        all.push(Segment { acknowledged: 0, ..good.clone() });
        all.push(Segment { acknowledged: !good.acknowledged, ..good.clone() });
        let source = SocketAddrV4::new(*good.source.ip(), good.source.port() ^ 1);
        all.push(Segment { source, ..good.clone() });
        all.push(Segment { source: other(good.source), ..good.clone() });
        for port in [good.destination.port() ^ 1, good.destination.port() ^ 32, good.destination.port() ^ 2048] {
            all.push(Segment { destination: SocketAddrV4::new(*good.destination.ip(), port), ..good.clone() });
        }
    }
    // What acknowledges nothing, or says neither yes nor no.
    let acknowledged = syn.sequence.wrapping_add(1);
    for flags in [RST, SYN, FIN, 0] {
        all.push(Segment { acknowledged, ..syn.answer(flags, syn.sequence) });
    }
    all.push(syn.answer(FIN | ACK, ISN));
    all
}

mod no_answer {
    use super::*;

    #[test]
    fn is_one_that_was_forged_with_another_number_address_or_port() {
        namespaced!();
        assert_peer(SILENT, |syn| forgeries(syn).into_iter().map(send).collect());
    }

    #[test]
    fn is_one_that_is_cut_off_or_damaged() {
        namespaced!();
        assert_peer(SILENT, |syn| {
            let whole = syn.answer(SYN | ACK, ISN).packet();
            let (from, to) = (*syn.destination.ip(), *syn.source.ip());
            let cut = (0..20).map(|length| ip_packet(from, to, 6, &whole[20..20 + length]));
            // A header that says it is shorter than the shortest, or longer than what came.
            let offset = [0x00, 0x40, 0x60, 0xf0].map(|offset| {
                let mut tcp = whole[20..].to_vec();
                tcp[12] = offset;
                ip_packet(from, to, 6, &tcp)
            });
            cut.chain(offset).map(Action::Send).collect()
        });
    }

    #[test]
    fn is_one_of_which_a_bit_is_wrong() {
        namespaced!();
        assert_peer(SILENT, |syn| {
            let whole = [syn.answer(SYN | ACK, ISN).packet(), syn.answer(RST | ACK, 0).packet()];
            let one_wrong = |packet: &Vec<u8>, bit: usize| {
                let mut packet = packet.clone();
                packet[bit / 8] ^= 1 << (bit % 8);
                Action::Send(packet)
            };
            // Behind the IP header, whose own checksum the kernel looks at. The checksum itself is left: by a bit it may be
            // that of a segment which was never on a wire, and what the segment says is right then.
            let says_something = |bit: &usize| !(36..38).contains(&(bit / 8));
            let bits = |packet: &Vec<u8>| (20 * 8..packet.len() * 8).filter(says_something);
            whole.iter().flat_map(|packet| bits(packet).map(|bit| one_wrong(packet, bit))).collect()
        });
    }

    #[test]
    fn is_an_error_about_another_segment() {
        namespaced!();
        assert_peer(SILENT, |syn| {
            let numbers = [1u32, u32::MAX, 1 << 31, 64].map(|off| syn.sequence.wrapping_add(off));
            let by_number = numbers.into_iter().flat_map(|number| (0..16).map(move |code| (code, number)));
            let mut packets: Vec<Vec<u8>> = by_number.map(|(code, number)| syn.unreachable(code, number)).collect();
            let moved = |port: u16| SocketAddrV4::new(*syn.source.ip(), port);
            let other_port = Segment { source: moved(syn.source.port() ^ 1), ..syn.clone() };
            packets.push(other_port.unreachable(1, syn.sequence));
            let target = SocketAddrV4::new(*syn.destination.ip(), syn.destination.port() ^ 1);
            packets.push(Segment { destination: target, ..syn.clone() }.unreachable(1, syn.sequence));
            packets.into_iter().map(Action::Send).collect()
        });
    }

    #[test]
    fn is_one_to_the_check_before() {
        namespaced!();
        // The answers of each SYN come with the next one, late and twice.
        let last = std::cell::RefCell::new(None::<Segment>);
        let _peer = Peer::start(move |segment| match segment.flags {
            SYN => match last.replace(Some(segment.clone())) {
                Some(last) if last.destination.port() == 80 => vec![
                    send(last.answer(SYN | ACK, ISN)),
                    send(last.answer(SYN | ACK, ISN)),
                    send(last.answer(RST | ACK, 0)),
                ],
                _ => Vec::new(),
            },
            _ => Vec::new(),
        });
        let checker = raw(|config| config.set_syn_interval(0).unwrap());
        for _ in 0..10 {
            let verdict = checker.check(&with_timeout(50, Peer::at(80)));
            assert_eq!(said(&verdict), SILENT, "{verdict:?}");
        }
        let verdicts = checker.check_many(&vec![with_timeout(50, Peer::at(81)); 50]);
        assert!(verdicts.iter().all(|verdict| said(verdict) == SILENT), "{:?}", tally(&verdicts));
    }

    #[test]
    fn makes_ten_thousand_silent_targets_up_or_refused_while_several_are_forged_for_each() {
        namespaced!(alone, "nft");
        const SILENT_ONES: usize = 10_000;
        silence(SILENT_PORT);
        let _listener = listen_everywhere();
        let forged = Arc::new(AtomicUsize::new(0));
        forge_on_loopback({
            let forged = forged.clone();
            move |segment| {
                if segment.flags != SYN || segment.destination.port() != SILENT_PORT {
                    return Vec::new();
                }
                let mut packets: Vec<Vec<u8>> = forgeries(segment).iter().map(Segment::packet).collect();
                packets.push(segment.unreachable(1, segment.sequence.wrapping_add(1)));
                forged.fetch_add(packets.len(), Ordering::Relaxed);
                packets
            }
        });
        let checker = raw(|config| config.set_max_in_flight(20_000).unwrap());
        let over = AtomicBool::new(false);
        let (silent, live) = std::thread::scope(|scope| {
            let live = scope.spawn(|| {
                let mut verdicts = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    verdicts.extend(checker.check_many(&vec![Request::new(at(V4, PORT)); 100]));
                    verdicts.push(checker.check(&Request::new(at(nth(verdicts.len()), PORT))));
                    std::thread::sleep(Duration::from_millis(20));
                }
                verdicts
            });
            let silent: Vec<Request> =
                (0..SILENT_ONES).map(|number| with_timeout(5_000, at(nth(number), SILENT_PORT))).collect();
            let verdicts = checker.check_many(&silent);
            over.store(true, Ordering::Relaxed);
            (verdicts, live.join().expect("the live ones"))
        });
        let forged = forged.load(Ordering::Relaxed);
        println!("{forged} forged; silent {:?}, live {:?}", tally(&silent), tally(&live));
        // A host that is so busy may have dropped an answer, for all it knows.
        let wrong = silent.iter().filter(|verdict| ![Status::TimedOut, Status::LocalFault].contains(&verdict.status));
        assert_eq!(wrong.count(), 0, "{:?}", tally(&silent));
        assert!(live.iter().all(|verdict| said(verdict) == UP), "{:?}", tally(&live));
        assert!(forged > 2 * SILENT_ONES, "only {forged} were forged");
    }

    #[test]
    fn is_among_a_flood_to_every_port() {
        namespaced!(alone, "nft");
        silence(SILENT_PORT);
        let _listener = listen_everywhere();
        let checker = raw(|_| ());
        let over = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicUsize::new(0));
        let flood = std::thread::spawn({
            let (over, sent) = (over.clone(), sent.clone());
            move || {
                let forger = Forger::new();
                let target =
                    |number: u32| SocketAddrV4::new(Ipv4Addr::from_bits(0x7f01_0000 + number % 64), SILENT_PORT);
                let mut number = 0u32;
                while !over.load(Ordering::Relaxed) {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let destination = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1_024 + (number >> 8) as u16 % 64_000);
                    let syn = Segment {
                        source: destination,
                        destination: target(number >> 3),
                        sequence: number,
                        acknowledged: 0,
                        flags: SYN,
                        window: 0,
                        options: Vec::new(),
                        payload: Vec::new(),
                    };
                    let flags = if number.is_multiple_of(2) { SYN | ACK } else { RST | ACK };
                    forger.send(&syn.answer(flags, ISN).packet());
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        until("it flows", || sent.load(Ordering::Relaxed) > 1_000);
        let silent: Vec<Request> =
            (0..2_000).map(|number| with_timeout(3_000, at(nth(number % 64), SILENT_PORT))).collect();
        let live: Vec<Request> = (0..20_000).map(|number| Request::new(at(nth(number), PORT))).collect();
        let (silent, live) = std::thread::scope(|scope| {
            let silent = scope.spawn(|| checker.check_many(&silent));
            let live = checker.check_many(&live);
            (silent.join().expect("the silent ones"), live)
        });
        over.store(true, Ordering::Relaxed);
        flood.join().expect("the flood");
        println!("{} sent; silent {:?}, live {:?}", sent.load(Ordering::Relaxed), tally(&silent), tally(&live));
        let wrong = silent.iter().filter(|verdict| ![Status::TimedOut, Status::LocalFault].contains(&verdict.status));
        assert_eq!(wrong.count(), 0, "{:?}", tally(&silent));
        assert!(live.iter().all(|verdict| said(verdict) == UP), "{:?}", tally(&live));
    }
}

mod an_answer {
    use super::*;

    #[test]
    fn counts_once_and_first() {
        namespaced!();
        assert_peer(UP, |syn| {
            let mut actions: Vec<Action> = forgeries(syn).into_iter().map(send).collect();
            actions.push(send(syn.answer(SYN | ACK, ISN)));
            actions.push(send(syn.answer(SYN | ACK, !ISN)));
            actions.push(send(syn.answer(RST | ACK, 0)));
            actions.push(Action::Send(syn.unreachable(1, syn.sequence)));
            actions
        });
    }

    #[test]
    fn that_refuses_counts_once_and_first() {
        namespaced!();
        assert_peer(REFUSED, |syn| vec![send(syn.answer(RST | ACK, 0)), send(syn.answer(SYN | ACK, ISN))]);
    }

    /// A half-open connection that is left of an older check resets a SYN whose number lies in its window.
    #[test]
    fn that_refuses_where_one_was_up_a_moment_ago_counts_when_another_port_is_refused_too() {
        namespaced!();
        let [syns, later] = [0, 0].map(AtomicUsize::new);
        let _peer = Peer::start(move |segment| match (segment.flags, segment.destination.port()) {
            (SYN, 80) if syns.fetch_add(1, Ordering::Relaxed) % 2 == 1 => vec![send(segment.answer(RST | ACK, 0))],
            (SYN, 81) if later.fetch_add(1, Ordering::Relaxed) > 0 => vec![send(segment.answer(RST | ACK, 0)); 2],
            (SYN, _) => vec![send(segment.answer(SYN | ACK, ISN))],
            _ => Vec::new(),
        });
        let checker = raw(|config| config.set_syn_interval(0).unwrap());
        let check = |port| checker.check(&with_timeout(30_000, Peer::at(port)));
        let verdicts: Vec<Verdict> = (0..9).map(|_| check(80)).collect();
        assert!(verdicts.iter().all(|verdict| said(verdict) == UP), "{:?}", tally(&verdicts));
        let asked_again = verdicts.iter().map(|verdict| verdict.syn_retransmits).collect::<Vec<_>>();
        assert_eq!(asked_again, [0, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(said(&check(81)), UP);
        let verdicts = [check(81), check(81), check(81)];
        assert!(verdicts.iter().all(|verdict| said(verdict) == REFUSED), "{:?}", tally(&verdicts));
        assert_eq!(verdicts.map(|verdict| verdict.syn_retransmits), [1, 0, 0], "it is certain from the second on");
    }

    #[test]
    fn may_have_options_and_data_and_flags_of_congestion() {
        namespaced!();
        const ECE: u8 = 64;
        const CWR: u8 = 128;
        assert_peer(UP, |syn| {
            let options = vec![2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 1, 1];
            vec![send(Segment { options, payload: vec![7; 600], ..syn.answer(SYN | ACK | ECE | CWR, ISN) })]
        });
    }

    /// The kernel knows of no connection, so nothing that comes behind an answer finds one to acknowledge.
    #[test]
    fn that_comes_twice_or_with_data_behind_it_draws_no_ack() {
        namespaced!();
        let acks = Arc::new(AtomicUsize::new(0));
        let count = acks.clone();
        let _peer = Peer::start(move |segment| {
            count.fetch_add(usize::from(segment.flags & (ACK | RST) == ACK), Ordering::Relaxed);
            match segment.flags {
                SYN => {
                    let data = Segment { payload: vec![b'x'; 100], ..segment.answer(ACK, ISN + 1) };
                    vec![send(segment.answer(SYN | ACK, ISN)), send(segment.answer(SYN | ACK, ISN)), send(data)]
                }
                _ => Vec::new(),
            }
        });
        let checker = raw(|_| ());
        let verdicts = checker.check_many(&vec![with_timeout(30_000, Peer::at(80)); 5_000]);
        assert!(verdicts.iter().all(|verdict| said(verdict) == UP && verdict.half_open), "{:?}", tally(&verdicts));
        std::thread::sleep(Duration::from_millis(300)); // for an ACK that the kernel might withhold
        assert_eq!(acks.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn may_come_with_options_of_ip() {
        namespaced!();
        assert_peer(UP, |syn| {
            // As many words of "no operation" as a header has room for; the checksum is the kernel's to judge.
            let plain = syn.answer(SYN | ACK, ISN).packet();
            let mut packet = plain[..20].to_vec();
            packet[0] = 0x4f;
            packet[2..4].copy_from_slice(&(plain.len() as u16 + 40).to_be_bytes());
            packet[10..12].fill(0);
            packet.extend([1; 40]);
            let sum = support::peer::checksum(&packet);
            packet[10..12].copy_from_slice(&sum);
            packet.extend(&plain[20..]);
            vec![Action::Send(packet)]
        });
    }

    /// A peer that acknowledges a number which nobody sent has an old connection, and gets the SYN once more. One that
    /// does so for ever must not be asked for ever.
    #[test]
    fn that_acknowledges_an_old_number_draws_no_more_than_a_few_syns() {
        namespaced!();
        let syns = Arc::new(AtomicUsize::new(0));
        let count = syns.clone();
        let _peer = Peer::start(move |segment| match segment.flags {
            SYN => {
                count.fetch_add(1, Ordering::Relaxed);
                let right = segment.sequence.wrapping_add(1);
                let acknowledged = [right, 0, ISN][usize::from(segment.destination.port() - 80)];
                vec![send(Segment { acknowledged, ..segment.answer(ACK, ISN) })]
            }
            _ => Vec::new(),
        });
        let checker = raw(|config| config.set_syn_interval(100).unwrap());
        for port in 80..83 {
            syns.store(0, Ordering::Relaxed);
            let verdict = checker.check(&with_timeout(IMPATIENCE_MS, Peer::at(port)));
            // Something is there and does not answer: that is no verdict.
            assert_eq!(said(&verdict), (Status::LocalFault, libc::EADDRINUSE), "{verdict:?}");
            let syns = syns.load(Ordering::Relaxed);
            assert!((1..=8).contains(&syns), "{syns} SYNs for one check");
        }
    }
}

/// A firewall of this host, and what both engines say of a target behind it.
mod a_firewall_of_this_host {
    use super::*;

    /// The verdicts of a raw checker, and of one with sockets, about the same target.
    fn both(port: u16) -> [Vec<Verdict>; 2] {
        [raw(|_| ()), with_sockets(|_| ())].map(|checker| {
            let begun = Instant::now();
            let verdicts = [V4, V6].map(|ip| every_way(&checker, &with_timeout(IMPATIENCE_MS, at(ip, port)))).concat();
            assert!(begun.elapsed() < Duration::from_secs(20), "it hangs: {:?}", begun.elapsed());
            println!("{:?}", tally(&verdicts));
            verdicts
        })
    }

    #[track_caller]
    fn assert_alike([own, sockets]: [Vec<Verdict>; 2], expected: (Status, i32)) {
        for (own, by_socket) in own.iter().zip(&sockets) {
            assert_eq!((said(own), said(by_socket)), (expected, expected), "{own}; {by_socket}");
        }
    }

    #[test]
    fn that_drops_the_answers_makes_targets_silent() {
        namespaced!("nft");
        let _listeners = [listen_everywhere(), support::targets::Listener::on(V6, PORT)];
        firewall::add(Hook::Input, &[&format!("tcp sport {{ {PORT}, {DEAD_PORT} }} drop")]);
        assert_alike(both(PORT), SILENT);
        assert_alike(both(DEAD_PORT), SILENT);
    }

    #[test]
    fn that_drops_the_syns_makes_no_target_up_or_refused() {
        namespaced!("nft");
        let _listeners = [listen_everywhere(), support::targets::Listener::on(V6, PORT)];
        firewall::add(Hook::Output, &[&format!("tcp dport {{ {PORT}, {DEAD_PORT} }} drop")]);
        for port in [PORT, DEAD_PORT] {
            let [own, sockets] = both(port);
            for (own, by_socket) in own.iter().zip(&sockets) {
                println!("{own}; {by_socket}");
                // The kernel tells of it only whoever sends the segment, so that more can be said than of a socket's.
                let allowed = [said(by_socket), (Status::LocalFault, libc::EPERM)];
                assert!(allowed.contains(&said(own)), "{own}; {by_socket}");
            }
        }
    }

    #[test]
    fn that_rejects_the_syns_is_what_it_is_to_a_socket() {
        namespaced!("nft");
        let _listeners = [listen_everywhere(), support::targets::Listener::on(V6, PORT)];
        for kind in ["tcp reset", "icmpx type admin-prohibited", "icmpx type port-unreachable"] {
            firewall::open();
            firewall::add(Hook::Output, &[&format!("tcp dport {PORT} reject with {kind}")]);
            let [own, sockets] = both(PORT);
            for (own, by_socket) in own.iter().zip(&sockets) {
                assert_eq!(said(own).0, said(by_socket).0, "reject with {kind}: {own}; {by_socket}");
            }
        }
    }

    #[test]
    fn that_drops_the_resets_leaves_live_targets_up_and_dead_ones_refused() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        firewall::add(Hook::Output, &[&format!("tcp dport {PORT} tcp flags & rst == rst drop")]);
        let checker = raw(|_| ());
        let targets = |port: u16| (0..2_000).map(move |number| with_timeout(2_000, at(nth(number), port)));
        let verdicts = checker.check_many(&targets(DEAD_PORT).collect::<Vec<_>>());
        assert!(verdicts.iter().all(|verdict| said(verdict) == REFUSED), "{:?}", tally(&verdicts));
        // Each pair of ports is half open there until the target gives up. As long as there are pairs, it is up.
        let verdicts: Vec<Verdict> = (0..64).map(|_| checker.check(&with_timeout(2_000, at(V4, PORT)))).collect();
        assert!(verdicts.iter().all(|verdict| said(verdict) == UP), "{:?}", tally(&verdicts));
        // Beyond that nothing can be promised but an end, and that no live port is said to refuse.
        let verdicts = checker.check_many(&vec![with_timeout(1_000, at(V4, PORT)); 3_000]);
        println!("{:?}", tally(&verdicts));
        let allowed = [Status::Up, Status::TimedOut, Status::LocalFault];
        assert!(verdicts.iter().all(|verdict| allowed.contains(&verdict.status)), "{:?}", tally(&verdicts));
    }
}
