//! Threads by pthread_create, not by std::thread: that one leaves a thread-local destructor behind on the thread that
//! calls it, and dlclose() does not unload a library while a thread has one of its destructors to run.

use std::ffi::{CStr, c_void};
use std::io;
use std::mem::MaybeUninit;

/// A thread that is still to be joined.
pub(crate) struct Thread(libc::pthread_t);

// SAFETY: a pthread_t may be joined or detached by any thread (pthreads(7)); on some systems it is a pointer.
unsafe impl Send for Thread {}
// SAFETY: by reference it can do nothing.
unsafe impl Sync for Thread {}

impl Thread {
    /// Waits for the thread to end.
    pub fn join(self) {
        // SAFETY: the thread was made joinable by `spawn`, and joining consumes the only handle to it.
        unsafe { libc::pthread_join(self.0, std::ptr::null_mut()) };
    }

    /// Lets the thread end by itself.
    pub fn detach(self) {
        // SAFETY: as above; it gives the handle up.
        unsafe { libc::pthread_detach(self.0) };
    }
}

type Body = Box<dyn FnOnce() + Send>;

/// Starts a thread with all signals blocked from its first instruction on, but for those that a fault of its own
/// raises. The caller's own mask is the same after the call as before; a signal that arrives meanwhile is delivered
/// then.
pub(super) fn spawn(name: &'static CStr, stack: usize, body: Body) -> io::Result<Thread> {
    let body: Box<Body> = Box::new(Box::new(move || {
        set_name(name);
        body();
    }));
    let body = Box::into_raw(body);
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: each out-parameter is written by the call that makes it valid, before it is read; `body` goes to the
    // thread.
    let error = unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        // A fault in a callback is the host's crash handler's, as on any thread of the host's own. Blocked, it would
        // end the process past the handler (signal(7)).
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS] {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        let mut error = libc::pthread_attr_init(attributes.as_mut_ptr());
        if error == 0 {
            // With another stack it is as good.
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack);
            error = libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            if error == 0 {
                error = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, body.cast());
                libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
            }
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
        error
    };
    if error != 0 {
        // SAFETY: no thread was made, so the body is still this one's.
        drop(unsafe { Box::from_raw(body) });
        return Err(io::Error::from_raw_os_error(error));
    }
    // SAFETY: pthread_create has written it.
    Ok(Thread(unsafe { thread.assume_init() }))
}

extern "C" fn run(body: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn` made it, and gave it to this thread alone.
    let body = unsafe { Box::from_raw(body.cast::<Body>()) };
    // A panic that gets this far ends the thread, not the process.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    std::ptr::null_mut()
}

/// Names the calling thread.
fn set_name(name: &'static CStr) {
    // SAFETY: `name` is a NUL-terminated text; the thread is the calling one.
    #[cfg(not(target_vendor = "apple"))]
    unsafe {
        libc::pthread_setname_np(libc::pthread_self(), name.as_ptr());
    }
    // SAFETY: as above; here it can be no other thread.
    #[cfg(target_vendor = "apple")]
    unsafe {
        libc::pthread_setname_np(name.as_ptr());
    }
}
