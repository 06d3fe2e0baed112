//! The bench: the library beside the least that any program on this kernel pays for a check (`bare_loop.c`).
//!
//! `cargo bench` measures, prints one table and draws `docs/bench/*.svg`; `cargo bench --bench speed -- --quick` does
//! a short round, whose figures mean little; with `--raw` only the raw engine is measured, with `--socket` only the
//! other one. A missed bar is reported; the exit is a failure only if something could
//! not be run, a verdict was wrong or a handshake was completed.

mod adversity;
mod build;
mod companion;
mod course;
mod cpu;
mod crowd;
mod figures;
mod holding;
mod namespace;
mod neighbours;
mod racing;
mod raw;
mod svg;
mod table;

use std::path::Path;
use std::process::ExitCode;

use course::Course;

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
}

const WHOLE: Extent = Extent { rounds: 5, checks: 200_000, growth: 10_000_000, idle_seconds: 10, crowd: 1_000_000 };
const QUICK: Extent = Extent { rounds: 2, checks: 20_000, growth: 1_000_000, idle_seconds: 2, crowd: 100_000 };

fn main() -> ExitCode {
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
    let course = Course::new(build::programs()?);
    let drawings = if quick {
        build::directory().join("figures")
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench")
    };

    let mut rows = Vec::new();
    let mut notes = vec![format!("Ratios: median of {} rounds, least to most.", extent.rounds)];
    if !asked("--raw") {
        let races = racing::run(&course, extent)?;
        let holds = holding::run(&course, extent)?;
        rows.extend(races.rows());
        rows.push(cpu::in_user_space(&course, extent)?);
        rows.extend(holds.rows());
        notes.push(format!("Two yardsticks at once against one: {}.", races.limit_of_two().show()));
        let floor = holds.silent_floor().show();
        notes.push(format!("The kernel's own part of a silent check, the same comparison: {floor}."));
        figures::draw(&races, &holds, &drawings)?;
    }
    if !asked("--socket") {
        let races = raw::run(&course, extent)?;
        let crowd = crowd::run(&course, extent)?;
        rows.extend(races.rows());
        rows.extend(crowd.rows());
        rows.extend(adversity::rows(&course, extent)?);
        rows.extend(neighbours::rows(&course, extent)?);
        notes.push(format!("Two raw yardsticks at once against one: {}.", races.limit_of_two().show()));
        figures::draw_crowd(&crowd, &drawings)?;
    }
    rows.push(course.handshakes());
    notes.push(format!("Handshakes that the yardstick completed: {}.", course.yardstick_handshakes()));
    notes.push(format!("Figures: {}", drawings.display()));
    println!("{}\n\n{}", table::print(&rows), notes.join("\n"));
    Ok(if course.is_half_open() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
