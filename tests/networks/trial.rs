//! Many checks in one network, on each engine and in each way that there is; and whether a verdict is wrong.

use std::net::IpAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use tcpshaker::{Checker, Config, Request, Status, Verdict};

use crate::support::engine::{choose_raw, makes_segments};
use crate::support::lists::{DESCRIPTORS, tagged, with_timeout};
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

/// What came of the checks of one engine.
pub struct Outcome {
    pub checks: usize,
    /// How many had more than one SYN.
    pub repeated: usize,
    pub elapsed: Duration,
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

    /// Makes the checks on both engines. No verdict is wrong.
    #[track_caller]
    pub fn run(&self) -> Vec<Outcome> {
        set_descriptor_limit(DESCRIPTORS);
        let checker = |raw: bool| {
            let mut config = Config::default();
            config.set_syn_interval(self.syn_interval_ms).unwrap();
            config.set_max_in_flight(self.in_flight).unwrap();
            if raw {
                choose_raw(&mut config).unwrap();
            }
            Checker::new(&config).expect("a checker")
        };
        let engines: &[bool] = if self.only_sockets { &[false] } else { &[false, true] };
        let outcomes: Vec<Outcome> = engines.iter().map(|&raw| self.run_on(&checker(raw))).collect();
        for outcome in &outcomes {
            let first = &outcome.wrong[..outcome.wrong.len().min(5)];
            assert!(first.is_empty(), "{}: {} wrong verdicts: {first:#?}", self.condition, outcome.wrong.len());
            let none = outcome.without_verdict();
            assert!(none * 100 <= outcome.checks * self.none_percent, "{none} checks came to no verdict");
        }
        outcomes
    }

    fn run_on(&self, checker: &Checker) -> Outcome {
        let (counts, wrong) = (Vec::new(), Vec::new());
        let mut outcome = Outcome { checks: 0, repeated: 0, elapsed: Duration::ZERO, counts, wrong };
        let begun = Instant::now();
        let size = checks().div_ceil(self.parts);
        for part in 0..self.parts {
            self.run_part(checker, part * size, size, &mut outcome);
            std::thread::sleep(Duration::from_millis(if self.parts > 1 { 50 } else { 0 }));
        }
        outcome.elapsed = begun.elapsed();
        let engine = if makes_segments(checker) { "raw" } else { "sockets" };
        let Outcome { checks, repeated, elapsed, counts, wrong } = &outcome;
        println!(
            "{}, {engine}: {checks} checks in {elapsed:.1?}, {repeated} had several SYNs, {} wrong: {counts:?}",
            self.condition,
            wrong.len(),
        );
        outcome
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
