//! The loop's timers: deadlines of checks, turns of addresses, and the sweep of what lies idle.

use crate::sys::memory::OutOfMemory;
use crate::timer_wheel::{Timer, TimerWheel};

/// So many nanoseconds with something left to do are more than a burst.
const BEHIND: u64 = 20_000_000;
const NANOSECONDS_PER_TICK: u64 = 1_000_000;
/// In the wheel an owner is a check's slot, or with this bit a race's, or the sweep.
const RACE: u32 = 1 << 31;
const SWEEP: u32 = u32::MAX;

/// Whose timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimerOwner {
    Check(u32),
    Race(u32),
    Sweep,
}

pub(super) struct Timers {
    wheel: TimerWheel,
    /// Since when there have always been some left that were due.
    behind_since: Option<u64>,
}

impl Timers {
    pub fn new() -> Timers {
        Timers { wheel: TimerWheel::new(), behind_since: None }
    }

    /// Sets a timer for `after_ms` after `start`; never early.
    pub fn set(&mut self, start: u64, after_ms: u32, owner: TimerOwner) -> Timer {
        self.set_at(start + u64::from(after_ms) * NANOSECONDS_PER_TICK, owner)
    }

    /// Sets a timer for a time on the library's clock; never early.
    pub fn set_at(&mut self, at: u64, owner: TimerOwner) -> Timer {
        let owner = match owner {
            TimerOwner::Check(slot) => slot,
            TimerOwner::Race(slot) => slot | RACE,
            TimerOwner::Sweep => SWEEP,
        };
        self.wheel.set(at.div_ceil(NANOSECONDS_PER_TICK), owner)
    }

    /// Makes room for so many, all in all.
    pub fn grow_to(&mut self, count: usize) -> Result<(), OutOfMemory> {
        self.wheel.grow_to(count)
    }

    pub fn clear(&mut self, timer: Timer) {
        self.wheel.clear(timer);
    }

    /// Moves time on; what has passed by then is handed out by [`Timers::expired`].
    pub fn advance(&mut self, now: u64) {
        self.behind_since = self.wheel.has_expired().then(|| self.behind_since.unwrap_or(now));
        self.wheel.advance(now / NANOSECONDS_PER_TICK);
    }

    /// Whether more is due than the loop has had time for, and has been for a while.
    pub fn are_behind(&self, now: u64) -> bool {
        self.behind_since.is_some_and(|since| now > since + BEHIND)
    }

    pub fn expired(&mut self) -> Option<TimerOwner> {
        self.wheel.expired().map(|owner| match owner {
            SWEEP => TimerOwner::Sweep,
            race if race & RACE != 0 => TimerOwner::Race(race & !RACE),
            check => TimerOwner::Check(check),
        })
    }

    /// When the next one is to be looked at, on the library's clock.
    pub fn next(&self) -> Option<u64> {
        self.wheel.next().map(|tick| tick * NANOSECONDS_PER_TICK)
    }

    /// Gives back the memory of a burst. Only when no timer is set.
    pub fn reset(&mut self, now: u64) {
        *self = Timers::new();
        self.advance(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_comes_back_with_its_owner_and_never_early() {
        let mut timers = Timers::new();
        let owners = [TimerOwner::Check(7), TimerOwner::Race(7), TimerOwner::Sweep];
        for owner in owners {
            timers.set(500_000, 3, owner);
        }
        timers.advance(3_500_000);
        assert_eq!(timers.expired(), None);
        assert_eq!(timers.next(), Some(4_000_000));
        timers.advance(4_000_000);
        let mut expired: Vec<_> = std::iter::from_fn(|| timers.expired()).collect();
        expired.sort_by_key(|owner| owners.iter().position(|one| one == owner));
        assert_eq!(expired, owners);
    }

    #[test]
    fn they_are_behind_when_some_that_are_due_have_been_left_for_long() {
        let mut timers = Timers::new();
        let handed_out = |timers: &mut Timers| timers.expired().is_some();
        timers.set(0, 1, TimerOwner::Check(1));
        timers.set(0, 1, TimerOwner::Check(2));
        timers.advance(2_000_000);
        assert!(handed_out(&mut timers) && !timers.are_behind(2_000_000 + 2 * BEHIND));
        timers.advance(3_000_000);
        assert!(!timers.are_behind(3_000_000 + BEHIND) && timers.are_behind(3_000_001 + BEHIND));
        assert!(handed_out(&mut timers) && !handed_out(&mut timers));
        timers.advance(4_000_000 + BEHIND);
        assert!(!timers.are_behind(4_000_000 + 3 * BEHIND));
    }
}
