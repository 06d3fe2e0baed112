//! How many sockets of this process wait for an answer, whichever checker they belong to.

use std::sync::atomic::{AtomicU32, Ordering};

static WAITING: AtomicU32 = AtomicU32::new(0);

/// A socket that connects or is connected. It is counted from when it had no answer at once, so that a target which answers
/// at once costs nothing here.
pub(super) struct Connecting {
    /// Another one waited when it began.
    has_others: bool,
    is_counted: bool,
}

impl Connecting {
    /// Its SYN is about to leave.
    pub fn begin() -> Connecting {
        Connecting { has_others: WAITING.load(Ordering::SeqCst) > 0, is_counted: false }
    }

    /// There was no answer at once.
    pub fn waits(&mut self) {
        if !self.is_counted {
            WAITING.fetch_add(1, Ordering::SeqCst);
            self.is_counted = true;
        }
    }

    /// Whether another one waits, or did when it began.
    pub fn has_others(&self) -> bool {
        self.has_others || WAITING.load(Ordering::SeqCst) > u32::from(self.is_counted)
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if self.is_counted {
            WAITING.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other tests of this process have sockets that wait, too: only that there are some can be known.
    #[test]
    fn one_that_waits_is_known_to_those_that_begin_after_it_and_to_those_that_began_before() {
        let before = Connecting::begin();
        let mut one = Connecting::begin();
        one.waits();
        one.waits(); // it is counted once
        let after = Connecting::begin();
        assert!(before.has_others() && after.has_others());
        drop(one);
        assert!(after.has_others(), "it may have crossed its SYN");
    }

    #[test]
    fn one_that_is_over_waits_no_more() {
        const MANY: u32 = 100_000;
        (0..MANY).for_each(|_| Connecting::begin().waits());
        assert!(WAITING.load(Ordering::SeqCst) < MANY);
    }
}
