//! Socket options of Linux.

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

pub(in crate::engine::socket) use super::posix::{expect_local_answer, set_tos};

pub(crate) const BINDS_INTERFACE: bool = true;
pub(crate) const MARKS: bool = true;
pub(crate) const SETS_TOS: bool = true;

pub(super) fn open(domain: Domain) -> io::Result<Socket> {
    Socket::new_raw(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))
}

/// SO_BINDTODEVICE (socket(7)).
pub(super) fn bind_interface(socket: &Socket, _v6: bool, interface: &[u8]) -> io::Result<()> {
    socket.bind_device(Some(interface))
}

/// The name that the interface has now which a socket is bound to; `None` if that is gone, or there is none.
pub(in crate::engine::socket) fn bound_interface(socket: &Socket) -> Option<Box<[u8]>> {
    socket.device().ok().flatten().map(Vec::into_boxed_slice)
}

/// SO_MARK (socket(7)).
pub(in crate::engine::socket) fn set_mark(socket: &Socket, mark: u32) -> io::Result<()> {
    socket.set_mark(mark)
}

/// Without it, bind would take a port for itself, unfit for more than one connection at a time
/// (IP_BIND_ADDRESS_NO_PORT, ip(7), Linux 4.2). A kernel or an emulator that does not know it has bind do so.
pub(super) fn leave_the_port_to_connect(socket: &Socket) -> io::Result<()> {
    let (on, size) = (1i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: the kernel reads one int, which `on` is.
    let result = unsafe {
        let on = (&raw const on).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, on, size)
    };
    if result == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
        error => Err(error),
    }
}
