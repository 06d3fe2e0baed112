//! A check that begins on a caller's thread.
//!
//! A target on this machine has answered by the time connect returns: waking the loop's thread, and being woken by it,
//! would cost several times the check.

use std::net::SocketAddr;

use super::handshake::reuses_socket;
use super::meeting;
use super::observation::Observation;
use super::opener::Opener;
use super::peer::is_v6;
use super::spare::SpareSockets;
use super::tcp_socket::Socket;
use crate::check::close_mode::CloseMode;
use crate::engine::Conclusion;

/// How far a check got on its caller's thread.
pub(crate) enum InlineStart {
    Concluded {
        conclusion: Conclusion,
        /// The loop does not know yet that it has to sweep the spare sockets.
        tell_loop: bool,
    },
    /// No answer yet: the loop goes on with this socket.
    Waiting(Socket),
    /// Nothing was sent, and the loop knows better what to do about it.
    NotStarted,
}

pub(crate) fn start(
    opener: &Opener,
    spare: &SpareSockets,
    target: &SocketAddr,
    close_mode: CloseMode,
    mark: u32,
    syn_at: u64,
) -> InlineStart {
    let v6 = is_v6(target);
    let spare_one = if reuses_socket(close_mode) { spare.take(v6) } else { None };
    let marked = spare_one.and_then(|mut socket| socket.set_mark(mark).is_ok().then_some(socket));
    let opened = || opener.open(v6, close_mode, mark).ok();
    let Some(mut socket) = marked.or_else(opened) else {
        // The loop knows whether it is worth waiting for a descriptor, and is at home where this thread may not be.
        return InlineStart::NotStarted;
    };
    let mut observation = connect(&mut socket, target, syn_at);
    if socket.is_to_blame(&observation) {
        if socket.may_be_stale() {
            spare.close_all(); // they are bound to the same interface number
        }
        match opener.open_like(&socket) {
            Ok(fresh) => socket = fresh,
            Err(_) => return InlineStart::NotStarted,
        }
        observation = connect(&mut socket, target, syn_at);
    }
    let ended = loop {
        if let Observation::Nothing { .. } = observation {
            socket.is_left_waiting();
            return InlineStart::Waiting(socket);
        }
        if meeting::is_in_doubt(opener, &socket, &observation, target) {
            if !opener.home().is_here() {
                return InlineStart::NotStarted; // a stranger would ask from another namespace
            }
            observation = meeting::told_by_a_stranger(opener, &socket, observation, target);
        }
        let mut ended = socket.conclude(observation, target, syn_at);
        opener.doubt(&mut ended.verdict);
        if !opener.must_ask_again(&socket, &ended, target) {
            break ended;
        }
        match opener.open_like(&socket) {
            Ok(fresh) => socket = fresh,
            Err(_) => break ended,
        }
        socket.asks_again();
        observation = connect(&mut socket, target, syn_at);
    };
    let tell_loop = if ended.clean { spare.keep(socket) } else { false };
    if opener.is_short_of_descriptors() {
        spare.close_all();
    }
    let conclusion = Conclusion { verdict: ended.verdict, at: ended.at, closed: true };
    InlineStart::Concluded { conclusion, tell_loop }
}

/// Sends the SYN, and looks at what has come back by then.
fn connect(socket: &mut Socket, target: &SocketAddr, syn_at: u64) -> Observation {
    match socket.connect(target) {
        Ok(()) => socket.look(target, syn_at),
        Err(observation) => observation,
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[cfg(not(feature = "forced-handshake"))]
mod tests {
    use super::*;
    use crate::engine::socket::connecting::Connecting;
    use crate::engine::wire::Wire;
    use crate::sys::clock;
    use crate::sys::netns::Home;
    use crate::test_targets::{listening, silent};

    #[test]
    fn a_caller_in_another_namespace_asks_no_stranger_there() {
        let (_listener, target) = listening();
        let Some(elsewhere) = Home::elsewhere() else { return };
        let opener = |home| Opener::at_home(Wire::default(), home);
        let mut other = Connecting::begin();
        other.waits();
        let begun = |opener: &Opener| {
            let spare = SpareSockets::new(1);
            let _ = spare.keep(Opener::new(Wire::default()).open(false, CloseMode::HALF_OPEN, 0).unwrap());
            start(opener, &spare, &target, CloseMode::HALF_OPEN, 0, clock::now())
        };
        // A busy host may be late.
        let concludes = |_| matches!(begun(&opener(Home::new())), InlineStart::Concluded { .. });
        assert!((0..50).any(concludes));
        assert!((0..50).all(|_| !matches!(begun(&opener(elsewhere)), InlineStart::Concluded { .. })));
    }

    #[test]
    fn a_check_without_an_answer_goes_on_in_the_loop() {
        let (_listener, _taken, target) = silent();
        let opener = Opener::new(Wire::default());
        let begun = start(&opener, &SpareSockets::new(1), &target, CloseMode::HALF_OPEN, 0, clock::now());
        assert!(matches!(begun, InlineStart::Waiting(_)));
    }
}
