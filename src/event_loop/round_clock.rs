//! What time it is, for one round of the loop. The clock is read as seldom as possible.

use crate::sys::clock;

/// How long the loop does one thing before it looks at the poller again, in nanoseconds.
pub(super) const SLICE: u64 = 2_000_000;

#[derive(Default)]
pub(super) struct RoundClock {
    /// When this round began, on the library's clock.
    began: u64,
    /// When the clock was last read.
    latest: u64,
    /// The latest reading is of the end of a check, and nothing was done since.
    just_read: bool,
}

impl RoundClock {
    pub fn begin_round(&mut self) {
        *self = RoundClock::at(clock::now());
    }

    fn at(now: u64) -> RoundClock {
        RoundClock { began: now, latest: now, just_read: false }
    }

    /// When this round began.
    pub fn round(&self) -> u64 {
        self.began
    }

    pub fn latest(&self) -> u64 {
        self.latest
    }

    pub fn read(&mut self) -> u64 {
        self.latest = clock::now();
        self.latest
    }

    /// A check ended `at`, which was read a moment ago.
    pub fn note_end(&mut self, at: u64) {
        self.latest = at;
        self.just_read = true;
    }

    /// The next check does not start right after the last one's end.
    pub fn forget_end(&mut self) {
        self.just_read = false;
    }

    /// The time for the start of a check: the end of the one before it, if that was just now.
    pub fn read_for_start(&mut self) -> u64 {
        if std::mem::take(&mut self.just_read) { self.latest } else { self.read() }
    }

    /// Whether this round has gone on for long, as far as its checks have read the clock.
    pub fn slice_is_over(&self) -> bool {
        self.latest > self.began + SLICE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_over_when_a_check_ended_after_it() {
        let mut clock = RoundClock::at(10);
        clock.note_end(10 + SLICE);
        assert!(!clock.slice_is_over());
        clock.note_end(11 + SLICE);
        assert!(clock.slice_is_over());
        assert_eq!(clock.round(), 10);
    }

    #[test]
    fn the_end_of_a_check_is_the_start_of_the_next_one_once() {
        let mut clock = RoundClock::at(10);
        clock.note_end(20);
        assert_eq!(clock.read_for_start(), 20);
        assert_ne!(clock.read_for_start(), 20);
        clock.note_end(20);
        clock.forget_end();
        assert_ne!(clock.read_for_start(), 20);
    }
}
