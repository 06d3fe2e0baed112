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
