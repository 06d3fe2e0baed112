//! Checks that wait, in the order in which they have their turn.

use std::collections::VecDeque;

use super::check::Check;
use crate::check::slab::Slab;

/// An empty queue keeps memory for so many entries at most: while all checks are in flight, they are to cost little.
pub(super) const ENTRIES_KEPT: usize = 1 << 15;

/// Checks that wait for their turn: slot and generation. Entries of checks that are gone are passed over.
#[derive(Default)]
pub(super) struct Queue {
    pub entries: VecDeque<(u32, u32)>,
    /// How many entries are of checks that still wait.
    pub live: usize,
}

impl Queue {
    pub fn push_back(&mut self, slot: u32, generation: u32) {
        self.entries.push_back((slot, generation));
        self.live += 1;
    }

    pub fn push_front(&mut self, slot: u32, generation: u32) {
        self.entries.push_front((slot, generation));
        self.live += 1;
    }

    /// The check whose turn it is has it.
    pub fn pop_first(&mut self) {
        self.entries.pop_front();
        self.live -= 1;
    }

    /// Slot and generation of the check whose turn it is.
    pub fn first(&mut self, checks: &Slab<Check>) -> Option<(u32, u32)> {
        while let Some(&(slot, generation)) = self.entries.front() {
            if is_queued(checks, slot, generation) {
                return Some((slot, generation));
            }
            self.entries.pop_front();
        }
        if self.entries.capacity() > ENTRIES_KEPT {
            self.entries = VecDeque::new();
        }
        None
    }

    /// A check that waited here is gone. Its entry stays, so entries are dropped now and then: they must not pile up
    /// while the head of the queue waits.
    pub fn lose_one(&mut self, checks: &Slab<Check>) {
        self.live -= 1;
        if self.entries.len() > 64 + 2 * self.live {
            self.entries.retain(|&(slot, generation)| is_queued(checks, slot, generation));
            self.entries.shrink_to(2 * self.live + 64);
        }
    }
}

fn is_queued(checks: &Slab<Check>, slot: u32, generation: u32) -> bool {
    checks.get(slot as usize).is_some_and(|check| check.generation == generation && !check.is_in_flight())
}
