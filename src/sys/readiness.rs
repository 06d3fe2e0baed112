//! A descriptor that is readable while something waits, for other people's event loops.

#[cfg(all(any(target_os = "linux", target_os = "android"), not(feature = "forced-handshake")))]
pub(crate) use eventfd::Readiness;
#[cfg(all(any(target_os = "linux", target_os = "android"), feature = "forced-handshake"))]
pub(crate) use forced::Readiness;
#[cfg(windows)]
pub(crate) use nothing::Readiness;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
pub(crate) use pipe::Readiness;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod eventfd {
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::fd::{AsRawFd, FromRawFd, RawFd};

    /// An eventfd (eventfd(2)): readable while its counter is not zero, and each raise is an edge.
    pub(crate) struct Readiness(File);

    impl Readiness {
        #[cfg(not(feature = "forced-handshake"))]
        pub const EXISTS: bool = true;

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
}

#[cfg(all(unix, any(not(any(target_os = "linux", target_os = "android")), feature = "forced-handshake")))]
mod pipe {
    use std::io::{self, Read, Write};
    use std::os::fd::{AsRawFd, RawFd};

    use mio::unix::pipe::{self, Receiver, Sender};

    /// A pipe (pipe(7)) with a byte in it or none.
    pub(crate) struct Readiness {
        sender: Sender,
        receiver: Receiver,
    }

    impl Readiness {
        #[cfg(not(feature = "forced-handshake"))]
        pub const EXISTS: bool = true;

        /// Both ends do not block, and are closed on exec.
        pub fn new() -> io::Result<Readiness> {
            let (sender, receiver) = pipe::new()?;
            Ok(Readiness { sender, receiver })
        }

        /// Makes the descriptor readable. Cannot block: there is never more than one byte.
        pub fn raise(&self) {
            let _ = (&self.sender).write(&[1]);
        }

        /// Makes the descriptor unreadable.
        pub fn clear(&self) {
            let _ = (&self.receiver).read(&mut [0]);
        }

        pub fn raw_fd(&self) -> RawFd {
            self.receiver.as_raw_fd()
        }
    }
}

/// The pipe in tests that make Linux behave as another system.
#[cfg(all(any(target_os = "linux", target_os = "android"), feature = "forced-handshake"))]
mod forced {
    use std::io;
    use std::os::fd::RawFd;

    use super::{eventfd, pipe};

    pub(crate) enum Readiness {
        Eventfd(eventfd::Readiness),
        Pipe(pipe::Readiness),
    }

    impl Readiness {
        pub const EXISTS: bool = true;

        pub fn new() -> io::Result<Readiness> {
            match crate::sys::platform::is_ordinary() {
                true => pipe::Readiness::new().map(Readiness::Pipe),
                false => eventfd::Readiness::new().map(Readiness::Eventfd),
            }
        }

        pub fn raise(&self) {
            match self {
                Readiness::Eventfd(eventfd) => eventfd.raise(),
                Readiness::Pipe(pipe) => pipe.raise(),
            }
        }

        pub fn clear(&self) {
            match self {
                Readiness::Eventfd(eventfd) => eventfd.clear(),
                Readiness::Pipe(pipe) => pipe.clear(),
            }
        }

        pub fn raw_fd(&self) -> RawFd {
            match self {
                Readiness::Eventfd(eventfd) => eventfd.raw_fd(),
                Readiness::Pipe(pipe) => pipe.raw_fd(),
            }
        }
    }
}

/// Windows polls sockets only, and none that could stand for a queue of results.
#[cfg(windows)]
mod nothing {
    use std::ffi::c_int;
    use std::io;

    /// Nobody ever has one.
    pub(crate) enum Readiness {}

    impl Readiness {
        pub const EXISTS: bool = false;

        pub fn new() -> io::Result<Readiness> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub fn raise(&self) {}

        pub fn clear(&self) {}

        pub fn raw_fd(&self) -> c_int {
            match *self {}
        }
    }
}
