//! The addresses of one name: tried one after another, until the first answers. Decides only; others act.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::command::Terms;
use super::outbox::ReplyTo;
use crate::check::verdict::{Status, Verdict};
use crate::resolver::Ticket;
use crate::timer_wheel::Timer;

pub(super) struct AddressRace {
    pub reply_to: ReplyTo,
    /// Tells this race from earlier ones of its slot.
    pub generation: u32,
    terms: Terms,
    /// To withdraw from the lookup by, until its answer is there.
    pub ticket: Option<Ticket>,
    /// The time that its checks wait for their turn is not charged.
    paced: bool,
    /// Addresses that have not had their turn. `None` while the name is being looked up.
    addresses: Option<VecDeque<SocketAddr>>,
    /// Slots of the checks under way.
    running: Vec<u32>,
    /// What came of the first address.
    first: Option<Verdict>,
    /// The deadline of the lookup; then the turn of the next address.
    pub timer: Option<Timer>,
}

/// The check of one address, to be queued.
pub(super) struct Turn {
    pub address: SocketAddr,
    pub first: bool,
    pub terms: Terms,
}

/// What follows from the verdict on one address.
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
    pub fn new(reply_to: ReplyTo, generation: u32, terms: Terms) -> AddressRace {
        AddressRace {
            reply_to,
            generation,
            terms,
            ticket: None,
            paced: terms.paced,
            addresses: None,
            running: Vec::new(),
            first: None,
            timer: None,
        }
    }

    pub fn is_resolving(&self) -> bool {
        self.addresses.is_none()
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

    /// A paced race's time runs from the begin of its name's lookup.
    pub fn begin_time(&mut self, now: u64) {
        self.terms = Terms { submitted: now, paced: false, ..self.terms };
    }

    /// Whether an answer to its name is of any use now.
    pub fn is_in_time(&self, now: u64) -> bool {
        self.terms.paced || now < self.deadline()
    }

    /// The answer to its name.
    pub fn resolved(&mut self, addresses: Vec<SocketAddr>) {
        self.addresses = Some(addresses.into());
    }

    /// The address whose turn it is now.
    pub fn next_turn(&mut self, now: u64) -> Option<Turn> {
        let first = self.running.is_empty() && self.first.is_none();
        let address = self.addresses.as_mut()?.pop_front()?;
        let terms = if self.paced {
            let left = self.deadline().saturating_sub(now).div_ceil(1_000_000);
            Terms { submitted: now, timeout_ms: left as u32, paced: true, ..self.terms }
        } else {
            self.terms
        };
        Some(Turn { address, first, terms })
    }

    /// The check of an address waits in the table's slot `check`.
    pub fn is_checked_by(&mut self, check: u32) {
        self.running.push(check);
    }

    /// The SYN to one address leaves, after having waited its turn for `waited` ns.
    pub fn starts(&mut self, waited: u64) {
        if self.paced {
            self.terms.submitted += waited;
        }
    }

    pub fn has_more_addresses(&self) -> bool {
        self.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty())
    }

    /// The check of one address has its verdict.
    pub fn concluded(&mut self, check: u32, first: bool, verdict: Verdict, now: u64) -> Next {
        self.running.retain(|running| *running != check);
        if first {
            self.first = Some(verdict);
        }
        if verdict.status == Status::Up {
            return Next::End(verdict);
        }
        if now < self.deadline() && self.has_more_addresses() {
            return Next::Address;
        }
        if self.running.is_empty() { Next::End(self.first.unwrap_or(verdict)) } else { Next::Wait }
    }

    /// Slots of the checks that are under way, to be abandoned.
    pub fn into_running(self) -> Vec<u32> {
        self.running
    }

    pub fn elapsed_us(&self, now: u64) -> u64 {
        // The time of a paced one has not begun while its name waits.
        if self.terms.paced { 0 } else { now.saturating_sub(self.terms.submitted) / 1000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::close_mode::CloseMode;
    use crate::check::slot::SlotKey;

    const MS: u64 = 1_000_000;

    fn race(addresses: u8, paced: bool) -> AddressRace {
        let terms = Terms {
            submitted: 0,
            timeout_ms: 1000,
            close_mode: CloseMode::HALF_OPEN,
            mark: 0,
            paced,
            has_token: false,
        };
        let mut race = AddressRace::new(ReplyTo { sink: SlotKey::of(0), id: 1, tag: 0 }, 1, terms);
        let addresses = (1..=addresses).map(|last| ([127, 0, 0, last], 80).into());
        assert!(race.is_resolving());
        race.resolved(addresses.collect());
        race
    }

    fn take_turn(race: &mut AddressRace, now: u64) -> Turn {
        let turn = race.next_turn(now).unwrap();
        race.is_checked_by(turn.address.port().into());
        turn
    }

    fn verdict(status: Status) -> Verdict {
        Verdict::without_segments(status, 0)
    }

    #[test]
    fn the_first_answer_ends_it() {
        let mut race = race(2, false);
        assert!(take_turn(&mut race, 0).first);
        assert!(!take_turn(&mut race, 250 * MS).first);
        assert_eq!(race.concluded(80, false, verdict(Status::Up), 260 * MS), Next::End(verdict(Status::Up)));
    }

    #[test]
    fn a_refusal_gives_the_next_address_its_turn_and_the_first_ones_verdict_stands_in_the_end() {
        let mut race = race(2, false);
        take_turn(&mut race, 0);
        assert_eq!(race.concluded(80, true, verdict(Status::Refused), MS), Next::Address);
        take_turn(&mut race, MS);
        assert_eq!(race.concluded(80, false, verdict(Status::TimedOut), 2 * MS), Next::End(verdict(Status::Refused)));
    }

    #[test]
    fn a_verdict_waits_for_the_addresses_that_are_still_under_way() {
        let mut race = race(2, false);
        race.next_turn(0);
        race.is_checked_by(1);
        race.next_turn(250 * MS);
        race.is_checked_by(2);
        assert_eq!(race.concluded(1, true, verdict(Status::Unreachable), 300 * MS), Next::Wait);
    }

    #[test]
    fn no_address_has_its_turn_after_the_deadline() {
        let mut race = race(2, false);
        race.next_turn(0);
        race.is_checked_by(1);
        let end = Next::End(verdict(Status::TimedOut));
        assert_eq!(race.concluded(1, true, verdict(Status::TimedOut), 1000 * MS), end);
    }

    #[test]
    fn a_paced_one_is_not_charged_for_the_wait_for_its_turn() {
        let mut race = race(2, true);
        race.begin_time(100 * MS);
        assert_eq!(take_turn(&mut race, 100 * MS).terms.timeout_ms, 1000);
        race.starts(700 * MS);
        assert_eq!(race.deadline(), 1800 * MS);
        assert_eq!(take_turn(&mut race, 1050 * MS).terms.timeout_ms, 750);
    }

    #[test]
    fn an_answer_after_the_deadline_is_too_late() {
        let terms = Terms {
            submitted: 0,
            timeout_ms: 5,
            close_mode: CloseMode::HALF_OPEN,
            mark: 0,
            paced: false,
            has_token: false,
        };
        let race = AddressRace::new(ReplyTo { sink: SlotKey::of(0), id: 1, tag: 0 }, 1, terms);
        assert!(race.is_in_time(5 * MS - 1));
        assert!(!race.is_in_time(5 * MS));
    }
}
