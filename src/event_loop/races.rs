//! Checks that need several SYNs: of names, which are looked up first, and of addresses that give no answer.

use std::net::SocketAddr;
use std::sync::Arc;

use super::address_race::{AddressRace, Next, Turn};
use super::check::Owner;
use super::checks::Checks;
use super::command::Terms;
use super::handle::LoopHandle;
use super::ids::Ids;
use super::outbox::ReplyTo;
use super::race_event::RaceEvent;
use super::shared::Shared;
use super::timers::TimerOwner;
use crate::check::request::Family;
use crate::check::slab::Slab;
use crate::check::target::Name;
use crate::check::verdict::{Status, Verdict};
use crate::engine::Engine;
use crate::resolver::{self, Asked, Query, Waiter, WaiterKey};
use crate::sys::clock;
use crate::sys::memory::OutOfMemory;

pub(super) struct Races {
    shared: Arc<Shared>,
    handle: Arc<LoopHandle>,
    races: Slab<AddressRace>,
    /// Where the race of each id is.
    ids: Ids,
    /// Races whose names are being looked up.
    resolving: usize,
}

impl Races {
    pub fn new(shared: Arc<Shared>, handle: Arc<LoopHandle>) -> Races {
        Races { shared, handle, races: Slab::new(), ids: Ids::default(), resolving: 0 }
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

    /// Has a submitted check's name looked up, unless an answer is known that is no older than `age_ms`.
    pub fn submit(
        &mut self,
        checks: &mut Checks<impl Engine>,
        reply_to: ReplyTo,
        name: Name,
        family: Family,
        age_ms: u32,
        terms: Terms,
    ) {
        if self.grow(checks).is_err() {
            return checks.finish(reply_to, Verdict::out_of_memory());
        }
        let generation = checks.table.next_generation();
        let slot = self.insert(AddressRace::of_name(reply_to, generation, terms));
        self.resolving += 1;
        let race = &mut self.races[slot as usize];
        let deadline = (!terms.paced).then(|| {
            race.timer = Some(checks.timers.set(terms.submitted, terms.timeout_ms, TimerOwner::Race(slot)));
            race.deadline()
        });
        let key = WaiterKey { slot, generation };
        let waiter = Waiter { listener: self.handle.clone(), key, deadline, timeout_ms: terms.timeout_ms, age_ms };
        match self.shared.resolver.ask(Query { name, family }, waiter) {
            Ok(Asked::Waits(ticket)) => {
                self.races[slot as usize].ticket = Some(ticket);
                if ticket.began {
                    self.lookup_began(checks, slot, generation);
                }
            }
            Ok(Asked::Known(addresses)) => {
                self.lookup_began(checks, slot, generation);
                self.resolved(checks, slot, generation, Ok(addresses));
            }
            Err(errno) => self.end(checks, slot, Verdict::without_segments(Status::LocalFault, errno), clock::now()),
        }
    }

    /// The lookup of a paced check's name began.
    pub fn lookup_began(&mut self, checks: &mut Checks<impl Engine>, slot: u32, generation: u32) {
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
        checks: &mut Checks<impl Engine>,
        slot: u32,
        generation: u32,
        addresses: Result<Vec<SocketAddr>, i32>,
    ) {
        let now = clock::now();
        let Some(race) = self.find(slot, generation) else { return };
        race.ticket = None;
        match addresses {
            Ok(addresses) if race.is_in_time(now) => {
                if race.resolved(&addresses, now).is_err() {
                    return self.end(checks, slot, Verdict::out_of_memory(), now);
                }
                self.resolving -= 1;
                self.clear_timer(checks, slot);
                self.next_turn(checks, slot);
            }
            Ok(_) => self.end_unresolved(checks, slot, resolver::NOT_IN_TIME),
            Err(code) => self.end_unresolved(checks, slot, code),
        }
    }

    /// Makes room for one more.
    fn grow(&mut self, checks: &mut Checks<impl Engine>) -> Result<(), OutOfMemory> {
        self.races.grow()?;
        checks.races = checks.races.max(self.races.len() + 1);
        checks.timers.grow_to(checks.table.len() + checks.races + 1)?;
        self.ids.grow(|slot| id_in(&self.races, slot))
    }

    fn insert(&mut self, race: AddressRace) -> u32 {
        let id = race.reply_to.id;
        let slot = self.races.insert(race) as u32;
        self.ids.remember(id, slot, |slot| id_in(&self.races, slot));
        slot
    }

    /// The race of a submitted check's id.
    pub fn of_id(&self, id: u64) -> Option<u32> {
        self.ids.find(id, |slot| id_in(&self.races, slot))
    }

    fn find(&mut self, slot: u32, generation: u32) -> Option<&mut AddressRace> {
        self.races.get_mut(slot as usize).filter(|race| race.generation == generation)
    }

    fn end_unresolved(&mut self, checks: &mut Checks<impl Engine>, slot: u32, code: i32) {
        let now = checks.clock.read();
        self.end(checks, slot, Verdict::without_segments(Status::Unresolved, code), now);
    }

    /// The lookup's deadline has passed, or the next SYN has its turn.
    pub fn due(&mut self, checks: &mut Checks<impl Engine>, slot: u32) {
        let race = &mut self.races[slot as usize];
        race.timer = None;
        match race.is_resolving() {
            true => self.end_unresolved(checks, slot, resolver::NOT_IN_TIME),
            false => self.next_turn(checks, slot),
        }
    }

    /// Gives the next address its turn: the first one at the end of the queue, as any check; the others at its head,
    /// since their check has had its turn. An early SYN leaves at once, or not now.
    fn next_turn(&mut self, checks: &mut Checks<impl Engine>, slot: u32) {
        let race = &mut self.races[slot as usize];
        match race.next_turn(clock::now()) {
            Some(Turn::Address { address, number, terms }) => {
                if checks.grow().is_err() {
                    return self.end(checks, slot, Verdict::out_of_memory(), clock::now());
                }
                let owner = Owner::Race { race: slot, early: false };
                let check = checks.admit(owner, address, terms);
                race.is_checked_by(check, number);
                checks.clock.forget_end(); // it was submitted after that
                match number {
                    0 => checks.table.queue(check),
                    _ => checks.table.queue_first(check),
                }
            }
            Some(Turn::EarlySyn { address, number, terms }) => match checks.start_early(slot, address, terms) {
                Some(check) => {
                    race.is_checked_by(check, number);
                    self.set_timer(checks, slot);
                }
                None => checks.want_early_syn(slot, race.generation),
            },
            None => {}
        }
    }

    /// Sets the time of the next turn, if it comes before the deadline.
    fn set_timer<E: Engine>(&mut self, checks: &mut Checks<E>, slot: u32) {
        // Where the SYN of a check is repeated, the race sends no early ones.
        let syn_interval_ms = if E::REPEATS_SYN { 0 } else { self.shared.config.syn_interval_ms };
        let race = &mut self.races[slot as usize];
        let now = checks.clock.latest();
        if race.timer.is_none()
            && let Some(delay) = race.next_delay(syn_interval_ms)
            && now + u64::from(delay) * 1_000_000 < race.deadline()
        {
            race.timer = Some(checks.timers.set(now, delay, TimerOwner::Race(slot)));
        }
    }

    /// A submitted check has had no answer for as long as the interval of SYNs: another one goes to its address. The
    /// race is as old as the check.
    fn begin_early_syns(&mut self, checks: &mut Checks<impl Engine>, slot: u32, generation: u32) {
        if self.grow(checks).is_err() {
            return; // it has the one SYN
        }
        let race = self.races.vacant_key() as u32;
        let Some((reply_to, address, terms)) = checks.give_to_race(slot, generation, race) else { return };
        self.insert(AddressRace::of_check(reply_to, generation, terms, address, slot));
        self.next_turn(checks, race);
    }

    /// What became of the checks of addresses. What a loop did in one step may end a race by the first of two events.
    pub fn hear_of(&mut self, checks: &mut Checks<impl Engine>, event: RaceEvent) {
        match event {
            RaceEvent::Unanswered { check, generation } => self.begin_early_syns(checks, check, generation),
            RaceEvent::Room { race: slot, generation } => {
                if self.find(slot, generation).is_some_and(|race| !race.is_resolving() && race.timer.is_none()) {
                    self.next_turn(checks, slot);
                }
            }
            RaceEvent::Started { race: slot, waited } => {
                if let Some(race) = self.races.get_mut(slot as usize) {
                    race.starts(waited, checks.clock.latest());
                    self.set_timer(checks, slot);
                }
            }
            RaceEvent::Concluded { race: slot, check, verdict, at } => {
                if let Some(race) = self.races.get_mut(slot as usize) {
                    let next = race.concluded(check, verdict, at);
                    self.go_on(checks, slot, next, at);
                }
            }
            RaceEvent::GivenUp { race: slot, check, retransmits } => {
                if let Some(race) = self.races.get_mut(slot as usize) {
                    let next = race.given_up(check, retransmits);
                    self.go_on(checks, slot, next, checks.clock.latest());
                }
                // If it goes on, another early SYN may find room.
                if self.races.contains(slot as usize) {
                    self.set_timer(checks, slot);
                }
            }
        }
    }

    fn go_on(&mut self, checks: &mut Checks<impl Engine>, slot: u32, next: Next, now: u64) {
        match next {
            Next::Address => {
                self.clear_timer(checks, slot);
                self.next_turn(checks, slot);
            }
            Next::Wait => {}
            Next::End(verdict) => self.end(checks, slot, verdict, now),
        }
    }

    /// Ends the race in this slot, if there is one that began before `generation`.
    pub fn end_if_older(&mut self, checks: &mut Checks<impl Engine>, slot: u32, generation: u32, status: Status) {
        let is_older = |race: &AddressRace| checks.table.is_older(race.generation, generation);
        if self.races.get(slot as usize).is_some_and(is_older) {
            self.end(checks, slot, Verdict::without_segments(status, 0), clock::now());
        }
    }

    /// Ends a race and the checks of it that are still under way.
    pub fn end(&mut self, checks: &mut Checks<impl Engine>, slot: u32, mut verdict: Verdict, now: u64) {
        self.clear_timer(checks, slot);
        let race = self.races.remove(slot as usize);
        self.ids.forget(race.reply_to.id, slot);
        self.resolving -= usize::from(race.is_resolving());
        if let Some(ticket) = race.ticket {
            self.shared.resolver.withdraw(ticket);
        }
        verdict.elapsed_us = race.elapsed_us(now);
        verdict.syn_retransmits += race.syns_sent_again(verdict.address);
        let reply_to = race.reply_to;
        for check in race.into_running() {
            if checks.table.get(check).is_none() {
                continue; // after a defect a race may not have heard that a check of it is over
            }
            let (abandoned, retransmits) = checks.abandon(check);
            if Some(abandoned.target()) == verdict.address {
                verdict.syn_retransmits += retransmits;
            }
        }
        checks.finish(reply_to, verdict);
    }

    fn clear_timer(&mut self, checks: &mut Checks<impl Engine>, slot: u32) {
        if let Some(timer) = self.races[slot as usize].timer.take() {
            checks.timers.clear(timer);
        }
    }

    /// Gives back the memory of a burst. Only when there is no race.
    pub fn shrink(&mut self) {
        self.races.shrink_to_fit();
        self.ids = Ids::default();
    }
}

fn id_in(races: &Slab<AddressRace>, slot: u32) -> u64 {
    races.get(slot as usize).map_or(0, |race| race.reply_to.id)
}
