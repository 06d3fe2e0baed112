//! What is watched, and how: as a program says it, and as the monitor keeps it; and what it tells of that.

use std::time::Duration;

use super::hysteresis::{Pace, State, Thresholds};
use crate::check::request::{Family, Handshake, Request, milliseconds};
use crate::check::target::Target;
use crate::check::verdict::{Status, Verdict};

/// HAProxy's `inter`.
const INTERVAL_MS: u32 = 2_000;
/// HAProxy's `fall` and `rise`.
const FALL: u32 = 3;
const RISE: u32 = 2;
/// More would make two intervals of one watch differ by more than three to one.
const JITTER_MAX: u32 = 50;

/// A target to be checked again and again. 0 stands for a default, which is HAProxy's.
#[derive(Clone, Debug)]
pub struct Watch {
    /// What to check. A name is looked up anew for the first check, for one after a check that was not up or a
    /// failure that was reported, and for one that was asked for. Any other check takes the latest answer that was
    /// kept, if that is no older than nine tenths of `interval_ms`, and than 30 s: getaddrinfo(3) tells nobody how
    /// long its answers hold. A name that does not resolve is no verdict.
    pub target: Target,
    /// As of a [`Request`].
    pub timeout_ms: u32,
    /// As of a [`Request`].
    pub handshake: Handshake,
    /// As of a [`Request`].
    pub linger: bool,
    /// As of a [`Request`].
    pub family: Family,
    /// As of a [`Request`].
    pub mark: u32,
    /// From a verdict to the start of the next check, while up and well. 0: 2000. After a check that began late it is
    /// shorter by as much, at most by a tenth, so that many watches keep apart.
    pub interval_ms: u32,
    /// The same while up, after a failure that was not the last straw. 0: `interval_ms`.
    pub falling_ms: u32,
    /// The same while down or unknown, after a success that was not yet enough. 0: `interval_ms`.
    pub rising_ms: u32,
    /// The same while down. 0: `interval_ms`.
    pub down_ms: u32,
    /// How many failures in a row take it down. 0: 3.
    pub fall: u32,
    /// How many successes in a row bring it up. 0: 2.
    pub rise: u32,
    /// `fall` until the initial state was left or confirmed. 0: 1.
    pub first_fall: u32,
    /// `rise` until the initial state was left or confirmed. 0: 1.
    pub first_rise: u32,
    /// Each interval is longer or shorter by up to so many percent; at most 50.
    pub jitter_percent: u32,
    /// What holds before the first verdict.
    pub initial: State,
    /// Comes back in each change, untouched.
    pub tag: usize,
}

impl Watch {
    /// A watch with every default.
    pub fn new(target: impl Into<Target>) -> Watch {
        Watch {
            target: target.into(),
            timeout_ms: 0,
            handshake: Handshake::HalfOpen,
            linger: false,
            family: Family::Any,
            mark: 0,
            interval_ms: 0,
            falling_ms: 0,
            rising_ms: 0,
            down_ms: 0,
            fall: 0,
            rise: 0,
            first_fall: 0,
            first_rise: 0,
            jitter_percent: 0,
            initial: State::Unknown,
            tag: 0,
        }
    }

    /// The same with this timeout of each check, rounded up to milliseconds; at least one.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Watch {
        Watch { timeout_ms: milliseconds(timeout).max(1), ..self }
    }

    /// The same with this interval while up and well, rounded up to milliseconds; at least one.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Watch {
        Watch { interval_ms: milliseconds(interval).max(1), ..self }
    }
}

/// What is known of a watch.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WatchInfo {
    /// The watch's own tag.
    pub tag: usize,
    /// What is held to be true.
    pub state: State,
    /// Verdicts in a row that agree with the latest.
    pub run: u32,
    /// Since when it has been in this state, in microseconds of CLOCK_MONOTONIC.
    pub since_us: u64,
    /// When the next check begins; `None` while one is in flight, or none is to be made.
    pub next_us: Option<u64>,
    /// Checks that ended.
    pub checks: u32,
    /// Verdicts that it is up, reports included.
    pub up: u32,
    /// Verdicts that it is down, reports included.
    pub down: u32,
    /// Checks that ended without a verdict.
    pub no_verdict: u32,
    /// How often the state changed.
    pub changes: u32,
    /// The latest round trip in microseconds.
    pub rtt_us: u32,
    /// Round trips, smoothed as RFC 6298 does.
    pub rtt_smoothed_us: u32,
    /// How much they vary, by the same.
    pub rtt_variation_us: u32,
    /// No checks are made of it.
    pub paused: bool,
    /// What the latest check learned; `None` if none has been made yet.
    pub last: Option<Verdict>,
}

/// All of a watch but its target, its initial state and its tag, with the defaults filled in. Watches of one target
/// that have the same settings share their checks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    pub timeout_ms: u32,
    handshake: Handshake,
    linger: bool,
    family: Family,
    mark: u32,
    pub interval_ms: u32,
    falling_ms: u32,
    rising_ms: u32,
    down_ms: u32,
    pub thresholds: Thresholds,
    pub jitter_percent: u32,
}

impl Settings {
    /// `timeout_ms` is that of watches which name none.
    pub fn of(watch: &Watch, timeout_ms: u32) -> Result<Settings, Status> {
        if matches!(watch.target, Target::Malformed(_)) {
            return Err(Verdict::without_address(&watch.target).status);
        }
        if watch.jitter_percent > JITTER_MAX {
            return Err(Status::Invalid);
        }
        let or = |value, default| if value == 0 { default } else { value };
        let interval_ms = or(watch.interval_ms, INTERVAL_MS);
        Ok(Settings {
            timeout_ms: or(watch.timeout_ms, timeout_ms),
            handshake: watch.handshake,
            linger: watch.linger,
            family: watch.family,
            mark: watch.mark,
            interval_ms,
            falling_ms: or(watch.falling_ms, interval_ms),
            rising_ms: or(watch.rising_ms, interval_ms),
            down_ms: or(watch.down_ms, interval_ms),
            thresholds: Thresholds {
                fall: or(watch.fall, FALL),
                rise: or(watch.rise, RISE),
                first_fall: or(watch.first_fall, 1),
                first_rise: or(watch.first_rise, 1),
            },
            jitter_percent: watch.jitter_percent,
        })
    }

    /// From a verdict to the next check's start.
    pub fn interval_ms(&self, pace: Pace) -> u32 {
        match pace {
            Pace::Steady => self.interval_ms,
            Pace::Falling => self.falling_ms,
            Pace::Rising => self.rising_ms,
            Pace::Down => self.down_ms,
        }
    }

    pub fn request(&self, target: &Target, tag: usize) -> Request {
        Request {
            target: target.clone(),
            timeout_ms: self.timeout_ms,
            handshake: self.handshake,
            linger: self.linger,
            family: self.family,
            mark: self.mark,
            tag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut Watch)) -> Result<Settings, Status> {
        let mut watch = Watch::new("127.0.0.1:80");
        change(&mut watch);
        Settings::of(&watch, 700)
    }

    #[test]
    fn times_are_rounded_up_and_are_never_the_defaults() {
        let watch = Watch::new("a:1").timeout(Duration::from_micros(1_500)).interval(Duration::from_micros(2_500));
        assert_eq!((watch.timeout_ms, watch.interval_ms), (2, 3));
        let watch = watch.timeout(Duration::ZERO).interval(Duration::ZERO);
        assert_eq!((watch.timeout_ms, watch.interval_ms), (1, 1));
    }

    #[test]
    fn what_is_zero_is_haproxys_default_or_the_interval() {
        let defaults = settings(|_| ()).unwrap();
        assert_eq!(defaults.thresholds, Thresholds { fall: 3, rise: 2, first_fall: 1, first_rise: 1 });
        assert_eq!(defaults.timeout_ms, 700);
        let paces = [Pace::Steady, Pace::Falling, Pace::Rising, Pace::Down];
        assert_eq!(paces.map(|pace| defaults.interval_ms(pace)), [2_000; 4]);
        let own = settings(|watch| {
            (watch.interval_ms, watch.falling_ms, watch.rising_ms, watch.down_ms) = (50, 60, 70, 80);
            watch.timeout_ms = 90;
        });
        let own = own.unwrap();
        assert_eq!(paces.map(|pace| own.interval_ms(pace)), [50, 60, 70, 80]);
        assert_eq!(own.timeout_ms, 90);
    }

    #[test]
    fn what_can_be_no_watch_is_refused() {
        assert_eq!(settings(|watch| watch.jitter_percent = 51), Err(Status::Invalid));
        assert!(settings(|watch| watch.jitter_percent = 50).is_ok());
        assert_eq!(settings(|watch| watch.target = Target::from("127.0.0.1")), Err(Status::BadAddress));
    }
}
