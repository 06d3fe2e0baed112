//! ICMP errors, true and forged, early and late, about segments of checks that begin and end meanwhile: each counts for
//! the check whose SYN it quotes, and for no other.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use super::super::in_flight::{InFlight, Outcome};
use super::super::ports::Ports;
use super::super::receiving::IcmpError;
use super::super::segment::{SYN_LEN, SynTemplate};
use crate::check::slot::SlotKey;
use crate::check::verdict::Status;
use crate::engine::errno::{Origin, status_of};

const PORTS: u16 = 4;
const TARGETS: [u8; 2] = [1, 2];
/// All the errnos that the kernel makes of ICMP (icmp_err_convert in net/ipv4/icmp.c, icmpv6_err_convert in
/// net/ipv6/icmp.c), one that it does not, and none.
const ERRNOS: [i32; 10] = [
    libc::ENETUNREACH,
    libc::EHOSTUNREACH,
    libc::ENOPROTOOPT,
    libc::ECONNREFUSED,
    libc::EMSGSIZE,
    libc::EOPNOTSUPP,
    libc::EHOSTDOWN,
    libc::EACCES,
    libc::EPROTO,
    0,
];
/// So many steps of one input.
const STEPS: usize = 256;

/// What is wrong.
type Wrong = &'static str;

/// A check, as this file knows it.
struct Check {
    slot: u32,
    target: SocketAddr,
    /// The SYN that it sent last, as an error quotes it.
    quote: [u8; 8],
    syns: u32,
    /// What it must come to.
    expected: (Status, i32),
    is_answered: bool,
    outcome: Option<Outcome>,
}

struct Checks {
    in_flight: InFlight,
    live: Vec<Check>,
    /// The last SYNs of those that have ended.
    ended: Vec<[u8; 8]>,
    now: u64,
}

thread_local! {
    /// The ports are sockets: they are held from one input to the next.
    static CHECKS: RefCell<Checks> = RefCell::new(Checks::new());
}

/// Two bytes are one step. Panics on what must not be.
pub fn icmp(bytes: &[u8]) {
    CHECKS.with_borrow_mut(|checks| {
        if checks.run(bytes).is_err() {
            // Of 2^32 forged quotes a few meet a check by chance, but not twice: with other keys they are others.
            *checks = Checks::new();
            checks.run(bytes).expect("errors count for the check whose SYN they quote, and for no other");
        }
    });
}

fn ensure(is_so: bool, wrong: Wrong) -> Result<(), Wrong> {
    if is_so { Ok(()) } else { Err(wrong) }
}

impl Checks {
    fn new() -> Checks {
        let mut ports = Ports::new(0, PORTS);
        ports.hold().expect("four free ports");
        Checks { in_flight: InFlight::new(ports), live: Vec::new(), ended: Vec::new(), now: 1 << 40 }
    }

    fn run(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        for pair in bytes.chunks_exact(2).take(STEPS) {
            self.now += 1_000_000;
            let (kind, which, value) = (pair[0] % 8, usize::from(pair[0] >> 3), usize::from(pair[1]));
            match (kind, which % self.live.len().max(1)) {
                (0, _) => self.begin(TARGETS[value % TARGETS.len()]),
                (_, _) if self.live.is_empty() => {}
                (1, index) => {
                    let check = self.live.swap_remove(index);
                    self.end(check)?;
                }
                (2, index) => self.send(index),
                (3, index) => {
                    self.in_flight.change_port(self.live[index].slot);
                    self.send(index);
                }
                (4, index) => {
                    let errno = ERRNOS[value % ERRNOS.len()];
                    let Check { target, quote, .. } = self.live[index];
                    self.hear(errno, target.ip(), &quote);
                    self.live[index].note(errno);
                }
                (_, index) => self.hear_forged(kind, index, value),
            }
            self.take_outcomes()?;
        }
        while let Some(check) = self.live.pop() {
            self.end(check)?;
        }
        self.ended.clear();
        ensure(self.in_flight.flows.is_empty(), "a flow is left")
    }

    fn begin(&mut self, last: u8) {
        let target = SocketAddr::from(([127, 0, 0, last], 80));
        let flows = &mut self.in_flight.flows;
        let destination = flows.destination(target.ip(), target.port());
        flows.grow().expect("memory");
        let Some(slot) = flows.open(destination, PORTS) else { return };
        flows.begin(slot, SlotKey::of(slot as usize));
        let expected = (Status::TimedOut, 0);
        let check = Check { slot, target, quote: [0; 8], syns: 0, expected, is_answered: false, outcome: None };
        self.live.push(check);
        self.send(self.live.len() - 1);
    }

    fn send(&mut self, index: usize) {
        let check = &mut self.live[index];
        let (number, fields) = self.in_flight.next_syn(check.slot, check.target.port(), self.now);
        self.in_flight.left(number, self.now);
        let mut syn = [0; SYN_LEN];
        SynTemplate::v6().write_v6(&mut syn, &fields);
        check.quote = *syn.first_chunk().expect("a SYN is longer");
        check.syns += 1;
    }

    fn hear(&mut self, errno: i32, to: IpAddr, quote: &[u8]) {
        self.in_flight.note_error(&IcmpError { errno, to, quote });
        self.in_flight.hear_errors(true);
    }

    /// An error that must change nothing: a byte of the quote is another one, or it is about a segment to somebody else,
    /// or quotes too little, or a check that has ended.
    fn hear_forged(&mut self, kind: u8, index: usize, value: usize) {
        let errno = ERRNOS[value % 4];
        let Check { target, mut quote, .. } = self.live[index];
        match kind {
            5 => {
                quote[value % 8] ^= 1 << (value >> 5);
                self.hear(errno, target.ip(), &quote);
            }
            6 if value >= 128 => self.hear(errno, IpAddr::from([127, 0, 0, 9]), &quote),
            6 => self.hear(errno, target.ip(), &quote[..value % 8]),
            _ => {
                if let Some(old) = self.ended.get(value % self.ended.len().max(1)).copied() {
                    TARGETS.iter().for_each(|last| self.hear(errno, IpAddr::from([127, 0, 0, *last]), &old));
                }
            }
        }
    }

    fn take_outcomes(&mut self) -> Result<(), Wrong> {
        while let Some((key, slot, outcome)) = self.in_flight.next_outcome() {
            ensure(key == SlotKey::of(slot as usize), "an outcome of another check")?;
            let check = self.live.iter_mut().find(|check| check.slot == slot).ok_or("an outcome of no check")?;
            ensure(check.is_answered, "an outcome of a check that nobody answered")?;
            ensure(check.outcome.replace(outcome).is_none(), "two outcomes of one check")?;
        }
        Ok(())
    }

    fn end(&mut self, check: Check) -> Result<(), Wrong> {
        ensure(check.outcome.is_some() == check.is_answered, "an error that counts has no outcome")?;
        let verdict = self.in_flight.conclude(check.slot, check.outcome, &check.target, self.now);
        self.ended.push(check.quote);
        ensure((verdict.status, verdict.os_error) == check.expected, "another verdict than the errors give")
    }
}

impl Check {
    /// An error came in about the SYN that the check sent last.
    fn note(&mut self, errno: i32) {
        match status_of(errno, Origin::Network) {
            _ if self.is_answered => {}
            // Another SYN may be answered yet.
            status @ Status::Unreachable if self.syns > 1 => self.expected = (status, errno),
            status @ (Status::Unreachable | Status::Refused) => {
                (self.expected, self.is_answered) = ((status, errno), true);
            }
            _ => {}
        }
    }
}
