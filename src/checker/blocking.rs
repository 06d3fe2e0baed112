//! Blocking checks: one, begun on the caller's own thread, or a list, fed to the loops bit by bit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Checker;
use crate::check::request::Request;
use crate::check::target::Target;
use crate::check::verdict::{Status, Verdict};
use crate::completion::{CompletionQueue, Sink};
use crate::engine::Conclusion;
use crate::engine::socket::inline::{self, InlineStart};
use crate::event_loop::command::{Command, StartedCheck, SubmittedCheck, Terms};
use crate::event_loop::handle::LoopHandle;
use crate::event_loop::shared::Shared;
use crate::sys::clock;

/// Checks of a list that go to a loop together: enough to be worth its waking, few enough to divide fairly.
const SHARE_MIN: usize = 256;
const SHARE_MAX: usize = 4096;

impl Checker {
    /// Checks one target, and returns when there is a verdict.
    pub fn check(&self, request: &Request) -> Verdict {
        if let Err(status) = self.may_block() {
            return Verdict::without_segments(status, 0);
        }
        match self.begin(request) {
            Progress::Done(verdict) => verdict,
            Progress::Pending(queue) => {
                let mut verdict = Verdict::without_segments(Status::Internal, 0);
                queue.take(1, 1, None, |report| verdict = report.verdict);
                verdict
            }
        }
    }

    /// Checks one `"host:port"`; `timeout_ms` 0 means the checker's default.
    pub fn check_addr(&self, addr: &str, timeout_ms: u32) -> Verdict {
        self.check(&Request { timeout_ms, ..Request::new(addr) })
    }

    /// Starts a blocking check: done if the target answers at once or never will, else pending with a loop.
    fn begin(&self, request: &Request) -> Progress {
        let handle = &self.shared.handles[self.turn()];
        let cancels = self.shared.cancels.load(Ordering::SeqCst);
        let asked = self.asked(request.clone(), 0, clock::now(), false);
        let command = match &asked.target {
            Target::Malformed(_) => return Progress::Done(self.without_segments(Status::BadAddress)),
            Target::Literal(target) if !asked.family.allows(target) => {
                return Progress::Done(self.without_segments(Status::BadAddress));
            }
            Target::Literal(_) => match self.begin_here(handle, asked) {
                Ok(verdict) => return Progress::Done(verdict),
                Err(command) => command,
            },
            Target::Name(_) => Pending::Submitted(asked),
        };
        let queue = Arc::new(CompletionQueue::new());
        let sink = Sink::Call(queue.clone());
        let command = match command {
            Pending::Submitted(asked) => Command::Batch { sink, checks: vec![asked] },
            Pending::Started(started) => Command::TakeOver { sink, started },
        };
        let taken_over = matches!(command, Command::TakeOver { .. });
        self.shared.counters.add_submitted(1);
        match handle.inbox.give_unless(command, || self.cancelled_since(cancels)) {
            Ok(()) => Progress::Pending(queue),
            Err(status) => {
                if taken_over {
                    handle.permits.give_back();
                    handle.tell_of_room();
                    self.shared.tell_of_descriptor();
                }
                self.shared.counters.add_one(status, false);
                Progress::Done(Verdict::without_segments(status, 0))
            }
        }
    }

    /// Whether everything was cancelled since the count was read. SubmittedCheck under a handle's lock, so that a cancel comes either
    /// before a command or after it.
    fn cancelled_since(&self, cancels: u64) -> Option<Status> {
        (self.shared.cancels.load(Ordering::SeqCst) != cancels).then_some(Status::Cancelled)
    }

    /// Makes the check on the calling thread, where a target on this machine has answered by the time connect
    /// returns: waking the loop's thread, and being woken by it, would cost several times the check. What has no
    /// answer yet is for the loop to go on with.
    fn begin_here(&self, handle: &LoopHandle, asked: SubmittedCheck) -> Result<Verdict, Pending> {
        let Target::Literal(target) = asked.target else { return Err(Pending::Submitted(asked)) };
        let Terms { close_mode, submitted, .. } = asked.terms;
        if !handle.permits.take_as_caller() {
            return Err(Pending::Submitted(asked));
        }
        let permit = CallersPermit { shared: &self.shared, handle };
        if self.shared.rate.take(clock::now).is_err() {
            return Err(Pending::Submitted(asked));
        }
        // A little early, which the proof can bear, and one reading of the clock saved.
        let syn_at = submitted;
        match inline::start(&self.shared.opener, &handle.spare, &target, close_mode, syn_at) {
            InlineStart::Concluded(Conclusion { mut verdict, at, .. }) => {
                drop(permit);
                verdict.elapsed_us = (at - submitted) / 1000;
                self.shared.counters.add_submitted(1);
                self.shared.counters.add_one(verdict.status, close_mode.was_thwarted(&verdict));
                Ok(verdict)
            }
            InlineStart::Waiting(socket) => {
                permit.hand_over();
                let SubmittedCheck { tag, terms, .. } = asked;
                Err(Pending::Started(Box::new(StartedCheck { tag, target, terms, socket, syn_at })))
            }
            InlineStart::NotStarted => Err(Pending::Submitted(asked)),
        }
    }

    /// Checks many targets, and returns when there is a verdict on each, in the order of the requests.
    ///
    /// It paces itself: a request's time runs from its own start, so none ends as [`Status::Busy`].
    pub fn check_many(&self, requests: &[Request]) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::without_segments(Status::Internal, 0); requests.len()];
        let done = self.check_each(requests.iter().cloned(), |index, verdict| verdicts[index] = verdict);
        if let Err(status) = done {
            verdicts.fill(Verdict::without_segments(status, 0));
        }
        verdicts
    }

    /// As [`Checker::check_many`], for requests that are made as they are needed; each verdict comes with the
    /// number of its request, as soon as it is there.
    ///
    /// # Errors
    /// [`Status::Closed`], [`Status::Forked`] or [`Status::Deadlock`] when no check was begun.
    pub fn check_each(
        &self,
        requests: impl ExactSizeIterator<Item = Request>,
        mut verdict: impl FnMut(usize, Verdict),
    ) -> Result<(), Status> {
        self.may_block()?;
        let count = requests.len();
        let mut requests = requests.enumerate();
        let handles = &self.shared.handles;
        let share = (count / (16 * handles.len())).clamp(SHARE_MIN, SHARE_MAX);
        // Enough to keep every loop busy while this thread prepares more; no more than that, so that memory stays flat.
        let places: usize = handles.iter().map(|handle| handle.permits.limit() as usize).sum();
        let ahead = places + 2 * share * handles.len();
        let cancels = self.shared.cancels.load(Ordering::SeqCst);
        let queue = Arc::new(CompletionQueue::new());
        // Each share goes to the loop that has the fewest checks to do; whose each was is known by its number.
        let mut to_do = vec![0; handles.len()];
        let mut loop_of: Vec<usize> = Vec::new();
        let first_loop = self.turn();
        let (mut given, mut done) = (0, 0);
        while done < count {
            while given < count && given - done + share <= ahead {
                let asked = |(index, request)| self.asked(Request { tag: index, ..request }, 0, 0, true);
                let checks: Vec<SubmittedCheck> = requests.by_ref().take(share).map(asked).collect();
                let (first, number) = (given, checks.len());
                given += number;
                self.shared.counters.add_submitted(number as u64);
                let idlest = (0..handles.len())
                    .map(|handle| (handle + first_loop) % handles.len())
                    .min_by_key(|handle| to_do[*handle]);
                let handle = idlest.unwrap_or(0);
                loop_of.push(handle);
                to_do[handle] += number;
                let command = Command::Batch { sink: Sink::Call(queue.clone()), checks };
                if let Err(status) = handles[handle].inbox.give_unless(command, || self.cancelled_since(cancels)) {
                    for index in first..given {
                        self.shared.counters.add_one(status, false);
                        verdict(index, Verdict::without_segments(status, 0));
                    }
                    done += number; // and still to do for the handle, which refuses whatever comes next
                }
            }
            if done == count {
                break;
            }
            let wanted = if given < count { given + share - ahead - done } else { count - done };
            let taken = queue.take(usize::MAX, wanted, None, |report| {
                to_do[loop_of[report.tag / share]] -= 1;
                verdict(report.tag, report.verdict);
            });
            if taken == 0 {
                return Err(Status::Internal); // a loop died of a defect
            }
            done += taken;
        }
        Ok(())
    }

    /// An accepted check that needs no loop.
    fn without_segments(&self, status: Status) -> Verdict {
        self.shared.counters.add_submitted(1);
        self.shared.counters.add_one(status, false);
        Verdict::without_segments(status, 0)
    }
}

/// How far a blocking check got on the caller's thread.
enum Progress {
    Done(Verdict),
    Pending(Arc<CompletionQueue>),
}

/// What the loop is to go on with.
enum Pending {
    Submitted(SubmittedCheck),
    Started(Box<StartedCheck>),
}

/// A permit for a check on the caller's thread, given back when dropped.
struct CallersPermit<'a> {
    shared: &'a Shared,
    handle: &'a LoopHandle,
}

impl CallersPermit<'_> {
    /// The check goes on in the loop, which gives the permit back.
    fn hand_over(self) {
        self.handle.permits.hand_over();
        std::mem::forget(self);
    }
}

impl Drop for CallersPermit<'_> {
    fn drop(&mut self) {
        self.handle.permits.give_back_as_caller();
        self.handle.tell_of_room();
        self.shared.tell_of_descriptor();
    }
}
