use std::ffi::{CStr, c_char, c_void};
use std::net::SocketAddr;

use super::guard::guard;
use super::status::{StatusCode, from_code};
use crate::check::verdict::{Report, Status, Verdict, os_error_text};
use crate::sys::sockaddr::{
    AF_INET, AF_INET6, CAddress, from_sockaddr_in, from_sockaddr_in6, sockaddr, sockaddr_in, sockaddr_in6,
};

/// shaker_result.flags: proven on this very check that the kernel sent no ACK until the answer was seen, and none of
/// its own accord until the reset a few microseconds later. Another segment that the peer sent in between (a doubled
/// SYN-ACK, data before it had the ACK) may have drawn one; the flag does not tell.
pub const SHAKER_HALF_OPEN: u32 = 1;
/// shaker_result.flags: the SYN-ACK offered a window of 0, as SYN proxies do: somebody answers, and no byte of data
/// may be sent yet. SHAKER_ENGINE_RAW alone sees it.
pub const SHAKER_ZERO_WINDOW: u32 = 2;

/// A socket address; sa.sa_family says which member holds it, AF_UNSPEC that none does.
#[repr(C)]
#[derive(Clone, Copy)]
pub union shaker_address {
    /// The family, whichever member holds the address.
    pub sa: sockaddr,
    /// AF_INET.
    pub r#in: sockaddr_in,
    /// AF_INET6.
    pub in6: sockaddr_in6,
}

/// What one check learned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shaker_result {
    /// From shaker_submit; 0 for blocking checks.
    pub id: u64,
    /// The request's own.
    pub user_data: *mut c_void,
    /// Up, down, or why there is no verdict.
    pub status: StatusCode,
    /// The errno (or EAI_ code, with SHAKER_ERR_RESOLVE) behind the status, on Windows Winsock's; 0 if there is none.
    pub os_error: i32,
    /// From SYN to SYN-ACK in microseconds, as the kernel measured it (tcpi_rtt, tcp(7); on SHAKER_ENGINE_RAW up to when
    /// it received the answer, SO_TIMESTAMPNS), or where it does not tell as the library saw it; 0 unless SHAKER_OK.
    pub rtt_us: u32,
    /// SYNs beyond the first: early ones (shaker_config_set_syn_interval), and those that the kernel sent again, where
    /// it tells (Linux). rtt_us is that of the SYN which was answered.
    pub syn_retransmits: u32,
    /// From submission to verdict, in microseconds; in shaker_check_many from the check's own start.
    pub elapsed_us: u64,
    /// SHAKER_HALF_OPEN and SHAKER_ZERO_WINDOW, or-ed. A program must expect flags it does not know.
    pub flags: u32,
    /// The address the verdict is about; family AF_UNSPEC if none was tried.
    pub address: shaker_address,
    /// 0.
    pub reserved: u64,
}

impl From<&Report> for shaker_result {
    fn from(report: &Report) -> shaker_result {
        let verdict = &report.verdict;
        // SAFETY: integers, pointers and socket addresses, for all of which zero is a value; this clears the padding
        // too.
        let mut result: shaker_result = unsafe { std::mem::zeroed() };
        result.id = report.id;
        result.user_data = report.tag as *mut c_void;
        result.status = verdict.status as StatusCode;
        result.os_error = verdict.os_error;
        result.rtt_us = verdict.rtt_us;
        result.syn_retransmits = verdict.syn_retransmits;
        result.elapsed_us = verdict.elapsed_us;
        result.flags = if verdict.half_open { SHAKER_HALF_OPEN } else { 0 }
            | if verdict.zero_window { SHAKER_ZERO_WINDOW } else { 0 };
        match verdict.address.as_ref().map(CAddress::from) {
            Some(CAddress::V4(address)) => result.address.r#in = address,
            Some(CAddress::V6(address)) => result.address.in6 = address,
            None => {}
        }
        result
    }
}

/// A result as one line of English, such as "127.0.0.1:80 up, rtt 0.045 ms, half-open".
///
/// Writes up to capacity bytes, the closing NUL included, as snprintf(3) does; with capacity 0, buffer may be NULL.
///
/// Returns how long the whole text is without its NUL: more than capacity - 1 means that it was cut. 0, and an empty
/// text, if result is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_result_str(
    result: *const shaker_result,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: NULL, or a result of the caller's.
        let text = unsafe { result.as_ref() }.map(describe).unwrap_or_default();
        // SAFETY: the caller's buffer.
        unsafe { copy(&text, buffer, capacity) }
    })
}

/// A result as shaker_result_str has it, and before it the target that was asked for, where it is not the address that
/// was checked: "example.com:443: 192.0.2.7:443 refused after 0.210 ms". The target is shown whatever it holds, with ?
/// for control characters and for what is no UTF-8. NULL: no target is shown.
///
/// Writes up to capacity bytes, the closing NUL included, as snprintf(3) does; with capacity 0, buffer may be NULL.
///
/// Returns how long the whole text is without its NUL: more than capacity - 1 means that it was cut. 0, and an empty
/// text, if result is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_result_describe(
    result: *const shaker_result,
    target: *const c_char,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: NULL, or a result of the caller's.
        let Some(result) = (unsafe { result.as_ref() }) else {
            // SAFETY: the caller's buffer.
            return unsafe { copy("", buffer, capacity) };
        };
        let text = describe(result);
        // SAFETY: NULL, or the caller's NUL-terminated text.
        let target = (!target.is_null()).then(|| unsafe { CStr::from_ptr(target) });
        let target = target
            .filter(|target| address(result).is_none_or(|address| !shown(target).eq(address.to_string().chars())));
        // SAFETY: the caller's buffer.
        unsafe {
            match target {
                Some(target) => copy_chars(shown(target).chain(": ".chars()).chain(text.chars()), buffer, capacity),
                None => copy(&text, buffer, capacity),
            }
        }
    })
}

/// A target as it is shown: with ? for what could steer a terminal, or is no text. It may be long, and is copied nowhere.
fn shown(target: &CStr) -> impl Iterator<Item = char> {
    let is_odd = |char: char| char.is_control() || char == char::REPLACEMENT_CHARACTER;
    target.to_bytes().utf8_chunks().flat_map(move |chunk| {
        let no_text = (!chunk.invalid().is_empty()).then_some('?');
        chunk.valid().chars().map(move |char| if is_odd(char) { '?' } else { char }).chain(no_text)
    })
}

/// What a result's os_error means, in the system's words: of an errno, of an EAI_ code with SHAKER_ERR_RESOLVE, on
/// Windows of Winsock's. An empty text if it is 0.
///
/// Writes up to capacity bytes, the closing NUL included, as snprintf(3) does; with capacity 0, buffer may be NULL.
///
/// Returns how long the whole text is without its NUL: more than capacity - 1 means that it was cut. 0, and an empty
/// text, if result is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_result_error_str(
    result: *const shaker_result,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: NULL, or a result of the caller's.
        let text = unsafe { result.as_ref() }.map_or_else(String::new, |result| {
            // Of a status that this library does not know, the error is an errno: only names have codes of their own.
            os_error_text(from_code(result.status).unwrap_or(Status::LocalFault), result.os_error)
        });
        // SAFETY: the caller's buffer.
        unsafe { copy(&text, buffer, capacity) }
    })
}

/// Copies as much as fits, as snprintf(3) does, and no part of a character. Returns the length of the whole text.
///
/// # Safety
/// `buffer` is NULL or has `capacity` bytes.
unsafe fn copy(text: &str, buffer: *mut c_char, capacity: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { copy_chars(text.chars(), buffer, capacity) }
}

/// The same, of a text that is nowhere as a whole.
///
/// # Safety
/// As of [`copy`].
unsafe fn copy_chars(text: impl Iterator<Item = char>, buffer: *mut c_char, capacity: usize) -> usize {
    let longest = if buffer.is_null() { 0 } else { capacity.saturating_sub(1) };
    let (mut length, mut written) = (0, 0);
    for char in text {
        let mut bytes = [0; 4];
        let bytes = char.encode_utf8(&mut bytes).as_bytes();
        // Nothing is written behind a character that did not fit.
        if written == length && length + bytes.len() <= longest {
            // SAFETY: the caller's buffer has `longest` bytes at least, and these end there or before.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), buffer.add(written), bytes.len()) };
            written += bytes.len();
        }
        length += bytes.len();
    }
    if !buffer.is_null() && capacity > 0 {
        // SAFETY: the caller's buffer of `capacity` bytes, of which `written` are less.
        unsafe { buffer.add(written).write(0) };
    }
    length
}

fn describe(result: &shaker_result) -> String {
    let Some(status) = from_code(result.status) else { return "unknown status".to_owned() };
    Verdict {
        os_error: result.os_error,
        rtt_us: result.rtt_us,
        syn_retransmits: result.syn_retransmits,
        half_open: result.flags & SHAKER_HALF_OPEN != 0,
        zero_window: result.flags & SHAKER_ZERO_WINDOW != 0,
        elapsed_us: result.elapsed_us,
        address: address(result),
        ..Verdict::without_segments(status, 0)
    }
    .to_string()
}

fn address(result: &shaker_result) -> Option<SocketAddr> {
    // SAFETY: every member begins with the family, which says which one holds the address.
    unsafe {
        match result.address.sa.sa_family as i32 {
            AF_INET => Some(from_sockaddr_in(&result.address.r#in)),
            AF_INET6 => Some(from_sockaddr_in6(&result.address.in6)),
            _ => None,
        }
    }
}

/// Writes a blocking check's result, if the caller wants it.
///
/// # Safety
/// `result` is NULL or writable.
pub(super) unsafe fn write(result: *mut shaker_result, tag: usize, verdict: Verdict) -> Status {
    if !result.is_null() {
        // SAFETY: the caller's promise.
        unsafe { result.write(shaker_result::from(&Report { id: 0, tag, verdict })) };
    }
    verdict.status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_or_is_no_text_is_shown_as_a_question_mark() {
        let shown = |target: &[u8]| shown(&std::ffi::CString::new(target).unwrap()).collect::<String>();
        assert_eq!(shown(b"db.example:5432"), "db.example:5432");
        assert_eq!(shown("b\u{fc}cher:80".as_bytes()), "b\u{fc}cher:80");
        assert_eq!(shown(b"a\x1b[31m\n:80"), "a?[31m?:80");
        assert_eq!(shown("a\u{fffd}b".as_bytes()), "a?b");
        assert_eq!(shown(b"a\xff\xfeb\xe2\x82"), "a??b?");
    }

    #[test]
    fn a_result_in_words_is_its_verdict_in_words() {
        let nothing = Verdict::without_segments(Status::LocalFault, 0);
        let address = |text: &str| Some(text.parse().unwrap());
        let up = Verdict { status: Status::Up, rtt_us: 1_234, address: address("127.0.0.1:80"), ..nothing };
        for verdict in [
            nothing,
            up,
            Verdict { half_open: true, ..up },
            Verdict { zero_window: true, ..up },
            Verdict { syn_retransmits: 2, half_open: true, zero_window: true, ..up },
            Verdict { status: Status::TimedOut, elapsed_us: 98_765, address: address("[::1]:443"), ..nothing },
            Verdict { os_error: 24, elapsed_us: 5, ..nothing },
        ] {
            let result = shaker_result::from(&Report { id: 1, tag: 2, verdict });
            assert_eq!(describe(&result), verdict.to_string());
        }
    }

    #[test]
    fn a_result_of_no_known_status_says_so() {
        let report = Report { id: 1, tag: 2, verdict: Verdict::without_segments(Status::Up, 0) };
        assert_eq!(describe(&shaker_result { status: 99, ..shaker_result::from(&report) }), "unknown status");
    }
}
