//! A peer that does anything at random: right answers among forged, damaged, doubled and late ones, errors, data and
//! noise. Whatever it does, each verdict is the one that its first right answer led to, and the next target's is its own.
//!
//! Every run prints its seed, and `HOSTILE_SEED=n` makes the same decisions again. With `FULL_SIZE=1` it takes a minute
//! for each kind of checker, instead of seconds.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::dice::{Dice, seed};
use support::lists::{PORT, tagged, with_timeout};
use support::monitors::of_kind;
use support::peer::{ACK, Action, FIN, Peer, RST, SYN, Segment, ip_packet};
use support::sized::sized;
use support::targets::{DEAD_PORT, Listener, V4, at};
use tcpshaker::{Checker, EngineKind, Request, Status, Verdict};

/// What the peer is, by port.
const LIAR: u16 = 80;
const LIVE: u16 = 81;
const DEAD: u16 = 82;

/// Ample where an answer is certain to come.
const PATIENCE_MS: u32 = 30_000;
/// Short, where none will come.
const IMPATIENCE_MS: u32 = 60;

fn send(segment: Segment) -> Action {
    Action::Send(segment.packet())
}

/// A segment that answers this SYN about as it should, but for the number that it acknowledges, or for an address or a
/// port: it answers nothing.
fn forged(syn: &Segment, dice: &mut Dice) -> Segment {
    let any = dice.below(64) as u8;
    let flags = dice.one_of(&[SYN | ACK, RST | ACK, ACK, FIN | ACK, any]) | ACK;
    let good = syn.answer(flags, dice.next() as u32);
    let other =
        |end: SocketAddrV4, bit: u32| SocketAddrV4::new(Ipv4Addr::from_bits(end.ip().to_bits() ^ bit), end.port());
    match dice.below(4) {
        // Nor what follows the number: of a socket that has sent its SYN, an error about that counts (tcp_v4_err).
        0 => Segment { acknowledged: good.acknowledged.wrapping_add(2 + dice.next() as u32 % (u32::MAX - 8)), ..good },
        1 => Segment { source: other(good.source, 1 << dice.below(6)), ..good },
        2 => Segment { source: SocketAddrV4::new(*good.source.ip(), 90 + dice.below(1000) as u16), ..good },
        _ => {
            let port = good.destination.port() ^ (1 << dice.below(12));
            Segment { destination: SocketAddrV4::new(*good.destination.ip(), port), ..good }
        }
    }
}

/// Bytes that are no segment, or the right answer without its end, or damaged. The raw engine is shown what is damaged
/// all the same: a raw socket has it before the kernel sums it up.
fn noise(syn: &Segment, dice: &mut Dice, may_damage: bool) -> Action {
    let (from, to) = (*syn.destination.ip(), *syn.source.ip());
    let length = dice.below(80);
    let mut content: Vec<u8> = (0..length).map(|_| dice.next() as u8).collect();
    if dice.one_in(2) {
        content = syn.answer(SYN | ACK, 7).packet()[20..].to_vec();
        let place = dice.below(content.len());
        match may_damage && dice.one_in(2) {
            true => content[place] ^= 1 << dice.below(8), // its checksum is wrong now
            false => content.truncate(place),
        }
    }
    Action::Send(ip_packet(from, to, dice.one_of(&[6, 6, 1]), &content))
}

/// An error about a segment with another number than the SYN's, or from another port.
fn error_about_another(syn: &Segment, dice: &mut Dice) -> Action {
    let code = dice.below(16) as u8;
    if dice.one_in(2) {
        return Action::Send(syn.unreachable(code, syn.sequence.wrapping_add(2 + dice.next() as u32 % (u32::MAX - 8))));
    }
    let source = SocketAddrV4::new(*syn.source.ip(), syn.source.port() ^ (1 << dice.below(12)));
    Action::Send(Segment { source, ..syn.clone() }.unreachable(code, syn.sequence))
}

fn lie(syn: &Segment, dice: &mut Dice, may_damage: bool) -> Action {
    match dice.below(4) {
        0 | 1 => send(forged(syn, dice)),
        2 => noise(syn, dice, may_damage),
        _ => error_about_another(syn, dice),
    }
}

/// Anything at all, right answers included: none is heard any more behind the first.
fn anything(syn: &Segment, dice: &mut Dice, may_damage: bool) -> Action {
    let number = dice.next() as u32;
    match dice.below(8) {
        0 => send(syn.answer(SYN | ACK, number)),
        1 => send(syn.answer(RST | ACK, number)),
        2 => send(Segment { payload: vec![7; dice.below(900)], ..syn.answer(ACK, number) }),
        3 => send(syn.answer(FIN | ACK, number)),
        4 => Action::Send(syn.unreachable(dice.below(16) as u8, syn.sequence.wrapping_add(dice.below(2) as u32))),
        5 => Action::Pause(Duration::from_micros(dice.below(300) as u64)),
        _ => lie(syn, dice, may_damage),
    }
}

/// What the peer does with a SYN, by the port that it is sent to.
fn habit(syn: &Segment, dice: &mut Dice, may_damage: bool) -> Vec<Action> {
    let mut actions: Vec<Action> = (0..dice.below(5)).map(|_| lie(syn, dice, may_damage)).collect();
    match syn.destination.port() {
        LIVE => actions.push(send(syn.answer(SYN | ACK, dice.next() as u32))),
        DEAD => actions.push(send(syn.answer(RST | ACK, 0))),
        _ => return actions,
    }
    actions.extend((0..dice.below(6)).map(|_| anything(syn, dice, may_damage)).collect::<Vec<_>>());
    actions
}

fn truth(port: u16) -> Status {
    match port {
        LIVE | PORT => Status::Up,
        DEAD | DEAD_PORT => Status::Refused,
        _ => Status::TimedOut,
    }
}

/// One of the peer's ports, or of this host's, which nobody disturbs.
fn request(dice: &mut Dice, tag: usize) -> (Request, u16) {
    let port = dice.one_of(&[LIAR, LIVE, LIVE, DEAD, DEAD, PORT, DEAD_PORT]);
    let target = if port == PORT || port == DEAD_PORT { at(V4, port) } else { Peer::at(port) };
    let timeout = if port == LIAR { IMPATIENCE_MS } else { PATIENCE_MS };
    (tagged(tag, with_timeout(timeout, target)), port)
}

/// Checks for so long, alone and in lists. Returns how many checks there were.
fn check(checker: &Checker, dice: &mut Dice, time: Duration) -> usize {
    let (begun, mut checks, mut wrong) = (Instant::now(), 0, Vec::new());
    let mut judge = |port: u16, verdict: &Verdict| {
        // Of a liar nothing may be learned: its time may be over before its turn, or it may look like an older connection.
        let is_no_verdict = port == LIAR && !verdict.status.is_verdict();
        if verdict.status != truth(port) && !is_no_verdict {
            println!("port {port}: {verdict:?}");
            wrong.push(*verdict);
        }
    };
    while begun.elapsed() < time {
        let (requests, ports): (Vec<Request>, Vec<u16>) = (0..100).map(|tag| request(dice, tag)).unzip();
        for (verdict, &port) in checker.check_many(&requests).iter().zip(&ports) {
            judge(port, verdict);
        }
        for (request, &port) in requests.iter().zip(&ports).take(5) {
            judge(port, &checker.check(request));
        }
        checks += 105;
    }
    assert!(wrong.is_empty(), "{} of {checks}; the first: {:?}", wrong.len(), wrong[0]);
    checks
}

fn withstand(engine: EngineKind, caller_driven: bool) {
    let seed = seed("HOSTILE_SEED");
    let segments = Arc::new(AtomicUsize::new(0));
    let (sent, dice) = (segments.clone(), RefCell::new(Dice::new(seed)));
    let _peer = Peer::start(move |segment| {
        if segment.flags & SYN == 0 {
            return Vec::new();
        }
        let actions = habit(segment, &mut dice.borrow_mut(), engine == EngineKind::Socket);
        sent.fetch_add(actions.len(), Ordering::Relaxed);
        actions
    });
    let _listener = Listener::on(V4, PORT);
    let checker = of_kind(engine, caller_driven, |_| ());
    let checks = check(&checker, &mut Dice::new(!seed), Duration::from_secs(sized(2, 60) as u64));
    println!("{checks} checks, {} segments from the peer", segments.load(Ordering::Relaxed));
}

mod peer_that_does_anything_at_random {
    use super::*;

    #[test]
    fn changes_no_verdict_on_sockets() {
        only_where!(support::handshake::is_at_its_best(), "its ordinary handshake ends as the peer likes");
        namespaced!();
        withstand(EngineKind::Socket, false);
    }

    #[test]
    fn changes_no_verdict_on_sockets_that_callers_drive() {
        only_where!(support::handshake::is_at_its_best(), "its ordinary handshake ends as the peer likes");
        namespaced!();
        withstand(EngineKind::Socket, true);
    }

    #[test]
    fn changes_no_verdict_on_the_raw_engine() {
        namespaced!();
        withstand(EngineKind::Raw, false);
    }

    #[test]
    fn changes_no_verdict_on_the_raw_engine_that_callers_drive() {
        namespaced!();
        withstand(EngineKind::Raw, true);
    }
}
