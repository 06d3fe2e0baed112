//! Opens the sockets of one checker, for its loops and its callers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::lately_up::LatelyUp;
use super::options::{self, MARKS};
use super::tcp_socket::{Ended, Socket};
use crate::check::close_mode::CloseMode;
use crate::check::verdict::{Status, Verdict};
use crate::engine::NoSocket;
use crate::engine::wire::Wire;
use crate::sys::netns::Home;
use crate::sys::{clock, limits, os_error};

/// How long the range of ports is believed, in nanoseconds: the administrator may change it at any time.
const RANGE_LIFE: u64 = 1_000_000_000;

pub(crate) struct Opener {
    wire: Wire,
    home: Home,
    /// How many sockets the checker's loops and callers hold.
    held: Arc<AtomicU64>,
    /// How many loops found no descriptor left. While there is one, idle sockets are closed, not kept.
    short_loops: AtomicU32,
    /// The first and the last port that the kernel gives to sockets, or gave, in 16 bits each; 0 until somebody has to know.
    ephemeral_ports: AtomicU32,
    /// How long that is believed.
    ephemeral_until: AtomicU64,
    lately_up: LatelyUp,
}

impl Opener {
    pub fn new(wire: Wire) -> Opener {
        Opener::at_home(wire, Home::new())
    }

    /// One that was made in this namespace.
    pub fn at_home(wire: Wire, home: Home) -> Opener {
        let (held, short_loops) = (Arc::new(AtomicU64::new(0)), AtomicU32::new(0));
        let (ephemeral_ports, ephemeral_until) = (AtomicU32::new(0), AtomicU64::new(0));
        let lately_up = LatelyUp::default();
        Opener { wire, home, held, short_loops, ephemeral_ports, ephemeral_until, lately_up }
    }

    /// A socket whose connections bear `mark`.
    pub fn open(&self, v6: bool, close_mode: CloseMode, mark: u32) -> Result<Socket, NoSocket> {
        let opened = self.open_at_home(v6, close_mode, &self.wire);
        let mut socket = opened.map_err(|errno| NoSocket { status: Status::LocalFault, errno })?;
        socket.set_mark(mark).map_err(unmarked)?;
        Ok(socket)
    }

    /// The namespace that this was made in.
    pub fn home(&self) -> Home {
        self.home
    }

    /// A new socket of the same kind.
    pub fn open_like(&self, socket: &Socket) -> Result<Socket, NoSocket> {
        self.open(socket.is_v6(), socket.close_mode(), socket.mark())
    }

    /// The mark of checks that name none.
    pub fn mark(&self) -> u32 {
        self.wire.mark.unwrap_or(0)
    }

    /// Whether the kernel may give this port to a socket that connects, or may have given it to one that still does.
    pub fn is_ephemeral(&self, port: u16) -> bool {
        let mut ports = self.ephemeral_ports.load(Ordering::Relaxed);
        let now = clock::now();
        if now >= self.ephemeral_until.load(Ordering::Relaxed) {
            let range = limits::ephemeral_ports();
            let (first, last) = if ports == 0 { (u32::MAX, 0) } else { (ports >> 16, ports & 0xffff) };
            ports = first.min(range.start) << 16 | last.max(range.end - 1);
            self.ephemeral_ports.store(ports, Ordering::Relaxed);
            self.ephemeral_until.store(now + RANGE_LIFE, Ordering::Relaxed);
        }
        ((ports >> 16) as u16..=ports as u16).contains(&port)
    }

    /// Whether a check that has ended is to ask its target once more, which refused it and was up a moment ago.
    pub(super) fn must_ask_again(&self, socket: &Socket, ended: &Ended, target: &SocketAddr) -> bool {
        if !socket.withholds_ack() {
            return false; // no half-open connection is left at its target
        }
        match ended.verdict.status {
            Status::Up => self.lately_up.note(target, ended.at),
            Status::Refused if !ended.asked_twice => return self.lately_up.has(target, ended.at),
            Status::Refused => self.lately_up.forget(target),
            _ => {}
        }
        false
    }

    /// See [`Wire::doubt`].
    pub fn doubt(&self, verdict: &mut Verdict) {
        self.wire.doubt(verdict, self.home);
    }

    /// A socket that asks from this address.
    pub fn open_at(&self, source: &SocketAddr) -> Result<Socket, i32> {
        let mut wire = self.wire.clone();
        match source {
            SocketAddr::V4(source) => wire.source_v4 = Some(*source),
            SocketAddr::V6(source) => wire.source_v6 = Some(*source),
        }
        self.open_at_home(source.is_ipv6(), CloseMode::HALF_OPEN, &wire)
    }

    /// A socket is of the namespace of the thread that opens it, which may have moved since the checker was made.
    fn open_at_home(&self, v6: bool, close_mode: CloseMode, wire: &Wire) -> Result<Socket, i32> {
        let socket = Socket::open(v6, close_mode, wire, &self.held)?;
        socket.check_home(self.home)?;
        Ok(socket)
    }

    /// Where sockets are counted, those of others too.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.held.clone()
    }

    /// How many sockets exist.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }

    /// Counts a loop in (1) or out (-1) of those that are short of descriptors.
    pub fn count_short_loops(&self, by: i32) {
        self.short_loops.fetch_add(by.cast_unsigned(), Ordering::SeqCst);
    }

    pub fn is_short_of_descriptors(&self) -> bool {
        self.short_loops.load(Ordering::SeqCst) > 0
    }
}

/// What it means that a socket takes no mark, for this reason.
fn unmarked(errno: i32) -> NoSocket {
    if !MARKS {
        return NoSocket { status: Status::Unsupported, errno: 0 };
    }
    let status = if os_error::is_forbidden(errno) { Status::Unsupported } else { Status::LocalFault };
    NoSocket { status, errno }
}

/// Whether this process has the privileges that these settings need.
pub(crate) fn probe(wire: &Wire) -> Result<(), Status> {
    // The socket is one of IPv4. Its source may not be there yet.
    let unbound = Wire { source_v4: None, ..wire.clone() };
    let opened = options::open(false, CloseMode::HALF_OPEN, &unbound).map_err(|error| os_error::of(&error));
    // Anything else may pass before the first check, and is that check's own result if it does not.
    if opened.is_err_and(|errno| lacks_privileges(errno, wire)) { Err(Status::Unsupported) } else { Ok(()) }
}

/// Whether this is what the system says of settings that this process has no privileges for.
fn lacks_privileges(errno: i32, wire: &Wire) -> bool {
    os_error::is_forbidden(errno) && (wire.mark.is_some() || wire.interface.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_ephemeral_that_is_in_the_kernels_range() {
        let range = limits::ephemeral_ports();
        let opener = Opener::new(Wire::default());
        clock::by_hand::set(1);
        for _ in 0..2 {
            for port in [range.start, range.end - 1, u32::midpoint(range.start, range.end)] {
                assert!(opener.is_ephemeral(port as u16), "{port}");
            }
            for port in [range.start - 1, range.end].into_iter().filter(|port| *port <= u16::MAX.into()) {
                assert!(!opener.is_ephemeral(port as u16), "{port}");
            }
            clock::by_hand::set(clock::now() + 2 * RANGE_LIFE); // it is read anew
        }
        clock::by_hand::let_go();
    }

    #[test]
    fn a_port_that_was_in_the_range_before_may_still_have_a_check_and_the_range_is_read_anew_in_time() {
        let range = limits::ephemeral_ports();
        if range.start < 4 {
            return; // there is no other port
        }
        let opener = Opener::new(Wire::default());
        let was = |first: u32, last: u32| opener.ephemeral_ports.store(first << 16 | last, Ordering::Relaxed);
        clock::by_hand::set(1_000);
        was(1, 2);
        assert!(opener.is_ephemeral(1) && opener.is_ephemeral(range.start as u16));
        was(2, 3);
        clock::by_hand::set(1_000 + RANGE_LIFE - 1);
        assert!(!opener.is_ephemeral(range.start as u16), "it is believed");
        clock::by_hand::set(1_000 + RANGE_LIFE);
        assert!(opener.is_ephemeral(range.start as u16));
        clock::by_hand::let_go();
    }

    #[test]
    fn a_setting_is_not_supported_that_the_system_forbids_and_no_other_one() {
        let forbidden = os_error::EACCES;
        let (plain, marked) = (Wire::default(), Wire { mark: Some(5), ..Wire::default() });
        let bound = Wire { interface: Some(b"lo".as_slice().into()), ..Wire::default() };
        assert_eq!([&plain, &marked, &bound].map(|wire| lacks_privileges(forbidden, wire)), [false, true, true]);
        assert_eq!([&plain, &marked, &bound].map(|wire| lacks_privileges(os_error::EIO, wire)), [false; 3]);
        if MARKS {
            let refusals = [forbidden, os_error::EIO].map(unmarked).map(|none| (none.status, none.errno));
            assert_eq!(refusals, [(Status::Unsupported, forbidden), (Status::LocalFault, os_error::EIO)]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_checker_is_at_home_where_it_was_made() {
        let Some(elsewhere) = Home::elsewhere() else { return };
        let opener = Opener::at_home(Wire::default(), elsewhere);
        assert!(!opener.home().is_here() && Opener::new(Wire::default()).home().is_here());
        assert!(opener.open(false, CloseMode::HALF_OPEN, 0).is_err());
    }
}
