//! Whether this process may open raw sockets (raw(7)).

use std::io;

/// Opens a raw socket of TCP with a filter and closes it: whoever may do so for either family has what it takes.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn probe() -> io::Result<()> {
    use socket2::{Domain, Protocol, SockFilter, Socket, Type};

    let nothing = [SockFilter::new(RETURN, 0, 0, 0)];
    let open = |domain| Socket::new(domain, Type::RAW, Some(Protocol::TCP))?.attach_filter(&nothing);
    open(Domain::IPV4).or_else(|error| open(Domain::IPV6).map_err(|_| error))
}

/// BPF_RET | BPF_K (linux/filter.h).
#[cfg(any(target_os = "linux", target_os = "android"))]
const RETURN: u16 = 0x06;

/// Segments of our own are sent on Linux and Android alone.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn probe() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether this system has raw sockets that the library uses.
pub(crate) const EXIST: bool = cfg!(any(target_os = "linux", target_os = "android"));
