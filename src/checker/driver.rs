//! The loop of a caller-driven checker: it has no thread, and gets on only inside the calls that wait for it.

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::event_loop::{EventLoop, LoopEngine};
use crate::sys::clock;
use crate::sys::lock::{Condvar, Mutex};
use crate::sys::poll_set::PollSet;
use crate::sys::thread;

/// A loop of any engine, as whoever drives it sees it.
trait DrivenLoop: Send {
    fn step(&mut self, limit: Option<Duration>) -> bool;
    fn rest(&mut self) -> Option<u64>;
    fn is_closing(&self) -> bool;
    fn is_in_child(&self) -> bool;
}

impl<E: LoopEngine + Send> DrivenLoop for EventLoop<E> {
    fn step(&mut self, limit: Option<Duration>) -> bool {
        self.step(limit)
    }

    fn rest(&mut self) -> Option<u64> {
        self.rest()
    }

    fn is_closing(&self) -> bool {
        self.is_closing()
    }

    fn is_in_child(&self) -> bool {
        self.is_in_child()
    }
}

pub(super) struct Driver {
    state: Mutex<DriverState>,
    /// Whoever waits to drive, or for a result, looks again.
    changed: Condvar,
    /// How many threads wait for `changed`, or are about to.
    waiting: AtomicUsize,
    /// The token of the thread that drives the loop; 0 while nobody does.
    driven_by: AtomicUsize,
    /// What the loop polls, open until it has ended.
    loop_fd: Option<c_int>,
}

struct DriverState {
    /// `None` while somebody drives it, and once it has ended.
    event_loop: Option<Box<dyn DrivenLoop>>,
    has_ended: bool,
    /// Made when the descriptor is first asked for.
    poll_set: Option<Arc<PollSet>>,
    /// The poll sets of those who wait for results of their own.
    others: Vec<Weak<PollSet>>,
    /// The time that the poll sets were told.
    time: Option<u64>,
}

impl Driver {
    pub fn new(event_loop: EventLoop<impl LoopEngine + Send + 'static>) -> Driver {
        let loop_fd = event_loop.poller_fd();
        let state = DriverState {
            event_loop: Some(Box::new(event_loop)),
            has_ended: false,
            poll_set: None,
            others: Vec::new(),
            time: None,
        };
        Driver {
            state: Mutex::new(state),
            changed: Condvar::new(),
            waiting: AtomicUsize::new(0),
            driven_by: AtomicUsize::new(0),
            loop_fd,
        }
    }

    /// Whether the calling thread drives the loop, that is, runs one of its callbacks.
    pub fn is_driven_here(&self) -> bool {
        self.driven_by.load(Ordering::SeqCst) == thread::token()
    }

    /// Whether any thread drives the loop, and may be asleep in its poller.
    pub fn is_driven(&self) -> bool {
        self.driven_by.load(Ordering::SeqCst) != 0
    }

    pub fn has_ended(&self) -> bool {
        self.state.lock().has_ended
    }

    /// Has the loop get on, at least once, until `is_done` or for as long as `wait` (`None`: for ever). One caller at a
    /// time drives; others wait until it is done, or for what they wait for.
    pub fn drive(&self, is_done: impl Fn() -> bool, wait: Option<Duration>) {
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        let left = || match (wait, until) {
            (Some(_), Some(until)) => Some(until.saturating_duration_since(Instant::now())),
            _ => None,
        };
        loop {
            let mut state = self.state.lock();
            if let Some(event_loop) = state.event_loop.take() {
                drop(state);
                return self.drive_here(event_loop, is_done, left);
            }
            if state.has_ended || left() == Some(Duration::ZERO) {
                return;
            }
            // Said before the last look: whoever drives looks at it after a result is there.
            self.waiting.fetch_add(1, Ordering::SeqCst);
            if is_done() {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                return;
            }
            let state = match left() {
                Some(left) => self.changed.wait_timeout(state, left),
                None => self.changed.wait(state),
            };
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            drop(state);
            if is_done() {
                return;
            }
        }
    }

    fn drive_here(
        &self,
        mut event_loop: Box<dyn DrivenLoop>,
        is_done: impl Fn() -> bool,
        left: impl Fn() -> Option<Duration>,
    ) {
        self.driven_by.store(thread::token(), Ordering::SeqCst);
        loop {
            let goes_on = self.get_on(&mut *event_loop, &is_done, &left);
            if event_loop.is_in_child() {
                // This is a forked child: the loop and the locks are the parent's.
                return std::mem::forget(event_loop);
            }
            let mut state = self.state.lock();
            // Whoever closes the inbox from now on finds the loop here, and ends it.
            if goes_on && event_loop.is_closing() {
                continue;
            }
            self.driven_by.store(0, Ordering::SeqCst);
            if goes_on {
                state.rest(event_loop);
            } else {
                state.has_ended = true;
                state.set_time(None);
            }
            break;
        }
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify_all();
        }
    }

    /// Rounds of the loop, until `is_done` or the wait is over. False when the loop has ended.
    fn get_on(
        &self,
        event_loop: &mut dyn DrivenLoop,
        is_done: impl Fn() -> bool,
        left: impl Fn() -> Option<Duration>,
    ) -> bool {
        // Answers that wait are read in any case, so that their sockets are reset.
        let mut wait = Some(Duration::ZERO);
        let mut is_asleep = false;
        loop {
            if !event_loop.step(wait) {
                return false;
            }
            if is_done() && !event_loop.is_closing() {
                return true;
            }
            self.tell_waiting();
            wait = left();
            if wait == Some(Duration::ZERO) && !event_loop.is_closing() {
                return true;
            }
            // This thread acts on the time itself while it sleeps in the poller: the descriptor need not tell others.
            if !std::mem::replace(&mut is_asleep, true) {
                self.state.lock().set_time(None);
            }
        }
    }

    fn tell_waiting(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.state.lock()); // who has said that it waits, but does not yet, would miss the notification
            self.changed.notify_all();
        }
    }

    /// Somebody else than the loop made a result: whoever waits for one looks again.
    pub fn tell_of_result(&self) {
        self.tell_waiting();
    }

    /// A descriptor that is readable while driving the loop would do anything, or results wait in `completions`.
    pub fn raw_fd(&self, completions: c_int) -> Option<c_int> {
        let mut state = self.state.lock();
        if state.poll_set.is_none() {
            state.poll_set = Some(self.new_set(&state, &[completions])?);
            state.rest_anew();
        }
        state.poll_set.as_deref().map(PollSet::raw_fd)
    }

    /// A descriptor that is readable while driving the loop would do anything, or one of these is.
    pub fn poll_set(&self, members: &[c_int]) -> Option<Arc<PollSet>> {
        let mut state = self.state.lock();
        state.others.retain(|other| other.strong_count() > 0);
        state.others.try_reserve(1).ok()?;
        let set = self.new_set(&state, members)?;
        state.others.push(Arc::downgrade(&set));
        state.rest_anew();
        Some(set)
    }

    fn new_set(&self, state: &DriverState, members: &[c_int]) -> Option<Arc<PollSet>> {
        let mut members = members.to_vec();
        // The number of a descriptor that was closed may be anybody's by now.
        if !state.has_ended {
            members.push(self.loop_fd?);
        }
        let set = PollSet::new(&members).ok()?;
        set.set_time(state.time);
        Some(Arc::new(set))
    }
}

impl DriverState {
    /// Nobody drives the loop: the poll set tells when somebody should.
    fn rest(&mut self, mut event_loop: Box<dyn DrivenLoop>) {
        let time = event_loop.rest();
        self.set_time(time);
        self.event_loop = Some(event_loop);
    }

    /// A poll set is new: it is told when the loop should be driven, unless somebody does.
    fn rest_anew(&mut self) {
        if let Some(event_loop) = self.event_loop.take() {
            self.rest(event_loop);
        }
    }

    /// Has the poll sets be readable from then on. A time that has come is told anew, for those who wait for edges.
    fn set_time(&mut self, time: Option<u64>) {
        let has_sets = self.poll_set.is_some() || !self.others.is_empty();
        if has_sets && (time != self.time || time.is_some_and(|time| time <= clock::now())) {
            self.poll_set.iter().for_each(|set| set.set_time(time));
            self.others.iter().filter_map(Weak::upgrade).for_each(|set| set.set_time(time));
            self.time = time;
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use crate::{Checker, Config};

    #[test]
    fn each_descriptor_is_told_of_the_time_as_long_as_somebody_has_it() {
        let checker = Checker::new(&Config { caller_driven: true, ..Config::default() }).unwrap();
        let driver = checker.driver.as_ref().unwrap();
        let told = || driver.state.lock().others.iter().filter(|other| other.strong_count() > 0).count();
        let [one, other] = [(); 2].map(|()| checker.poll_set(&[]).unwrap());
        assert_eq!(told(), 2);
        drop(one);
        (0..100).for_each(|_| drop(checker.poll_set(&[]).unwrap()));
        assert_eq!(told(), 1);
        assert!(driver.state.lock().others.len() <= 2, "those that are gone are forgotten");
        drop(other);
    }
}
