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

#[cfg(test)]
#[cfg(target_os = "linux")]
#[cfg(not(feature = "forced-handshake"))]
mod tests {
    use super::*;
    use crate::check::close_mode::CloseMode;
    use crate::engine::socket::connecting::Connecting;
    use crate::engine::wire::Wire;
    use crate::test_targets::{listening, refusing, silent, silent_at};

    fn opener() -> Opener {
        Opener::new(Wire::default())
    }

    fn socket(opener: &Opener) -> Socket {
        opener.open(false, CloseMode::HALF_OPEN, 0).unwrap()
    }

    fn answer(syn_retransmits: u32) -> Answer {
        Answer { rtt_us: 1, syn_retransmits, acked: false, met_a_check: false, met_a_syn: false }
    }

    /// Whether it was a check that answered; or the errno of what is no verdict.
    fn told(target: &SocketAddr) -> Result<bool, i32> {
        let opener = opener();
        match told_by_a_stranger(&opener, &socket(&opener), Observation::Answered(answer(1)), target) {
            Observation::Answered(answer) => Ok(answer.met_a_check),
            Observation::Fault { errno } => Err(errno),
            _ => unreachable!("an answer stays one"),
        }
    }

    #[test]
    fn a_port_that_refuses_a_stranger_has_no_listener() {
        let ((_listener, live), (_bound, dead)) = (listening(), refusing());
        assert_eq!((told(&live), told(&dead)), (Ok(false), Ok(true)));
    }

    #[test]
    fn who_answers_no_stranger_may_be_a_check_where_checks_have_such_ports() {
        let (_listener, _taken, silent) = silent();
        assert_eq!(told(&silent), Err(EADDRINUSE));
        let opener = opener();
        let mut others = (2_000..u16::MAX).rev().filter(|port| !opener.is_ephemeral(*port));
        let Some((_listener, _taken, silent)) = others.find_map(|port| silent_at(port).ok()) else { return };
        assert_eq!(told(&silent), Ok(false), "no check has that port");
    }

    #[test]
    fn an_answer_is_in_doubt_here_after_a_lost_syn_or_while_another_check_waits() {
        let opener = opener();
        let mut socket = socket(&opener);
        let ((_listener, here), elsewhere) = (listening(), "192.0.2.8:40000".parse().unwrap());
        let in_doubt = |socket: &Socket, syn_retransmits, target: &SocketAddr| {
            is_in_doubt(&opener, socket, &Observation::Answered(answer(syn_retransmits)), target)
        };
        assert!(opener.is_ephemeral(here.port()));
        assert!(in_doubt(&socket, 1, &here) && !in_doubt(&socket, 1, &elsewhere));
        assert!(!in_doubt(&socket, 0, &here), "no SYN waits there for an answer");
        let mut other = Connecting::begin();
        other.waits();
        socket.connect(&here).unwrap_or_else(|_| panic!("it is sent"));
        assert!(in_doubt(&socket, 0, &here));
        let port = (1..u16::MAX).find(|port| !opener.is_ephemeral(*port));
        assert!(port.is_none_or(|port| !in_doubt(&socket, 0, &(here.ip(), port).into())), "no check has that port");
        assert!(!is_in_doubt(&opener, &socket, &Observation::Nothing { syn_retransmits: 1 }, &here));
    }
}
