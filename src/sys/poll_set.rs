//! Several descriptors and a time, polled as one descriptor.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use epoll::PollSet;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use nothing::PollSet;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll {
    use std::ffi::c_int;
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

    /// An epoll instance (epoll(7)), which is readable while one of its descriptors is, and a timerfd in it
    /// (timerfd_create(2)).
    pub(crate) struct PollSet {
        epoll: OwnedFd,
        timer: OwnedFd,
    }

    impl PollSet {
        pub const EXISTS: bool = true;

        pub fn new(members: &[RawFd]) -> io::Result<PollSet> {
            let timer_flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
            // SAFETY: the call takes no pointer.
            let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
            // SAFETY: the call takes no pointer.
            let timer = owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, timer_flags) })?;
            let set = PollSet { epoll, timer };
            for &member in members.iter().chain([&set.timer.as_raw_fd()]) {
                let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
                // SAFETY: the kernel reads one event, which `event` is.
                if unsafe { libc::epoll_ctl(set.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, member, &mut event) } != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(set)
        }

        pub fn raw_fd(&self) -> c_int {
            self.epoll.as_raw_fd()
        }

        /// Has the set be readable from then on, in nanoseconds of CLOCK_MONOTONIC; `None`: not for any time. It
        /// replaces what was set before, passed or not.
        pub fn set_time(&self, at: Option<u64>) {
            // Zero would mean never.
            let at = at.map_or(0, |at| at.max(1));
            let mut value = libc::itimerspec {
                it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            };
            value.it_value.tv_sec = (at / 1_000_000_000) as libc::time_t;
            value.it_value.tv_nsec = (at % 1_000_000_000) as libc::c_long;
            let timer = self.timer.as_raw_fd();
            // SAFETY: the kernel reads one itimerspec, which `value` is.
            unsafe { libc::timerfd_settime(timer, libc::TFD_TIMER_ABSTIME, &value, std::ptr::null_mut()) };
        }
    }

    fn owned(fd: c_int) -> io::Result<OwnedFd> {
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was made by the caller, and nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::sys::clock;

        fn is_readable(fd: c_int, wait_ms: c_int) -> bool {
            let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, which the kernel writes.
            unsafe { libc::poll(&mut poll, 1, wait_ms) == 1 }
        }

        #[test]
        fn it_is_readable_when_its_time_has_come_until_another_is_set() {
            let set = PollSet::new(&[]).unwrap();
            assert!(!is_readable(set.raw_fd(), 0));
            set.set_time(Some(clock::now() + 1_000_000));
            assert!(is_readable(set.raw_fd(), 10_000));
            set.set_time(Some(clock::now() + 3_600_000_000_000));
            assert!(!is_readable(set.raw_fd(), 0));
            set.set_time(Some(0));
            assert!(is_readable(set.raw_fd(), 10_000));
            set.set_time(None);
            assert!(!is_readable(set.raw_fd(), 0));
        }
    }
}

/// Elsewhere there is no descriptor for a set of them, or it cannot hold what the poller is made of.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod nothing {
    use std::ffi::c_int;
    use std::io;

    /// Nobody ever has one.
    pub(crate) enum PollSet {}

    impl PollSet {
        pub const EXISTS: bool = false;

        pub fn new(_members: &[c_int]) -> io::Result<PollSet> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub fn raw_fd(&self) -> c_int {
            match *self {}
        }

        pub fn set_time(&self, _at: Option<u64>) {
            match *self {}
        }
    }
}
