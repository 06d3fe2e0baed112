//! The library's own user-space CPU time per check.
//!
//! By perf, which samples on a timer of its own: user time as the kernel accounts for it is a guess from ticks. Where
//! there is no perf, that guess over a long run has to do.

use std::process::{Command, Stdio};

use crate::Extent;
use crate::build;
use crate::course::{Course, LIVE_PORT};
use crate::table::{Bar, Row};

/// Nanoseconds of user-space CPU between two samples.
const PERIOD: u32 = 100_000;
const BAR_US: f64 = 1.5;

pub fn in_user_space(course: &Course, extent: Extent) -> Result<Row, String> {
    let checks = extent.checks * 10;
    eprintln!("user-space CPU");
    let (microseconds, how) = match sampled(course, checks) {
        Ok(microseconds) => (microseconds, "perf"),
        Err(why) => {
            eprintln!("no perf here ({why}): user time by the tick");
            (accounted(course, checks)?, "tick")
        }
    };
    let what = format!("user-space CPU per check of a batch ({how}), µs");
    Ok(Row::plain(what, format!("{microseconds:.2}"), microseconds, Bar::AtMost(BAR_US)))
}

/// All samples in user space but those in the program itself: the library's, and what it calls.
fn sampled(course: &Course, checks: u64) -> Result<f64, String> {
    let file = build::directory().join("perf.data");
    let mut perf = Command::new("perf");
    perf.args(["record", "--quiet", "-e", "cpu-clock:u", "-c", &PERIOD.to_string(), "-o"]).arg(&file).arg("--");
    perf.arg(&course.programs.racer).args(["batch", LIVE_PORT, &checks.to_string(), "1000"]);
    course.ours(&mut perf)?;
    let mut script = Command::new("perf");
    script.args(["script", "-F", "comm,ip,dso", "-i"]).arg(&file).stderr(Stdio::null());
    let output = script.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let samples = text.lines().filter(|line| !line.trim().is_empty() && !line.contains("shaker_loop)")).count();
    if samples < 100 {
        return Err(format!("{samples} samples"));
    }
    Ok(samples as f64 * f64::from(PERIOD) / 1000.0 / checks as f64)
}

/// The whole process's user time, the program's own included.
fn accounted(course: &Course, checks: u64) -> Result<f64, String> {
    Ok(course.race(&["batch", LIVE_PORT, &checks.to_string(), "1000"])?.get("user_us"))
}
