//! Error numbers and their texts. On Windows an errno is Winsock's own code.

use std::io;

#[cfg(unix)]
use libc as codes;
#[cfg(windows)]
use winsock as codes;

#[cfg_attr(
    all(any(target_os = "linux", target_os = "android"), not(feature = "forced-handshake")),
    expect(unused_imports, reason = "for the ordinary handshake")
)]
pub(crate) use codes::ENOTCONN;
pub(crate) use codes::{
    EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EIO, ENETDOWN,
    ENETUNREACH, ENODEV, ENOMEM, ENOPROTOOPT, EPERM, EPIPE, ETIMEDOUT,
};

/// What a connect that does not block says when the SYN is on its way.
#[cfg(unix)]
pub(crate) const UNDER_WAY: i32 = libc::EINPROGRESS;
#[cfg(windows)]
pub(crate) const UNDER_WAY: i32 = windows_sys::Win32::Networking::WinSock::WSAEWOULDBLOCK;

/// Winsock's names for what POSIX calls otherwise.
#[cfg(windows)]
mod winsock {
    /// Winsock's own code, which has another name than the rest.
    pub use WinSock::WSA_NOT_ENOUGH_MEMORY as ENOMEM;
    /// Winsock has one code for both.
    pub use WinSock::WSAEACCES as EPERM;
    pub use WinSock::WSAEMFILE as ENFILE;
    /// Winsock has none of its own.
    pub use WinSock::WSAENETDOWN as ENODEV;
    /// "An operation was attempted on something that is not a socket."
    pub use WinSock::WSAENOTSOCK as EIO;
    /// "A request to send or receive data was disallowed because the socket had already been shut down."
    pub use WinSock::WSAESHUTDOWN as EPIPE;
    pub use WinSock::{
        WSAEACCES as EACCES, WSAEADDRINUSE as EADDRINUSE, WSAEADDRNOTAVAIL as EADDRNOTAVAIL,
        WSAEAFNOSUPPORT as EAFNOSUPPORT, WSAECONNREFUSED as ECONNREFUSED, WSAECONNRESET as ECONNRESET,
        WSAEHOSTDOWN as EHOSTDOWN, WSAEHOSTUNREACH as EHOSTUNREACH, WSAEMFILE as EMFILE, WSAENETDOWN as ENETDOWN,
        WSAENETUNREACH as ENETUNREACH, WSAENOPROTOOPT as ENOPROTOOPT, WSAENOTCONN as ENOTCONN,
        WSAETIMEDOUT as ETIMEDOUT,
    };
    use windows_sys::Win32::Networking::WinSock;
}

/// No descriptor is left in the process.
pub(crate) const OUT_OF_DESCRIPTORS: i32 = codes::EMFILE;

/// Whether the errno says that the process or the system has no descriptor left.
pub(crate) fn is_out_of_descriptors(errno: i32) -> bool {
    errno == codes::EMFILE || errno == codes::ENFILE
}

/// Whether the errno says that this process may not.
pub(crate) fn is_forbidden(errno: i32) -> bool {
    errno == EPERM || errno == EACCES
}

/// The errno of an error; EIO for one that the system did not make.
pub(crate) fn of(error: &io::Error) -> i32 {
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

/// The EAI_ code in words.
#[cfg(unix)]
pub(crate) fn name_error_text(code: i32) -> String {
    // SAFETY: gai_strerror returns a static NUL-terminated text for any code.
    let text = unsafe { std::ffi::CStr::from_ptr(libc::gai_strerror(code)) };
    text.to_string_lossy().into_owned()
}

/// The code in words: Winsock's EAI_ codes are errors like any other.
#[cfg(windows)]
pub(crate) fn name_error_text(code: i32) -> String {
    error_text(code)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_in_words_is_what_the_system_says_without_its_number() {
        let (refused, unknown) = (error_text(ECONNREFUSED), error_text(100_000));
        assert_eq!(refused, "Connection refused");
        assert!(!unknown.is_empty() && !unknown.contains("os error"), "{unknown:?}");
    }

    #[test]
    fn an_eai_code_in_words_is_not_that_of_another_code() {
        let texts = [libc::EAI_NONAME, libc::EAI_AGAIN].map(name_error_text);
        assert!(!texts[0].is_empty() && texts[0] != texts[1], "{texts:?}");
    }
}
