//! Storms: threads that submit, cancel, reap, check, shut down and drop at random. Each accepted check yields exactly
//! one result, and a true one.
//!
//! Every run prints its seed. `STORM_SEED=n` makes the same storms again, as far as the threads' own decisions go; the
//! scheduler makes its own. `STORM_SECONDS=60` is the long run; without it a storm lasts a few seconds.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;
#[path = "c/build.rs"]
mod c;
#[cfg(feature = "deadlock-detection")]
#[path = "storm/deadlocks.rs"]
mod deadlocks;

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::dice::{Dice, seed};
use support::driven;
use support::etc;
use support::firewall::{self, Hook};
use support::process::{open_descriptors, threads, until};
use support::targets::{DEAD_PORT, Listener, V4, at};
use tcpshaker::{Checker, Error, Report, Request, Status, Verdict};

const PORT: u16 = 8080;
const SILENT_PORT: u16 = 8081;
const STORMERS: usize = 4;
const STEPS: usize = 100;
/// Checks that one round may make; each has a line in the round's books.
const TAGS: usize = 20_000;

fn storm_time() -> Duration {
    let seconds = std::env::var("STORM_SECONDS").map_or(5, |seconds| seconds.parse().expect("STORM_SECONDS"));
    Duration::from_secs(seconds)
}

/// The targets of every storm: what each of them must be found to be.
fn set_the_stage() -> Listener {
    firewall::add(Hook::Input, &[&format!("tcp dport {SILENT_PORT} drop")]);
    Listener::on(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Live,
    Dead,
    Silent,
    Malformed,
    Named,
}

const KINDS: [Kind; 5] = [Kind::Live, Kind::Dead, Kind::Silent, Kind::Malformed, Kind::Named];

impl Kind {
    /// What every check of this tag has for a target.
    fn of(tag: usize) -> Kind {
        match tag % 23 {
            0..12 => Kind::Live,
            12..17 => Kind::Dead,
            17..19 => Kind::Silent,
            19..21 => Kind::Malformed,
            _ => Kind::Named,
        }
    }

    fn request(self, tag: usize, dice: &mut Dice) -> Request {
        let ip = IpAddr::V4(Ipv4Addr::from_bits(0x7f01_0000 + tag as u32));
        let request = match self {
            Kind::Live => Request::new(at(ip, PORT)),
            Kind::Dead => Request::new(at(ip, DEAD_PORT)),
            Kind::Silent => Request::new(at(ip, SILENT_PORT)),
            Kind::Malformed => Request::new("nowhere"),
            Kind::Named => Request::new(format!("four.test:{PORT}").as_str()),
        };
        Request { tag, timeout_ms: 1 + dice.below(50) as u32, ..request }
    }

    /// The truth about the target, or the truth about the check; never a falsehood about the target.
    fn admits(self, verdict: &Verdict, ends_early: bool) -> bool {
        match verdict.status {
            Status::Up => matches!(self, Kind::Live | Kind::Named),
            Status::Refused => self == Kind::Dead,
            Status::TimedOut => self == Kind::Silent,
            Status::BadAddress => self == Kind::Malformed,
            // The lookup may take longer than the check has.
            Status::Unresolved => self == Kind::Named && verdict.os_error == libc::EAI_AGAIN,
            Status::Busy | Status::Cancelled => true,
            Status::Closed => ends_early,
            _ => false,
        }
    }
}

/// The account of one round: for each tag what was asked and what came.
struct Books {
    next_tag: AtomicUsize,
    /// Set once a check was accepted by the queue or a callback.
    accepted: Vec<AtomicU8>,
    results: Vec<AtomicU8>,
    /// Results that go to callbacks; the queue's may be lost when the checker is dropped unreaped.
    calls_to_come: AtomicU64,
    blocking: AtomicU64,
    ids: Mutex<Vec<u64>>,
    /// The checker may be shut down at any time.
    ends_early: AtomicBool,
}

impl Books {
    fn new(ends_early: bool) -> Books {
        let column = || (0..TAGS).map(|_| AtomicU8::new(0)).collect();
        Books {
            next_tag: AtomicUsize::new(0),
            accepted: column(),
            results: column(),
            calls_to_come: AtomicU64::new(0),
            blocking: AtomicU64::new(0),
            ids: Mutex::new(Vec::new()),
            ends_early: AtomicBool::new(ends_early),
        }
    }

    /// So many tags in a row that nobody has had; fewer at the end of the round.
    fn tags(&self, count: usize) -> std::ops::Range<usize> {
        let first = self.next_tag.fetch_add(count, Ordering::Relaxed);
        first.min(TAGS)..(first + count).min(TAGS)
    }

    fn accept(&self, tags: std::ops::Range<usize>, first_id: u64) {
        let mut ids = self.ids.lock().unwrap();
        for (id, tag) in (first_id..).zip(tags) {
            assert_eq!(self.accepted[tag].fetch_add(1, Ordering::SeqCst), 0);
            ids.push(id);
        }
    }

    fn enter(&self, report: &Report) {
        assert_ne!(report.id, 0);
        self.judge(report.tag, &report.verdict);
        let before = self.results[report.tag].fetch_add(1, Ordering::SeqCst);
        assert_eq!(before, 0, "a second result: {report:?}");
    }

    fn judge(&self, tag: usize, verdict: &Verdict) {
        let ends_early = self.ends_early.load(Ordering::SeqCst);
        assert!(Kind::of(tag).admits(verdict, ends_early), "{:?} is found {verdict:?}", Kind::of(tag));
    }

    fn count(column: &[AtomicU8]) -> usize {
        column.iter().filter(|cell| cell.load(Ordering::SeqCst) != 0).count()
    }

    /// All that were accepted, blocking ones included.
    fn checks(&self) -> u64 {
        Books::count(&self.accepted) as u64 + self.blocking.load(Ordering::SeqCst)
    }

    /// Each accepted check has its one result, and no other has any.
    fn balance(&self) {
        for (tag, (accepted, results)) in self.accepted.iter().zip(&self.results).enumerate() {
            let (accepted, results) = (accepted.load(Ordering::SeqCst), results.load(Ordering::SeqCst));
            assert_eq!(accepted, results, "tag {tag} ({:?}): accepted, results", Kind::of(tag));
        }
    }
}

/// What one round is like, drawn from the seed.
#[derive(Debug)]
struct Weather {
    loops: u32,
    max_in_flight: u32,
    rate: u32,
    /// Early SYNs that go out in no time, or as by default.
    syn_interval_ms: u32,
    /// One of the threads shuts the checker down, about here in its own course.
    shutdown_at: Option<usize>,
    /// The round ends by dropping the checker with whatever it still has to do.
    ends_by_drop: bool,
}

impl Weather {
    fn draw(dice: &mut Dice) -> Weather {
        Weather {
            loops: 1 + dice.below(3) as u32,
            max_in_flight: [1, 3, 50, 2_000][dice.below(4)].max(3),
            rate: [0, 0, 0, 5_000][dice.below(4)],
            syn_interval_ms: [5, 300][dice.below(2)],
            shutdown_at: dice.one_in(3).then(|| dice.below(STEPS)),
            ends_by_drop: dice.one_in(3),
        }
    }

    fn checker(&self) -> Checker {
        let mut config = driven::config();
        config.set_threads(self.loops).unwrap();
        config.set_max_in_flight(self.max_in_flight).unwrap();
        config.set_max_rate(self.rate).unwrap();
        config.set_syn_interval(self.syn_interval_ms).unwrap();
        Checker::new(&config).expect("a checker")
    }
}

/// One thread's course through a round.
fn storm(checker: &Arc<Checker>, books: &Arc<Books>, dice: &mut Dice, shutdown_at: Option<usize>) {
    for step in 0..STEPS {
        if shutdown_at == Some(step) {
            match dice.one_in(2) {
                true => checker.shutdown(),
                false => shut_down_from_a_callback(checker, books, dice),
            }
        }
        match dice.below(20) {
            0..5 => submit_batch(checker, books, dice),
            5..9 => submit_call(checker, books, dice, 2),
            9..12 => check_blocking(checker, books, dice),
            12 => check_list(checker, books, dice),
            13..15 => cancel_one(checker, books, dice),
            15 if dice.one_in(10) => {
                let _ = checker.cancel(0); // it may have been shut down
            }
            15 => std::thread::sleep(Duration::from_micros(dice.below(3_000) as u64)),
            16 => assert!(checker.stats().in_flight <= 2_000),
            _ => reap_some(checker, books, dice),
        }
    }
}

fn submit_batch(checker: &Checker, books: &Books, dice: &mut Dice) {
    let size = [1, 2, 17, 100][dice.below(4)];
    let tags = books.tags(size);
    let requests = tags.clone().map(|tag| Kind::of(tag).request(tag, dice)).collect();
    match checker.submit(requests) {
        Ok(first_id) => books.accept(tags, first_id),
        Err(status) => assert_eq!((status, books.ends_early.load(Ordering::SeqCst)), (Error::Closed, true)),
    }
}

/// A check with a callback, which makes `depth` more at most, one after the other.
fn submit_call(checker: &Arc<Checker>, books: &Arc<Books>, dice: &mut Dice, depth: usize) {
    let tags = books.tags(1);
    let Some(tag) = tags.clone().next() else { return };
    let request = Kind::of(tag).request(tag, dice);
    // Now and then the callback holds the last handle.
    let (own, weak, kept) = (books.clone(), Arc::downgrade(checker), dice.one_in(4).then(|| checker.clone()));
    let mut dice = Dice::new(dice.next());
    books.calls_to_come.fetch_add(1, Ordering::SeqCst);
    let callback = move |report: &Report| {
        own.enter(report);
        if let Some(checker) = weak.upgrade() {
            match dice.below(8) {
                0 | 1 if depth > 0 => submit_call(&checker, &own, &mut dice, depth - 1),
                2 => submit_batch(&checker, &own, &mut dice),
                3 => cancel_one(&checker, &own, &mut dice),
                4 => assert_eq!(checker.check(&Request::new(at(V4, PORT))).status, Status::Deadlock),
                5 => reap_some(&checker, &own, &mut dice),
                _ => {}
            }
        }
        drop(kept);
        own.calls_to_come.fetch_sub(1, Ordering::SeqCst);
    };
    match checker.submit_with(request, Box::new(callback)) {
        Ok(id) => books.accept(tags, id),
        Err(status) => {
            assert_eq!((status, books.ends_early.load(Ordering::SeqCst)), (Error::Closed, true));
            books.calls_to_come.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn shut_down_from_a_callback(checker: &Arc<Checker>, books: &Arc<Books>, dice: &mut Dice) {
    let tags = books.tags(1);
    let Some(tag) = tags.clone().next() else { return checker.shutdown() };
    let (own, weak) = (books.clone(), Arc::downgrade(checker));
    books.calls_to_come.fetch_add(1, Ordering::SeqCst);
    let callback = move |report: &Report| {
        own.enter(report);
        if let Some(checker) = weak.upgrade() {
            checker.shutdown();
        }
        own.calls_to_come.fetch_sub(1, Ordering::SeqCst);
    };
    let id = checker.submit_with(Kind::of(tag).request(tag, dice), Box::new(callback)).expect("still open");
    books.accept(tags, id);
}

fn check_blocking(checker: &Checker, books: &Books, dice: &mut Dice) {
    let tag = dice.below(TAGS);
    let verdict = checker.check(&Kind::of(tag).request(tag, dice));
    books.judge(tag, &verdict);
    books.blocking.fetch_add(1, Ordering::Relaxed);
}

fn check_list(checker: &Checker, books: &Books, dice: &mut Dice) {
    let tags: Vec<usize> = (0..dice.below(60)).map(|_| dice.below(TAGS)).collect();
    let requests: Vec<Request> = tags.iter().map(|&tag| Kind::of(tag).request(tag, dice)).collect();
    let verdicts = checker.check_many(&requests);
    assert_eq!(verdicts.len(), requests.len());
    for (tag, verdict) in tags.iter().zip(&verdicts) {
        books.judge(*tag, verdict);
        assert_ne!(verdict.status, Status::Busy, "a list waits its turn, and so does {:?}", Kind::of(*tag));
    }
    books.blocking.fetch_add(tags.len() as u64, Ordering::Relaxed);
}

/// A check that may be anywhere, over long ago, or never was.
fn cancel_one(checker: &Checker, books: &Books, dice: &mut Dice) {
    let id = {
        let ids = books.ids.lock().unwrap();
        match dice.below(4) {
            0 => u64::MAX - dice.next(),
            1 if !ids.is_empty() => ids[dice.below(ids.len())],
            _ => ids.last().copied().unwrap_or(1 << 40),
        }
    };
    let status = checker.cancel(id);
    assert!(status.is_ok() || status == Err(Error::Closed), "{status:?}");
}

fn reap_some(checker: &Checker, books: &Books, dice: &mut Dice) {
    let mut reports = Vec::new();
    let capacity = [0, 1, 10, 1_000][dice.below(4)];
    let wait = Duration::from_millis([0, 0, 1, 5][dice.below(4)]);
    let taken = checker.reap(&mut reports, capacity, Some(wait));
    assert_eq!(taken, reports.len());
    assert!(taken <= capacity);
    reports.iter().for_each(|report| books.enter(report));
}

/// Returns how many checks were made.
fn round(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let weather = Weather::draw(&mut dice);
    let books = Arc::new(Books::new(weather.shutdown_at.is_some()));
    let checker = Arc::new(weather.checker());
    std::thread::scope(|scope| {
        for stormer in 0..STORMERS {
            let (checker, books, mut dice) = (checker.clone(), books.clone(), Dice::new(dice.next()));
            let shutdown_at = weather.shutdown_at.filter(|_| stormer == 0);
            scope.spawn(move || storm(&checker, &books, &mut dice, shutdown_at));
        }
    });
    let calm = || books.calls_to_come.load(Ordering::SeqCst) == 0;
    if weather.ends_by_drop {
        books.ends_early.store(true, Ordering::SeqCst);
        if driven::is_driven() {
            checker.shutdown(); // nobody but this thread would ever run callbacks that hold the checker
        }
        drop(checker);
        until(&format!("all callbacks of round {seed}, {weather:?}"), calm);
        let (accepted, results) = (Books::count(&books.accepted), Books::count(&books.results));
        assert!(results <= accepted, "{results} results of {accepted} checks");
        return books.checks();
    }
    let begun = Instant::now();
    let mut reports = Vec::new();
    loop {
        // After a shutdown the last reap waits for whatever is still to come.
        let wait = if weather.shutdown_at.is_some() { None } else { Some(Duration::from_millis(5)) };
        let taken = checker.reap(&mut reports, 1_000, wait);
        reports.drain(..).for_each(|report| books.enter(&report));
        // A result is counted a moment before it is there to be reaped.
        let all_came = || is_settled(&checker) && Books::count(&books.results) >= Books::count(&books.accepted);
        if taken == 0 && (weather.shutdown_at.is_some() || all_came()) && calm() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "round {seed} never settles: {:?}", checker.stats());
    }
    while checker.reap(&mut reports, 1_000, Some(Duration::ZERO)) > 0 {}
    reports.drain(..).for_each(|report| books.enter(&report));
    books.balance();
    if weather.shutdown_at.is_none() {
        let stats = checker.stats();
        assert_eq!(stats.submitted, books.checks(), "round {seed}");
        assert_eq!((stats.in_flight, stats.queued), (0, 0), "round {seed}");
    }
    books.checks()
}

/// Every accepted check has its result, by the checker's own count.
fn is_settled(checker: &Checker) -> bool {
    let stats = checker.stats();
    let results = [stats.up, stats.timed_out, stats.refused, stats.bad_address, stats.unresolved, stats.cancelled];
    assert_eq!((stats.internal, stats.local_fault, stats.unreachable, stats.invalid), (0, 0, 0, 0), "{stats:?}");
    results.iter().sum::<u64>() + stats.busy + stats.closed == stats.submitted
}

#[test]
fn of_threads_that_do_everything_at_random_loses_and_doubles_no_result_and_leaves_nothing_behind() {
    namespaced!("nft");
    etc::replace();
    let _listener = set_the_stage();
    #[cfg(feature = "deadlock-detection")]
    deadlocks::watch();
    let threads_before = threads();
    round(1); // what is made once per process is made now
    // A checker whose last handle a callback held ends a little later.
    until("the first round's threads are gone", || threads() == threads_before);
    let descriptors = open_descriptors();
    let (seed, begun) = (seed("STORM_SEED"), Instant::now());
    let (mut rounds, mut checks) = (0, 0);
    while begun.elapsed() < storm_time() {
        println!("round {rounds}");
        checks += round(seed.wrapping_add(rounds));
        rounds += 1;
    }
    println!("{rounds} rounds, {checks} checks");
    #[cfg(feature = "deadlock-detection")]
    deadlocks::assert_watched();
    until("the threads are gone", || threads() == threads_before);
    until("the descriptors are closed", || open_descriptors() == descriptors);
}

#[test]
fn dice_of_the_same_seed_fall_the_same_way_and_make_every_kind_of_check() {
    let throw = |seed| {
        let mut dice = Dice::new(seed);
        (0..100).map(|_| dice.next()).collect::<Vec<_>>()
    };
    assert_eq!(throw(7), throw(7));
    assert_ne!(throw(7), throw(8));
    assert!(KINDS.iter().all(|kind| (0..23).any(|tag| Kind::of(tag) == *kind)));
}

mod in_c {
    use super::*;

    /// Runs tests/c/storm.c, by itself or under another program, and reads its last line.
    fn blow(under: &[&str], rounds: u32) {
        let _listener = set_the_stage();
        let program = c::build("tests/c/storm.c", &[]).expect("needs no package");
        let words: Vec<&str> = under.iter().copied().chain([program.to_str().expect("a path")]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args([seed("STORM_SEED").to_string(), rounds.to_string()]);
        let output = command.args([PORT, DEAD_PORT, SILENT_PORT].map(|port| port.to_string())).output();
        let output = output.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let _ = std::fs::remove_file(&program);
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("{said}{errors}");
        assert!(output.status.success(), "{words:?} ended with {}", output.status);
        let last = said.lines().last().unwrap_or_default();
        assert!(
            last.starts_with(&format!("{rounds} rounds: ")) && last.ends_with(", none lost, none doubled"),
            "{last}"
        );
    }

    #[test]
    fn loses_and_doubles_no_result() {
        namespaced!("nft");
        let seconds = storm_time().as_secs() as u32;
        blow(&[], 2 * seconds);
    }

    #[test]
    #[cfg_attr(feature = "deadlock-detection", ignore = "the detector itself leaves something behind for each thread")]
    fn makes_no_memory_error_and_leaks_nothing_under_valgrind() {
        namespaced!("nft", "valgrind");
        let seconds = storm_time().as_secs() as u32;
        let memcheck = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--fair-sched=yes"];
        blow(&[&memcheck[..], &["--errors-for-leak-kinds=definite,indirect,possible"]].concat(), 1 + seconds / 2);
    }
}
