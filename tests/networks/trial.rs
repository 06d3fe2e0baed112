//! Many checks in one network, on each engine and in each way that there is, and watches beside; and whether a verdict is
//! wrong, or a change.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tcpshaker::{Change, Checker, Config, Monitor, Request, State, Status, Verdict, Watch};

use crate::support::engine::{choose_raw, makes_segments};
use crate::support::lists::{DESCRIPTORS, tagged, with_timeout};
use crate::support::monitors::monitor_with;
use crate::support::rlimit::set_descriptor_limit;
use crate::support::targets::at;

/// Ample for several lost packets in a row, and for any machine.
pub const PATIENCE_MS: u32 = 45_000;

/// What a target is, and so what may be said of it.
#[derive(Clone, Copy)]
pub struct Truth {
    pub name: &'static str,
    /// Anything that is no verdict may be said besides, but seldom.
    pub may_be: &'static [Status],
    /// The errno that comes with it, where there is only one.
    pub errno: Option<i32>,
}

impl Truth {
    pub const fn new(name: &'static str, may_be: &'static [Status]) -> Truth {
        Truth { name, may_be, errno: None }
    }

    fn is_told_by(&self, verdict: &Verdict) -> bool {
        let is_no_verdict = (verdict.status as i32) < 0;
        let is_true = self.may_be.contains(&verdict.status) && self.errno.is_none_or(|errno| errno == verdict.os_error);
        is_no_verdict || is_true
    }

    fn allows(&self, state: State) -> bool {
        match state {
            State::Up => self.may_be.contains(&Status::Up),
            State::Down => self.may_be.iter().any(|status| *status != Status::Up),
            _ => true,
        }
    }
}

pub const LIVE: Truth = Truth::new("live", &[Status::Up]);
pub const DEAD: Truth = Truth::new("dead", &[Status::Refused]);
pub const SILENT: Truth = Truth::new("silent", &[Status::TimedOut]);

/// A check, and what may come of it.
pub type Case = (Request, Truth);

/// A check of one of these addresses: live on one port, dead and silent on two others.
pub fn any_of(addresses: &[IpAddr], ports: [u16; 3], number: usize) -> Case {
    let ip = addresses[number / 50 % addresses.len()];
    let [live, dead, silent] = ports;
    match number % 50 {
        0 => (with_timeout(400, at(ip, silent)), SILENT),
        odd if odd % 2 == 1 => (with_timeout(PATIENCE_MS, at(ip, live)), LIVE),
        _ => (with_timeout(PATIENCE_MS, at(ip, dead)), DEAD),
    }
}

/// How many checks each condition has on each engine.
pub fn checks() -> usize {
    std::env::var("NETWORK_CHECKS").map_or(2_000, |checks| checks.parse().expect("NETWORK_CHECKS is a number"))
}

/// What came of the checks of one checker.
pub struct Outcome {
    pub checks: usize,
    /// How many had more than one SYN.
    pub repeated: usize,
    pub elapsed: Duration,
    /// How many changes the watches beside had.
    changes: usize,
    /// What the target is, what was said of it, and how often.
    counts: Vec<(&'static str, Status, usize)>,
    wrong: Vec<String>,
}

impl Outcome {
    /// How many verdicts said this of such a target.
    pub fn count(&self, truth: &Truth, status: Status) -> usize {
        let of_these = |one: &&(&str, Status, usize)| (one.0, one.1) == (truth.name, status);
        self.counts.iter().find(of_these).map_or(0, |(.., count)| *count)
    }

    /// How many checks came to no verdict.
    fn without_verdict(&self) -> usize {
        self.counts.iter().filter(|(_, status, _)| (*status as i32) < 0).map(|(.., count)| count).sum()
    }

    fn add(&mut self, truth: &Truth, verdict: &Verdict) {
        self.checks += 1;
        self.repeated += usize::from(verdict.syn_retransmits > 0);
        let place = self.counts.iter().position(|(name, status, _)| (*name, *status) == (truth.name, verdict.status));
        match place {
            Some(place) => self.counts[place].2 += 1,
            None => self.counts.push((truth.name, verdict.status, 1)),
        }
        if !truth.is_told_by(verdict) {
            self.wrong.push(format!("a {} target: {verdict:?}", truth.name));
        }
    }
}

/// Checks in a network. What is said of it is printed.
pub struct Trial<'a> {
    pub condition: &'a str,
    /// So many of a hundred checks may come to no verdict.
    pub none_percent: usize,
    /// The checks are made in so many parts, with a pause between them.
    pub parts: usize,
    /// How often an unanswered SYN is repeated.
    pub syn_interval_ms: u32,
    pub in_flight: u32,
    /// The only engine that has the condition.
    pub only_sockets: bool,
    pub case: &'a (dyn Fn(usize) -> Case + Sync),
}

impl<'a> Trial<'a> {
    pub fn new(condition: &'a str, case: &'a (dyn Fn(usize) -> Case + Sync)) -> Trial<'a> {
        let (syn_interval_ms, in_flight) = (300, 2_000);
        Trial { condition, none_percent: 1, parts: 1, syn_interval_ms, in_flight, only_sockets: false, case }
    }

    /// Makes the checks on both engines, half of each by threads of the checker's and half where callers drive it. No
    /// verdict is wrong, and no change.
    #[track_caller]
    pub fn run(&self) -> Vec<Outcome> {
        set_descriptor_limit(DESCRIPTORS);
        let checker = |raw: bool, caller_driven: bool| {
            let mut config = Config::default();
            config.set_caller_driven(caller_driven).unwrap();
            config.set_syn_interval(self.syn_interval_ms).unwrap();
            config.set_max_in_flight(self.in_flight).unwrap();
            if raw {
                choose_raw(&mut config).unwrap();
            }
            Arc::new(Checker::new(&config).expect("a checker"))
        };
        let engines: &[bool] = if self.only_sockets { &[false] } else { &[false, true] };
        let kinds = engines.iter().flat_map(|&raw| [(raw, false), (raw, true)]);
        let run_on = |(raw, driven)| self.run_on(&checker(raw, driven), if driven { ", caller-driven" } else { "" });
        let outcomes: Vec<Outcome> = kinds.map(run_on).collect();
        for outcome in &outcomes {
            let first = &outcome.wrong[..outcome.wrong.len().min(5)];
            assert!(
                first.is_empty(),
                "{}: {} wrong verdicts or changes: {first:#?}",
                self.condition,
                outcome.wrong.len()
            );
            let none = outcome.without_verdict();
            assert!(none * 100 <= outcome.checks * self.none_percent, "{none} checks came to no verdict");
        }
        outcomes
    }

    fn run_on(&self, checker: &Arc<Checker>, driven: &str) -> Outcome {
        let (counts, wrong) = (Vec::new(), Vec::new());
        let mut outcome = Outcome { checks: 0, repeated: 0, elapsed: Duration::ZERO, changes: 0, counts, wrong };
        let watches = self.watch(checker);
        let begun = Instant::now();
        let parts = self.parts.div_ceil(2);
        let size = checks().div_ceil(2 * parts);
        for part in 0..parts {
            self.run_part(checker, part * size, size, &mut outcome);
            std::thread::sleep(Duration::from_millis(if parts > 1 { 50 } else { 0 }));
        }
        outcome.elapsed = begun.elapsed();
        watches.judge(&mut outcome);
        let engine = if makes_segments(checker) { "raw" } else { "sockets" };
        let Outcome { checks, repeated, elapsed, changes, counts, wrong } = &outcome;
        println!(
            "{}, {engine}{driven}: {checks} checks in {elapsed:.1?}, {repeated} had several SYNs, {changes} changes of \
             {WATCHES} watches, {} wrong: {counts:?}",
            self.condition,
            wrong.len(),
        );
        outcome
    }

    /// Watches of the first targets, each of them checked ten times a second or oftener.
    fn watch(&self, checker: &Arc<Checker>) -> Watches {
        let monitor = monitor_with(checker, |config| config.set_max_spread(0).unwrap());
        let watch = |number: usize| {
            let (Request { target, timeout_ms, .. }, truth) = (self.case)(number);
            let interval_ms = 40 + number as u32;
            // Time for nine SYNs of the kernel's: the others make early ones seldom have room, and some packets are lost.
            let watch = Watch { interval_ms, timeout_ms: timeout_ms.min(20_000), ..Watch::new(target) };
            (monitor.add(&[watch]).expect("a live monitor")[0], truth)
        };
        let truths = (0..WATCHES).map(watch).collect();
        Watches { monitor, truths }
    }

    /// Half of the checks in a list, most of the others submitted, and a few by callers that wait for each.
    fn run_part(&self, checker: &Checker, first: usize, count: usize, outcome: &mut Outcome) {
        const CALLERS: usize = 16;
        let case = |number: usize| (self.case)(number);
        let (listed, called) = (first..first + count / 2, first + count / 2..first + count / 2 + count.div_ceil(20));
        let submitted = called.end..first + count;
        let verdicts = std::thread::scope(|scope| {
            let list = scope.spawn(|| {
                let requests: Vec<Request> = listed.clone().map(|number| case(number).0).collect();
                listed.clone().zip(checker.check_many(&requests)).collect::<Vec<_>>()
            });
            let call = |caller: usize| {
                let numbers = called.clone().skip(caller).step_by(CALLERS);
                move || numbers.map(|number| (number, checker.check(&case(number).0))).collect::<Vec<_>>()
            };
            let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(call(caller))).collect();
            let mut verdicts = submit_all(checker, self.in_flight as usize / 2, submitted, case);
            verdicts.extend(list.join().expect("the list"));
            callers.into_iter().for_each(|caller| verdicts.extend(caller.join().expect("a caller")));
            verdicts
        });
        assert_eq!(verdicts.len(), count);
        verdicts.iter().for_each(|(number, verdict)| outcome.add(&case(*number).1, verdict));
    }
}

/// So many targets are watched while others are checked.
const WATCHES: usize = 60;

/// Targets that are watched, and what is true of them.
struct Watches {
    monitor: Monitor,
    truths: Vec<(u64, Truth)>,
}

impl Watches {
    /// What was told of them, which is the truth; some of them have changed by then, or do soon.
    fn judge(self, outcome: &mut Outcome) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut changes: Vec<Change> = Vec::new();
        while {
            self.monitor.reap(&mut changes, 10_000, Some(Duration::from_millis(1)));
            changes.len() < WATCHES / 2
        } {
            assert!(Instant::now() < deadline, "only {} changes of {WATCHES} watches came", changes.len());
        }
        outcome.changes = changes.len();
        for change in &changes {
            let (_, truth) = self.truths.iter().find(|(id, _)| *id == change.id).expect("a watch of this monitor");
            if !truth.allows(change.to) {
                outcome.wrong.push(format!("a watch of a {} target: {change:?}", truth.name));
            }
        }
    }
}

/// Submits checks, and reaps their results; no more at once than `window`, or some would wait for their turn.
fn submit_all(
    checker: &Checker,
    window: usize,
    mut numbers: Range<usize>,
    case: impl Fn(usize) -> Case,
) -> Vec<(usize, Verdict)> {
    let (mut verdicts, mut reports, mut waiting) = (Vec::new(), Vec::new(), 0);
    loop {
        let requests: Vec<Request> =
            numbers.by_ref().take(window - waiting).map(|number| tagged(number, case(number).0)).collect();
        waiting += requests.len();
        if waiting == 0 {
            return verdicts;
        }
        checker.submit(requests).expect("a live checker");
        waiting -= checker.reap(&mut reports, window, Some(Duration::from_secs(60)));
        assert!(!reports.is_empty(), "{waiting} reports did not come");
        verdicts.extend(reports.drain(..).map(|report| (report.tag, report.verdict)));
    }
}
