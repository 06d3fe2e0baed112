//! Has the checker make the checks that are due, and hands their verdicts to the core: on the monitor's own thread, or
//! inside the calls of those who reap.

use std::sync::Arc;
use std::time::Duration;

use super::changes::Change;
use super::core::Core;
use crate::check::pieces::Pieces;
use crate::check::verdict::{Report, Status, Verdict};
use crate::checker::{Checker, Submission};
use crate::completion::CompletionQueue;
use crate::sys::clock;
use crate::sys::lock::{Condvar, Mutex, MutexGuard};
use crate::sys::poll_set::PollSet;

/// Checks begun, verdicts weighed and changes taken under one lock.
const BATCH: usize = 1_024;
/// So many verdicts in one round make it worth while to let some gather.
const MANY: usize = 8;
/// For how long they gather. It is also how late a check may begin for it.
const GATHERING: Duration = Duration::from_millis(5);

/// What the handle and the monitor's thread share.
pub(super) struct Rounds {
    pub checker: Arc<Checker>,
    pub results: Arc<CompletionQueue>,
    /// Held by whoever is the next to have the state: somebody who has just let go of it does not come before those who
    /// have waited. A program that adds a million watches would keep checks waiting for 100 ms else, again and again.
    turn: Mutex<()>,
    state: Mutex<State>,
    /// Changes wait, or nothing more will come.
    changed: Condvar,
}

pub(super) struct State {
    pub core: Core,
    /// No more checks are made.
    pub has_ended: bool,
    /// What the descriptor stands for on a caller-driven checker; made when it is first asked for.
    pub alarm: Option<Alarm>,
}

/// A descriptor that is readable while changes wait, or somebody should reap so that the monitor gets on.
pub(super) struct Alarm {
    /// Changes and results that wait, and the time of the next check.
    own: PollSet,
    /// That, and the checker's own work.
    pub whole: Arc<PollSet>,
    /// The time that it was told.
    time: Option<u64>,
}

impl Alarm {
    pub fn new(own: PollSet, whole: Arc<PollSet>) -> Alarm {
        Alarm { own, whole, time: None }
    }
}

impl State {
    /// The alarm is for the next check. A time that has come is told anew, for those who wait for edges.
    pub fn set_alarm(&mut self, now: u64) {
        let time = if self.has_ended { None } else { self.core.next_at() };
        if let Some(alarm) = &mut self.alarm
            && (time != alarm.time || time.is_some_and(|time| time <= now))
        {
            alarm.own.set_time(time);
            alarm.time = time;
        }
    }
}

impl Rounds {
    pub fn new(checker: Arc<Checker>, results: Arc<CompletionQueue>, core: Core) -> Rounds {
        let state = State { core, has_ended: false, alarm: None };
        Rounds { checker, results, turn: Mutex::new(()), state: Mutex::new(state), changed: Condvar::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        let _turn = self.turn.lock();
        self.state.lock()
    }

    /// Changes something in the core, and wakes whom that concerns.
    pub fn with<R>(&self, change: impl FnOnce(&mut State, u64) -> R) -> R {
        let mut state = self.lock();
        let now = clock::now();
        let next = |state: &State| state.core.next_at().unwrap_or(u64::MAX);
        let before = next(&state);
        let result = change(&mut state, now);
        let is_earlier = next(&state) < before;
        let has_news = state.core.has_changes() || state.has_ended;
        state.set_alarm(now);
        drop(state);
        if has_news {
            self.changed.notify_all();
        }
        if is_earlier || has_news && self.checker.is_caller_driven() {
            self.checker.interrupt(&self.results);
        }
        result
    }

    /// One round after another, on the thread that is the monitor's own.
    pub fn run(&self) {
        let _end = EndsWithThread(self);
        let mut settled = 0;
        while let Some(now_settled) = self.round(None, settled >= MANY) {
            settled = now_settled;
        }
    }

    /// Begins the checks that are due, waits for verdicts no longer than until the next is (and than `limit`), and
    /// weighs them. Returns how many came; `None` when no more checks are made.
    pub fn round(&self, limit: Option<Duration>, gathers: bool) -> Option<usize> {
        let seen = self.results.interrupts(); // read first: whatever changes from now on ends the wait
        let is_behind = self.checker.is_behind();
        let Some((due, tags, next)) = self.next_checks(is_behind) else { return self.end_rounds() };
        let is_busy = !due.is_empty();
        if is_busy {
            match self.checker.submit_to(&self.results, due.into_iter().map(Ok)) {
                Ok(_) => {}
                Err(Status::LocalFault) => self.settle(tags.into_iter().map(|tag| {
                    // No verdict: each is made again when it is due.
                    Report { id: 0, tag, verdict: Verdict::out_of_memory() }
                })),
                Err(_) => return self.end_rounds(),
            }
        }
        let until_next = next.map(|at| Duration::from_nanos(at.saturating_sub(clock::now())));
        let (wanted, wait) = match (is_busy, gathers || is_behind) {
            (true, _) => (1, Some(Duration::ZERO)),
            (false, true) => (BATCH, Some(GATHERING)),
            (false, false) => (1, limit.into_iter().chain(until_next).min()),
        };
        let mut reports = Pieces::<Report>::new();
        let taken =
            self.checker.take_from(&self.results, seen, BATCH, wanted, wait, |report| reports.push_back(report));
        if self.checker.is_forked() {
            return None; // a callback forked while this thread drove the checker, and this is the child
        }
        if taken > 0 {
            self.settle(std::iter::from_fn(|| reports.pop_front()));
        } else if self.results.is_closed() {
            return self.end_rounds();
        }
        Some(taken)
    }

    fn settle(&self, reports: impl Iterator<Item = Report>) {
        self.with(|state, now| reports.for_each(|report| state.core.settle(&report, now)));
    }

    /// No more checks are made, and what is known of those in flight is nobody's concern: the descriptor shows changes.
    fn end_rounds(&self) -> Option<usize> {
        self.end();
        self.results.take(usize::MAX, 0, Some(Duration::ZERO), drop);
        None
    }

    /// The next checks that are due with their tags, and when others are; `None` when no more are made. While the
    /// checker is behind with those before, none is: they would leave all at once when it goes on. The schedule finds
    /// itself late instead, and moves.
    fn next_checks(&self, is_behind: bool) -> Option<(Vec<Submission>, Vec<usize>, Option<u64>)> {
        let mut state = self.lock();
        if state.has_ended {
            return None;
        }
        let now = clock::now();
        let (mut due, mut tags) = (Vec::new(), Vec::new());
        while due.len() < BATCH && !is_behind {
            // Without memory for more of them at once they are begun in smaller batches.
            let has_room = due.try_reserve(1).is_ok() && tags.try_reserve(1).is_ok();
            if !has_room && !due.is_empty() {
                break;
            }
            let Some(check) = state.core.next_check(now) else { break };
            tags.push(check.request.tag);
            due.push(check);
        }
        state.set_alarm(now);
        Some((due, tags, state.core.next_at()))
    }

    /// No more checks are made, and nobody waits for changes.
    pub fn end(&self) {
        self.with(|state, _| state.has_ended = true);
    }

    /// Takes changes that wait, at most so many.
    pub fn take(&self, capacity: usize, each: &mut impl FnMut(Change)) -> usize {
        let mut taken = 0;
        while taken < capacity {
            let mut state = self.lock();
            let room = (capacity - taken).min(BATCH);
            let count = std::iter::from_fn(|| state.core.take_change()).take(room).map(&mut *each).count();
            taken += count;
            if count < room {
                break;
            }
        }
        taken
    }

    /// Waits until changes wait, nothing more will come, or this time has passed; `None` is for ever.
    pub fn wait(&self, wait: Option<Duration>) {
        let until = wait.map(|wait| clock::now().saturating_add(wait.as_nanos().min(u64::MAX.into()) as u64));
        let mut state = self.lock();
        while !state.core.has_changes() && !state.has_ended {
            state = match until.map(|until| until.saturating_sub(clock::now())) {
                Some(0) => return,
                Some(left) => self.changed.wait_timeout(state, Duration::from_nanos(left)),
                None => self.changed.wait(state),
            };
        }
    }

    pub fn may_go_on(&self) -> Result<(), Status> {
        if self.lock().has_ended { Err(Status::Closed) } else { Ok(()) }
    }

    /// The same, and the checker was not shut down either, which the monitor's thread may not have seen yet.
    pub fn may_begin(&self) -> Result<(), Status> {
        if self.checker.is_shut_down() { Err(Status::Closed) } else { self.may_go_on() }
    }
}

/// Those who wait for changes learn that no more will come, even if the thread dies of a defect.
struct EndsWithThread<'a>(&'a Rounds);

impl Drop for EndsWithThread<'_> {
    fn drop(&mut self) {
        if !self.0.checker.is_forked() {
            self.0.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Looks;
    use super::*;
    use crate::{Config, MonitorConfig};

    #[test]
    fn a_monitor_whose_thread_dies_of_a_defect_has_ended() {
        let checker = Arc::new(Checker::new(&Config::default()).unwrap());
        let results = checker.open_queue().unwrap();
        let core = Core::new(MonitorConfig::default(), Looks::Thread, clock::now());
        let rounds = Rounds::new(checker, results, core);
        assert_eq!((rounds.may_go_on(), rounds.may_begin()), (Ok(()), Ok(())));
        drop(EndsWithThread(&rounds));
        assert_eq!((rounds.may_go_on(), rounds.may_begin()), (Err(Status::Closed), Err(Status::Closed)));
        rounds.wait(None); // nobody waits for ever
        rounds.results.close();
    }
}
