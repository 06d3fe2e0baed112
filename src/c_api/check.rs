use std::ffi::c_char;

use super::checker::shaker_checker;
use super::guard::guard;
use super::request::{convert, shaker_request, valid_array, validate};
use super::result::{shaker_result, write};
use super::status::shaker_status;
use crate::check::verdict::{Status, Verdict};
use crate::sys::sockaddr::{sockaddr, socklen_t};

/// Checks one "host:port" and waits for the verdict, for timeout_ms milliseconds at most (0: the checker's default).
///
/// Returns the verdict. SHAKER_ERR_INVALID if checker or addr is NULL; SHAKER_ERR_ADDRESS, with nothing sent, if addr
/// is not "host:port". If result is not NULL, it is written whole, whatever is returned, and its status is what is
/// returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_check_addr(
    checker: *mut shaker_checker,
    addr: *const c_char,
    timeout_ms: u32,
    result: *mut shaker_result,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        let request = shaker_request { addr, timeout_ms, ..EMPTY };
        // SAFETY: as the caller's arguments are.
        unsafe { check(checker, &request, result) }
    })
}

/// Checks one socket address, IPv4 or IPv6 with its port, and waits for the verdict, for timeout_ms milliseconds at
/// most (0: the checker's default).
///
/// Returns the verdict. SHAKER_ERR_INVALID if checker or sockaddr is NULL, or sockaddr_len cannot be the length of
/// an address of its family; SHAKER_ERR_ADDRESS for another family or port 0. If result is not NULL, it is written
/// whole, whatever is returned, and its status is what is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_check_sockaddr(
    checker: *mut shaker_checker,
    sockaddr: *const sockaddr,
    sockaddr_len: socklen_t,
    timeout_ms: u32,
    result: *mut shaker_result,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        let request = shaker_request { sockaddr, sockaddr_len, timeout_ms, ..EMPTY };
        // SAFETY: as the caller's arguments are.
        unsafe { check(checker, &request, result) }
    })
}

/// Makes one check as the request says, and waits for the verdict.
///
/// Returns the verdict. SHAKER_ERR_INVALID if checker or request is NULL, if the request names no target or two,
/// has an unknown flag, a reserved field that is not 0, a sockaddr_len that cannot be, or a callback. If result is
/// not NULL, it is written whole, whatever is returned, and its status is what is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_check(
    checker: *mut shaker_checker,
    request: *const shaker_request,
    result: *mut shaker_result,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        // SAFETY: NULL, or a request of the caller's.
        let request = unsafe { request.as_ref() }.unwrap_or(&EMPTY);
        // SAFETY: as the caller's arguments are.
        unsafe { check(checker, request, result) }
    })
}

const EMPTY: shaker_request = shaker_request {
    addr: std::ptr::null(),
    sockaddr: std::ptr::null(),
    sockaddr_len: 0,
    timeout_ms: 0,
    flags: 0,
    callback: None,
    user_data: std::ptr::null_mut(),
    mark: 0,
    reserved: [0; 3],
};

/// # Safety
/// `checker` is NULL or not freed; `result` is NULL or writable; the request points to what it says.
unsafe fn check(checker: *mut shaker_checker, request: &shaker_request, result: *mut shaker_result) -> shaker_status {
    // SAFETY: the caller's promise.
    let checker = unsafe { checker.as_ref() };
    let valid = checker.ok_or(Status::Invalid).and_then(|checker| validate(request, false).map(|()| checker));
    let verdict = match valid {
        Ok(checker) => checker.core().check(&convert(request)),
        Err(status) => Verdict::without_segments(status, 0),
    };
    // SAFETY: the caller's promise.
    unsafe { write(result, request.user_data as usize, verdict) }.into()
}

/// Checks many targets and waits for all verdicts, in the order of the requests, whatever the order of the answers.
///
/// It paces itself by the checker's limits: each check's time runs from its own start, so none ends as
/// SHAKER_ERR_BUSY, and a million requests in one call are fine. results is an array of count results, and may be
/// NULL if nobody wants them.
///
/// Returns SHAKER_OK, with every result written; SHAKER_ERR_INVALID if checker is NULL, requests is NULL while count is
/// not 0, or any request is invalid as in shaker_check; SHAKER_ERR_LOCAL if there is no memory to keep account of them;
/// SHAKER_ERR_CLOSED, SHAKER_ERR_FORKED or SHAKER_ERR_DEADLOCK. Then nothing was sent, and no result written. SHAKER_ERR_INTERNAL, a defect of the library, may come with some of
/// them written. A malformed address is that one check's own result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_check_many(
    checker: *mut shaker_checker,
    requests: *const shaker_request,
    count: usize,
    results: *mut shaker_result,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        // SAFETY: NULL, or a checker that is not freed.
        let Some(checker) = (unsafe { checker.as_ref() }) else { return shaker_status::SHAKER_ERR_INVALID };
        // SAFETY: the caller's array of `count` requests.
        let Some(requests) = (unsafe { valid_array(requests, count, false) }) else {
            return shaker_status::SHAKER_ERR_INVALID;
        };
        let done = checker.core().check_each(requests.iter().map(convert), |index, verdict| {
            if !results.is_null() {
                // SAFETY: the caller's array of `count` results, and `index` is less.
                unsafe { write(results.add(index), requests[index].user_data as usize, verdict) };
            }
        });
        done.into()
    })
}
