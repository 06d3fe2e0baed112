//! The tests' switch that makes Linux behave as a lesser system, so that the tests run what other systems run.
//!
//! It is not in any library but the tests' own: it needs the feature `forced-handshake`, and then
//! `TCPSHAKER_HANDSHAKE` in the environment.

use crate::sys::lock::OnceLock;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForcedHandshake {
    /// As Linux does it.
    HalfOpen,
    /// As a Linux without TCP_DEFER_ACCEPT and without connect() to AF_UNSPEC would: TCP_QUICKACK, and a fresh
    /// socket for every check.
    QuickAck,
    /// As any other system does it.
    Ordinary,
}

pub(crate) fn forced_handshake() -> ForcedHandshake {
    static FORCED: OnceLock<ForcedHandshake> = OnceLock::new();
    *FORCED.get_or_init(|| match std::env::var("TCPSHAKER_HANDSHAKE").as_deref() {
        Ok("ordinary") => ForcedHandshake::Ordinary,
        Ok("quickack") => ForcedHandshake::QuickAck,
        _ => ForcedHandshake::HalfOpen,
    })
}

/// Whether Linux is to do without everything that other systems lack.
pub(crate) fn is_ordinary() -> bool {
    forced_handshake() == ForcedHandshake::Ordinary
}
