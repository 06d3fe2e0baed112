//! The sockets of one loop: in use for a check, or reset and idle.

use super::tcp_socket::Socket;
use crate::check::slab::Slab;
use crate::check::slot::SlotKey;
use crate::sys::memory::OutOfMemory;

/// A socket, and the check that it serves.
pub(super) struct SocketSlot {
    pub socket: Socket,
    pub check: Option<SlotKey>,
    /// It is registered with the poller.
    pub watched: bool,
    /// The poller did not take it, and mio would not offer it again.
    pub unwatchable: bool,
    /// It came with a check that began on a caller's thread, and goes back to the callers after it.
    pub from_caller: bool,
}

#[derive(Default)]
pub(super) struct Pool {
    slots: Slab<SocketSlot>,
    /// Slots whose sockets are reset and unused, IPv4 and IPv6.
    idle: [Idle; 2],
}

/// Idle slots of one family. The last used is used first, so those at the bottom are the ones that nobody needs.
#[derive(Default)]
struct Idle {
    slots: Vec<u32>,
    /// How many at the bottom have not been touched since [`Pool::mark_untouched`].
    untouched: usize,
}

impl Pool {
    /// Makes room for one more.
    pub fn grow(&mut self) -> Result<(), OutOfMemory> {
        self.slots.grow()
    }

    pub fn insert(&mut self, socket: Socket, from_caller: bool) -> u32 {
        self.slots.insert(SocketSlot { socket, check: None, watched: false, unwatchable: false, from_caller }) as u32
    }

    pub fn remove(&mut self, slot: u32) -> SocketSlot {
        self.slots.remove(slot as usize)
    }

    pub fn get(&self, slot: u32) -> Option<&SocketSlot> {
        self.slots.get(slot as usize)
    }

    pub fn slot(&mut self, slot: u32) -> &mut SocketSlot {
        &mut self.slots[slot as usize]
    }

    /// Sockets there are, idle ones included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn idle(&self) -> usize {
        self.idle.iter().map(|idle| idle.slots.len()).sum()
    }

    /// The slot's socket waits for the next check of its family, unless there is no memory to find it again.
    pub fn put_idle(&mut self, slot: u32) -> Result<(), OutOfMemory> {
        let family = usize::from(self.slots[slot as usize].socket.is_v6());
        let idle = &mut self.idle[family].slots;
        idle.try_reserve(1)?;
        idle.push(slot);
        Ok(())
    }

    pub fn take_idle(&mut self, v6: bool) -> Option<u32> {
        let idle = &mut self.idle[usize::from(v6)];
        let slot = idle.slots.pop();
        idle.untouched = idle.untouched.min(idle.slots.len());
        slot
    }

    /// An idle slot of any family.
    pub fn take_any_idle(&mut self) -> Option<u32> {
        self.take_idle(false).or_else(|| self.take_idle(true))
    }

    /// From now on an idle slot that is not used counts as untouched.
    pub fn mark_untouched(&mut self) {
        self.idle.iter_mut().for_each(|idle| idle.untouched = idle.slots.len());
    }

    /// Up to `most` idle slots that were not used since they were marked; they are idle no more.
    pub fn take_untouched(&mut self, most: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        for idle in &mut self.idle {
            let count = idle.untouched.min(most - taken.len());
            idle.untouched -= count;
            taken.extend(idle.slots.drain(..count));
        }
        taken
    }

    pub fn has_untouched(&self) -> bool {
        self.idle.iter().any(|idle| idle.untouched > 0)
    }

    /// Gives back the memory that a burst took.
    pub fn shrink(&mut self) {
        self.slots.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::close_mode::CloseMode;
    use crate::engine::socket::opener::Opener;
    use crate::engine::wire::Wire;

    fn pool_of(families: &[bool]) -> Pool {
        let opener = Opener::new(Wire::default());
        let mut pool = Pool::default();
        for &v6 in families {
            let slot = pool.insert(opener.open(v6, CloseMode::HALF_OPEN, 0).unwrap(), false);
            pool.put_idle(slot).unwrap();
        }
        pool
    }

    #[test]
    fn the_socket_that_was_used_last_is_used_first_and_keeps_to_its_family() {
        let mut pool = pool_of(&[false, true, false]);
        assert_eq!(pool.take_idle(false), Some(2));
        assert_eq!(pool.take_idle(false), Some(0));
        assert_eq!(pool.take_idle(false), None);
        assert_eq!(pool.take_idle(true), Some(1));
        assert_eq!((pool.idle(), pool.len()), (0, 3));
    }

    #[test]
    fn only_sockets_that_nobody_used_since_the_mark_are_untouched() {
        let mut pool = pool_of(&[false, false, true]);
        pool.mark_untouched();
        let used = pool.take_idle(false).unwrap();
        pool.put_idle(used).unwrap();
        assert_eq!(pool.take_untouched(1), [0]);
        assert!(pool.has_untouched());
        assert_eq!(pool.take_untouched(8), [2]);
        assert!(!pool.has_untouched());
        assert_eq!(pool.idle(), 1);
    }
}
