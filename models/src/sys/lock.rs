//! Loom's locks and flags in the place of the library's.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicBool as Plain;
use std::time::Duration;

pub(crate) use std::sync::atomic::Ordering;

use super::clock;

const WHOLE: &str = "a model that panics ends";

pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

pub(crate) struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    owned: loom::sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, owned: self.0.lock().expect(WHOLE) }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.owned
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.owned
    }
}

/// A flag that is sequentially consistent, as those of the library are. Loom's own are not, and forget of a swap that nothing
/// comes between what it reads and what it writes.
pub(crate) struct AtomicBool(Mutex<bool>);

impl AtomicBool {
    pub fn new(value: bool) -> AtomicBool {
        AtomicBool(Mutex::new(value))
    }

    pub fn store(&self, value: bool, ordering: Ordering) {
        self.swap(value, ordering);
    }

    pub fn swap(&self, value: bool, ordering: Ordering) -> bool {
        assert_eq!(ordering, Ordering::SeqCst, "another ordering wants a model of its own");
        std::mem::replace(&mut *self.0.lock(), value)
    }
}

/// Whether a time that somebody waits for comes. If not, only a notification ends a wait.
static TIME_PASSES: Plain = Plain::new(false);

pub(crate) fn let_time_pass(passes: bool) {
    TIME_PASSES.store(passes, Ordering::Relaxed);
}

pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub fn new() -> Condvar {
        Condvar(loom::sync::Condvar::new())
    }

    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let MutexGuard { lock, owned } = guard;
        MutexGuard { lock, owned: self.0.wait(owned).expect(WHOLE) }
    }

    /// Where time passes, every wait is as long as it may be, and other threads do meanwhile what they do in this order:
    /// nothing, so that the time is over, or what the waiter waits for, so that both have come.
    pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, limit: Duration) -> MutexGuard<'a, T> {
        if !TIME_PASSES.load(Ordering::Relaxed) {
            return self.wait(guard);
        }
        let lock = guard.lock;
        drop(guard);
        clock::pass(limit.as_nanos() as u64);
        lock.lock()
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// What one thread tells, and another one waits for.
pub(crate) struct Signal {
    is_raised: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub fn new() -> Signal {
        Signal { is_raised: Mutex::new(false), changed: Condvar::new() }
    }

    pub fn set(&self, is_raised: bool) {
        *self.is_raised.lock() = is_raised;
        self.changed.notify_all();
    }

    pub fn is_raised(&self) -> bool {
        *self.is_raised.lock()
    }

    /// Waits until it is raised.
    pub fn wait(&self) {
        let mut is_raised = self.is_raised.lock();
        while !*is_raised {
            is_raised = self.changed.wait(is_raised);
        }
    }

    /// The same, and lowers it.
    pub fn take(&self) {
        let mut is_raised = self.is_raised.lock();
        while !*is_raised {
            is_raised = self.changed.wait(is_raised);
        }
        *is_raised = false;
    }
}
