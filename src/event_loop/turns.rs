//! Checks that wait, in the order in which they have their turn.

use super::check::Check;
use crate::check::pieces::Pieces;
use crate::check::slab::Slab;

/// Entries of a piece of a queue: little memory at a time, as a check that has its slot is not to fail for want of it.
const PIECE: usize = 128;

/// Checks that wait for their turn: slot and generation. Entries of checks that are gone are passed over.
#[derive(Default)]
pub(super) struct Queue {
    pub entries: Pieces<(u32, u32), PIECE>,
    /// How many entries are of checks that still wait.
    pub live: usize,
    /// How many entries at the head are of checks that have had their turn.
    returned: usize,
}

impl Queue {
    pub fn push_back(&mut self, slot: u32, generation: u32) {
        match self.entries.is_empty() {
            true => self.entries.push_front((slot, generation)), // many queues have one at most
            false => self.entries.push_back((slot, generation)),
        }
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
        }
    }
}

fn is_queued(checks: &Slab<Check>, slot: u32, generation: u32) -> bool {
    checks.get(slot as usize).is_some_and(|check| check.generation == generation && !check.is_in_flight())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::close_mode::CloseMode;
    use crate::event_loop::check::Owner;
    use crate::event_loop::command::Terms;

    fn check(generation: u32) -> Check {
        let close_mode = CloseMode::HALF_OPEN;
        let terms = Terms { submitted: 0, timeout_ms: 1, close_mode, mark: 0, paced: false, has_token: false, syns: 0 };
        Check::new(Owner::Race { race: 0, early: false }, ([127, 0, 0, 1], 80).into(), generation, false, terms)
    }

    #[test]
    fn entries_of_checks_that_are_gone_do_not_pile_up_behind_one_that_waits() {
        let (mut queue, mut checks) = (Queue::default(), Slab::default());
        let add = |checks: &mut Slab<Check>, queue: &mut Queue| {
            let slot = checks.insert(check(7)) as u32;
            queue.push_back(slot, 7);
            slot
        };
        let first = add(&mut checks, &mut queue);
        let mut others: Vec<u32> = (0..1_000).map(|_| add(&mut checks, &mut queue)).collect();
        while let Some(slot) = others.pop() {
            checks.remove(slot as usize);
            queue.lose_one(&checks);
            let (entries, live) = (queue.entries.len(), queue.live);
            assert!(live == 1 + others.len() && entries <= 64 + 2 * live, "{entries} entries for {live} checks");
        }
        assert_eq!(queue.first(&checks), Some((first, 7)));
    }

    #[test]
    fn those_that_had_their_turn_are_counted_while_others_are_dropped() {
        let (mut queue, mut checks) = (Queue::default(), Slab::default());
        let slots: Vec<u32> = (0..200).map(|_| checks.insert(check(7)) as u32).collect();
        slots.iter().for_each(|&slot| queue.push_front(slot, 7));
        for &slot in &slots[2..] {
            checks.remove(slot as usize);
            queue.lose_one(&checks);
        }
        for slot in [slots[1], slots[0]] {
            assert!(queue.first(&checks) == Some((slot, 7)) && queue.is_first_returned());
            queue.pop_first();
        }
        queue.push_back(slots[0], 7);
        assert!(!queue.is_first_returned() && queue.live == 1);
    }
}
