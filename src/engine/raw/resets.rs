//! RSTs of this library's own. The kernel resets whatever answers a SYN that it knows nothing of, but by the way that its
//! routes choose for this host: without the interface and the mark of a check (tcp_v4_send_reset in
//! net/ipv4/tcp_ipv4.c). Where that is another one, they may be lost, and would leave half-open connections behind.

use std::net::{IpAddr, SocketAddr};

use super::family::Family;
use super::in_flight::InFlight;
use super::receiving::Incoming;
use super::segment::{Answer, AnswerKind, reset_v4, reset_v6};
use super::sending::Outgoing;
use crate::engine::wire::Wire;

/// One that waits to leave, and the mark that it bears.
struct Reset {
    mark: u32,
    outgoing: Outgoing,
}

pub(super) struct Resets {
    /// All segments leave by an interface, or with a type of service.
    is_always_needed: bool,
    /// The mark of what belongs to no check any more.
    mark: u32,
    waiting: Vec<Reset>,
}

impl Resets {
    pub fn new(wire: &Wire) -> Resets {
        let is_always_needed = wire.interface.is_some() || wire.tos.is_some();
        Resets { is_always_needed, mark: wire.mark.unwrap_or(0), waiting: Vec::new() }
    }

    /// A segment came in: a connection that it tells of is to be reset, if the kernel may not reach it.
    pub fn note(&mut self, incoming: &Incoming<'_>, v6: bool, answer: &Answer, in_flight: &InFlight) {
        let mark = in_flight.mark_for(answer).unwrap_or(self.mark);
        if answer.kind == AnswerKind::Reset || !(self.is_always_needed || mark != 0) {
            return;
        }
        let Some(source) = incoming.destination(v6) else { return };
        let segment = match (source, answer.source) {
            (IpAddr::V4(source), IpAddr::V4(target)) => reset_v4(answer, source, target),
            _ => reset_v6(answer),
        };
        let to = incoming.sender(answer.source, answer.source_port);
        // Without memory it is lost, as any may be on its way.
        if self.waiting.try_reserve(1).is_ok() {
            let source = Some(SocketAddr::new(source, 0));
            self.waiting.push(Reset { mark, outgoing: Outgoing { segment, to, source } });
        }
    }

    /// Sends what waits. What cannot be sent now is lost: the target asks again, and its answer is reset then.
    pub fn send(&mut self, families: &mut [Option<Family>; 2]) {
        for Reset { mark, outgoing } in self.waiting.drain(..) {
            if let Some(family) = &mut families[usize::from(outgoing.to.is_ipv6())]
                && family.socket.set_mark(mark).is_ok()
            {
                let _ = family.socket.send(&[outgoing]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ports::Ports;
    use super::super::segment::parse_v4;
    use super::super::segment::tests::{bytes, of_linux};
    use super::*;

    /// What is left to be sent when a segment has come in to an engine with these settings, none of whose checks it is.
    fn left(wire: &Wire, packet: &str) -> Vec<Reset> {
        let mut resets = Resets::new(wire);
        let bytes = bytes(packet);
        let answer = parse_v4(&bytes).unwrap();
        resets.note(&Incoming::of_v4(&bytes), false, &answer, &InFlight::new(Ports::new(0, 4)));
        resets.waiting
    }

    #[test]
    fn what_the_kernel_may_not_reach_is_reset_as_its_check_was_sent() {
        let plain = Wire::default();
        let marked = Wire { mark: Some(7), ..plain.clone() };
        let bound = Wire { interface: Some(b"lo".as_slice().into()), ..plain.clone() };
        let with_tos = Wire { tos: Some(8), ..plain.clone() };
        assert!(left(&plain, of_linux::SYN_ACK_V4).is_empty(), "the kernel resets it");
        for (wire, mark) in [(marked, 7), (bound, 0), (with_tos, 0)] {
            assert!(left(&wire, of_linux::RST_V4).is_empty(), "there is nothing to reset");
            let resets = left(&wire, of_linux::SYN_ACK_V4);
            let [Reset { mark: of, outgoing }] = &resets[..] else { panic!("{} resets", resets.len()) };
            assert_eq!(*of, mark);
            assert_eq!((outgoing.to, outgoing.source), ("127.0.0.1:8081".parse().unwrap(), "127.0.0.1:0".parse().ok()));
            // With its checksum, which the kernel does not make for IPv4.
            let segment = &outgoing.segment.bytes[..outgoing.segment.len];
            assert_ne!(segment[16..18], [0, 0]);
            let packet = super::super::segment::tests::packet(0, std::net::Ipv4Addr::LOCALHOST, segment);
            let is_reset = parse_v4(&packet).map(|answer| (answer.kind, answer.port));
            assert!(!Incoming::of_v4(&packet).is_damaged(false));
            assert_eq!(is_reset, None, "it acknowledges nothing (RFC 9293, section 3.5.2)");
        }
    }
}
