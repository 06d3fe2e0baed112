//! The safe handle over a monitor: what a program holds, and calls from any thread.

use std::ffi::c_int;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::changes::Change;
use super::config::MonitorConfig;
use super::core::Core;
use super::rounds::{Alarm, Rounds};
use super::schedule::Looks;
use super::watch::{Settings, Watch, WatchInfo};
use crate::check::error::Error;
use crate::check::request::Handshake;
use crate::checker::Checker;
use crate::config::EngineKind;
use crate::sys::clock;
use crate::sys::memory::{OutOfMemory, could_have, vec_for};
use crate::sys::poll_set::PollSet;
use crate::sys::thread::{self, Thread};

/// For names of targets and batches of requests.
const STACK: usize = 256 << 10;
/// Watches added or removed under one lock.
const BATCH: usize = 256;
/// What a watch may need at most, with its settings while it is added: who adds many leaves some memory to others.
const BYTES_OF_WATCH: usize = 500;

/// Checks targets again and again, and tells when the state of one changes. Made to be shared: every function may be
/// called from any thread at any time.
///
/// It has one thread; on a caller-driven checker none: it gets on, as the checker does, inside [`Monitor::reap`].
/// Whoever drives one is to call [`Monitor::reap`] when its descriptor says so, or every 200 ms. Where that is late by
/// more than 250 ms, intervals are longer. Whoever is late may have missed an answer: a check that timed out takes no
/// watch down if, while it was in flight, a call came more than 200 ms after this check was to end or another to begin,
/// or none came for more than 450 ms.
///
/// Dropping it ends its checks.
///
/// ```
/// use std::sync::Arc;
/// use tcpshaker::{Checker, Config, Monitor, MonitorConfig, State, Watch};
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let checker = Arc::new(Checker::new(&Config::default()).unwrap());
/// let monitor = Monitor::new(checker, &MonitorConfig::default()).unwrap();
/// let mut watch = Watch::new(listener.local_addr().unwrap());
/// watch.interval_ms = 20;
/// let ids = monitor.add(&[watch]).unwrap();
/// let mut changes = Vec::new();
/// monitor.reap(&mut changes, 10, None);
/// assert_eq!((changes[0].id, changes[0].to), (ids[0], State::Up));
/// ```
pub struct Monitor {
    rounds: Arc<Rounds>,
    /// `None` where callers drive the checker.
    thread: Option<Thread>,
}

impl Monitor {
    /// Makes a monitor of this checker, without any watch.
    ///
    /// # Errors
    /// [`Error::LocalFault`] without a thread or memory for it; [`Error::Closed`] if the checker was shut down, or
    /// [`Error::Forked`] if it is the parent process's.
    pub fn new(checker: Arc<Checker>, config: &MonitorConfig) -> Result<Monitor, Error> {
        let results = checker.open_queue()?;
        let looks = if checker.is_caller_driven() { Looks::Callers } else { Looks::Thread };
        let core = Core::new(config.clone(), looks, clock::now());
        let rounds = Arc::new(Rounds::new(checker, results, core));
        let thread = if rounds.checker.is_caller_driven() {
            None
        } else {
            let rounds = Arc::clone(&rounds);
            let run = move || rounds.run();
            Some(thread::spawn(c"shaker-monitor", STACK, run).map_err(|_| Error::LocalFault)?)
        };
        Ok(Monitor { rounds, thread })
    }

    /// Adds watches. Returns their ids, in their order; none is ever 0.
    ///
    /// # Errors
    /// [`Error::BadAddress`] if one of the targets is none, [`Error::Invalid`] if a setting is out of range,
    /// [`Error::Unsupported`] for a handshake that the engine cannot make, [`Error::LocalFault`] without memory for all,
    /// [`Error::Closed`] or [`Error::Forked`]; then none was added.
    pub fn add(&self, watches: &[Watch]) -> Result<Vec<u64>, Error> {
        self.not_forked()?;
        self.rounds.may_begin()?;
        let is_full = |watch: &Watch| watch.linger || watch.handshake == Handshake::Full;
        if self.rounds.checker.engine() == EngineKind::Raw && watches.iter().any(is_full) {
            return Err(Error::Unsupported);
        }
        let timeout_ms = self.rounds.checker.default_timeout_ms();
        if watches.len() > BATCH && !could_have(watches.len().saturating_mul(BYTES_OF_WATCH)) {
            return Err(Error::LocalFault);
        }
        let mut settings = vec_for(watches.len())?;
        for watch in watches {
            settings.push(Settings::of(watch, timeout_ms)?);
        }
        let mut ids = vec_for(watches.len())?;
        let mut all = watches.iter().cloned().zip(settings);
        while ids.len() < watches.len() {
            let room = self.rounds.with(|state, now| {
                state.core.grow_by(BATCH.min(watches.len() - ids.len()))?;
                let batch = all.by_ref().take(BATCH);
                ids.extend(batch.map(|(watch, settings)| state.core.add(watch, settings, now)));
                Ok::<_, OutOfMemory>(())
            });
            if room.is_err() {
                self.remove(&ids)?;
                return Err(Error::LocalFault);
            }
        }
        Ok(ids)
    }

    /// Removes watches. No change of theirs comes out of a call of [`Monitor::reap`] that begins afterwards.
    ///
    /// # Errors
    /// [`Error::Invalid`] if one of the ids is no watch's; the others are removed. [`Error::Forked`].
    pub fn remove(&self, ids: &[u64]) -> Result<(), Error> {
        self.not_forked()?;
        let mut all_known = true;
        for batch in ids.chunks(BATCH) {
            self.rounds.with(|state, _| {
                for &id in batch {
                    match state.core.slot(id) {
                        Some(slot) => state.core.remove(slot),
                        None => all_known = false,
                    }
                }
            });
        }
        if all_known { Ok(()) } else { Err(Error::Invalid) }
    }

    /// Makes no checks of a watch, or goes on with them. It keeps its state meanwhile, and can be reported.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the id is no watch's; [`Error::Forked`].
    pub fn pause(&self, id: u64, paused: bool) -> Result<(), Error> {
        self.with_watch(id, |core, slot, now| core.pause(slot, paused, now))
    }

    /// Has a check of a watch begin at once, or if one is in flight, when that has ended. Also of one that is paused.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the id is no watch's; [`Error::Closed`]; [`Error::Forked`].
    pub fn check_now(&self, id: u64) -> Result<(), Error> {
        self.not_forked()?;
        self.rounds.may_begin()?;
        self.with_watch(id, Core::check_now)
    }

    /// Tells what the program's own traffic saw of a target. It counts as one verdict.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the id is no watch's; [`Error::LocalFault`] without memory for the change that it leads to:
    /// then it does not count; [`Error::Forked`].
    pub fn report(&self, id: u64, is_up: bool) -> Result<(), Error> {
        Ok(self.with_watch(id, |core, slot, now| core.report(slot, is_up, now))??)
    }

    fn with_watch<R>(&self, id: u64, change: impl FnOnce(&mut Core, u32, u64) -> R) -> Result<R, Error> {
        self.not_forked()?;
        self.rounds.with(|state, now| {
            let slot = state.core.slot(id).ok_or(Error::Invalid)?;
            Ok(change(&mut state.core, slot, now))
        })
    }

    /// What is known of a watch.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the id is no watch's; [`Error::Forked`].
    pub fn get(&self, id: u64) -> Result<WatchInfo, Error> {
        self.not_forked()?;
        let state = self.rounds.lock();
        state.core.slot(id).map(|slot| state.core.info(slot)).ok_or(Error::Invalid)
    }

    /// Adds up to `capacity` changes to `changes`, waiting up to `wait` (`None`: for ever) for the first. Returns how
    /// many.
    ///
    /// Each comes out once, those of one watch in their order. Of a watch that changes faster than it is read, two wait:
    /// the first that was not read, and the latest, which says that others were skipped. From one of the checker's own
    /// callbacks it does not wait; nor after a shutdown of the checker.
    pub fn reap(&self, changes: &mut Vec<Change>, capacity: usize, wait: Option<Duration>) -> usize {
        self.reap_each(capacity, wait, |change| changes.push(change))
    }

    /// `each` is called under the monitor's lock.
    pub(crate) fn reap_each(&self, capacity: usize, wait: Option<Duration>, mut each: impl FnMut(Change)) -> usize {
        let checker = &self.rounds.checker;
        if checker.is_forked() {
            return 0;
        }
        // Without room for a change none is waited for: it could not end the wait.
        let wait = if capacity == 0 || checker.is_own_thread() { Some(Duration::ZERO) } else { wait };
        let begun = Instant::now();
        let left = || wait.map(|wait| wait.saturating_sub(begun.elapsed()));
        let mut limit = Some(Duration::ZERO); // on a caller-driven checker what is due is done in any case
        loop {
            let goes_on = if checker.is_caller_driven() {
                self.rounds.round(limit, false).is_some()
            } else {
                self.rounds.wait(left());
                true
            };
            if checker.is_forked() {
                return 0;
            }
            let taken = self.rounds.take(capacity, &mut each);
            let is_over = limit.is_none_or(|limit| limit.is_zero()) && left() == Some(Duration::ZERO);
            if taken > 0 || capacity == 0 || !goes_on || is_over || self.rounds.may_go_on().is_err() {
                return taken;
            }
            limit = left();
        }
    }

    /// [`Monitor::raw_fd`], for what borrows descriptors. There may be none, so this is not `AsFd`.
    #[cfg(unix)]
    pub fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.raw_fd().map(|fd| crate::sys::descriptor::borrowed(self, fd))
    }

    /// A descriptor that is readable exactly while changes wait to be reaped; on a caller-driven checker also while a
    /// call of [`Monitor::reap`] would do anything else. `None` if there is none to be had.
    ///
    /// It belongs to the monitor: it may be polled, never read or closed.
    pub fn raw_fd(&self) -> Option<c_int> {
        let Rounds { checker, results, .. } = &*self.rounds;
        if checker.is_forked() {
            return None;
        }
        let changes = self.rounds.lock().core.changes_fd().ok()?;
        if !checker.is_caller_driven() {
            return Some(changes);
        }
        if self.rounds.lock().alarm.is_none() {
            let own = PollSet::new(&[changes, results.raw_fd().ok()?]).ok()?;
            let whole = checker.poll_set(&[own.raw_fd()])?;
            self.rounds.lock().alarm.get_or_insert(Alarm::new(own, whole));
        }
        let mut state = self.rounds.lock();
        state.set_alarm(clock::now());
        state.alarm.as_ref().map(|alarm| alarm.whole.raw_fd())
    }

    /// How many changes to down were held back, since this program was late itself, or too many would have been down.
    /// They are judged by the checks that were made since.
    pub fn held(&self) -> u64 {
        if self.rounds.checker.is_forked() { 0 } else { self.rounds.lock().core.held() }
    }

    /// Whether this is one of the checker's own callbacks, which cannot wait for the monitor's thread.
    pub(crate) fn is_called_by_checker(&self) -> bool {
        let checker = &self.rounds.checker;
        !checker.is_forked() && checker.is_own_thread()
    }

    fn not_forked(&self) -> Result<(), Error> {
        if self.rounds.checker.is_forked() { Err(Error::Forked) } else { Ok(()) }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let thread = self.thread.take();
        if self.rounds.checker.is_forked() {
            // The thread is the parent's, and so is whatever it was at. So what it shares is never dropped.
            std::mem::forget((thread, Arc::clone(&self.rounds)));
            return;
        }
        self.rounds.end();
        self.rounds.results.close();
        if let Some(thread) = thread {
            thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn a_handshake_that_the_raw_engine_cannot_make_is_refused() {
        let Ok(checker) = Checker::new(&Config { engine: EngineKind::Raw, ..Config::default() }) else { return };
        let monitor = Monitor::new(Arc::new(checker), &MonitorConfig::default()).unwrap();
        let watch = Watch { interval_ms: 3_600_000, ..Watch::new("127.0.0.1:9") };
        let full = Watch { handshake: Handshake::Full, ..watch.clone() };
        for refused in [full, Watch { linger: true, ..watch.clone() }] {
            assert_eq!(monitor.add(&[watch.clone(), refused]), Err(Error::Unsupported));
        }
        assert_eq!(monitor.add(&[watch]).map(|ids| ids.len()), Ok(1));
    }
}
