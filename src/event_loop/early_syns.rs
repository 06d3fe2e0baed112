//! Early SYNs: a submitted check that has no answer becomes the first one of a race, whose others go to the same
//! address.

use std::net::SocketAddr;

use super::check::{Check, Owner};
use super::checks::Checks;
use super::command::Terms;
use super::outbox::ReplyTo;
use super::race_event::RaceEvent;
use crate::check::slot::SlotKey;
use crate::engine::{Conclusion, Engine, Start};

impl<E: Engine> Checks<E> {
    /// A race could not send its early SYN for want of room.
    pub fn want_early_syn(&mut self, race: u32, generation: u32) {
        if self.early_wanted.try_reserve(1).is_ok() {
            self.early_wanted.push_back(RaceEvent::Room { race, generation });
        }
    }

    /// Races hear no more of their checks.
    pub fn forget_race_events(&mut self) {
        self.race_events.clear();
        self.early_wanted.clear();
    }

    /// When wanted early SYNs may leave that may not yet.
    pub fn early_syns_from(&self) -> Option<u64> {
        let from = self.room.early_syns_from();
        (!self.early_wanted.is_empty() && from > self.clock.latest()).then_some(from)
    }

    /// How many want an early SYN that there was no room for, some of them no more.
    pub fn wanted_early_syns(&self) -> usize {
        self.early_wanted.len()
    }

    /// Tells a race of room for an early SYN, if there is both.
    pub fn offer_early_syn(&mut self) -> bool {
        if self.early_wanted.is_empty() || !self.room.finds_some_for_early_syn(&self.table, self.clock.round()) {
            return false;
        }
        let event = self.early_wanted.pop_front();
        self.race_events.extend(event);
        true
    }

    /// A submitted check becomes one of a race, which has this number. Returns what the race has to know; `None` if
    /// the check is over.
    pub fn give_to_race(&mut self, slot: u32, generation: u32, race: u32) -> Option<(ReplyTo, SocketAddr, Terms)> {
        let check = self.table.get(slot).filter(|check| check.generation == generation && check.is_in_flight())?;
        let Owner::Submitter(reply_to) = check.owner() else { return None };
        let target = check.target();
        let Check { submitted, timeout_ms, close_mode, mark, .. } = *check;
        let terms = Terms { submitted, timeout_ms, close_mode, mark, paced: false, has_token: false, syns: 0 };
        self.table.give_to_race(slot, race);
        Some((reply_to, target, terms))
    }

    /// Sends another SYN to an address that gave no answer so far, as a check of its own. `None` if there is no room
    /// for it now, or if it could not be sent: that is no verdict on the check.
    pub fn start_early(&mut self, race: u32, target: SocketAddr, terms: Terms) -> Option<u32> {
        if self.grow().is_err() || !self.room.take_for_early_syn(&self.table, self.clock.round()) {
            return None;
        }
        let Terms { close_mode, mark, .. } = terms;
        let Ok(engine_slot) = self.engine.acquire(&target, close_mode, mark, self.handle.permits.limit()) else {
            self.room.give_back_permit();
            return None;
        };
        let slot = self.admit(Owner::Race { race, early: true }, target, terms);
        let now = self.clock.read();
        self.table.put_in_flight(slot, now, engine_slot);
        self.room.counts(self.table.check(slot));
        match self.engine.start(engine_slot, SlotKey::of(slot as usize), &target, now) {
            Start::InFlight => {
                self.room.note_early_syn(slot, &self.table);
                return Some(slot);
            }
            Start::Concluded(conclusion) if conclusion.verdict.status as i32 >= 0 => {
                self.conclude(slot, conclusion);
                return Some(slot);
            }
            Start::Concluded(Conclusion { closed, .. }) | Start::Unwatchable { closed, .. } => {
                self.socket_is_free(closed)
            }
            Start::Stale => self.socket_is_free(true),
        }
        self.remove(slot);
        None
    }
}
