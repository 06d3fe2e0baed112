//! Socket addresses as C spells them, there and back. Every system has the same members; some have a length before
//! the family.

use std::mem::transmute;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

#[cfg(unix)]
use libc::{in_addr, in6_addr};
#[cfg(unix)]
pub use libc::{sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};
#[cfg(windows)]
pub use windows_sys::Win32::Networking::WinSock::{
    ADDRESS_FAMILY as sa_family_t, SOCKADDR as sockaddr, SOCKADDR_IN as sockaddr_in, SOCKADDR_IN6 as sockaddr_in6,
    SOCKADDR_STORAGE as sockaddr_storage, socklen_t,
};
#[cfg(windows)]
use windows_sys::Win32::Networking::WinSock::{IN_ADDR as in_addr, IN6_ADDR as in6_addr};

#[cfg(unix)]
use libc as families;
#[cfg(windows)]
mod families {
    use windows_sys::Win32::Networking::WinSock;
    pub const AF_UNSPEC: i32 = WinSock::AF_UNSPEC as i32;
    pub const AF_INET: i32 = WinSock::AF_INET as i32;
    pub const AF_INET6: i32 = WinSock::AF_INET6 as i32;
}
pub(crate) use families::{AF_INET, AF_INET6, AF_UNSPEC};

/// The length that BSD has before the family.
macro_rules! set_length {
    ($address:ident.$member:ident, $size:ty) => {
        #[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "netbsd", target_os = "openbsd"))]
        {
            $address.$member = size_of::<$size>() as u8;
        }
    };
}

/// The address as C's sockets spell it.
pub(crate) enum CAddress {
    V4(sockaddr_in),
    V6(sockaddr_in6),
}

impl From<&SocketAddr> for CAddress {
    fn from(address: &SocketAddr) -> CAddress {
        match address {
            SocketAddr::V4(address) => CAddress::V4(to_sockaddr_in(address)),
            SocketAddr::V6(address) => CAddress::V6(to_sockaddr_in6(address)),
        }
    }
}

pub(crate) fn from_sockaddr_in(address: &sockaddr_in) -> SocketAddr {
    // SAFETY: an in_addr is four bytes, whatever its members are called.
    let ip: [u8; 4] = unsafe { transmute(address.sin_addr) };
    SocketAddrV4::new(Ipv4Addr::from(ip), u16::from_be(address.sin_port)).into()
}

pub(crate) fn from_sockaddr_in6(address: &sockaddr_in6) -> SocketAddr {
    // SAFETY: an in6_addr is sixteen bytes, whatever its members are called.
    let ip: [u8; 16] = unsafe { transmute(address.sin6_addr) };
    SocketAddrV6::new(Ipv6Addr::from(ip), u16::from_be(address.sin6_port), address.sin6_flowinfo, scope(address)).into()
}

pub(crate) fn to_sockaddr_in(address: &SocketAddrV4) -> sockaddr_in {
    // SAFETY: integers all through, for which zero is a value.
    let mut c: sockaddr_in = unsafe { std::mem::zeroed() };
    set_length!(c.sin_len, sockaddr_in);
    c.sin_family = AF_INET as sa_family_t;
    c.sin_port = address.port().to_be();
    // SAFETY: as above.
    c.sin_addr = unsafe { transmute::<[u8; 4], in_addr>(address.ip().octets()) };
    c
}

pub(crate) fn to_sockaddr_in6(address: &SocketAddrV6) -> sockaddr_in6 {
    // SAFETY: integers all through, for which zero is a value.
    let mut c: sockaddr_in6 = unsafe { std::mem::zeroed() };
    set_length!(c.sin6_len, sockaddr_in6);
    c.sin6_family = AF_INET6 as sa_family_t;
    c.sin6_port = address.port().to_be();
    c.sin6_flowinfo = address.flowinfo();
    // SAFETY: as above.
    c.sin6_addr = unsafe { transmute::<[u8; 16], in6_addr>(address.ip().octets()) };
    set_scope(&mut c, address.scope_id());
    c
}

#[cfg(unix)]
fn scope(address: &sockaddr_in6) -> u32 {
    address.sin6_scope_id
}

#[cfg(unix)]
fn set_scope(address: &mut sockaddr_in6, scope: u32) {
    address.sin6_scope_id = scope;
}

#[cfg(windows)]
fn scope(address: &sockaddr_in6) -> u32 {
    // SAFETY: both members of the union are the same 32 bits.
    unsafe { address.Anonymous.sin6_scope_id }
}

#[cfg(windows)]
fn set_scope(address: &mut sockaddr_in6, scope: u32) {
    address.Anonymous.sin6_scope_id = scope;
}

/// The target as a socket of its own family takes it: an IPv4-mapped address is IPv4's.
pub(crate) fn canonical(target: &SocketAddr) -> SocketAddr {
    match (target, target.ip().to_canonical()) {
        (SocketAddr::V6(_), IpAddr::V4(ip)) => SocketAddrV4::new(ip, target.port()).into(),
        _ => *target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_from_c_as_it_went_there_zone_and_all() {
        let address = SocketAddrV6::new("fe80::1".parse().unwrap(), 8080, 5, 7);
        assert_eq!(from_sockaddr_in6(&to_sockaddr_in6(&address)), address.into());
    }
}
