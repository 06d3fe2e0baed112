use std::ffi::{CStr, c_char};

use super::guard::guard;
use crate::check::error::Error;
use crate::check::verdict::Status;

/// The answer to a check, or the outcome of a call.
///
/// 0: up. Positive: down, and how. Negative: no verdict; nothing was learned about the target, so nobody may mark
/// it down. The numbers never change and are never reused; a program must expect ones it does not know, and go by
/// their sign.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shaker_status {
    /// SYN-ACK came back. From any other function: success.
    SHAKER_OK = 0,
    /// No answer before the deadline, or the kernel's own ETIMEDOUT.
    SHAKER_TIMEOUT = 1,
    /// RST came back (ECONNREFUSED), or the socket met itself or another check's on this host (RFC 9293, 3.5:
    /// simultaneous open), which means that nobody listens there.
    SHAKER_REFUSED = 2,
    /// No way there: ENETUNREACH, EHOSTUNREACH, EHOSTDOWN, ENETDOWN, or ENOPROTOOPT (ICMP's "protocol unreachable").
    SHAKER_UNREACHABLE = 3,
    /// Bad argument: NULL, an unknown flag, a reserved field that is not 0, a length or value that cannot be.
    SHAKER_ERR_INVALID = -1,
    /// Not an address ("host:port" was expected), or one of a family that the check may not use.
    SHAKER_ERR_ADDRESS = -2,
    /// The name could not be resolved, or not before the deadline, or so late (as in SHAKER_ERR_BUSY) that the silence
    /// since says nothing. os_error is getaddrinfo's EAI_ code, EAI_AGAIN for the deadline; gai_strerror(3) has its text.
    SHAKER_ERR_RESOLVE = -3,
    /// This machine could not make the check; os_error is the errno: EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL (no
    /// port left, or no such source address), EACCES, EPERM, EAFNOSUPPORT, ENODEV ... On SHAKER_ENGINE_RAW also ENOBUFS
    /// if this machine may have dropped the answer, and EADDRINUSE if the target told of nothing but the half-open
    /// connection of an older check.
    SHAKER_ERR_LOCAL = -4,
    /// Cancelled by shaker_cancel.
    SHAKER_ERR_CANCELLED = -5,
    /// The checker was shut down.
    SHAKER_ERR_CLOSED = -6,
    /// The checker belongs to the parent process.
    SHAKER_ERR_FORKED = -7,
    /// A blocking call made from one of the checker's own callbacks.
    SHAKER_ERR_DEADLOCK = -8,
    /// The deadline passed while the check still waited for its turn (max_in_flight, max_rate, a port to its target on
    /// SHAKER_ENGINE_RAW, or descriptors: then os_error is EMFILE); or its turn came so late that there was no answer in
    /// less than 300 ms, and in less than half of the check's time.
    SHAKER_ERR_BUSY = -9,
    /// Not on this platform, or not with these privileges.
    SHAKER_ERR_UNSUPPORTED = -10,
    /// A defect of the library; the process goes on.
    SHAKER_ERR_INTERNAL = -11,
}

/// A status as it comes from C: any int. The header calls it shaker_status.
pub type StatusCode = i32;

impl From<Status> for shaker_status {
    fn from(status: Status) -> shaker_status {
        match status {
            Status::Up => shaker_status::SHAKER_OK,
            Status::TimedOut => shaker_status::SHAKER_TIMEOUT,
            Status::Refused => shaker_status::SHAKER_REFUSED,
            Status::Unreachable => shaker_status::SHAKER_UNREACHABLE,
            Status::Invalid => shaker_status::SHAKER_ERR_INVALID,
            Status::BadAddress => shaker_status::SHAKER_ERR_ADDRESS,
            Status::Unresolved => shaker_status::SHAKER_ERR_RESOLVE,
            Status::LocalFault => shaker_status::SHAKER_ERR_LOCAL,
            Status::Cancelled => shaker_status::SHAKER_ERR_CANCELLED,
            Status::Closed => shaker_status::SHAKER_ERR_CLOSED,
            Status::Forked => shaker_status::SHAKER_ERR_FORKED,
            Status::Deadlock => shaker_status::SHAKER_ERR_DEADLOCK,
            Status::Busy => shaker_status::SHAKER_ERR_BUSY,
            Status::Unsupported => shaker_status::SHAKER_ERR_UNSUPPORTED,
            Status::Internal => shaker_status::SHAKER_ERR_INTERNAL,
        }
    }
}

impl From<Error> for shaker_status {
    fn from(error: Error) -> shaker_status {
        Status::from(error).into()
    }
}

impl From<Result<(), Error>> for shaker_status {
    fn from(result: Result<(), Error>) -> shaker_status {
        result.map_or_else(shaker_status::from, |()| shaker_status::SHAKER_OK)
    }
}

/// The core's status of this number, if it is one.
pub(super) fn from_code(code: StatusCode) -> Option<Status> {
    Status::ALL.into_iter().find(|status| *status as i32 == code)
}

/// What a status means, in a few words of English.
///
/// Returns a static text, never NULL, for any int: "unknown status" for a number that is none. Nothing is to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn shaker_status_str(status: StatusCode) -> *const c_char {
    guard(c"unknown status".as_ptr(), || match from_code(status) {
        Some(status) => status.c_text().as_ptr().cast(),
        None => c"unknown status".as_ptr(),
    })
}

/// The name of a status as this header spells it, such as "SHAKER_REFUSED": for logs, metrics and bindings.
/// shaker_status_str is for people.
///
/// Returns a static text, never NULL, for any int: "SHAKER_UNKNOWN", which is no constant, for a number that is none.
/// Nothing is to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn shaker_status_name(status: StatusCode) -> *const c_char {
    guard(UNKNOWN.as_ptr(), || from_code(status).map_or(UNKNOWN, name).as_ptr())
}

const UNKNOWN: &CStr = c"SHAKER_UNKNOWN";

fn name(status: Status) -> &'static CStr {
    match status {
        Status::Up => c"SHAKER_OK",
        Status::TimedOut => c"SHAKER_TIMEOUT",
        Status::Refused => c"SHAKER_REFUSED",
        Status::Unreachable => c"SHAKER_UNREACHABLE",
        Status::Invalid => c"SHAKER_ERR_INVALID",
        Status::BadAddress => c"SHAKER_ERR_ADDRESS",
        Status::Unresolved => c"SHAKER_ERR_RESOLVE",
        Status::LocalFault => c"SHAKER_ERR_LOCAL",
        Status::Cancelled => c"SHAKER_ERR_CANCELLED",
        Status::Closed => c"SHAKER_ERR_CLOSED",
        Status::Forked => c"SHAKER_ERR_FORKED",
        Status::Deadlock => c"SHAKER_ERR_DEADLOCK",
        Status::Busy => c"SHAKER_ERR_BUSY",
        Status::Unsupported => c"SHAKER_ERR_UNSUPPORTED",
        Status::Internal => c"SHAKER_ERR_INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_the_headers() {
        for status in Status::ALL {
            assert_eq!(name(status).to_str().unwrap(), format!("{:?}", shaker_status::from(status)));
        }
    }

    #[test]
    fn both_sides_use_the_same_numbers() {
        for status in Status::ALL {
            assert_eq!(shaker_status::from(status) as i32, status as i32);
            assert_eq!(from_code(status as i32), Some(status));
        }
        assert_eq!(from_code(4), None);
        assert_eq!(from_code(i32::MIN), None);
    }
}
