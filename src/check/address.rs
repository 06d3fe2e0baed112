//! A socket address in less memory.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A `SocketAddr` without its padding: a check in flight is to cost little memory.
#[derive(Clone, Copy)]
pub(crate) enum CompactAddress {
    V4 { ip: Ipv4Addr, port: u16 },
    V6 { ip: Ipv6Addr, port: u16, flowinfo: u32, scope_id: u32 },
}

const _: () = assert!(size_of::<CompactAddress>() == 28);

impl From<SocketAddr> for CompactAddress {
    fn from(address: SocketAddr) -> CompactAddress {
        match address {
            SocketAddr::V4(v4) => CompactAddress::V4 { ip: *v4.ip(), port: v4.port() },
            SocketAddr::V6(v6) => {
                let (flowinfo, scope_id) = (v6.flowinfo(), v6.scope_id());
                CompactAddress::V6 { ip: *v6.ip(), port: v6.port(), flowinfo, scope_id }
            }
        }
    }
}

impl From<CompactAddress> for SocketAddr {
    fn from(address: CompactAddress) -> SocketAddr {
        match address {
            CompactAddress::V4 { ip, port } => SocketAddrV4::new(ip, port).into(),
            CompactAddress::V6 { ip, port, flowinfo, scope_id } => {
                SocketAddrV6::new(ip, port, flowinfo, scope_id).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was() {
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 65535, 0x000a_bcde, u32::MAX);
        for address in [SocketAddr::from(([192, 0, 2, 1], 80)), scoped.into()] {
            assert_eq!(SocketAddr::from(CompactAddress::from(address)), address);
        }
    }
}
