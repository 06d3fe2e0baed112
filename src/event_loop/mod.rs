//! The thread that owns every check in flight, its sockets and deadlines. Nobody else touches them.
//!
//! One round: read the answers and reset their sockets, report, take commands, judge deadlines, start what is queued.
//! An answered socket that is left alone for 200 ms lets the ACK out, so answers come first in every round, and
//! whatever else could take long is cut into slices.

mod attempt;
pub(crate) mod handle;
mod idle;
mod intake;
mod race;
pub(crate) mod shared;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Events, Poll, Token};
use slab::Slab;

use crate::check::close_mode::CloseMode;
use crate::check::verdict::{Report, Status, Verdict};
use crate::completion::Sink;
use crate::engine::socket::Socket;
use crate::event_loop::handle::{Command, LoopHandle};
use crate::event_loop::shared::Shared;
use crate::stats::Tally;
use crate::sys::clock;
use crate::sys::thread;
use crate::timer_wheel::{Timer, TimerWheel};

use idle::Idle;
use intake::Arrival;
use race::Race;

/// How long the loop does one thing before it looks at the poller again, in nanoseconds.
const SLICE: u64 = 2_000_000;
/// Answers taken from the poller at once; each costs a few microseconds.
const EVENTS: usize = 512;
/// Reports handed out under one lock.
const REPORTS: usize = 1024;
/// The waker's token; a socket's is the number of its slot.
pub(crate) const WAKE: Token = Token(usize::MAX);
/// An owner of a deadline is a check's slot, or with this bit a race's, or the sweep of idle sockets.
const RACE: u32 = 1 << 31;
const SWEEP: u32 = u32::MAX;

/// One check of one address.
struct Check {
    owner: Owner,
    target: SocketAddr,
    submitted: u64,
    timeout_ms: u32,
    /// Tells this tenant of the slot from earlier ones.
    generation: u32,
    close_mode: CloseMode,
    stage: Stage,
    timer: Option<Timer>,
}

impl Check {
    /// Whether it was to have its verdict by now. A paced check's time has not begun before its start.
    fn is_overdue(&self, now: u64) -> bool {
        matches!(self.stage, Stage::Queued) && now >= self.submitted + u64::from(self.timeout_ms) * 1_000_000
    }

    fn is_in_flight(&self) -> bool {
        matches!(self.stage, Stage::InFlight { .. })
    }

    /// From its submission, or if it is paced from its start.
    fn elapsed_us(&self, now: u64) -> u64 {
        match self.stage {
            Stage::Paced => 0,
            Stage::Queued | Stage::InFlight { .. } => now.saturating_sub(self.submitted) / 1000,
        }
    }
}

#[derive(Clone, Copy)]
enum Stage {
    Queued,
    /// Queued, and its time runs from its own start.
    Paced,
    InFlight {
        seat: u32,
        syn_at: u64,
    },
}

/// Who gets a check's verdict.
#[derive(Clone, Copy)]
enum Owner {
    Asker(ReplyTo),
    Race { race: u32, first: bool },
}

/// The number of a slot, in a form that leaves room for "none": a check in flight is to cost little memory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(NonZeroU32);

impl Key {
    fn of(slot: usize) -> Key {
        Key(NonZeroU32::MIN.saturating_add(slot as u32))
    }

    fn slot(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Where a report goes, and what it is called there.
#[derive(Clone, Copy)]
struct ReplyTo {
    destination: Key,
    id: u64,
    tag: usize,
}

/// Ids are given one after the other, so that a multiplication spreads them (Knuth's, by the golden ratio).
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Destination {
    sink: Option<Sink>,
    /// Reports still to come.
    expected: usize,
}

impl Drop for Destination {
    fn drop(&mut self) {
        // Only a loop that died of a defect leaves reports unsent. Whoever waits for them must not wait for ever.
        if self.expected > 0
            && let Some(Sink::Queue(queue)) = &self.sink
        {
            queue.close();
        }
    }
}

/// A socket of the loop's, and the check it serves.
struct Seat {
    socket: Socket,
    check: Option<Key>,
    /// The poller knows it.
    watched: bool,
    /// Came with a check that began on a caller's thread, and goes back to the handle after it.
    lent: bool,
}

pub(crate) struct EventLoop {
    shared: Arc<Shared>,
    handle: Arc<LoopHandle>,
    poll: Poll,
    checks: Slab<Check>,
    races: Slab<Race>,
    /// Races whose names are being looked up.
    resolving: usize,
    destinations: Slab<Destination>,
    seats: Slab<Seat>,
    /// Seats whose sockets are reset and unused, IPv4 and IPv6.
    idle: [Idle; 2],
    /// When those that nobody needed are closed.
    sweep: Option<Timer>,
    /// Checks that wait for their turn: slot and generation.
    queue: VecDeque<(u32, u32)>,
    /// Batches that are being taken in.
    arrivals: VecDeque<Arrival>,
    /// Checks in them.
    arriving: usize,
    /// Ids cancelled, perhaps while still among the arrivals.
    cancelled_early: HashSet<u64>,
    /// Where the submitted checks are: slots of checks, or with RACE of races.
    by_id: HashMap<u64, u32, BuildHasherDefault<IdHasher>>,
    /// What other threads want, as far as it is not applied yet.
    commands: VecDeque<Command>,
    deadlines: TimerWheel,
    /// Verdicts whose sockets are reset already, and where they go.
    finished: VecDeque<(Key, Report)>,
    tally: Tally,
    generation: u32,
    /// No place or no descriptor was left for the check at the head of the queue.
    starved: bool,
    /// When the rate lets the next check start.
    held_back_until: Option<u64>,
    /// When this round began, on the library's clock.
    now: u64,
    /// When the clock was last read.
    latest: u64,
    /// And that was just now, at the end of a check.
    just_concluded: bool,
}

impl EventLoop {
    pub fn new(shared: Arc<Shared>, handle: Arc<LoopHandle>, poll: Poll) -> EventLoop {
        EventLoop {
            shared,
            handle,
            poll,
            checks: Slab::new(),
            races: Slab::new(),
            resolving: 0,
            destinations: Slab::new(),
            seats: Slab::new(),
            idle: Default::default(),
            sweep: None,
            queue: VecDeque::new(),
            arrivals: VecDeque::new(),
            arriving: 0,
            cancelled_early: HashSet::new(),
            by_id: HashMap::default(),
            commands: VecDeque::new(),
            deadlines: TimerWheel::new(),
            finished: VecDeque::new(),
            tally: Tally::default(),
            generation: 0,
            starved: false,
            held_back_until: None,
            now: 0,
            latest: 0,
            just_concluded: false,
        }
    }

    /// Runs until the handle is closed. A panic is a defect of the library: it ends every check, not the process.
    pub fn run(mut self) {
        thread::belong_to(self.shared.identity());
        let status = catch_unwind(AssertUnwindSafe(|| self.rounds())).unwrap_or(Status::Internal);
        self.handle.close(status);
        let _ = catch_unwind(AssertUnwindSafe(|| self.end_everything(status)));
        self.end_shortage();
        if self.shared.loops.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.completions.close();
        }
    }

    fn rounds(&mut self) -> Status {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            self.sleep(&mut events);
            self.now = clock::now();
            self.latest = self.now;
            for event in &events {
                if event.token() != WAKE {
                    self.read_answer(event.token().0);
                }
            }
            self.report();
            if let Some(status) = self.take_commands() {
                return status;
            }
            self.take_arrivals();
            self.judge_deadlines();
            self.start_queued();
            self.count_queued();
            self.report();
        }
    }

    /// Waits for answers, commands or the next deadline. While there is anything to do, it only looks.
    fn sleep(&mut self, events: &mut Events) {
        let can_start = !self.queue.is_empty() && !self.starved && self.held_back_until.is_none();
        let left_over = !self.finished.is_empty() || !self.arrivals.is_empty() || !self.commands.is_empty();
        let busy = can_start || left_over;
        let wait = if busy || !self.handle.fall_asleep() {
            Some(Duration::ZERO)
        } else {
            let deadline = self.deadlines.next().map(|tick| tick * 1_000_000);
            let next = deadline.into_iter().chain(self.held_back_until).min();
            next.map(|next| Duration::from_nanos(next.saturating_sub(clock::now())))
        };
        // Interrupted by a debugger or SIGCONT (every other signal is blocked): there are simply no events.
        if self.poll.poll(events, wait).is_err() {
            events.clear();
        }
        self.handle.awake();
    }

    fn judge_deadlines(&mut self) {
        self.deadlines.advance(self.now / 1_000_000);
        while let Some(owner) = self.deadlines.expired() {
            match owner {
                SWEEP => self.sweep(),
                race if race & RACE != 0 => self.race_due(race & !RACE),
                check => self.check_due(check),
            }
            if self.slice_is_over() {
                break;
            }
        }
    }

    /// Whether this round has gone on for long, as far as its checks have read the clock.
    fn slice_is_over(&self) -> bool {
        self.latest > self.now + SLICE
    }

    /// Sets the deadline of `timeout_ms` after `start`, in the wheel's ticks; never early.
    fn set_deadline(&mut self, start: u64, timeout_ms: u32, owner: u32) -> Timer {
        self.deadlines.set((start + u64::from(timeout_ms) * 1_000_000).div_ceil(1_000_000), owner)
    }

    fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }

    /// A check has its verdict, and holds no socket any more.
    fn settle(&mut self, slot: u32, mut verdict: Verdict, now: u64) {
        let check = self.checks.remove(slot as usize);
        if let Some(timer) = check.timer {
            self.deadlines.clear(timer);
        }
        verdict.elapsed_us = check.elapsed_us(now);
        self.tally.completed_handshakes += u64::from(check.close_mode.was_thwarted(&verdict));
        match check.owner {
            Owner::Asker(reply_to) => self.finish(reply_to, verdict),
            Owner::Race { race, first } => self.lap(race, slot, first, verdict, now),
        }
    }

    fn finish(&mut self, reply_to: ReplyTo, verdict: Verdict) {
        if reply_to.id != 0 {
            self.by_id.remove(&reply_to.id);
        }
        self.tally.count(verdict.status);
        let report = Report { id: reply_to.id, tag: reply_to.tag, verdict };
        self.finished.push_back((reply_to.destination, report));
    }

    /// Hands out verdicts, for a slice of time at most: a callback takes as long as its author likes.
    fn report(&mut self) {
        if self.finished.is_empty() {
            return;
        }
        self.shared.counters.add(&mut self.tally);
        let slice_ends = clock::now() + SLICE;
        while let Some(&(key, _)) = self.finished.front() {
            let run = self.finished.iter().take(REPORTS).take_while(|(destination, _)| *destination == key).count();
            let destination = &mut self.destinations[key.slot()];
            destination.expected -= run;
            let last = destination.expected == 0;
            let mut reports = self.finished.drain(..run).map(|(_, report)| report);
            match &destination.sink {
                Some(Sink::Queue(queue)) => queue.put(reports),
                _ => {
                    if let (Some(Sink::Callback(callback)), Some(report)) = (destination.sink.take(), reports.next()) {
                        // A panic of the host's own callback is not the loop's defect.
                        let _ = catch_unwind(AssertUnwindSafe(|| callback(&report)));
                    }
                }
            }
            if last {
                self.destinations.remove(key.slot());
            }
            if clock::now() > slice_ends {
                break;
            }
        }
    }

    fn count_queued(&self) {
        let in_flight = self.seats.len() - self.idle[0].len() - self.idle[1].len();
        let queued = self.checks.len() - in_flight + self.arriving + self.resolving;
        self.handle.queued.store(queued as u64, Ordering::Relaxed);
    }

    fn end_everything(&mut self, status: Status) {
        // Refused whole since the handle was closed, but commands left before that count as accepted.
        loop {
            self.take_commands();
            if self.commands.is_empty() {
                break;
            }
        }
        self.end_all_checks(status);
        while !self.finished.is_empty() {
            self.report();
        }
        self.count_queued();
    }
}
