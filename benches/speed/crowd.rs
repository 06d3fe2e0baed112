//! The raw engine with a thousand to a million silent checks in flight.

use std::process::Command;

use crate::Extent;
use crate::course::{Course, ENGINE, Figures, LIVE_PORT, SYN_INTERVAL};
use crate::table::{Bar, Row};

/// The most, which the bars are for.
const MILLION: u64 = 1_000_000;

#[derive(Default)]
pub struct Crowd {
    pub counts: Vec<u64>,
    pub figures: Vec<Figures>,
}

pub fn run(course: &Course, extent: Extent) -> Result<Crowd, String> {
    let mut crowd = Crowd::default();
    for count in [1_000, 10_000, 100_000, MILLION].into_iter().filter(|count| *count <= extent.crowd) {
        eprintln!("raw engine, {count} silent checks in flight");
        // They are to be in flight together: the last starts before the first is due. Their SYNs repeated after 300 ms,
        // a million would not all be started in 20 s; after 1 s, 2 s and 4 s, as the kernel does it, they are.
        let timeout_ms = if count < MILLION { "10000" } else { "20000" };
        let mut command = Command::new(&course.programs.crowd);
        command.args(["silent", &count.to_string(), timeout_ms, LIVE_PORT]).env(ENGINE, "raw").env(SYN_INTERVAL, "0");
        let figures = course.ours(&mut command)?;
        if figures.get("timed_out") != count as f64 {
            return Err(format!("wrong verdicts: {} of {count} timed out", figures.get("timed_out")));
        }
        crowd.counts.push(count);
        crowd.figures.push(figures);
    }
    Ok(crowd)
}

impl Crowd {
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (&count, figures) in self.counts.iter().zip(&self.figures) {
            let bar = |bar| if count == MILLION { bar } else { Bar::Nothing };
            let mut row = |what: &str, text: String, figure: f64, bar: Bar| {
                rows.push(Row::plain(format!("raw: {count} silent checks: {what}"), text, figure, bar));
            };
            let in_flight = figures.get("in_flight");
            row("in flight at one moment", in_flight.to_string(), in_flight, bar(Bar::AtLeast(count as f64)));
            let heap = figures.get("bytes_per_check") * count as f64 / in_flight;
            row("heap of each, bytes", format!("{heap:.1}"), heap, bar(Bar::AtMost(160.0)));
            let late = figures.get("p99_ns") / 1e6;
            row("lateness, p99, ms", format!("{late:.1}"), late, bar(Bar::AtMost(100.0)));
            let (cost, live) = (figures.get("cpu_us"), figures.get("live_cpu_us"));
            row("CPU of each, and of a live one, µs", format!("{cost:.2}, {live:.2}"), cost, Bar::Nothing);
        }
        rows
    }
}
