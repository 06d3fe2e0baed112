//! What a loop does when the process has no descriptor left: close what lies idle, and share what there is with the
//! checker's other loops.

use super::checks::Checks;
use crate::sys::os_error;

/// Idle sockets closed at once for want of descriptors; each costs a few microseconds.
const FREED_AT_ONCE: usize = 64;

impl Checks {
    /// The slot of a socket for the check. When the process has no descriptor left, idle sockets are closed first.
    pub fn acquire_socket(&mut self, slot: u32) -> Result<u32, i32> {
        let check = self.table.check(slot);
        let (target, close_mode, limit) = (check.target, check.close_mode, self.handle.permits.limit());
        let mut socket = self.engine.acquire(&target, close_mode, limit);
        if matches!(socket, Err(errno) if os_error::is_out_of_descriptors(errno)) {
            self.engine.close_idle(FREED_AT_ONCE);
            self.handle.spare.close_all();
            self.declare_shortage();
            // Once more: a socket may have been closed before this loop asked to be woken.
            socket = self.engine.acquire(&target, close_mode, limit);
        }
        if !matches!(socket, Err(errno) if os_error::is_out_of_descriptors(errno)) {
            self.end_shortage();
        }
        socket
    }

    /// From now on, whoever closes a socket of this checker wakes this loop.
    fn declare_shortage(&mut self) {
        self.handle.set_wants_room(true);
        if !self.handle.set_short_of_descriptors(true) {
            self.shared.opener.count_short_loops(1);
            self.engine.set_short_of_descriptors(true);
        }
        self.shared.have_others_close_idle(&self.handle);
    }

    /// This loop has a descriptor again. If others have none, it closes its idle sockets for them.
    pub fn end_shortage(&mut self) {
        if self.handle.is_short_of_descriptors() {
            self.handle.set_short_of_descriptors(false);
            self.shared.opener.count_short_loops(-1);
            self.engine.set_short_of_descriptors(false);
            if self.shared.opener.is_short_of_descriptors() {
                self.close_idle();
            }
        }
    }

    /// Another loop wants a descriptor.
    pub fn close_idle(&mut self) {
        // A loop that has no descriptor itself is about to use its idle sockets.
        if !self.handle.is_short_of_descriptors()
            && (self.engine.close_idle(FREED_AT_ONCE) | self.handle.spare.close_all())
        {
            self.shared.tell_of_descriptor();
        }
    }
}
