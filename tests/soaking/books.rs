//! The books of the soak: what was asked, what came of it, what was wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tcpshaker::{Checker, EngineKind, Report, Status, Verdict};

use super::truth::{Fault, Kind, Moments, explains, now};
use crate::support::descriptor::LONG;

/// Wrong verdicts that are told in full.
const TOLD: usize = 40;

/// What all threads of the soak write to.
#[derive(Default)]
pub struct Books {
    pub moments: Moments,
    /// By kind of target and status.
    verdicts: [[AtomicU64; Status::ALL.len()]; Kind::ALL.len()],
    /// Why this host was at fault.
    errors: Mutex<BTreeMap<i32, u64>>,
    pub wrong: Mutex<Vec<String>>,
    /// Handshakes of which checkers that are gone say that they were completed.
    pub admitted: AtomicU64,
    /// Results without a proof that no ACK left.
    pub unproven: AtomicU64,
    /// Results of a live target whose SYN was sent again.
    pub sent_again: AtomicU64,
    pub monitored: AtomicU64,
    pub changes: AtomicU64,
}

impl Books {
    /// One more result, of a check that began then.
    pub fn enter(&self, engine: EngineKind, (kind, since): (Kind, u64), verdict: &Verdict, may_end: bool) {
        let column = Status::ALL.iter().position(|&status| status == verdict.status).expect("a status");
        self.verdicts[kind as usize][column].fetch_add(1, Ordering::Relaxed);
        if verdict.status == Status::LocalFault {
            *self.errors.lock().unwrap().entry(verdict.os_error).or_default() += 1;
        }
        if verdict.status == Status::Up {
            self.unproven.fetch_add(u64::from(!verdict.half_open), Ordering::Relaxed);
            self.sent_again.fetch_add(u64::from(verdict.syn_retransmits > 0), Ordering::Relaxed);
        }
        if !explains(&self.moments, engine, (kind, since), verdict, may_end) {
            let (faults, age) = (self.moments.seen_from(since), now() - since);
            self.accuse(format!("{engine:?}: {kind:?} is {verdict:?}, {} us ago; {faults}", age / 1000));
        }
    }

    /// Something is wrong.
    pub fn accuse(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < TOLD {
            println!("WRONG: {what}");
        }
        wrong.push(what);
    }

    fn column(&self, kinds: &[Kind], status: Status) -> u64 {
        let column = Status::ALL.iter().position(|&known| known == status).expect("a status");
        kinds.iter().map(|&kind| self.verdicts[kind as usize][column].load(Ordering::Relaxed)).sum()
    }

    /// How many checks had a result.
    pub fn total(&self, kinds: &[Kind]) -> u64 {
        Status::ALL.iter().map(|&status| self.column(kinds, status)).sum()
    }

    /// How many of these were up.
    pub fn up(&self, kinds: &[Kind]) -> u64 {
        self.column(kinds, Status::Up)
    }

    /// The table: checks by kind and verdict, and faults by kind.
    pub fn table(&self) -> String {
        let columns = [
            ("up", Status::Up),
            ("refused", Status::Refused),
            ("timed out", Status::TimedOut),
            ("unreachable", Status::Unreachable),
            ("local fault", Status::LocalFault),
            ("busy", Status::Busy),
            ("cancelled", Status::Cancelled),
        ];
        let line = |name: &str, cells: &[String]| {
            let cells: String = cells.iter().map(|cell| format!("{cell:>13}")).collect();
            format!("{name:<10}{cells}\n")
        };
        let mut heads = vec!["checks".to_owned()];
        heads.extend(columns.map(|(head, _)| head.to_owned()));
        let mut text = line("", &heads);
        let rows = Kind::ALL.map(|kind| (format!("{kind:?}"), vec![kind]));
        for (name, kinds) in rows.into_iter().chain([("all".to_owned(), Kind::ALL.to_vec())]) {
            let cells = columns.map(|(_, status)| self.column(&kinds, status));
            let cells: Vec<String> = std::iter::once(self.total(&kinds)).chain(cells).map(grouped).collect();
            text += &line(&name, &cells);
        }
        text += &format!("local faults by errno: {:?}\n", self.errors.lock().unwrap());
        let faults = Fault::ALL.map(|fault| format!("{fault:?} {}", grouped(self.moments.times(fault))));
        text += &format!("faults: {}\n", faults.join(", "));
        let [monitored, changes] = [&self.monitored, &self.changes].map(|count| grouped(count.load(Ordering::Relaxed)));
        text + &format!("monitors: {monitored} checks, {changes} changes of state\n")
    }
}

/// A number that can be read.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// The checks that one thread has submitted, and whose results it reaps: each has one.
pub struct Submitted<'a> {
    books: &'a Books,
    engine: EngineKind,
    /// The number of the first batch that is still open.
    first: usize,
    open: VecDeque<Batch>,
    pub outstanding: usize,
}

struct Batch {
    since: u64,
    first_id: u64,
    first_number: usize,
    is_answered: Vec<bool>,
    left: usize,
    may_end: bool,
}

/// The low bits of a tag are the place in the batch, the others its number.
const PLACES: usize = 1 << 16;

impl Submitted<'_> {
    pub fn new(books: &Books, engine: EngineKind) -> Submitted<'_> {
        Submitted { books, engine, first: 0, open: VecDeque::new(), outstanding: 0 }
    }

    /// Submits so many checks, the first of them of this number. Returns the id of the first, if they were accepted.
    pub fn submit(&mut self, checker: &Checker, first_number: usize, count: usize, timeout_ms: u32) -> Option<u64> {
        let batch = self.first + self.open.len();
        let request = |place| {
            let number = first_number + place;
            Kind::of(number).request(number, timeout_ms, batch * PLACES + place)
        };
        let (requests, since) = ((0..count).map(request).collect(), now());
        match checker.submit(requests) {
            Ok(first_id) => {
                let is_answered = vec![false; count];
                self.open.push_back(Batch { since, first_id, first_number, is_answered, left: count, may_end: false });
                self.outstanding += count;
                Some(first_id)
            }
            Err(error) => {
                self.books.accuse(format!("{:?}: {count} checks were refused: {error:?}", self.engine));
                None
            }
        }
    }

    /// All that are under way may end before their time, or those of the latest batch.
    pub fn may_end(&mut self, only_latest: bool) {
        let skipped = if only_latest { self.open.len().saturating_sub(1) } else { 0 };
        self.open.iter_mut().skip(skipped).for_each(|batch| batch.may_end = true);
    }

    /// Reaps until each has its result.
    pub fn reap_all(&mut self, checker: &Checker) {
        let mut reports = Vec::new();
        while self.outstanding > 0 {
            if checker.reap(&mut reports, 1_000, Some(LONG)) == 0 {
                return self.books.accuse(format!("{:?}: {} results never came", self.engine, self.outstanding));
            }
            reports.drain(..).for_each(|report| self.enter(&report));
        }
    }

    pub fn enter(&mut self, report: &Report) {
        let (number, place) = (report.tag / PLACES, report.tag % PLACES);
        let batch = number.checked_sub(self.first).and_then(|number| self.open.get_mut(number));
        let Some(batch) = batch.filter(|batch| batch.is_answered.get(place) == Some(&false)) else {
            return self.books.accuse(format!("{:?}: a second result, or nobody's: {report:?}", self.engine));
        };
        if report.id != batch.first_id + place as u64 {
            self.books.accuse(format!("{:?}: the id is not {} + {place}: {report:?}", self.engine, batch.first_id));
        }
        batch.is_answered[place] = true;
        batch.left -= 1;
        self.outstanding -= 1;
        let (kind, since, may_end) = (Kind::of(batch.first_number + place), batch.since, batch.may_end);
        while self.open.front().is_some_and(|batch| batch.left == 0) {
            self.open.pop_front();
            self.first += 1;
        }
        self.books.enter(self.engine, (kind, since), &report.verdict, may_end);
    }
}
