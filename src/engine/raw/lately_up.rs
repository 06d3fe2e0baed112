//! Which destinations have answered with a SYN-ACK lately: the RST of such a one is asked for once more.
//!
//! When our own RST was lost, a half-open connection stays there. A SYN from the same port whose ISN happens to lie in its
//! window is reset by it, and that RST looks like a refusal (tcp_check_req in net/ipv4/tcp_minisocks.c). With a window of
//! 64 KiB it happens to one SYN in 65,536. A SYN from another port tells.

use super::flows::Destination;
use crate::sys::memory::vec_for;

/// Destinations that share an entry are taken for one: the price is a SYN more.
const ENTRIES: usize = 1 << 12;
/// A half-open connection lives shorter: 63 s on Linux (tcp_synack_retries in tcp(7)), 75 s where the system is a BSD.
const LATELY_S: u32 = 120;

#[derive(Default)]
pub(super) struct LatelyUp {
    /// The second of the latest SYN-ACK, counted from 1; 0 is never. Made with the first one.
    seconds: Vec<u32>,
}

impl LatelyUp {
    /// It answered with a SYN-ACK.
    pub fn note(&mut self, destination: Destination, now: u64) {
        if self.seconds.is_empty() {
            // Without the memory it is not remembered, which costs one verdict in 65,536 at the worst.
            let Ok(seconds) = vec_for(ENTRIES) else { return };
            self.seconds = seconds;
            self.seconds.resize(ENTRIES, 0);
        }
        self.seconds[destination.index(ENTRIES)] = second(now);
    }

    /// It refuses, and that is certain.
    pub fn forget(&mut self, destination: Destination) {
        if let Some(entry) = self.seconds.get_mut(destination.index(ENTRIES)) {
            *entry = 0;
        }
    }

    pub fn has(&self, destination: Destination, now: u64) -> bool {
        let noted = self.seconds.get(destination.index(ENTRIES)).copied().unwrap_or(0);
        noted != 0 && second(now).saturating_sub(noted) <= LATELY_S
    }
}

fn second(now: u64) -> u32 {
    (now / 1_000_000_000) as u32 + 1
}
