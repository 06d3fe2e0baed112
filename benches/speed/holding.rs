//! What the library holds: memory, idle sockets, deadlines, and what many checks in flight cost.

use crate::Extent;
use crate::course::{Course, LIVE_PORT};
use crate::namespace::most_in_flight;
use crate::racing::Rounds;
use crate::table::{Bar, Row, Spread, microseconds, milliseconds};

/// Pages that are touched for the first time late: stacks, the C library's own buffers.
const SETTLING_KIB: f64 = 64.0;

#[derive(Default)]
pub struct Holds {
    /// How many checks were in flight, for the curves.
    pub counts: Vec<u64>,
    /// Bytes of heap per check in flight.
    pub heap: Vec<Rounds>,
    /// Nanoseconds of the loop's CPU per live check while so many silent ones are in flight.
    pub live: Vec<Rounds>,
    /// Nanoseconds of the loop's CPU per silent check, SYN to timeout.
    pub silent: Vec<Rounds>,
    /// p99 of how long after its deadline a check ends, in nanoseconds.
    late_steady: Rounds,
    late_burst: Rounds,
    /// The same of the least that the kernel takes to end as many.
    late_burst_bare: Rounds,
    /// Heap in use, early and late; and what of the process is resident, the allocator's leavings included.
    /// CPU nanoseconds of the least that a silent check takes, with the most in flight and with few.
    silent_bare: (Rounds, Rounds),
    growth_kib: (f64, f64),
    resident_kib: (f64, f64),
    growth_checks: u64,
    idle: (f64, f64, f64, f64),
}

/// Bytes of heap that a check in flight may take.
pub const HEAP_BAR: f64 = 256.0;

/// What the cost at the most in flight is compared with: the second count, 100.
const REFERENCE: usize = 1;

pub fn run(course: &Course, extent: Extent) -> Result<Holds, String> {
    let most = most_in_flight();
    let mut counts: Vec<u64> = [10, 100, 1_000, 5_000, 10_000].into_iter().filter(|count| *count < most).collect();
    counts.push(most);
    let mut holds = Holds { counts, growth_checks: extent.growth, ..Holds::default() };
    for curve in [&mut holds.heap, &mut holds.live, &mut holds.silent] {
        curve.resize(holds.counts.len(), Rounds::new());
    }
    for round in 1..=extent.rounds {
        eprintln!("held, round {round} of {}", extent.rounds);
        for (index, count) in holds.counts.iter().enumerate() {
            let text = &count.to_string();
            holds.heap[index].push(course.hold(&["heap", text])?.get("bytes_per_check"));
            holds.live[index].push(course.hold(&["live", text, LIVE_PORT])?.get("cpu_ns"));
            // At the bench's rate fewer than these would need a timeout of less than a millisecond.
            if *count >= 100 {
                holds.silent[index].push(course.hold(&["silent", text])?.get("cpu_ns"));
            }
        }
        let most = &most.to_string();
        holds.late_steady.push(course.hold(&["late", most, "steady"])?.get("p99_ns"));
        holds.late_burst_bare.push(course.expiry_yardstick(most)?.get("p99_ns"));
        holds.silent_bare.0.push(course.silent_yardstick(holds.counts[holds.counts.len() - 1])?.get("cpu_ns"));
        holds.silent_bare.1.push(course.silent_yardstick(holds.counts[REFERENCE])?.get("cpu_ns"));
        holds.late_burst.push(course.hold(&["late", most, "burst"])?.get("p99_ns"));
    }
    eprintln!("idle for {} s", extent.idle_seconds);
    let sockets = most.min(10_000).to_string();
    let idle = course.hold(&["idle", &sockets, &extent.idle_seconds.to_string()])?;
    holds.idle = (idle.get("sockets"), idle.get("seconds"), idle.get("switches"), idle.get("cpu_ns"));
    eprintln!("{} checks in one checker", extent.growth);
    let growth = course.hold(&["growth", LIVE_PORT, &extent.growth.to_string()])?;
    holds.growth_kib = (growth.get("early_kib"), growth.get("late_kib"));
    holds.resident_kib = (growth.get("early_resident_kib"), growth.get("late_resident_kib"));
    Ok(holds)
}

impl Holds {
    /// What the kernel's own part of a silent check grows to.
    pub fn silent_floor(&self) -> Spread {
        Spread::ratios(&self.silent_bare.0, &self.silent_bare.1)
    }

    pub fn rows(&self) -> Vec<Row> {
        let last = self.counts.len() - 1;
        let (few, many) = (self.counts[REFERENCE], self.counts[last]);
        let heap = median(&self.heap[last]);
        let (early, late) = self.growth_kib;
        let (sockets, seconds, switches, cpu_ns) = self.idle;
        let lateness = |what: &str, rounds: &Rounds| {
            let spread: Spread = rounds.iter().copied().collect();
            let ms = |ns: f64| ns / 1e6;
            let ours = format!("{:.1} ms ({:.1} to {:.1})", ms(spread.median()), ms(spread.least()), ms(spread.most()));
            Row::plain(format!("lateness, {many} silent {what}, p99, ms"), ours, ms(spread.median()), Bar::AtMost(10.0))
        };
        let cost = |what: &str, curve: &[Rounds]| {
            let what = format!("cost per {what} check, {many} in flight against {few}");
            Row::ratio(what, &curve[last], &curve[REFERENCE], microseconds, Bar::AtMost(1.3))
        };
        vec![
            Row::plain(
                format!("heap per check, {many} in flight, bytes"),
                format!("{heap:.1}"),
                heap,
                Bar::AtMost(HEAP_BAR),
            ),
            Row::plain(
                format!("heap after {} checks less that after {}, KiB", self.growth_checks, self.growth_checks / 100),
                format!("{late} - {early} (resident {} - {})", self.resident_kib.1, self.resident_kib.0),
                late - early,
                Bar::AtMost(SETTLING_KIB),
            ),
            Row::plain(
                format!("idle, {sockets} sockets, {seconds} s: wake-ups + CPU ns"),
                format!("{switches} + {cpu_ns}"),
                switches + cpu_ns,
                Bar::AtMost(0.0),
            ),
            lateness("at a steady rate", &self.late_steady),
            lateness("due at one moment", &self.late_burst).beside(
                &self.late_burst,
                &self.late_burst_bare,
                milliseconds,
            ),
            cost("live", &self.live),
            cost("silent", &self.silent),
        ]
    }
}

fn median(rounds: &Rounds) -> f64 {
    rounds.iter().copied().collect::<Spread>().median()
}
