//! The threads of the library: they block every signal but a fault's own, so that none of the host's handlers runs on
//! them, and they know which checker they belong to.

#[cfg_attr(unix, path = "thread/unix.rs")]
#[cfg_attr(windows, path = "thread/windows.rs")]
mod system;

use std::cell::Cell;
use std::ffi::CStr;
use std::io;
use std::time::Duration;

pub(crate) use system::Thread;

use super::lock::{Condvar, Mutex};

const NO_LOOP: usize = usize::MAX;
thread_local! {
    /// Which checker's loop runs on this thread; 0 on everybody else's, NO_LOOP on the library's other threads.
    static CHECKER: Cell<usize> = const { Cell::new(0) };
}

/// Declares this thread a loop of `checker` for the rest of its life.
pub(crate) fn belong_to(checker: usize) {
    CHECKER.set(checker);
}

/// Tells the calling thread from all others that are there now; never 0.
pub(crate) fn token() -> usize {
    CHECKER.with(|cell| &raw const *cell as usize)
}

/// Whether the calling thread is one of the library's own.
pub(crate) fn is_ours() -> bool {
    CHECKER.get() != 0
}

/// Whether the calling thread is a loop of `checker`, so that blocking it would block the checker.
pub(crate) fn belongs_to(checker: usize) -> bool {
    CHECKER.get() == checker
}

/// Sleeps for so long, or less. What the standard library has for it panics where a sandbox refuses clock_nanosleep(2).
pub(crate) fn pause(time: Duration) {
    let nobody = Mutex::new(());
    drop(Condvar::new().wait_timeout(nobody.lock(), time));
}

/// Starts a thread with a stack of so many bytes. `name` has at most 15 bytes (pthread_setname_np(3)).
pub(crate) fn spawn(name: &'static CStr, stack: usize, body: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    system::spawn(
        name,
        stack,
        Box::new(|| {
            CHECKER.set(NO_LOOP);
            body();
        }),
    )
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod cancellation {
    unsafe extern "C" {
        safe fn pthread_setcancelstate(state: i32, old: &mut i32) -> i32;
    }

    const DISABLE: i32 = 1;

    /// Puts off pthread_cancel(3) of the calling thread. Returns what was before.
    pub(crate) fn disable_cancellation() -> i32 {
        let mut before = 0;
        pthread_setcancelstate(DISABLE, &mut before);
        before
    }

    pub(crate) fn restore_cancellation(before: i32) {
        pthread_setcancelstate(before, &mut 0);
    }
}

/// Elsewhere cancellation does not unwind, or is not there.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod cancellation {
    pub(crate) fn disable_cancellation() {}
    pub(crate) fn restore_cancellation(_: ()) {}
}

pub(crate) use cancellation::{disable_cancellation, restore_cancellation};
