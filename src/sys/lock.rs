//! Every lock of the library: the standard library's, or with the cargo feature `parking_lot` that crate's.
//! `docs/locks.md` says which to choose.
//!
//! No lock is ever poisoned: whoever panics under one of them leaves whole values behind, so the next owner goes on.

use std::time::Duration;

/// Set once, and only read afterwards. They are the standard library's in every build: they hold no table of waiters.
pub(crate) use std::sync::{Once, OnceLock};

/// The flags of hand-overs between threads that `models/` tries in every order, with a model's flags in their place.
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use system::{Condvar, Mutex, MutexGuard};

#[cfg(not(feature = "parking_lot"))]
mod system {
    use std::sync::PoisonError;

    use super::Duration;

    pub(crate) use std::sync::MutexGuard;

    /// Guards a value; one thread at a time has it.
    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub const fn new(value: T) -> Mutex<T> {
            Mutex(std::sync::Mutex::new(value))
        }

        /// Waits until no other thread has the value.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Where threads sleep that have to wait for a change of a guarded value. They may wake without a reason.
    pub(crate) struct Condvar(std::sync::Condvar);

    impl Condvar {
        pub const fn new() -> Condvar {
            Condvar(std::sync::Condvar::new())
        }

        /// Releases the value, sleeps until a notification, and has the value again.
        pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
        }

        /// The same, but sleeps no longer than `limit`.
        pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, limit: Duration) -> MutexGuard<'a, T> {
            self.0.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
        }

        pub fn notify_one(&self) {
            self.0.notify_one();
        }

        pub fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

#[cfg(feature = "parking_lot")]
mod system {
    use super::Duration;

    pub(crate) use parking_lot::MutexGuard;

    /// Guards a value; one thread at a time has it.
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub const fn new(value: T) -> Mutex<T> {
            Mutex(parking_lot::Mutex::new(value))
        }

        /// Waits until no other thread has the value.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock()
        }
    }

    /// Where threads sleep that have to wait for a change of a guarded value. They may wake without a reason.
    pub(crate) struct Condvar(parking_lot::Condvar);

    impl Condvar {
        pub const fn new() -> Condvar {
            Condvar(parking_lot::Condvar::new())
        }

        /// Releases the value, sleeps until a notification, and has the value again.
        pub fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(&mut guard);
            guard
        }

        /// The same, but sleeps no longer than `limit`.
        pub fn wait_timeout<'a, T>(&self, mut guard: MutexGuard<'a, T>, limit: Duration) -> MutexGuard<'a, T> {
            self.0.wait_for(&mut guard, limit);
            guard
        }

        pub fn notify_one(&self) {
            self.0.notify_one();
        }

        pub fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_lock_whose_owner_panicked_can_be_taken_again() {
        let lock = Mutex::new(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            *lock.lock() = 2;
            let _owned = lock.lock();
            panic!("a defect");
        }));
        assert!(panicked.is_err());
        assert_eq!(*lock.lock(), 2);
    }

    #[test]
    fn a_sleeper_wakes_at_a_notification_or_when_its_time_is_over() {
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let guard = pair.0.lock();
        let guard = pair.1.wait_timeout(guard, Duration::from_millis(1));
        assert!(!*guard, "nobody has changed it");
        drop(guard);
        let other = pair.clone();
        let notifier = std::thread::spawn(move || {
            *other.0.lock() = true;
            other.1.notify_one();
        });
        let mut guard = pair.0.lock();
        while !*guard {
            guard = pair.1.wait(guard);
        }
        drop(guard);
        notifier.join().unwrap();
    }
}
