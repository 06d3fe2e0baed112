//! A descriptor that is readable while something waits, for other people's event loops.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

/// An eventfd (eventfd(2)): readable while its counter is not zero, and each raise is an edge.
pub(crate) struct Readiness(File);

impl Readiness {
    pub fn new() -> io::Result<Readiness> {
        // SAFETY: eventfd takes no pointer.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was made above, and nobody else owns it.
        Ok(Readiness(unsafe { File::from_raw_fd(fd) }))
    }

    /// Makes the descriptor readable. Cannot block: the counter is 0 or 1, far from its limit.
    pub fn raise(&self) {
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Makes the descriptor unreadable.
    pub fn clear(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }

    pub fn raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
