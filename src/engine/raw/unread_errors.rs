//! ICMP errors that wait to be read. The poller tells of them once, however many there are.

use super::raw_socket::RawSocket;
use super::receiving::{ErrorBuffer, IcmpError};
use crate::sys::clock;

/// Errors read before the loop looks at something else.
const AT_ONCE: usize = 512;
/// For how long unread errors keep deadlines back, in nanoseconds: others may send them without end.
const PATIENCE: u64 = 500_000_000;

#[derive(Default)]
pub(super) struct UnreadErrors {
    /// When the poller was asked that told of the first of them, and when their time is over.
    since: Option<(u64, u64)>,
}

impl UnreadErrors {
    /// The poller tells of some, that came after it was asked; this process may have been stopped meanwhile.
    pub fn told(&mut self, asked: u64) {
        self.since.get_or_insert_with(|| (asked, clock::now() + PATIENCE));
    }

    pub fn may_be(&self) -> bool {
        self.since.is_some()
    }

    /// Until when all errors have been heard of.
    pub fn heard_until(&self, now: u64) -> u64 {
        self.since.filter(|(_, over)| now < *over).map_or(u64::MAX, |(asked, _)| asked)
    }

    /// Reads errors, in slices.
    pub fn read(&mut self, socket: &RawSocket, buffer: &mut ErrorBuffer, mut each: impl FnMut(&IcmpError<'_>)) {
        for _ in 0..AT_ONCE {
            let Some(error) = socket.receive_error(buffer) else {
                self.since = None;
                return;
            };
            each(&error);
        }
    }
}
