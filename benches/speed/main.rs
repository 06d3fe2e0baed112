//! The bench: the library beside the least that any program on this kernel pays for a check (`bare_loop.c`).
//!
//! `cargo bench` measures, prints one table and draws `docs/bench/*.svg`; `cargo bench --bench speed -- --quick` does
//! a short round, whose figures mean little; with `--raw` only the raw engine is measured, with `--socket` only the
//! other one, with `--monitors` only monitors. A missed bar is reported; the exit is a failure only if something could
//! not be run, a verdict was wrong or a handshake was completed.

mod adversity;
mod build;
mod companion;
mod course;
mod cpu;
mod crowd;
mod figures;
mod holding;
mod monitors;
mod namespace;
mod neighbours;
mod racing;
mod raw;
mod svg;
mod table;
mod watching;

use std::path::Path;
use std::process::ExitCode;

use course::Course;
use monitors::Watched;
use table::Row;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Extent {
    pub rounds: usize,
    /// Checks of a batch.
    pub checks: u64,
    /// Checks of the run that looks for growth of memory; its first look is after a hundredth.
    pub growth: u64,
    pub idle_seconds: u64,
    /// Silent checks of the raw engine in flight.
    pub crowd: u64,
    /// Watches whose checks are to be even, and cheap.
    pub even: Watched,
    /// Watches whose checks are to be in time.
    pub many: Watched,
}

const WHOLE: Extent = Extent {
    rounds: 5,
    checks: 200_000,
    growth: 10_000_000,
    idle_seconds: 10,
    crowd: 1_000_000,
    even: Watched { watches: 100_000, interval_ms: 2_000, seconds: 60 },
    many: Watched { watches: 1_000_000, interval_ms: 10_000, seconds: 35 },
};
const QUICK: Extent = Extent {
    rounds: 2,
    checks: 20_000,
    growth: 1_000_000,
    idle_seconds: 2,
    crowd: 100_000,
    even: Watched { watches: 10_000, interval_ms: 2_000, seconds: 10 },
    many: Watched { watches: 100_000, interval_ms: 4_000, seconds: 14 },
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == watching::WATCHING) {
        return watching::run(&arguments[1..]);
    }
    let result = if namespace::is_inside() { measure() } else { namespace::enter() };
    match result {
        Ok(code) => code,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<ExitCode, String> {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    println!("{}\n", namespace::machine());
    namespace::furnish()?;
    let quick = asked("--quick");
    let extent = if quick { QUICK } else { WHOLE };
    if asked("--monitors") {
        let (rows, handshakes) = monitors::rows(extent)?;
        println!("{}\n\nHandshakes completed: {handshakes}.", table::print(&rows));
        return Ok(if handshakes == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let course = Course::new(build::programs()?);
    let drawings = if quick {
        build::directory().join("figures")
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench")
    };

    let notes = vec![format!("Ratios: median of {} rounds, least to most.", extent.rounds)];
    let mut findings = Findings { rows: Vec::new(), notes };
    let mut all = Ok(());
    if !asked("--raw") {
        all = findings.add_sockets(&course, extent, &drawings);
    }
    if !asked("--socket") {
        all = all.and(findings.add_raw_segments(&course, extent, &drawings));
    }
    let Findings { mut rows, mut notes } = findings;
    rows.push(course.handshakes());
    notes.push(format!("Handshakes that the yardstick completed: {}.", course.yardstick_handshakes()));
    notes.push(format!("Figures: {}", drawings.display()));
    println!("{}\n\n{}", table::print(&rows), notes.join("\n"));
    all?; // what was measured before stands in the table
    Ok(if course.is_half_open() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was measured so far: it is shown even if something later could not be.
struct Findings {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Findings {
    /// The socket engine's part of the table.
    fn add_sockets(&mut self, course: &Course, extent: Extent, drawings: &Path) -> Result<(), String> {
        let races = racing::run(course, extent)?;
        self.rows.extend(races.rows());
        self.notes.push(format!("Two yardsticks at once against one: {}.", races.limit_of_two().show()));
        self.rows.push(cpu::in_user_space(course, extent)?);
        let holds = holding::run(course, extent)?;
        self.rows.extend(holds.rows());
        let floor = holds.silent_floor().show();
        self.notes.push(format!("The kernel's own part of a silent check, the same comparison: {floor}."));
        figures::draw(&races, &holds, drawings)
    }

    /// The raw engine's part, and monitors, which use it.
    fn add_raw_segments(&mut self, course: &Course, extent: Extent, drawings: &Path) -> Result<(), String> {
        let races = raw::run(course, extent)?;
        self.rows.extend(races.rows());
        self.notes.push(format!("Two raw yardsticks at once against one: {}.", races.limit_of_two().show()));
        let crowd = crowd::run(course, extent)?;
        self.rows.extend(crowd.rows());
        self.rows.extend(adversity::rows(course, extent)?);
        self.rows.extend(neighbours::rows(course, extent)?);
        let (of_monitors, handshakes) = monitors::rows(extent)?;
        self.rows.extend(of_monitors);
        course.note_handshakes(handshakes);
        figures::draw_crowd(&crowd, drawings)
    }
}
