//! The ordinary handshake, for systems that offer no way to withhold its last ACK: connect, then close with zero
//! linger, which sends RST instead of FIN. The server sees a connection that is reset at once.
//!
//! Nothing here is known of one system only: the state of a connecting socket is read as connect(2) of every system
//! says, by SO_ERROR and getpeername(2).

use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;

use super::observation::{Answer, Observation};
use super::options::expect_local_answer;
use super::peer::{met_itself, microseconds_since, take_error};
use crate::engine::errno::is_reset;
use crate::sys::os_error::{self, ENOTCONN, UNDER_WAY};
use crate::sys::sockaddr::canonical;

pub(crate) fn withholds_ack() -> bool {
    false
}

pub(crate) fn reuses() -> bool {
    false
}

pub(super) fn defer(_socket: &socket2::Socket) -> bool {
    false
}

pub(super) fn defer_once(_stream: &TcpStream) -> Result<(), i32> {
    Ok(())
}

pub(super) fn connect(stream: &TcpStream, target: &SocketAddr) -> Result<(), i32> {
    if target.ip().is_loopback() {
        expect_local_answer(stream);
    }
    match SockRef::from(stream).connect(&canonical(target).into()) {
        Ok(()) => Ok(()),
        Err(error) if os_error::of(&error) == UNDER_WAY => Ok(()),
        Err(error) => Err(os_error::of(&error)),
    }
}

pub(super) fn look(stream: &TcpStream, target: &SocketAddr, syn_at: u64) -> Result<Observation, i32> {
    // First, since an error on a connection that is there came after the answer.
    let Err(no_peer) = stream.peer_addr().map_err(|error| os_error::of(&error)) else {
        return Ok(Observation::Answered(answer(stream, target, syn_at)?));
    };
    match take_error(stream)? {
        0 if no_peer == ENOTCONN => Ok(Observation::Nothing { syn_retransmits: 0 }),
        0 => Err(no_peer),
        // Only a connection can be reset: answered, and reset by the server before this look.
        errno if is_reset(errno) => Ok(Observation::Answered(answer(stream, target, syn_at)?)),
        // Where the attempt is over, macOS has another errno for the peer's absence. The socket's own error is what
        // counts.
        errno => Ok(Observation::Failed { errno, syn_retransmits: 0 }),
    }
}

/// The time of the answer is when it was seen: the kernels that know better each tell in a way of their own.
fn answer(stream: &TcpStream, target: &SocketAddr, syn_at: u64) -> Result<Answer, i32> {
    Ok(Answer {
        rtt_us: microseconds_since(syn_at),
        syn_retransmits: 0,
        acked: true,
        met_a_check: met_itself(stream, target)?,
        met_a_syn: false,
    })
}

pub(super) fn collect_error(stream: &TcpStream, _target: &SocketAddr) -> Result<i32, i32> {
    take_error(stream)
}

/// Closing is the reset.
pub(super) fn reset(_stream: &TcpStream) -> bool {
    false
}

pub(super) fn keeps_counters(_stream: &TcpStream) -> bool {
    false
}

pub(super) fn since_answer(_stream: &TcpStream) -> Option<Duration> {
    None
}
