//! How a check ends the handshake that it began.

use super::request::Handshake;
use super::verdict::{Status, Verdict};

/// How a check ends its handshake, which decides the options of its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CloseMode {
    pub handshake: Handshake,
    /// Close with FIN instead of RST.
    pub linger: bool,
}

impl CloseMode {
    /// Half a handshake, ended by RST.
    pub const HALF_OPEN: CloseMode = CloseMode { handshake: Handshake::HalfOpen, linger: false };

    /// Whether a check of this mode means to keep the handshake from completing.
    pub fn withholds_ack(self) -> bool {
        self == CloseMode::HALF_OPEN
    }

    /// Whether the kernel completed the handshake, or may have, although the check meant to withhold the ACK.
    pub fn was_thwarted(self, verdict: &Verdict) -> bool {
        self.withholds_ack() && verdict.status == Status::Up && !verdict.half_open
    }
}
