//! The queue behind the descriptor.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::io;
use std::time::{Duration, Instant};

use crate::check::verdict::Report;
use crate::sys::lock::{Condvar, Mutex, MutexGuard};
use crate::sys::readiness::Readiness;

/// How many reports are moved under one lock, so that a loop never waits long for a reader.
const MOVED_AT_ONCE: usize = 256;
/// Room for reports that a queue keeps when it is empty; what a burst took beyond that is given back.
const ROOM_KEPT: usize = 32_768;

/// Results on their way from the loops to whoever reads them.
pub(crate) struct CompletionQueue {
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    ready: VecDeque<Report>,
    /// Readers asleep, each to be woken once `wanted` reports are ready.
    readers: usize,
    wanted: usize,
    /// Nothing more will come: nobody waits any longer.
    closed: bool,
    /// Raised exactly while `ready` holds anything, always under the lock.
    readiness: Option<Readiness>,
}

impl CompletionQueue {
    pub fn new() -> CompletionQueue {
        let state = State { ready: VecDeque::new(), readers: 0, wanted: 1, closed: false, readiness: None };
        CompletionQueue { state: Mutex::new(state), arrived: Condvar::new() }
    }

    /// Adds reports under one lock, and wakes a reader if one has waited for as many.
    pub fn put(&self, reports: impl Iterator<Item = Report>) {
        let mut state = self.lock();
        let was_empty = state.ready.is_empty();
        state.ready.extend(reports);
        if was_empty
            && !state.ready.is_empty()
            && let Some(readiness) = &state.readiness
        {
            readiness.raise();
        }
        let (wake, count) = (state.readers > 0 && state.ready.len() >= state.wanted, state.ready.len());
        drop(state);
        match (wake, count) {
            (false, _) => {}
            (true, 1) => self.arrived.notify_one(),
            (true, _) => self.arrived.notify_all(),
        }
    }

    /// Hands up to `capacity` reports to `each`, waiting until at least `wanted` are there, `wait` has passed
    /// (`None`: for ever) or the queue is closed. Returns how many it handed out.
    pub fn take(&self, capacity: usize, wanted: usize, wait: Option<Duration>, mut each: impl FnMut(Report)) -> usize {
        let mut state = self.wait(self.lock(), wanted.min(capacity), wait);
        let mut taken = 0;
        loop {
            let count = state.ready.len().min(capacity - taken).min(MOVED_AT_ONCE);
            state.ready.drain(..count).for_each(&mut each);
            taken += count;
            if state.ready.is_empty() {
                if count > 0
                    && let Some(readiness) = &state.readiness
                {
                    readiness.clear();
                }
                if state.ready.capacity() > ROOM_KEPT {
                    state.ready = VecDeque::new();
                }
                return taken;
            }
            if taken == capacity {
                // What is left is for another reader, who may have been asleep when its wake-up went to this one.
                if state.readers > 0 {
                    self.arrived.notify_one();
                }
                return taken;
            }
            drop(state);
            state = self.lock();
        }
    }

    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        wanted: usize,
        wait: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        while state.ready.len() < wanted && !state.closed {
            let left = match (wait, until) {
                (Some(_), Some(until)) => match until.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => break,
                },
                _ => None,
            };
            state.readers += 1;
            state.wanted = wanted;
            state = match left {
                Some(left) => self.arrived.wait_timeout(state, left),
                None => self.arrived.wait(state),
            };
            state.readers -= 1;
        }
        state
    }

    /// Wakes every reader, now and from now on.
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// The descriptor that is readable exactly while reports wait; made when first asked for.
    pub fn raw_fd(&self) -> io::Result<c_int> {
        let mut state = self.lock();
        if state.readiness.is_none() {
            let readiness = Readiness::new()?;
            if !state.ready.is_empty() {
                readiness.raise();
            }
            state.readiness = Some(readiness);
        }
        Ok(state.readiness.as_ref().map_or(-1, Readiness::raw_fd))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
