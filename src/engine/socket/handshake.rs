//! The handshake as this system makes it.

#[cfg(all(any(target_os = "linux", target_os = "android"), feature = "forced-handshake"))]
use super::forced as system;
#[cfg(all(any(target_os = "linux", target_os = "android"), not(feature = "forced-handshake")))]
use super::linux as system;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use super::ordinary as system;

use crate::check::close_mode::CloseMode;

pub(super) use system::{collect_error, connect, defer, defer_once, keeps_counters, look, reset, since_answer};
pub(crate) use system::{reuses, withholds_ack};

/// Whether a socket may serve another check after one of this mode. Only a socket that was reset can connect again.
pub(super) fn reuses_socket(close_mode: CloseMode) -> bool {
    close_mode.withholds_ack() && reuses()
}
