//! What a monitor decides: which checks are due, what their verdicts change, and who is told. It makes no check, has no
//! thread and reads no clock.

use super::changes::{Change, Changes};
use super::config::MonitorConfig;
use super::hysteresis::State;
use super::records::{Asked, Records};
use super::schedule::{LATE, Looks, Schedule};
use super::spread::Spread;
use super::told;
use super::watch::{Settings, Watch, WatchInfo};
use crate::check::verdict::{Report, Status, Verdict};
use crate::checker::Submission;
use crate::sys::memory::OutOfMemory;

const NANOSECONDS_PER_MS: u64 = 1_000_000;

/// What speaks for or against a target.
#[derive(Clone, Copy)]
enum Evidence {
    /// A check's answer, or its silence.
    Check { is_up: bool },
    /// A silence that this program listened to while it was late itself.
    Doubtful,
    /// What the program's own traffic saw.
    Reported { is_up: bool },
}

pub(super) struct Core {
    config: MonitorConfig,
    records: Records,
    schedule: Schedule,
    changes: Changes,
    spread: Spread,
    /// How many watches are down, or failing.
    doubtful: usize,
    /// When there last were too many of them.
    too_many_until: u64,
    /// How many verdicts came while there were; modulo 2^32.
    too_many_verdicts: u32,
    /// Changes to down that were held back.
    held: u64,
}

impl Core {
    pub fn new(config: MonitorConfig, looks: Looks, now: u64) -> Core {
        Core {
            config,
            records: Records::new(),
            schedule: Schedule::new(looks, now),
            changes: Changes::new(),
            spread: Spread::new(),
            doubtful: 0,
            too_many_until: 0,
            too_many_verdicts: 0,
            held: 0,
        }
    }

    /// Makes room for so many more watches.
    pub fn grow_by(&mut self, count: usize) -> Result<(), OutOfMemory> {
        self.records.grow_by(count)?;
        self.schedule.grow_to(self.records.probes() + count)
    }

    /// Adds a watch whose settings were read from it. Returns its id.
    pub fn add(&mut self, watch: Watch, settings: Settings, now: u64) -> u64 {
        let slot = self.records.add(watch.target, settings, watch.initial, watch.tag, now / 1_000);
        self.doubtful += usize::from(self.records.watch(slot).hysteresis.may_be_down());
        self.pause(slot, false, now);
        self.records.id(slot)
    }

    pub fn slot(&self, id: u64) -> Option<u32> {
        self.records.slot(id)
    }

    /// No change of this watch comes out any more.
    pub fn remove(&mut self, slot: u32) {
        if self.records.watch(slot).wants_checks() {
            self.want_less(slot);
        }
        let record = self.records.remove(slot);
        self.changes.forget(record.pending);
        self.doubtful -= usize::from(record.hysteresis.may_be_down());
        self.drop_probe_if_unused(record.probe);
    }

    /// Where the check of a probe without watches is in flight, the probe stays until it ends: whoever watches the same
    /// target meanwhile has that check.
    fn drop_probe_if_unused(&mut self, slot: u32) {
        if self.records.has_watches(slot) || self.records.probe(slot).is_in_flight {
            return;
        }
        if let Some(timer) = self.records.probe_mut(slot).timer.take() {
            self.schedule.clear(timer);
        }
        self.remove_probe(slot);
    }

    fn remove_probe(&mut self, slot: u32) {
        self.records.remove_probe(slot);
        if self.records.shrink() {
            self.schedule.shrink();
        }
    }

    /// No checks are made for a paused watch. One that goes on has its first check as a new one has, or earlier with the
    /// others of its target.
    pub fn pause(&mut self, slot: u32, is_paused: bool, now: u64) {
        let (record, probe) = self.records.both(slot);
        if record.is_paused == is_paused {
            return;
        }
        record.is_paused = is_paused;
        if is_paused {
            return self.want_less(slot);
        }
        probe.wanted += u32::from(!record.asked.is_any());
        record.asked = Asked::default();
        if !probe.is_in_flight {
            let planned = probe.timer.is_some().then_some(probe.at + self.schedule.behind());
            let Settings { interval_ms, jitter_percent, .. } = *probe.settings;
            let at = match self.config.max_spread_ms {
                Some(window_ms) => self.spread.first(now, u64::from(window_ms) * NANOSECONDS_PER_MS),
                None => {
                    let interval = u64::from(interval_ms) * NANOSECONDS_PER_MS;
                    self.spread.first_with_jitter(now, interval, jitter_percent)
                }
            };
            let slot = record.probe;
            if planned.is_none_or(|planned| at < planned) {
                self.set_timer(slot, at);
            }
        }
    }

    /// A watch wants no more checks. If it was the last of its probe that did, none are made.
    fn want_less(&mut self, slot: u32) {
        let (_, probe) = self.records.both(slot);
        probe.wanted -= 1;
        if probe.wanted == 0 {
            probe.again = false;
            if let Some(timer) = probe.timer.take() {
                self.schedule.clear(timer);
            }
        }
    }

    /// A check of this watch begins at once, or if one is in flight, when that ends.
    pub fn check_now(&mut self, slot: u32, now: u64) {
        let (record, probe) = self.records.both(slot);
        if record.is_paused {
            probe.wanted += u32::from(!record.asked.is_any());
            record.asked.ask(probe.is_in_flight);
        }
        probe.again = true;
        if !probe.is_in_flight {
            probe.is_well = false;
            let slot = record.probe;
            self.set_timer(slot, now);
        }
    }

    /// The timer of a probe whose check is not in flight.
    fn set_timer(&mut self, slot: u32, at: u64) {
        let probe = self.records.probe_mut(slot);
        if let Some(timer) = probe.timer.take() {
            self.schedule.clear(timer);
        }
        probe.timer = Some(self.schedule.set(at, slot));
        probe.at = at - self.schedule.behind();
    }

    /// The next check that is due, tagged with its probe. It is in flight from now on.
    pub fn next_check(&mut self, now: u64) -> Option<Submission> {
        let slot = self.schedule.due(now)?;
        let probe = self.records.probe_mut(slot);
        probe.timer = None;
        probe.is_in_flight = true;
        self.schedule.begin_check();
        probe.again = false;
        // A timer expires up to one tick after its time.
        let late = (now.saturating_sub(probe.at + self.schedule.behind()) / NANOSECONDS_PER_MS).saturating_sub(1);
        probe.late_ms = u8::try_from(late).unwrap_or(u8::MAX);
        probe.at = now;
        probe.behind_ms = (self.schedule.behind() / NANOSECONDS_PER_MS) as u32;
        let request = probe.settings.request(&probe.target, slot as usize);
        // An interval may be shorter by a tenth; also then the next check looks its name up anew.
        let kept_ms = probe.settings.interval_ms - probe.settings.interval_ms.div_ceil(10);
        let name_age_ms = if probe.is_well { kept_ms } else { 0 };
        // Paced: of more watches than the checker's limits leave time for, each has its turn, and none is busy for ever.
        Some(Submission { request, callback: None, name_age_ms, paced: true })
    }

    /// When to look for checks that are due; `None` while none is scheduled or in flight.
    pub fn next_at(&self) -> Option<u64> {
        self.schedule.next()
    }

    /// A check that was in flight has ended.
    pub fn settle(&mut self, report: &Report, now: u64) {
        let (slot, verdict) = (report.tag as u32, &report.verdict);
        self.schedule.look(now); // whether this program was late is to be known first
        self.schedule.end_check();
        let probe = self.records.probe_mut(slot);
        probe.is_in_flight = false;
        probe.keep(verdict);
        let again = std::mem::take(&mut probe.again);
        probe.is_well = verdict.status == Status::Up && !again;
        let waited_long = verdict.elapsed_us > u64::from(probe.settings.timeout_ms) * 1_000 + LATE / 1_000;
        let evidence = match verdict.status {
            status if !status.is_verdict() => None,
            Status::TimedOut if waited_long || self.schedule.was_late_since(probe.at) => Some(Evidence::Doubtful),
            status => Some(Evidence::Check { is_up: status == Status::Up }),
        };
        let began = probe.at;
        let mut interval_ms = None;
        let mut next = self.records.next_of(slot, None);
        while let Some(watch) = next {
            next = self.records.next_of(slot, Some(watch));
            let (record, probe) = self.records.both(watch);
            let is_paused = record.is_paused;
            if is_paused {
                if !record.asked.shift() {
                    continue;
                }
                probe.wanted -= u32::from(!record.asked.is_any());
            }
            record.checks = record.checks.wrapping_add(1);
            if !evidence.is_some_and(|evidence| self.weigh(watch, evidence, began, now)) {
                let record = self.records.both(watch).0;
                record.no_verdict = record.no_verdict.wrapping_add(1);
                if self.config.every_result && self.changes.has_room(record.pending) {
                    let state = record.hysteresis.state();
                    self.tell(watch, state, false, now);
                }
            }
            if !is_paused {
                let (record, probe) = self.records.both(watch);
                let own = probe.settings.interval_ms(record.hysteresis.pace());
                interval_ms = Some(interval_ms.map_or(own, |other: u32| other.min(own)));
            }
        }
        if !self.records.has_watches(slot) {
            self.remove_probe(slot);
        } else if again && self.records.probe(slot).wanted > 0 {
            self.set_timer(slot, now);
        } else if let Some(interval_ms) = interval_ms {
            let at = self.ended_at(slot, verdict, interval_ms, now) + self.jittered(slot, interval_ms);
            self.set_timer(slot, at);
        }
    }

    /// From when on the interval of a check runs that was just settled: from its end. That is a little before now, as
    /// verdicts gather; and if it began late, from when it would have ended else. So each watch keeps its distance from the
    /// others: checks that once began or ended together would stay together for ever, and become ever more. But no
    /// interval is shorter by more than a thirtieth for it.
    ///
    /// If the schedule has moved since the check began, all that were in flight end at once: then each has the end that
    /// it would have had, later by as much as the schedule has moved.
    fn ended_at(&self, slot: u32, verdict: &Verdict, interval_ms: u32, now: u64) -> u64 {
        let probe = self.records.probe(slot);
        let behind_ms = (self.schedule.behind() / NANOSECONDS_PER_MS) as u32;
        let moved_ms = behind_ms.wrapping_sub(probe.behind_ms) as i32; // back, where it makes up for something
        let timeout = u64::from(probe.settings.timeout_ms) * NANOSECONDS_PER_MS;
        let took = verdict.elapsed_us.saturating_mul(1_000).min(timeout);
        if moved_ms > 0 {
            return (probe.at + took + moved_ms as u64 * NANOSECONDS_PER_MS).clamp(now, now + timeout);
        }
        let ended = probe.at + took - u64::from(probe.late_ms) * NANOSECONDS_PER_MS;
        let most = u64::from(interval_ms) * NANOSECONDS_PER_MS / 30;
        // Else it waited for its turn: only the checker knows when it began.
        if now.saturating_sub(ended) <= most { ended.min(now) } else { now }
    }

    /// What the program's own traffic saw counts as one verdict. Where that leads to an earlier check, it is made
    /// earlier.
    pub fn report(&mut self, slot: u32, is_up: bool, now: u64) -> Result<(), OutOfMemory> {
        if !self.weigh(slot, Evidence::Reported { is_up }, now, now) {
            return Err(OutOfMemory);
        }
        let (record, probe) = self.records.both(slot);
        probe.is_well &= is_up;
        if probe.timer.is_none() || record.is_paused {
            return Ok(());
        }
        let interval_ms = probe.settings.interval_ms(record.hysteresis.pace());
        self.schedule.make_up(now);
        let (slot, current) = (record.probe, probe.at + self.schedule.behind());
        let at = now + self.jittered(slot, interval_ms);
        if at < current {
            self.set_timer(slot, at);
        }
        Ok(())
    }

    fn jittered(&mut self, probe: u32, interval_ms: u32) -> u64 {
        let percent = self.records.probe(probe).settings.jitter_percent;
        self.spread.jittered(u64::from(interval_ms) * NANOSECONDS_PER_MS, percent)
    }

    /// What one verdict of a check that began then makes of a watch. What it would change but cannot be told, for want of
    /// memory, is no verdict. Returns whether it was one.
    fn weigh(&mut self, slot: u32, evidence: Evidence, began: u64, now: u64) -> bool {
        let most = self.config.max_down_percent as usize * self.records.count();
        let (record, probe) = self.records.both(slot);
        let (is_up, is_reported) = match evidence {
            Evidence::Check { is_up } => (is_up, false),
            Evidence::Reported { is_up } => (is_up, true),
            Evidence::Doubtful => (false, false),
        };
        let before = record.hysteresis;
        let others = self.doubtful - usize::from(before.may_be_down());
        // Also an answer shows until when there were too many: until it came.
        let are_too_many = self.doubtful.max(others + usize::from(!is_up)) * 100 > most;
        if are_too_many {
            self.too_many_until = now;
            self.too_many_verdicts = self.too_many_verdicts.wrapping_add(1);
        }
        let is_of_too_many = !is_up && (are_too_many || began < self.too_many_until);
        let is_down = before.state() == State::Down;
        // Failures that were made before it was over do not count with those made since.
        let starts_anew = !is_up && !is_down && !is_of_too_many && record.failed_in != self.too_many_verdicts;
        let counted = if starts_anew { before.doubted() } else { before };
        let mut after = counted.after(is_up, &probe.settings.thresholds);
        let is_doubtful = matches!(evidence, Evidence::Doubtful);
        let is_held = !is_down && after.state() == State::Down && (is_of_too_many || is_doubtful);
        if is_held || !is_down && is_doubtful {
            after = before.doubted();
        }
        let is_told = before.state() != after.state() || self.config.every_result;
        if is_told && !self.changes.has_room(record.pending) {
            return false;
        }
        self.held += u64::from(is_held);
        let count = if is_up { &mut record.up } else { &mut record.down };
        *count = count.wrapping_add(1);
        record.hysteresis = after;
        record.failed_in = self.too_many_verdicts.wrapping_sub(u32::from(is_of_too_many));
        self.doubtful = others + usize::from(after.may_be_down());
        let (from, to) = (before.state(), after.state());
        if from != to {
            record.since_us = now / 1_000;
            record.changes = record.changes.wrapping_add(1);
        }
        if is_told {
            self.tell(slot, from, is_reported, now);
        }
        true
    }

    /// A watch has come from one state to its own, maybe the same.
    fn tell(&mut self, slot: u32, from: State, is_reported: bool, now: u64) {
        let id = self.records.id(slot);
        let (record, probe) = self.records.both(slot);
        let change = told::change(id, record, probe, from, is_reported, now / 1_000);
        self.changes.put(slot, &mut record.pending, change);
    }

    /// The oldest change that waits.
    pub fn take_change(&mut self) -> Option<Change> {
        let (slot, change) = self.changes.take()?;
        self.records.both(slot).0.pending.shift();
        Some(change)
    }

    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    pub fn changes_fd(&mut self) -> std::io::Result<std::ffi::c_int> {
        self.changes.raw_fd()
    }

    /// How many changes to down were held back, as this program was late or too many would have been down.
    pub fn held(&self) -> u64 {
        self.held
    }

    pub fn info(&self, slot: u32) -> WatchInfo {
        let record = self.records.watch(slot);
        told::info(record, self.records.probe(record.probe), self.schedule.behind())
    }
}

#[cfg(test)]
mod tests;
