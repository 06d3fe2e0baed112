//! Socket options of Winsock.

use std::io;
use std::os::windows::io::AsRawSocket;

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};
use windows_sys::Win32::Networking::WinSock::{SIO_TCP_INITIAL_RTO, TCP_INITIAL_RTO_PARAMETERS, WSAIoctl};

pub(crate) const BINDS_INTERFACE: bool = false;
pub(crate) const MARKS: bool = false;
/// Windows heeds IP_TOS only where its registry says so, and knows no IPV6_TCLASS for what it sends.
pub(crate) const SETS_TOS: bool = false;

pub(super) fn open(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub(super) fn bind_interface(_: &Socket, _v6: bool, _interface: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into()) // Config refuses the setting
}

/// No socket is used again.
pub(in crate::engine::socket) fn bound_interface(_: &Socket) -> Option<Box<[u8]>> {
    None
}

pub(in crate::engine::socket) fn set_mark(_: &Socket, _mark: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into()) // a check with a mark says so
}

pub(in crate::engine::socket) fn set_tos(_: &Socket, _v6: bool, _tos: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into()) // Config refuses the setting
}

/// There is no way to: bind takes a port for the socket's life, which is one check.
pub(super) fn leave_the_port_to_connect(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Windows takes a RST for a mishap and sends the SYN twice more, half a second apart, before it believes it. On the
/// way to this very machine no segment is lost, so there the first answer will do (SIO_TCP_INITIAL_RTO, Windows 10).
pub(in crate::engine::socket) fn expect_local_answer(stream: &TcpStream) {
    // TCP_INITIAL_RTO_UNSPECIFIED_RTT and TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS (mstcpip.h).
    let once = TCP_INITIAL_RTO_PARAMETERS { Rtt: 0xffff, MaxSynRetransmissions: 0xfe };
    let (socket, size) = (stream.as_raw_socket() as usize, size_of_val(&once) as u32);
    let mut written = 0;
    // SAFETY: the call reads `size` bytes of `once` and writes `written`; older systems refuse it.
    unsafe {
        let (once, nothing) = ((&raw const once).cast(), std::ptr::null_mut());
        WSAIoctl(socket, SIO_TCP_INITIAL_RTO, once, size, nothing, 0, &mut written, std::ptr::null_mut(), None);
    }
}
