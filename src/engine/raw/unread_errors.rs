//! ICMP errors that wait to be read. The poller tells of them once, however many there are.

use super::raw_socket::RawSocket;
use super::receiving::{ErrorBuffer, IcmpError};

/// Errors read before the loop looks at something else.
const AT_ONCE: usize = 512;
/// So many slices in a row keep deadlines back: others may send errors without end. That is no time, since this process may
/// be stopped meanwhile.
const PATIENCE: u32 = 200;

#[derive(Default)]
pub(super) struct UnreadErrors {
    /// When the poller was asked the last time, and the time before.
    asked: (u64, u64),
    /// Some wait: until when all have been heard of, and for how many slices more that matters.
    waiting: Option<(u64, u32)>,
}

impl UnreadErrors {
    /// The poller is asked at this time. What it tells then may have come since it was asked before, as this process may
    /// have been stopped in between.
    pub fn asked(&mut self, at: u64) {
        self.asked = (at, self.asked.0);
    }

    /// The poller tells of some.
    pub fn told(&mut self) {
        self.waiting.get_or_insert((self.asked.1, PATIENCE));
    }

    pub fn may_be(&self) -> bool {
        self.waiting.is_some()
    }

    /// Until when all errors have been heard of.
    pub fn heard_until(&self) -> u64 {
        self.waiting.filter(|(_, patience)| *patience > 0).map_or(u64::MAX, |(heard, _)| heard)
    }

    /// Reads errors, in slices.
    pub fn read(&mut self, socket: &RawSocket, buffer: &mut ErrorBuffer, mut each: impl FnMut(&IcmpError<'_>)) {
        for _ in 0..AT_ONCE {
            let Some(error) = socket.receive_error(buffer) else {
                self.waiting = None;
                return;
            };
            each(&error);
        }
        self.waiting = self.waiting.map(|(heard, patience)| (heard, patience.saturating_sub(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_may_have_come_since_the_poller_was_asked_before() {
        let mut unread = UnreadErrors::default();
        [5, 70, 9_000].into_iter().for_each(|at| unread.asked(at));
        assert_eq!(unread.heard_until(), u64::MAX);
        unread.told();
        unread.asked(9_001);
        unread.told();
        assert_eq!(unread.heard_until(), 70);
    }
}
