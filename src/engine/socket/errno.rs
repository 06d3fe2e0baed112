//! What an errno says of the target.

use crate::check::verdict::Status;
use crate::sys::os_error::{ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENOPROTOOPT, ETIMEDOUT};

/// Where an errno came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// connect() itself, before a segment was sent.
    Connect,
    /// RST or ICMP.
    Network,
}

/// What an errno says of the target.
pub(super) fn status_of(errno: i32, origin: Origin) -> Status {
    if origin == Origin::Network && is_rare_icmp(errno) {
        return Status::Unreachable;
    }
    match errno {
        ECONNREFUSED => Status::Refused,
        ETIMEDOUT => Status::TimedOut,
        // ENOPROTOOPT is ICMP's "protocol unreachable" (icmp_err_convert in net/ipv4/icmp.c).
        ENETUNREACH | EHOSTUNREACH | EHOSTDOWN | ENETDOWN | ENOPROTOOPT => Status::Unreachable,
        0 => Status::Internal,
        _ => Status::LocalFault,
    }
}

/// ICMP's rarer answers (icmp_err_convert in net/ipv4/icmp.c), and ICMPv6's "prohibited" ones, which are EACCES
/// (icmpv6_err_convert in net/ipv6/icmp.c). From connect() itself these are this machine's word: a prohibiting
/// route, a security module.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_rare_icmp(errno: i32) -> bool {
    matches!(errno, libc::EACCES | libc::ENONET | libc::EOPNOTSUPP | libc::EPROTO)
}

/// Elsewhere ICMP becomes one of the errnos that have no other meaning.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_rare_icmp(_errno: i32) -> bool {
    false
}
