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
