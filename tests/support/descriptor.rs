//! What a program does that polls a checker's descriptor among its own.

use std::os::fd::RawFd;
use std::time::Duration;

use tcpshaker::{Checker, Report};

/// Far longer than anything takes, and short enough for a test that fails.
pub const LONG: Duration = Duration::from_secs(60);

/// Whether the descriptor becomes readable within that time.
pub fn is_readable(fd: RawFd, wait: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, which the kernel writes.
    unsafe { libc::poll(&mut poll, 1, wait.as_millis() as i32) == 1 }
}

/// What is there to be reaped, without a wait.
pub fn reap_now(checker: &Checker) -> Vec<Report> {
    let mut reports = Vec::new();
    checker.reap(&mut reports, usize::MAX, Some(Duration::ZERO));
    reports
}
