//! Blocking checks of a list, handed to the loops bit by bit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Checker;
use crate::check::error::Error;
use crate::check::request::Request;
use crate::check::verdict::{Report, Status, Verdict};
use crate::completion::{CompletionQueue, Sink};
use crate::event_loop::command::{Command, SubmittedCheck};
use crate::sys::memory::vec_for;

/// Checks of a list that go to a loop together: enough to be worth its waking, few enough to divide fairly.
const SHARE_MIN: usize = 256;
const SHARE_MAX: usize = 4096;
/// How long a verdict waits for others, so that many of them wake the caller once.
const GATHERING: Duration = Duration::from_millis(10);

impl Checker {
    /// Checks many targets, and returns when there is a verdict on each, in the order of the requests.
    ///
    /// It paces itself: a request's time runs from its own start, so none ends as [`Status::Busy`].
    pub fn check_many(&self, requests: &[Request]) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::without_segments(Status::Internal, 0); requests.len()];
        let done = self.check_each(requests.iter().cloned(), |index, verdict| verdicts[index] = verdict);
        if let Err(status) = done {
            verdicts.fill(Verdict::without_segments(status.into(), 0));
        }
        verdicts
    }

    /// As [`Checker::check_many`], for requests that are made as they are needed; each verdict comes with the
    /// number of its request, within some ten milliseconds after it is there.
    ///
    /// `verdict` is called on this thread and under no lock, so it may take its time, and call the checker itself.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Forked`] or [`Error::Deadlock`], or [`Error::LocalFault`] without memory to keep
    /// account of them, when no check was begun.
    pub fn check_each(
        &self,
        requests: impl ExactSizeIterator<Item = Request>,
        mut verdict: impl FnMut(usize, Verdict),
    ) -> Result<(), Error> {
        self.may_block()?;
        let count = requests.len();
        let mut requests = requests.enumerate();
        let handles = &self.shared.handles;
        let share = (count / (16 * handles.len())).clamp(SHARE_MIN, SHARE_MAX);
        // Enough to keep every loop busy while this thread prepares more; no more than that, so that memory stays flat.
        let permits: usize = handles.iter().map(|handle| handle.permits.limit() as usize).sum();
        let ahead = permits + 2 * share * handles.len();
        let cancels = self.shared.cancels.load(Ordering::SeqCst);
        let queue = Arc::new(CompletionQueue::new());
        // Each share goes to the loop that has the fewest checks to do; whose each was is known by its number.
        let mut to_do = vec![0; handles.len()];
        let mut loop_of: Vec<usize> = vec_for(count.div_ceil(share))?;
        let first_loop = self.turn();
        let has_room = |given, done| given < count && given - done + share <= ahead;
        let (mut given, mut done) = (0, 0);
        while done < count {
            if has_room(given, done) {
                let check = |(index, request)| self.submitted_check(Request { tag: index, ..request }, 0, 0, true);
                let (first, number) = (given, share.min(count - given));
                let checks = vec_for(number).map(|mut checks: Vec<SubmittedCheck>| {
                    checks.extend(requests.by_ref().take(number).map(check));
                    checks
                });
                given += number;
                self.shared.counters.add_submitted(number as u64);
                let idlest = (0..handles.len())
                    .map(|handle| (handle + first_loop) % handles.len())
                    .min_by_key(|handle| to_do[*handle]);
                let handle = idlest.unwrap_or(0);
                loop_of.push(handle);
                to_do[handle] += number;
                if checks.is_err() {
                    requests.by_ref().take(number).for_each(drop);
                }
                let begun = checks.map_err(Status::from).and_then(|checks| {
                    let command = Command::Batch { sink: Sink::Call(queue.clone()), checks };
                    handles[handle].inbox.give_unless(command, || self.cancelled_since(cancels))
                });
                if let Err(status) = begun {
                    for index in first..given {
                        self.shared.counters.add_one(status, false);
                        verdict(index, Verdict::refused_by_loop(status));
                    }
                    done += number; // and still to do for the handle, which refuses whatever comes next
                }
            }
            let wanted = match given {
                _ if has_room(given, done) => 0,
                _ if given < count => given + share - ahead - done,
                _ => count - done,
            };
            let mut hand_out = |report: Report| {
                to_do[loop_of[report.tag / share]] -= 1;
                verdict(report.tag, report.verdict);
            };
            let mut taken = self.take(&queue, None, usize::MAX, wanted, Some(GATHERING), &mut hand_out);
            if taken == 0 && wanted > 0 {
                taken = self.take(&queue, None, usize::MAX, 1, None, &mut hand_out);
                if taken == 0 {
                    return Err(self.why_no_verdict().into());
                }
            }
            done += taken;
        }
        Ok(())
    }
}
