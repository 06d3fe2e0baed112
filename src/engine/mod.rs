//! The seam between the loop and the wire.
//!
//! An engine starts a check, tells which checks are answered, looks at one a last time when its deadline has passed,
//! and cancels one. The connection is reset before the loop hears of a conclusion.

pub(crate) mod errno;
pub(crate) mod socket;
pub(crate) mod wire;

use crate::check::verdict::{Status, Verdict};
use crate::sys::os_error;

/// How a check ended. Its connection is reset already.
pub(crate) struct Conclusion {
    pub verdict: Verdict,
    /// When, on the library's clock.
    pub at: u64,
    /// A descriptor was given back.
    pub closed: bool,
}

/// Why there is no socket for a check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoSocket {
    /// The check's own, if it is to be told.
    pub status: Status,
    pub errno: i32,
}

impl NoSocket {
    pub fn is_out_of_descriptors(self) -> bool {
        os_error::is_out_of_descriptors(self.errno)
    }
}

/// What became of a check that was to start.
pub(crate) enum Start {
    /// The SYN is on its way.
    InFlight,
    /// It was over at once.
    Concluded(Conclusion),
    /// Nothing was sent, and the socket is to blame. It is closed, and the check needs another one.
    Stale,
    /// The poller refused the socket, so the answer would go unnoticed. The socket is reset: idle again, or closed.
    Unwatchable { errno: i32, closed: bool },
}
