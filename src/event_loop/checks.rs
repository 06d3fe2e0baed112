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
use crate::check::verdict::{Status, Verdict};
use crate::engine::{Conclusion, Engine};
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
    pub fn settle(&mut self, slot: u32, mut verdict: Verdict, now: u64) {
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
