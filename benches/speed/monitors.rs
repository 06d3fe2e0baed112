//! Monitors: what a check by one costs, how even and how late its checks are, and what a watch takes of memory.

use std::process::Command;

use crate::Extent;
use crate::course::{self, Figures};
use crate::table::{Bar, Row, microseconds};
use crate::watching::WATCHING;

/// How many watches, at which interval in milliseconds, and for how many seconds.
#[derive(Clone, Copy)]
pub struct Watched {
    pub watches: u64,
    pub interval_ms: u64,
    pub seconds: u64,
}

/// What the table shows of them, and how many handshakes their listeners saw completed.
pub fn rows(extent: Extent) -> Result<(Vec<Row>, u64), String> {
    let mut handshakes = 0;
    let mut start = |what: &str, Watched { watches, interval_ms, seconds }: Watched| {
        eprintln!("monitor: {what}, {watches} watches");
        let this = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
        let numbers = [watches, interval_ms, seconds].map(|number| number.to_string());
        let (figures, completed) = course::run(Command::new(this).args([WATCHING, what]).args(numbers))?;
        handshakes += completed;
        Ok::<Figures, String>(figures)
    };
    let Watched { seconds, interval_ms, watches } = extent.even;
    let mut rows = even_rows(extent.even, &start("even", extent.even)?, seconds * 1_000 / interval_ms)?;
    rows.extend(many_rows(extent.many, &start("many", extent.many)?)?);
    let memory = start("memory", extent.many)?;
    rows.extend(memory_rows(extent.many.watches, &memory));
    let idle = start("paused", Watched { watches: watches / 10, interval_ms, seconds: extent.idle_seconds })?;
    let (runs, cpu_ns) = (idle.get("runs"), idle.get("cpu_ns"));
    rows.push(Row::plain(
        format!("monitor: {} watches paused, {} s: wake-ups + CPU ns", watches / 10, extent.idle_seconds),
        format!("{runs} + {cpu_ns}"),
        runs + cpu_ns,
        Bar::AtMost(0.0),
    ));
    Ok((rows, handshakes))
}

fn even_rows(watched: Watched, figures: &Figures, rounds: u64) -> Result<Vec<Row>, String> {
    let Watched { watches, interval_ms, seconds } = watched;
    let wrong = figures.get("many_checks") - figures.get("many_up") + figures.get("down");
    if wrong != 0.0 {
        return Err(format!("{wrong} wrong verdicts: each of these targets is up"));
    }
    let (least, most) = (figures.get("least"), figures.get("most"));
    let off = (rounds as f64 - least).max(most - rounds as f64);
    let what = format!("monitor: {watches} watches every {interval_ms} ms for {seconds} s");
    Ok(vec![
        Row::plain(
            format!("{what}: checks of each, off {rounds}"),
            format!("{least} to {most}"),
            off,
            Bar::AtMost(1.0),
        ),
        Row::plain(
            format!("{what}: most in 100 ms, by the mean"),
            format!("{:.3}", figures.get("burst")),
            figures.get("burst"),
            Bar::AtMost(1.2),
        ),
        Row::ratio(
            "monitor: CPU per check, against check_many at the same pace",
            &[figures.get("cpu_ns")],
            &[figures.get("paced_cpu_ns")],
            microseconds,
            Bar::AtMost(1.3),
        ),
        Row::ratio(
            "monitor: the same, against check_many as fast as it can",
            &[figures.get("cpu_ns")],
            &[figures.get("many_cpu_ns")],
            microseconds,
            Bar::Nothing,
        ),
    ])
}

fn many_rows(watched: Watched, figures: &Figures) -> Result<Vec<Row>, String> {
    let Watched { watches, interval_ms, seconds } = watched;
    if figures.get("not_up") > 0.0 {
        return Err(format!("wrong verdicts: {} are not up", figures.get("not_up")));
    }
    let (least, most) = (figures.get("least"), figures.get("most"));
    let rounds = (seconds * 1_000 / interval_ms) as f64;
    let (forgotten, doubled) = (f64::max(0.0, rounds - least), figures.get("doubled").max(most - rounds - 1.0));
    let ms = |name: &str| figures.get(name) / 1e3;
    let what = format!("monitor: {watches} watches every {interval_ms} ms");
    let late = format!("{:.1} ms (p50 {:.1}, most {:.1})", ms("p99_us"), ms("p50_us"), ms("most_us"));
    Ok(vec![
        Row::plain(
            format!("{what} for {seconds} s: checks that a watch lacks of {rounds}"),
            format!("{forgotten} ({least} to {most})"),
            forgotten,
            Bar::AtMost(0.0),
        ),
        Row::plain(
            format!("{what}: checks too soon after the one before, of {}", figures.get("results")),
            figures.get("doubled").to_string(),
            doubled,
            Bar::AtMost(0.0),
        ),
        Row::plain(format!("{what}: lateness, p99, ms"), late, ms("p99_us"), Bar::AtMost(50.0)),
    ])
}

fn memory_rows(watches: u64, figures: &Figures) -> Vec<Row> {
    /// A target is kept beside what the bar allows.
    const TARGET: f64 = 32.0;
    let of = |name: &str| figures.get(name);
    let show = |name: &str| format!("{:.1}", of(name));
    vec![
        Row::plain(
            format!("monitor: heap per watch besides its target, {watches} watches, bytes"),
            format!("{:.1}", of("bytes") - TARGET),
            of("bytes") - TARGET,
            Bar::AtMost(200.0),
        ),
        Row::plain(
            "monitor: the same, each watch with settings of its own, bytes",
            format!("{:.1}", of("own_settings_bytes") - TARGET),
            of("own_settings_bytes"),
            Bar::Nothing,
        ),
        Row::plain("monitor: heap per watch after all were removed, bytes", show("left_bytes"), 0.0, Bar::Nothing),
        Row::ratio(
            format!("monitor: removal of one of {watches}, against one of {}", watches / 100),
            &[of("many_remove_ns")],
            &[of("few_remove_ns")],
            |ns| format!("{ns:.0} ns"),
            Bar::Nothing,
        ),
    ]
}
