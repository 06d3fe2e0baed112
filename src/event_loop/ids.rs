//! In which slot of a table the check of an id is, for a cancel.

use hashbrown::HashTable;

use crate::sys::memory::OutOfMemory;

/// The slots of a table whose ids may be cancelled. The ids stand in that table only, so that an entry is small; who
/// looks one up, or adds one, says how to read the id of a slot.
///
/// Blocking checks have the id 0 and are not noted.
#[derive(Default)]
pub(super) struct Ids {
    slots: HashTable<u32>,
}

impl Ids {
    /// Notes what came into a slot. All that were noted before must still be in theirs.
    pub fn remember(&mut self, id: u64, slot: u32, id_of: impl Fn(u32) -> u64) {
        if id != 0 {
            self.slots.insert_unique(hash_of(id), slot, |slot| hash_of(id_of(*slot)));
        }
    }

    /// Makes room for one more.
    pub fn grow(&mut self, id_of: impl Fn(u32) -> u64) -> Result<(), OutOfMemory> {
        self.slots.try_reserve(1, |slot| hash_of(id_of(*slot))).map_err(|_| OutOfMemory)
    }

    pub fn forget(&mut self, id: u64, slot: u32) {
        if id != 0
            && let Ok(entry) = self.slots.find_entry(hash_of(id), |other| *other == slot)
        {
            entry.remove();
        }
    }

    pub fn find(&self, id: u64, id_of: impl Fn(u32) -> u64) -> Option<u32> {
        self.slots.find(hash_of(id), |slot| id_of(*slot) == id).copied()
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.slots.allocation_size()
    }
}

/// Ids are consecutive numbers, and a multiplication by the golden ratio spreads them (Knuth).
fn hash_of(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_to_its_slot_until_it_is_forgotten() {
        let table: Vec<u64> = (0..1000).map(|slot| slot / 2).collect(); // the ids of its slots
        let id_of = |slot: u32| table[slot as usize];
        let mut ids = Ids::default();
        for slot in (0..1000).step_by(2) {
            ids.remember(id_of(slot), slot, id_of);
        }
        assert_eq!((ids.find(5, id_of), ids.find(499, id_of), ids.find(500, id_of)), (Some(10), Some(998), None));
        assert_eq!(ids.find(0, id_of), None, "it is no id");
        ids.forget(5, 11);
        assert_eq!(ids.find(5, id_of), Some(10), "another slot was meant");
        ids.forget(5, 10);
        assert_eq!(ids.find(5, id_of), None);
    }
}
