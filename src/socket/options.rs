//! Opening a socket, with the options that a checker's settings ask for, and what else depends on the system but not
//! on the handshake.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::Manner;
use crate::config::Wire;

/// A socket that does not block, which no other program inherits, and which nobody is connected to.
pub(super) fn open(v6: bool, manner: Manner, wire: &Wire) -> io::Result<Socket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = system::open(domain)?;
    if !manner.linger {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    if let Some(interface) = &wire.interface {
        system::bind_interface(&socket, v6, interface)?;
    }
    if let Some(mark) = wire.mark {
        system::set_mark(&socket, mark)?;
    }
    if let Some(tos) = wire.tos {
        system::set_tos(&socket, v6, tos.into())?;
    }
    let source = if v6 { wire.source_v6.map(SocketAddr::V6) } else { wire.source_v4.map(SocketAddr::V4) };
    if let Some(source) = source {
        system::leave_the_port_to_connect(&socket)?;
        socket.bind(&source.into())?;
    }
    Ok(socket)
}

pub(super) use system::{BINDS_INTERFACE, MARKS, SETS_TOS};
pub(crate) use system::{descriptor_limit, interface_index};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use super::*;
    use std::mem::size_of;
    use std::os::fd::AsRawFd;

    pub const BINDS_INTERFACE: bool = true;
    pub const MARKS: bool = true;
    pub const SETS_TOS: bool = true;
    pub use super::unix::set_tos;
    pub(crate) use super::unix::{descriptor_limit, interface_index};

    pub fn open(domain: Domain) -> io::Result<Socket> {
        Socket::new_raw(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))
    }

    pub fn bind_interface(socket: &Socket, _v6: bool, interface: &[u8]) -> io::Result<()> {
        socket.bind_device(Some(interface))
    }

    pub fn set_mark(socket: &Socket, mark: u32) -> io::Result<()> {
        socket.set_mark(mark)
    }

    /// Without it, bind would take a port for itself, unfit for more than one connection at a time
    /// (IP_BIND_ADDRESS_NO_PORT, ip(7)).
    pub fn leave_the_port_to_connect(socket: &Socket) -> io::Result<()> {
        let (on, size) = (1i32, size_of::<i32>() as libc::socklen_t);
        // SAFETY: the kernel reads one int, which `on` is.
        let result = unsafe {
            let on = (&raw const on).cast();
            libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, on, size)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use super::*;

    pub const BINDS_INTERFACE: bool = cfg!(target_vendor = "apple");
    pub const MARKS: bool = false;
    pub const SETS_TOS: bool = cfg!(unix);
    #[cfg(unix)]
    pub use super::unix::set_tos;
    #[cfg(unix)]
    pub(crate) use super::unix::{descriptor_limit, interface_index};
    #[cfg(windows)]
    pub use super::windows::set_tos;
    #[cfg(windows)]
    pub(crate) use super::windows::{descriptor_limit, interface_index};

    pub fn open(domain: Domain) -> io::Result<Socket> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// IP_BOUND_IF and IPV6_BOUND_IF (ip(4) of macOS).
    #[cfg(target_vendor = "apple")]
    pub fn bind_interface(socket: &Socket, v6: bool, interface: &[u8]) -> io::Result<()> {
        let index = interface_index(interface).and_then(std::num::NonZeroU32::new);
        let index = index.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
        match v6 {
            true => socket.bind_device_by_index_v6(Some(index)),
            false => socket.bind_device_by_index_v4(Some(index)),
        }
    }

    #[cfg(not(target_vendor = "apple"))]
    pub fn bind_interface(_: &Socket, _v6: bool, _interface: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into()) // Config refuses the setting
    }

    pub fn set_mark(_: &Socket, _mark: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into()) // Config refuses the setting
    }

    pub fn leave_the_port_to_connect(_: &Socket) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
mod unix {
    use super::*;

    pub fn set_tos(socket: &Socket, v6: bool, tos: u32) -> io::Result<()> {
        if v6 { socket.set_tclass_v6(tos) } else { socket.set_tos_v4(tos) }
    }

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
}

/// Where a dead port of this machine would be slow to refuse, asks that it be not.
#[cfg(all(not(windows), any(not(any(target_os = "linux", target_os = "android")), feature = "forced-handshake")))]
pub(super) fn expect_local_answer(_: &mio::net::TcpStream) {}

/// Windows takes a RST for a mishap and sends the SYN twice more, half a second apart, before it believes it. On the
/// way to this very machine no segment is lost, so there the first answer will do (SIO_TCP_INITIAL_RTO, Windows 10).
#[cfg(windows)]
pub(super) fn expect_local_answer(stream: &mio::net::TcpStream) {
    use std::os::windows::io::AsRawSocket;
    use windows_sys::Win32::Networking::WinSock::{SIO_TCP_INITIAL_RTO, TCP_INITIAL_RTO_PARAMETERS, WSAIoctl};
    /// TCP_INITIAL_RTO_UNSPECIFIED_RTT and TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS (mstcpip.h).
    const ONCE: TCP_INITIAL_RTO_PARAMETERS = TCP_INITIAL_RTO_PARAMETERS { Rtt: 0xffff, MaxSynRetransmissions: 0xfe };
    let (socket, size) = (stream.as_raw_socket() as usize, size_of_val(&ONCE) as u32);
    let mut written = 0;
    // SAFETY: the call reads `size` bytes of `ONCE` and writes `written`; older systems refuse it.
    unsafe {
        let (once, nothing) = ((&raw const ONCE).cast(), std::ptr::null_mut());
        WSAIoctl(socket, SIO_TCP_INITIAL_RTO, once, size, nothing, 0, &mut written, std::ptr::null_mut(), None);
    }
}

#[cfg(windows)]
mod windows {
    use super::*;
    use windows_sys::Win32::NetworkManagement::IpHelper::if_nametoindex;

    /// Windows heeds IP_TOS only where its registry says so, and knows no IPV6_TCLASS for sockets.
    pub fn set_tos(_: &Socket, _v6: bool, _tos: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into()) // Config refuses the setting
    }

    /// There is no limit on handles; the dynamic ports end first, 16,384 by default.
    pub(crate) fn descriptor_limit() -> u64 {
        16_384
    }

    /// The number of an interface, if there is one of this name.
    pub(crate) fn interface_index(name: &[u8]) -> Option<u32> {
        let name = std::ffi::CString::new(name).ok()?;
        // SAFETY: `name` is a NUL-terminated string that lives through the call.
        match unsafe { if_nametoindex(name.as_ptr().cast()) } {
            0 => None,
            index => Some(index),
        }
    }
}
