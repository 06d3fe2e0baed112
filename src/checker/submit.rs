//! The asynchronous calls: submit, cancel, reap, and the descriptor that shows whether there is anything to reap.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Checker;
use super::inline::Pending;
use super::share;
use crate::check::error::Error;
use crate::check::request::Request;
use crate::check::target::Target;
use crate::check::verdict::{Report, Status};
use crate::completion::{Callback, CompletionQueue, Sink};
use crate::event_loop::command::{Command, SubmittedCheck};
use crate::event_loop::inbox::Inbox;
use crate::sys::clock;
use crate::sys::memory::{OutOfMemory, could_have, vec_for, vec_of};

/// What a check may need beyond its request, from its start to its result: its slots, timer and place among the results.
const BYTES_OF_CHECK: usize = 400;
/// A batch smaller than this needs little.
const WORTH_ASKING: usize = 1_024;
/// A batch smaller than this is not worth waking a second loop for.
pub(super) const WORTH_SPLITTING: usize = 64;

/// A check to be made, and how.
pub(crate) struct Submission {
    pub request: Request,
    /// Where its report goes, if not to a queue.
    pub callback: Option<Callback>,
    /// How old an answer of the resolver may be, if the target is a name; 0: it is looked up for this check.
    pub name_age_ms: u32,
    /// Its time runs from its own start, so that it waits for its turn however long that takes. It has no id: whoever
    /// submitted it knows it by its tag.
    pub paced: bool,
}

/// A check to be made, if there is memory for it.
pub(crate) type Submitted<T> = Result<T, OutOfMemory>;

/// Whether the check may begin on the caller's thread, and its result goes to a queue.
fn is_plain(submitted: &Submitted<Submission>) -> bool {
    let is_literal = |one: &Submission| matches!(one.request.target, Target::Literal(_));
    let plain = |one: &Submission| one.callback.is_none() && !one.paced && is_literal(one);
    submitted.as_ref().is_ok_and(plain)
}

impl Checker {
    /// Submits checks whose reports go to [`Checker::reap`]. Returns the id of the first; the others' follow one by
    /// one.
    ///
    /// # Errors
    /// [`Error::LocalFault`] without memory for all of them; [`Error::Closed`] or [`Error::Forked`]. Then none was
    /// accepted.
    pub fn submit(&self, requests: Vec<Request>) -> Result<u64, Error> {
        Ok(self.submit_each(requests.into_iter().map(|request| Ok((request, None))))?)
    }

    /// Submits one check whose report goes to `callback`, on the thread that runs the loop, which it
    /// must not block.
    ///
    /// # Errors
    /// As [`Checker::submit`]; then the callback is never called.
    pub fn submit_with(&self, request: Request, callback: Box<dyn FnOnce(&Report) + Send>) -> Result<u64, Error> {
        Ok(self.submit_each(std::iter::once(Ok((request, Some(callback)))))?)
    }

    pub(crate) fn submit_each(
        &self,
        requests: impl ExactSizeIterator<Item = Submitted<(Request, Option<Callback>)>>,
    ) -> Result<u64, Status> {
        let submission = |(request, callback)| Submission { request, callback, name_age_ms: 0, paced: false };
        self.submit_to(&self.shared.completions, requests.map(|one| one.map(submission)))
    }

    /// Submits checks whose reports go to their callback, or without one to `queue`. Its owner closes it: the checker
    /// reports every check that it accepted, and knows of no reader.
    pub(crate) fn submit_to(
        &self,
        queue: &Arc<CompletionQueue>,
        requests: impl ExactSizeIterator<Item = Submitted<Submission>>,
    ) -> Result<u64, Status> {
        self.not_forked()?;
        let count = requests.len();
        if count == 0 {
            return if self.is_shut_down() { Err(Status::Closed) } else { Ok(0) }; // nobody's id
        }
        let submitted = clock::now();
        let first_id = self.next_id.fetch_add(count as u64, Ordering::Relaxed);
        let mut requests = (first_id..).zip(requests).peekable();
        if count == 1
            && let Some((id, Ok(one))) = requests.next_if(|(_, submitted)| is_plain(submitted))
        {
            return self.submit_one(queue, self.submitted_check(one.request, id, submitted, false));
        }
        let handles = &self.shared.handles;
        let loops = if count < WORTH_SPLITTING { 1 } else { handles.len() };
        let first_loop = if loops == 1 { self.turn() } else { 0 };
        if count >= WORTH_ASKING && !could_have(count.saturating_mul(BYTES_OF_CHECK)) {
            return Err(Status::LocalFault);
        }
        let mut shares = vec_for(loops)?;
        for index in 0..loops {
            let share = share(count, loops, index);
            let mut commands = Vec::new();
            let mut room = share;
            for (id, submission) in requests.by_ref().take(share) {
                let Submission { request, callback, name_age_ms, paced } = submission?;
                if request.target.is_out_of_memory() {
                    return Err(Status::LocalFault);
                }
                let id = if paced { 0 } else { id }; // nobody cancels one of those by its id
                let check = SubmittedCheck { name_age_ms, ..self.submitted_check(request, id, submitted, paced) };
                commands.try_reserve(1).map_err(OutOfMemory::from)?;
                match (callback, commands.last_mut()) {
                    (Some(callback), _) => {
                        commands.push(Command::Batch { sink: Sink::Callback(callback), checks: vec_of(check)? })
                    }
                    (None, Some(Command::Batch { sink: Sink::Queue(_), checks })) => checks.push(check),
                    (None, _) => {
                        // The share's first batch is mostly its only one.
                        let mut checks = vec_for(std::mem::take(&mut room))?;
                        checks.push(check);
                        commands.push(Command::Batch { sink: Sink::Queue(queue.clone()), checks });
                    }
                }
            }
            shares.push((&handles[first_loop + index].inbox, commands));
        }
        // Counted first: whoever sees a result finds that it was submitted.
        self.shared.counters.add_submitted(count as u64);
        Inbox::give_all(shares).inspect_err(|_| self.shared.counters.take_back(count as u64))?;
        Ok(first_id)
    }

    /// Submits a check of an address. As for a blocking check, a target on this machine has mostly answered by the time
    /// connect returns, and waking the loop's thread would cost several times the check.
    fn submit_one(&self, queue: &Arc<CompletionQueue>, check: SubmittedCheck) -> Result<u64, Status> {
        if self.is_shut_down() {
            return Err(Status::Closed);
        }
        let handle = &self.shared.handles[self.turn()];
        let (id, tag) = (check.id, check.tag);
        let starts_here = matches!(&check.target, Target::Literal(target) if check.family.allows(target))
            && handle.has_few_checks()
            && !self.is_own_thread();
        let started = if starts_here { self.start_inline(handle, check) } else { Err(Pending::Submitted(check)) };
        match started {
            Ok(verdict) => {
                queue.put(std::iter::once(Report { id, tag, verdict }));
                self.tell_of_result();
            }
            Err(pending) => {
                self.shared.counters.add_submitted(1);
                self.hand_over(handle, pending, Sink::Queue(queue.clone()), || None)
                    .inspect_err(|_| self.shared.counters.take_back(1))?;
            }
        }
        Ok(id)
    }

    /// Adds up to `capacity` reports to `reports`, waiting up to `wait` (`None`: for ever) for the first. Returns
    /// how many.
    ///
    /// From one of the checker's own callbacks it does not wait; nor after a shutdown, when all reports are there.
    pub fn reap(&self, reports: &mut Vec<Report>, capacity: usize, wait: Option<Duration>) -> usize {
        self.reap_each(capacity, wait, |report| reports.push(report))
    }

    pub(crate) fn reap_each(&self, capacity: usize, wait: Option<Duration>, each: impl FnMut(Report)) -> usize {
        if self.is_forked() {
            return 0;
        }
        let wait = if self.is_own_thread() { Some(Duration::ZERO) } else { wait };
        self.take(&self.shared.completions, None, capacity, 1, wait, each)
    }

    /// [`Checker::raw_fd`], for what borrows descriptors. There may be none, so this is not `AsFd`.
    #[cfg(unix)]
    pub fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.raw_fd().map(|fd| crate::sys::descriptor::borrowed(self, fd))
    }

    /// A descriptor that is readable exactly while reports wait to be reaped; `None` if there is none to be had.
    ///
    /// It belongs to the checker: it may be polled, never read or closed.
    pub fn raw_fd(&self) -> Option<std::ffi::c_int> {
        if self.is_forked() {
            return None;
        }
        let completions = self.shared.completions.raw_fd().ok()?;
        match &self.driver {
            Some(driver) => driver.raw_fd(completions),
            None => Some(completions),
        }
    }

    /// Cancels the check of this id, or with 0 every check submitted before. A cancelled check yields its one
    /// report like any other; a check that is done already, or never was, is not affected.
    ///
    /// # Errors
    /// [`Error::LocalFault`] if there is no memory for the call, or a sleeping loop cannot be woken: then some checks may
    /// not be cancelled, and a later call tries again. [`Error::Closed`] or [`Error::Forked`].
    pub fn cancel(&self, id: u64) -> Result<(), Error> {
        self.not_forked()?;
        if id == 0 {
            self.shared.cancels.fetch_add(1, Ordering::SeqCst);
        }
        let command = || if id == 0 { Command::CancelAll } else { Command::Cancel(id) };
        let mut all = Ok(());
        for handle in &self.shared.handles {
            all = all.and(handle.inbox.give(command())); // each is told, even if another one has ended
        }
        Ok(all?)
    }
}
