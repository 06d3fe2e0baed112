//! Speed, side by side: the yardstick and the library in turn, round after round.

use crate::Extent;
use crate::course::{Course, Figures, LIVE_PORT, REFUSED_PORT};
use crate::namespace;
use crate::table::{Bar, Row, Spread, microseconds, per_second};

pub const WINDOWS: [&str; 4] = ["1", "100", "1000", "10000"];
/// For the comparisons in which the window is not the question.
const WINDOW: &str = "1000";
pub const QUANTILES: [&str; 4] = ["p50", "p90", "p99", "p999"];

/// One figure of every round.
pub type Rounds = Vec<f64>;

/// Checks per second at one window.
#[derive(Default)]
pub struct Windowed {
    pub proof: Rounds,
    pub fresh: Rounds,
    pub batch: Rounds,
    pub reap: Rounds,
}

/// Nanoseconds of one check at a time, by quantile.
#[derive(Default)]
pub struct Blocking {
    pub inline: [Rounds; 4],
    pub handoff: [Rounds; 4],
    pub ours: [Rounds; 4],
    /// By submit and reap, with a loop of the library's and driven by the caller.
    pub submitted: [Rounds; 4],
    pub driven: [Rounds; 4],
}

#[derive(Default)]
pub struct Races {
    pub windows: [Windowed; 4],
    pub blocking: Blocking,
    /// Checks per second with one loop, two, and so on.
    pub batch_by_loops: Vec<Rounds>,
    pub reap_by_loops: Vec<Rounds>,
    /// The library with the locks of the crate parking_lot.
    pub batch_with_parking_lot: Rounds,
    pub reap_with_parking_lot: Rounds,
    /// Checks per second of two yardsticks at once.
    pub proof_twice: Rounds,
    pub refused: Rounds,
    pub refused_proof: Rounds,
}

/// Loop counts that are compared: one, two, and one per core where there are more.
pub fn loop_counts() -> Vec<usize> {
    let mut counts = vec![1, 2, namespace::cores()];
    counts.dedup();
    counts.retain(|count| *count > 0);
    counts.sort_unstable();
    counts.dedup();
    counts
}

pub fn run(course: &Course, extent: Extent) -> Result<Races, String> {
    let checks = &extent.checks.to_string();
    let mut races = Races::default();
    races.batch_by_loops.resize(loop_counts().len(), Rounds::new());
    races.reap_by_loops.resize(loop_counts().len(), Rounds::new());
    for round in 1..=extent.rounds {
        eprintln!("round {round} of {}", extent.rounds);
        for (window, figures) in WINDOWS.iter().zip(&mut races.windows) {
            figures.proof.push(pace(course.yardstick(&["proof", LIVE_PORT, checks, window])?));
            figures.batch.push(pace(course.race(&["batch", LIVE_PORT, checks, window])?));
            figures.reap.push(pace(course.race(&["reap", LIVE_PORT, checks, window])?));
            // Judged by no row, and the first to stall on a busy machine.
            if let Ok(fresh) = course.yardstick(&["fresh", LIVE_PORT, checks, window]) {
                figures.fresh.push(pace(fresh));
            }
        }
        let blocking = &mut races.blocking;
        let fewer = &(extent.checks / 2).to_string();
        quantiles(&mut blocking.inline, course.yardstick(&["inline", LIVE_PORT, fewer])?);
        quantiles(&mut blocking.ours, course.race(&["inline", LIVE_PORT, fewer])?);
        quantiles(&mut blocking.submitted, course.race(&["single", LIVE_PORT, fewer])?);
        quantiles(&mut blocking.driven, course.race(&["driven", LIVE_PORT, fewer])?);
        quantiles(&mut blocking.handoff, course.yardstick(&["handoff", LIVE_PORT, &(extent.checks / 8).to_string()])?);
        for (index, loops) in loop_counts().iter().map(usize::to_string).enumerate() {
            races.batch_by_loops[index].push(pace(course.race(&["batch", LIVE_PORT, checks, WINDOW, &loops])?));
        }
        for (index, loops) in loop_counts().iter().map(usize::to_string).enumerate() {
            races.reap_by_loops[index].push(pace(course.race(&["reap", LIVE_PORT, checks, WINDOW, &loops])?));
        }
        races.batch_with_parking_lot.push(pace(course.race_with_parking_lot(&["batch", LIVE_PORT, checks, WINDOW])?));
        races.reap_with_parking_lot.push(pace(course.race_with_parking_lot(&["reap", LIVE_PORT, checks, WINDOW])?));
        let two = course.yardsticks(2, &["proof", LIVE_PORT, checks, WINDOW])?;
        races.proof_twice.push(two.into_iter().map(pace).sum());
        races.refused_proof.push(pace(course.yardstick(&["proof", REFUSED_PORT, checks, WINDOW])?));
        races.refused.push(pace(course.race(&["batch", REFUSED_PORT, checks, WINDOW])?));
    }
    Ok(races)
}

fn pace(figures: Figures) -> f64 {
    figures.get("per_second")
}

fn quantiles(rounds: &mut [Rounds; 4], figures: Figures) {
    for (rounds, quantile) in rounds.iter_mut().zip(QUANTILES) {
        rounds.push(figures.get(&format!("{quantile}_ns")));
    }
}

impl Races {
    /// What two loops could come to on this machine: two yardsticks, which share nothing, against one.
    pub fn limit_of_two(&self) -> Spread {
        Spread::ratios(&self.proof_twice, &self.windows[2].proof)
    }

    pub fn rows(&self) -> Vec<Row> {
        let blocking = &self.blocking;
        let one_at_a_time = [
            ("blocking check, p50, against inline", &blocking.ours, 1.25),
            ("one check by submit and reap, p50, against inline", &blocking.submitted, 1.5),
            ("the same, caller-driven, p50, against inline", &blocking.driven, 1.5),
        ];
        let mut rows = Vec::new();
        for (what, ours, bar) in one_at_a_time {
            rows.push(Row::ratio(what, &ours[0], &blocking.inline[0], microseconds, Bar::AtMost(bar)));
        }
        for (window, figures) in WINDOWS.iter().zip(&self.windows) {
            let what = format!("batch, window {window}, against proof");
            rows.push(Row::ratio(what, &figures.batch, &figures.proof, per_second, Bar::AtLeast(0.90)));
        }
        for (window, figures) in WINDOWS.iter().zip(&self.windows) {
            let what = format!("submit and reap, window {window}, against proof");
            rows.push(Row::ratio(what, &figures.reap, &figures.proof, per_second, Bar::AtLeast(0.85)));
        }
        let (batch, reap) = (&self.batch_by_loops, &self.reap_by_loops);
        rows.push(Row::ratio("batch, two loops against one", &batch[1], &batch[0], per_second, Bar::AtLeast(1.7)));
        rows.push(Row::ratio(
            "submit and reap, two loops against one",
            &reap[1],
            &reap[0],
            per_second,
            Bar::AtLeast(1.7),
        ));
        // The bars say only that neither kind of lock is far behind the other.
        let what = "batch, parking_lot's locks against std's";
        rows.push(Row::ratio(what, &self.batch_with_parking_lot, &batch[0], per_second, Bar::AtLeast(0.90)));
        let what = "submit and reap, parking_lot's locks against std's";
        rows.push(Row::ratio(what, &self.reap_with_parking_lot, &reap[0], per_second, Bar::AtLeast(0.90)));
        let what = "refused port, batch, against proof";
        rows.push(Row::ratio(what, &self.refused, &self.refused_proof, per_second, Bar::AtLeast(0.90)));
        rows
    }
}
