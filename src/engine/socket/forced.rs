//! The handshake as the tests' switch asks for it: Linux's own, without some of its parts, or the ordinary one.

use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;

use super::observation::Observation;
use super::{linux, ordinary};
use crate::sys::platform::{ForcedHandshake, forced_handshake};

pub(crate) fn withholds_ack() -> bool {
    if forced_handshake() == ForcedHandshake::Ordinary { ordinary::withholds_ack() } else { linux::withholds_ack() }
}

pub(crate) fn reuses() -> bool {
    if forced_handshake() == ForcedHandshake::HalfOpen { linux::reuses() } else { ordinary::reuses() }
}

pub(super) fn defer(socket: &socket2::Socket) -> bool {
    if forced_handshake() == ForcedHandshake::HalfOpen { linux::defer(socket) } else { ordinary::defer(socket) }
}

pub(super) fn defer_once(stream: &TcpStream) -> Result<(), i32> {
    if forced_handshake() == ForcedHandshake::Ordinary {
        ordinary::defer_once(stream)
    } else {
        linux::defer_once(stream)
    }
}

pub(super) fn connect(stream: &TcpStream, target: &SocketAddr) -> Result<(), i32> {
    if forced_handshake() == ForcedHandshake::Ordinary {
        ordinary::connect(stream, target)
    } else {
        linux::connect(stream, target)
    }
}

pub(super) fn look(stream: &TcpStream, target: &SocketAddr, syn_at: u64) -> Result<Observation, i32> {
    if forced_handshake() == ForcedHandshake::Ordinary {
        ordinary::look(stream, target, syn_at)
    } else {
        linux::look(stream, target, syn_at)
    }
}

pub(super) fn collect_error(stream: &TcpStream, target: &SocketAddr) -> Result<i32, i32> {
    if forced_handshake() == ForcedHandshake::HalfOpen {
        linux::collect_error(stream, target)
    } else {
        ordinary::collect_error(stream, target)
    }
}

pub(super) fn reset(stream: &TcpStream) -> bool {
    if forced_handshake() == ForcedHandshake::HalfOpen { linux::reset(stream) } else { ordinary::reset(stream) }
}

pub(super) fn since_answer(stream: &TcpStream) -> Option<Duration> {
    if forced_handshake() == ForcedHandshake::HalfOpen {
        linux::since_answer(stream)
    } else {
        ordinary::since_answer(stream)
    }
}

pub(super) fn keeps_counters(stream: &TcpStream) -> bool {
    if forced_handshake() == ForcedHandshake::HalfOpen {
        linux::keeps_counters(stream)
    } else {
        ordinary::keeps_counters(stream)
    }
}
