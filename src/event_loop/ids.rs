//! Where the check of an id is, for a cancel.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// In which table the check of an id is, and its slot there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Check(u32),
    Race(u32),
}

/// Ids are consecutive numbers, and a multiplication by the golden ratio spreads them (Knuth).
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// In the map, the slot is a race's.
const RACE: u32 = 1 << 31;

#[derive(Default)]
pub(super) struct Ids {
    by_id: HashMap<u64, u32, BuildHasherDefault<IdHasher>>,
}

impl Ids {
    /// Notes where a submitted check is, for a cancel. Blocking checks have the id 0 and are not noted.
    pub fn remember(&mut self, id: u64, place: Place) {
        if id != 0 {
            let place = match place {
                Place::Check(slot) => slot,
                Place::Race(slot) => slot | RACE,
            };
            self.by_id.insert(id, place);
        }
    }

    pub fn forget(&mut self, id: u64) {
        if id != 0 {
            self.by_id.remove(&id);
        }
    }

    pub fn find(&self, id: u64) -> Option<Place> {
        self.by_id.get(&id).map(|&place| match place & RACE {
            0 => Place::Check(place),
            _ => Place::Race(place & !RACE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_to_its_check_or_its_race_until_it_is_forgotten() {
        let mut ids = Ids::default();
        ids.remember(5, Place::Check(3));
        ids.remember(6, Place::Race(3));
        ids.remember(0, Place::Check(1));
        assert_eq!((ids.find(5), ids.find(6), ids.find(0)), (Some(Place::Check(3)), Some(Place::Race(3)), None));
        ids.forget(5);
        assert_eq!(ids.find(5), None);
    }
}
