//! The clock of every time in the library: nanoseconds of a clock that never steps.

/// CLOCK_MONOTONIC (clock_gettime(2)), read two or three times a check, so without the arithmetic of `Instant`.
#[cfg(unix)]
pub(crate) fn now() -> u64 {
    #[cfg(test)]
    if let Some(now) = by_hand::time() {
        return now;
    }
    let mut time = std::mem::MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the clock exists on every system that has clock_gettime, which then fills `time`.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The performance counter, counted from its first reading.
#[cfg(windows)]
pub(crate) fn now() -> u64 {
    use std::time::Instant;

    use crate::sys::lock::OnceLock;
    #[cfg(test)]
    if let Some(now) = by_hand::time() {
        return now;
    }
    static FIRST: OnceLock<Instant> = OnceLock::new();
    // Not 0, which is before any deadline.
    FIRST.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

/// What the kernel's stamps of received segments say, which are on CLOCK_REALTIME. That one may be set at any time.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Clone, Copy)]
pub(crate) struct Stamps {
    /// How far it is ahead of the library's clock, modulo 2^64 nanoseconds.
    ahead: u64,
    /// It was not set since the last look.
    are_sound: bool,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Stamps {
    /// What two readings of both clocks may differ by, in nanoseconds.
    const TOLERANCE: u64 = 1_000_000;

    pub fn new() -> Stamps {
        Stamps { ahead: realtime_ahead(), are_sound: true }
    }

    /// Looks at both clocks.
    pub fn look(&mut self) -> Stamps {
        let is_same = |ahead: u64| (ahead.wrapping_sub(self.ahead).cast_signed()).unsigned_abs() <= Stamps::TOLERANCE;
        let mut ahead = realtime_ahead();
        if !is_same(ahead) {
            ahead = realtime_ahead(); // this thread may have lost the processor between the two readings
        }
        *self = Stamps { ahead, are_sound: is_same(ahead) };
        *self
    }

    /// When a segment came in, on the library's clock; `None` if its stamp does not tell.
    pub fn time(&self, stamp: u64, now: u64) -> Option<u64> {
        let at = stamp.wrapping_sub(self.ahead);
        (stamp > 0 && self.are_sound && at <= now + Stamps::TOLERANCE).then_some(at.min(now))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn realtime_ahead() -> u64 {
    let realtime = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    (realtime.map_or(0, |since| since.as_nanos() as u64)).wrapping_sub(now())
}

/// A clock that a test sets, for the thread that it runs on.
#[cfg(test)]
pub(crate) mod by_hand {
    use std::cell::Cell;

    thread_local! {
        static TIME: Cell<Option<u64>> = const { Cell::new(None) };
    }

    pub fn time() -> Option<u64> {
        TIME.get()
    }

    pub fn set(time: u64) {
        TIME.set(Some(time));
    }

    pub fn let_go() {
        TIME.set(None);
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    /// How far the clocks are apart: two looks agree, so that no busy machine came between their readings.
    fn stamps() -> Stamps {
        std::iter::repeat_with(|| Stamps::new().look()).find(|stamps| stamps.are_sound).unwrap()
    }

    /// A stamp of the kernel's, were a segment to come in now.
    fn stamp() -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
    }

    #[test]
    fn a_stamp_is_a_time_on_the_librarys_clock_and_never_later_than_now() {
        let stamps = stamps();
        let (earliest, stamp) = (now(), stamp());
        let at = stamps.time(stamp, now() + HOUR).unwrap();
        assert!(at + Stamps::TOLERANCE >= earliest && at <= now() + Stamps::TOLERANCE, "{at}, from {earliest} on");
        // Two readings of the clocks differ by less than they may: what seems later than now is now.
        assert_eq!(stamps.time(stamp, at - 1_000), Some(at - 1_000));
    }

    #[test]
    fn no_stamp_and_one_of_the_future_tell_nothing() {
        let stamps = stamps();
        assert_eq!(stamps.time(0, u64::MAX / 2), None);
        assert_eq!(stamps.time(stamp() + HOUR, now()), None);
    }

    #[test]
    fn a_clock_that_was_set_tells_nothing_until_the_next_look() {
        by_hand::set(HOUR);
        let mut stamps = Stamps::new();
        by_hand::set(2 * HOUR); // as if the other one had been set back
        assert_eq!(stamps.look().time(stamp(), 2 * HOUR), None);
        // Now it is known how far it is ahead: the library's clock stands still, and the other one hardly moves.
        assert_eq!(stamps.ahead.wrapping_add(2 * HOUR) / HOUR, stamp() / HOUR);
        by_hand::let_go();
    }
}
