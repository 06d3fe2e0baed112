//! Peers that do what they should not: answer with a SYN, answer twice, talk at once, or send an error after the
//! answer. None of it makes a dead target up, or a live one down.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::time::Duration;

use support::handshake::often;
use support::lists::{checker, tagged, with_timeout};
use support::peer::{ACK, Action, Peer, RST, SYN, Segment};
use tcpshaker::{Request, Status, Verdict};

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
        namespaced!();
        assert_not_up(|segment| match segment.flags {
            SYN => vec![send(segment.answer(SYN, ISN))],
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
