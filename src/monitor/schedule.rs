//! When each check is due, and what happens to the schedule when this program was late.

use crate::sys::memory::OutOfMemory;
use crate::timer_wheel::{Timer, TimerWheel};

const NANOSECONDS_PER_TICK: u64 = 1_000_000;
/// Who looks when checks are due. A lateness of more than so many ticks moves the whole schedule, so that what is overdue
/// is no burst.
#[derive(Clone, Copy)]
pub(super) enum Looks {
    /// The monitor's own thread.
    Thread = 10,
    /// Callers who come by when they have time, maybe each tenth of a second: that is a habit, and no stop. What is due
    /// at once then is begun at once, or their watches would never have their interval.
    Callers = 250,
}

/// Whoever was later than this does not trust a silence that it listened to meanwhile. In nanoseconds.
pub(super) const LATE: u64 = 200_000_000;
/// What the schedule has moved by is made up for at this part of the time that passes, so that many short absences do not
/// make intervals longer: no burst either. A long one is never made up for.
const MADE_UP: u64 = 16;
/// While checks are in flight somebody looks this often, in nanoseconds: with few watches nothing else may be due for a
/// long time that would show that this program was late.
const LOOKS: u64 = 250_000_000;

/// The wheel has a clock of its own, which stands still while this program does.
pub(super) struct Schedule {
    wheel: TimerWheel,
    looks: Looks,
    /// How far the wheel's clock is behind, in nanoseconds.
    behind: u64,
    /// How much of that is made up for bit by bit.
    owed: u64,
    /// When it was last found out that this program had been late.
    late_until: u64,
    /// How many checks are in flight.
    in_flight: usize,
    /// When somebody last looked at the time.
    looked: u64,
    /// Until when it is made up for what is owed.
    made_up: u64,
}

impl Schedule {
    pub fn new(looks: Looks, now: u64) -> Schedule {
        let mut wheel = TimerWheel::new();
        wheel.advance(now / NANOSECONDS_PER_TICK);
        Schedule { wheel, looks, behind: 0, owed: 0, late_until: 0, in_flight: 0, looked: now, made_up: now }
    }

    /// Sets a timer for a time on the library's clock; never early.
    pub fn set(&mut self, at: u64, owner: u32) -> Timer {
        self.wheel.set((at - self.behind).div_ceil(NANOSECONDS_PER_TICK), owner)
    }

    /// Makes room for so many timers, all in all.
    pub fn grow_to(&mut self, count: usize) -> Result<(), OutOfMemory> {
        self.wheel.grow_to(count)
    }

    /// How many timers there is memory for.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.wheel.room()
    }

    pub fn clear(&mut self, timer: Timer) {
        self.wheel.clear(timer);
    }

    /// When to look again, on the library's clock; `None` while nothing is scheduled or in flight.
    pub fn next(&self) -> Option<u64> {
        let due = self.wheel.next().map(|tick| {
            let at = tick * NANOSECONDS_PER_TICK + self.behind;
            // The wheel's clock gains on the library's until then.
            at - (at.saturating_sub(self.made_up) / (MADE_UP + 1)).min(self.owed)
        });
        due.into_iter().chain((self.in_flight > 0).then_some(self.looked + LOOKS)).min()
    }

    /// A check has begun at the time that was last looked at.
    pub fn begin_check(&mut self) {
        self.in_flight += 1;
    }

    /// A check has ended.
    pub fn end_check(&mut self) {
        self.in_flight -= 1;
    }

    /// Gives back what many timers took. Only when none is set.
    pub fn shrink(&mut self) {
        self.wheel = TimerWheel::new();
        self.wheel.advance((self.looked - self.behind) / NANOSECONDS_PER_TICK);
    }

    /// The owner of the next timer that is due.
    pub fn due(&mut self, now: u64) -> Option<u32> {
        self.look(now);
        self.wheel.expired()
    }

    /// Has the wheel's clock gain what it may until now. Whoever sets a timer without a look says so first: the clock would
    /// gain it afterwards, and the timer be early.
    pub fn make_up(&mut self, now: u64) {
        let gained = (now.saturating_sub(self.made_up) / MADE_UP).min(self.owed);
        self.owed -= gained;
        self.behind -= gained;
        self.made_up = now.max(self.made_up);
    }

    /// Looks at the time. What is found to be late moves the schedule: what comes after it comes later by as much.
    pub fn look(&mut self, now: u64) {
        if self.in_flight > 0 && now - self.looked > LOOKS + LATE {
            self.late_until = now;
        }
        self.make_up(now);
        self.looked = now;
        let current = (now - self.behind) / NANOSECONDS_PER_TICK;
        while !self.wheel.has_expired()
            && let Some(tick) = self.wheel.next().filter(|&tick| tick <= current)
        {
            self.wheel.advance(tick);
            if !self.wheel.has_expired() {
                continue; // the tick was that of a coarser level
            }
            let late = current - tick;
            let late_ns = late * NANOSECONDS_PER_TICK;
            if late > self.looks as u64 {
                self.behind += late_ns;
                self.owed += if late_ns > LATE { 0 } else { late_ns };
            }
            if late_ns > LATE {
                self.late_until = now;
            }
        }
    }

    /// How far the wheel's clock is behind, in nanoseconds: a time that was set when it was less is later by the
    /// difference.
    pub fn behind(&self) -> u64 {
        self.behind
    }

    /// Whether this program was late at any time since then.
    pub fn was_late_since(&self, begin: u64) -> bool {
        self.late_until > begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = NANOSECONDS_PER_TICK;
    const NOW: u64 = 5_000_000_123;

    fn due(schedule: &mut Schedule, now: u64) -> Vec<u32> {
        let mut due: Vec<u32> = std::iter::from_fn(|| schedule.due(now)).collect();
        due.sort_unstable();
        due
    }

    #[test]
    fn a_timer_is_due_at_its_time_and_never_early() {
        let mut schedule = Schedule::new(Looks::Thread, NOW);
        assert_eq!(schedule.next(), None);
        schedule.set(NOW + 70 * MS, 1);
        let cleared = schedule.set(NOW + 70 * MS, 2);
        schedule.clear(cleared);
        assert_eq!(due(&mut schedule, NOW + 70 * MS), []);
        assert!(schedule.next().unwrap() <= NOW + 71 * MS);
        assert_eq!(due(&mut schedule, NOW + 71 * MS), [1]);
        assert!(!schedule.was_late_since(0));
    }

    #[test]
    fn somebody_looks_now_and_then_while_a_check_is_in_flight_and_not_before() {
        let mut schedule = Schedule::new(Looks::Thread, NOW);
        schedule.begin_check();
        assert_eq!(schedule.next(), Some(NOW + LOOKS));
        schedule.look(NOW + 7 * MS);
        assert_eq!(schedule.next(), Some(NOW + 7 * MS + LOOKS));
        schedule.end_check();
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn the_next_look_is_neither_over_nor_late_also_while_the_schedule_is_behind() {
        let mut schedule = Schedule::new(Looks::Thread, NOW);
        let is_between = |next: Option<u64>, now: u64| next.is_some_and(|next| next > now && next <= now + 21 * MS);
        schedule.set(NOW + 20 * MS, 1);
        assert!(is_between(schedule.next(), NOW));
        let late = NOW + 1_020 * MS;
        assert_eq!(due(&mut schedule, late), [1]);
        assert!(schedule.behind() > 0);
        schedule.set(late + 20 * MS, 2);
        assert!(is_between(schedule.next(), late));
    }

    #[test]
    fn after_a_stop_what_is_overdue_comes_at_its_old_distances() {
        let mut schedule = Schedule::new(Looks::Thread, NOW);
        for number in 0..300 {
            schedule.set(NOW + (100 + 10 * u64::from(number)) * MS, number);
        }
        // Stopped for three seconds: all but one are overdue, and come no faster than before.
        let resumed = NOW + 3_100 * MS;
        assert_eq!(due(&mut schedule, resumed), [0]);
        assert_eq!(due(&mut schedule, resumed + 1_000 * MS), [1], "late once more");
        let again = resumed + 1_000 * MS;
        let mut came = Vec::new();
        for ms in 0..3_000 {
            let now = due(&mut schedule, again + ms * MS);
            assert!(now.len() <= 1);
            came.extend(now);
        }
        assert_eq!(came, (2..300).collect::<Vec<u32>>());
        assert!(schedule.was_late_since(again - 1) && !schedule.was_late_since(again));
    }

    #[test]
    fn short_absences_are_made_up_for_bit_by_bit() {
        let mut schedule = Schedule::new(Looks::Thread, NOW);
        for number in 0..300 {
            schedule.set(NOW + (100 + 10 * u64::from(number)) * MS, number);
        }
        let absent_until = 150; // since the first was due
        let mut came = Vec::new();
        let mut looks = 0;
        let mut now = NOW + absent_until * MS;
        while came.len() < 300 {
            let due = due(&mut schedule, now);
            assert!(due.len() <= 1, "no burst");
            came.extend(due.into_iter().map(|number| (number, now)));
            looks += 1;
            now = schedule.next().unwrap_or(now).max(now + 1);
        }
        assert!(came.is_sorted_by_key(|&(number, _)| number));
        let late = |place: usize| (came[place].1 - NOW) / MS - (100 + 10 * place as u64);
        assert!(late(1) >= 48 && late(50) >= 10 && late(299) <= 2, "{} {} {}", late(1), late(50), late(299));
        assert!(looks <= 1_000, "each look is a wake-up: {looks}");
        assert!(!schedule.was_late_since(NOW), "nobody doubts a silence for it");
    }

    #[test]
    fn what_is_set_long_after_the_last_look_is_not_early_by_what_is_made_up_for() {
        let mut schedule = Schedule::new(Looks::Thread, NOW);
        schedule.set(NOW, 1);
        let late = NOW + 150 * MS;
        assert_eq!(due(&mut schedule, late), [1]);
        let later = late + 3_000 * MS;
        schedule.make_up(later);
        schedule.set(later + 100 * MS, 2);
        assert_eq!(due(&mut schedule, later + 90 * MS), []);
        assert_eq!(due(&mut schedule, later + 101 * MS), [2]);
        assert!(schedule.behind() <= MS, "all is made up for");
    }

    #[test]
    fn what_is_set_while_the_schedule_is_behind_is_due_in_time() {
        let mut schedule = Schedule::new(Looks::Thread, NOW);
        schedule.set(NOW, 1);
        let late = NOW + 1_000 * MS;
        assert_eq!(due(&mut schedule, late), [1]);
        schedule.set(late + 50 * MS, 2);
        assert_eq!(due(&mut schedule, late + 49 * MS), []);
        assert_eq!(due(&mut schedule, late + 51 * MS), [2]);
        assert!(!schedule.was_late_since(late), "a little later than its time is not late");
    }

    #[test]
    fn while_it_is_made_up_for_something_the_next_look_is_when_something_is_due() {
        let mut schedule = Schedule::new(Looks::Thread, NOW);
        schedule.set(NOW, 1);
        let late = NOW + 190 * MS;
        assert_eq!(due(&mut schedule, late), [1]);
        schedule.set(late + 3_000 * MS, 2);
        // The wheel's coarser levels have somebody look in between, for nothing.
        let mut now = late;
        let came = loop {
            let next = schedule.next().unwrap();
            assert!(next > now, "each look is a wake-up");
            now = next;
            let due = due(&mut schedule, now);
            if !due.is_empty() {
                break due;
            }
        };
        assert_eq!(came, [2]);
        assert!((late + 3_000 * MS - 190 * MS..=late + 3_001 * MS).contains(&now));
    }

    #[test]
    fn a_schedule_that_gave_its_memory_back_goes_on_at_its_time() {
        let mut schedule = Schedule::new(Looks::Thread, NOW);
        schedule.set(NOW, 1);
        let late = NOW + 7_000 * MS;
        assert_eq!(due(&mut schedule, late), [1]);
        assert!(schedule.behind() > 0);
        schedule.grow_to(10_000).unwrap();
        assert!(schedule.room() >= 10_000);
        schedule.shrink();
        assert!(schedule.room() < 1_000);
        schedule.set(late + 50 * MS, 2);
        assert!(schedule.next().is_some_and(|next| (late + 1..=late + 51 * MS).contains(&next)));
        assert_eq!(due(&mut schedule, late + 49 * MS), []);
        assert_eq!(due(&mut schedule, late + 51 * MS), [2]);
    }

    /// How far it is behind, and whether it was late, when somebody looks so many milliseconds after a timer was due.
    fn late_by(ms: u64) -> (u64, bool) {
        let now = 5_000 * MS;
        let mut schedule = Schedule::new(Looks::Thread, now);
        schedule.set(now + MS, 1);
        assert_eq!(due(&mut schedule, now + MS + ms * MS), [1]);
        (schedule.behind() / MS, schedule.was_late_since(now))
    }

    #[test]
    fn more_than_ten_milliseconds_move_it_and_more_than_two_hundred_are_late() {
        assert_eq!(
            [0, 10, 11, 200, 201].map(late_by),
            [(0, false), (0, false), (11, false), (200, false), (201, true)]
        );
    }

    #[test]
    fn who_looks_seldom_is_late_only_while_a_check_is_in_flight() {
        let most = LOOKS + LATE;
        for (in_flight, away, is_late) in [(false, 100 * most, false), (true, most, false), (true, most + 1, true)] {
            let mut schedule = Schedule::new(Looks::Thread, NOW);
            if in_flight {
                schedule.begin_check();
            }
            schedule.look(NOW + away);
            assert_eq!(schedule.was_late_since(NOW), is_late, "in flight: {in_flight}, away for {away} ns");
        }
    }
}
