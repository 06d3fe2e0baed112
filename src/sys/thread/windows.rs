//! Threads by std::thread: Windows has no signals to block, and unloads a library whatever its threads once called.

use std::ffi::CStr;
use std::io;
use std::thread::{Builder, JoinHandle};

/// A thread that is still to be joined.
pub(crate) struct Thread(JoinHandle<()>);

impl Thread {
    /// Waits for the thread to end.
    pub fn join(self) {
        let _ = self.0.join(); // a panic has ended it, and that is all
    }

    /// Lets the thread end by itself.
    pub fn detach(self) {}
}

pub(super) fn spawn(name: &'static CStr, stack: usize, body: Box<dyn FnOnce() + Send>) -> io::Result<Thread> {
    let name = name.to_string_lossy().into_owned();
    Builder::new().name(name).stack_size(stack).spawn(body).map(Thread)
}
