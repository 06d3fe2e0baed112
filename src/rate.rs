//! How many checks may start per second, over all loops of a checker: a token bucket.

use std::sync::atomic::{AtomicU64, Ordering};

/// What may start at once after a pause: 10 ms' worth.
const BURST: u64 = 10_000_000;

/// A token bucket in the form of a single time (the "generic cell rate algorithm", ITU-T I.371): when the bucket would
/// be full again. One compare-and-swap takes a token.
pub(crate) struct Rate {
    /// Nanoseconds from one check to the next; 0 means no limit.
    interval: u64,
    full_at: AtomicU64,
}

impl Rate {
    pub fn new(checks_per_second: u32) -> Rate {
        let interval = match checks_per_second {
            0 => 0,
            rate => 1_000_000_000u64.div_ceil(rate.into()),
        };
        Rate { interval, full_at: AtomicU64::new(0) }
    }

    pub fn is_limited(&self) -> bool {
        self.interval > 0
    }

    /// Takes the right to start one check now; otherwise says when to ask again. The clock is read only if there is
    /// a limit, and late: a token that was taken long before its SYN leaves would add to those of a later time.
    pub fn take(&self, now: impl FnOnce() -> u64) -> Result<(), u64> {
        if self.interval == 0 {
            return Ok(());
        }
        let now = now();
        // One check is always let through by an empty bucket's first token, however slow the rate.
        let burst = BURST.max(self.interval);
        self.full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                let full_at = full_at.max(now) + self.interval;
                (full_at <= now + burst).then_some(full_at)
            })
            .map(|_| ())
            .map_err(|full_at| full_at + self.interval - burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the checks that are asked for every `step` ns get through in `span` ns.
    fn taken(rate: &Rate, start: u64, span: u64, step: usize) -> u64 {
        (start..start + span).step_by(step).filter(|&now| rate.take(|| now).is_ok()).count() as u64
    }

    #[test]
    fn without_a_limit_everything_starts() {
        assert_eq!(taken(&Rate::new(0), 0, 1_000, 1), 1_000);
    }

    #[test]
    fn a_limit_is_known_to_be_one() {
        assert!(Rate::new(1).is_limited() && Rate::new(u32::MAX).is_limited());
        assert!(!Rate::new(0).is_limited());
    }

    #[test]
    fn no_window_holds_more_than_the_budget_and_ten_milliseconds_worth() {
        let rate = Rate::new(1_000);
        // The last one asks at 99.9 ms, when 99 have come on top of the burst of 10.
        assert_eq!(taken(&rate, 0, 100_000_000, 100_000), 109);
        assert_eq!(taken(&rate, 100_000_000, 100_000_000, 100_000), 100);
        // After an idle hour the burst is no larger.
        assert_eq!(taken(&rate, 3_600_000_000_000, 100_000_000, 100_000), 109);
    }

    #[test]
    fn whoever_comes_back_when_told_gets_its_turn() {
        let rate = Rate::new(1);
        assert_eq!(rate.take(|| 5), Ok(()));
        assert_eq!(rate.take(|| 6), Err(1_000_000_005));
        assert_eq!(rate.take(|| 1_000_000_005), Ok(()));
    }
}
