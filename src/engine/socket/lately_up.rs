//! Which targets have answered with a SYN-ACK lately: the refusal of such a one is asked for once more.
//!
//! A half-open connection at the target resets a SYN from the same port whose ISN lies in its window, and that RST looks
//! like a refusal (`tcp_check_req` in net/ipv4/tcp_minisocks.c). It may have been left by a RST that was lost. And
//! resetting a connection gives its port back before the RST leaves (`tcp_disconnect` in net/ipv4/tcp.c), so that a
//! check of another thread may have the port, and send its SYN, in between. The ISNs of new sockets for the same two ends
//! grow by one in 64 ns (`secure_tcp_seq` in net/core/secure_seq.c), and so one of them lies in a window of 64 KiB for 4 ms.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::lock::OnceLock;
use crate::sys::memory::vec_for;

/// Of targets that share an entry the one that answered last is remembered.
const ENTRIES: usize = 1 << 12;
/// A half-open connection lives shorter: 63 s on Linux (tcp_synack_retries in tcp(7)), 75 s where the system is a BSD.
const LATELY_S: u32 = 120;
/// Of an entry the bits that tell one target from another.
const PART: u64 = !(u32::MAX as u64);

#[derive(Default)]
pub(super) struct LatelyUp {
    /// Of each entry a part of the target's hash, and in which second it answered, in 32 bits each. Made with the first
    /// one; without memory there are none.
    entries: OnceLock<Vec<AtomicU64>>,
    hasher: RandomState,
}

impl LatelyUp {
    /// It answered with a SYN-ACK.
    pub fn note(&self, target: &SocketAddr, now: u64) {
        self.entries.get_or_init(|| {
            let mut entries = vec_for(ENTRIES).unwrap_or_default();
            entries.resize_with(entries.capacity().min(ENTRIES), AtomicU64::default);
            entries
        });
        if let Some((entry, part)) = self.entry(target) {
            let answered = part | u64::from(second(now));
            // Mostly it is the same second, and the line of memory need not go from one processor to the other.
            if entry.load(Ordering::Relaxed) != answered {
                entry.store(answered, Ordering::Relaxed);
            }
        }
    }

    /// It refuses, and that is certain.
    pub fn forget(&self, target: &SocketAddr) {
        if let Some((entry, part)) = self.entry(target)
            && entry.load(Ordering::Relaxed) & PART == part
        {
            entry.store(0, Ordering::Relaxed);
        }
    }

    /// Whether it has answered lately.
    pub fn has(&self, target: &SocketAddr, now: u64) -> bool {
        self.entry(target).is_some_and(|(entry, part)| {
            let answered = entry.load(Ordering::Relaxed);
            answered != 0 && answered & PART == part && second(now).saturating_sub(answered as u32) <= LATELY_S
        })
    }

    fn entry(&self, target: &SocketAddr) -> Option<(&AtomicU64, u64)> {
        let hash = self.hasher.hash_one(target);
        Some((self.entries.get()?.get(hash as usize % ENTRIES)?, hash & PART))
    }
}

fn second(now: u64) -> u32 {
    (now / 1_000_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn target(number: u32) -> SocketAddr {
        SocketAddr::new(std::net::Ipv4Addr::from(number).into(), 80)
    }

    #[test]
    fn a_target_is_doubted_for_two_minutes_after_its_answer_or_until_its_refusal_is_certain() {
        let lately_up = LatelyUp::default();
        assert!(!lately_up.has(&target(1), SECOND));
        lately_up.note(&target(1), SECOND);
        assert!(lately_up.has(&target(1), 121 * SECOND) && !lately_up.has(&target(1), 122 * SECOND));
        assert!(!lately_up.has(&target(2), SECOND));
        lately_up.forget(&target(2));
        assert!(lately_up.has(&target(1), SECOND));
        lately_up.forget(&target(1));
        assert!(!lately_up.has(&target(1), SECOND));
    }

    #[test]
    fn of_many_targets_some_are_remembered_and_none_is_taken_for_another() {
        let lately_up = LatelyUp::default();
        (0..20_000).for_each(|number| lately_up.note(&target(number), SECOND));
        assert!(lately_up.has(&target(19_999), SECOND));
        assert!((0..19_999).any(|number| lately_up.has(&target(number), SECOND)));
        assert!(!(20_000..40_000).any(|number| lately_up.has(&target(number), SECOND)));
    }
}
