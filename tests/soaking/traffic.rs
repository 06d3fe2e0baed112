//! Who asks during the soak: checkers of each kind, their callers, their monitors, and checkers that live briefly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tcpshaker::{Change, Checker, Config, EngineKind, Error, Monitor, MonitorConfig, Request, State, Verdict, Watch};

use super::books::{Books, Submitted};
use super::truth::{Fault, Kind, now};
use crate::support::dice::Dice;
use crate::support::driven::drive;
use crate::support::process::until;

/// Checks of one checker that wait for their results, and those of them in flight: all checkers together have fewer
/// segments under way than the kernel queues for one processor (net.core.netdev_max_backlog is 1,000), and drops beyond.
const OUTSTANDING: usize = 2_000;
const IN_FLIGHT: u32 = 200;
/// Watches of each monitor, and how often each is checked.
const WATCHES: usize = 128;
const INTERVAL_MS: u32 = 250;
/// As long as three failures in a row may take.
const DOWN_TIME: Duration = Duration::from_secs(8);

/// A checker that lives as long as the soak, with its monitor.
pub struct Plant {
    pub engine: EngineKind,
    pub is_driven: bool,
    pub checker: Arc<Checker>,
    pub monitor: Monitor,
    watches: Vec<u64>,
    /// When its checks were cancelled last.
    cancelled: Arc<AtomicU64>,
}

fn config(engine: EngineKind, is_driven: bool) -> Config {
    let mut config = Config::default();
    config.set_engine(engine).unwrap();
    config.set_caller_driven(is_driven).unwrap();
    config.set_max_in_flight(IN_FLIGHT).unwrap();
    config
}

impl Plant {
    pub fn new(engine: EngineKind, is_driven: bool) -> Plant {
        let checker = Arc::new(Checker::new(&config(engine, is_driven)).expect("a checker"));
        let monitor = Monitor::new(checker.clone(), &MonitorConfig::default()).expect("a monitor");
        let watch = |number: usize| {
            let kind = Kind::of(number);
            let target = kind.request(number, 1_000, 0);
            Watch {
                timeout_ms: target.timeout_ms,
                interval_ms: INTERVAL_MS,
                jitter_percent: 20,
                first_fall: 3,
                first_rise: 2,
                tag: number,
                ..Watch::new(target.target)
            }
        };
        let watches = monitor.add(&(0..WATCHES).map(watch).collect::<Vec<_>>()).expect("watches");
        Plant { engine, is_driven, checker, monitor, watches, cancelled: Arc::default() }
    }

    pub fn name(&self) -> &'static str {
        match (self.engine, self.is_driven) {
            (EngineKind::Raw, true) => "raw, driven",
            (EngineKind::Raw, false) => "raw",
            (_, true) => "sockets, driven",
            (_, false) => "sockets",
        }
    }

    /// Submits in large and small batches, cancels some, and reaps.
    pub fn submit_and_reap(&self, books: &Books, seed: u64, is_over: &AtomicBool) {
        let mut dice = Dice::new(seed);
        let mut submitted = Submitted::new(books, self.engine);
        let (mut number, mut reports) = (dice.below(1 << 20), Vec::new());
        while !is_over.load(Ordering::Relaxed) {
            if submitted.outstanding < OUTSTANDING / 2 {
                let count = dice.one_of(&[1, 50, 1_000, 1_000]);
                let timeout_ms = dice.one_of(&[250, 1_000, 4_000]);
                let first_id = submitted.submit(&self.checker, number, count, timeout_ms);
                number += count;
                if let (Some(id), true) = (first_id, dice.one_in(200)) {
                    self.cancel(&mut submitted, books, if dice.one_in(4) { 0 } else { id + dice.below(count) as u64 });
                }
            }
            let wait = Duration::from_millis(if submitted.outstanding < OUTSTANDING / 2 { 0 } else { 20 });
            self.checker.reap(&mut reports, OUTSTANDING, Some(wait));
            reports.drain(..).for_each(|report| submitted.enter(&report));
        }
        submitted.reap_all(&self.checker);
    }

    fn cancel(&self, submitted: &mut Submitted<'_>, books: &Books, id: u64) {
        submitted.may_end(id != 0);
        if id == 0 {
            self.cancelled.store(u64::MAX, Ordering::SeqCst);
        }
        books.moments.count(Fault::Cancel);
        self.checker.cancel(id).expect("an open checker");
        if id == 0 {
            self.cancelled.store(now(), Ordering::SeqCst);
        }
    }

    /// Blocking checks, lists, and checks with a callback.
    pub fn call(&self, books: &Arc<Books>, seed: u64, is_over: &AtomicBool) {
        let (mut dice, mut number) = (Dice::new(seed), 0);
        let enter = |(number, since): (usize, u64), verdict: &Verdict| {
            let may_end = self.cancelled.load(Ordering::SeqCst) >= since;
            books.enter(self.engine, (Kind::of(number), since), verdict, may_end);
        };
        while !is_over.load(Ordering::Relaxed) {
            let timeout_ms = dice.one_of(&[250, 1_000, 4_000]);
            let request = |number| Kind::of(number).request(number, timeout_ms, 0);
            match dice.below(3) {
                0 => {
                    for number in number..number + 30 {
                        let since = now();
                        enter((number, since), &self.checker.check(&request(number)));
                    }
                }
                1 => {
                    let (since, requests) = (now(), (number..number + 300).map(request).collect::<Vec<_>>());
                    let verdicts = self.checker.check_many(&requests);
                    assert_eq!(verdicts.len(), 300);
                    verdicts.iter().zip(number..).for_each(|(verdict, number)| enter((number, since), verdict));
                }
                _ => self.call_back(books, (number..number + 50).map(|number| (number, request(number)))),
            }
            number += 300;
        }
    }

    fn call_back(&self, books: &Arc<Books>, requests: impl Iterator<Item = (usize, Request)>) {
        let to_come = Arc::new(AtomicUsize::new(0));
        for (number, request) in requests {
            let (own, cancelled, left, engine) = (books.clone(), self.cancelled.clone(), to_come.clone(), self.engine);
            let since = now();
            to_come.fetch_add(1, Ordering::SeqCst);
            let callback = Box::new(move |report: &tcpshaker::Report| {
                let may_end = cancelled.load(Ordering::SeqCst) >= since;
                own.enter(engine, (Kind::of(number), since), &report.verdict, may_end);
                left.fetch_sub(1, Ordering::SeqCst);
            });
            self.checker.submit_with(request, callback).expect("an open checker");
        }
        until("all callbacks", || {
            drive(&self.checker);
            to_come.load(Ordering::SeqCst) == 0
        });
    }

    /// Reads what the monitor tells, for a few milliseconds.
    pub fn watch(&self, books: &Books) {
        let mut changes = Vec::new();
        self.monitor.reap(&mut changes, 1_000, Some(Duration::from_millis(3)));
        for change in changes {
            books.changes.fetch_add(1, Ordering::Relaxed);
            if !is_explained(books, &change) {
                let (name, kind) = (self.name(), Kind::of(change.tag));
                books.accuse(format!("{name}: the monitor says of {kind:?}: {change:?}"));
            }
        }
    }

    /// Waits until the monitor knows the truth about each target, now that nothing is wrong.
    pub fn watch_until_all_is_true(&self, books: &Books) {
        until(&format!("{}: the monitor knows the truth", self.name()), || {
            self.watch(books);
            self.watches.iter().all(|&id| {
                let info = self.monitor.get(id).expect("a watch");
                let kind = Kind::of(info.tag);
                let is_up = kind.is_live() || kind == Kind::Changing;
                info.state == if is_up { State::Up } else { State::Down }
            })
        });
        let checks = self.watches.iter().map(|&id| u64::from(self.monitor.get(id).expect("a watch").checks));
        books.monitored.fetch_add(checks.sum(), Ordering::Relaxed);
    }
}

/// Whether the new state is true, or a fault of late explains it.
fn is_explained(books: &Books, change: &Change) -> bool {
    let kind = Kind::of(change.tag);
    let since = now().saturating_sub(DOWN_TIME.as_nanos() as u64);
    let was_there = |fault| books.moments.was_there_since(fault, since);
    match (change.to, kind) {
        (_, Kind::Changing) => true,
        (State::Up, _) => kind.is_live(),
        (State::Down, _) if kind.is_live() => {
            was_there(Fault::Loss) || was_there(Fault::Filter) || kind.is_far() && was_there(Fault::LinkDown)
        }
        _ => change.to == State::Down,
    }
}

/// Makes checkers, uses them for a moment and frees them, at whatever they are.
pub fn live_briefly(books: &Books, seed: u64, is_over: &AtomicBool) {
    let (mut dice, mut number) = (Dice::new(seed), 0);
    while !is_over.load(Ordering::Relaxed) {
        let (engine, since) = (dice.one_of(&[EngineKind::Socket, EngineKind::Raw]), now());
        let is_driven = dice.one_in(2);
        let mut config = config(engine, is_driven);
        config.set_threads(1 + if is_driven { 0 } else { dice.below(3) as u32 }).unwrap();
        config.set_max_in_flight(dice.one_of(&[10, 100])).unwrap();
        match Checker::new(&config) {
            Ok(checker) => {
                use_briefly(&checker, engine, books, &mut dice, number);
                books.moments.count(Fault::ShortLived);
            }
            Err(Error::LocalFault) if books.moments.was_there_since(Fault::Descriptors, since) => {}
            Err(error) => books.accuse(format!("no checker ({engine:?}): {error:?}")),
        }
        number += 1_000;
        std::thread::sleep(Duration::from_millis(200 + dice.below(400) as u64));
    }
}

fn use_briefly(checker: &Checker, engine: EngineKind, books: &Books, dice: &mut Dice, number: usize) {
    let mut submitted = Submitted::new(books, engine);
    submitted.submit(checker, number, dice.one_of(&[1, 50, 400]), 1_000);
    match dice.below(4) {
        0 => {
            submitted.may_end(false);
            checker.cancel(0).expect("an open checker");
        }
        1 => {
            submitted.may_end(false);
            checker.shutdown();
        }
        // Freed with all that is under way: no socket is left that could complete a handshake.
        2 if engine == EngineKind::Raw => return,
        _ => {}
    }
    submitted.reap_all(checker);
    books.admitted.fetch_add(checker.stats().completed_handshakes, Ordering::Relaxed);
}
