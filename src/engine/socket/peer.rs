//! The two ends of a connection.

use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::sys::{clock, os_error};

/// Whether a check of this target needs an IPv6 socket. An IPv4-mapped address does not: what it means is IPv4.
pub(super) fn is_v6(target: &SocketAddr) -> bool {
    target.ip().to_canonical().is_ipv6()
}

/// Whether the target's address means something in its zone only.
pub(super) fn is_link_local(target: &SocketAddr) -> bool {
    matches!(target, SocketAddr::V6(target) if target.ip().is_unicast_link_local())
}

/// SO_ERROR, which reading clears; as an error, the errno of a call that failed.
pub(super) fn take_error(stream: &TcpStream) -> Result<i32, i32> {
    let error = stream.take_error().map_err(|error| os_error::of(&error))?;
    Ok(error.as_ref().map_or(0, os_error::of))
}

/// The library's own measure of a round trip, where the kernel has none.
pub(super) fn microseconds_since(syn_at: u64) -> u32 {
    let microseconds = clock::now().saturating_sub(syn_at).div_ceil(1000);
    microseconds.try_into().unwrap_or(u32::MAX)
}

/// Whether the local end of a connection is its target too.
pub(super) fn met_itself(stream: &TcpStream, target: &SocketAddr) -> Result<bool, i32> {
    let local = stream.local_addr().map_err(|error| os_error::of(&error))?;
    Ok(local.port() == target.port() && is_same_host(&local, target))
}

/// Whether a connection stays on this host.
pub(super) fn stays_here(stream: &TcpStream, target: &SocketAddr) -> Result<bool, i32> {
    let is_loopback = target.ip().to_canonical().is_loopback(); // from whatever address
    stream.local_addr().map(|local| is_loopback || is_same_host(&local, target)).map_err(|error| os_error::of(&error))
}

/// Connecting to the unspecified address connects to this host.
fn is_same_host(local: &SocketAddr, target: &SocketAddr) -> bool {
    let (local_ip, target_ip) = (local.ip().to_canonical(), target.ip().to_canonical());
    local_ip == target_ip || target_ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 80)
    }

    #[test]
    fn an_ipv4_mapped_address_needs_no_socket_of_ipv6_and_a_zone_is_that_of_link_local_ones() {
        assert!(is_v6(&at("::1")) && !is_v6(&at("127.0.0.1")) && !is_v6(&at("::ffff:127.0.0.1")));
        assert!(is_link_local(&at("fe80::1")));
        assert!(!["::1", "2001:db8::1", "169.254.0.1"].into_iter().any(|address| is_link_local(&at(address))));
    }

    #[test]
    fn the_same_host_is_one_with_the_same_address_whatever_its_port_or_none_at_all() {
        let local = SocketAddr::new("192.0.2.1".parse().unwrap(), 40_000);
        for target in ["192.0.2.1", "::ffff:192.0.2.1", "0.0.0.0", "::"] {
            assert!(is_same_host(&local, &at(target)), "{target}");
        }
        assert!(!is_same_host(&local, &at("192.0.2.2")));
    }

    #[test]
    fn a_round_trip_is_measured_in_whole_microseconds_and_never_none() {
        clock::by_hand::set(10_000_000);
        let measured = [10_000_000, 9_999_999, 9_998_500, 8_000_000].map(microseconds_since);
        clock::by_hand::set(u64::MAX);
        let most = microseconds_since(0);
        clock::by_hand::let_go();
        assert_eq!((measured, most), ([0, 1, 2, 2_000], u32::MAX));
    }
}
