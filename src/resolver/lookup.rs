//! One lookup by the system's getaddrinfo(3).

use std::net::SocketAddr;

use crate::check::request::Family;
use crate::sys::clock;

use crate::sys::sockaddr;

use super::lookups::Ending;
use super::query::Query;

#[cfg(unix)]
use libc as system;
#[cfg(windows)]
use winsock as system;

use system::{EAI_AGAIN, EAI_NONAME, IPPROTO_TCP, SOCK_STREAM, addrinfo};

/// Winsock's getaddrinfo is POSIX's, in other spelling.
#[cfg(windows)]
mod winsock {
    pub use WinSock::{
        ADDRINFOA as addrinfo, IPPROTO_TCP, SOCK_STREAM, WSAENOBUFS as EAGAIN, WSAHOST_NOT_FOUND as EAI_NONAME,
        WSATRY_AGAIN as EAI_AGAIN,
    };
    pub use WinSock::{freeaddrinfo, getaddrinfo};
    use windows_sys::Win32::Networking::WinSock;
}

/// Addresses of one name that are tried. A hostile name server could name thousands, and have each check send as many
/// SYNs.
const ADDRESSES: usize = 64;

/// The deadline's own code: EAI_AGAIN, "try again later".
pub(crate) const NOT_IN_TIME: i32 = EAI_AGAIN;

/// What pthread_create(3) says when there is no thread to be had.
pub(super) const NO_THREAD: i32 = system::EAGAIN;

/// The least time that a lookup can be limited to, in nanoseconds.
const SHORTEST: u64 = 1_000_000_000;

/// getaddrinfo(3) for streams. `seconds` is how long the answer will be wanted.
pub(super) fn look_up(query: &Query, seconds: u64) -> (Result<Vec<SocketAddr>, i32>, Ending) {
    let began = clock::now();
    let before = patience::limit(seconds);
    let addresses = ask_system(query);
    let is_limited = patience::restore(before);
    let ending = ending_of(addresses.as_ref().err().copied(), is_limited, began);
    (addresses, ending)
}

/// How a lookup ended that began at this time, and has failed with this code now, or has not.
fn ending_of(code: Option<i32>, is_limited: bool, began: u64) -> Ending {
    let is_cut_short = is_limited && code == Some(NOT_IN_TIME) && clock::now() - began >= SHORTEST;
    if is_cut_short { Ending::CutShort } else { Ending::Answered }
}

fn ask_system(query: &Query) -> Result<Vec<SocketAddr>, i32> {
    // SAFETY: integers and pointers, for all of which zero is a value.
    let mut hints: addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = match query.family {
        Family::Any => sockaddr::AF_UNSPEC,
        Family::V4 => sockaddr::AF_INET,
        Family::V6 => sockaddr::AF_INET6,
    };
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    let host = &query.name.host;
    let host = if host.is_empty() { std::ptr::null() } else { host.as_ptr() };
    let mut list = std::ptr::null_mut();
    // SAFETY: both strings are NUL-terminated and outlive the call, `hints` is whole, `list` is written on success.
    let code = unsafe { system::getaddrinfo(host.cast(), query.name.service.as_ptr().cast(), &hints, &mut list) };
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    if code != 0 {
        return Err(meaning(code, errno));
    }
    let mut addresses = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: getaddrinfo's list is valid up to its NULL, and each ai_addr holds an address of its ai_family.
        unsafe {
            let info = &*entry;
            let address = match info.ai_family {
                sockaddr::AF_INET => Some(sockaddr::from_sockaddr_in(&*info.ai_addr.cast())),
                sockaddr::AF_INET6 => Some(sockaddr::from_sockaddr_in6(&*info.ai_addr.cast())),
                _ => None,
            };
            if let Some(address) = address
                && address.port() != 0
                && query.family.allows(&address)
                && !addresses.contains(&address)
                && addresses.len() < ADDRESSES
            {
                addresses.push(address);
            }
            entry = info.ai_next;
        }
    }
    // SAFETY: the list came from getaddrinfo, and nothing refers to it any more.
    unsafe { system::freeaddrinfo(list) };
    if addresses.is_empty() { Err(EAI_NONAME) } else { Ok(addresses) }
}

/// EAI_SYSTEM means "see errno", which nobody could: a resolver that could not be asked is one to ask again.
#[cfg(unix)]
fn meaning(code: i32, errno: i32) -> i32 {
    if code == libc::EAI_SYSTEM && crate::sys::os_error::is_out_of_descriptors(errno) { EAI_AGAIN } else { code }
}

#[cfg(windows)]
fn meaning(code: i32, _errno: i32) -> i32 {
    code
}

/// How long a lookup tries, kept within what anybody waits for.
///
/// With a silent name server, glibc tries `attempts` times for `timeout` seconds each (resolv.conf(5): 2 and 5), and
/// a checker that is freed meanwhile would have to wait for it. Every thread has settings of its own (`_res`,
/// resolver(3)), so a shorter patience here changes nothing for the rest of the process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod patience {
    /// The head of `struct __res_state` (resolv.h), part of glibc's ABI.
    #[repr(C)]
    struct ResState {
        retrans: i32,
        retry: i32,
        options: std::ffi::c_ulong,
    }

    /// The state is filled.
    const RES_INIT: std::ffi::c_ulong = 1;

    unsafe extern "C" {
        fn __res_state() -> *mut ResState;
    }

    /// What resolv.conf said, if a lookup is to try for less.
    pub(super) struct Before {
        retrans: i32,
        retry: i32,
        is_limited: bool,
    }

    /// Keeps this thread's next lookup to about `seconds`.
    pub(super) fn limit(seconds: u64) -> Before {
        // SAFETY: __res_state points to this thread's own state, which res_init fills.
        let state = unsafe {
            if (*__res_state()).options & RES_INIT == 0 {
                // A thread whose stack another one had before finds numbers of that one here. glibc would take them for
                // the program's own.
                (*__res_state()).retrans = 0;
                (*__res_state()).retry = 0;
                libc::res_init();
            }
            &mut *__res_state()
        };
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        let is_limited = i64::from(seconds) < i64::from(state.retrans) * i64::from(state.retry);
        let before = Before { retrans: state.retrans, retry: state.retry, is_limited };
        if is_limited {
            // Fewer tries before shorter ones: a slow answer is better than none.
            state.retrans = before.retrans.min(seconds);
            state.retry = (seconds / state.retrans.max(1)).clamp(1, before.retry.max(1));
        }
        before
    }

    /// glibc goes on re-reading a changed resolv.conf only while the settings are those it read from it.
    /// Returns whether the lookup was limited.
    pub(super) fn restore(before: Before) -> bool {
        // SAFETY: this thread's own state, set up by `limit`.
        let state = unsafe { &mut *__res_state() };
        state.retrans = before.retrans;
        state.retry = before.retry;
        before.is_limited
    }

    #[cfg(test)]
    pub(super) fn settings() -> (i32, i32) {
        // SAFETY: this thread's own state.
        let state = unsafe { &*__res_state() };
        (state.retrans, state.retry)
    }

    #[cfg(test)]
    pub(super) fn set(retrans: i32, retry: i32) {
        // SAFETY: as above.
        let state = unsafe { &mut *__res_state() };
        (state.retrans, state.retry) = (retrans, retry);
    }
}

/// Elsewhere the system's own patience has to do.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod patience {
    pub(super) fn limit(_seconds: u64) {}
    pub(super) fn restore(_: ()) -> bool {
        false
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_is_cut_short_that_was_limited_and_failed_for_want_of_time_and_no_other() {
        const BEGAN: u64 = 5 * SHORTEST;
        let is_cut_short = |code, is_limited, took| {
            clock::by_hand::set(BEGAN + took);
            let ending = ending_of(code, is_limited, BEGAN);
            clock::by_hand::let_go();
            matches!(ending, Ending::CutShort)
        };
        assert!(is_cut_short(Some(EAI_AGAIN), true, SHORTEST));
        assert!(!is_cut_short(Some(EAI_AGAIN), true, SHORTEST - 1), "it was told so at once");
        assert!(!is_cut_short(Some(EAI_AGAIN), false, SHORTEST));
        assert!(!is_cut_short(Some(EAI_NONAME), true, SHORTEST));
        assert!(!is_cut_short(None, true, SHORTEST));
    }

    #[test]
    fn a_resolver_that_had_no_descriptor_is_one_to_ask_again() {
        assert_eq!(meaning(libc::EAI_SYSTEM, libc::EMFILE), EAI_AGAIN);
        assert_eq!(meaning(libc::EAI_SYSTEM, libc::EIO), libc::EAI_SYSTEM);
        assert_eq!(meaning(EAI_NONAME, libc::EMFILE), EAI_NONAME);
    }

    #[test]
    fn a_lookup_has_fewer_tries_before_it_has_shorter_ones_and_the_settings_come_back() {
        patience::restore(patience::limit(1)); // fills the state of this thread
        for ((retrans, retry), seconds, limited) in [
            ((5, 2), 10, None),
            ((5, 2), 100, None),
            ((5, 2), 9, Some((5, 1))),
            ((5, 2), 3, Some((3, 1))),
            ((5, 2), 0, Some((0, 1))),
            ((2, 5), 7, Some((2, 3))),
        ] {
            patience::set(retrans, retry);
            let before = patience::limit(seconds);
            assert_eq!(patience::settings(), limited.unwrap_or((retrans, retry)), "{seconds} s");
            assert_eq!(patience::restore(before), limited.is_some(), "{seconds} s");
            assert_eq!(patience::settings(), (retrans, retry));
        }
    }
}
