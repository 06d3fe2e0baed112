//! Monitors on checkers of each kind, watches that are checked often or on demand, and what is told of them.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use tcpshaker::{Change, Checker, Config, EngineKind, Monitor, MonitorConfig, State, Watch};

use super::descriptor::LONG;
use super::lists::checker;
use super::targets::{V4, at};

pub const HOUR_MS: u32 = 3_600_000;

/// Does the same with a checker of each kind.
pub fn with_every_kind(test: impl Fn(Arc<Checker>)) {
    for engine in [EngineKind::Socket, EngineKind::Raw] {
        for caller_driven in [false, true] {
            test(of_kind(engine, caller_driven, |_| ()));
        }
    }
}

pub fn of_kind(engine: EngineKind, caller_driven: bool, configure: impl FnOnce(&mut Config)) -> Arc<Checker> {
    Arc::new(checker(|config| {
        config.set_engine(engine).unwrap();
        config.set_caller_driven(caller_driven).unwrap();
        configure(config);
    }))
}

/// Does the same with a checker of each kind, with two of them at the same time: what takes seconds takes them for both.
/// One of the two has the raw engine, whose socket filters are few that way.
pub fn side_by_side(configure: impl Fn(&mut Config), test: impl Fn(Arc<Checker>, &Together) + Sync) {
    for raw_is_driven in [true, false] {
        let together = Together { all: Barrier::new(2) };
        let kinds = [(EngineKind::Socket, !raw_is_driven), (EngineKind::Raw, raw_is_driven)];
        std::thread::scope(|scope| {
            for (engine, caller_driven) in kinds {
                let checker = of_kind(engine, caller_driven, &configure);
                let (test, together) = (&test, &together);
                scope.spawn(move || {
                    // The other would wait for this one for ever.
                    let run = AssertUnwindSafe(|| test(checker, together));
                    if std::panic::catch_unwind(run).is_err() {
                        eprintln!("with {engine:?}, caller-driven: {caller_driven}");
                        std::process::exit(101);
                    }
                });
            }
        });
    }
}

/// Those that run the same test at the same time.
pub struct Together {
    all: Barrier,
}

impl Together {
    /// When all have come here, one of them does this, and then all go on.
    pub fn once(&self, work: impl FnOnce()) {
        if self.all.wait().is_leader() {
            work();
        }
        self.all.wait();
    }
}

pub fn monitor(checker: &Arc<Checker>) -> Monitor {
    monitor_with(checker, |_| ())
}

pub fn monitor_with(checker: &Arc<Checker>, configure: impl FnOnce(&mut MonitorConfig)) -> Monitor {
    let mut config = MonitorConfig::default();
    configure(&mut config);
    Monitor::new(checker.clone(), &config).expect("a monitor")
}

/// A watch that is checked fifty times a second.
pub fn quick(port: u16) -> Watch {
    Watch { interval_ms: 20, ..Watch::new(at(V4, port)) }
}

/// A watch that is checked when somebody asks for it, and changes with each verdict.
pub fn on_demand(port: u16) -> Watch {
    Watch { interval_ms: HOUR_MS, fall: 1, rise: 1, ..Watch::new(at(V4, port)) }
}

pub fn add(monitor: &Monitor, watch: Watch) -> u64 {
    monitor.add(&[watch]).expect("a live monitor")[0]
}

/// The next change, which comes within a minute.
#[track_caller]
pub fn next(monitor: &Monitor) -> Change {
    let mut changes = Vec::new();
    assert_eq!(monitor.reap(&mut changes, 1, Some(LONG)), 1, "no change came");
    changes[0]
}

/// The next change is from one state to another.
#[track_caller]
pub fn assert_next(monitor: &Monitor, from: State, to: State) -> Change {
    let change = next(monitor);
    assert_eq!((change.from, change.to), (from, to), "{change:?}");
    change
}

/// The monitor gets on for a while, and no change comes.
#[track_caller]
pub fn assert_quiet(monitor: &Monitor, time_ms: u64) {
    let mut changes = Vec::new();
    let taken = monitor.reap(&mut changes, 1, Some(Duration::from_millis(time_ms)));
    assert_eq!(taken, 0, "{changes:?}");
}

/// The monitor gets on until `condition` holds, and no change comes meanwhile.
#[track_caller]
pub fn quiet_until(monitor: &Monitor, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert_quiet(monitor, 5);
        assert!(begun.elapsed() < LONG, "waited a minute in vain: {what}");
    }
}
