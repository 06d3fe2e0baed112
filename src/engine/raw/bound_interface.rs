//! The interface that the checker is bound to. The kernel holds it by its number, and one that was made anew has another.

use crate::sys::clock;
use crate::sys::interface::interface_index;

/// While checks are in flight, so many nanoseconds lie between two looks.
const ASKED_AGAIN: u64 = 100_000_000;

pub(super) struct BoundInterface {
    name: Option<Box<[u8]>>,
    index: Option<u32>,
    asked_at: u64,
}

impl BoundInterface {
    pub fn new(name: Option<Box<[u8]>>) -> BoundInterface {
        BoundInterface { name, index: None, asked_at: 0 }
    }

    /// As if another one had the name from now on.
    #[cfg(test)]
    pub fn is_another(&mut self) {
        self.index = Some(u32::MAX);
    }

    /// Whether another one has the name since this was asked last. While checks are in flight that is not asked for each.
    pub fn has_changed(&mut self, checks_are_in_flight: bool) -> bool {
        let Some(name) = &self.name else { return false };
        let now = clock::now();
        if checks_are_in_flight && now < self.asked_at + ASKED_AGAIN {
            return false;
        }
        self.asked_at = now;
        let index = interface_index(name);
        std::mem::replace(&mut self.index, index) != index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_has_another_number_has_changed_once() {
        let mut interface = BoundInterface::new(Some(b"lo".as_slice().into()));
        assert!(interface.has_changed(false), "its number was not known");
        assert!(!interface.has_changed(false));
        interface.is_another();
        assert!(!interface.has_changed(true), "it was asked a moment ago");
        assert!(interface.has_changed(false));
        assert!(!BoundInterface::new(None).has_changed(false));
    }
}
