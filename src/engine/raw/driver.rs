//! The engine of raw segments, as the loop drives it.
//!
//! No socket of the kernel's TCP knows these segments, so the kernel answers each SYN-ACK with a RST by itself, at once,
//! whatever this process does meanwhile: no ACK can ever leave.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_int;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::family::{Family, Refusal, Syn};
use super::filter;
use super::flows::{CoarseTime, Flow, FlowNumber, Flows};
use super::isn::IsnKey;
use super::ports::{BLOCK_BITS, Ports};
use super::raw_socket::RawSocket;
use super::receiving::{ErrorBuffer, Incoming};
use super::routes::Routes;
use super::segment::{Answer, AnswerKind, SynFields, parse_quote, parse_v4, parse_v6};
use crate::check::close_mode::CloseMode;
use crate::check::slot::SlotKey;
use crate::check::verdict::{Status, Verdict};
use crate::engine::errno::{Origin, status_of};
use crate::engine::wire::Wire;
use crate::engine::{Conclusion, Engine, NoSocket, Start, WAKE};
use crate::sys::sockaddr::canonical;
use crate::sys::{clock, os_error};

/// Answers and errors come by at most two descriptors, and there is the waker.
const EVENTS: usize = 8;
/// ICMP errors read before the loop looks at something else.
const ERRORS: usize = 64;
/// How often a bare ACK has a SYN sent again: a forged one must not have many leave.
const REPEATS_BY_ACK: u8 = 2;

/// What became of a flow.
#[derive(Clone, Copy)]
enum Outcome {
    Answered {
        kind: AnswerKind,
        at: u64,
        ts_echo: Option<u32>,
    },
    /// An ICMP error, or this host has no way there.
    Failed {
        errno: i32,
        origin: Origin,
    },
}

pub(crate) struct RawEngine {
    poll: Poll,
    events: Events,
    wire: Wire,
    /// IPv4's and IPv6's, while they are in use.
    families: [Option<Family>; 2],
    ports: Ports,
    flows: Flows,
    key: IsnKey,
    routes: Routes,
    /// The marks of flows that have another one than the checker's.
    marks: HashMap<u32, u32>,
    /// What the loop has not been told of yet; some of it is of flows that have ended.
    outcomes: VecDeque<(FlowNumber, Outcome)>,
    /// What the last event was.
    current: Option<(u32, Outcome)>,
    error_buffer: ErrorBuffer,
    /// When something was read last.
    now: u64,
    /// When the kernel dropped segments that we had no time to read.
    dropped_at: Option<CoarseTime>,
    /// Something was used since it was marked as not needed.
    used: bool,
}

impl RawEngine {
    /// The engine of the checker's loop of this number.
    pub fn new(poll: Poll, wire: Wire, index: u32) -> RawEngine {
        RawEngine {
            poll,
            events: Events::with_capacity(EVENTS),
            routes: Routes::new(wire.clone()),
            wire,
            families: [None, None],
            ports: Ports::new(index),
            flows: Flows::default(),
            key: IsnKey::random(),
            marks: HashMap::new(),
            outcomes: VecDeque::new(),
            current: None,
            error_buffer: ErrorBuffer::new(),
            now: clock::now(),
            dropped_at: None,
            used: false,
        }
    }

    /// Where segments for a target go: an address that means "this host" is one of this host.
    fn effective(&self, target: &SocketAddr) -> SocketAddr {
        let mut target = canonical(target);
        match target.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                let source = self.wire.source_v4.map_or(Ipv4Addr::LOCALHOST, |source| *source.ip());
                target.set_ip(source.into());
            }
            IpAddr::V6(ip) if ip.is_unspecified() => {
                let source = self.wire.source_v6.map_or(Ipv6Addr::LOCALHOST, |source| *source.ip());
                target.set_ip(source.into());
            }
            _ => {}
        }
        target
    }

    /// Opens what segments of a family leave and come by.
    fn open(&mut self, v6: bool) -> Result<(), i32> {
        self.used = true;
        if self.families[usize::from(v6)].is_some() {
            return Ok(());
        }
        self.ports.hold()?;
        let block = self.ports.block();
        let socket = if v6 {
            RawSocket::open(true, &self.wire, &filter::v6(block, BLOCK_BITS))
        } else {
            RawSocket::open(false, &self.wire, &filter::v4(block, BLOCK_BITS))
        };
        let socket = socket.map_err(|error| os_error::of(&error))?;
        let registered = self.poll.registry().register(
            &mut SourceFd(&socket.fd()),
            Token(v6.into()),
            Interest::READABLE, // edge-triggered, errors included
        );
        registered.map_err(|error| os_error::of(&error))?;
        self.families[usize::from(v6)] = Some(Family::new(v6, socket));
        Ok(())
    }

    /// Closes all that is open. Only when there is no flow.
    fn close(&mut self) {
        for family in &mut self.families {
            if let Some(family) = family.take() {
                // Closing alone would not do: a forked child may hold a copy of the descriptor.
                let _ = self.poll.registry().deregister(&mut SourceFd(&family.socket.fd()));
            }
        }
        self.ports.clear();
        self.routes.clear();
        self.dropped_at = None;
    }

    fn is_open(&self) -> bool {
        self.families.iter().any(Option::is_some)
    }

    fn mark_of(&self, slot: u32) -> u32 {
        self.marks.get(&slot).copied().unwrap_or(self.wire.mark.unwrap_or(0))
    }

    /// Leaves a SYN of a flow to be sent with others. The errno says that there is no way to its target.
    fn leave_syn(&mut self, slot: u32, to: SocketAddr) -> Result<(), i32> {
        let now = clock::now();
        let number = self.flows.number(slot);
        let mark = self.mark_of(slot);
        let flow = self.flows.flow(slot);
        flow.syns = flow.syns.saturating_add(1);
        let fields = SynFields {
            source_port: self.ports.port(flow.port),
            target_port: to.port(),
            isn: self.key.isn(number.get()),
            tsval: milliseconds(now),
        };
        let Some(family) = &mut self.families[usize::from(to.is_ipv6())] else { return Err(libc::ENETUNREACH) };
        if family.leave(Syn { flow: number, fields, to, mark }, &mut self.routes, now)? {
            self.send(to.is_ipv6());
        }
        Ok(())
    }

    fn send(&mut self, v6: bool) {
        let RawEngine { families, flows, routes, outcomes, .. } = self;
        let Some(family) = &mut families[usize::from(v6)] else { return };
        let mut refusals = Vec::new();
        family.send(flows, routes, |refusal| refusals.push(refusal));
        for Refusal { flow: number, errno, is_final } in refusals {
            match flows.get(number) {
                Some(_) if is_final => {
                    outcomes.push_back((number, Outcome::Failed { errno, origin: Origin::Connect }));
                }
                Some((_, flow)) if flow.sent == 0 => flow.errno = errno as u8,
                _ => {}
            }
        }
    }

    fn read(&mut self) {
        let now = clock::now();
        let ahead = clock::realtime_ahead();
        self.now = now;
        for v6 in [false, true] {
            let Some(mut family) = self.families[usize::from(v6)].take() else { continue };
            if family.readable && family.read(now, ahead, |incoming| self.hear(&incoming, v6, now, ahead)) {
                self.dropped_at = Some(CoarseTime::of(now));
            }
            self.families[usize::from(v6)] = Some(family);
        }
    }

    /// A segment came in. It counts only if it answers the SYN of a flow, from where that went.
    fn hear(&mut self, incoming: &Incoming<'_>, v6: bool, now: u64, ahead: u64) {
        let answer = if v6 { parse_v6(incoming.bytes, *incoming.source.ip()) } else { parse_v4(incoming.bytes) };
        let Some(Answer { source, source_port, port, ack, kind, ts_echo }) = answer else { return };
        let Some(port) = self.ports.number(port) else { return };
        let destination = self.flows.destination(source, source_port);
        if let AnswerKind::Ack = kind {
            let target = SocketAddr::new(source, source_port);
            let scoped = if v6 { scoped(target, incoming.source.scope_id()) } else { target };
            if let Some(slot) = self.flows.find(destination, port) {
                self.repeat_for_ack(slot, scoped);
            }
            return;
        }
        let number = FlowNumber::of(self.key.number(ack.wrapping_sub(1)));
        let Some((_, flow)) = self.flows.get(number) else { return };
        if flow.port != port || flow.destination != destination || flow.sent == 0 || flow.answered {
            return;
        }
        flow.answered = true;
        let at = if incoming.stamp > 0 { incoming.stamp.wrapping_sub(ahead).min(now) } else { now };
        self.outcomes.push_back((number, Outcome::Answered { kind, at, ts_echo }));
    }

    /// A bare ACK: the target has a half-open connection of an older SYN from this port, whose RST was lost. The kernel
    /// resets it now, so that the same SYN, sent once more, is answered (RFC 9293, section 3.5.2).
    fn repeat_for_ack(&mut self, slot: u32, target: SocketAddr) {
        let flow = self.flows.flow(slot);
        if !flow.answered && flow.sent > 0 && flow.acks < REPEATS_BY_ACK {
            flow.acks += 1;
            let _ = self.leave_syn(slot, target); // the one before is still on its way
        }
    }

    /// Reads the ICMP errors that wait.
    fn read_errors(&mut self, v6: bool) {
        let RawEngine { families, flows, ports, key, outcomes, error_buffer, .. } = self;
        let Some(family) = &families[usize::from(v6)] else { return };
        for _ in 0..ERRORS {
            let Some(error) = family.socket.receive_error(error_buffer) else { return };
            let Some(quote) = parse_quote(error.quote) else { continue };
            let number = FlowNumber::of(key.number(quote.isn));
            let destination = flows.destination(error.to, quote.target_port);
            let Some((_, flow)) = flows.get(number) else { continue };
            let is_ours = ports.number(quote.source_port) == Some(flow.port) && flow.destination == destination;
            if !is_ours || flow.answered || status_of(error.errno, Origin::Network) != Status::Unreachable {
                continue;
            }
            if flow.sent > 1 {
                flow.errno = error.errno as u8; // another SYN may be answered yet
            } else {
                flow.answered = true;
                outcomes.push_back((number, Outcome::Failed { errno: error.errno, origin: Origin::Network }));
            }
        }
    }

    fn conclude(&mut self, slot: u32, outcome: Option<Outcome>, target: &SocketAddr, syn_at: u64) -> Conclusion {
        let flow = self.flows.flow(slot);
        let mut verdict = Verdict { address: Some(*target), ..Verdict::without_segments(Status::TimedOut, 0) };
        verdict.syn_retransmits = u32::from(flow.sent.saturating_sub(1));
        match outcome {
            Some(Outcome::Answered { kind: AnswerKind::SynAck { zero_window }, at, ts_echo }) => {
                (verdict.status, verdict.half_open, verdict.zero_window) = (Status::Up, true, zero_window);
                verdict.rtt_us = round_trip(flow, at, ts_echo, syn_at);
            }
            Some(Outcome::Answered { .. }) => {
                (verdict.status, verdict.os_error) = (Status::Refused, libc::ECONNREFUSED);
            }
            Some(Outcome::Failed { errno, origin }) => {
                (verdict.status, verdict.os_error) = (status_of(errno, origin), errno);
            }
            None => (verdict.status, verdict.os_error) = without_answer(flow, self.dropped_at),
        }
        self.close_flow(slot);
        Conclusion { verdict, at: self.now, closed: false }
    }

    fn close_flow(&mut self, slot: u32) {
        self.flows.close(slot);
        if !self.marks.is_empty() {
            self.marks.remove(&slot);
        }
    }
}

impl Engine for RawEngine {
    const REPEATS_SYN: bool = true;

    fn poller_fd(&self) -> Option<c_int> {
        Some(self.poll.as_raw_fd())
    }

    fn poll(&mut self, wait: Option<Duration>) {
        self.flush();
        let has_more = !self.outcomes.is_empty() || self.families.iter().flatten().any(|family| family.readable);
        let wait = if has_more { Some(Duration::ZERO) } else { wait };
        let mut has_errors = [false; 2];
        // Interrupted by a debugger or SIGCONT, or by any signal on a caller's own thread: there are simply no events.
        if self.poll.poll(&mut self.events, wait).is_ok() {
            for event in self.events.iter().filter(|event| event.token() != WAKE) {
                if let Some(Some(family)) = self.families.get_mut(event.token().0) {
                    family.readable = true;
                    has_errors[event.token().0] = event.is_error();
                }
            }
        }
        self.read();
        for v6 in [false, true].into_iter().filter(|v6| has_errors[usize::from(*v6)]) {
            self.read_errors(v6);
        }
    }

    fn next_event(&mut self) -> Option<(SlotKey, u32)> {
        while let Some((number, outcome)) = self.outcomes.pop_front() {
            if let Some((check, _)) = self.flows.get(number) {
                self.current = Some((number.slot(), outcome));
                return Some((check, number.slot()));
            }
        }
        None
    }

    fn acquire(&mut self, target: &SocketAddr, _mode: CloseMode, mark: u32, _limit: u32) -> Result<u32, NoSocket> {
        let target = self.effective(target);
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
        let destination = self.flows.destination(target.ip(), target.port());
        let slot = loop {
            match self.flows.open(destination, self.ports.len()) {
                Some(slot) => break slot,
                None if self.ports.extend() => {}
                None => return Err(NoSocket::NOT_FOR_THIS_TARGET),
            }
        };
        if mark != self.wire.mark.unwrap_or(0) {
            self.marks.insert(slot, mark);
        }
        Ok(slot)
    }

    fn start(&mut self, slot: u32, check: SlotKey, target: &SocketAddr, now: u64) -> Start {
        self.flows.begin(slot, check);
        let to = self.effective(target);
        let left = if to.ip().is_multicast() { Err(libc::ENETUNREACH) } else { self.leave_syn(slot, to) };
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

    fn repeat_syn(&mut self, slot: u32, target: &SocketAddr) {
        let to = self.effective(target);
        let _ = self.leave_syn(slot, to); // whether there is a way now or not, the first SYN's answer may come yet
    }

    fn flush(&mut self) {
        self.send(false);
        self.send(true);
    }

    fn answers_read_until(&self) -> u64 {
        if self.flows.is_empty() {
            return u64::MAX;
        }
        self.families.iter().flatten().map(|family| family.read_until).min().unwrap_or(u64::MAX)
    }

    fn wants_poll_at(&self) -> Option<u64> {
        self.families.iter().flatten().filter_map(Family::sends_at).min()
    }

    fn set_short_of_descriptors(&mut self, _short: bool) {}

    fn has_idle(&self) -> bool {
        self.is_open()
    }

    fn close_idle(&mut self, _most: usize) -> bool {
        let closes = self.flows.is_empty() && self.is_open();
        if closes {
            self.close();
        }
        closes
    }

    fn mark_unneeded(&mut self) {
        self.used = !self.flows.is_empty();
    }

    fn close_unneeded(&mut self) -> bool {
        if !self.used {
            self.close_idle(1);
        }
        true
    }

    fn shrink(&mut self) {
        self.flows.shrink();
        self.marks = HashMap::new();
        self.outcomes = VecDeque::new();
    }
}

/// The status and errno of a check whose deadline has passed.
fn without_answer(flow: &Flow, dropped_at: Option<CoarseTime>) -> (Status, i32) {
    match flow.errno {
        // No SYN left this host.
        0 if flow.sent == 0 => (Status::LocalFault, libc::ENOBUFS),
        errno if flow.sent == 0 => (Status::LocalFault, errno.into()),
        // This host may have dropped the answer.
        _ if dropped_at.is_some_and(|at| !at.is_before(flow.sent_at)) => (Status::LocalFault, libc::ENOBUFS),
        0 => (Status::TimedOut, 0),
        errno => (status_of(errno.into(), Origin::Network), errno.into()),
    }
}

/// The microseconds from a SYN to the answer, which came at this time. Which of several SYNs it was, the echo of its
/// timestamp says (RFC 7323, section 4); without it, the last one is meant.
fn round_trip(flow: &Flow, at: u64, ts_echo: Option<u32>, syn_at: u64) -> u32 {
    let since_last = if CoarseTime::of(at).is_before(flow.sent_at) { 0 } else { flow.sent_at.until(at) };
    let nanoseconds = match ts_echo {
        Some(echo) if flow.syns > 1 => {
            let age = u64::from(milliseconds(at).wrapping_sub(echo)) * 1_000_000;
            let since_first = at.saturating_sub(syn_at);
            let is_near = |other: u64| age.abs_diff(other) <= 2_000_000;
            match () {
                () if is_near(since_last) => since_last,
                () if is_near(since_first) || age > since_first => since_first,
                () => age,
            }
        }
        _ => since_last,
    };
    u32::try_from(nanoseconds.div_ceil(1000).max(1)).unwrap_or(u32::MAX)
}

/// The clock of the timestamps in our SYNs.
fn milliseconds(now: u64) -> u32 {
    (now / 1_000_000) as u32
}

fn scoped(target: SocketAddr, scope: u32) -> SocketAddr {
    match target {
        SocketAddr::V6(mut target) => {
            target.set_scope_id(scope);
            target.into()
        }
        v4 @ SocketAddr::V4(_) => v4,
    }
}
