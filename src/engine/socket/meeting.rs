//! Checks that meet each other: two sockets on this host that connect to each other's ports are connected (simultaneous
//! open, RFC 9293, section 3.5), and nobody listens. One that waits, since its SYN was lost, answers as a listener would.

use std::net::SocketAddr;

use super::handshake::withholds_ack;
use super::observation::{Answer, Observation};
use super::opener::Opener;
use super::tcp_socket::Socket;
use crate::check::verdict::Status;
use crate::sys::clock;
use crate::sys::os_error::EADDRINUSE;
use crate::sys::sockaddr::canonical;

/// How often a stranger asks: where checks meet, SYNs are lost, and those of strangers, too.
const ASKS: usize = 16;

/// What was found, once it is known whether it was a listener that answered.
pub(super) fn judged(opener: &Opener, socket: &Socket, found: Observation, target: &SocketAddr) -> Observation {
    if is_in_doubt(opener, socket, &found, target) { told_by_a_stranger(opener, socket, found, target) } else { found }
}

/// The same of an answer that is in doubt. If it cannot be known of a port that checks may have, it is no verdict.
pub(super) fn told_by_a_stranger(
    opener: &Opener,
    socket: &Socket,
    mut found: Observation,
    target: &SocketAddr,
) -> Observation {
    if let Observation::Answered(answer) | Observation::Closed(answer) = &mut found {
        match is_refused_to_a_stranger(opener, socket.mark(), target) {
            Some(is_refused) => answer.met_a_check |= is_refused,
            None if opener.is_ephemeral(target.port()) => return Observation::Fault { errno: EADDRINUSE },
            None => {}
        }
    }
    found
}

/// Whether a stranger has to ask whose answer it was.
pub(super) fn is_in_doubt(opener: &Opener, socket: &Socket, found: &Observation, target: &SocketAddr) -> bool {
    matches!(found, Observation::Answered(answer) | Observation::Closed(answer)
        if may_have_met_a_check(opener, socket, answer, target))
}

/// Whether the answer may be that of another check on this host, whose socket took the SYN for one that crossed its own.
/// No SYN waits here for its answer unless one was lost: this one's, or that of another check in flight, whose port is
/// one that the kernel gives to sockets.
fn may_have_met_a_check(opener: &Opener, socket: &Socket, answer: &Answer, target: &SocketAddr) -> bool {
    let another_may_wait = || withholds_ack() && socket.has_others() && opener.is_ephemeral(target.port());
    (answer.syn_retransmits > 0 || another_may_wait()) && socket.stays_here(target, opener.home())
}

/// Whether a port of this host refuses a SYN from a port that no check asks about, so that nobody but a listener would
/// answer. `None` if it answers to nobody.
fn is_refused_to_a_stranger(opener: &Opener, mark: u32, target: &SocketAddr) -> Option<bool> {
    let target = canonical(target);
    let now = clock::now();
    // Numbers that differ much, and begin anywhere.
    let ports = || (0..1000).map(|number: u64| 1024 + ((now / 1000 + number * 7_919) % 64_512) as u16);
    let strangers = ports().filter(|port| !opener.is_ephemeral(*port)).chain(ports());
    let mut answers = strangers.take(ASKS).filter_map(|port| {
        let mut stranger = target;
        stranger.set_port(port);
        let mut socket = opener.open_at(&stranger).ok()?;
        socket.set_mark(mark).ok()?;
        // On this host the answer is there by the time connect returns.
        let found = socket.connect(&target).map_or_else(|failed| failed, |()| socket.look(&target, now));
        match socket.conclude(found, &target, now).verdict.status {
            Status::Refused => Some(true),
            Status::Up => Some(false),
            _ => None,
        }
    });
    answers.next()
}
