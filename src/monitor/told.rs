//! What a program is told of a watch: a change of it, and what is known of it.

use super::changes::Change;
use super::hysteresis::State;
use super::records::{Probe, Record};
use super::watch::WatchInfo;

/// The watch of this id has come from one state to its own, maybe the same.
pub(super) fn change(id: u64, record: &Record, probe: &Probe, from: State, is_reported: bool, at_us: u64) -> Change {
    Change {
        id,
        tag: record.tag,
        from,
        to: record.hysteresis.state(),
        run: record.hysteresis.run(),
        reported: is_reported,
        skipped: false,
        at_us,
        last: probe.last(),
    }
}

/// What is known of a watch, where the schedule's clock is so many nanoseconds behind.
pub(super) fn info(record: &Record, probe: &Probe, behind: u64) -> WatchInfo {
    let is_checked = !record.is_paused || record.asked.is_current();
    let next = (is_checked && probe.timer.is_some()).then(|| (probe.at + behind) / 1_000);
    WatchInfo {
        tag: record.tag,
        state: record.hysteresis.state(),
        run: record.hysteresis.run(),
        since_us: record.since_us,
        next_us: next,
        checks: record.checks,
        up: record.up,
        down: record.down,
        no_verdict: record.no_verdict,
        changes: record.changes,
        rtt_us: probe.rtt_us,
        rtt_smoothed_us: probe.smoothed_us as u32,
        rtt_variation_us: probe.variation_us as u32,
        paused: record.is_paused,
        last: probe.last(),
    }
}
