//! Whether queued checks may start now.

/// Why no check may start.
#[derive(Default)]
pub(super) struct Gate {
    /// No permit or no descriptor was left for the check at the head of the queue.
    no_room: bool,
    /// The rate, or a shortage that nobody may tell the end of, says when to try again.
    closed_until: Option<u64>,
}

impl Gate {
    /// What kept checks from starting is to be found out anew.
    pub fn open(&mut self) {
        *self = Gate::default();
    }

    pub fn is_open(&self) -> bool {
        !self.no_room && self.closed_until.is_none()
    }

    /// Nothing starts until room is made.
    pub fn wait_for_room(&mut self) {
        self.no_room = true;
    }

    pub fn room_was_made(&mut self) {
        self.no_room = false;
    }

    /// Nothing starts before then.
    pub fn wait_until(&mut self, at: u64) {
        self.closed_until = Some(at);
    }

    /// When to try again even if nobody makes room.
    pub fn opens_at(&self) -> Option<u64> {
        self.closed_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_does_not_open_what_the_rate_keeps_closed() {
        let mut gate = Gate::default();
        gate.wait_for_room();
        gate.wait_until(50);
        gate.room_was_made();
        assert!(!gate.is_open());
        assert_eq!(gate.opens_at(), Some(50));
        gate.open();
        assert!(gate.is_open());
        assert_eq!(gate.opens_at(), None);
    }

    #[test]
    fn a_check_that_waits_for_room_starts_as_soon_as_there_is_some() {
        let mut gate = Gate::default();
        gate.wait_for_room();
        assert!(!gate.is_open());
        gate.room_was_made();
        assert!(gate.is_open());
    }
}
