//! Whether this process may open raw sockets (raw(7)).

use std::io;

/// Opens a raw socket of TCP and closes it: whoever may open one of either family has the privilege.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn probe() -> io::Result<()> {
    use socket2::{Domain, Protocol, Socket, Type};

    let open = |domain| Socket::new(domain, Type::RAW, Some(Protocol::TCP));
    open(Domain::IPV4).or_else(|error| open(Domain::IPV6).map_err(|_| error)).map(drop)
}

/// Segments of our own are sent on Linux and Android alone.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn probe() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether this system has raw sockets that the library uses.
pub(crate) const EXIST: bool = cfg!(any(target_os = "linux", target_os = "android"));
