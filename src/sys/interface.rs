//! Network interfaces by name.

#[cfg(unix)]
use libc::if_nametoindex;
#[cfg(windows)]
use windows_sys::Win32::NetworkManagement::IpHelper::if_nametoindex;

/// The number of an interface, if there is one of this name.
pub(crate) fn interface_index(name: &[u8]) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: `name` is a NUL-terminated string that lives through the call.
    match unsafe { if_nametoindex(name.as_ptr().cast()) } {
        0 => None,
        index => Some(index),
    }
}
