//! What an errno says of the target.

use std::io;

use crate::verdict::Status;

/// Who says that a connection cannot be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// connect() itself, before a segment was sent.
    Connect,
    /// RST or ICMP.
    Network,
}

/// What an errno says of the target.
pub(super) fn status_of(errno: i32, origin: Origin) -> Status {
    match errno {
        // ICMP's rarer answers (icmp_err_convert in net/ipv4/icmp.c), and ICMPv6's "prohibited" ones, which are EACCES
        // (icmpv6_err_convert in net/ipv6/icmp.c). From connect() itself these are this machine's word: a prohibiting
        // route, a security module.
        libc::EACCES | libc::ENONET | libc::EOPNOTSUPP | libc::EPROTO if origin == Origin::Network => {
            Status::Unreachable
        }
        libc::ECONNREFUSED => Status::Refused,
        libc::ETIMEDOUT => Status::TimedOut,
        // ENOPROTOOPT is ICMP's "protocol unreachable" (icmp_err_convert in net/ipv4/icmp.c).
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EHOSTDOWN | libc::ENETDOWN | libc::ENOPROTOOPT => {
            Status::Unreachable
        }
        0 => Status::Internal,
        _ => Status::LocalFault,
    }
}

/// Whether the errno says that the process or the system has no descriptor left.
pub(crate) fn is_out_of_descriptors(errno: i32) -> bool {
    errno == libc::EMFILE || errno == libc::ENFILE
}

/// The errno in words.
pub(crate) fn error_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
