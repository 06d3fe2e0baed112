//! The number of a slot in a table.

use std::num::NonZeroU32;

/// A slot's number, in a form that leaves room for "none": a check in flight is to cost little memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotKey(NonZeroU32);

impl SlotKey {
    pub fn of(slot: usize) -> SlotKey {
        SlotKey(NonZeroU32::MIN.saturating_add(slot as u32))
    }

    pub fn slot(self) -> usize {
        self.0.get() as usize - 1
    }
}
