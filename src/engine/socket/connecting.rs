//! How many sockets of this process connect, whichever checker they belong to.

use std::sync::atomic::{AtomicU32, Ordering};

static CONNECTING: AtomicU32 = AtomicU32::new(0);

/// A socket that connects or is connected, and is counted as long as it does.
pub(super) struct Connecting {
    /// Another one did when it began.
    has_others: bool,
}

impl Connecting {
    /// Counts one more, before its SYN leaves.
    pub fn begin() -> Connecting {
        Connecting { has_others: CONNECTING.fetch_add(1, Ordering::SeqCst) > 0 }
    }

    /// Whether there is another one, or was when it began.
    pub fn has_others(&self) -> bool {
        self.has_others || CONNECTING.load(Ordering::SeqCst) > 1
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        CONNECTING.fetch_sub(1, Ordering::SeqCst);
    }
}
