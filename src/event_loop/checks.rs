//! The life of one check of one address: queued, in flight, concluded, settled, finished.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::check::{Check, Owner, Stage};
use super::check_table::CheckTable;
use super::command::Terms;
use super::handle::LoopHandle;
use super::outbox::{Outbox, ReplyTo};
use super::race_event::RaceEvent;
use super::room::Room;
use super::round_clock::RoundClock;
use super::shared::Shared;
use super::syn_schedule;
use super::timers::{TimerOwner, Timers};
use crate::check::slot::SlotKey;
use crate::check::verdict::{Status, Verdict};
use crate::engine::{Conclusion, Engine, NoSocket, Start};
use crate::sys::memory::OutOfMemory;
use crate::sys::{clock, os_error};

/// A SYN that leaves so much later than its check was started leaves late, in nanoseconds.
pub(super) const LATE: u64 = 10_000_000;

pub(super) struct Checks<E> {
    pub shared: Arc<Shared>,
    pub handle: Arc<LoopHandle>,
    pub room: Room,
    pub engine: E,
    pub table: CheckTable,
    pub timers: Timers,
    pub clock: RoundClock,
    pub outbox: Outbox,
    /// What races have to be told of their addresses.
    pub race_events: VecDeque<RaceEvent>,
    /// How many races there have been at once at most, since there was none.
    pub races: usize,
    /// What they will be told of when there is room for an early SYN; some of it is stale.
    pub early_wanted: VecDeque<RaceEvent>,
    /// A socket or memory came into use since the last sweep was planned.
    pub used: bool,
    /// The last poll left answers unread.
    pub answers_left: bool,
    /// When the latest round began whose SYNs left late, and when they had left.
    pub late_round: (u64, u64),
}

impl<E: Engine> Checks<E> {
    pub fn new(shared: Arc<Shared>, handle: Arc<LoopHandle>, engine: E) -> Checks<E> {
        Checks {
            room: Room::new(shared.clone(), handle.clone(), !E::REPEATS_SYN),
            shared,
            handle,
            engine,
            table: CheckTable::default(),
            timers: Timers::new(),
            clock: RoundClock::default(),
            outbox: Outbox::default(),
            race_events: VecDeque::new(),
            races: 0,
            early_wanted: VecDeque::new(),
            used: false,
            answers_left: false,
            late_round: (0, 0),
        }
    }

    pub fn next_race_event(&mut self) -> Option<RaceEvent> {
        self.race_events.pop_front()
    }

    /// Queues a submitted check.
    pub fn submit(&mut self, reply_to: ReplyTo, target: SocketAddr, terms: Terms) {
        if self.grow().is_err() {
            return self.finish(reply_to, Verdict::out_of_memory());
        }
        let slot = self.admit(Owner::Submitter(reply_to), target, terms);
        self.table.queue(slot);
    }

    /// Makes room for one more check.
    pub fn grow(&mut self) -> Result<(), OutOfMemory> {
        self.table.grow()?;
        self.timers.grow_to(self.table.len() + self.races + 2) // each has one, sooner or later, and so has the sweep
    }

    /// Gives a check its slot, and unless it is paced, its timer. The caller queues it.
    pub fn admit(&mut self, owner: Owner, target: SocketAddr, terms: Terms) -> u32 {
        let generation = self.table.next_generation();
        let silent = self.room.is_silent(&target);
        let slot = self.table.insert(Check::new(owner, target, generation, silent, terms));
        if !terms.paced {
            let timer = self.timers.set(terms.submitted, terms.timeout_ms, TimerOwner::Check(slot));
            self.table.check(slot).timer = Some(timer);
        }
        slot
    }

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

    /// Sends what waits to be sent. The process may have been stopped since the checks were started.
    pub fn flush(&mut self) {
        self.engine.flush();
        if self.clock.read() > self.clock.round() + LATE {
            self.late_round = (self.clock.round(), self.clock.latest());
        }
    }

    /// The poller does not take the socket, so nobody would notice the answer.
    pub fn fail_unwatched(&mut self, slot: u32, errno: i32, closed: bool) {
        self.socket_is_free(closed);
        self.settle(slot, Verdict::without_segments(Status::LocalFault, errno), self.clock.round());
    }

    /// Waits for answers or a wake-up (`None`: for ever).
    pub fn poll(&mut self, wait: Option<Duration>) {
        // An engine that read everything has read what came until this poll began, which is later.
        let earlier = self.clock.round();
        self.engine.poll(wait);
        self.answers_left = self.engine.answers_read_until() < earlier;
    }

    /// No deadline after this time may be acted on yet: its answer may have come and not been read.
    pub fn answered_until(&self) -> u64 {
        self.clock.round().min(self.engine.answers_read_until())
    }

    /// Reads the answers that the last poll told of.
    pub fn read_next_answer(&mut self) -> bool {
        let Some((check, engine_slot)) = self.engine.next_event() else { return false };
        let slot = check.slot() as u32;
        if let Some(check) = self.table.get(slot)
            && let Stage::InFlight { syn_at, .. } = check.stage()
            && let Some(conclusion) = self.engine.look(engine_slot, &check.target(), syn_at)
        {
            self.conclude(slot, conclusion);
        }
        true
    }

    /// Sets the timer of a check whose last SYN left at `now`: for the next one, or for its deadline.
    pub fn set_timer(&mut self, slot: u32, now: u64) {
        let interval = self.shared.config.syn_interval_ms;
        let check = self.table.check(slot);
        let delay = if E::REPEATS_SYN {
            syn_schedule::delay_of_next(check.syns, interval)
        } else {
            let has_early_syns = self.handle.permits.limit() > 1 && matches!(check.owner(), Owner::Submitter(_));
            (has_early_syns && interval > 0).then(|| u64::from(interval) * 1_000_000)
        };
        self.set_timer_at(slot, delay.map_or(u64::MAX, |delay| now + delay));
    }

    /// Sets the timer of a check for a time, or if that comes first for its deadline.
    pub fn set_timer_at(&mut self, slot: u32, at: u64) {
        let check = self.table.check(slot);
        let at = at.min(check.deadline());
        if at < check.deadline() || check.timer.is_none() {
            if let Some(before) = check.timer.take() {
                self.timers.clear(before); // first, as its memory serves the next one
            }
            check.timer = Some(self.timers.set_at(at, TimerOwner::Check(slot)));
        }
    }

    /// The deadline has passed while the check waited for its turn.
    pub fn settle_busy(&mut self, slot: u32) {
        let errno = if self.handle.is_short_of_descriptors() { os_error::OUT_OF_DESCRIPTORS } else { 0 };
        let now = self.clock.read();
        self.settle(slot, Verdict::without_segments(Status::Busy, errno), now);
    }

    pub fn conclude(&mut self, slot: u32, mut conclusion: Conclusion) {
        self.clock.note_end(conclusion.at);
        if E::REPEATS_SYN {
            // The engine does not know of a SYN that left from the caller's thread.
            let sent_again = u32::from(self.table.check(slot).syns.saturating_sub(1));
            conclusion.verdict.syn_retransmits = conclusion.verdict.syn_retransmits.max(sent_again);
        }
        self.room.heard(&self.table.check(slot).target(), conclusion.verdict.status);
        self.socket_is_free(conclusion.closed);
        self.settle(slot, conclusion.verdict, conclusion.at);
    }

    /// A check has its verdict, and holds no slot of the engine any more.
    fn settle(&mut self, slot: u32, mut verdict: Verdict, now: u64) {
        let check = self.remove(slot);
        verdict.elapsed_us = check.elapsed_us(now);
        self.outbox.tally.completed_handshakes += u64::from(check.close_mode.was_thwarted(&verdict));
        match check.owner() {
            Owner::Submitter(reply_to) => self.finish(reply_to, verdict),
            Owner::Race { race, .. } => {
                self.race_events.push_back(RaceEvent::Concluded { race, check: slot, verdict, at: now })
            }
        }
    }

    /// Ends a check whose verdict nobody wants. A handshake that was completed meanwhile is counted.
    /// Returns how often the kernel sent its SYN again, too.
    pub fn abandon(&mut self, slot: u32) -> (Check, u32) {
        let check = self.remove(slot);
        let mut retransmits = 0;
        if let Stage::InFlight { slot: engine_slot, syn_at } = check.stage() {
            let conclusion = self.engine.last_look(engine_slot, &check.target(), syn_at);
            let completed = check.close_mode.was_thwarted(&conclusion.verdict);
            self.outbox.tally.completed_handshakes += u64::from(completed);
            retransmits = conclusion.verdict.syn_retransmits;
            self.socket_is_free(conclusion.closed);
        }
        (check, retransmits)
    }

    /// Ends a submitted check before its time.
    pub fn end(&mut self, slot: u32, status: Status) {
        let elapsed_us = self.table.check(slot).elapsed_us(clock::now());
        if let Owner::Submitter(reply_to) = self.abandon(slot).0.owner() {
            self.finish(reply_to, Verdict { elapsed_us, ..Verdict::without_segments(status, 0) });
        }
    }

    /// Ends the submitted check of this slot, if there is one that came before `generation`.
    pub fn end_if_older(&mut self, slot: u32, generation: u32, status: Status) {
        let is_meant = |check: &Check| {
            self.table.is_older(check.generation, generation) && matches!(check.owner(), Owner::Submitter(_))
        };
        if self.table.get(slot).is_some_and(is_meant) {
            self.end(slot, status);
        }
    }

    pub fn remove(&mut self, slot: u32) -> Check {
        let check = self.table.remove(slot);
        if check.is_in_flight() {
            self.room.counts_no_more(&check);
            if self.table.has_some_for_targets() {
                self.table.target_is_free(self.engine.destination(&check.target()));
            }
        } else if check.waits_for_target {
            self.table.lose_one_of(self.engine.destination(&check.target()));
        }
        if let Some(timer) = check.timer {
            self.timers.clear(timer);
        }
        check
    }

    /// A submitted check is over: its verdict goes out.
    pub fn finish(&mut self, reply_to: ReplyTo, verdict: Verdict) {
        self.outbox.put(reply_to, verdict);
    }

    /// A check in flight gave up its socket, and with it its permit.
    pub fn socket_is_free(&mut self, closed: bool) {
        self.room.is_freed(closed);
        self.used = true;
    }

    /// Gives back the memory of a burst. Only when there is no check.
    pub fn shrink(&mut self) {
        self.table.reset();
        // Only checks, races and the sweep set timers, and none of them has one now.
        self.timers.reset(self.answered_until());
        self.races = 0;
        self.outbox.shrink();
        self.engine.shrink();
        self.race_events.shrink_to_fit();
        self.early_wanted = VecDeque::new(); // whoever wanted one is gone
    }
}
