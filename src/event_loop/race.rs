//! A name and its addresses: looked up first, then tried one after another, until the first answers.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::{EventLoop, Owner, RACE, ReplyTo};
use crate::check::request::Family;
use crate::check::target::Name;
use crate::check::verdict::{Status, Verdict};
use crate::event_loop::handle::{Asker, Query, Terms};
use crate::resolver;
use crate::sys::clock;
use crate::timer_wheel::Timer;

/// How long the next address waits for an answer of the one before it (RFC 8305, section 5: Connection Attempt Delay).
const ATTEMPT_DELAY_MS: u32 = 250;

pub(super) struct Race {
    pub reply_to: ReplyTo,
    generation: u32,
    terms: Terms,
    /// The time that its checks wait for their turn is not charged.
    paced: bool,
    /// Addresses that have not had their turn. `None` while the name is being looked up.
    addresses: Option<VecDeque<SocketAddr>>,
    /// Slots of the checks under way.
    running: Vec<u32>,
    /// What came of the first address.
    first: Option<Verdict>,
    /// The deadline of the lookup; then the turn of the next address.
    timer: Option<Timer>,
}

impl Race {
    pub fn is_resolving(&self) -> bool {
        self.addresses.is_none()
    }

    fn deadline(&self) -> u64 {
        self.terms.submitted + u64::from(self.terms.timeout_ms) * 1_000_000
    }
}

impl EventLoop {
    /// Has the name looked up.
    pub(super) fn begin_race(&mut self, reply_to: ReplyTo, name: Name, family: Family, terms: Terms) {
        let generation = self.next_generation();
        let slot = self.races.insert(Race {
            reply_to,
            generation,
            terms,
            paced: terms.paced,
            addresses: None,
            running: Vec::new(),
            first: None,
            timer: None,
        }) as u32;
        self.resolving += 1;
        self.remember(reply_to.id, slot | RACE);
        let deadline = (!terms.paced).then(|| {
            self.races[slot as usize].timer = Some(self.set_deadline(terms.submitted, terms.timeout_ms, slot | RACE));
            self.races[slot as usize].deadline()
        });
        let asker = Asker { race: slot, generation, deadline, timeout_ms: terms.timeout_ms };
        if let Err(errno) = self.shared.resolver.ask(Query { name, family }, &self.handle, asker) {
            self.end_race(slot, Verdict::without_segments(Status::LocalFault, errno), clock::now());
        }
    }

    /// The time of a paced check runs from when its name is taken up.
    pub(super) fn start_the_clock(&mut self, slot: u32, generation: u32) {
        let now = self.now;
        let Some(race) = self.races.get_mut(slot as usize).filter(|race| race.generation == generation) else { return };
        if race.terms.paced {
            race.terms = Terms { submitted: now, paced: false, ..race.terms };
            let timeout_ms = race.terms.timeout_ms;
            self.races[slot as usize].timer = Some(self.set_deadline(now, timeout_ms, slot | RACE));
        }
    }

    /// The resolver's answer; too late if another race sits in the slot by now.
    pub(super) fn resolved(&mut self, slot: u32, generation: u32, addresses: Result<Vec<SocketAddr>, i32>) {
        let now = clock::now();
        let Some(race) = self.races.get_mut(slot as usize).filter(|race| race.generation == generation) else { return };
        let in_time = race.terms.paced || now < race.deadline();
        match addresses {
            Ok(addresses) if in_time => {
                race.addresses = Some(addresses.into());
                self.resolving -= 1;
                self.clear_race_timer(slot);
                self.next_address(slot);
            }
            Ok(_) => self.end_unresolved(slot, resolver::NOT_IN_TIME),
            Err(code) => self.end_unresolved(slot, code),
        }
    }

    fn end_unresolved(&mut self, slot: u32, code: i32) {
        self.latest = clock::now();
        self.end_race(slot, Verdict::without_segments(Status::Unresolved, code), self.latest);
    }

    pub(super) fn race_due(&mut self, slot: u32) {
        let race = &mut self.races[slot as usize];
        race.timer = None;
        match race.is_resolving() {
            true => self.end_unresolved(slot, resolver::NOT_IN_TIME),
            false => self.next_address(slot),
        }
    }

    /// Gives the next address its turn: the first one at the end of the queue, as any check; the others at its head, since
    /// their check has had its turn.
    fn next_address(&mut self, slot: u32) {
        let now = clock::now();
        let race = &mut self.races[slot as usize];
        let first = race.running.is_empty() && race.first.is_none();
        let Some(address) = race.addresses.as_mut().and_then(VecDeque::pop_front) else { return };
        let terms = if race.paced {
            let left = race.deadline().saturating_sub(now).div_ceil(1_000_000);
            Terms { submitted: now, timeout_ms: left as u32, paced: true, ..race.terms }
        } else {
            race.terms
        };
        let place = self.admit(Owner::Race { race: slot, first }, address, terms);
        self.races[slot as usize].running.push(place.0);
        self.just_concluded = false; // it was submitted after that
        match first {
            true => self.queue.push_back(place),
            false => self.queue.push_front(place),
        }
    }

    /// The SYN to one address leaves, after having waited its turn for `waited` ns; the next address waits for it.
    pub(super) fn race_starts_address(&mut self, slot: u32, waited: u64) {
        let race = &mut self.races[slot as usize];
        if race.paced {
            race.terms.submitted += waited;
        }
        if race.timer.is_none() && race.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty()) {
            let timer = self.set_deadline(self.latest, ATTEMPT_DELAY_MS, slot | RACE);
            self.races[slot as usize].timer = Some(timer);
        }
    }

    /// The check of one address has its verdict, and its slot is free.
    pub(super) fn lap(&mut self, slot: u32, check: u32, first: bool, verdict: Verdict, now: u64) {
        let race = &mut self.races[slot as usize];
        race.running.retain(|running| *running != check);
        if first {
            race.first = Some(verdict);
        }
        if verdict.status == Status::Up {
            return self.end_race(slot, verdict, now);
        }
        let out_of_time = now >= race.deadline();
        if !out_of_time && race.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty()) {
            self.clear_race_timer(slot);
            return self.next_address(slot);
        }
        if race.running.is_empty() {
            let first = race.first.unwrap_or(verdict);
            self.end_race(slot, first, now);
        }
    }

    /// Ends a race and the checks of it that still run.
    pub(super) fn end_race(&mut self, slot: u32, mut verdict: Verdict, now: u64) {
        self.clear_race_timer(slot);
        let race = self.races.remove(slot as usize);
        self.resolving -= usize::from(race.is_resolving());
        for check in race.running {
            self.abandon(check);
        }
        // The time of a paced one has not begun while its name waits.
        verdict.elapsed_us = if race.terms.paced { 0 } else { now.saturating_sub(race.terms.submitted) / 1000 };
        self.finish(race.reply_to, verdict);
    }

    fn clear_race_timer(&mut self, slot: u32) {
        if let Some(timer) = self.races[slot as usize].timer.take() {
            self.deadlines.clear(timer);
        }
    }
}
