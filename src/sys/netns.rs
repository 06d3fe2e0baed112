//! Network namespaces (network_namespaces(7)).

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use linux::run_in;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use nothing::run_in;

/// Whether this system has them.
pub(crate) const EXIST: bool = cfg!(any(target_os = "linux", target_os = "android"));

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::fs::OpenOptions;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::Arc;

    use crate::sys::lock::Mutex;
    use crate::sys::thread;

    /// For what makes a checker.
    const STACK: usize = 256 << 10;

    /// Runs `body` on a thread of its own in the namespace of this path. Threads that it starts, and theirs, are in the
    /// same one (clone(2)): they need no privilege for it, which the process may have given up by then.
    pub(crate) fn run_in<T: Send + 'static>(path: &str, body: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        // Nobody may be at the other end of a FIFO.
        let namespace = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        let thread = thread::spawn(c"shaker-netns", STACK, move || {
            // SAFETY: the descriptor is open; the call moves the calling thread alone (setns(2)).
            let entered = match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
                0 => Ok(body()),
                _ => Err(io::Error::last_os_error()),
            };
            *slot.lock() = Some(entered);
        })?;
        thread.join();
        let result = result.lock().take();
        result.unwrap_or_else(|| Err(io::ErrorKind::Other.into())) // the body panicked
    }
}

/// Elsewhere the setting is refused.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod nothing {
    use std::io;

    pub(crate) fn run_in<T>(_path: &str, _body: impl FnOnce() -> T) -> io::Result<T> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
