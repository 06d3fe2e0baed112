//! Checks that meet each other: two sockets on this host that connect to each other's ports are connected (simultaneous
//! open, RFC 9293, section 3.5), and nobody listens.

use std::net::SocketAddr;

use super::opener::Opener;
use crate::check::verdict::Status;
use crate::sys::clock;
use crate::sys::sockaddr::canonical;

/// Whether a port of this host refuses a SYN from a port that no check asks about, so that nobody but a listener would
/// answer. If it cannot be found out, it does not.
pub(super) fn is_refused_to_a_stranger(opener: &Opener, mark: u32, target: &SocketAddr) -> bool {
    let now = clock::now();
    let target = canonical(target);
    let mut stranger = target;
    stranger.set_port(1024 + (now / 1000 % 64_512) as u16);
    let Ok(mut socket) = opener.open_at(&stranger) else { return false };
    if socket.set_mark(mark).is_err() {
        return false;
    }
    // On this host the answer is there by the time connect returns.
    let observation = socket.connect(&target).map_or_else(|failed| failed, |()| socket.look(&target, now));
    socket.conclude(observation, &target, now).verdict.status == Status::Refused
}
