//! What the loops of one checker, and those who call it, have in common.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::command::Command;
use super::handle::LoopHandle;
use crate::check::verdict::Status;
use crate::completion::CompletionQueue;
use crate::config::Config;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::engine::raw::{callers::CallersEngine, counts::Counts};
use crate::engine::socket::opener::Opener;
use crate::rate::Rate;
use crate::resolver::Resolver;
use crate::stats::Counters;
use crate::sys::fork::ForkMark;
use crate::sys::lock::Mutex;

pub(crate) struct Shared {
    pub config: Config,
    pub handles: Vec<Arc<LoopHandle>>,
    pub resolver: Arc<Resolver>,
    pub opener: Arc<Opener>,
    pub rate: Rate,
    /// Results that wait to be reaped.
    pub completions: Arc<CompletionQueue>,
    /// The queues of those who have results go elsewhere.
    other_queues: Mutex<Vec<Weak<CompletionQueue>>>,
    pub counters: Counters,
    /// The raw engine on callers' threads, whose sockets belong to the namespace of the thread that opens them.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub callers_engine: CallersEngine,
    /// Loops that still run.
    pub loops: AtomicU32,
    /// Set first in a shutdown, for calls that leave no command in an inbox.
    pub closed: AtomicBool,
    /// How often everything was cancelled. A blocking call compares it with the count at its begin before each command.
    pub cancels: AtomicU64,
    pub fork_mark: ForkMark,
}

impl Shared {
    pub fn new(config: Config, handles: Vec<Arc<LoopHandle>>) -> Shared {
        let opener = Arc::new(Opener::new(config.wire.clone()));
        let counters = Counters::default();
        Shared {
            resolver: Arc::new(Resolver::new(config.max_lookups)),
            rate: Rate::new(config.max_rate),
            completions: Arc::new(CompletionQueue::new()),
            other_queues: Mutex::new(Vec::new()),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            callers_engine: CallersEngine::new(
                config.wire.clone(),
                Counts::new(opener.counter(), counters.unsolicited()),
                opener.home(),
            ),
            opener,
            counters,
            loops: AtomicU32::new(handles.len() as u32),
            closed: AtomicBool::new(false),
            cancels: AtomicU64::new(0),
            fork_mark: ForkMark::new(),
            handles,
            config,
        }
    }

    /// A queue for results that go elsewhere than to [`Shared::completions`], closed when that one is. Refused once the
    /// checker is shut down, and without memory.
    pub fn open_queue(&self) -> Result<Arc<CompletionQueue>, Status> {
        let queue = Arc::new(CompletionQueue::new());
        let mut others = self.other_queues.lock();
        others.retain(|other| other.strong_count() > 0);
        others.try_reserve(1).map_err(|_| Status::LocalFault)?;
        others.push(Arc::downgrade(&queue));
        drop(others);
        // Looked at after the queue is in the list: a shutdown that is not seen here finds it there.
        if self.closed.load(Ordering::SeqCst) { Err(Status::Closed) } else { Ok(queue) }
    }

    /// Every result there will ever be is in its queue.
    pub fn close_queues(&self) {
        let others = std::mem::take(&mut *self.other_queues.lock());
        self.completions.close();
        others.iter().filter_map(Weak::upgrade).for_each(|queue| queue.close());
    }

    /// Tells this checker from all others that exist now.
    pub fn identity(&self) -> usize {
        &raw const *self as usize
    }

    /// Closes what callers have not needed since the last time. False if nothing is left.
    pub fn sweep_callers_engine(&self) -> bool {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return self.callers_engine.sweep();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        false
    }

    /// A socket was closed: loops that wait for a descriptor may try again.
    pub fn tell_of_descriptor(&self) {
        if self.opener.is_short_of_descriptors() {
            self.handles.iter().for_each(|handle| handle.tell_of_room());
        }
    }

    /// Asks the other loops to close what lies idle, but for those that are short themselves: they would ask back.
    pub fn have_others_close_idle(&self, own: &Arc<LoopHandle>) {
        let has_some = |handle: &&Arc<LoopHandle>| !handle.is_short_of_descriptors();
        for handle in self.handles.iter().filter(|handle| !Arc::ptr_eq(handle, own)).filter(has_some) {
            let _ = handle.inbox.give(Command::CloseIdle); // a loop that has ended holds nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::verdict::Report;

    /// What several loops share, and the pollers that would wake them.
    fn shared(loops: u32) -> (Shared, Vec<mio::Poll>) {
        let (polls, handles) = (0..loops).map(|_| LoopHandle::with_poll(1, 1).unwrap()).unzip();
        (Shared::new(Config::default(), handles), polls)
    }

    #[test]
    fn a_loop_that_is_short_of_descriptors_asks_those_that_are_not() {
        let (shared, _polls) = shared(3);
        let [asks, is_short, has_some] = &shared.handles[..] else { unreachable!("three were made") };
        assert!(!asks.set_short_of_descriptors(true) && !is_short.set_short_of_descriptors(true));
        shared.have_others_close_idle(asks);
        assert_eq!([asks, is_short, has_some].map(|handle| handle.inbox.is_waited_for()), [false, false, true]);
        asks.set_short_of_descriptors(false);
        has_some.inbox.collect();
        shared.have_others_close_idle(asks);
        assert_eq!([asks, is_short, has_some].map(|handle| handle.inbox.is_waited_for()), [false, false, true]);
    }

    #[test]
    fn queues_whose_readers_have_gone_are_forgotten_and_the_others_closed_with_the_checkers_own() {
        let (shared, _polls) = shared(1);
        let kept = shared.open_queue().unwrap();
        for _ in 0..1_000 {
            shared.open_queue().unwrap();
        }
        assert!(shared.other_queues.lock().len() <= 3);
        shared.close_queues();
        // One that is open would be waited for.
        kept.take(1, 1, None, |_: Report| unreachable!("nothing was put there"));
        shared.closed.store(true, Ordering::SeqCst);
        assert_eq!(shared.open_queue().err(), Some(Status::Closed));
    }

    #[test]
    fn each_checker_is_told_from_the_others() {
        let ((one, _polls), (other, _other_polls)) = (shared(1), shared(1));
        assert_ne!(one.identity(), other.identity());
        assert_eq!(one.identity(), one.identity());
    }
}
