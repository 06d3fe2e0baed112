//! Wakes a thread that sleeps in its poller.

use std::io;

use mio::{Poll, Token};

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use eventfd::Waker;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use portable::Waker;

/// An eventfd (eventfd(2)) of our own. mio's calls itself for as long as a write is EAGAIN, and gives up at EINTR.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod eventfd {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::{AsRawFd, FromRawFd, RawFd};

    use mio::Interest;
    use mio::unix::SourceFd;

    use super::{Poll, Token, io};

    /// How often a write that was interrupted, or found the counter full, is made again.
    const TRIES: u32 = 100;

    pub(crate) struct Waker {
        eventfd: File,
        /// The poller's, which lives as long as the loop that sleeps in it.
        epoll: RawFd,
        token: Token,
    }

    impl Waker {
        pub fn new(poll: &Poll, token: Token) -> io::Result<Waker> {
            // SAFETY: eventfd takes no pointer.
            let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor was made above, and nobody else owns it.
            let eventfd = unsafe { File::from_raw_fd(fd) };
            // Edge-triggered: each write is an edge, and nobody has to read.
            poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)?;
            Ok(Waker { eventfd, epoll: poll.as_raw_fd(), token })
        }

        /// One that the system refuses to write to, and that no poller knows.
        #[cfg(test)]
        pub fn broken(poll: &Poll) -> Waker {
            Waker { eventfd: File::open("/dev/null").unwrap(), epoll: poll.as_raw_fd(), token: Token(0) }
        }

        /// Wakes the thread. An error only where the system refuses every way to.
        pub fn wake(&self) -> io::Result<()> {
            for _ in 0..TRIES {
                match (&self.eventfd).write(&1u64.to_ne_bytes()) {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // The counter is full, after 2^64 - 2 wake-ups: emptied, it can be raised again.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let _ = (&self.eventfd).read(&mut [0; 8]);
                    }
                    Err(_) => break,
                }
            }
            self.wake_by_registration()
        }

        /// A changed registration looks anew at what it watches, and an eventfd can nearly always be written to.
        pub(super) fn wake_by_registration(&self) -> io::Result<()> {
            let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32;
            let mut event = libc::epoll_event { events, u64: self.token.0 as u64 };
            let fd = self.eventfd.as_raw_fd();
            // SAFETY: the kernel reads one event, which `event` is.
            match unsafe { libc::epoll_ctl(self.epoll, libc::EPOLL_CTL_MOD, fd, &mut event) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod portable {
    use super::{Poll, Token, io};

    pub(crate) struct Waker(mio::Waker);

    impl Waker {
        pub fn new(poll: &Poll, token: Token) -> io::Result<Waker> {
            mio::Waker::new(poll.registry(), token).map(Waker)
        }

        /// Wakes the thread.
        pub fn wake(&self) -> io::Result<()> {
            self.0.wake()
        }
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::time::Duration;

    use mio::Events;

    use super::*;

    fn wakes(wake: impl FnOnce(&Waker)) -> bool {
        let mut poll = Poll::new().unwrap();
        let waker = Waker::new(&poll, Token(7)).unwrap();
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty());
        wake(&waker);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().any(|event| event.token() == Token(7))
    }

    #[test]
    fn each_wake_up_is_an_event_and_nothing_is_none() {
        assert!(wakes(|waker| waker.wake().unwrap()));
        assert!(!wakes(|_| {}));
    }

    #[test]
    fn it_wakes_by_its_registration_where_writing_is_refused() {
        assert!(wakes(|waker| waker.wake_by_registration().unwrap()));
        assert!(wakes(|waker| (0..3).for_each(|_| waker.wake_by_registration().unwrap())));
    }
}
