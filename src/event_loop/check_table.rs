//! The checks of a loop, and those that wait for their turn in a queue.

use std::collections::HashMap;

use super::check::{Check, Stage};
use super::ids::Ids;
use super::turns::Queue;
use crate::check::slab::Slab;
use crate::sys::memory::OutOfMemory;

fn id_in(checks: &Slab<Check>, slot: u32) -> u64 {
    checks.get(slot as usize).map_or(0, Check::id)
}

/// Of the number of a queue: its checks are of lists.
const LISTED: usize = 1;
/// The same: their targets gave no answer last time.
const SILENT: usize = 2;

fn queue_of(check: &Check) -> usize {
    (if check.listed { LISTED } else { 0 }) | (if check.silent { SILENT } else { 0 })
}

#[derive(Default)]
pub(super) struct CheckTable {
    checks: Slab<Check>,
    /// Each kind of checks has a queue of its own, since others may go on while one kind has to wait.
    queues: [Queue; 4],
    /// Checks that wait until another one with the same destination has ended.
    by_destination: HashMap<u32, Queue>,
    /// Of all that wait, those whose time runs.
    timed: usize,
    /// Where each submitted check is.
    ids: Ids,
    generation: u32,
}

impl CheckTable {
    pub fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }

    /// Whether what has this generation came before another one, which is among the latest. It may have come so long ago
    /// that generations have wrapped around half of the way since.
    pub fn is_older(&self, generation: u32, other: u32) -> bool {
        generation.wrapping_sub(other) > self.generation.wrapping_sub(other)
    }

    #[cfg(test)]
    pub fn pass_generations(&mut self, count: u32) {
        self.generation = self.generation.wrapping_add(count);
    }

    /// Makes room for one more, wherever it will stand.
    pub fn grow(&mut self) -> Result<(), OutOfMemory> {
        self.checks.grow()?;
        self.ids.grow(|slot| id_in(&self.checks, slot))
    }

    /// The check's slot. Whether it waits for its turn is said by [`CheckTable::queue`].
    pub fn insert(&mut self, check: Check) -> u32 {
        let id = check.id();
        let slot = self.checks.insert(check) as u32;
        self.ids.remember(id, slot, |slot| id_in(&self.checks, slot));
        slot
    }

    /// Of one that waits for its target, [`CheckTable::lose_one_of`] says so to the others.
    pub fn remove(&mut self, slot: u32) -> Check {
        let check = self.checks.remove(slot as usize);
        self.ids.forget(check.id(), slot);
        if !check.is_in_flight() {
            self.timed -= usize::from(check.stage() == Stage::Queued);
            if !check.waits_for_target {
                self.queues[queue_of(&check)].lose_one(&self.checks);
            }
        }
        check
    }

    pub fn get(&self, slot: u32) -> Option<&Check> {
        self.checks.get(slot as usize)
    }

    pub fn is_in_flight(&self, slot: u32) -> bool {
        self.get(slot).is_some_and(Check::is_in_flight)
    }

    pub fn check(&mut self, slot: u32) -> &mut Check {
        &mut self.checks[slot as usize]
    }

    /// The submitted check of an id.
    pub fn find(&self, id: u64) -> Option<u32> {
        self.ids.find(id, |slot| id_in(&self.checks, slot))
    }

    /// A submitted check becomes one of a race, where its id leads from now on.
    pub fn give_to_race(&mut self, slot: u32, race: u32) {
        let check = &mut self.checks[slot as usize];
        self.ids.forget(check.id(), slot);
        check.become_of_race(race);
    }

    /// Puts a check at the end of its queue.
    pub fn queue(&mut self, slot: u32) {
        let (generation, queue) = self.comes_to_wait(slot);
        self.queues[queue].push_back(slot, generation);
    }

    /// Puts a check that has had its turn at the head of its queue.
    pub fn queue_first(&mut self, slot: u32) {
        let (generation, queue) = self.comes_to_wait(slot);
        self.queues[queue].push_front(slot, generation);
    }

    /// Its generation, and the number of its queue.
    fn comes_to_wait(&mut self, slot: u32) -> (u32, usize) {
        let check = &self.checks[slot as usize];
        self.timed += usize::from(check.stage() == Stage::Queued);
        (check.generation, queue_of(check))
    }

    /// Has the check at the head of its queue wait until another one with its destination has ended.
    pub fn wait_for_target(&mut self, slot: u32, destination: u32) -> Result<(), OutOfMemory> {
        self.by_destination.try_reserve(1)?;
        let check = &mut self.checks[slot as usize];
        check.waits_for_target = true;
        let generation = check.generation;
        self.queues[queue_of(check)].pop_first();
        self.by_destination.entry(destination).or_default().push_back(slot, generation);
        Ok(())
    }

    /// Whether checks wait until another one with their destination has ended.
    pub fn has_some_for_targets(&self) -> bool {
        !self.by_destination.is_empty()
    }

    /// A check with this destination has ended: the first of those that wait for that is at the head of its queue again.
    pub fn target_is_free(&mut self, destination: u32) {
        let Some(queue) = self.by_destination.get_mut(&destination) else { return };
        let first = queue.first(&self.checks);
        if first.is_some() {
            queue.pop_first();
        }
        if queue.live == 0 || first.is_none() {
            self.by_destination.remove(&destination);
        }
        if let Some((slot, generation)) = first {
            let check = &mut self.checks[slot as usize];
            check.waits_for_target = false;
            self.queues[queue_of(check)].push_front(slot, generation);
        }
    }

    /// A check that waited for another one with this destination is gone.
    pub fn lose_one_of(&mut self, destination: u32) {
        if let Some(queue) = self.by_destination.get_mut(&destination) {
            queue.lose_one(&self.checks);
            if queue.live == 0 {
                self.by_destination.remove(&destination);
            }
        }
    }

    /// Moves a check from the head of its queue to the end of that of silent targets.
    pub fn move_to_silent(&mut self, slot: u32) {
        let check = &mut self.checks[slot as usize];
        self.queues[queue_of(check)].pop_first();
        check.silent = true;
        self.timed -= usize::from(check.stage() == Stage::Queued);
        self.queue(slot);
    }

    /// The check whose turn it is, of those that may start: one that has had its turn, or else the one that came first.
    pub fn first_queued(&mut self, silent_may_start: bool, lists_may_start: bool) -> Option<u32> {
        let mut first: Option<(bool, u32, u32)> = None;
        for (number, queue) in self.queues.iter_mut().enumerate() {
            if number & SILENT != 0 && !silent_may_start || number & LISTED != 0 && !lists_may_start {
                continue;
            }
            let Some((slot, generation)) = queue.first(&self.checks) else { continue };
            let is_returned = queue.is_first_returned();
            let goes_before = |(is_other_returned, _, other): (bool, u32, u32)| {
                is_returned && !is_other_returned || is_returned == is_other_returned && is_before(generation, other)
            };
            if first.is_none_or(goes_before) {
                first = Some((is_returned, slot, generation));
            }
        }
        first.map(|(_, slot, _)| slot)
    }

    /// The check at the head of its queue is in flight now.
    pub fn start_first(&mut self, slot: u32, syn_at: u64, engine_slot: u32) {
        let check = &self.checks[slot as usize];
        self.timed -= usize::from(check.stage() == Stage::Queued);
        self.queues[queue_of(check)].pop_first();
        self.put_in_flight(slot, syn_at, engine_slot);
    }

    /// The check has its slot of the engine, and its SYN is about to leave.
    pub fn put_in_flight(&mut self, slot: u32, syn_at: u64, engine_slot: u32) {
        let check = &mut self.checks[slot as usize];
        check.starts(engine_slot, syn_at);
    }

    /// Whether a check waits for its turn, and for nothing else.
    pub fn has_queued(&self) -> bool {
        self.queues.iter().any(|queue| queue.live > 0)
    }

    /// Checks that wait for their turn while their time runs.
    pub fn queued_in_time(&self) -> usize {
        self.timed
    }

    /// Checks that wait for their turn.
    pub fn queued(&self) -> usize {
        self.queues.iter().chain(self.by_destination.values()).map(|queue| queue.live).sum()
    }

    /// Those of them whose targets are not known to be silent.
    pub fn queued_of_others(&self) -> usize {
        self.queues[..SILENT].iter().map(|queue| queue.live).sum()
    }

    /// Slots that may hold a check.
    pub fn slots(&self) -> u32 {
        self.checks.capacity() as u32
    }

    pub fn len(&self) -> usize {
        self.checks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// Gives back the memory of a burst. Only when there is no check.
    pub fn reset(&mut self) {
        *self = CheckTable { generation: self.generation, ..CheckTable::default() };
    }
}

/// Whether the generation of something came before another one. Generations wrap around.
fn is_before(generation: u32, other: u32) -> bool {
    (generation.wrapping_sub(other) as i32) < 0
}

#[cfg(test)]
mod tests;
