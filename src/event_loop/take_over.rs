//! Checks that began on a caller's thread, and go on in the loop.

use super::check::Owner;
use super::checks::Checks;
use super::command::StartedCheck;
use super::outbox::ReplyTo;
use crate::check::slot::SlotKey;
use crate::check::verdict::{Status, Verdict};
use crate::engine::Engine;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::engine::raw::RawEngine;
use crate::engine::socket::{Socket, SocketEngine};
use crate::sys::memory::OutOfMemory;

/// An engine of a loop. What began on a caller's thread has a socket, whatever the loop's own engine is: one that has
/// no use for sockets is never given any.
pub(crate) trait LoopEngine: Engine {
    /// Goes on with a check that began on a caller's thread. Returns the slot; the errno if nobody would notice the
    /// answer.
    fn adopt(&mut self, socket: Socket, check: SlotKey) -> (u32, Result<(), i32>);

    /// Makes room for one more.
    fn grow(&mut self) -> Result<(), OutOfMemory>;
}

impl LoopEngine for SocketEngine {
    fn adopt(&mut self, socket: Socket, check: SlotKey) -> (u32, Result<(), i32>) {
        self.adopt_socket(socket, check)
    }

    fn grow(&mut self) -> Result<(), OutOfMemory> {
        self.grow()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl LoopEngine for RawEngine {
    fn adopt(&mut self, _: Socket, _: SlotKey) -> (u32, Result<(), i32>) {
        unreachable!("its checks begin in the loop")
    }

    fn grow(&mut self) -> Result<(), OutOfMemory> {
        Ok(())
    }
}

impl<E: LoopEngine> Checks<E> {
    /// Goes on with a check that began on a caller's thread.
    pub fn take_over(&mut self, reply_to: ReplyTo, started: StartedCheck) {
        let StartedCheck { target, socket, syn_at, terms, .. } = started;
        if self.grow().and_then(|()| self.engine.grow()).is_err() {
            drop(socket);
            self.socket_is_free(true);
            return self.finish(reply_to, Verdict::out_of_memory());
        }
        let slot = self.admit(Owner::Submitter(reply_to), target, terms);
        let (engine_slot, watched) = self.engine.adopt(socket, SlotKey::of(slot as usize));
        self.table.put_in_flight(slot, syn_at, engine_slot);
        self.room.counts(self.table.check(slot));
        self.set_timer(slot, syn_at);
        if let Err(errno) = watched {
            // Its SYN left long ago, where callers drive the loop: an answer may be there.
            let conclusion = self.engine.last_look(engine_slot, &target, syn_at);
            match conclusion.verdict.status {
                Status::TimedOut => self.fail_unwatched(slot, errno, conclusion.closed),
                _ => self.conclude(slot, conclusion),
            }
        }
    }
}
