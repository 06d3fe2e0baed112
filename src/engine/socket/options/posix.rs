//! What Linux, macOS and the BSDs have in common.

use std::io;

use mio::net::TcpStream;
use socket2::Socket;

/// IP_TOS and IPV6_TCLASS.
pub(in crate::engine::socket) fn set_tos(socket: &Socket, v6: bool, tos: u32) -> io::Result<()> {
    if v6 { socket.set_tclass_v6(tos) } else { socket.set_tos_v4(tos) }
}

/// A dead port of this machine refuses at once, so nothing is to be asked for.
#[cfg_attr(
    all(any(target_os = "linux", target_os = "android"), not(feature = "forced-handshake")),
    expect(dead_code, reason = "for the ordinary handshake")
)]
pub(in crate::engine::socket) fn expect_local_answer(_: &TcpStream) {}

/// The soft limit on open descriptors.
pub(crate) fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
    // SAFETY: the kernel writes one rlimit, which `limit` is.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    #[allow(clippy::unnecessary_cast)] // signed on FreeBSD
    let soft = limit.rlim_cur as u64;
    soft
}

/// The number of an interface, if there is one of this name.
pub(crate) fn interface_index(name: &[u8]) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: `name` is a NUL-terminated string that lives through the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        index => Some(index),
    }
}
