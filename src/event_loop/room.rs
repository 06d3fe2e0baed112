//! What a check needs to start: a permit, a token of the rate, and a descriptor.

use std::net::SocketAddr;
use std::sync::Arc;

use super::check::{Check, Owner, Stage};
use super::check_table::CheckTable;
use super::gate::Gate;
use super::handle::LoopHandle;
use super::shared::Shared;
use super::shortage::Shortage;
use super::silent::Silent;
use crate::check::verdict::Status;
use crate::sys::clock;

/// After an early SYN was given up for want of room, none leaves for so many nanoseconds.
const PAUSE: u64 = 50_000_000;
/// After so many nanoseconds a loop without a descriptor tries again, though nobody told it of one.
const SHORTAGE_RETRY: u64 = 50_000_000;
/// After so many nanoseconds a SYN that the rate had no token for tries again.
const REPEAT_RETRY: u64 = 10_000_000;

pub(super) struct Room {
    shared: Arc<Shared>,
    handle: Arc<LoopHandle>,
    pub gate: Gate,
    pub shortage: Shortage,
    silent: Silent,
    /// Early SYNs that are in flight: how many, and their slots and generations. Among these are some that are over.
    early_syns: u32,
    early: Vec<(u32, u32)>,
    /// None leaves before, since one was given up.
    early_syns_from: u64,
    /// Checks of lists that are in flight.
    listed: u32,
    /// How many permits they may hold. The others are for early SYNs: a list would take all of them long before its
    /// first check has been without an answer for the interval, and then none could leave.
    for_lists: u32,
    /// Each SYN has a socket of its own, and gives it up at its end.
    has_sockets: bool,
}

impl Room {
    /// `has_sockets`: each SYN has a socket of its own, and an early one a permit, too.
    pub fn new(shared: Arc<Shared>, handle: Arc<LoopHandle>, has_sockets: bool) -> Room {
        let limit = handle.permits.limit();
        let keeps_some = has_sockets && shared.config.syn_interval_ms > 0;
        let shortage = Shortage::new(shared.clone(), handle.clone());
        Room {
            shared,
            handle,
            gate: Gate::default(),
            shortage,
            silent: Silent::default(),
            early_syns: 0,
            early: Vec::new(),
            early_syns_from: 0,
            listed: 0,
            for_lists: if keeps_some { limit - limit / 4 } else { limit },
            has_sockets,
        }
    }

    /// What kept checks from starting is to be found out anew. So many checks of targets not known to be silent are
    /// queued.
    pub fn look_anew(&mut self, queued: usize, now: u64) {
        self.gate.open();
        let not_others = self.silent.in_flight() + self.early_syns;
        let in_flight = self.handle.permits.taken().saturating_sub(not_others);
        self.silent.others_need(in_flight + queued as u32, now);
    }

    pub fn silent_may_start(&self) -> bool {
        self.silent.may_start(self.handle.permits.limit())
    }

    pub fn lists_may_start(&self) -> bool {
        self.listed < self.for_lists
    }

    pub fn is_silent(&self, target: &SocketAddr) -> bool {
        self.silent.is_silent(target)
    }

    /// What came of a check of this target.
    pub fn heard(&mut self, target: &SocketAddr, status: Status) {
        match status {
            Status::TimedOut => self.silent.remember(target),
            Status::Up | Status::Refused | Status::Unreachable => self.silent.forget(target),
            _ => {}
        }
    }

    /// Takes a permit for a check at this stage. When there is none, the loop is woken by whoever gives one back.
    pub fn take_permit(&mut self, stage: Stage) -> bool {
        let try_once = || (stage != Stage::Paced || self.listed < self.for_lists) && self.handle.permits.take();
        // Once more after that is said: a permit may have been given back before.
        let taken = try_once() || {
            self.handle.set_wants_room(true);
            try_once() && {
                self.handle.set_wants_room(false);
                true
            }
        };
        if !taken {
            self.gate.wait_for_room();
        }
        taken
    }

    /// Has a check, which holds a permit, pay its token of the rate, once: it may have to wait for a descriptor after
    /// that. If there is none, the permit goes back, and the gate knows when to try again.
    pub fn take_token(&mut self, has_token: &mut bool) -> bool {
        if !*has_token {
            if let Err(until) = self.shared.rate.take(clock::now) {
                self.handle.permits.give_back();
                self.gate.wait_until(until);
                return false;
            }
            *has_token = true;
        }
        true
    }

    /// No descriptor is left for a check that holds a permit. True if it is worth waiting for one: the checker's own
    /// sockets wake this loop when they are closed. Those of the host wake nobody, so the loop tries again in a
    /// while, too. Ports of a raw engine are held for as long as it has checks to do: it waits while others are in
    /// flight, and not for ever.
    pub fn waits_for_descriptor(&mut self) -> bool {
        let waits = match self.has_sockets {
            true => self.shared.opener.held() > 0,
            false => self.shared.handles.iter().any(|handle| handle.permits.taken() > 0),
        };
        if waits {
            self.gate.wait_for_room();
            self.gate.wait_until(clock::now() + SHORTAGE_RETRY);
        }
        waits
    }

    pub fn give_back_permit(&mut self) {
        self.handle.permits.give_back();
    }

    /// A check in flight gave up its socket, and with it its permit.
    pub fn is_freed(&mut self, closed: bool) {
        self.handle.permits.give_back();
        if closed {
            self.shared.tell_of_descriptor();
        }
        self.gate.room_was_made();
    }

    /// Whether an early SYN may leave now. It takes the turn of no check whose time runs, and no descriptor that any
    /// loop wants. Checks of a list, whose time has not begun, leave it a quarter of the permits: a long list would
    /// have no early SYNs otherwise.
    pub fn has_some_for_early_syn(&self, table: &CheckTable, now: u64) -> bool {
        let limit = self.handle.permits.limit();
        let most = if table.has_queued() { limit / 4 } else { limit };
        let has_permit = self.early_syns < most && self.handle.permits.taken() < limit && now >= self.early_syns_from;
        has_permit && table.queued_in_time() == 0 && !self.shared.opener.is_short_of_descriptors()
    }

    /// The same. If none may leave now, the loop is woken by whoever gives up a permit on another thread.
    pub fn finds_some_for_early_syn(&self, table: &CheckTable, now: u64) -> bool {
        self.has_some_for_early_syn(table, now) || {
            self.handle.set_wants_room(true);
            self.has_some_for_early_syn(table, now)
        }
    }

    /// When early SYNs may leave again, after one was given up.
    pub fn early_syns_from(&self) -> u64 {
        self.early_syns_from
    }

    /// Takes a permit and a token for an early SYN.
    pub fn take_for_early_syn(&mut self, table: &CheckTable, now: u64) -> bool {
        self.has_some_for_early_syn(table, now) && self.handle.permits.take() && self.take_token(&mut false)
    }

    /// Takes a token for the SYN of a check in flight, which is sent once more. Where there is a rate, queued checks
    /// whose time runs go first. If it may not leave now, says when to try again.
    pub fn take_for_repeated_syn(&self, table: &CheckTable, now: u64) -> Result<(), u64> {
        let later = now + REPEAT_RETRY;
        if self.shared.rate.is_limited() && table.queued_in_time() > 0 {
            return Err(later);
        }
        self.shared.rate.take(clock::now).map_err(|until| until.max(later))
    }

    /// The early SYN that is to be given up for a check at this stage, which has no permit or descriptor. Others leave
    /// only after a while, so that they do not come and go with each check.
    pub fn early_syn_for(&mut self, stage: Stage, table: &CheckTable, now: u64) -> Option<u32> {
        if stage == Stage::Paced && self.listed >= self.for_lists {
            return None;
        }
        while let Some((slot, generation)) = self.early.pop() {
            if is_early_syn(table, slot, generation) {
                self.early_syns_from = now + PAUSE;
                return Some(slot);
            }
        }
        None
    }

    /// An early SYN is in flight in this slot.
    pub fn note_early_syn(&mut self, slot: u32, table: &CheckTable) {
        if self.early.len() > 64 + 2 * self.early_syns as usize {
            self.early.retain(|&(slot, generation)| is_early_syn(table, slot, generation));
        }
        if let Some(check) = table.get(slot)
            && self.early.try_reserve(1).is_ok()
        {
            self.early.push((slot, check.generation));
        }
    }

    /// The check is in flight from now on.
    pub fn counts(&mut self, check: &Check) {
        self.listed += u32::from(check.listed);
        if is_early(check) {
            self.early_syns += 1;
        } else if check.silent {
            self.silent.started();
        }
    }

    /// The check, which was in flight, is over.
    pub fn counts_no_more(&mut self, check: &Check) {
        self.listed -= u32::from(check.listed);
        if is_early(check) {
            self.early_syns -= 1;
        } else if check.silent {
            self.silent.ended();
        }
    }
}

fn is_early_syn(table: &CheckTable, slot: u32, generation: u32) -> bool {
    table.get(slot).is_some_and(|check| check.generation == generation && is_early(check))
}

fn is_early(check: &Check) -> bool {
    matches!(check.owner(), Owner::Race { early: true, .. })
}

#[cfg(test)]
mod tests;
