//! A descriptor that is readable while something waits, for other people's event loops.

#[cfg(all(any(target_os = "linux", target_os = "android"), not(feature = "forced-handshake")))]
pub(crate) use eventfd::Readiness;
#[cfg(all(any(target_os = "linux", target_os = "android"), feature = "forced-handshake"))]
pub(crate) use forced::Readiness;
#[cfg(windows)]
pub(crate) use nothing::Readiness;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
pub(crate) use pipe::Readiness;

/// Makes a call again that a signal interrupted. A call that would block has nothing left to do.
#[cfg(unix)]
fn persist(mut call: impl FnMut() -> std::io::Result<usize>) -> std::io::Result<()> {
    use std::io::ErrorKind;
    loop {
        match call() {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod eventfd {
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::fd::{AsRawFd, FromRawFd, RawFd};

    use super::persist;

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

        /// Makes the descriptor readable. A counter that is full is readable already.
        pub fn raise(&self) -> io::Result<()> {
            persist(|| (&self.0).write(&1u64.to_ne_bytes()))
        }

        /// Makes the descriptor unreadable. A counter of zero is unreadable already.
        pub fn clear(&self) -> io::Result<()> {
            persist(|| (&self.0).read(&mut [0; 8]))
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

    use super::persist;

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

        /// Makes the descriptor readable. A pipe that is full is readable already.
        pub fn raise(&self) -> io::Result<()> {
            persist(|| (&self.sender).write(&[1]))
        }

        /// Makes the descriptor unreadable. An empty pipe is unreadable already.
        pub fn clear(&self) -> io::Result<()> {
            persist(|| (&self.receiver).read(&mut [0; 16]))
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

        pub fn raise(&self) -> io::Result<()> {
            match self {
                Readiness::Eventfd(eventfd) => eventfd.raise(),
                Readiness::Pipe(pipe) => pipe.raise(),
            }
        }

        pub fn clear(&self) -> io::Result<()> {
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

        pub fn raise(&self) -> io::Result<()> {
            match *self {}
        }

        pub fn clear(&self) -> io::Result<()> {
            match *self {}
        }

        pub fn raw_fd(&self) -> c_int {
            match *self {}
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    fn is_readable(readiness: &Readiness) -> bool {
        let mut watched = libc::pollfd { fd: readiness.raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which lives through the call.
        unsafe { libc::poll(&mut watched, 1, 0) == 1 }
    }

    #[test]
    fn it_is_readable_from_a_raise_to_a_clear_however_often_either_is_done() {
        let readiness = Readiness::new().unwrap();
        assert!(!is_readable(&readiness));
        for times in [1, 2] {
            (0..times).for_each(|_| readiness.raise().unwrap());
            assert!(is_readable(&readiness));
            (0..2).for_each(|_| readiness.clear().unwrap());
            assert!(!is_readable(&readiness));
        }
    }

    #[test]
    fn an_interrupted_call_is_made_again_and_one_that_would_block_is_done() {
        let mut left = [Err(ErrorKind::Interrupted), Err(ErrorKind::Interrupted), Ok(8)].into_iter();
        let mut calls = || left.next().expect("no call after the one that succeeds").map_err(Error::from);
        assert!(persist(&mut calls).is_ok());
        assert!(left.next().is_none(), "it gave up too early");
        assert!(persist(|| Err(ErrorKind::WouldBlock.into())).is_ok());
        assert_eq!(
            persist(|| Err(ErrorKind::PermissionDenied.into())).unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
    }
}
