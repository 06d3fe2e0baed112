//! The checks of a loop, and those that wait for their turn in a queue.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::check::{Check, Stage};
use super::ids::Ids;
use super::turns::Queue;
use crate::check::slab::Slab;
use crate::sys::memory::OutOfMemory;

fn id_in(checks: &Slab<Check>, slot: u32) -> u64 {
    checks.get(slot as usize).map_or(0, Check::id)
}

#[derive(Default)]
pub(super) struct CheckTable {
    checks: Slab<Check>,
    queue: Queue,
    /// Checks of targets that gave no answer last time.
    silent_queue: Queue,
    /// Checks that wait until another one of the same target has ended.
    by_target: HashMap<SocketAddr, Queue>,
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

    /// Makes room for one more, wherever it will stand.
    pub fn grow(&mut self) -> Result<(), OutOfMemory> {
        self.checks.grow()?;
        self.ids.grow(|slot| id_in(&self.checks, slot))?;
        self.queue.entries.try_reserve(1)?;
        Ok(self.silent_queue.entries.try_reserve(1)?)
    }

    /// The check's slot. Whether it waits for its turn is said by [`CheckTable::queue`].
    pub fn insert(&mut self, check: Check) -> u32 {
        let id = check.id();
        let slot = self.checks.insert(check) as u32;
        self.ids.remember(id, slot, |slot| id_in(&self.checks, slot));
        slot
    }

    pub fn remove(&mut self, slot: u32) -> Check {
        let check = self.checks.remove(slot as usize);
        self.ids.forget(check.id(), slot);
        if !check.is_in_flight() {
            self.timed -= usize::from(check.stage() == Stage::Queued);
            if check.waits_for_target {
                self.lose_one_of_target(&check.target());
            } else {
                let queue = if check.silent { &mut self.silent_queue } else { &mut self.queue };
                queue.lose_one(&self.checks);
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
        let (generation, silent) = self.comes_to_wait(slot);
        self.queue_of(silent).push_back(slot, generation);
    }

    /// Puts a check that has had its turn at the head of its queue.
    pub fn queue_first(&mut self, slot: u32) {
        let (generation, silent) = self.comes_to_wait(slot);
        self.queue_of(silent).push_front(slot, generation);
    }

    /// Its generation, and whether it is for the queue of silent targets.
    fn comes_to_wait(&mut self, slot: u32) -> (u32, bool) {
        let check = &self.checks[slot as usize];
        self.timed += usize::from(check.stage() == Stage::Queued);
        (check.generation, check.silent)
    }

    /// Has the check at the head of its queue wait until another one of its target has ended.
    pub fn wait_for_target(&mut self, slot: u32) {
        let check = &mut self.checks[slot as usize];
        check.waits_for_target = true;
        let (target, generation, silent) = (check.target(), check.generation, check.silent);
        let queue = self.queue_of(silent);
        queue.pop_first();
        self.by_target.entry(target).or_default().push_back(slot, generation);
    }

    /// A check of this target has ended: the first of those that wait for that is at the head of its queue again.
    pub fn target_is_free(&mut self, target: &SocketAddr) {
        if self.by_target.is_empty() {
            return;
        }
        let Some(queue) = self.by_target.get_mut(target) else { return };
        if let Some((slot, generation)) = queue.first(&self.checks) {
            queue.pop_first();
            if queue.live == 0 {
                self.by_target.remove(target);
            }
            let check = &mut self.checks[slot as usize];
            check.waits_for_target = false;
            let silent = check.silent;
            self.queue_of(silent).push_front(slot, generation);
        }
    }

    /// A check that waited for another one of its target is gone.
    fn lose_one_of_target(&mut self, target: &SocketAddr) {
        if let Some(queue) = self.by_target.get_mut(target) {
            queue.lose_one(&self.checks);
            if queue.live == 0 {
                self.by_target.remove(target);
            }
        }
    }

    /// Moves a check from the head of its queue to the end of that of silent targets.
    pub fn move_to_silent(&mut self, slot: u32) {
        self.queue.pop_first();
        let check = &mut self.checks[slot as usize];
        check.silent = true;
        self.timed -= usize::from(check.stage() == Stage::Queued);
        self.queue(slot);
    }

    fn queue_of(&mut self, silent: bool) -> &mut Queue {
        if silent { &mut self.silent_queue } else { &mut self.queue }
    }

    /// The check whose turn it is: the one that came first, of those that may start.
    pub fn first_queued(&mut self, silent_may_start: bool) -> Option<u32> {
        let first = self.queue.first(&self.checks);
        let silent = if silent_may_start { self.silent_queue.first(&self.checks) } else { None };
        match (first, silent) {
            (Some((_, generation)), Some((silent, silent_generation))) if is_before(silent_generation, generation) => {
                Some(silent)
            }
            (Some((slot, _)), _) | (None, Some((slot, _))) => Some(slot),
            (None, None) => None,
        }
    }

    /// The check at the head of its queue is in flight now.
    pub fn start_first(&mut self, slot: u32, syn_at: u64, engine_slot: u32) {
        let check = &self.checks[slot as usize];
        self.timed -= usize::from(check.stage() == Stage::Queued);
        let silent = check.silent;
        let queue = self.queue_of(silent);
        queue.pop_first();
        self.put_in_flight(slot, syn_at, engine_slot);
    }

    /// The check has its slot of the engine, and its SYN is about to leave.
    pub fn put_in_flight(&mut self, slot: u32, syn_at: u64, engine_slot: u32) {
        let check = &mut self.checks[slot as usize];
        check.starts(engine_slot, syn_at);
    }

    /// Whether a check waits for its turn, and for nothing else.
    pub fn has_queued(&self) -> bool {
        self.queue.live + self.silent_queue.live > 0
    }

    /// Checks that wait for their turn while their time runs.
    pub fn queued_in_time(&self) -> usize {
        self.timed
    }

    /// Checks that wait for their turn.
    pub fn queued(&self) -> usize {
        let waiting: usize = self.by_target.values().map(|queue| queue.live).sum();
        self.queue.live + self.silent_queue.live + waiting
    }

    /// Those of them whose targets are not known to be silent.
    pub fn queued_of_others(&self) -> usize {
        self.queue.live
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
pub(super) fn is_before(generation: u32, other: u32) -> bool {
    (generation.wrapping_sub(other) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::close_mode::CloseMode;
    use crate::check::slot::SlotKey;
    use crate::event_loop::check::Owner;
    use crate::event_loop::command::Terms;
    use crate::event_loop::outbox::ReplyTo;
    use crate::event_loop::turns::ENTRIES_KEPT;

    const SUBMITTED: u64 = 5_000_000_000;

    fn check_of(table: &mut CheckTable, owner: Owner) -> Check {
        let (submitted, close_mode) = (SUBMITTED, CloseMode::HALF_OPEN);
        let terms = Terms { submitted, timeout_ms: 1, close_mode, mark: 0, paced: false, has_token: false, syns: 0 };
        Check::new(owner, ([127, 0, 0, 1], 80).into(), table.next_generation(), false, terms)
    }

    fn add(table: &mut CheckTable) -> u32 {
        let check = check_of(table, Owner::Race { race: 0, early: false });
        table.insert(check)
    }

    fn submit(table: &mut CheckTable, id: u64) -> u32 {
        let check = check_of(table, Owner::Submitter(ReplyTo { sink: SlotKey::of(0), id, tag: 0 }));
        table.insert(check)
    }

    #[test]
    fn a_submitted_check_is_found_by_its_id_until_it_is_gone_or_a_races() {
        let mut table = CheckTable::default();
        let slots: Vec<u32> = (1..=1000).map(|id| submit(&mut table, id)).collect();
        let blocking = submit(&mut table, 0);
        assert_eq!((table.find(1), table.find(1000), table.find(0)), (Some(slots[0]), Some(slots[999]), None));
        for &slot in &slots {
            table.put_in_flight(slot, SUBMITTED, 0);
        }
        table.put_in_flight(blocking, SUBMITTED, 0);
        table.remove(slots[0]);
        assert_eq!((table.find(1), table.find(2)), (None, Some(slots[1])));
        table.give_to_race(slots[1], 7);
        assert_eq!(table.find(2), None);
        assert!(matches!(table.remove(slots[1]).owner(), Owner::Race { race: 7, early: false }));
        table.remove(blocking);
    }

    #[test]
    fn a_million_checks_cost_what_the_promise_leaves_for_them() {
        /// As `Slab` has it.
        enum Entry {
            _Vacant(usize),
            _Occupied(Check),
        }
        let mut table = CheckTable::default();
        for id in 1..=1_000_000 {
            submit(&mut table, id);
        }
        let bytes = table.checks.capacity() * size_of::<Entry>() + table.ids.bytes();
        assert!(bytes <= 105_000_000, "{bytes} bytes");
    }

    #[test]
    fn checks_start_in_the_order_they_came_and_one_that_had_its_turn_goes_first() {
        let mut table = CheckTable::default();
        let (first, second, third) = (add(&mut table), add(&mut table), add(&mut table));
        table.queue(first);
        table.queue(second);
        table.queue_first(third);
        let mut started = Vec::new();
        while let Some(slot) = table.first_queued(true) {
            started.push(slot);
            table.start_first(slot, 0, 0);
        }
        assert_eq!(started, [third, first, second]);
        assert!(!table.has_queued());
    }

    #[test]
    fn silent_targets_wait_in_a_queue_of_their_own_and_start_in_their_turn_when_they_may() {
        let mut table = CheckTable::default();
        let (silent, other) = (add(&mut table), add(&mut table));
        table.check(silent).silent = true;
        table.queue(silent);
        table.queue(other);
        assert_eq!(table.first_queued(true), Some(silent));
        assert_eq!(table.first_queued(false), Some(other));
        table.start_first(other, 0, 0);
        assert_eq!(table.first_queued(false), None);
        assert_eq!((table.queued(), table.queued_of_others()), (1, 0));
        table.remove(silent);
        assert!(!table.has_queued());
    }

    #[test]
    fn a_later_check_in_the_slot_of_a_cancelled_one_waits_for_its_own_turn() {
        let mut table = CheckTable::default();
        let (cancelled, other) = (add(&mut table), add(&mut table));
        table.queue(cancelled);
        table.queue(other);
        table.remove(cancelled);
        let later = add(&mut table);
        assert_eq!(later, cancelled);
        table.queue(later);
        assert_eq!(table.first_queued(true), Some(other));
        assert_eq!(table.queued(), 2);
    }

    #[test]
    fn a_queue_whose_checks_are_all_in_flight_holds_little() {
        let mut table = CheckTable::default();
        for _ in 0..100_000 {
            let slot = add(&mut table);
            table.queue(slot);
        }
        while let Some(slot) = table.first_queued(true) {
            table.start_first(slot, SUBMITTED, 0);
        }
        assert!(table.queue.entries.capacity() <= ENTRIES_KEPT);
    }

    #[test]
    fn checks_that_are_gone_leave_nothing_behind_a_head_that_waits() {
        let mut table = CheckTable::default();
        let head = add(&mut table);
        table.queue(head);
        for _ in 0..100_000 {
            let slot = add(&mut table);
            table.queue(slot);
            table.remove(slot);
        }
        assert_eq!(table.first_queued(true), Some(head));
        assert!(table.queue.entries.capacity() < 1_000, "room for {} entries", table.queue.entries.capacity());
    }

    #[test]
    fn checks_that_wait_for_their_target_let_others_by_and_come_first_when_it_is_free() {
        let mut table = CheckTable::default();
        let (first, second, third) = (add(&mut table), add(&mut table), add(&mut table));
        [first, second, third].into_iter().for_each(|slot| table.queue(slot));
        table.wait_for_target(first);
        table.wait_for_target(second);
        assert_eq!((table.first_queued(true), table.queued(), table.queued_in_time()), (Some(third), 3, 3));
        table.remove(first);
        let target = table.check(second).target();
        table.target_is_free(&([127, 0, 0, 9], 80).into());
        assert_eq!(table.first_queued(true), Some(third), "another target");
        table.target_is_free(&target);
        assert_eq!(table.first_queued(true), Some(second));
        table.target_is_free(&target);
        table.start_first(second, SUBMITTED, 0);
        table.start_first(third, SUBMITTED, 0);
        assert!(!table.has_queued() && table.by_target.is_empty());
    }
}
