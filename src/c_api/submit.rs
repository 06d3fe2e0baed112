use std::ffi::c_int;
use std::time::Duration;

use super::checker::shaker_checker;
use super::guard::guard;
use super::request::{callback, convert, shaker_request, valid_array};
use super::result::shaker_result;
use super::status::shaker_status;

/// Submits checks and returns at once. Each one's result goes to its callback, or to shaker_reap.
///
/// Each one's time runs from here, so a check whose turn has not come by its deadline (max_in_flight, max_rate, or a
/// very long list) ends as SHAKER_ERR_BUSY; shaker_check_many is for lists that are to pace themselves.
///
/// If ids is not NULL, it is an array of count, and receives each check's id: unique for the checker's life, never
/// 0. A result may be there before this returns.
///
/// Returns SHAKER_OK: every request was accepted, and each yields exactly one result; a malformed address is that
/// one check's own. SHAKER_ERR_INVALID if checker is NULL, requests is NULL while count is not 0, or any request is
/// invalid (as in shaker_check, but a callback is fine); SHAKER_ERR_LOCAL if there is no memory for all of them or the
/// checker's thread cannot be woken; SHAKER_ERR_CLOSED or SHAKER_ERR_FORKED. Then none was accepted, and ids is not
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_submit(
    checker: *mut shaker_checker,
    requests: *const shaker_request,
    count: usize,
    ids: *mut u64,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        // SAFETY: NULL, or a checker that is not freed.
        let Some(checker) = (unsafe { checker.as_ref() }) else { return shaker_status::SHAKER_ERR_INVALID };
        // SAFETY: the caller's array of `count` requests.
        let Some(requests) = (unsafe { valid_array(requests, count, true) }) else {
            return shaker_status::SHAKER_ERR_INVALID;
        };
        let requests = requests.iter().map(|request| Ok((convert(request), callback(request)?)));
        match checker.core().submit_each(requests) {
            Ok(first) => {
                if !ids.is_null() {
                    for index in 0..count {
                        // SAFETY: the caller's array of `count` ids.
                        unsafe { ids.add(index).write(first + index as u64) };
                    }
                }
                shaker_status::SHAKER_OK
            }
            Err(status) => status.into(),
        }
    })
}

/// Moves results of submitted checks into an array, waiting up to wait_ms milliseconds for the first: 0 does not
/// wait, UINT32_MAX waits for ever. Several threads may reap at once; each result comes out once.
///
/// Returns how many results were written, at most capacity. 0: none came in time, an argument was NULL, the checker
/// was shut down and all its results were reaped, or it belongs to the parent process. From one of the checker's
/// own callbacks it does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_reap(
    checker: *mut shaker_checker,
    results: *mut shaker_result,
    capacity: usize,
    wait_ms: u32,
) -> usize {
    guard(0, || {
        // SAFETY: NULL, or a checker that is not freed.
        let Some(checker) = (unsafe { checker.as_ref() }) else { return 0 };
        if results.is_null() {
            return 0;
        }
        let wait = (wait_ms != u32::MAX).then(|| Duration::from_millis(wait_ms.into()));
        let mut next = results;
        checker.core().reap_each(capacity, wait, |report| {
            // SAFETY: the caller's array of `capacity` results, of which `reap_each` fills no more.
            unsafe {
                next.write(shaker_result::from(&report));
                next = next.add(1);
            }
        })
    })
}

/// A descriptor that is readable exactly while results wait to be reaped (of a caller-driven checker: while shaker_reap
/// has anything to do), for poll, epoll, select, io_uring and event loops over them; level- or edge-triggered (then
/// reap until shaker_reap returns less than was asked for).
///
/// Returns the descriptor, which stays the same, belongs to the checker, and is closed with it: never read, write
/// or close it. -1 if checker is NULL, in a forked child, where the platform has none (SHAKER_CAN_POLL_FD), or if
/// the process has none left, in which case a later call tries again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_checker_fd(checker: *const shaker_checker) -> c_int {
    guard(-1, || {
        // SAFETY: NULL, or a checker that is not freed.
        unsafe { checker.as_ref() }.and_then(|checker| checker.core().raw_fd()).unwrap_or(-1)
    })
}

/// Cancels the submitted check of this id; 0 cancels every check accepted before this call, blocking ones included.
///
/// A cancelled check yields its one result, SHAKER_ERR_CANCELLED, unless its verdict is there already. Ids are
/// never reused, so a late cancel hits no other check. It does not wait.
///
/// Returns SHAKER_OK, also when no such check is under way; SHAKER_ERR_INVALID if checker is NULL; SHAKER_ERR_LOCAL if
/// there is no memory for the call, or a sleeping thread of the checker cannot be woken: then some checks may not be
/// cancelled, and a later call tries again; SHAKER_ERR_CLOSED or SHAKER_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_cancel(checker: *mut shaker_checker, id: u64) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        // SAFETY: NULL, or a checker that is not freed.
        match unsafe { checker.as_ref() } {
            Some(checker) => checker.core().cancel(id).into(),
            None => shaker_status::SHAKER_ERR_INVALID,
        }
    })
}
