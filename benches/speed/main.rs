//! The bench: the library beside the least that any program on this kernel pays for a check (`bare_loop.c`).
//!
//! `cargo bench` measures, prints one table and draws `docs/bench/*.svg`; `cargo bench --bench speed -- --quick` does
//! a short round, whose figures mean little. A missed bar is reported; the exit is a failure only if something could
//! not be run, a verdict was wrong or a handshake was completed.

mod build;
mod course;
mod cpu;
mod figures;
mod holding;
mod namespace;
mod racing;
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
}

const WHOLE: Extent = Extent { rounds: 5, checks: 200_000, growth: 10_000_000, idle_seconds: 10 };
const QUICK: Extent = Extent { rounds: 2, checks: 20_000, growth: 1_000_000, idle_seconds: 2 };

fn main() -> ExitCode {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let result = if namespace::is_inside() { measure(quick) } else { namespace::enter() };
    match result {
        Ok(code) => code,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(quick: bool) -> Result<ExitCode, String> {
    println!("{}\n", namespace::machine());
    namespace::furnish()?;
    let extent = if quick { QUICK } else { WHOLE };
    let programs = build::programs()?;
    let course = Course::new(programs);

    let races = racing::run(&course, extent)?;
    let holds = holding::run(&course, extent)?;
    let user_cpu = cpu::in_user_space(&course, extent)?;

    let mut rows = races.rows();
    rows.push(user_cpu);
    rows.extend(holds.rows());
    rows.push(course.handshakes());
    println!("{}", table::print(&rows));
    println!("\nRatios: median of {} rounds, least to most.", extent.rounds);
    println!("Two yardsticks at once against one: {}.", races.limit_of_two().show());
    println!("The kernel's own part of a silent check, the same comparison: {}.", holds.silent_floor().show());
    println!("Handshakes that the yardstick completed: {}.", course.yardstick_handshakes());

    let drawings = if quick {
        build::directory().join("figures")
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench")
    };
    figures::draw(&races, &holds, &drawings)?;
    println!("Figures: {}", drawings.display());
    Ok(if course.is_half_open() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
