//! Which targets gave no answer last time, and how many permits they may hold.
//!
//! A silent target holds its permit until its deadline, thousands of times as long as one that answers. So that it does
//! not take all of them, checks of silent targets leave as many permits as the others have needed of late, up to half.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

/// Targets remembered; when there are more, all are forgotten.
const REMEMBERED: usize = 1 << 16;
/// What the other targets' checks needed is forgotten after one to two spans of this length, in nanoseconds.
const SPAN: u64 = 4_000_000_000;

#[derive(Default)]
pub(super) struct Silent {
    /// Hashes of their addresses. A target with the same hash as a silent one is taken for silent; that costs it time
    /// in the queue and nothing else.
    targets: HashSet<u64>,
    hasher: RandomState,
    /// Checks of silent targets that are in flight.
    in_flight: u32,
    /// The most permits that the other targets' checks needed at once, in this span of time and in the one before.
    needed: [u32; 2],
    span_ends: u64,
}

impl Silent {
    pub fn is_silent(&self, target: &SocketAddr) -> bool {
        !self.targets.is_empty() && self.targets.contains(&self.hasher.hash_one(target))
    }

    /// A check of this target ended without an answer.
    pub fn remember(&mut self, target: &SocketAddr) {
        if self.targets.len() >= REMEMBERED {
            self.targets = HashSet::new();
        }
        if self.targets.try_reserve(1).is_ok() {
            self.targets.insert(self.hasher.hash_one(target));
        }
    }

    /// The target answered.
    pub fn forget(&mut self, target: &SocketAddr) {
        if !self.targets.is_empty() {
            self.targets.remove(&self.hasher.hash_one(target));
        }
    }

    pub fn started(&mut self) {
        self.in_flight += 1;
    }

    pub fn ended(&mut self) {
        self.in_flight -= 1;
    }

    /// So many checks of other targets are in flight or wait for their turn.
    pub fn others_need(&mut self, permits: u32, now: u64) {
        if now >= self.span_ends {
            self.needed = if now >= self.span_ends + SPAN { [0, 0] } else { [0, self.needed[0]] };
            self.span_ends = now + SPAN;
        }
        self.needed[0] = self.needed[0].max(permits);
    }

    /// Whether one more check of a silent target may start, of `limit` permits in all.
    pub fn may_start(&self, limit: u32) -> bool {
        let reserved = self.needed[0].max(self.needed[1]).min(limit / 2);
        self.in_flight < limit - reserved
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_target_is_silent_until_it_answers() {
        let mut silent = Silent::default();
        silent.remember(&target(1));
        silent.remember(&target(3));
        assert!(silent.is_silent(&target(1)) && silent.is_silent(&target(3)));
        assert!(!silent.is_silent(&target(2)));
        silent.forget(&target(1));
        assert!(!silent.is_silent(&target(1)));
        assert!(silent.is_silent(&target(3)));
    }

    #[test]
    fn the_table_does_not_grow_without_bound() {
        let mut silent = Silent::default();
        for number in 0..4 * REMEMBERED as u32 {
            silent.remember(&SocketAddr::new(std::net::Ipv4Addr::from(number).into(), 80));
        }
        assert!(silent.targets.len() <= REMEMBERED);
    }

    #[test]
    fn where_nobody_else_wants_permits_silent_targets_may_have_them_all() {
        let mut silent = Silent::default();
        silent.others_need(0, 0);
        for _ in 0..10 {
            assert!(silent.may_start(10));
            silent.started();
        }
        assert!(!silent.may_start(10));
        silent.ended();
        assert!(silent.may_start(10));
    }

    #[test]
    fn what_others_needed_is_left_to_them_for_a_while_and_half_at_most() {
        let mut silent = Silent::default();
        silent.others_need(3, 0);
        (0..7).for_each(|_| silent.started());
        assert!(!silent.may_start(10));
        silent.others_need(0, SPAN);
        assert!(!silent.may_start(10), "it was needed in the span before");
        silent.others_need(0, 2 * SPAN);
        assert!(silent.may_start(10));
        silent.others_need(1_000, 2 * SPAN);
        (0..2).for_each(|_| silent.ended());
        assert!(!silent.may_start(10));
        silent.ended();
        assert!(silent.may_start(10), "half of them are theirs all the same");
    }
}
