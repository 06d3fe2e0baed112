//! A queue between the threads that make results and those that read them, with a descriptor that shows whether any
//! wait.

use std::ffi::c_int;
use std::io;
use std::time::{Duration, Instant};

use crate::check::pieces::Pieces;
use crate::sys::lock::{Condvar, Mutex, MutexGuard};
use crate::sys::readiness::Readiness;

/// How many items are moved under one lock, so that a loop never waits long for a reader.
const MOVED_AT_ONCE: usize = 256;

/// Each item comes out once, to one of the readers. No reader's code runs under the lock.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

struct State<T> {
    ready: Pieces<T>,
    sleepers: Sleepers,
    /// Nothing more will come: nobody waits any longer.
    closed: bool,
    /// How often those who wait were interrupted.
    interrupts: u64,
    /// Made when the descriptor is first asked for.
    readiness: Option<Readiness>,
    /// The descriptor is readable.
    raised: bool,
}

/// Readers that are asleep, or have been woken and do not have the lock yet.
struct Sleepers {
    count: usize,
    /// Those of them that wait for more than one item.
    waiting_for_several: usize,
    /// No reader waits for fewer items than this.
    least_wanted: usize,
}

/// Whom a change of the queue wakes, once the lock is released.
enum Wake {
    Some(usize),
    All,
}

impl<T> Queue<T> {
    pub fn new() -> Queue<T> {
        let sleepers = Sleepers { count: 0, waiting_for_several: 0, least_wanted: usize::MAX };
        let state =
            State { ready: Pieces::new(), sleepers, closed: false, interrupts: 0, readiness: None, raised: false };
        Queue { state: Mutex::new(state), arrived: Condvar::new() }
    }

    /// Adds items under one lock, and wakes as many readers as can be served.
    pub fn put(&self, items: impl Iterator<Item = T>) {
        let mut state = self.state.lock();
        let before = state.ready.len();
        state.ready.extend(items);
        let wake = state.whom_to_wake(state.ready.len() - before);
        state.show_readiness();
        drop(state);
        self.wake(wake);
    }

    /// Whether at least so many items are there, nothing more will come, or the number of interrupts is another than
    /// `seen`.
    pub fn has(&self, wanted: usize, seen: Option<u64>) -> bool {
        self.state.lock().has(wanted, seen)
    }

    /// Who waits and has seen this number of interrupts is woken by the next.
    pub fn interrupts(&self) -> u64 {
        self.state.lock().interrupts
    }

    /// Whoever waits, and says what interrupts it has seen, is to look at something else than the queue.
    pub fn interrupt(&self) {
        self.state.lock().interrupts += 1;
        self.arrived.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Hands up to `capacity` items to `each`, waiting until at least `wanted` are there, `wait` has passed
    /// (`None`: for ever) or the queue is closed. Returns how many it handed out.
    ///
    /// If `each` panics, the items that it was not given stay in the queue.
    pub fn take(&self, capacity: usize, wanted: usize, wait: Option<Duration>, each: impl FnMut(T)) -> usize {
        self.take_unless(None, capacity, wanted, wait, each)
    }

    /// The same, but waits no longer once the number of interrupts is another than `seen`.
    pub fn take_unless(
        &self,
        seen: Option<u64>,
        capacity: usize,
        wanted: usize,
        wait: Option<Duration>,
        mut each: impl FnMut(T),
    ) -> usize {
        let mut group = Group { queue: self, items: Pieces::new() };
        let mut state = self.wait(self.state.lock(), seen, wanted.min(capacity), wait);
        let mut taken = 0;
        loop {
            let count = state.ready.len().min(capacity - taken).min(MOVED_AT_ONCE);
            // One alone needs no group, and leaves the queue its memory.
            let alone = if count == 1 { state.ready.pop_front() } else { None };
            if alone.is_none() {
                state.ready.move_to(&mut group.items, count);
            }
            taken += count;
            state.show_readiness();
            let is_last = state.ready.is_empty() || taken == capacity;
            drop(state);
            alone.into_iter().for_each(&mut each);
            while let Some(item) = group.items.pop_front() {
                each(item);
            }
            if is_last {
                return taken;
            }
            state = self.state.lock();
        }
    }

    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
        seen: Option<u64>,
        wanted: usize,
        wait: Option<Duration>,
    ) -> MutexGuard<'a, State<T>> {
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        while !state.has(wanted, seen) {
            let left = match (wait, until) {
                (Some(_), Some(until)) => match until.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => break,
                },
                _ => None,
            };
            state.sleepers.enter(wanted);
            state = match left {
                Some(left) => self.arrived.wait_timeout(state, left),
                None => self.arrived.wait(state),
            };
            state.sleepers.leave(wanted);
        }
        state
    }

    /// Wakes every reader, now and from now on. What is in the queue can still be taken.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_all();
    }

    /// The descriptor that is readable exactly while items wait; made when first asked for.
    pub fn raw_fd(&self) -> io::Result<c_int> {
        let mut state = self.state.lock();
        if state.readiness.is_none() {
            state.readiness = Some(Readiness::new()?);
            state.show_readiness();
        }
        Ok(state.readiness.as_ref().map_or(-1, Readiness::raw_fd))
    }

    fn wake(&self, wake: Wake) {
        match wake {
            Wake::Some(readers) => (0..readers).for_each(|_| self.arrived.notify_one()),
            Wake::All => self.arrived.notify_all(),
        }
    }
}

impl<T> State<T> {
    fn has(&self, wanted: usize, seen: Option<u64>) -> bool {
        self.ready.len() >= wanted || self.closed || seen.is_some_and(|seen| seen != self.interrupts)
    }

    /// Whom to wake when so many items are new: a reader for each, since a reader may take no more than one. A reader
    /// that finds nothing left goes back to sleep.
    fn whom_to_wake(&self, new: usize) -> Wake {
        let Sleepers { count, waiting_for_several, least_wanted } = self.sleepers;
        if count == 0 || self.ready.len() < least_wanted {
            Wake::Some(0)
        } else if waiting_for_several > 0 || new >= count {
            Wake::All // if only some were woken, they could be those that wait for more
        } else {
            Wake::Some(new)
        }
    }

    /// Makes the descriptor show whether items wait. If the system refuses, the next change of the queue tries again.
    fn show_readiness(&mut self) {
        let Some(readiness) = &self.readiness else { return };
        let changed = match (self.raised, self.ready.is_empty()) {
            (false, false) => readiness.raise(),
            (true, true) => readiness.clear(),
            _ => return,
        };
        if changed.is_ok() {
            self.raised = !self.raised;
        }
    }
}

impl Sleepers {
    fn enter(&mut self, wanted: usize) {
        self.count += 1;
        self.waiting_for_several += usize::from(wanted > 1);
        self.least_wanted = self.least_wanted.min(wanted);
    }

    fn leave(&mut self, wanted: usize) {
        self.count -= 1;
        self.waiting_for_several -= usize::from(wanted > 1);
        if self.count == 0 {
            self.least_wanted = usize::MAX;
        }
    }
}

/// Items on their way from the queue to a reader. Those that the reader did not get, since its code panicked, go back.
struct Group<'a, T> {
    queue: &'a Queue<T>,
    items: Pieces<T>,
}

impl<T> Drop for Group<'_, T> {
    fn drop(&mut self) {
        if self.items.is_empty() {
            return;
        }
        let mut state = self.queue.state.lock();
        let returned = self.items.len();
        self.items.append(&mut state.ready);
        state.ready = std::mem::take(&mut self.items);
        let wake = state.whom_to_wake(returned);
        state.show_readiness();
        drop(state);
        self.queue.wake(wake);
    }
}

#[cfg(test)]
mod tests;
