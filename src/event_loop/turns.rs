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
    /// How many entries at the head are of checks that have had their turn.
    returned: usize,
}

impl Queue {
    pub fn push_back(&mut self, slot: u32, generation: u32) {
        self.entries.push_back((slot, generation));
        self.live += 1;
    }

    /// For a check that has had its turn.
    pub fn push_front(&mut self, slot: u32, generation: u32) {
        self.entries.push_front((slot, generation));
        self.live += 1;
        self.returned += 1;
    }

    /// The check whose turn it is has it.
    pub fn pop_first(&mut self) {
        self.pop();
        self.live -= 1;
    }

    fn pop(&mut self) {
        self.entries.pop_front();
        self.returned = self.returned.saturating_sub(1);
    }

    /// Whether the check at the head has had its turn, so that it goes before those of other queues.
    pub fn is_first_returned(&self) -> bool {
        self.returned > 0
    }

    /// Slot and generation of the check whose turn it is.
    pub fn first(&mut self, checks: &Slab<Check>) -> Option<(u32, u32)> {
        while let Some(&(slot, generation)) = self.entries.front() {
            if is_queued(checks, slot, generation) {
                return Some((slot, generation));
            }
            self.pop();
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
            let waits = |&(slot, generation): &(u32, u32)| is_queued(checks, slot, generation);
            self.returned = self.entries.iter().take(self.returned).filter(|entry| waits(entry)).count();
            self.entries.retain(waits);
            self.entries.shrink_to(2 * self.live + 64);
        }
    }
}

fn is_queued(checks: &Slab<Check>, slot: u32, generation: u32) -> bool {
    checks.get(slot as usize).is_some_and(|check| check.generation == generation && !check.is_in_flight())
}
