//! A table of numbered slots, each of which may hold something. Memory that it cannot have for another one is an error,
//! which it is not with the crate of this name.

use std::ops::{Index, IndexMut};

use crate::sys::memory::{OutOfMemory, shrink};

/// Of vacant slots, each names the next one.
enum Slot<T> {
    Vacant(usize),
    Occupied(T),
}

pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// The vacant slot that is used first; the number of slots if there is none.
    vacant: usize,
    len: usize,
}

impl<T> Slab<T> {
    pub const fn new() -> Slab<T> {
        Slab { slots: Vec::new(), vacant: 0, len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Slots that are or were in use, and those that there is room for.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// Makes room for one more.
    pub fn grow(&mut self) -> Result<(), OutOfMemory> {
        self.grow_by(1)
    }

    /// Makes room for so many more.
    pub fn grow_by(&mut self, count: usize) -> Result<(), OutOfMemory> {
        if self.len + count > self.slots.capacity() {
            // A sixteenth more, not twice as much: the memory of a check in flight is a promise.
            let more = (self.len / 16).max(64).max(count);
            self.slots.try_reserve_exact(more).or_else(|_| self.slots.try_reserve_exact(count))?;
        }
        Ok(())
    }

    /// The slot that the next one comes into.
    pub fn vacant_key(&self) -> usize {
        self.vacant
    }

    pub fn insert(&mut self, item: T) -> usize {
        let key = self.vacant;
        if key == self.slots.len() {
            let _ = self.grow();
            self.slots.push(Slot::Occupied(item));
            self.vacant = key + 1;
        } else if let Slot::Vacant(next) = std::mem::replace(&mut self.slots[key], Slot::Occupied(item)) {
            self.vacant = next;
        }
        self.len += 1;
        key
    }

    /// Takes what is in a slot, which must hold something.
    pub fn remove(&mut self, key: usize) -> T {
        if let Some(slot @ Slot::Occupied(_)) = self.slots.get_mut(key)
            && let Slot::Occupied(item) = std::mem::replace(slot, Slot::Vacant(self.vacant))
        {
            self.vacant = key;
            self.len -= 1;
            return item;
        }
        unreachable!("nothing is in slot {key}")
    }

    pub fn get(&self, key: usize) -> Option<&T> {
        match self.slots.get(key) {
            Some(Slot::Occupied(item)) => Some(item),
            _ => None,
        }
    }

    pub fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        match self.slots.get_mut(key) {
            Some(Slot::Occupied(item)) => Some(item),
            _ => None,
        }
    }

    pub fn contains(&self, key: usize) -> bool {
        self.get(key).is_some()
    }

    /// Gives back the memory of a burst: of the vacant slots behind the last that is in use.
    pub fn shrink_to_fit(&mut self) {
        let used = self.slots.iter().rposition(|slot| matches!(slot, Slot::Occupied(_))).map_or(0, |last| last + 1);
        if used < self.slots.len() {
            self.slots.truncate(used);
            self.vacant = used;
            for key in (0..used).rev() {
                if let Slot::Vacant(next) = &mut self.slots[key] {
                    *next = std::mem::replace(&mut self.vacant, key);
                }
            }
        }
        shrink(&mut self.slots);
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab::new()
    }
}

impl<T> Index<usize> for Slab<T> {
    type Output = T;

    fn index(&self, key: usize) -> &T {
        self.get(key).expect("something is in the slot")
    }
}

impl<T> IndexMut<usize> for Slab<T> {
    fn index_mut(&mut self, key: usize) -> &mut T {
        self.get_mut(key).expect("something is in the slot")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slots_hold_what_a_map_holds_whatever_comes_and_goes(steps in prop::collection::vec(0..8usize, 1..400)) {
            let (mut slab, mut map) = (Slab::new(), BTreeMap::new());
            for (number, step) in steps.into_iter().enumerate() {
                let held = map.keys().nth(step % map.len().max(1)).copied();
                match (step, held) {
                    (0..5, _) | (_, None) => {
                        prop_assert!(slab.grow().is_ok());
                        let (room, expected) = (slab.capacity(), slab.vacant_key());
                        let key = slab.insert(number);
                        prop_assert_eq!((key, slab.capacity()), (expected, room));
                        prop_assert_eq!(map.insert(key, number), None);
                    }
                    (5..7, Some(key)) => prop_assert_eq!(Some(slab.remove(key)), map.remove(&key)),
                    _ => slab.shrink_to_fit(),
                }
                prop_assert_eq!(slab.len(), map.len());
                prop_assert_eq!(slab.is_empty(), map.is_empty());
                prop_assert!(slab.capacity() >= map.keys().last().map_or(0, |key| key + 1));
                for key in 0..slab.capacity() + 1 {
                    let mut held = map.get(&key).copied();
                    prop_assert_eq!(slab.contains(key), held.is_some());
                    prop_assert_eq!((slab.get(key).copied(), slab.get_mut(key)), (held, held.as_mut()));
                }
                prop_assert!(map.iter().all(|(key, item)| slab[*key] == *item));
            }
        }
    }

    #[test]
    fn there_is_room_for_as_many_as_were_asked_for_and_hardly_more() {
        let mut slab = Slab::new();
        for count in [1, 64, 200, 10_000] {
            slab.grow_by(count).unwrap();
            let room = slab.capacity();
            assert!((slab.len() + count..=slab.len() + count.max(64)).contains(&room), "{room}");
            while slab.len() < room {
                slab.grow().unwrap();
                slab.insert(0);
            }
            assert_eq!(slab.capacity(), room);
        }
        let (full, sixteenth) = (slab.len(), slab.len() / 16);
        slab.grow().unwrap();
        assert!((full + sixteenth..full + sixteenth + 64).contains(&slab.capacity()));
    }

    #[test]
    fn memory_is_given_back_when_all_is_gone() {
        let mut slab = Slab::new();
        (0..1_000).for_each(|number| assert_eq!(slab.insert(number), number));
        (0..1_000).for_each(|number| assert_eq!(slab.remove(number), number));
        slab.shrink_to_fit();
        assert_eq!((slab.capacity(), slab.is_empty(), slab.insert(7)), (0, true, 0));
    }
}
