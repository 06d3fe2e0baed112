//! The engine of raw segments, as the loop drives it.
//!
//! No socket of the kernel's TCP knows these segments, so the kernel answers each SYN-ACK with a RST by itself, at once,
//! whatever this process does meanwhile: no ACK can ever leave.

use std::ffi::c_int;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::{Events, Poll};

use super::bound_interface::BoundInterface;
use super::counts::Counts;
use super::family::{Family, Syn};
use super::in_flight::{Heard, InFlight, Outcome};
use super::ports::Ports;
use super::raw_socket::RawSocket;
use super::receiving::{ErrorBuffer, Incoming};
use super::resets::Resets;
use super::routes::Routes;
use super::segment::{parse_v4, parse_v6};
use crate::check::close_mode::CloseMode;
use crate::check::pieces::Pieces;
use crate::check::slot::SlotKey;
use crate::check::verdict::Status;
use crate::engine::errno::Origin;
use crate::engine::wire::Wire;
use crate::engine::{Conclusion, Engine, NoSocket, Start, WAKE};
use crate::sys::clock::Stamps;
use crate::sys::{clock, os_error, poller};

/// Answers and errors come by at most two descriptors, and there is the waker.
const EVENTS: usize = 8;
/// Ports held from the first check on.
const FIRST_PORTS: u16 = 64;

pub(crate) struct RawEngine {
    poll: Poll,
    events: Events,
    wire: Wire,
    /// IPv4's and IPv6's, while they are in use.
    families: [Option<Family>; 2],
    /// Their sockets, while they are not.
    deaf: [Option<RawSocket>; 2],
    in_flight: InFlight,
    routes: Routes,
    /// Flows of which a SYN is to be sent at once, since a segment that came in says so, and where to.
    repeats: Pieces<(u32, SocketAddr)>,
    resets: Resets,
    /// What the last event was.
    current: Option<(u32, Outcome)>,
    error_buffer: ErrorBuffer,
    /// When something was read last.
    now: u64,
    stamps: Stamps,
    interface: BoundInterface,
    /// Something was used since it was marked as not needed.
    used: bool,
    counts: Counts,
}

impl Drop for RawEngine {
    fn drop(&mut self) {
        self.close();
        self.counts.hold(0);
    }
}

impl RawEngine {
    /// The engine of the checker's loop of this number. The checker counts its sockets, and segments that answer no
    /// check.
    pub fn new(poll: Poll, wire: Wire, index: u32, counts: Counts) -> RawEngine {
        RawEngine::with_ports(poll, wire, index, FIRST_PORTS, counts)
    }

    /// The same, with so many ports at first.
    pub fn with_ports(poll: Poll, wire: Wire, index: u32, ports: u16, counts: Counts) -> RawEngine {
        let mut interface = BoundInterface::new(wire.interface.clone());
        interface.has_changed(false); // it is what the sockets are bound to now
        // While this process may. What cannot be opened now is tried again when it is needed.
        let deaf = [false, true].map(|v6| RawSocket::open(v6, &wire).ok());
        RawEngine {
            poll,
            events: Events::with_capacity(EVENTS),
            routes: Routes::new(wire.clone()),
            families: [None, None],
            deaf,
            in_flight: InFlight::new(Ports::new(index, ports)),
            repeats: Pieces::new(),
            resets: Resets::new(&wire),
            current: None,
            error_buffer: ErrorBuffer::new(),
            now: clock::now(),
            stamps: Stamps::new(),
            interface,
            wire,
            used: false,
            counts,
        }
    }

    /// Reads what has come in by now, without waiting.
    pub fn read_now(&mut self) {
        for family in self.families.iter_mut().flatten() {
            family.readable = true;
            family.unread.told();
        }
        self.note_errors();
        self.read();
    }

    /// Whether a target is on this host.
    pub fn is_here(&mut self, target: &SocketAddr, mark: u32) -> bool {
        self.routes.is_here(target, mark, clock::now())
    }

    /// Opens what segments of a family leave and come by.
    fn open(&mut self, v6: bool) -> Result<(), i32> {
        self.used = true;
        if self.interface.has_changed(!self.in_flight.flows.is_empty()) {
            self.renew_families();
        }
        match &self.families[usize::from(v6)] {
            Some(family) if family.broken().is_none() => return Ok(()),
            Some(_) if self.in_flight.flows.is_empty() => self.close(),
            Some(family) => return family.broken().map_or(Ok(()), Err),
            None => {}
        }
        let opened = self.open_anew(v6);
        if opened.is_err() && !self.has_idle() {
            self.close(); // the ports
        }
        self.count_sockets();
        opened
    }

    /// Opens anew what is open. What is in flight goes on by its next SYN.
    fn renew_families(&mut self) {
        self.routes.clear();
        self.deaf = [None, None];
        for v6 in [false, true] {
            if let Some(family) = self.families[usize::from(v6)].take() {
                drop(family.close(self.poll.registry())); // it is bound to the old one
                self.in_flight.lost_at[usize::from(v6)] = Some(clock::now()); // an answer may be among what is unread
                let _ = self.open_anew(v6); // if not now, the next check says why
            }
        }
    }

    fn open_anew(&mut self, v6: bool) -> Result<(), i32> {
        self.in_flight.ports.hold()?;
        if !v6 {
            self.routes.open_v4()?;
        }
        let block = self.in_flight.ports.block();
        let deaf = &mut self.deaf[usize::from(v6)];
        self.routes.may_open(v6, deaf.is_some())?;
        let family = Family::open(v6, &self.wire, block, self.poll.registry(), deaf)?;
        self.families[usize::from(v6)] = Some(family);
        Ok(())
    }

    /// Closes all that is open. Only when there is no flow.
    fn close(&mut self) {
        for (family, deaf) in self.families.iter_mut().zip(&mut self.deaf) {
            if let Some(family) = family.take() {
                *deaf = family.close(self.poll.registry());
            }
        }
        self.in_flight.ports.clear();
        self.routes.clear();
        self.in_flight.lost_at = [None; 2];
        self.count_sockets();
    }

    fn count_sockets(&mut self) {
        let open = self.families.iter().flatten().map(|family| &family.socket).chain(self.deaf.iter().flatten());
        self.counts.hold(open.map(RawSocket::count).sum::<u64>() + u64::from(self.in_flight.ports.len()));
    }

    /// Leaves a SYN of a flow to be sent with others. The errno says that there is no way to its target.
    fn leave_syn(&mut self, slot: u32, to: SocketAddr) -> Result<(), i32> {
        let now = clock::now();
        let (flow, fields) = self.in_flight.next_syn(slot, to.port(), now);
        let syn = Syn { flow, fields, to, mark: self.in_flight.mark_of(slot) };
        let Some(family) = &mut self.families[usize::from(to.is_ipv6())] else { return Err(libc::ENETUNREACH) };
        if family.leave(syn, &mut self.routes, now)? {
            self.send(to.is_ipv6());
        }
        Ok(())
    }

    /// Leaves another SYN of a flow to be sent. False if there is no room for it now.
    fn repeat(&mut self, slot: u32, to: SocketAddr) -> bool {
        let has_room = self.families[usize::from(to.is_ipv6())].as_ref().is_some_and(|family| !family.is_full());
        if has_room {
            let _ = self.leave_syn(slot, to); // whether there is a way now or not, an earlier one may be answered yet
        }
        has_room
    }

    fn send(&mut self, v6: bool) {
        let RawEngine { families, in_flight, routes, .. } = self;
        if let Some(family) = &mut families[usize::from(v6)] {
            family.send(in_flight, routes);
        }
    }

    fn read(&mut self) {
        self.now = clock::now();
        let (stamps, whole) = (self.stamps.look(), self.in_flight.has_errors());
        for v6 in [false, true] {
            let Some(mut family) = self.families[usize::from(v6)].take() else { continue };
            if family.read(self.now, stamps, whole, |incoming| self.hear(&incoming, v6, stamps)) {
                self.in_flight.lost_at[usize::from(v6)] = Some(self.now);
            }
            self.families[usize::from(v6)] = Some(family);
        }
        self.resets.send(&mut self.families);
        let mut repeats = std::mem::take(&mut self.repeats);
        while let Some((slot, target)) = repeats.pop_front() {
            self.repeat(slot, target);
        }
        let all_is_heard = !self.families.iter().flatten().any(|family| family.readable);
        self.in_flight.hear_errors(all_is_heard);
    }

    fn hear(&mut self, incoming: &Incoming<'_>, v6: bool, stamps: Stamps) {
        let answer = if v6 { parse_v6(incoming.bytes, *incoming.source.ip()) } else { parse_v4(incoming.bytes) };
        let Some(answer) = answer.filter(|_| !incoming.is_damaged(v6)) else { return };
        self.resets.note(incoming, v6, &answer, &self.in_flight);
        let at = stamps.time(incoming.stamp, self.now).unwrap_or(self.now);
        match self.in_flight.hear(&answer, at) {
            Heard::Answer => {}
            Heard::Nothing => self.counts.heard_nothing(),
            Heard::OlderSyn(slot) | Heard::MaybeRefused(slot) => {
                self.repeats.push_back((slot, incoming.sender(answer.source, answer.source_port)));
            }
        }
    }

    /// Takes the ICMP errors that wait.
    fn note_errors(&mut self) {
        let RawEngine { families, in_flight, error_buffer, .. } = self;
        for family in families.iter_mut().flatten().filter(|family| family.unread.may_be()) {
            family.unread.read(&family.socket, error_buffer, |error| in_flight.note_error(error));
        }
    }

    fn conclude(&mut self, slot: u32, outcome: Option<Outcome>, target: &SocketAddr, syn_at: u64) -> Conclusion {
        let mut verdict = self.in_flight.conclude(slot, outcome, target, syn_at);
        self.routes.doubt(&mut verdict);
        Conclusion { verdict, at: self.now, closed: false }
    }
}

impl Engine for RawEngine {
    const REPEATS_SYN: bool = true;

    fn poller_fd(&self) -> Option<c_int> {
        Some(self.poll.as_raw_fd())
    }

    fn poll(&mut self, wait: Option<Duration>) {
        self.flush();
        let has_more = self.in_flight.has_outcomes() || self.families.iter().flatten().any(Family::has_more);
        let wait = if has_more { Some(Duration::ZERO) } else { wait };
        let begun = clock::now();
        if poller::wait(&mut self.poll, &mut self.events, wait) {
            self.families.iter_mut().flatten().for_each(|family| family.unread.asked(begun));
            for event in self.events.iter().filter(|event| event.token() != WAKE) {
                if let Some(Some(family)) = self.families.get_mut(event.token().0) {
                    family.is_told(event);
                }
            }
            self.families.iter_mut().flatten().for_each(|family| family.is_polled(begun));
        } else {
            return self.read_now(); // the poller may be gone, too: what is there is found without it
        }
        self.note_errors();
        self.read();
    }

    fn next_event(&mut self) -> Option<(SlotKey, u32)> {
        let (check, slot, outcome) = self.in_flight.next_outcome()?;
        self.current = Some((slot, outcome));
        Some((check, slot))
    }

    fn acquire(&mut self, target: &SocketAddr, _mode: CloseMode, mark: u32, _limit: u32) -> Result<u32, NoSocket> {
        let target = self.routes.effective(target);
        let v6 = target.is_ipv6();
        let fault = |errno| NoSocket { status: Status::LocalFault, errno };
        self.open(v6).map_err(fault)?;
        let Some(family) = &mut self.families[usize::from(v6)] else { return Err(fault(libc::EAFNOSUPPORT)) };
        if family.is_full() {
            return Err(NoSocket::NOT_NOW);
        }
        if let Err(error) = family.socket.set_mark(mark) {
            let errno = os_error::of(&error);
            let status = if os_error::is_forbidden(errno) { Status::Unsupported } else { Status::LocalFault };
            return Err(NoSocket { status, errno });
        }
        self.in_flight.grow(mark)?;
        let destination = self.in_flight.flows.destination(target.ip(), target.port());
        let slot = loop {
            match self.in_flight.flows.open(destination, self.in_flight.ports.len()) {
                Some(slot) => break slot,
                None if self.in_flight.ports.extend() => self.count_sockets(),
                None => return Err(NoSocket::NOT_FOR_THIS_TARGET),
            }
        };
        self.in_flight.set_mark(slot, mark);
        Ok(slot)
    }

    fn destination(&self, target: &SocketAddr) -> u32 {
        let to = self.routes.effective(target);
        self.in_flight.flows.destination(to.ip(), to.port()).number()
    }

    fn start(&mut self, slot: u32, check: SlotKey, target: &SocketAddr, now: u64) -> Start {
        self.in_flight.flows.begin(slot, check);
        let to = self.routes.effective(target);
        let left = self.routes.may_ask(&to).and_then(|()| self.leave_syn(slot, to));
        match left {
            Ok(()) => Start::InFlight,
            Err(errno) => {
                let failed = Outcome::Failed { errno, origin: Origin::Connect };
                self.now = now;
                Start::Concluded(self.conclude(slot, Some(failed), target, now))
            }
        }
    }

    fn look(&mut self, slot: u32, target: &SocketAddr, syn_at: u64) -> Option<Conclusion> {
        let (_, outcome) = self.current.take().filter(|(of, _)| *of == slot)?;
        Some(self.conclude(slot, Some(outcome), target, syn_at))
    }

    fn last_look(&mut self, slot: u32, target: &SocketAddr, syn_at: u64) -> Conclusion {
        self.now = clock::now();
        self.conclude(slot, None, target, syn_at)
    }

    fn repeat_syn(&mut self, slot: u32, target: &SocketAddr) -> bool {
        let to = self.routes.effective(target);
        self.routes.forget(to.ip(), self.in_flight.mark_of(slot)); // which may be why there is no answer
        self.in_flight.change_port(slot);
        self.repeat(slot, to)
    }

    fn flush(&mut self) {
        self.send(false);
        self.send(true);
    }

    fn answers_read_until(&self) -> u64 {
        if self.in_flight.flows.is_empty() {
            return u64::MAX;
        }
        self.families.iter().flatten().map(Family::answers_read_until).min().unwrap_or(u64::MAX)
    }

    fn wants_poll_at(&self) -> Option<u64> {
        self.families.iter().flatten().filter_map(Family::sends_at).min()
    }

    fn has_idle(&self) -> bool {
        self.families.iter().any(Option::is_some)
    }

    fn close_idle(&mut self, _most: usize) -> bool {
        let closes = self.in_flight.flows.is_empty() && self.has_idle();
        if closes {
            self.close();
        }
        closes
    }

    fn mark_unneeded(&mut self) {
        self.used = !self.in_flight.flows.is_empty();
    }

    fn close_unneeded(&mut self) -> bool {
        if !self.used {
            self.close_idle(1);
        }
        true
    }

    fn shrink(&mut self) {
        self.in_flight.shrink();
    }
}

#[cfg(test)]
mod tests;
