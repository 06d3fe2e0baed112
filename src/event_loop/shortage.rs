//! What a loop does when the process has no descriptor left: close what lies idle, and share what there is with the
//! checker's other loops.

use std::net::SocketAddr;
use std::sync::Arc;

use super::handle::LoopHandle;
use super::shared::Shared;
use crate::check::close_mode::CloseMode;
use crate::engine::{Engine, NoSocket};

/// Idle sockets closed at once for want of descriptors; each costs a few microseconds.
const FREED_AT_ONCE: usize = 64;

pub(super) struct Shortage {
    shared: Arc<Shared>,
    handle: Arc<LoopHandle>,
}

impl Shortage {
    pub fn new(shared: Arc<Shared>, handle: Arc<LoopHandle>) -> Shortage {
        Shortage { shared, handle }
    }

    /// A slot of the engine for a check. When the process has no descriptor left, idle sockets are closed first.
    pub fn acquire_socket(
        &self,
        engine: &mut impl Engine,
        target: &SocketAddr,
        close_mode: CloseMode,
        mark: u32,
    ) -> Result<u32, NoSocket> {
        let limit = self.handle.permits.limit();
        let mut socket = engine.acquire(target, close_mode, mark, limit);
        if socket.is_err_and(NoSocket::is_out_of_descriptors) {
            engine.close_idle(FREED_AT_ONCE);
            self.handle.spare.close_all();
            self.declare(engine);
            // Once more: a socket may have been closed before this loop asked to be woken.
            socket = engine.acquire(target, close_mode, mark, limit);
        }
        if !socket.is_err_and(NoSocket::is_out_of_descriptors) {
            self.end(engine);
        }
        socket
    }

    /// From now on, whoever closes a socket of this checker wakes this loop.
    fn declare(&self, engine: &mut impl Engine) {
        self.handle.set_wants_room(true);
        if !self.handle.set_short_of_descriptors(true) {
            self.shared.opener.count_short_loops(1);
            engine.set_short_of_descriptors(true);
        }
        self.shared.have_others_close_idle(&self.handle);
    }

    /// This loop has a descriptor again, or needs none. If others have none, it closes its idle sockets for them.
    pub fn end(&self, engine: &mut impl Engine) {
        if self.handle.is_short_of_descriptors() {
            self.handle.set_short_of_descriptors(false);
            self.shared.opener.count_short_loops(-1);
            engine.set_short_of_descriptors(false);
            if self.shared.opener.is_short_of_descriptors() {
                self.close_idle(engine);
            }
        }
    }

    /// Another loop wants a descriptor.
    pub fn close_idle(&self, engine: &mut impl Engine) {
        // A loop that has no descriptor itself is about to use its idle sockets.
        if !self.handle.is_short_of_descriptors() && (engine.close_idle(FREED_AT_ONCE) | self.handle.spare.close_all())
        {
            self.shared.tell_of_descriptor();
        }
    }
}
