//! What other threads hold of a loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mio::Poll;

use super::command::Command;
use super::inbox::Inbox;
use crate::engine::WAKE;
use crate::engine::socket::spare::SpareSockets;
use crate::permits::Permits;
use crate::resolver::{Listener, WaiterKey};
use crate::sys::waker::Waker;

pub(crate) struct LoopHandle {
    pub inbox: Inbox,
    pub permits: Permits,
    pub spare: Arc<SpareSockets>,
    /// Checks that wait for their turn.
    pub queued: AtomicU64,
    /// The loop had no time yet for some that it could begin.
    pub is_behind: AtomicBool,
    /// The loop has checks queued and could not start one: whoever gives up a permit or a descriptor must wake it.
    wants_room: AtomicBool,
    /// The loop has no descriptor left, and no idle socket.
    short_of_descriptors: AtomicBool,
}

impl LoopHandle {
    /// The handle of a loop that may have `limit` checks in flight, and of those `by_callers` on callers' threads; and the
    /// poller that it wakes.
    pub fn with_poll(limit: u32, by_callers: u32) -> io::Result<(Poll, Arc<LoopHandle>)> {
        let poll = Poll::new()?;
        let handle = LoopHandle {
            inbox: Inbox::new(Waker::new(&poll, WAKE)?),
            permits: Permits::new(limit, by_callers),
            spare: Arc::new(SpareSockets::new(by_callers as usize)),
            queued: AtomicU64::new(0),
            is_behind: AtomicBool::new(false),
            wants_room: AtomicBool::new(false),
            short_of_descriptors: AtomicBool::new(false),
        };
        Ok((poll, Arc::new(handle)))
    }

    /// Whether a check may start on a caller's thread: no queued check loses its turn to it, and its socket will be
    /// kept, as long as those of callers are few.
    pub fn has_few_checks(&self) -> bool {
        self.queued.load(Ordering::Relaxed) == 0 && self.permits.taken() < self.permits.callers_limit()
    }

    /// The loop's side: whether it needs to hear of permits and descriptors that others give up. It must try once more
    /// after it has said so.
    pub fn set_wants_room(&self, wants_room: bool) {
        self.wants_room.store(wants_room, Ordering::SeqCst);
    }

    /// Wakes the loop if it waits for a permit or a descriptor. Whoever gives one up on another thread than the loop's
    /// calls this next.
    pub fn tell_of_room(&self) {
        if self.wants_room.load(Ordering::SeqCst) && self.wants_room.swap(false, Ordering::SeqCst) {
            self.inbox.wake();
        }
    }

    /// The loop's side: whether it is short of descriptors. Returns whether it was.
    pub fn set_short_of_descriptors(&self, short: bool) -> bool {
        self.short_of_descriptors.swap(short, Ordering::SeqCst)
    }

    pub fn is_short_of_descriptors(&self) -> bool {
        self.short_of_descriptors.load(Ordering::SeqCst)
    }
}

impl Listener for LoopHandle {
    fn lookup_began(&self, waiter: WaiterKey) {
        self.inbox.leave(Command::LookupBegan { race: waiter.slot, generation: waiter.generation });
    }

    fn resolved(&self, waiter: WaiterKey, addresses: Result<Vec<SocketAddr>, i32>) {
        self.inbox.leave(Command::Resolved { race: waiter.slot, generation: waiter.generation, addresses });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_may_start_on_its_callers_thread_where_few_have_and_none_waits() {
        let (_poll, handle) = LoopHandle::with_poll(8, 2).unwrap();
        assert!(handle.has_few_checks());
        handle.queued.store(1, Ordering::Relaxed);
        assert!(!handle.has_few_checks());
        handle.queued.store(0, Ordering::Relaxed);
        while handle.permits.taken() < handle.permits.callers_limit() {
            assert!(handle.has_few_checks() && handle.permits.take());
        }
        assert!(!handle.has_few_checks());
    }
}
