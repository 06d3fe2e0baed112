//! Socket options that Linux, macOS and the BSDs have in common.

use std::io;

use mio::net::TcpStream;
use socket2::Socket;

/// IP_TOS and IPV6_TCLASS.
pub(in crate::engine::socket) fn set_tos(socket: &Socket, v6: bool, tos: u32) -> io::Result<()> {
    if v6 { socket.set_tclass_v6(tos) } else { socket.set_tos_v4(tos) }
}

/// A port of this machine where nobody listens refuses at once, so there is nothing to set.
#[cfg_attr(
    all(any(target_os = "linux", target_os = "android"), not(feature = "forced-handshake")),
    expect(dead_code, reason = "for the ordinary handshake")
)]
pub(in crate::engine::socket) fn expect_local_answer(_: &TcpStream) {}
