//! A loop whose engine repeats SYNs, sends them in batches and reads answers late. There is no wire, and the time is
//! set by hand: it moves on when the engine is polled.

use std::cell::{RefCell, RefMut};
use std::ffi::c_int;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::{Command, SubmittedCheck, Terms};
use super::handle::LoopHandle;
use super::shared::Shared;
use super::{EventLoop, LoopEngine};
use crate::check::close_mode::CloseMode;
use crate::check::request::Family;
use crate::check::slot::SlotKey;
use crate::check::target::Target;
use crate::check::verdict::{Report, Status, Verdict};
use crate::completion::Sink;
use crate::config::Config;
use crate::engine::socket::Socket;
use crate::engine::{Conclusion, Engine, NoSocket, Start};
use crate::sys::clock;
use crate::sys::memory::OutOfMemory;
use crate::sys::os_error;

mod early_syns;
mod endings;
mod late_rounds;
mod late_turns;
mod names;
mod shortage;

const MS: u64 = 1_000_000;
/// When each test begins: after decades, so that no deadline has passed on the resolver's own clock.
const BEGIN: u64 = 1_000_000_000_000 * MS;

#[derive(Default)]
struct Wire {
    /// The check of each slot.
    checks: Vec<SlotKey>,
    /// SYNs of each slot.
    syns: Vec<u32>,
    /// Slots whose SYN waits for the flush.
    batch: Vec<u32>,
    /// In which millisecond a SYN left, and of which slot.
    sent: Vec<(u64, u32)>,
    /// When a SYN-ACK comes, and for which slot.
    answers: Vec<(u64, u32)>,
    /// Answers that a poll told of.
    ready: Vec<u32>,
    /// Until then a poll finds so much to read that it comes to no end, and reads no answer that counts.
    flooded_until: u64,
    read_until: u64,
    /// It says no more of a poll than it has to: that it has read what came before.
    is_modest: bool,
    wants_poll_at: Option<u64>,
    /// It has no room for a check of this target.
    full: Option<SocketAddr>,
    polls: u32,
    /// The next flush comes so much later.
    held_up_for: u64,
    /// The SYN of this slot cannot be sent, or is answered at once.
    ends_at_once: Option<(u32, Status)>,
    /// A check that is given up had its answer.
    is_up_at_last: bool,
    /// There is no descriptor for any check.
    has_no_descriptor: bool,
}

/// `REPEATS`: as the raw one; otherwise an early SYN is a check of its own, as with sockets.
struct FakeEngine<const REPEATS: bool>(Rc<RefCell<Wire>>);

impl<const REPEATS: bool> FakeEngine<REPEATS> {
    fn wire(&self) -> RefMut<'_, Wire> {
        self.0.borrow_mut()
    }
}

impl Wire {
    fn conclude(&self, slot: u32, target: &SocketAddr, status: Status) -> Conclusion {
        let address = Some(*target);
        let verdict = Verdict { address, ..Verdict::without_segments(status, 0) };
        let syn_retransmits = self.syns[slot as usize] - 1;
        Conclusion { verdict: Verdict { syn_retransmits, ..verdict }, at: clock::now(), closed: false }
    }
}

impl<const REPEATS: bool> Engine for FakeEngine<REPEATS> {
    const REPEATS_SYN: bool = REPEATS;

    fn poller_fd(&self) -> Option<c_int> {
        None
    }

    fn poll(&mut self, wait: Option<Duration>) {
        let mut wire = self.wire();
        wire.polls += 1;
        let began = clock::now();
        if began < wire.flooded_until {
            return clock::by_hand::set(began + MS);
        }
        let until = wait.map_or(u64::MAX, |wait| began + wait.as_nanos() as u64);
        let first = wire.answers.iter().map(|&(at, _)| at.max(began)).min().unwrap_or(u64::MAX);
        let now = until.min(first);
        assert!(now < u64::MAX, "nothing will ever come");
        clock::by_hand::set(now);
        wire.ready = wire.answers.extract_if(.., |&mut (at, _)| at <= now).map(|(_, slot)| slot).collect();
        wire.read_until = if wire.is_modest { began } else { now };
    }

    fn next_event(&mut self) -> Option<(SlotKey, u32)> {
        let mut wire = self.wire();
        let slot = wire.ready.pop()?;
        Some((wire.checks[slot as usize], slot))
    }

    fn acquire(&mut self, target: &SocketAddr, _: CloseMode, _: u32, _: u32) -> Result<u32, NoSocket> {
        match self.wire() {
            wire if wire.has_no_descriptor => {
                Err(NoSocket { status: Status::LocalFault, errno: os_error::OUT_OF_DESCRIPTORS })
            }
            wire if wire.full == Some(*target) => Err(NoSocket::NOT_FOR_THIS_TARGET),
            wire => Ok(wire.checks.len() as u32),
        }
    }

    fn destination(&self, target: &SocketAddr) -> u32 {
        target.port().into()
    }

    fn start(&mut self, slot: u32, check: SlotKey, target: &SocketAddr, _: u64) -> Start {
        let mut wire = self.wire();
        wire.checks.push(check);
        wire.syns.push(1);
        wire.batch.push(slot);
        match wire.ends_at_once {
            Some((of, status)) if of == slot => Start::Concluded(wire.conclude(slot, target, status)),
            _ => Start::InFlight,
        }
    }

    fn look(&mut self, slot: u32, target: &SocketAddr, _: u64) -> Option<Conclusion> {
        Some(self.wire().conclude(slot, target, Status::Up))
    }

    fn last_look(&mut self, slot: u32, target: &SocketAddr, _: u64) -> Conclusion {
        let status = if self.wire().is_up_at_last { Status::Up } else { Status::TimedOut };
        self.wire().conclude(slot, target, status)
    }

    fn repeat_syn(&mut self, slot: u32, _: &SocketAddr) -> bool {
        let mut wire = self.wire();
        wire.syns[slot as usize] += 1;
        wire.batch.push(slot);
        true
    }

    fn flush(&mut self) {
        let mut wire = self.wire();
        clock::by_hand::set(clock::now() + std::mem::take(&mut wire.held_up_for));
        let now = (clock::now() - BEGIN) / MS;
        let batch = std::mem::take(&mut wire.batch);
        wire.sent.extend(batch.into_iter().map(|slot| (now, slot)));
    }

    fn answers_read_until(&self) -> u64 {
        self.wire().read_until
    }

    fn wants_poll_at(&self) -> Option<u64> {
        self.wire().wants_poll_at
    }

    fn has_idle(&self) -> bool {
        false
    }

    fn close_idle(&mut self, _: usize) -> bool {
        false
    }

    fn mark_unneeded(&mut self) {}

    fn close_unneeded(&mut self) -> bool {
        true
    }

    fn shrink(&mut self) {}
}

impl<const REPEATS: bool> LoopEngine for FakeEngine<REPEATS> {
    fn adopt(&mut self, _: Socket, _: SlotKey) -> (u32, Result<(), i32>) {
        unreachable!("its checks begin in the loop")
    }

    fn grow(&mut self) -> Result<(), OutOfMemory> {
        Ok(())
    }
}

type Bench = BenchOf<true>;

struct BenchOf<const REPEATS: bool> {
    event_loop: EventLoop<FakeEngine<REPEATS>>,
    wire: Rc<RefCell<Wire>>,
    shared: Arc<Shared>,
    handle: Arc<LoopHandle>,
    /// What wakes the loop is registered there.
    _poll: mio::Poll,
}

impl<const REPEATS: bool> Drop for BenchOf<REPEATS> {
    fn drop(&mut self) {
        self.shared.resolver.close();
        self.shared.resolver.join();
        clock::by_hand::let_go(); // another test may run on this thread
    }
}

impl<const REPEATS: bool> BenchOf<REPEATS> {
    fn new(config: Config, in_flight: u32) -> BenchOf<REPEATS> {
        clock::by_hand::set(BEGIN);
        let (poll, handle) = LoopHandle::with_poll(in_flight, 1).unwrap();
        let shared = Arc::new(Shared::new(config, vec![handle.clone()]));
        let wire = Rc::new(RefCell::new(Wire { read_until: BEGIN, ..Wire::default() }));
        let event_loop = EventLoop::new(shared.clone(), handle.clone(), FakeEngine(wire.clone()));
        BenchOf { event_loop, wire, shared, handle, _poll: poll }
    }

    fn submit(&self, checks: u64, timeout_ms: u32) {
        self.submit_targets((1..=checks).map(|last| Target::Literal(([127, 0, 0, last as u8], 80).into())), timeout_ms);
    }

    fn submit_targets(&self, targets: impl Iterator<Item = Target>, timeout_ms: u32) {
        let submitted = clock::now();
        let close_mode = CloseMode::HALF_OPEN;
        let terms = Terms { submitted, timeout_ms, close_mode, mark: 0, paced: false, has_token: false, syns: 0 };
        let check = |(id, target)| SubmittedCheck { id, tag: 0, target, family: Family::V4, name_age_ms: 0, terms };
        let sink = Sink::Queue(self.shared.completions.clone());
        self.handle.inbox.give(Command::Batch { sink, checks: (1..).zip(targets).map(check).collect() }).unwrap();
    }

    /// Has the loop go on until so many milliseconds after the beginning.
    fn run_until(&mut self, ms: u64) {
        let until = BEGIN + ms * MS;
        while clock::now() < until {
            assert!(self.event_loop.step(Some(Duration::from_nanos(until - clock::now()))), "the loop ended");
        }
        assert!(self.event_loop.step(Some(Duration::ZERO)), "the loop ended");
    }

    fn reports(&self) -> Vec<Report> {
        let mut reports = Vec::new();
        self.shared.completions.take(usize::MAX, 0, None, |report| reports.push(report));
        reports
    }

    /// In which milliseconds SYNs have left.
    fn sent(&self) -> Vec<u64> {
        self.wire.borrow().sent.iter().map(|&(ms, _)| ms).collect()
    }
}

fn config(syn_interval_ms: u32) -> Config {
    Config { syn_interval_ms, ..Config::default() }
}

#[test]
fn the_only_check_there_may_be_has_its_syn_repeated_in_the_interval() {
    for is_modest in [false, true] {
        let mut bench = Bench::new(config(300), 1);
        bench.wire.borrow_mut().is_modest = is_modest;
        bench.submit(1, 1500);
        bench.run_until(1499);
        assert!(bench.reports().is_empty());
        bench.run_until(1500);
        assert_eq!(bench.sent(), [0, 300, 600, 900]);
        let verdict = bench.reports()[0].verdict;
        assert_eq!((verdict.status, verdict.syn_retransmits, verdict.elapsed_us), (Status::TimedOut, 3, 1_500_000));
        let polls = bench.wire.borrow().polls;
        assert!(polls < 30, "{polls} polls for four SYNs and a deadline");
    }
}

#[test]
fn the_race_of_a_name_leaves_further_syns_to_the_engine() {
    let mut bench = Bench::new(config(300), 8);
    bench.submit_targets([Target::parse(b"localhost:80")].into_iter(), 1500);
    let patience = Instant::now() + Duration::from_secs(60);
    while bench.sent().is_empty() {
        assert!(Instant::now() < patience, "localhost is not found");
        std::thread::sleep(Duration::from_millis(1));
        bench.run_until(0); // a look, and no time passes
    }
    bench.run_until(1500);
    assert_eq!(bench.wire.borrow().sent, [(0, 0), (300, 0), (600, 0), (900, 0)]);
    let verdict = bench.reports()[0].verdict;
    assert_eq!((verdict.status, verdict.syn_retransmits), (Status::TimedOut, 3));
}

#[test]
fn with_no_interval_the_kernels_schedule_is_followed_whatever_the_rate() {
    let mut bench = Bench::new(Config { max_rate: 1, ..config(0) }, 8);
    bench.submit(1, 130_000);
    bench.run_until(2000);
    bench.submit(4, 10_000); // takes the tokens of four seconds
    bench.run_until(130_000);
    let wire = bench.wire.borrow();
    let of_first: Vec<u64> = wire.sent.iter().filter(|(_, slot)| *slot == 0).map(|(ms, _)| *ms).collect();
    assert_eq!(of_first, [0, 1000, 3000, 7000, 15_000, 31_000, 63_000]);
}

#[test]
fn an_answer_ends_the_repeats() {
    let mut bench = Bench::new(config(300), 8);
    bench.submit(1, 2000);
    bench.wire.borrow_mut().answers.push((BEGIN + 310 * MS, 0));
    bench.run_until(2500);
    assert_eq!(bench.sent(), [0, 300]);
    let verdict = bench.reports()[0].verdict;
    assert_eq!((verdict.status, verdict.syn_retransmits, verdict.elapsed_us), (Status::Up, 1, 310_000));
}

#[test]
fn a_check_that_waits_for_the_rate_goes_before_a_repeated_syn() {
    let mut bench = Bench::new(Config { max_rate: 1, ..config(300) }, 8);
    bench.submit(2, 2500);
    bench.run_until(1999);
    assert_eq!(bench.wire.borrow().sent, [(0, 0), (1000, 1)]);
    bench.run_until(2100);
    assert_eq!(bench.wire.borrow().sent.len(), 3, "a token was left for a repeated SYN");
    let polls = bench.wire.borrow().polls;
    assert!(polls < 1000, "{polls} polls for tries in each tenth millisecond");
}

#[test]
fn a_check_whose_loop_was_late_has_the_time_for_the_syns_that_it_missed() {
    for (timeout_ms, ends_after, sent) in
        [(1_000, 2_900, vec![0, 2_000, 2_300, 2_600]), (400, 2_300, vec![0, 2_000]), (300, 2_000, vec![0])]
    {
        let mut bench = Bench::new(config(300), 8);
        bench.submit(1, timeout_ms);
        bench.run_until(10);
        clock::by_hand::set(BEGIN + 2_000 * MS); // nobody has looked meanwhile
        bench.run_until(ends_after - 1);
        assert_eq!(bench.reports().len(), usize::from(ends_after == 2_000), "{timeout_ms}");
        bench.run_until(ends_after);
        assert_eq!(bench.sent(), sent, "{timeout_ms}");
    }
}

#[test]
fn a_check_whose_syns_the_rate_kept_back_ends_in_time() {
    let mut bench = Bench::new(Config { max_rate: 1, ..config(300) }, 8);
    bench.submit(1, 900);
    bench.run_until(900);
    assert_eq!(bench.sent(), [0]);
    assert_eq!(bench.reports()[0].verdict.status, Status::TimedOut);
}

#[test]
fn no_deadline_is_acted_on_before_the_answers_that_came_in_time_are_read() {
    let mut bench = Bench::new(config(0), 8);
    bench.submit(2, 200);
    bench.run_until(50);
    {
        let mut wire = bench.wire.borrow_mut();
        wire.answers.push((BEGIN + 100 * MS, 0));
        wire.flooded_until = BEGIN + 400 * MS;
    }
    bench.run_until(390);
    assert!(bench.reports().is_empty());
    assert_eq!(bench.event_loop.rest(), Some(clock::now()), "whoever drives it has to come back at once");
    bench.run_until(401);
    let mut reports = bench.reports();
    reports.sort_by_key(|report| report.id);
    let statuses: Vec<_> = reports.iter().map(|report| report.verdict.status).collect();
    assert_eq!(statuses, [Status::Up, Status::TimedOut]);
}

#[test]
fn a_check_has_its_turn_however_many_wait_before_it_for_the_end_of_one_of_their_target() {
    let mut bench = Bench::new(config(0), 8);
    let full = ([127, 0, 0, 9], 80).into();
    bench.wire.borrow_mut().full = Some(full);
    bench.submit_targets((0..1_000).map(|_| Target::Literal(full)), 5_000);
    bench.run_until(10);
    for after in [100, 200] {
        bench.run_until(after);
        bench.submit(1, 1_000);
        bench.run_until(after + 50);
    }
    let sent = bench.sent();
    assert!(sent.len() == 2 && sent[0] < 150 && sent[1] < 250, "{sent:?}");
    let polls = bench.wire.borrow().polls;
    assert!(polls < 100, "{polls} polls");
}
