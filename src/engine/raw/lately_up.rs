//! Which destinations have answered with a SYN-ACK lately: the RST of such a one is asked for once more.
//!
//! When our own RST was lost, a half-open connection stays there. A SYN from the same port whose ISN happens to lie in its
//! window is reset by it, and that RST looks like a refusal (tcp_check_req in net/ipv4/tcp_minisocks.c). With a window of
//! 64 KiB it happens to one SYN in 65,536. A SYN from another port tells.

use super::flows::Destination;
use crate::sys::memory::vec_for;

/// Destinations that share an entry are doubted alike: the price is a SYN more.
const ENTRIES: usize = 1 << 12;
/// A half-open connection lives shorter: 63 s on Linux (tcp_synack_retries in tcp(7)), 75 s where the system is a BSD.
const LATELY_S: u32 = 120;

#[derive(Default)]
pub(super) struct LatelyUp {
    /// Of each entry the destination that answered last, and in which second. Made with the first one.
    entries: Vec<Option<(Destination, u32)>>,
}

impl LatelyUp {
    /// It answered with a SYN-ACK.
    pub fn note(&mut self, destination: Destination, now: u64) {
        if self.entries.is_empty() {
            // Without the memory it is not remembered, which costs one verdict in 65,536 at the worst.
            let Ok(entries) = vec_for(ENTRIES) else { return };
            self.entries = entries;
            self.entries.resize(ENTRIES, None);
        }
        self.entries[destination.index(ENTRIES)] = Some((destination, second(now)));
    }

    /// It refuses, and that is certain.
    pub fn forget(&mut self, destination: Destination) {
        if self.is_latest(destination) {
            self.entries[destination.index(ENTRIES)] = None;
        }
    }

    /// Whether it has answered lately, or one that shares its entry.
    pub fn may_have(&self, destination: Destination, now: u64) -> bool {
        self.entry(destination).is_some_and(|(_, noted)| second(now).saturating_sub(noted) <= LATELY_S)
    }

    /// Whether it is the one of its entry that answered last.
    pub fn is_latest(&self, destination: Destination) -> bool {
        self.entry(destination).is_some_and(|(latest, _)| latest == destination)
    }

    fn entry(&self, destination: Destination) -> Option<(Destination, u32)> {
        self.entries.get(destination.index(ENTRIES)).copied().flatten()
    }
}

fn second(now: u64) -> u32 {
    (now / 1_000_000_000) as u32
}
