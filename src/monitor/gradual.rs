//! A hash table of slots that grows bit by bit. An ordinary one moves all that it holds when it is full: of a million that
//! takes a fifth of a second, in which no check would begin.

use hashbrown::HashTable;

use crate::sys::memory::OutOfMemory;

/// So many slots are looked at for each one that is added.
const STEP: u32 = 16;

/// What is in a slot is the caller's, who can tell its hash at any time; `None` of a slot that holds nothing.
pub(super) struct GradualTable {
    current: HashTable<u32>,
    /// What was full, and is moved to the current one.
    old: HashTable<u32>,
    /// Slots before this one were moved.
    moved: u32,
}

impl GradualTable {
    pub fn new() -> GradualTable {
        GradualTable { current: HashTable::new(), old: HashTable::new(), moved: 0 }
    }

    pub fn len(&self) -> usize {
        self.current.len() + self.old.len()
    }

    /// In bytes.
    #[cfg(test)]
    pub fn allocation_size(&self) -> usize {
        self.current.allocation_size() + self.old.allocation_size()
    }

    /// Makes room for so many more.
    pub fn grow_by(&mut self, count: usize, hash: impl Fn(u32) -> Option<u64>) -> Result<(), OutOfMemory> {
        let held = self.len();
        if held + count <= self.current.capacity() {
            return Ok(());
        }
        let mut larger = HashTable::new();
        larger.try_reserve((held + count).max(held + held / 2), |_| 0).map_err(|_| OutOfMemory)?;
        // Seldom are there any left: only if many were removed meanwhile.
        while !self.old.is_empty() {
            self.move_some(&hash);
        }
        self.old = std::mem::replace(&mut self.current, larger);
        self.moved = 0;
        Ok(())
    }

    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut is_it = |slot: &u32| is_it(*slot);
        self.current.find(hash, &mut is_it).or_else(|| self.old.find(hash, &mut is_it)).copied()
    }

    /// Adds a slot that is not in it.
    pub fn insert(&mut self, slot: u32, hash: impl Fn(u32) -> Option<u64>) {
        let _ = self.grow_by(1, &hash);
        self.put(slot, &hash);
        self.move_some(&hash);
    }

    pub fn remove(&mut self, hash: u64, slot: u32) {
        for table in [&mut self.current, &mut self.old] {
            if let Ok(entry) = table.find_entry(hash, |&other| other == slot) {
                entry.remove();
                break;
            }
        }
        self.free_old();
    }

    fn put(&mut self, slot: u32, hash: impl Fn(u32) -> Option<u64>) {
        let known = |slot: u32| hash(slot).unwrap_or_default();
        self.current.insert_unique(known(slot), slot, |&slot| known(slot));
    }

    fn move_some(&mut self, hash: impl Fn(u32) -> Option<u64>) {
        if self.old.is_empty() {
            return;
        }
        let end = self.moved + STEP;
        for slot in self.moved..end {
            let entry = hash(slot).and_then(|hash| self.old.find_entry(hash, |&other| other == slot).ok());
            if let Some(entry) = entry {
                entry.remove();
                self.put(slot, &hash);
            }
        }
        self.moved = end;
        self.free_old();
    }

    /// Gives back the memory of what is moved or removed by now.
    fn free_old(&mut self) {
        if self.old.is_empty() {
            self.old = HashTable::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Few hashes, so that many slots have the same.
    fn hash_of(slot: u32) -> u64 {
        u64::from(slot / 3).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn hash(slot: u32) -> Option<u64> {
        Some(hash_of(slot))
    }

    #[test]
    fn no_one_addition_moves_many() {
        let mut table = GradualTable::new();
        let mut most = 0;
        for slot in 0..100_000 {
            let hashed = std::cell::Cell::new(0);
            table.insert(slot, |slot| {
                hashed.set(hashed.get() + 1);
                hash(slot)
            });
            most = most.max(hashed.get());
        }
        assert!(most <= 2 * STEP + 1, "{most} were hashed at once");
        assert!((0..100_000).all(|slot| table.find(hash_of(slot), |other| other == slot).is_some()));
        assert!(table.old.is_empty() && table.old.capacity() == 0, "nothing is kept of what was full");
    }

    #[test]
    fn room_grows_to_twice_as_much_at_a_time() {
        let mut table = GradualTable::new();
        for slot in 0..10_000 {
            let before = table.current.capacity();
            table.insert(slot, hash);
            assert!(table.current.capacity() <= (2 * before).max(7), "{before} to {}", table.current.capacity());
        }
    }

    #[test]
    fn what_there_is_room_for_needs_no_memory() {
        let mut table = GradualTable::new();
        for slot in 0..1_000 {
            table.insert(slot, hash);
        }
        table.grow_by(10_000, hash).unwrap();
        let room = table.current.capacity();
        assert!(room < 22_000, "as much as is needed, and no more: {room}");
        for slot in 1_000..11_000 {
            table.insert(slot, hash);
        }
        assert_eq!(table.current.capacity(), room);
    }

    #[test]
    fn what_was_full_is_given_back_when_the_rest_of_it_is_removed() {
        let mut table = GradualTable::new();
        let mut count = 0;
        while table.old.len() < 100 {
            table.insert(count, hash);
            count += 1;
        }
        for slot in 0..count {
            table.remove(hash_of(slot), slot);
        }
        assert_eq!((table.len(), table.old.capacity()), (0, 0));
    }

    proptest! {
        /// Against a plain list of what is in it.
        #[test]
        fn a_slot_is_found_from_its_insertion_to_its_removal(steps in proptest::collection::vec((0..2_000u32, any::<bool>()), 1..6_000)) {
            let mut table = GradualTable::new();
            let mut held = std::collections::BTreeSet::new();
            for (slot, adds) in steps {
                let known = |slot: u32| held.contains(&slot).then(|| hash_of(slot));
                let found = table.find(hash_of(slot), |other| other == slot);
                prop_assert_eq!(found, held.get(&slot).copied());
                if adds && found.is_none() {
                    table.insert(slot, |other| if other == slot { hash(slot) } else { known(other) });
                    held.insert(slot);
                } else if !adds {
                    table.remove(hash_of(slot), slot);
                    held.remove(&slot);
                }
            }
            for slot in 0..2_000 {
                prop_assert_eq!(table.find(hash_of(slot), |other| other == slot), held.get(&slot).copied());
            }
        }
    }
}
