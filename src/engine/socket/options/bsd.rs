//! Socket options of macOS and the BSDs.

use std::io;

use socket2::{Domain, Protocol, Socket, Type};

pub(in crate::engine::socket) use super::posix::{expect_local_answer, set_tos};

pub(crate) const BINDS_INTERFACE: bool = cfg!(target_vendor = "apple");
pub(crate) const MARKS: bool = false;
pub(crate) const SETS_TOS: bool = true;

pub(super) fn open(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// IP_BOUND_IF and IPV6_BOUND_IF (ip(4) and ip6(4) of macOS).
#[cfg(target_vendor = "apple")]
pub(super) fn bind_interface(socket: &Socket, v6: bool, interface: &[u8]) -> io::Result<()> {
    let index = crate::sys::interface::interface_index(interface).and_then(std::num::NonZeroU32::new);
    let index = index.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    match v6 {
        true => socket.bind_device_by_index_v6(Some(index)),
        false => socket.bind_device_by_index_v4(Some(index)),
    }
}

#[cfg(not(target_vendor = "apple"))]
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

/// There is no way to: bind takes a port for the socket's life, which is one check.
pub(super) fn leave_the_port_to_connect(_: &Socket) -> io::Result<()> {
    Ok(())
}
