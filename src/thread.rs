//! The threads of the library: they block every signal, so that none of the host's handlers runs on them, and they
//! know which checker they belong to.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::thread::JoinHandle;

const NO_LOOP: usize = usize::MAX;

thread_local! {
    /// Which checker's loop runs on this thread; 0 on everybody else's, NO_LOOP on the library's other threads.
    static CHECKER: Cell<usize> = const { Cell::new(0) };
}

/// Declares this thread a loop of `checker` for the rest of its life.
pub(crate) fn belong_to(checker: usize) {
    CHECKER.set(checker);
}

/// Whether the calling thread is one of the library's own.
pub(crate) fn is_ours() -> bool {
    CHECKER.get() != 0
}

/// Whether the calling thread is a loop of `checker`, so that blocking it would block the checker.
pub(crate) fn belongs_to(checker: usize) -> bool {
    CHECKER.get() == checker
}

/// Starts a thread with all signals blocked from its first instruction on. The caller's own mask is the same after the
/// call as before; a signal that arrives meanwhile is delivered then.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset makes `all` a valid set, and pthread_sigmask writes the old mask to `before`.
    let before = unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        CHECKER.set(NO_LOOP);
        body();
    });
    // SAFETY: `before` is the mask that this thread had.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    thread
}
