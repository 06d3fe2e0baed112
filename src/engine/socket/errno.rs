//! What an errno says of the target. On Windows an errno is Winsock's own code.

use std::io;

use crate::check::verdict::Status;

#[cfg(unix)]
use libc as codes;
#[cfg(windows)]
use winsock as codes;

use codes::{EACCES, EPERM};
use codes::{ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENOPROTOOPT, ETIMEDOUT};
pub(super) use codes::{ECONNRESET, EIO, EPIPE};

/// What a connect that does not block says when the SYN is on its way.
#[cfg(unix)]
pub(super) const UNDER_WAY: i32 = libc::EINPROGRESS;
#[cfg(windows)]
pub(super) const UNDER_WAY: i32 = windows_sys::Win32::Networking::WinSock::WSAEWOULDBLOCK;

/// Winsock's names for what POSIX calls otherwise.
#[cfg(windows)]
mod winsock {
    /// Winsock has one code for both.
    pub use WinSock::WSAEACCES as EPERM;
    pub use WinSock::WSAEMFILE as ENFILE;
    /// "An operation was attempted on something that is not a socket."
    pub use WinSock::WSAENOTSOCK as EIO;
    /// "A request to send or receive data was disallowed because the socket had already been shut down."
    pub use WinSock::WSAESHUTDOWN as EPIPE;
    pub use WinSock::{
        WSAEACCES as EACCES, WSAECONNREFUSED as ECONNREFUSED, WSAECONNRESET as ECONNRESET, WSAEHOSTDOWN as EHOSTDOWN,
        WSAEHOSTUNREACH as EHOSTUNREACH, WSAEMFILE as EMFILE, WSAENETDOWN as ENETDOWN, WSAENETUNREACH as ENETUNREACH,
        WSAENOPROTOOPT as ENOPROTOOPT, WSAETIMEDOUT as ETIMEDOUT,
    };
    use windows_sys::Win32::Networking::WinSock;
}

/// No descriptor is left in the process.
pub(crate) const OUT_OF_DESCRIPTORS: i32 = codes::EMFILE;

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
    matches!(errno, EACCES | libc::ENONET | libc::EOPNOTSUPP | libc::EPROTO)
}

/// Elsewhere ICMP becomes one of the errnos that have no other meaning.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_rare_icmp(_errno: i32) -> bool {
    false
}

/// Whether the errno says that the process or the system has no descriptor left.
pub(crate) fn is_out_of_descriptors(errno: i32) -> bool {
    errno == codes::EMFILE || errno == codes::ENFILE
}

/// Whether the errno says that this process may not.
pub(super) fn is_forbidden(errno: i32) -> bool {
    errno == EPERM || errno == EACCES
}

/// The errno of an error; EIO for one that the system did not make.
pub(super) fn of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(EIO)
}

/// The errno in words.
pub(crate) fn error_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
