//! Verdicts on their way out, and where each goes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::round_clock::SLICE;
use crate::check::pieces::Pieces;
use crate::check::slab::Slab;
use crate::check::slot::SlotKey;
use crate::check::verdict::{Report, Verdict};
use crate::completion::Sink;
use crate::stats::Tally;
use crate::sys::clock;
use crate::sys::fork::ForkMark;
use crate::sys::memory::OutOfMemory;

/// Reports handed out under one lock.
const REPORTS: usize = 1024;

/// Where a check's report goes, and the id and tag that it bears there. Packed, so that a check in flight costs less
/// memory.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub(super) struct ReplyTo {
    pub sink: SlotKey,
    pub id: u64,
    pub tag: usize,
}

/// A sink that waits for reports.
struct OpenSink {
    sink: Option<Sink>,
    /// Reports still to come.
    expected: usize,
}

impl Drop for OpenSink {
    fn drop(&mut self) {
        // Only a loop that died of a defect leaves reports unsent. Whoever waits for them must not wait for ever.
        if self.expected > 0
            && let Some(sink) = &self.sink
        {
            sink.lose_results();
        }
    }
}

#[derive(Default)]
pub(super) struct Outbox {
    sinks: Slab<OpenSink>,
    /// Verdicts whose sockets are reset already, and where they go.
    finished: Pieces<(SlotKey, Report)>,
    pub tally: Tally,
}

impl Outbox {
    /// Makes room for one more sink.
    pub fn grow(&mut self) -> Result<(), OutOfMemory> {
        self.sinks.grow()
    }

    /// Opens a sink for as many reports.
    pub fn expect(&mut self, sink: Sink, reports: usize) -> SlotKey {
        SlotKey::of(self.sinks.insert(OpenSink { sink: Some(sink), expected: reports }))
    }

    pub fn put(&mut self, reply_to: ReplyTo, verdict: Verdict) {
        self.tally.count(verdict.status);
        self.finished.push_back((reply_to.sink, Report { id: reply_to.id, tag: reply_to.tag, verdict }));
    }

    pub fn is_empty(&self) -> bool {
        self.finished.is_empty()
    }

    /// Hands out verdicts, for a slice of time at most: a callback takes as long as its author likes. Stops at once in
    /// a process that a callback has forked.
    pub fn deliver(&mut self, fork_mark: &ForkMark) {
        let slice_ends = clock::now() + SLICE;
        while let Some(&(key, _)) = self.finished.front() {
            let run = self.finished.iter().take(REPORTS).take_while(|(sink, _)| *sink == key).count();
            let open = &mut self.sinks[key.slot()];
            open.expected -= run;
            let last = open.expected == 0;
            let finished = &mut self.finished;
            let mut reports = (0..run).map_while(|_| finished.pop_front()).map(|(_, report)| report);
            match &open.sink {
                Some(Sink::Queue(queue) | Sink::Call(queue)) => queue.put(reports),
                _ => {
                    if let (Some(Sink::Callback(callback)), Some(report)) = (open.sink.take(), reports.next()) {
                        // A panic of the host's own callback is not the loop's defect.
                        let _ = catch_unwind(AssertUnwindSafe(|| callback(&report)));
                        if fork_mark.is_child() {
                            return;
                        }
                    }
                }
            }
            if last {
                self.sinks.remove(key.slot());
            }
            if clock::now() > slice_ends {
                break;
            }
        }
    }

    /// Gives back the memory that a burst took.
    pub fn shrink(&mut self) {
        self.finished.shrink();
        self.sinks.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::check::verdict::Status;
    use crate::completion::CompletionQueue;

    fn reply_to(sink: SlotKey, id: u64) -> ReplyTo {
        ReplyTo { sink, id, tag: 0 }
    }

    fn up() -> Verdict {
        Verdict::without_segments(Status::Up, 0)
    }

    #[test]
    fn a_dead_loop_leaves_nobody_waiting_for_it_alone_and_does_not_close_the_queue_of_all() {
        let mut outbox = Outbox::default();
        let (call, shared) = (Arc::new(CompletionQueue::new()), Arc::new(CompletionQueue::new()));
        outbox.expect(Sink::Call(call.clone()), 1);
        outbox.expect(Sink::Queue(shared.clone()), 1);
        drop(outbox);
        call.take(1, 1, None, |_: Report| unreachable!("nothing was put there"));
        shared.put(std::iter::once(Report { id: 7, tag: 0, verdict: up() }));
        assert_eq!(ids_in(&shared), [7]);
        let wait = std::time::Duration::from_millis(20);
        let begun = std::time::Instant::now();
        shared.take(1, 1, Some(wait), |_: Report| unreachable!("nothing was put there"));
        assert!(begun.elapsed() >= wait, "the queue of all is closed");
    }

    fn ids_in(queue: &CompletionQueue) -> Vec<u64> {
        let mut ids = Vec::new();
        queue.take(usize::MAX, 0, None, |report: Report| ids.push(report.id));
        ids
    }

    #[test]
    fn each_report_goes_to_the_sink_of_its_check_in_the_order_of_the_verdicts() {
        let mut outbox = Outbox::default();
        let (one, other) = (Arc::new(CompletionQueue::new()), Arc::new(CompletionQueue::new()));
        let to_one = outbox.expect(Sink::Queue(one.clone()), 2);
        let to_other = outbox.expect(Sink::Queue(other.clone()), 1);
        for (sink, id) in [(to_one, 1), (to_other, 2), (to_one, 3)] {
            outbox.put(reply_to(sink, id), up());
        }
        outbox.deliver(&ForkMark::new());
        assert!(outbox.is_empty());
        assert_eq!((ids_in(&one), ids_in(&other)), (vec![1, 3], vec![2]));
        assert!(outbox.sinks.is_empty());
    }

    #[test]
    fn there_is_room_for_one_more_sink_and_it_is_given_back_after_a_burst() {
        let mut outbox = Outbox::default();
        let queue = Arc::new(CompletionQueue::new());
        let mut sinks = Vec::new();
        for _ in 0..1_000 {
            outbox.grow().unwrap();
            assert!(outbox.sinks.capacity() > outbox.sinks.len());
            sinks.push(outbox.expect(Sink::Queue(queue.clone()), 1));
        }
        sinks.into_iter().for_each(|sink| outbox.put(reply_to(sink, 1), up()));
        while !outbox.is_empty() {
            outbox.deliver(&ForkMark::new());
        }
        outbox.shrink();
        assert!(outbox.sinks.capacity() < 100, "{}", outbox.sinks.capacity());
        assert!(outbox.finished.room() < 100, "{}", outbox.finished.room());
    }

    #[test]
    fn a_callback_that_panics_does_not_keep_the_others_from_theirs() {
        let mut outbox = Outbox::default();
        let called = Arc::new(Mutex::new(Vec::new()));
        for id in 1..=3 {
            let called = called.clone();
            let callback = move |report: &Report| match report.id {
                2 => std::panic::resume_unwind(Box::new(())),
                id => called.lock().unwrap().push(id),
            };
            let sink = outbox.expect(Sink::Callback(Box::new(callback)), 1);
            outbox.put(reply_to(sink, id), up());
        }
        outbox.deliver(&ForkMark::new());
        assert_eq!(*called.lock().unwrap(), [1, 3]);
    }
}
