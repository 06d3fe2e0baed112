//! Checks of names: looked up first, then a race of their addresses.

use std::net::SocketAddr;
use std::sync::Arc;

use slab::Slab;

use super::address_race::{AddressRace, Next, Turn};
use super::check_table::{Owner, Place, is_before};
use super::checks::{Checks, RaceEvent};
use super::command::Terms;
use super::handle::LoopHandle;
use super::outbox::ReplyTo;
use super::shared::Shared;
use super::timers::TimerOwner;
use crate::check::request::Family;
use crate::check::target::Name;
use crate::check::verdict::{Status, Verdict};
use crate::resolver::{self, Query, Waiter, WaiterKey};
use crate::sys::clock;

/// How long the next address waits for an answer of the one before it (RFC 8305, section 5: Connection Attempt Delay).
const ATTEMPT_DELAY_MS: u32 = 250;

pub(super) struct Races {
    shared: Arc<Shared>,
    handle: Arc<LoopHandle>,
    races: Slab<AddressRace>,
    /// Races whose names are being looked up.
    resolving: usize,
}

impl Races {
    pub fn new(shared: Arc<Shared>, handle: Arc<LoopHandle>) -> Races {
        Races { shared, handle, races: Slab::new(), resolving: 0 }
    }

    /// Races that are being looked up.
    pub fn resolving(&self) -> usize {
        self.resolving
    }

    pub fn is_empty(&self) -> bool {
        self.races.is_empty()
    }

    /// Slots that may hold a race.
    pub fn slots(&self) -> u32 {
        self.races.capacity() as u32
    }

    /// Has a submitted check's name looked up.
    pub fn submit(&mut self, checks: &mut Checks, reply_to: ReplyTo, name: Name, family: Family, terms: Terms) {
        let generation = checks.table.next_generation();
        let slot = self.races.insert(AddressRace::new(reply_to, generation, terms)) as u32;
        self.resolving += 1;
        checks.table.remember(reply_to.id, Place::Race(slot));
        let race = &mut self.races[slot as usize];
        let deadline = (!terms.paced).then(|| {
            race.timer = Some(checks.timers.set(terms.submitted, terms.timeout_ms, TimerOwner::Race(slot)));
            race.deadline()
        });
        let key = WaiterKey { slot, generation };
        let waiter = Waiter { listener: self.handle.clone(), key, deadline, timeout_ms: terms.timeout_ms };
        match self.shared.resolver.ask(Query { name, family }, waiter) {
            Ok(ticket) => {
                self.races[slot as usize].ticket = Some(ticket);
                if ticket.began {
                    self.lookup_began(checks, slot, generation);
                }
            }
            Err(errno) => self.end(checks, slot, Verdict::without_segments(Status::LocalFault, errno), clock::now()),
        }
    }

    /// The lookup of a paced check's name began.
    pub fn lookup_began(&mut self, checks: &mut Checks, slot: u32, generation: u32) {
        let now = checks.clock.round();
        if let Some(race) = self.find(slot, generation)
            && race.waits_for_its_time()
        {
            race.begin_time(now);
            race.timer = Some(checks.timers.set(now, race.timeout_ms(), TimerOwner::Race(slot)));
        }
    }

    /// The resolver's answer. It is too late if another race has the slot.
    pub fn resolved(
        &mut self,
        checks: &mut Checks,
        slot: u32,
        generation: u32,
        addresses: Result<Vec<SocketAddr>, i32>,
    ) {
        let now = clock::now();
        let Some(race) = self.find(slot, generation) else { return };
        race.ticket = None;
        match addresses {
            Ok(addresses) if race.is_in_time(now) => {
                race.resolved(addresses);
                self.resolving -= 1;
                self.clear_timer(checks, slot);
                self.next_address(checks, slot);
            }
            Ok(_) => self.end_unresolved(checks, slot, resolver::NOT_IN_TIME),
            Err(code) => self.end_unresolved(checks, slot, code),
        }
    }

    fn find(&mut self, slot: u32, generation: u32) -> Option<&mut AddressRace> {
        self.races.get_mut(slot as usize).filter(|race| race.generation == generation)
    }

    fn end_unresolved(&mut self, checks: &mut Checks, slot: u32, code: i32) {
        let now = checks.clock.read();
        self.end(checks, slot, Verdict::without_segments(Status::Unresolved, code), now);
    }

    /// The lookup's deadline has passed, or the next address has its turn.
    pub fn due(&mut self, checks: &mut Checks, slot: u32) {
        let race = &mut self.races[slot as usize];
        race.timer = None;
        match race.is_resolving() {
            true => self.end_unresolved(checks, slot, resolver::NOT_IN_TIME),
            false => self.next_address(checks, slot),
        }
    }

    /// Gives the next address its turn: the first one at the end of the queue, as any check; the others at its head, since
    /// their check has had its turn.
    fn next_address(&mut self, checks: &mut Checks, slot: u32) {
        let race = &mut self.races[slot as usize];
        let Some(Turn { address, first, terms }) = race.next_turn(clock::now()) else { return };
        let check = checks.admit(Owner::Race { race: slot, first }, address, terms);
        race.is_checked_by(check);
        checks.clock.forget_end(); // it was submitted after that
        match first {
            true => checks.table.queue(check),
            false => checks.table.queue_first(check),
        }
    }

    /// What became of the checks of addresses.
    pub fn hear_of(&mut self, checks: &mut Checks, event: RaceEvent) {
        match event {
            RaceEvent::Started { race: slot, waited } => {
                let race = &mut self.races[slot as usize];
                race.starts(waited);
                if race.timer.is_none() && race.has_more_addresses() {
                    let now = checks.clock.latest();
                    race.timer = Some(checks.timers.set(now, ATTEMPT_DELAY_MS, TimerOwner::Race(slot)));
                }
            }
            RaceEvent::Concluded { race: slot, check, first, verdict, at } => {
                match self.races[slot as usize].concluded(check, first, verdict, at) {
                    Next::Address => {
                        self.clear_timer(checks, slot);
                        self.next_address(checks, slot);
                    }
                    Next::Wait => {}
                    Next::End(verdict) => self.end(checks, slot, verdict, at),
                }
            }
        }
    }

    /// Ends the race in this slot, if there is one that began before `generation`.
    pub fn end_if_older(&mut self, checks: &mut Checks, slot: u32, generation: u32, status: Status) {
        let is_older = |race: &AddressRace| is_before(race.generation, generation);
        if self.races.get(slot as usize).is_some_and(is_older) {
            self.end(checks, slot, Verdict::without_segments(status, 0), clock::now());
        }
    }

    /// Ends a race and the checks of it that are still under way.
    pub fn end(&mut self, checks: &mut Checks, slot: u32, mut verdict: Verdict, now: u64) {
        self.clear_timer(checks, slot);
        let race = self.races.remove(slot as usize);
        self.resolving -= usize::from(race.is_resolving());
        if let Some(ticket) = race.ticket {
            self.shared.resolver.withdraw(ticket);
        }
        verdict.elapsed_us = race.elapsed_us(now);
        let reply_to = race.reply_to;
        for check in race.into_running() {
            checks.abandon(check);
        }
        checks.finish(reply_to, verdict);
    }

    fn clear_timer(&mut self, checks: &mut Checks, slot: u32) {
        if let Some(timer) = self.races[slot as usize].timer.take() {
            checks.timers.clear(timer);
        }
    }

    /// Gives back the memory of a burst.
    pub fn shrink(&mut self) {
        self.races.shrink_to_fit();
    }
}
