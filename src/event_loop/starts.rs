//! How a check that waits for its turn gets into flight, or is kept from it.

use super::check::{Owner, Stage};
use super::checks::Checks;
use super::race_event::RaceEvent;
use crate::check::slot::SlotKey;
use crate::check::verdict::{Status, Verdict};
use crate::engine::{Engine, NoSocket, Start};

impl<E: Engine> Checks<E> {
    /// What kept checks from starting is to be found out anew.
    pub fn open_gate(&mut self) {
        self.clock.forget_end();
        self.room.look_anew(self.table.queued_of_others(), self.clock.round());
    }

    /// Whether a check waits for its turn, and for nothing else.
    pub fn can_start(&self) -> bool {
        self.table.has_queued() && self.room.gate.is_open()
    }

    /// Starts the check whose turn it is. False if nothing can start now.
    pub fn start_next(&mut self) -> bool {
        let Some(slot) = self.table.first_queued(self.room.silent_may_start(), self.room.lists_may_start()) else {
            if self.table.has_queued() {
                self.room.gate.wait_for_room(); // until a check of a silent target or of a list ends
            } else {
                self.room.shortage.end(&mut self.engine);
            }
            return false;
        };
        if self.table.check(slot).is_overdue(self.clock.round()) {
            self.settle_busy(slot); // its deadline has passed, and its timer has not been looked at yet
            return true;
        }
        if self.turns_out_silent(slot) {
            return true;
        }
        if !self.take_permit(slot) || !self.room.take_token(&mut self.table.check(slot).has_token) {
            return false;
        }
        let check = self.table.check(slot);
        let (target, close_mode, mark) = (check.target(), check.close_mode, check.mark);
        match self.room.shortage.acquire_socket(&mut self.engine, &target, close_mode, mark) {
            Ok(engine_slot) => self.start(slot, engine_slot),
            Err(why) => {
                self.room.give_back_permit();
                if why.is_not_now() || why.is_not_for_this_target() {
                    return self.waits_for_engine(slot, why);
                }
                if why.is_out_of_descriptors() {
                    if self.takes_from_early_syn(slot) {
                        return true;
                    }
                    if self.room.waits_for_descriptor() {
                        return false;
                    }
                }
                self.room.shortage.end(&mut self.engine);
                let fault = Verdict::without_segments(why.status, why.errno);
                self.settle(slot, fault, self.clock.round());
            }
        }
        true
    }

    fn take_permit(&mut self, slot: u32) -> bool {
        let stage = self.table.check(slot).stage();
        self.room.take_permit(stage) || (self.takes_from_early_syn(slot) && self.room.take_permit(stage))
    }

    /// The engine has no room for the check whose turn it is. False if it has none for others either.
    fn waits_for_engine(&mut self, slot: u32, why: NoSocket) -> bool {
        if why.is_not_now() {
            self.room.gate.wait_until(self.engine.wants_poll_at().unwrap_or(self.clock.latest()));
            return false;
        }
        let destination = self.engine.destination(&self.table.check(slot).target());
        if self.table.wait_for_target(slot, destination).is_err() {
            self.settle(slot, Verdict::out_of_memory(), self.clock.round());
        }
        true
    }

    /// Gives up an early SYN for a check that waits for its turn. False if there is none for it.
    fn takes_from_early_syn(&mut self, slot: u32) -> bool {
        let stage = self.table.check(slot).stage();
        let Some(early) = self.room.early_syn_for(stage, &self.table, self.clock.latest()) else { return false };
        let check = self.table.check(early);
        let target = check.target();
        let (Owner::Race { race, .. }, Stage::InFlight { slot: engine_slot, syn_at }) = (check.owner(), check.stage())
        else {
            return false;
        };
        let conclusion = self.engine.last_look(engine_slot, &target, syn_at);
        if conclusion.verdict.status == Status::TimedOut {
            self.remove(early);
            self.socket_is_free(conclusion.closed);
            let retransmits = conclusion.verdict.syn_retransmits;
            self.race_events.push_back(RaceEvent::GivenUp { race, check: early, retransmits });
        } else {
            self.conclude(early, conclusion);
        }
        true
    }

    /// Whether its target turned out silent while the check waited: it goes to the others of its kind.
    fn turns_out_silent(&mut self, slot: u32) -> bool {
        let check = self.table.check(slot);
        let silent = !check.silent && self.room.is_silent(&check.target());
        if silent {
            self.table.move_to_silent(slot);
        }
        silent
    }

    /// Sends the SYN of the check at the head of the queue.
    fn start(&mut self, slot: u32, engine_slot: u32) {
        let now = self.clock.read_for_start();
        let check = self.table.check(slot);
        if let Owner::Race { race, .. } = check.owner() {
            let waited = now.saturating_sub(check.submitted);
            self.race_events.push_back(RaceEvent::Started { race, waited });
        }
        if check.stage() == Stage::Paced {
            check.submitted = now;
        }
        let target = check.target();
        self.room.counts(check);
        self.table.start_first(slot, now, engine_slot);
        match self.engine.start(engine_slot, SlotKey::of(slot as usize), &target, now) {
            Start::InFlight => self.set_timer(slot, now),
            Start::Concluded(conclusion) => self.conclude(slot, conclusion),
            Start::Stale => {
                self.socket_is_free(true);
                let check = self.table.check(slot);
                check.waits_again();
                self.room.counts_no_more(check);
                self.table.queue_first(slot);
            }
            Start::Unwatchable { errno, closed } => self.fail_unwatched(slot, errno, closed),
        }
    }
}
