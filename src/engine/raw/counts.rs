//! What a checker counts of its raw engines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub(crate) struct Counts {
    /// How many sockets the checker holds.
    sockets: Arc<AtomicU64>,
    /// How many of them are this engine's.
    held: u64,
    /// Segments that came to its ports and answered no check.
    unsolicited: Arc<AtomicU64>,
}

impl Counts {
    /// Of an engine that counts there.
    pub fn new(sockets: Arc<AtomicU64>, unsolicited: Arc<AtomicU64>) -> Counts {
        Counts { sockets, held: 0, unsolicited }
    }

    /// Of one more engine that counts where this one does.
    pub fn another(&self) -> Counts {
        Counts::new(self.sockets.clone(), self.unsolicited.clone())
    }

    /// The engine holds so many sockets now.
    pub fn hold(&mut self, sockets: u64) {
        self.sockets.fetch_add(sockets.wrapping_sub(self.held), Ordering::SeqCst);
        self.held = sockets;
    }

    #[cfg(test)]
    pub fn sockets(&self) -> u64 {
        self.sockets.load(Ordering::SeqCst)
    }

    pub fn heard_nothing(&self) {
        self.unsolicited.fetch_add(1, Ordering::Relaxed);
    }
}
