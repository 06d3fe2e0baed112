//! When a first check is made, and how much an interval differs from the next: what keeps checks apart.

use std::hash::{BuildHasher, RandomState};

/// 2^64 divided by the golden ratio: its multiples, modulo 2^64, lie as evenly as those of any number, however many
/// there are of them (Knuth, The Art of Computer Programming, volume 3, 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) struct Spread {
    /// The latest first check's place in its window, as a part of 2^64.
    place: u64,
    random: u64,
}

impl Spread {
    pub fn new() -> Spread {
        Spread { place: 0, random: RandomState::new().hash_one(0) | 1 }
    }

    /// When a first check is made that may begin from now on, and must within `window` nanoseconds. The places are those
    /// of a clock that goes round once in the window, so they lie evenly whenever they are asked for.
    pub fn first(&mut self, now: u64, window: u64) -> u64 {
        if window == 0 {
            return now;
        }
        self.place = self.place.wrapping_add(GOLDEN);
        let place = ((u128::from(self.place) * u128::from(window)) >> 64) as u64;
        now + (place + window - now % window) % window
    }

    /// The same for checks whose intervals have jitter. Some of the first come later than the interval, by as much as
    /// the intervals may be longer: if none did, the first checks of the last and the second ones of the first would
    /// come together, and be half as many again.
    pub fn first_with_jitter(&mut self, now: u64, interval: u64, percent: u32) -> u64 {
        let at = self.first(now, interval);
        let (part, jitter) = ((at - now) as f64 / interval as f64, f64::from(percent) / 100.0);
        // How long it takes to the next event, where events have been coming at intervals from 1 - jitter to 1 + jitter
        // for ever: evenly up to 1 - jitter, and less and less up to 1 + jitter.
        if part <= 1.0 - jitter {
            return at;
        }
        now + ((1.0 + jitter - (4.0 * jitter * (1.0 - part)).sqrt()) * interval as f64) as u64
    }

    /// An interval, longer or shorter by up to so many percent.
    pub fn jittered(&mut self, interval: u64, percent: u32) -> u64 {
        if percent == 0 {
            return interval;
        }
        let range = u128::from(interval) * u128::from(percent) / 100;
        interval - range as u64 + ((u128::from(self.random()) * (2 * range + 1)) >> 64) as u64
    }

    /// Marsaglia's xorshift: even enough for intervals.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const STEP: usize = 100;

    /// The most that lie within any tenth of a second, divided by the mean.
    fn worst(mut times: Vec<u64>, window: u64) -> f64 {
        times.sort_unstable();
        let mut end = 0;
        let most = (0..times.len()).map(|begin| {
            while end < times.len() && times[end] < times[begin] + SECOND / 10 {
                end += 1;
            }
            end - begin
        });
        most.max().unwrap() as f64 / (times.len() as f64 * 0.1 * SECOND as f64 / window as f64)
    }

    #[test]
    fn first_checks_lie_evenly_however_many_there_are() {
        for count in [500, 1_000, 12_345, 200_000] {
            for window in [2 * SECOND, 5 * SECOND] {
                let mut spread = Spread::new();
                let now = 123_456_789_012;
                let times: Vec<u64> = (0..count).map(|_| spread.first(now, window)).collect();
                assert!(times.iter().all(|&at| at >= now && at < now + window));
                let worst = worst(times, window);
                assert!(worst <= 1.2, "{count} over {window} ns: {worst}");
            }
        }
    }

    /// Added one by one, at a pace that would be in step with the places if these were counted from the moment of each.
    #[test]
    fn they_lie_evenly_in_the_window_whenever_they_are_added() {
        let window = 2 * SECOND;
        for pace in [1, STEP as u64 * 7_919, GOLDEN % window, window - GOLDEN % window] {
            let mut spread = Spread::new();
            let times = (0..20_000).map(|number| spread.first(5 * SECOND + number * pace, window));
            let mut places: Vec<u64> = times.map(|at| at % window).collect();
            places.extend(places.clone().iter().map(|place| place + window)); // the window goes round
            let worst = worst(places, 2 * window);
            assert!(worst <= 1.2, "every {pace} ns: {worst}");
        }
    }

    #[test]
    fn without_a_window_a_first_check_is_made_at_once() {
        assert_eq!(Spread::new().first(7, 0), 7);
    }

    #[test]
    fn jitter_stays_within_its_percentage_and_reaches_both_ends_of_it() {
        let mut spread = Spread::new();
        assert_eq!(spread.jittered(1_000, 0), 1_000);
        let drawn: Vec<u64> = (0..10_000).map(|_| spread.jittered(1_000, 10)).collect();
        assert!(drawn.iter().all(|drawn| (900..=1_100).contains(drawn)));
        assert!(drawn.iter().any(|&drawn| drawn < 920) && drawn.iter().any(|&drawn| drawn > 1_080));
    }

    #[test]
    fn a_place_is_one_of_the_clock_whenever_it_is_asked_for() {
        let window = 2 * SECOND;
        let of = |now: u64| -> Vec<u64> {
            let mut spread = Spread::new();
            (0..100).map(|_| spread.first(now, window) % window).collect()
        };
        assert!([1, window, 5 * SECOND, 123_456_789_012].iter().all(|&now| of(now) == of(0)));
    }

    /// How many of all events have come after so many intervals, of events that come at intervals from 1 - jitter to
    /// 1 + jitter.
    fn part_until(time: f64, jitter: f64) -> f64 {
        if time <= 1.0 - jitter { time } else { 1.0 - (1.0 + jitter - time).powi(2) / (4.0 * jitter) }
    }

    #[test]
    fn first_checks_with_jitter_come_as_if_there_had_been_some_for_ever() {
        let (now, interval) = (123_456_789_012, 2 * SECOND);
        for percent in [0, 1, 10, 50] {
            let (mut spread, mut plain, jitter) = (Spread::new(), Spread::new(), f64::from(percent) / 100.0);
            for _ in 0..1_000 {
                let at = spread.first_with_jitter(now, interval, percent);
                let part = (plain.first(now, interval) - now) as f64 / interval as f64;
                let time = (at - now) as f64 / interval as f64;
                let is_as_late = time <= 1.0 + jitter && (part_until(time, jitter) - part).abs() < 1e-4;
                assert!(is_as_late, "{time} of {percent} %, and {part}");
            }
        }
    }

    #[test]
    fn each_interval_that_jitter_allows_is_as_likely_as_another() {
        let mut spread = Spread::new();
        let mut counts = [0; 3];
        (0..9_000).for_each(|_| counts[spread.jittered(10, 10) as usize - 9] += 1);
        assert!(counts.iter().all(|count| (2_500..3_500).contains(count)), "{counts:?}");
    }
}
