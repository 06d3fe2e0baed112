//! The timer of a check was reached: its deadline has passed, or it has had no answer for as long as a SYN waits.

use super::check::{ANSWER_TIME, Owner, Stage, says_nothing};
use super::checks::{Checks, LATE};
use super::race_event::RaceEvent;
use super::syn_schedule;
use super::timers::TimerOwner;
use crate::check::verdict::Status;
use crate::engine::Engine;

/// A further SYN that the loop has no time for waits for so many nanoseconds.
const BEHIND: u64 = 1_000_000_000;

impl<E: Engine> Checks<E> {
    /// The deadline has passed, or another SYN has its turn.
    pub fn due(&mut self, slot: u32) {
        let now = self.answered_until();
        let check = self.table.check(slot);
        check.timer = None;
        let target = check.target();
        match check.stage() {
            Stage::InFlight { slot: engine_slot, .. } if E::REPEATS_SYN && now < check.deadline() => {
                self.repeat_syn(slot, engine_slot)
            }
            Stage::InFlight { .. } if now < check.deadline() => self.is_unanswered(slot),
            Stage::InFlight { slot: engine_slot, .. } if E::REPEATS_SYN && self.puts_deadline_off(slot) => {
                self.repeat_syn(slot, engine_slot)
            }
            Stage::InFlight { syn_at, .. } if self.awaits_answer_to_late_syn(slot, syn_at, now) => {}
            Stage::InFlight { slot: engine_slot, syn_at } => {
                let mut conclusion = self.engine.last_look(engine_slot, &target, syn_at);
                if conclusion.verdict.status == Status::TimedOut && self.had_its_turn_too_late(slot, syn_at, now) {
                    conclusion.verdict.status = Status::Busy;
                }
                self.conclude(slot, conclusion);
            }
            Stage::Queued | Stage::Paced => self.settle_busy(slot),
        }
    }

    /// The loop was late, and has sent fewer SYNs of a check than belong into its time. Then it has the time for those
    /// that are missing, or a target would be down since this host was slow.
    fn puts_deadline_off(&mut self, slot: u32) -> bool {
        let config = &self.shared.config;
        if config.max_rate > 0 {
            return false; // it is the rate that keeps them back
        }
        let (interval_ms, check) = (config.syn_interval_ms, self.table.check(slot));
        check.missed_syns = match check.missed_syns {
            0 => syn_schedule::early_within(check.timeout_ms, interval_ms).saturating_sub(check.syns),
            missed => missed - 1,
        };
        if check.missed_syns == 0 {
            return false;
        }
        let since_ms = self.clock.round().saturating_sub(check.submitted).div_ceil(1_000_000);
        check.timeout_ms = u32::try_from(since_ms + u64::from(interval_ms)).unwrap_or(u32::MAX);
        true
    }

    /// The loop was held up between the start of a check and the moment in which its SYN left. Nobody could have answered
    /// before, so there is some time for the answer, or a target would be down since this process was stopped.
    fn awaits_answer_to_late_syn(&mut self, slot: u32, syn_at: u64, now: u64) -> bool {
        let (began, left_at) = self.late_round;
        let until = left_at + ANSWER_TIME;
        if syn_at < began || left_at < syn_at + LATE || now >= until {
            return false;
        }
        self.table.check(slot).timer = Some(self.timers.set_at(until, TimerOwner::Check(slot)));
        true
    }

    /// It waited for its turn until there was hardly any time for an answer. Of a race that is for the race to judge.
    fn had_its_turn_too_late(&mut self, slot: u32, syn_at: u64, now: u64) -> bool {
        let check = self.table.check(slot);
        matches!(check.owner(), Owner::Submitter(_))
            && syn_at >= check.submitted + LATE
            && says_nothing(now.saturating_sub(syn_at), check.timeout_ms)
    }

    /// Sends another SYN of a check. It takes no place of another check, but it pays a token of the rate, unless it is
    /// sent when the kernel would have sent it.
    fn repeat_syn(&mut self, slot: u32, engine_slot: u32) {
        let now = self.clock.round();
        self.clock.read(); // there may be many of them, and the slice ends when the clock says so
        if self.timers.are_behind(now) {
            return self.set_timer_at(slot, now + BEHIND); // deadlines come first
        }
        if self.shared.config.syn_interval_ms > 0
            && let Err(until) = self.room.take_for_repeated_syn(&self.table, now)
        {
            return self.set_timer_at(slot, until);
        }
        let target = self.table.check(slot).target();
        if self.engine.repeat_syn(engine_slot, &target) {
            self.table.check(slot).syns += 1;
        }
        self.set_timer(slot, now);
    }

    /// No answer has come for as long as the interval of SYNs. An early SYN yields to checks that wait for their turn.
    fn is_unanswered(&mut self, slot: u32) {
        let generation = self.table.check(slot).generation;
        if self.room.has_some_for_early_syn(&self.table, self.clock.round()) {
            self.race_events.push_back(RaceEvent::Unanswered { check: slot, generation });
        } else {
            self.drop_stale_wants();
            if self.early_wanted.try_reserve(1).is_ok() {
                self.early_wanted.push_back(RaceEvent::Unanswered { check: slot, generation });
            }
        }
        self.set_timer_at(slot, u64::MAX);
    }

    /// Checks that are gone want nothing any more, and must not pile up while there is no room.
    fn drop_stale_wants(&mut self) {
        if self.early_wanted.len() > 64 + 2 * self.handle.permits.taken() as usize {
            let table = &self.table;
            self.early_wanted.retain(|event| match *event {
                RaceEvent::Unanswered { check, generation } => {
                    table.get(check).is_some_and(|check| check.generation == generation)
                }
                _ => true,
            });
        }
    }
}
