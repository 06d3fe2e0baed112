//! One round of the loop: read the answers and reset their sockets, report, take commands, act on timers that expired,
//! start what is queued.
//!
//! An answered socket that is left alone for 200 ms lets the ACK out, so answers come first in every round, and
//! whatever else could take long is cut into slices.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::cancellation::Cancellation;
use super::checks::Checks;
use super::command::{Command, SubmittedCheck};
use super::handle::LoopHandle;
use super::intake::{Arrived, Intake};
use super::outbox::ReplyTo;
use super::races::Races;
use super::shared::Shared;
use super::take_over::LoopEngine;
use super::timers::TimerOwner;
use crate::check::target::Target;
use crate::check::verdict::{Status, Verdict};
use crate::sys::{clock, thread};
use crate::timer_wheel::Timer;

/// Checks taken in before the loop looks at the poller again.
const INTAKE: usize = 2048;
/// Commands applied before the loop looks at the poller again.
const COMMANDS: usize = 2048;
/// Tests have a loop die of a defect when it takes in a check with this tag.
#[cfg(test)]
pub(crate) const DEADLY_TAG: usize = usize::MAX / 3;

pub(crate) struct EventLoop<E> {
    shared: Arc<Shared>,
    handle: Arc<LoopHandle>,
    intake: Intake,
    pub(super) checks: Checks<E>,
    pub(super) races: Races,
    cancellation: Cancellation,
    /// The last round had no time for early SYNs that may leave.
    early_syns_left: bool,
    /// When sockets and memory that nobody needed are given back.
    sweep: Option<Timer>,
}

impl<E: LoopEngine> EventLoop<E> {
    pub fn new(shared: Arc<Shared>, handle: Arc<LoopHandle>, engine: E) -> EventLoop<E> {
        EventLoop {
            intake: Intake::default(),
            checks: Checks::new(shared.clone(), handle.clone(), engine),
            races: Races::new(shared.clone(), handle.clone()),
            cancellation: Cancellation::default(),
            early_syns_left: false,
            sweep: None,
            shared,
            handle,
        }
    }

    /// Runs until the inbox is closed, and the threads of the resolver are joined.
    pub fn run(mut self) {
        thread::belong_to(self.shared.identity());
        while self.step(None) {}
        if self.is_in_child() {
            return self.leave_to_parent();
        }
        if self.shared.loops.load(Ordering::SeqCst) == 0 {
            // The last loop does it, since the checker's last handle may be dropped on one of the loops.
            self.shared.resolver.join();
        }
    }

    /// One wait, `limit` at most, and one round. False when it was the last: every check has its result. A panic is a
    /// defect of the library: it ends every check, not the process.
    pub fn step(&mut self, limit: Option<Duration>) -> bool {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            self.wait(limit);
            if self.is_in_child() { Some(Status::Forked) } else { self.round() }
        }));
        match ended.unwrap_or(Some(Status::Internal)) {
            None => true,
            Some(status) => {
                self.end(status);
                false
            }
        }
    }

    fn end(&mut self, status: Status) {
        if !self.is_in_child() {
            self.handle.inbox.close(status);
            if status == Status::Internal {
                self.checks.forget_race_events(); // one of them may be what it died of
            }
            let _ = catch_unwind(AssertUnwindSafe(|| while !self.end_everything(status) {}));
        }
        if self.is_in_child() {
            return;
        }
        self.checks.room.shortage.end(&mut self.checks.engine);
        if self.shared.loops.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.close_queues();
            self.shared.resolver.close();
        }
    }

    /// The loop will not go on before somebody comes back to it. Returns when that is to be, if it is, whatever comes
    /// in before; whoever leaves a command meanwhile wakes its poller.
    pub fn rest(&mut self) -> Option<u64> {
        if self.has_work() || !self.handle.inbox.fall_asleep() {
            return Some(clock::now());
        }
        self.next_time()
    }

    /// Whether it takes no more commands, and its checks are to end.
    pub fn is_closing(&self) -> bool {
        self.handle.inbox.is_closed()
    }

    /// A descriptor that is readable while an answer or a command waits.
    pub fn poller_fd(&self) -> Option<std::ffi::c_int> {
        self.checks.engine.poller_fd()
    }

    /// In a child that a callback forked: sockets, poller and locks are the parent's.
    pub fn leave_to_parent(self) {
        std::mem::forget(self);
    }

    /// Whether a callback forked, and this is the child: it must not touch anything.
    pub fn is_in_child(&self) -> bool {
        self.shared.fork_mark.is_child()
    }

    /// What is to be done after a wait. Returns the status of the end, once all commands are applied.
    fn round(&mut self) -> Option<Status> {
        self.checks.clock.begin_round();
        self.read_answers();
        if !self.report() {
            return Some(Status::Forked);
        }
        if let Some(status) = self.take_commands() {
            return Some(status);
        }
        self.cancellation.go_on(&mut self.checks, &mut self.races);
        self.take_checks();
        self.expire_timers();
        self.start_queued();
        self.checks.flush();
        self.expect_sweep();
        self.count_queued();
        (!self.report()).then_some(Status::Forked)
    }

    /// Waits for answers, commands or the next timer. While there is anything to do, it only looks.
    fn wait(&mut self, limit: Option<Duration>) {
        let wait = if self.has_work() || limit == Some(Duration::ZERO) || !self.handle.inbox.fall_asleep() {
            Some(Duration::ZERO)
        } else {
            let until = self.next_time().map(|next| Duration::from_nanos(next.saturating_sub(clock::now())));
            until.into_iter().chain(limit).min()
        };
        self.checks.poll(wait);
        self.handle.inbox.awake();
    }

    /// Whether there is something to do that nobody has to wait for.
    fn has_work(&self) -> bool {
        let goes_on = self.early_syns_left || self.checks.answers_left || self.cancellation.is_under_way();
        goes_on || self.checks.can_start() || !self.checks.outbox.is_empty() || !self.intake.is_empty()
    }

    /// When there will be something to do even if nothing comes in.
    fn next_time(&self) -> Option<u64> {
        let checks = &self.checks;
        let times = [checks.timers.next(), checks.room.gate.opens_at(), checks.early_syns_from()];
        times.into_iter().chain([checks.engine.wants_poll_at()]).flatten().min()
    }

    fn read_answers(&mut self) {
        while self.checks.read_next_answer() {
            self.tell_races();
        }
    }

    /// Tells the races what became of their addresses, before anything else happens to them.
    fn tell_races(&mut self) {
        while let Some(event) = self.checks.next_race_event() {
            self.races.hear_of(&mut self.checks, event);
        }
    }

    /// Hands out verdicts. False in a process that a callback has forked.
    fn report(&mut self) -> bool {
        if self.checks.outbox.is_empty() {
            return true;
        }
        self.shared.counters.add(&mut self.checks.outbox.tally);
        self.checks.outbox.deliver(&self.shared.fork_mark);
        !self.is_in_child()
    }

    /// Applies commands in the order in which they were left. Returns the status that the inbox was closed with, once
    /// all are applied.
    fn take_commands(&mut self) -> Option<Status> {
        let closed = self.intake.collect(&self.handle.inbox);
        for _ in 0..COMMANDS {
            if self.intake.grow().and_then(|()| self.checks.outbox.grow()).is_err() {
                return None; // they wait until there is memory again
            }
            let Some(command) = self.intake.next_command() else { return closed };
            self.apply(command);
        }
        None
    }

    fn apply(&mut self, command: Command) {
        match command {
            Command::Batch { sink, checks } => {
                let sink = self.checks.outbox.expect(sink, checks.len());
                self.intake.add_batch(sink, checks);
            }
            Command::TakeOver { sink, started } => {
                let sink = self.checks.outbox.expect(sink, 1);
                self.checks.take_over(ReplyTo { sink, id: started.id, tag: started.tag }, *started);
            }
            Command::LookupBegan { race, generation } => self.races.lookup_began(&mut self.checks, race, generation),
            Command::Resolved { race, generation, addresses } => {
                self.races.resolved(&mut self.checks, race, generation, addresses)
            }
            Command::Cancel(id) => self.cancel(id),
            Command::CancelAll => self.end_all_checks(Status::Cancelled),
            Command::Sweep => self.checks.used = true,
            Command::CloseIdle => self.checks.room.shortage.close_idle(&mut self.checks.engine),
        }
    }

    /// Takes in what has arrived, as much as may be done before the next look.
    fn take_checks(&mut self) {
        for _ in 0..INTAKE {
            match self.intake.next_check() {
                Some(arrived) => self.accept(arrived),
                None => return,
            }
        }
    }

    fn accept(&mut self, arrived: Arrived) {
        let Arrived { sink, check: SubmittedCheck { id, tag, target, family, name_age_ms, terms }, ended } = arrived;
        let reply_to = ReplyTo { sink, id, tag };
        if let Some(status) = ended.or_else(|| self.shared.config.engine.refusal(terms.close_mode)) {
            return self.checks.finish(reply_to, Verdict::without_segments(status, 0));
        }
        #[cfg(test)]
        if tag == DEADLY_TAG {
            std::panic::resume_unwind(Box::new("a test's defect"));
        }
        match target {
            Target::Literal(target) if family.allows(&target) => self.checks.submit(reply_to, target, terms),
            Target::Name(name) => self.races.submit(&mut self.checks, reply_to, *name, family, name_age_ms, terms),
            Target::Literal(_) | Target::Malformed(_) => {
                self.checks.finish(reply_to, Verdict::without_address(&target))
            }
        }
    }

    /// Cancels a check by its id. Nothing happens if the check is done or there never was one.
    fn cancel(&mut self, id: u64) {
        let cancelled = Verdict::without_segments(Status::Cancelled, 0);
        if let Some(slot) = self.checks.table.find(id) {
            self.checks.end(slot, Status::Cancelled);
        } else if let Some(slot) = self.races.of_id(id) {
            self.races.end(&mut self.checks, slot, cancelled, clock::now());
        } else {
            self.intake.cancel(id);
        }
    }

    /// Ends every check there is, taken in or not.
    fn end_all_checks(&mut self, status: Status) {
        self.intake.end_arrivals(status);
        self.cancellation.begin(&mut self.checks, status);
    }

    /// Ends the checks that were accepted before the inbox was closed. False if there are more of them, for which there
    /// was no memory before.
    fn end_everything(&mut self, status: Status) -> bool {
        let are_all = self.take_commands().is_some();
        self.end_all_checks(status);
        while self.cancellation.is_under_way() || self.intake.has_arrivals() || !self.checks.outbox.is_empty() {
            self.checks.poll(Some(Duration::ZERO));
            self.checks.clock.begin_round();
            self.read_answers();
            self.cancellation.go_on(&mut self.checks, &mut self.races);
            self.tell_races();
            self.take_checks();
            if !self.report() {
                return true;
            }
        }
        self.count_queued();
        are_all
    }

    fn expire_timers(&mut self) {
        self.checks.timers.advance(self.checks.answered_until());
        while let Some(owner) = self.checks.timers.expired() {
            match owner {
                TimerOwner::Check(slot) => self.checks.due(slot),
                TimerOwner::Race(slot) => self.races.due(&mut self.checks, slot),
                TimerOwner::Sweep => self.sweep(),
            }
            self.tell_races();
            if self.checks.clock.slice_is_over() {
                break;
            }
        }
    }

    /// Starts queued checks until a permit, a descriptor, the rate or the slice runs out. Nothing starts while every
    /// check is being ended: most of the queue is about to go.
    fn start_queued(&mut self) {
        if self.cancellation.is_under_way() {
            return;
        }
        self.checks.open_gate();
        self.offer_early_syns();
        loop {
            let goes_on = self.checks.start_next();
            self.tell_races(); // of an early SYN, too, that was given up for a check that cannot start all the same
            if !goes_on || self.checks.clock.slice_is_over() {
                break;
            }
        }
        self.offer_early_syns(); // what the queue left
    }

    /// Has early SYNs leave that there was no room for. Whoever cannot send it all the same wants it again, in a
    /// later round.
    fn offer_early_syns(&mut self) {
        self.early_syns_left = false;
        for _ in 0..self.checks.wanted_early_syns() {
            self.early_syns_left = self.checks.clock.slice_is_over();
            if self.early_syns_left || !self.checks.offer_early_syn() {
                return;
            }
            self.tell_races();
        }
    }

    fn count_queued(&self) {
        let queued = self.checks.table.queued() + self.intake.arriving() + self.races.resolving();
        self.handle.queued.store(queued as u64, Ordering::Relaxed);
        self.handle.is_behind.store(self.checks.can_start() || !self.intake.is_empty(), Ordering::Relaxed);
    }

    /// Plans a sweep if something was used. A loop at rest sets no timer.
    fn expect_sweep(&mut self) {
        if std::mem::take(&mut self.checks.used) && self.sweep.is_none() {
            self.plan_sweep();
        }
    }

    fn plan_sweep(&mut self) {
        self.checks.engine.mark_unneeded();
        self.set_sweep(self.shared.config.idle_ms);
    }

    fn set_sweep(&mut self, after_ms: u32) {
        let now = self.checks.clock.round();
        self.sweep = Some(self.checks.timers.set(now, after_ms, TimerOwner::Sweep));
    }

    /// Closes what nobody has needed since the last sweep.
    fn sweep(&mut self) {
        self.sweep = None;
        let at_rest = self.shrink();
        if !self.checks.engine.close_unneeded() {
            return self.set_sweep(1);
        }
        let spare_left = self.handle.spare.sweep() | self.shared.sweep_callers_engine();
        if !at_rest || self.checks.engine.has_idle() || spare_left {
            self.plan_sweep();
        }
    }

    /// Gives back the memory of a burst that is over. False while there is anything to do.
    fn shrink(&mut self) -> bool {
        if !(self.checks.table.is_empty() && self.races.is_empty() && self.intake.is_empty()) {
            return false;
        }
        self.checks.shrink();
        self.races.shrink();
        self.intake.shrink();
        true
    }
}
