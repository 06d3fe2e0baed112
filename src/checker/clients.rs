//! What those ask who stand above the checker and have a queue of results of their own.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Checker;
use crate::check::verdict::{Report, Status};
use crate::completion::CompletionQueue;
use crate::sys::poll_set::PollSet;

impl Checker {
    /// A queue for [`Checker::submit_to`]. It is closed once the checker was shut down and the last report is there.
    pub(crate) fn open_queue(&self) -> Result<Arc<CompletionQueue>, Status> {
        self.not_forked()?;
        self.shared.open_queue()
    }

    /// Takes reports from such a queue, as [`CompletionQueue::take_unless`](crate::completion::Queue::take_unless) does.
    pub(crate) fn take_from(
        &self,
        queue: &CompletionQueue,
        seen: u64,
        capacity: usize,
        wanted: usize,
        wait: Option<Duration>,
        each: impl FnMut(Report),
    ) -> usize {
        self.take(queue, Some(seen), capacity, wanted, wait, each)
    }

    /// Whoever waits for a report of such a queue is to look at something else.
    pub(crate) fn interrupt(&self, queue: &CompletionQueue) {
        queue.interrupt();
        self.tell_of_result();
    }

    /// Whether no loop has had the time yet for what was left for it: what is left now would only make a burst of it.
    pub(crate) fn is_behind(&self) -> bool {
        let mut handles = self.shared.handles.iter();
        self.driver.is_none()
            && handles.all(|handle| handle.is_behind.load(Ordering::Relaxed) || handle.inbox.is_waited_for())
    }

    pub(crate) fn is_caller_driven(&self) -> bool {
        self.driver.is_some()
    }

    /// A descriptor that is readable while one of these is, or driving the checker would do anything. `None` if there is
    /// none to be had, or the checker has threads.
    pub(crate) fn poll_set(&self, members: &[c_int]) -> Option<Arc<PollSet>> {
        self.driver.as_ref()?.poll_set(members)
    }

    /// The timeout of checks that name none.
    pub(crate) fn default_timeout_ms(&self) -> u32 {
        self.shared.config.timeout_ms
    }
}
