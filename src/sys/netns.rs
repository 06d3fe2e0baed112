//! Network namespaces (network_namespaces(7)).

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use linux::{ELSEWHERE, Home, run_in};
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use nothing::{Home, run_in};

/// Whether this system has them.
pub(crate) const EXIST: bool = cfg!(any(target_os = "linux", target_os = "android"));

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::fs::OpenOptions;
    use std::io;
    use std::mem::size_of;
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::fs::OpenOptionsExt;
    use std::os::unix::net::UnixDatagram;
    use std::sync::Arc;

    use crate::sys::lock::Mutex;
    use crate::sys::{os_error, thread};

    /// For what makes a checker.
    const STACK: usize = 256 << 10;

    /// The errno of what would open a socket in another one than the checker was made in.
    pub(crate) const ELSEWHERE: i32 = libc::EXDEV;

    /// The namespace that a checker was made in; `None` where the kernel does not tell (Linux before 5.14).
    #[derive(Clone, Copy, Default)]
    pub(crate) struct Home(Option<u64>);

    impl Home {
        /// That of the calling thread.
        pub fn new() -> Home {
            Home(UnixDatagram::unbound().and_then(|socket| cookie(&socket)).ok())
        }

        /// One that nobody is in; `None` where the kernel does not tell.
        #[cfg(test)]
        pub fn elsewhere() -> Option<Home> {
            Home::new().0.map(|_| Home(Some(u64::MAX)))
        }

        /// The errno of a socket that does not belong to it: to the namespace of the thread that opened it.
        pub fn check(self, socket: &impl AsFd) -> Result<(), i32> {
            match self.0 {
                Some(home) if cookie(socket).map_err(|error| os_error::of(&error))? != home => Err(ELSEWHERE),
                _ => Ok(()),
            }
        }

        /// Whether the calling thread is in it.
        pub fn is_here(self) -> bool {
            self.0.is_none() || self.0 == Home::new().0
        }
    }

    /// What tells the namespace of a socket from all others (SO_NETNS_COOKIE, asm-generic/socket.h).
    fn cookie(socket: &impl AsFd) -> io::Result<u64> {
        const SO_NETNS_COOKIE: i32 = 71;
        let (mut cookie, mut size) = (0u64, size_of::<u64>() as libc::socklen_t);
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: the kernel writes `size` bytes at most to `cookie`, and how many to `size`.
        let result =
            unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, SO_NETNS_COOKIE, (&raw mut cookie).cast(), &mut size) };
        if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
    }

    /// Runs `body` on a thread of its own in the namespace of this path. Threads that it starts, and theirs, are in the
    /// same one (clone(2)): they need no privilege for it, which the process may have given up by then.
    pub(crate) fn run_in<T: Send + 'static>(path: &str, body: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        // The path is copied, and the system takes no longer one (PATH_MAX, limits.h).
        if path.len() + 1 >= libc::PATH_MAX as usize {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
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

    #[derive(Clone, Copy, Default)]
    pub(crate) struct Home;

    impl Home {
        pub fn new() -> Home {
            Home
        }

        pub fn check<S>(self, _socket: &S) -> Result<(), i32> {
            Ok(())
        }

        pub fn is_here(self) -> bool {
            true
        }
    }

    pub(crate) fn run_in<T>(_path: &str, _body: impl FnOnce() -> T) -> io::Result<T> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
