//! The SYNs of one check that may need several: the addresses of a name, tried one after another until the first
//! answers, and early SYNs to an address that gives no answer. Decides only; others act.

use std::net::SocketAddr;

use super::check::says_nothing;
use super::command::Terms;
use super::outbox::ReplyTo;
use crate::check::verdict::{Status, Verdict};
use crate::resolver::{NOT_IN_TIME, Ticket};
use crate::sys::memory::{OutOfMemory, vec_for};
use crate::sys::os_error::EAFNOSUPPORT;
use crate::timer_wheel::Timer;

const NANOSECONDS_PER_MS: u64 = 1_000_000;
/// How long the next address waits for an answer of the one before it (RFC 8305, section 5: Connection Attempt Delay).
const ATTEMPT_DELAY_MS: u32 = 250;
/// SYNs to one address, the kernel's own retransmissions not counted.
const SYNS: u8 = 4;

pub(super) struct AddressRace {
    pub reply_to: ReplyTo,
    /// Tells this race from earlier ones of its slot.
    pub generation: u32,
    terms: Terms,
    /// The time that its checks wait for their turn is not charged.
    paced: bool,
    /// Its name is being looked up.
    resolving: bool,
    /// Its addresses were known when there was hardly any time for an answer.
    known_late: bool,
    /// A SYN has left.
    asked: bool,
    /// When the first one did, in milliseconds on the loop's clock modulo 2^32. There may be a race for each silent check,
    /// so it is made small.
    asked_ms: u32,
    addresses: Vec<Address>,
    /// How many of them have had their turn.
    tried: u32,
    /// The checks under way.
    running: Vec<Running>,
    /// The deadline of the lookup; then the turn of the next SYN.
    pub timer: Option<Timer>,
    /// To withdraw from the lookup by.
    pub ticket: Option<Ticket>,
}

struct Address {
    address: SocketAddr,
    /// SYNs sent, the kernel's own retransmissions not counted.
    sent: u8,
    /// The best that came of it.
    best: Option<Verdict>,
    /// The kernel's retransmissions of checks that are over.
    retransmits: u32,
}

struct Running {
    /// Its slot.
    check: u32,
    /// The number of its address.
    address: u32,
}

/// Modulo 2^32.
fn milliseconds(time: u64) -> u32 {
    (time / NANOSECONDS_PER_MS) as u32
}

fn untried(&address: &SocketAddr) -> Address {
    Address { address, sent: 0, best: None, retransmits: 0 }
}

impl Address {
    fn has_refused(&self) -> bool {
        self.best.is_some_and(|best| best.status == Status::Refused)
    }
}

/// What is to be sent next.
pub(super) enum Turn {
    /// The first SYN to an address, by a check that is to be queued.
    Address { address: SocketAddr, number: usize, terms: Terms },
    /// Another SYN to an address that gave no answer, if there is room for it now.
    EarlySyn { address: SocketAddr, number: usize, terms: Terms },
}

/// What follows from the verdict on one check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next address has its turn at once.
    Address,
    /// The others are still under way.
    Wait,
    /// It is over.
    End(Verdict),
}

impl AddressRace {
    /// Of the addresses of a name that is being looked up.
    pub fn of_name(reply_to: ReplyTo, generation: u32, terms: Terms) -> AddressRace {
        AddressRace {
            reply_to,
            generation,
            terms,
            paced: terms.paced,
            resolving: true,
            addresses: Vec::new(),
            known_late: false,
            asked: false,
            asked_ms: 0,
            tried: 0,
            running: Vec::new(),
            timer: None,
            ticket: None,
        }
    }

    /// Of early SYNs to the address of a check that is in flight, in this slot, and gave no answer so far.
    pub fn of_check(reply_to: ReplyTo, generation: u32, terms: Terms, address: SocketAddr, check: u32) -> AddressRace {
        let mut race = AddressRace::of_name(reply_to, generation, terms);
        race.resolving = false;
        race.addresses.push(untried(&address));
        race.is_asked(terms.submitted); // or later, but it has had no answer for a while
        race.tried = 1;
        race.is_checked_by(check, 0);
        race
    }

    pub fn is_resolving(&self) -> bool {
        self.resolving
    }

    /// Its time has not begun yet.
    pub fn waits_for_its_time(&self) -> bool {
        self.terms.paced
    }

    pub fn timeout_ms(&self) -> u32 {
        self.terms.timeout_ms
    }

    pub fn deadline(&self) -> u64 {
        self.terms.submitted + u64::from(self.terms.timeout_ms) * 1_000_000
    }

    /// The time of a paced one runs from when the lookup of its name begins.
    pub fn begin_time(&mut self, now: u64) {
        self.terms = Terms { submitted: now, paced: false, ..self.terms };
    }

    /// Whether an answer to its name is of any use now.
    pub fn is_in_time(&self, now: u64) -> bool {
        self.terms.paced || now < self.deadline()
    }

    /// The answer to its name, if there is memory for it.
    pub fn resolved(&mut self, addresses: &[SocketAddr], now: u64) -> Result<(), OutOfMemory> {
        self.addresses = vec_for(addresses.len())?;
        self.addresses.extend(addresses.iter().map(untried));
        self.resolving = false;
        self.known_late = says_nothing(self.deadline().saturating_sub(now), self.terms.timeout_ms);
        Ok(())
    }

    /// What has its turn now.
    pub fn next_turn(&mut self, now: u64) -> Option<Turn> {
        let number = self.tried as usize;
        if let Some(&Address { address, .. }) = self.addresses.get(number) {
            self.tried += 1;
            let terms = if self.paced {
                let left = self.deadline().saturating_sub(now).div_ceil(1_000_000);
                Terms { submitted: now, timeout_ms: left as u32, paced: true, ..self.terms }
            } else {
                self.terms
            };
            return Some(Turn::Address { address, number, terms });
        }
        let number = self.next_repeated()?;
        // Its time runs already, and ends with the race's.
        let terms = Terms { paced: false, ..self.terms };
        Some(Turn::EarlySyn { address: self.addresses[number].address, number, terms })
    }

    /// The address that has had the fewest SYNs of those that may have one more.
    fn next_repeated(&self) -> Option<usize> {
        let candidates =
            self.addresses.iter().enumerate().filter(|(_, address)| !address.has_refused() && address.sent < SYNS);
        candidates.min_by_key(|(_, address)| address.sent).map(|(number, _)| number)
    }

    /// How long the next turn waits for an answer, of a race whose early SYNs go out in this interval; 0 is never.
    pub fn next_delay(&self, syn_interval_ms: u32) -> Option<u32> {
        if self.has_more_addresses() {
            Some(ATTEMPT_DELAY_MS)
        } else if syn_interval_ms > 0 && self.next_repeated().is_some() {
            Some(syn_interval_ms)
        } else {
            None
        }
    }

    /// A check of the address of this number is under way, in the table's slot `check`.
    pub fn is_checked_by(&mut self, check: u32, number: usize) {
        self.addresses[number].sent += 1;
        self.running.push(Running { check, address: number as u32 });
    }

    /// The SYN to one address leaves, after having waited its turn for `waited` ns.
    pub fn starts(&mut self, waited: u64, now: u64) {
        self.is_asked(now);
        if self.paced {
            self.terms.submitted += waited;
        }
    }

    fn is_asked(&mut self, now: u64) {
        if !self.asked {
            (self.asked, self.asked_ms) = (true, milliseconds(now));
        }
    }

    fn has_more_addresses(&self) -> bool {
        (self.tried as usize) < self.addresses.len()
    }

    /// A check of one address has its verdict.
    pub fn concluded(&mut self, check: u32, verdict: Verdict, now: u64) -> Next {
        let Some(index) = self.running.iter().position(|running| running.check == check) else { return Next::Wait };
        let number = self.running.remove(index).address as usize;
        if verdict.status == Status::Up {
            return Next::End(verdict);
        }
        let address = &mut self.addresses[number];
        address.retransmits += verdict.syn_retransmits;
        let verdict = Verdict { syn_retransmits: 0, ..verdict }; // they are counted by address
        address.best = Some(address.best.map_or(verdict, |best| better(best, verdict)));
        if now < self.deadline() && self.has_more_addresses() {
            return Next::Address;
        }
        let all_refused = !self.has_more_addresses() && self.addresses.iter().all(Address::has_refused);
        if self.running.is_empty() || all_refused {
            Next::End(self.believed(self.outcome().unwrap_or(verdict), now))
        } else {
            Next::Wait
        }
    }

    /// An early SYN was given up, which the kernel had sent again so many times.
    pub fn given_up(&mut self, check: u32, retransmits: u32) -> Next {
        let Some(index) = self.running.iter().position(|running| running.check == check) else { return Next::Wait };
        let number = self.running.remove(index).address as usize;
        self.addresses[number].retransmits += retransmits;
        match self.outcome() {
            Some(outcome) if self.running.is_empty() => Next::End(outcome),
            _ => Next::Wait,
        }
    }

    /// What is said of the name when none of its addresses answers: what came of the first one. But one that this host
    /// could not ask may be live, and then there is no verdict on the name. Only where this host lacks the whole family,
    /// it goes by the others.
    fn outcome(&self) -> Option<Verdict> {
        let tried = || self.addresses.iter().filter_map(|address| address.best);
        let counting = || tried().filter(|best| (best.status, best.os_error) != (Status::LocalFault, EAFNOSUPPORT));
        let fault = counting().find(|best| (best.status as i32) < 0);
        fault.or_else(|| counting().next()).or_else(|| tried().next())
    }

    /// Silence says nothing of a name whose first address this host was too late to ask: it was not resolved in time, or
    /// had no turn.
    fn believed(&self, outcome: Verdict, now: u64) -> Verdict {
        let silence = u64::from(milliseconds(now).wrapping_sub(self.asked_ms)) * NANOSECONDS_PER_MS;
        if outcome.status != Status::TimedOut || !self.asked || !says_nothing(silence, self.terms.timeout_ms) {
            return outcome;
        }
        match self.paced || self.known_late {
            true => Verdict::without_segments(Status::Unresolved, NOT_IN_TIME),
            false => Verdict { status: Status::Busy, os_error: 0, ..outcome },
        }
    }

    /// SYNs to the address of a verdict beyond the first one, but for those that the kernel sent for checks under way.
    pub fn syns_sent_again(&self, to: Option<SocketAddr>) -> u32 {
        let address = self.addresses.iter().find(|address| Some(address.address) == to);
        address.map_or(0, |address| u32::from(address.sent.saturating_sub(1)) + address.retransmits)
    }

    /// What is left to end with it: the checks under way.
    pub fn into_running(self) -> impl Iterator<Item = u32> {
        self.running.into_iter().map(|running| running.check)
    }

    pub fn elapsed_us(&self, now: u64) -> u64 {
        // The time of a paced one has not begun while its name waits.
        if self.terms.paced { 0 } else { now.saturating_sub(self.terms.submitted) / 1000 }
    }
}

/// Of two verdicts on one address, the one that says more: a refusal, then a word of the network, then silence.
fn better(one: Verdict, other: Verdict) -> Verdict {
    let rank = |verdict: &Verdict| match verdict.status {
        Status::Refused => 0,
        Status::Unreachable => 1,
        Status::TimedOut => 2,
        _ => 3,
    };
    if rank(&other) < rank(&one) { other } else { one }
}

#[cfg(test)]
mod tests;
