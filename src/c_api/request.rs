use std::ffi::{CStr, c_char, c_void};
use std::mem::size_of;

use super::result::shaker_result;
use crate::check::request::{Family, Handshake, Request};
use crate::check::target::Target;
use crate::check::verdict::{Report, Status};
use crate::completion::Callback;
use crate::sys::memory::{OutOfMemory, boxed};
use crate::sys::sockaddr::{
    AF_INET, AF_INET6, from_sockaddr_in, from_sockaddr_in6, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6,
    sockaddr_storage, socklen_t,
};

/// shaker_request.flags: let the last ACK out, as any ordinary client does, then close. Not on SHAKER_ENGINE_RAW.
pub const SHAKER_FULL_HANDSHAKE: u32 = 1;
/// shaker_request.flags: close with FIN instead of RST, so that the handshake completes. Not on SHAKER_ENGINE_RAW.
pub const SHAKER_LINGER: u32 = 2;
/// shaker_request.flags: IPv4 only, whatever the checker's own family is. Not together with SHAKER_IPV6.
pub const SHAKER_IPV4: u32 = 4;
/// shaker_request.flags: IPv6 only, whatever the checker's own family is. Not together with SHAKER_IPV4.
pub const SHAKER_IPV6: u32 = 8;

/// Receives the result of one submitted check, after the check's socket was reset: on a loop's thread, or, of a
/// caller-driven checker, on the thread that drives it.
///
/// It must not block: no other check of the loop goes on meanwhile, and answered ones complete their handshakes
/// after 200 ms. It must return (no longjmp, no exception). It may submit, cancel, reap (which does not wait) and
/// shut down; blocking calls on the same checker return SHAKER_ERR_DEADLOCK. The result is the library's, and valid
/// until the callback returns.
pub type shaker_callback = Option<unsafe extern "C" fn(result: *const shaker_result, user_data: *mut c_void)>;

/// One check to make. Zero-initialise it, then name a target: addr, or sockaddr and sockaddr_len.
///
/// The library reads it during the call only: the request and what it points to may be freed after that.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shaker_request {
    /// "host:port", or NULL and:
    pub addr: *const c_char,
    /// An IPv4 or IPv6 address with its port. Exactly one of addr and sockaddr must be given.
    pub sockaddr: *const sockaddr,
    /// The length of *sockaddr in bytes.
    pub sockaddr_len: socklen_t,
    /// From submission to verdict, resolving included, in milliseconds. 0: the checker's default.
    pub timeout_ms: u32,
    /// SHAKER_FULL_HANDSHAKE, SHAKER_LINGER, SHAKER_IPV4, SHAKER_IPV6.
    pub flags: u32,
    /// Receives the result of a submitted check. NULL: the result goes to shaker_reap. Must be NULL in blocking calls.
    pub callback: shaker_callback,
    /// Comes back in the result, untouched.
    pub user_data: *mut c_void,
    /// The firewall mark of this one check (SO_MARK, socket(7)); 0: the checker's own. Needs CAP_NET_ADMIN, or since
    /// Linux 5.17 CAP_NET_RAW: without it the check is SHAKER_ERR_UNSUPPORTED with EPERM, and nothing is sent. So it
    /// is, with os_error 0, where sockets have no mark (SHAKER_CAN_MARK).
    pub mark: u32,
    /// Must be 0.
    pub reserved: [u32; 3],
}

/// What a request asks, once it is known to be valid.
pub(super) fn validate(request: &shaker_request, may_call_back: bool) -> Result<(), Status> {
    const KNOWN: u32 = SHAKER_FULL_HANDSHAKE | SHAKER_LINGER | SHAKER_IPV4 | SHAKER_IPV6;
    const BOTH: u32 = SHAKER_IPV4 | SHAKER_IPV6;
    let valid = request.addr.is_null() != request.sockaddr.is_null()
        && request.flags & !KNOWN == 0
        && request.flags & BOTH != BOTH
        && request.reserved == [0; 3]
        && (may_call_back || request.callback.is_none())
        && (request.sockaddr.is_null() || has_possible_length(request));
    if valid { Ok(()) } else { Err(Status::Invalid) }
}

fn has_possible_length(request: &shaker_request) -> bool {
    let length = request.sockaddr_len as usize;
    if length < size_of::<sa_family_t>() || length > size_of::<sockaddr_storage>() {
        return false;
    }
    match family(request) {
        AF_INET => length >= size_of::<sockaddr_in>(),
        AF_INET6 => length >= size_of::<sockaddr_in6>(),
        _ => true,
    }
}

fn family(request: &shaker_request) -> i32 {
    // SAFETY: the caller's sockaddr_len bytes, which hold at least a family; they may be unaligned.
    unsafe { (&raw const (*request.sockaddr).sa_family).read_unaligned() }.into()
}

/// The requests, if every one is valid.
///
/// # Safety
/// `requests` is NULL or an array of `count`, whose elements point to what they say.
pub(super) unsafe fn valid_array<'a>(
    requests: *const shaker_request,
    count: usize,
    may_call_back: bool,
) -> Option<&'a [shaker_request]> {
    if count == 0 {
        return Some(&[]);
    }
    if requests.is_null() || count > isize::MAX as usize / size_of::<shaker_request>() {
        return None;
    }
    // SAFETY: the caller's promise.
    let requests = unsafe { std::slice::from_raw_parts(requests, count) };
    requests.iter().all(|request| validate(request, may_call_back).is_ok()).then_some(requests)
}

/// The core's view of a valid request.
pub(super) fn convert(request: &shaker_request) -> Request {
    let target = if !request.addr.is_null() {
        // SAFETY: the caller's NUL-terminated text.
        Target::parse(unsafe { CStr::from_ptr(request.addr) }.to_bytes())
    } else {
        match family(request) {
            // SAFETY: `validate` has seen that the caller gave this many bytes; they may be unaligned.
            AF_INET => unsafe { from_sockaddr_in(&request.sockaddr.cast::<sockaddr_in>().read_unaligned()) }.into(),
            // SAFETY: as above.
            AF_INET6 => unsafe { from_sockaddr_in6(&request.sockaddr.cast::<sockaddr_in6>().read_unaligned()) }.into(),
            _ => Target::Malformed("neither IPv4 nor IPv6"),
        }
    };
    let handshake = if request.flags & SHAKER_FULL_HANDSHAKE != 0 { Handshake::Full } else { Handshake::HalfOpen };
    let family = match request.flags & (SHAKER_IPV4 | SHAKER_IPV6) {
        SHAKER_IPV4 => Family::V4,
        SHAKER_IPV6 => Family::V6,
        _ => Family::Any,
    };
    Request {
        target,
        timeout_ms: request.timeout_ms,
        handshake,
        linger: request.flags & SHAKER_LINGER != 0,
        family,
        mark: request.mark,
        tag: request.user_data as usize,
    }
}

/// The request's callback in the core's form.
pub(super) fn callback(request: &shaker_request) -> Result<Option<Callback>, OutOfMemory> {
    let Some(callback) = request.callback else { return Ok(None) };
    let call = move |report: &Report| {
        let result = shaker_result::from(report);
        // SAFETY: the caller's function, called once with a result that outlives the call, as its type promises.
        unsafe { callback(&result, result.user_data) }
    };
    boxed(call).map(|call| Some(call as Callback))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request for a text, with these flags.
    fn request(flags: u32) -> shaker_request {
        // SAFETY: all zero is a valid request in C: each pointer is NULL, and there is no callback.
        let nothing: shaker_request = unsafe { std::mem::zeroed() };
        shaker_request { addr: c"localhost:80".as_ptr(), flags, ..nothing }
    }

    #[test]
    fn each_flag_asks_for_what_it_says_and_for_nothing_else() {
        use Family::{Any, V4, V6};
        use Handshake::{Full, HalfOpen};
        for (flags, family, handshake, linger) in [
            (0, Any, HalfOpen, false),
            (SHAKER_IPV4, V4, HalfOpen, false),
            (SHAKER_IPV6, V6, HalfOpen, false),
            (SHAKER_FULL_HANDSHAKE, Any, Full, false),
            (SHAKER_LINGER, Any, HalfOpen, true),
            (SHAKER_IPV6 | SHAKER_FULL_HANDSHAKE | SHAKER_LINGER, V6, Full, true),
        ] {
            assert!(validate(&request(flags), false).is_ok());
            let asked = convert(&request(flags));
            assert_eq!((asked.family, asked.handshake, asked.linger), (family, handshake, linger), "{flags:#x}");
        }
    }

    #[test]
    fn what_no_request_can_mean_is_invalid() {
        let unknown = !(SHAKER_FULL_HANDSHAKE | SHAKER_LINGER | SHAKER_IPV4 | SHAKER_IPV6);
        let flags = (0..32).map(|bit| 1 << bit).filter(|bit| unknown & bit != 0);
        for flags in flags.chain([SHAKER_IPV4 | SHAKER_IPV6]) {
            assert!(validate(&request(flags), true).is_err(), "{flags:#x}");
        }
        assert!(validate(&shaker_request { reserved: [0, 0, 1], ..request(0) }, true).is_err());
        assert!(validate(&shaker_request { addr: std::ptr::null(), ..request(0) }, true).is_err());
    }
}
