//! The drawings that docs/speed.md shows.

use std::fs;
use std::path::Path;

use crate::crowd::Crowd;
use crate::holding::{HEAP_BAR, Holds};
use crate::racing::{QUANTILES, Races, Rounds, WINDOWS, loop_counts};
use crate::svg::{Chart, Series, Shape};
use crate::table::Spread;

/// Told apart by people who do not see red and green apart, too (Okabe and Ito).
const BLUE: &str = "#0072b2";
const ORANGE: &str = "#d55e00";
const GREEN: &str = "#009e73";
const GREY: &str = "#6e7781";

pub fn draw(races: &Races, holds: &Holds, directory: &Path) -> Result<(), String> {
    let drawings = [
        ("throughput-by-window.svg", by_window(races)),
        ("throughput-by-loops.svg", by_loops(races)),
        ("latency.svg", latency(races)),
        ("memory-in-flight.svg", memory(holds)),
        ("cost-in-flight.svg", cost(holds)),
    ];
    write(&drawings, directory)
}

/// The raw engine's growth.
pub fn draw_crowd(crowd: &Crowd, directory: &Path) -> Result<(), String> {
    let drawings = [
        (
            "raw-memory-in-flight.svg",
            crowd_chart(
                crowd,
                "Heap per check in flight, raw engine",
                "bytes",
                &[("library", BLUE, "bytes_per_check")],
            ),
        ),
        (
            "raw-cost-in-flight.svg",
            crowd_chart(
                crowd,
                "CPU time per check, by checks in flight, raw engine",
                "µs of CPU",
                &[
                    ("a live check beside them", BLUE, "live_cpu_us"),
                    ("a silent check of four SYNs, to timeout", ORANGE, "cpu_us"),
                ],
            ),
        ),
    ];
    write(&drawings, directory)
}

fn crowd_chart(
    crowd: &Crowd,
    title: &'static str,
    y_title: &'static str,
    curves: &[(&str, &'static str, &str)],
) -> Chart {
    let points = |figure| crowd.figures.iter().map(|run| Some([run.get(figure)].into_iter().collect())).collect();
    let series = curves.iter().map(|&(name, colour, figure)| Series {
        name: name.to_owned(),
        colour,
        shape: Shape::Line,
        points: points(figure),
    });
    Chart {
        title,
        note: "All of the process, kernel and the answering side included. One run.".to_owned(),
        x_title: "silent checks in flight",
        y_title,
        columns: crowd.counts.iter().map(|count| grouped(&count.to_string())).collect(),
        series: series.collect(),
        logarithmic: false,
    }
}

fn write(drawings: &[(&str, Chart)], directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for (name, chart) in drawings {
        let path = directory.join(name);
        fs::write(&path, chart.svg()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn by_window(races: &Races) -> Chart {
    let series = |name: &str, colour, shape, rounds: fn(&crate::racing::Windowed) -> &Rounds| Series {
        name: name.to_owned(),
        colour,
        shape,
        points: races.windows.iter().map(|window| scaled(rounds(window), 1e-3)).collect(),
    };
    Chart {
        title: "Checks per second, by window",
        note: note("One loop, a live port over loopback, the server's side included."),
        x_title: "checks in flight at most",
        y_title: "thousand checks per second",
        columns: WINDOWS.map(grouped).to_vec(),
        series: vec![
            series("library, batch", BLUE, Shape::Line, |window| &window.batch),
            series("library, submit and reap", GREEN, Shape::Line, |window| &window.reap),
            series("yardstick, proof", ORANGE, Shape::Dashed, |window| &window.proof),
            series("yardstick, fresh sockets", GREY, Shape::Dashed, |window| &window.fresh),
        ],
        logarithmic: false,
    }
}

fn by_loops(races: &Races) -> Chart {
    let series = |name: &str, colour, rounds: &[Rounds]| Series {
        name: name.to_owned(),
        colour,
        shape: Shape::Bar,
        points: rounds.iter().map(|rounds| scaled(rounds, 1e-3)).collect(),
    };
    Chart {
        title: "Checks per second, by loops",
        note: note("Window 1,000, a live port over loopback, the server's side and the caller on the same cores."),
        x_title: "loop threads",
        y_title: "thousand checks per second",
        columns: loop_counts().iter().map(usize::to_string).collect(),
        series: vec![
            series("batch", BLUE, &races.batch_by_loops),
            series("submit and reap", GREEN, &races.reap_by_loops),
        ],
        logarithmic: false,
    }
}

fn latency(races: &Races) -> Chart {
    let series = |name: &str, colour, shape, quantiles: &[Rounds; 4]| Series {
        name: name.to_owned(),
        colour,
        shape,
        points: quantiles.iter().map(|rounds| scaled(rounds, 1e-3)).collect(),
    };
    Chart {
        title: "How long one blocking check takes",
        note: note("A live port over loopback, one check at a time. The axis is logarithmic."),
        x_title: "quantile of the checks",
        y_title: "µs",
        columns: QUANTILES.map(|quantile| quantile.replace("p999", "p99.9")).to_vec(),
        series: vec![
            series("library", BLUE, Shape::Line, &races.blocking.ours),
            series("yardstick, inline", ORANGE, Shape::Dashed, &races.blocking.inline),
            series("yardstick, handed to a thread", GREY, Shape::Dashed, &races.blocking.handoff),
        ],
        logarithmic: true,
    }
}

fn memory(holds: &Holds) -> Chart {
    let bar = || Some([HEAP_BAR].into_iter().collect());
    Chart {
        title: "Heap per check in flight",
        note: note("Silent targets. All of the process's heap that was not there before. The axis is logarithmic."),
        x_title: "checks in flight",
        y_title: "bytes",
        columns: counts(holds),
        series: vec![
            Series {
                name: "library, its tables for the first checks included".to_owned(),
                colour: BLUE,
                shape: Shape::Line,
                points: holds.heap.iter().map(|rounds| scaled(rounds, 1.0)).collect(),
            },
            Series {
                name: format!("bar, {HEAP_BAR} bytes"),
                colour: GREY,
                shape: Shape::Mark,
                points: holds.counts.iter().map(|_| bar()).collect(),
            },
        ],
        logarithmic: true,
    }
}

fn cost(holds: &Holds) -> Chart {
    let series = |name: &str, colour, curve: &[Rounds]| Series {
        name: name.to_owned(),
        colour,
        shape: Shape::Line,
        points: curve.iter().map(|rounds| scaled(rounds, 1e-3)).collect(),
    };
    Chart {
        title: "CPU time per check, by checks in flight",
        note: note("The loop thread's time, kernel and the answering side included."),
        x_title: "silent checks in flight",
        y_title: "µs of CPU",
        columns: counts(holds),
        series: vec![
            series("a live check beside them", BLUE, &holds.live),
            series("a silent check, SYN to timeout, at 20,000 per second", ORANGE, &holds.silent),
        ],
        logarithmic: false,
    }
}

fn note(text: &str) -> String {
    format!("{text} Medians; whiskers: least to most.")
}

fn counts(holds: &Holds) -> Vec<String> {
    holds.counts.iter().map(|count| grouped(&count.to_string())).collect()
}

fn scaled(rounds: &Rounds, factor: f64) -> Option<Spread> {
    (!rounds.is_empty()).then(|| rounds.iter().map(|figure| figure * factor).collect())
}

/// 1000000 as 1,000,000.
fn grouped(number: &str) -> String {
    let split = number.len().saturating_sub(3);
    if split == 0 { number.to_owned() } else { format!("{},{}", grouped(&number[..split]), &number[split..]) }
}
