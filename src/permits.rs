//! How many checks of one loop may be in flight: each of them holds a permit.

use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) struct Permits {
    taken: AtomicU32,
    limit: u32,
    /// How many of them callers hold for checks on their own threads, and how many they may hold.
    by_callers: AtomicU32,
    callers_limit: u32,
}

impl Permits {
    pub fn new(limit: u32, callers_limit: u32) -> Permits {
        Permits { taken: AtomicU32::new(0), limit, by_callers: AtomicU32::new(0), callers_limit }
    }

    /// Takes a permit. False when all are taken.
    pub fn take(&self) -> bool {
        take(&self.taken, self.limit)
    }

    /// Takes a permit for a check on the caller's own thread, of which there may be only a few at once: a thread that
    /// is kept from its CPU by thousands of others leaves its answered socket alone, and the ACK gets out.
    pub fn take_as_caller(&self) -> bool {
        take(&self.by_callers, self.callers_limit) && {
            let taken = self.take();
            if !taken {
                self.by_callers.fetch_sub(1, Ordering::Relaxed);
            }
            taken
        }
    }

    /// The check goes on in the loop, which gives the permit back.
    pub fn hand_over(&self) {
        self.by_callers.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::SeqCst);
    }

    pub fn give_back_as_caller(&self) {
        self.hand_over();
        self.give_back();
    }

    pub fn taken(&self) -> u32 {
        self.taken.load(Ordering::SeqCst)
    }

    pub fn callers_limit(&self) -> u32 {
        self.callers_limit
    }

    pub fn limit(&self) -> u32 {
        self.limit
    }
}

fn take(taken: &AtomicU32, limit: u32) -> bool {
    taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |taken| (taken < limit).then_some(taken + 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_permits_are_taken_than_there_are() {
        let permits = Permits::new(2, 8);
        assert!(permits.take() && permits.take_as_caller());
        assert!(!permits.take() && !permits.take_as_caller());
        permits.give_back();
        assert!(permits.take());
        assert_eq!(permits.taken(), 2);
    }

    #[test]
    fn whoever_shares_them_out_is_told_how_many_there_are() {
        let permits = Permits::new(100, 8);
        permits.take();
        assert_eq!((permits.limit(), permits.callers_limit()), (100, 8));
    }

    #[test]
    fn callers_have_a_limit_of_their_own_and_a_refused_one_holds_nothing() {
        let permits = Permits::new(8, 1);
        assert!(permits.take_as_caller());
        assert!(!permits.take_as_caller());
        assert_eq!(permits.taken(), 1);
        permits.hand_over(); // the loop holds it from now on
        assert!(permits.take_as_caller());
        permits.give_back_as_caller();
        permits.give_back();
        assert_eq!(permits.taken(), 0);
    }
}
