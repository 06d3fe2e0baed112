//! Socket addresses as C spells them, there and back.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The address as C's sockets spell it.
pub(crate) enum CAddress {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
}

impl From<&SocketAddr> for CAddress {
    fn from(address: &SocketAddr) -> CAddress {
        match address {
            SocketAddr::V4(address) => CAddress::V4(sockaddr_in(address)),
            SocketAddr::V6(address) => CAddress::V6(sockaddr_in6(address)),
        }
    }
}

pub(crate) fn from_sockaddr_in(address: &libc::sockaddr_in) -> SocketAddr {
    let ip = Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes());
    SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into()
}

pub(crate) fn from_sockaddr_in6(address: &libc::sockaddr_in6) -> SocketAddr {
    let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
    SocketAddrV6::new(ip, u16::from_be(address.sin6_port), address.sin6_flowinfo, address.sin6_scope_id).into()
}

pub(super) fn sockaddr_in(address: &SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    }
}

pub(super) fn sockaddr_in6(address: &SocketAddrV6) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: address.port().to_be(),
        sin6_flowinfo: address.flowinfo(),
        sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
        sin6_scope_id: address.scope_id(),
    }
}
