//! Which check a segment or an ICMP error answers, and what that says of its target. Decides only; others send and
//! receive.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::flows::{CoarseTime, Destination, Flow, FlowNumber, Flows};
use super::isn::IsnKey;
use super::lately_up::LatelyUp;
use super::ports::Ports;
use super::receiving::IcmpError;
use super::segment::{Answer, AnswerKind, Quote, SynFields, parse_quote};
use crate::check::pieces::Pieces;
use crate::check::slot::SlotKey;
use crate::check::verdict::{Status, Verdict};
use crate::engine::errno::{Origin, status_of};
use crate::sys::memory::OutOfMemory;
use crate::sys::sockaddr::canonical;

/// How often a bare ACK has a SYN sent again: a forged one must not have many leave.
const REPEATS_BY_ACK: u8 = 2;
/// When so many flows have ended the key is renewed as soon as there is none. One slot has twice as many generations.
const FLOWS_OF_A_KEY: u32 = 1 << 9;
/// So many errors do not wait any longer until what came before them is heard.
const MANY_ERRORS: usize = 4_096;

/// What became of a flow.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Answered {
        kind: AnswerKind,
        at: u64,
        ts_echo: Option<u32>,
        /// The port that its last SYN left from was answered.
        of_last: bool,
    },
    /// An ICMP error, or this host has no way there.
    Failed { errno: i32, origin: Origin },
}

/// What a segment is that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The answer to a SYN, or the same once more.
    Answer,
    /// A bare ACK: the target has a half-open connection of an older SYN from the port of this flow, whose RST was
    /// lost. The kernel resets it now, so that the same SYN, sent once more, is answered (RFC 9293, section 3.5.2).
    OlderSyn(u32),
    /// A RST from a target that has been up lately. It may come from a half-open connection, so a SYN from another port
    /// is to ask once more; the flow has that port now.
    MaybeRefused(u32),
    /// It answers nothing.
    Nothing,
}

/// What this host did instead of sending a SYN.
pub(super) struct Refusal {
    pub flow: FlowNumber,
    pub errno: i32,
    /// It is final: the routes say so. If not, the next SYN of the flow may leave.
    pub is_final: bool,
}

pub(super) struct InFlight {
    pub flows: Flows,
    pub ports: Ports,
    key: IsnKey,
    lately_up: LatelyUp,
    /// The marks of flows that have one.
    marks: HashMap<u32, u32>,
    /// What the loop has not been told of yet; some of it is of flows that have ended.
    outcomes: Pieces<(FlowNumber, Outcome)>,
    /// Errors that wait until what came before them is read.
    errors: Vec<(i32, IpAddr, Quote)>,
    /// When segments of IPv4 and of IPv6 were lost on this host: nobody had read them in time, or nobody can.
    pub lost_at: [Option<u64>; 2],
    /// Flows that have ended since the key was made.
    ended: u32,
}

impl InFlight {
    pub fn new(ports: Ports) -> InFlight {
        InFlight {
            flows: Flows::default(),
            ports,
            key: IsnKey::random(),
            lately_up: LatelyUp::default(),
            marks: HashMap::new(),
            outcomes: Pieces::new(),
            errors: Vec::new(),
            lost_at: [None; 2],
            ended: 0,
        }
    }

    /// The firewall mark of a flow's segments; 0 is none.
    pub fn mark_of(&self, slot: u32) -> u32 {
        self.marks.get(&slot).copied().unwrap_or(0)
    }

    /// The mark of the flow that goes where a segment came from, if there is one.
    pub fn mark_for(&self, answer: &Answer) -> Option<u32> {
        if self.marks.is_empty() {
            return None;
        }
        let destination = self.flows.destination(answer.source, answer.source_port);
        self.flows.find(destination, self.ports.number(answer.port)?).map(|slot| self.mark_of(slot))
    }

    /// Makes room for one more flow, with this mark.
    pub fn grow(&mut self, mark: u32) -> Result<(), OutOfMemory> {
        self.flows.grow()?;
        if mark != 0 {
            self.marks.try_reserve(1)?;
        }
        Ok(())
    }

    pub fn set_mark(&mut self, slot: u32, mark: u32) {
        if mark != 0 {
            self.marks.insert(slot, mark);
        }
    }

    /// What the next SYN of a flow says.
    pub fn next_syn(&mut self, slot: u32, target_port: u16, now: u64) -> (FlowNumber, SynFields) {
        let number = self.flows.number(slot);
        let source_port = self.ports.port(self.flows.flow(slot).port);
        let isn = self.key.isn(number.get()) ^ self.flows.mask(slot);
        (number, SynFields { source_port, target_port, isn, tsval: milliseconds(now) })
    }

    /// The next SYN of a flow leaves from another port, if there is one. A target answers the same SYN twice in half a
    /// second at most (tcp_invalid_ratelimit, Documentation/networking/ip-sysctl.rst), and may have a half-open connection
    /// left of an older check from this port.
    pub fn change_port(&mut self, slot: u32) {
        self.flows.change_port(slot, self.ports.len());
    }

    /// A segment came in, at this time. It counts only if it answers the SYN of a flow, from where that went.
    pub fn hear(&mut self, answer: &Answer, at: u64) -> Heard {
        let Some(port) = self.ports.number(answer.port) else { return Heard::Nothing };
        let destination = self.flows.destination(answer.source, answer.source_port);
        if answer.kind == AnswerKind::Ack {
            return self.hear_ack(destination, port);
        }
        let number = self.number_of(answer.ack.wrapping_sub(1), destination, port);
        let Some((_, flow)) = self.flows.get(number).filter(|(_, flow)| flow.destination == destination) else {
            return Heard::Nothing;
        };
        if flow.is_answered() {
            return Heard::Answer;
        }
        let of_last = flow.port == port;
        match answer.kind {
            AnswerKind::Reset if flow.is_refused_once() && !of_last => return Heard::Answer, // to an earlier SYN
            AnswerKind::Reset if !flow.is_refused_once() && self.lately_up.may_have(destination, at) => {
                flow.set_refused_once();
                if !self.lately_up.is_latest(destination) {
                    flow.errno = libc::ECONNREFUSED as u8; // if no more is heard, that is what was said
                }
                self.change_port(number.slot());
                return Heard::MaybeRefused(number.slot());
            }
            AnswerKind::Reset => self.lately_up.forget(destination),
            _ => self.lately_up.note(destination, at),
        }
        flow.set_answered();
        let Answer { kind, ts_echo, .. } = *answer;
        self.outcomes.push_back((number, Outcome::Answered { kind, at, ts_echo, of_last }));
        Heard::Answer
    }

    /// The number of the flow whose SYN to this destination from this port has this ISN. Over the ISN lies a hash of both,
    /// whose key nobody knows: no SYN tells of the ISN of another one, be it to another target or from another port.
    fn number_of(&self, isn: u32, destination: Destination, port: u16) -> FlowNumber {
        FlowNumber::of(self.key.number(isn ^ self.flows.mask_of(destination, port)))
    }

    fn hear_ack(&mut self, destination: Destination, port: u16) -> Heard {
        let Some(slot) = self.flows.find(destination, port) else { return Heard::Nothing };
        let flow = self.flows.flow(slot);
        if flow.is_answered() || flow.sent == 0 || flow.acks >= REPEATS_BY_ACK {
            return Heard::Nothing;
        }
        flow.acks += 1;
        Heard::OlderSyn(slot)
    }

    /// An ICMP error came in. What came before it and was not read yet counts first.
    pub fn note_error(&mut self, error: &IcmpError<'_>) {
        // One that there is no memory for is lost, as any may be on its way.
        if let Some(quote) = parse_quote(error.quote)
            && self.errors.try_reserve(1).is_ok()
        {
            self.errors.push((error.errno, error.to, quote));
        }
    }

    /// Whether errors wait until all that came before them is heard.
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// They count once all that came before them is heard; where segments come without end, once they are many.
    pub fn hear_errors(&mut self, all_is_heard: bool) {
        if !all_is_heard && self.errors.len() < MANY_ERRORS {
            return;
        }
        for (errno, to, quote) in std::mem::take(&mut self.errors) {
            self.hear_error(errno, to, &quote);
        }
    }

    /// It counts only if it quotes the SYN of a flow.
    fn hear_error(&mut self, errno: i32, to: IpAddr, quote: &Quote) {
        let destination = self.flows.destination(to, quote.target_port);
        let Some(port) = self.ports.number(quote.source_port) else { return };
        let number = self.number_of(quote.isn, destination, port);
        let Some((_, flow)) = self.flows.get(number) else { return };
        if flow.destination != destination || flow.is_answered() {
            return;
        }
        match status_of(errno, Origin::Network) {
            // Another SYN may be answered yet.
            Status::Unreachable if flow.sent > 1 => flow.errno = errno as u8,
            Status::Unreachable | Status::Refused => {
                flow.set_answered();
                self.outcomes.push_back((number, Outcome::Failed { errno, origin: Origin::Network }));
            }
            _ => {} // about the size of segments, or the like
        }
    }

    /// A SYN of a flow has left.
    pub fn left(&mut self, flow: FlowNumber, at: u64) {
        if let Some((_, flow)) = self.flows.get(flow) {
            if flow.sent == 0 {
                flow.errno = 0; // what kept an earlier one here says nothing of the target
            }
            flow.sent_at = CoarseTime::of(at);
            flow.sent = flow.sent.saturating_add(1);
        }
    }

    /// This host did not send a SYN.
    pub fn refused(&mut self, refusal: &Refusal) {
        let Some((_, flow)) = self.flows.get(refusal.flow) else { return };
        if refusal.is_final && flow.sent == 0 && !flow.is_answered() {
            flow.set_answered();
            let failed = Outcome::Failed { errno: refusal.errno, origin: Origin::Connect };
            self.outcomes.push_back((refusal.flow, failed));
        } else if flow.sent == 0 {
            flow.errno = refusal.errno as u8;
        }
    }

    pub fn has_outcomes(&self) -> bool {
        !self.outcomes.is_empty()
    }

    /// The next outcome: the check, and the slot of the flow.
    pub fn next_outcome(&mut self) -> Option<(SlotKey, u32, Outcome)> {
        while let Some((number, outcome)) = self.outcomes.pop_front() {
            if let Some((check, _)) = self.flows.get(number) {
                return Some((check, number.slot(), outcome));
            }
        }
        None
    }

    /// The flow ends. What it means for the target: an outcome, or a deadline that has passed.
    pub fn conclude(&mut self, slot: u32, outcome: Option<Outcome>, target: &SocketAddr, syn_at: u64) -> Verdict {
        let flow = self.flows.flow(slot);
        let mut verdict = Verdict { address: Some(*target), ..Verdict::without_segments(Status::TimedOut, 0) };
        verdict.syn_retransmits = u32::from(flow.sent.saturating_sub(1));
        match outcome {
            Some(Outcome::Answered { kind: AnswerKind::SynAck { zero_window }, at, ts_echo, of_last }) => {
                (verdict.status, verdict.half_open, verdict.zero_window) = (Status::Up, true, zero_window);
                verdict.rtt_us = round_trip(flow, at, ts_echo, of_last, syn_at);
            }
            Some(Outcome::Answered { .. }) => {
                (verdict.status, verdict.os_error) = (Status::Refused, libc::ECONNREFUSED);
            }
            Some(Outcome::Failed { errno, origin }) => {
                (verdict.status, verdict.os_error) = (status_of(errno, origin), errno);
            }
            None => {
                let lost_at = self.lost_at[usize::from(canonical(target).is_ipv6())];
                (verdict.status, verdict.os_error) = without_answer(flow, syn_at, lost_at);
            }
        }
        self.flows.close(slot);
        if !self.marks.is_empty() {
            self.marks.remove(&slot);
        }
        self.ended += 1;
        if self.ended >= FLOWS_OF_A_KEY && self.flows.is_empty() {
            self.renew_key();
        }
        verdict
    }

    /// Gives back the memory of a burst. Only when there is no flow.
    pub fn shrink(&mut self) {
        self.flows.shrink();
        self.outcomes.shrink();
        self.marks = HashMap::new();
        self.renew_key(); // the generations begin anew
    }

    /// Numbers that come again have other ISNs from now on. Only when there is no flow.
    fn renew_key(&mut self) {
        self.key = IsnKey::random();
        self.ended = 0;
    }
}

/// The status and errno of a check whose deadline has passed.
fn without_answer(flow: &Flow, syn_at: u64, lost_at: Option<u64>) -> (Status, i32) {
    let last_syn_at = syn_at + flow.sent_at.since(syn_at);
    match flow.errno {
        // No SYN left this host.
        0 if flow.sent == 0 => (Status::LocalFault, libc::ENOBUFS),
        errno if flow.sent == 0 => (Status::LocalFault, errno.into()),
        // This host may have dropped the answer.
        _ if lost_at.is_some_and(|at| at >= last_syn_at) => (Status::LocalFault, libc::ENOBUFS),
        // The target is there: it told of an older half-open connection from our port, and went on to.
        0 if flow.acks > 0 => (Status::LocalFault, libc::EADDRINUSE),
        0 => (Status::TimedOut, 0),
        errno => (status_of(errno.into(), Origin::Network), errno.into()),
    }
}

/// The microseconds from a SYN to the answer, which came at this time. Which of several SYNs it was, the echo of its
/// timestamp says (RFC 7323, section 4); without it, the port that was answered.
fn round_trip(flow: &Flow, at: u64, ts_echo: Option<u32>, of_last: bool, syn_at: u64) -> u32 {
    let at = at.max(syn_at); // where the wall clock was set, the kernel's stamps mislead
    let since_last = if CoarseTime::of(at).is_before(flow.sent_at) { 0 } else { flow.sent_at.until(at) };
    let since_first = at.saturating_sub(syn_at);
    let nanoseconds = match ts_echo {
        Some(echo) if flow.sent > 1 => {
            let age = u64::from(milliseconds(at).wrapping_sub(echo)) * 1_000_000;
            let is_near = |other: u64| age.abs_diff(other) <= 2_000_000;
            match () {
                () if is_near(since_last) => since_last,
                () if is_near(since_first) || age > since_first => since_first,
                () => age,
            }
        }
        None if !of_last => since_first,
        _ => since_last,
    };
    u32::try_from(nanoseconds.div_ceil(1000).max(1)).unwrap_or(u32::MAX)
}

/// The clock of the timestamps in our SYNs.
fn milliseconds(now: u64) -> u32 {
    (now / 1_000_000) as u32
}

#[cfg(test)]
mod tests;
