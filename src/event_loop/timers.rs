//! The loop's timers: deadlines of checks, turns of addresses, and the sweep of what lies idle.

use crate::timer_wheel::{Timer, TimerWheel};

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

pub(super) struct Timers(TimerWheel);

impl Timers {
    pub fn new() -> Timers {
        Timers(TimerWheel::new())
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
        self.0.set(at.div_ceil(NANOSECONDS_PER_TICK), owner)
    }

    pub fn clear(&mut self, timer: Timer) {
        self.0.clear(timer);
    }

    /// Moves time on; what has passed by then is handed out by [`Timers::expired`].
    pub fn advance(&mut self, now: u64) {
        self.0.advance(now / NANOSECONDS_PER_TICK);
    }

    pub fn expired(&mut self) -> Option<TimerOwner> {
        self.0.expired().map(|owner| match owner {
            SWEEP => TimerOwner::Sweep,
            race if race & RACE != 0 => TimerOwner::Race(race & !RACE),
            check => TimerOwner::Check(check),
        })
    }

    /// When the next one is to be looked at, on the library's clock.
    pub fn next(&self) -> Option<u64> {
        self.0.next().map(|tick| tick * NANOSECONDS_PER_TICK)
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
}
