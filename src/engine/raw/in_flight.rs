//! Which check a segment or an ICMP error answers, and what that says of its target. Decides only; others send and
//! receive.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::flows::{CoarseTime, Destination, Flow, FlowNumber, Flows};
use super::isn::IsnKey;
use super::ports::Ports;
use super::receiving::IcmpError;
use super::segment::{Answer, AnswerKind, SynFields, parse_quote};
use crate::check::slot::SlotKey;
use crate::check::verdict::{Status, Verdict};
use crate::engine::errno::{Origin, status_of};

/// How often a bare ACK has a SYN sent again: a forged one must not have many leave.
const REPEATS_BY_ACK: u8 = 2;

/// What became of a flow.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
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

/// What a segment is that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The answer to a SYN, or the same once more.
    Answer,
    /// A bare ACK: the target has a half-open connection of an older SYN from the port of this flow, whose RST was
    /// lost. The kernel resets it now, so that the same SYN, sent once more, is answered (RFC 9293, section 3.5.2).
    OlderSyn(u32),
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
    /// What the loop has not been told of yet; some of it is of flows that have ended.
    outcomes: VecDeque<(FlowNumber, Outcome)>,
    /// When the kernel dropped segments that nobody had read in time.
    pub dropped_at: Option<CoarseTime>,
}

impl InFlight {
    pub fn new(ports: Ports) -> InFlight {
        InFlight { flows: Flows::default(), ports, key: IsnKey::random(), outcomes: VecDeque::new(), dropped_at: None }
    }

    /// What the next SYN of a flow says.
    pub fn next_syn(&mut self, slot: u32, target_port: u16, now: u64) -> (FlowNumber, SynFields) {
        let number = self.flows.number(slot);
        let source_port = self.ports.port(self.flows.flow(slot).port);
        let isn = self.key.isn(number.get());
        (number, SynFields { source_port, target_port, isn, tsval: milliseconds(now) })
    }

    /// A segment came in, at this time. It counts only if it answers the SYN of a flow, from where that went.
    pub fn hear(&mut self, answer: &Answer, at: u64) -> Heard {
        let Some(port) = self.ports.number(answer.port) else { return Heard::Nothing };
        let destination = self.flows.destination(answer.source, answer.source_port);
        if answer.kind == AnswerKind::Ack {
            return self.hear_ack(destination, port);
        }
        let number = FlowNumber::of(self.key.number(answer.ack.wrapping_sub(1)));
        match self.flows.get(number) {
            Some((_, flow)) if flow.port == port && flow.destination == destination && flow.sent > 0 => {
                if !flow.is_answered() {
                    flow.set_answered();
                    let Answer { kind, ts_echo, .. } = *answer;
                    self.outcomes.push_back((number, Outcome::Answered { kind, at, ts_echo }));
                }
                Heard::Answer
            }
            _ => Heard::Nothing,
        }
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

    /// An ICMP error came in. It counts only if it quotes the SYN of a flow.
    pub fn hear_error(&mut self, error: &IcmpError<'_>) {
        let Some(quote) = parse_quote(error.quote) else { return };
        let number = FlowNumber::of(self.key.number(quote.isn));
        let destination = self.flows.destination(error.to, quote.target_port);
        let port = self.ports.number(quote.source_port);
        let Some((_, flow)) = self.flows.get(number) else { return };
        if port != Some(flow.port) || flow.destination != destination || flow.is_answered() {
            return;
        }
        if status_of(error.errno, Origin::Network) != Status::Unreachable {
            return; // about the size of segments, or the like
        }
        if flow.sent > 1 {
            flow.errno = error.errno as u8; // another SYN may be answered yet
        } else {
            flow.set_answered();
            self.outcomes.push_back((number, Outcome::Failed { errno: error.errno, origin: Origin::Network }));
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
        self.flows.close(slot);
        verdict
    }

    /// Gives back the memory of a burst. Only when there is no flow.
    pub fn shrink(&mut self) {
        self.flows.shrink();
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
        Some(echo) if flow.sent > 1 => {
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
