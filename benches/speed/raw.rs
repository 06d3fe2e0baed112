//! The raw engine's speed, beside the least that a check without a socket costs (`bare_raw.c`), and with one
//! (`bare_loop.c`).

use crate::Extent;
use crate::course::{Course, LIVE_PORT, REFUSED_PORT};
use crate::racing::Rounds;
use crate::table::{Bar, Row, Spread, microseconds, per_second};

const WINDOW: &str = "1000";

#[derive(Default)]
pub struct RawRaces {
    /// Checks per second.
    bare: Rounds,
    batch: Rounds,
    two_loops: Rounds,
    bare_twice: Rounds,
    /// Nanoseconds of CPU per check.
    proof_cpu: Rounds,
    batch_cpu: Rounds,
    refused_proof_cpu: Rounds,
    refused_cpu: Rounds,
    /// p50 of one check at a time, in nanoseconds.
    inline: Rounds,
    blocking: Rounds,
}

pub fn run(course: &Course, extent: Extent) -> Result<RawRaces, String> {
    let checks = &extent.checks.to_string();
    let fewer = &(extent.checks / 2).to_string();
    let mut races = RawRaces::default();
    for round in 1..=extent.rounds {
        eprintln!("raw engine, round {round} of {}", extent.rounds);
        races.bare.push(course.raw_yardstick(&["sock", LIVE_PORT, checks, WINDOW])?.get("per_second"));
        let ours = course.raw_race(&["batch", LIVE_PORT, checks, WINDOW])?;
        races.batch.push(ours.get("per_second"));
        races.batch_cpu.push(ours.get("cpu_us") * 1e3);
        races.proof_cpu.push(course.yardstick(&["proof", LIVE_PORT, checks, WINDOW])?.get("cpu_us") * 1e3);
        races.two_loops.push(course.raw_race(&["batch", LIVE_PORT, checks, WINDOW, "2"])?.get("per_second"));
        let two = course.raw_yardsticks(2, &["sock", LIVE_PORT, checks, WINDOW])?;
        races.bare_twice.push(two.iter().map(|one| one.get("per_second")).sum());
        races.refused_proof_cpu.push(course.yardstick(&["proof", REFUSED_PORT, checks, WINDOW])?.get("cpu_us") * 1e3);
        races.refused_cpu.push(course.raw_race(&["batch", REFUSED_PORT, checks, WINDOW])?.get("cpu_us") * 1e3);
        races.inline.push(course.yardstick(&["inline", LIVE_PORT, fewer])?.get("p50_ns"));
        races.blocking.push(course.raw_race(&["inline", LIVE_PORT, fewer])?.get("p50_ns"));
    }
    Ok(races)
}

impl RawRaces {
    /// What two loops could come to on this machine: two yardsticks, which share nothing, against one.
    pub fn limit_of_two(&self) -> Spread {
        Spread::ratios(&self.bare_twice, &self.bare)
    }

    pub fn rows(&self) -> Vec<Row> {
        let at_least = Bar::AtLeast;
        vec![
            Row::ratio(
                "raw: batch, window 1000, against bare_raw",
                &self.batch,
                &self.bare,
                per_second,
                at_least(0.90),
            ),
            Row::saving(
                "raw: CPU per check, of proof over ours",
                &self.batch_cpu,
                &self.proof_cpu,
                microseconds,
                at_least(1.5),
            ),
            Row::ratio("raw: batch, two loops against one", &self.two_loops, &self.batch, per_second, at_least(1.7)),
            Row::saving(
                "raw: CPU per check of a refused port, of proof over ours",
                &self.refused_cpu,
                &self.refused_proof_cpu,
                microseconds,
                at_least(1.4),
            ),
            Row::ratio(
                "raw: blocking check, p50, against inline",
                &self.blocking,
                &self.inline,
                microseconds,
                Bar::AtMost(1.5),
            ),
        ]
    }
}
