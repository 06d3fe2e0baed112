//! Whether an address is one of this host's.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use super::netns::Home;
use super::os_error::{self, EADDRNOTAVAIL};

/// Whether this host has an address, in this namespace; `None` if that cannot be found out. Nothing is sent. What is bound
/// to an interface asks for itself.
pub(crate) fn is_here(address: &SocketAddr, interface: Option<&[u8]>, home: Home) -> Option<bool> {
    let mut address = *address;
    address.set_port(0);
    let socket = open(&address, interface).ok()?;
    if home.check(&socket).is_err() {
        return None; // the calling thread is in another one
    }
    match socket.bind(&address.into()).map_err(|error| os_error::of(&error)) {
        Ok(()) => is_more_than_bound(&socket, &address, interface),
        Err(EADDRNOTAVAIL) => Some(false),
        Err(_) => None,
    }
}

fn open(address: &SocketAddr, interface: Option<&[u8]>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(*address), Type::DGRAM, None)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if interface.is_some() {
        socket.bind_device(interface)?;
    }
    let _ = interface; // no other system knows addresses of an interface alone
    Ok(socket)
}

/// Whether segments for another host's address of IPv6 leave from that of loopback, to which no answer comes: from `source`, or
/// from what the kernel chooses where it has no better one.
pub(crate) fn is_cut_off(
    target: &SocketAddr,
    source: Option<SocketAddr>,
    interface: Option<&[u8]>,
    home: Home,
) -> bool {
    let chosen = || {
        let socket = open(target, interface).ok().filter(|socket| home.check(socket).is_ok())?;
        socket.connect(&(*target).into()).ok()?;
        socket.local_addr().ok()?.as_socket()
    };
    let is_elsewhere = !target.ip().is_loopback() && !target.ip().is_unspecified();
    is_elsewhere
        && source.or_else(chosen).is_some_and(|source| source.ip().is_loopback())
        && goes_through_loopback(target, home) == Some(false)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn goes_through_loopback(_target: &SocketAddr, _home: Home) -> Option<bool> {
    None
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_more_than_bound(_socket: &Socket, _address: &SocketAddr, _interface: Option<&[u8]>) -> Option<bool> {
    Some(true)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
use linux::{goes_through_loopback, is_more_than_bound};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::sys::os_error::{EHOSTUNREACH, ENETUNREACH};

    /// A datagram socket that connects sends nothing, whatever the port is.
    const PORT: u16 = 9;

    /// Where ip_nonlocal_bind is set (Documentation/networking/ip-sysctl.rst) a socket is bound to any address. The routes of
    /// IPv4 refuse one that this host lacks, whatever the target is (ip_route_output_key_hash_rcu in net/ipv4/route.c);
    /// those of IPv6 do not.
    pub(super) fn is_more_than_bound(socket: &Socket, address: &SocketAddr, interface: Option<&[u8]>) -> Option<bool> {
        let mut itself = *address;
        itself.set_port(PORT);
        match address {
            SocketAddr::V4(_) => {
                let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
                match has_way(socket, &itself) {
                    Some(false) => has_way(socket, &anywhere),
                    found => found,
                }
            }
            SocketAddr::V6(v6) => {
                if interface.is_none() && through_loopback(&itself) == Some(true) {
                    return Some(true);
                }
                is_listed(v6.ip())
            }
        }
    }

    /// Through loopback goes what is for this host, and for networks of which it has all addresses.
    fn through_loopback(target: &SocketAddr) -> Option<bool> {
        has_way(&open(target, Some(b"lo")).ok()?, target)
    }

    pub(super) fn goes_through_loopback(target: &SocketAddr, home: Home) -> Option<bool> {
        let mut target = *target;
        target.set_port(PORT);
        home.is_here().then(|| through_loopback(&target)).flatten()
    }

    fn has_way(socket: &Socket, target: &SocketAddr) -> Option<bool> {
        match socket.connect(&(*target).into()).map_err(|error| os_error::of(&error)) {
            Ok(()) => Some(true),
            Err(ENETUNREACH | EHOSTUNREACH) => Some(false),
            Err(_) => None,
        }
    }

    /// Whether it is among the addresses of the calling thread's namespace.
    fn is_listed(ip: &Ipv6Addr) -> Option<bool> {
        let list = std::fs::read_to_string("/proc/thread-self/net/if_inet6").ok()?;
        let wanted = format!("{:032x} ", ip.to_bits());
        Some(list.lines().any(|line| line.starts_with(&wanted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: &str) -> Option<bool> {
        is_here(&SocketAddr::new(address.parse().unwrap(), 80), None, Home::new())
    }

    #[test]
    fn loopback_is_here_and_addresses_for_documents_are_not() {
        assert_eq!(ask("127.0.0.1"), Some(true));
        assert_eq!(ask("127.3.2.1"), Some(true));
        assert_eq!(ask("192.0.2.1"), Some(false));
        if std::net::UdpSocket::bind("[::1]:0").is_ok() {
            assert_eq!(ask("::1"), Some(true));
            assert_eq!(ask("2001:db8::1"), Some(false));
        }
    }
}
