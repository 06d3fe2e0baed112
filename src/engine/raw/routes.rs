//! Which source address a segment leaves with: the checksum of TCP covers it.
//!
//! A datagram socket that is connected, and sends nothing, has the address that the kernel's routes choose. What it says
//! is kept for a moment. Nothing else is asked of the kernel, so a change of routes or addresses is noticed when the
//! moment is over, and at once if the address has left the host, since sending then fails.

use std::collections::HashMap;
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

use super::raw_socket::set;
use crate::engine::wire::Wire;
use crate::sys::os_error;
use crate::sys::sockaddr::{canonical, to_sockaddr_in, to_sockaddr_in6};

/// How long an address is kept, in nanoseconds.
const LIFE: u64 = 1_000_000_000;
/// Addresses kept; when there are more, all are forgotten.
const MOST: usize = 1 << 16;
/// A datagram's port does not matter, but for rules of routing that look at it.
const PORT: u16 = 80;

#[derive(Clone, Copy)]
struct Kept {
    source: IpAddr,
    until: u64,
}

/// A target's address and zone, and the mark of what is sent there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Way {
    ip: IpAddr,
    zone: u32,
    mark: u32,
}

impl Way {
    fn to(target: &SocketAddr, mark: u32) -> Way {
        let zone = if let SocketAddr::V6(v6) = target { v6.scope_id() } else { 0 };
        Way { ip: target.ip(), zone, mark }
    }
}

pub(super) struct Routes {
    wire: Wire,
    /// For IPv4 and IPv6, a socket to ask with, and the mark that it has.
    asking: [Option<(Socket, u32)>; 2],
    kept: HashMap<Way, Kept>,
    /// The one that was asked for last.
    latest: Option<(Way, Kept)>,
}

impl Routes {
    pub fn new(wire: Wire) -> Routes {
        Routes { wire, asking: [None, None], kept: HashMap::new(), latest: None }
    }

    /// Where segments for a target go: an address that means "this host" is one of this host.
    pub fn effective(&self, target: &SocketAddr) -> SocketAddr {
        let mut target = canonical(target);
        match target.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                let source = self.wire.source_v4.map_or(Ipv4Addr::LOCALHOST, |source| *source.ip());
                target.set_ip(source.into());
            }
            IpAddr::V6(ip) if ip.is_unspecified() => {
                let source = self.wire.source_v6.map_or(Ipv6Addr::LOCALHOST, |source| *source.ip());
                target.set_ip(source.into());
            }
            _ => {}
        }
        target
    }

    /// What TCP says of an address that it connects to nowhere, or not without a zone (tcp_v4_connect, tcp_v6_connect).
    pub fn may_ask(&self, target: &SocketAddr) -> Result<(), i32> {
        match target {
            _ if target.ip().is_multicast() => Err(libc::ENETUNREACH),
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
                if self.wire.interface.is_some() { Ok(()) } else { Err(libc::EINVAL) }
            }
            _ => Ok(()),
        }
    }

    /// Whether a target is on this host.
    pub fn is_here(&mut self, target: &SocketAddr, mark: u32, now: u64) -> bool {
        let target = self.effective(target);
        let ip = target.ip();
        ip.is_loopback() || self.may_ask(&target).is_ok() && self.source(&target, mark, now) == Ok(ip)
    }

    /// The address from which segments with this mark leave for the target; the errno if there is no way there.
    pub fn source(&mut self, target: &SocketAddr, mark: u32, now: u64) -> Result<IpAddr, i32> {
        if let Some(source) = self.bound_to(target.is_ipv6()) {
            return Ok(source.ip());
        }
        let way = Way::to(target, mark);
        if way.ip.is_loopback() && mark == 0 && self.wire.interface.is_none() {
            // Each target there may be asked from this one.
            return Ok(if target.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() });
        }
        if let Some((latest, kept)) = self.latest
            && latest == way
            && now < kept.until
        {
            return Ok(kept.source);
        }
        let kept = match self.kept.get(&way) {
            Some(kept) if now < kept.until => *kept,
            _ => {
                let kept = Kept { source: self.ask_source(way)?, until: now + LIFE };
                if self.kept.len() >= MOST {
                    self.kept.clear();
                }
                self.kept.insert(way, kept);
                kept
            }
        };
        self.latest = Some((way, kept));
        Ok(kept.source)
    }

    /// The address that the configuration has all segments leave from.
    fn bound_to(&self, v6: bool) -> Option<SocketAddr> {
        if v6 { self.wire.source_v6.map(SocketAddr::V6) } else { self.wire.source_v4.map(SocketAddr::V4) }
    }

    /// Opens what the routes of a family are asked with, so that no check lacks a descriptor for it later.
    pub fn open(&mut self, v6: bool) -> Result<(), i32> {
        if self.bound_to(v6).is_none() && self.asking[usize::from(v6)].is_none() {
            let mark = self.wire.mark.unwrap_or(0);
            self.asking[usize::from(v6)] = Some((self.asker(v6, mark)?, mark));
        }
        Ok(())
    }

    /// The address may have left this host, or another may be meant now.
    pub fn forget(&mut self, target: &SocketAddr, mark: u32) {
        self.kept.remove(&Way::to(target, mark));
        self.latest = None;
    }

    /// What the routes say of a target; the errno if there is no way there.
    pub fn ask(&mut self, target: &SocketAddr, mark: u32) -> Result<(), i32> {
        let way = Way::to(target, mark);
        if self.bound_to(target.is_ipv6()).is_some() {
            return connect(&self.asker(target.is_ipv6(), mark)?, way);
        }
        self.ask_source(way).map(|_| ())
    }

    fn ask_source(&mut self, way: Way) -> Result<IpAddr, i32> {
        let v6 = way.ip.is_ipv6();
        let asking = &mut self.asking[usize::from(v6)];
        if asking.as_ref().is_some_and(|(_, of)| *of != way.mark) {
            *asking = None; // before there is another one: descriptors may be few
        }
        let socket = match asking.take() {
            Some((socket, _)) => socket,
            None => self.asker(v6, way.mark)?,
        };
        match connect(&socket, way) {
            // A broadcast address, which TCP knows no way to; or a route that prohibits it.
            Err(libc::EACCES) if !v6 && socket.set_broadcast(true).is_ok() && connect(&socket, way).is_ok() => {
                return Err(libc::ENETUNREACH);
            }
            Err(libc::EACCES) => return Err(libc::EACCES),
            Err(errno) => {
                self.asking[usize::from(v6)] = Some((socket, way.mark));
                return Err(errno);
            }
            Ok(()) => {}
        }
        let local = socket.local_addr().map_err(|error| os_error::of(&error))?;
        // Its address would be kept by the next connect. What it was bound to is lost with it (__udp_disconnect in
        // net/ipv4/udp.c).
        let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
        if connect_to(&socket, &nowhere).is_ok() && self.bind_device(&socket).is_ok() {
            self.asking[usize::from(v6)] = Some((socket, way.mark));
        }
        local.as_socket().map(|local| local.ip()).ok_or(libc::EADDRNOTAVAIL)
    }

    fn bind_device(&self, socket: &Socket) -> io::Result<()> {
        self.wire.interface.as_ref().map_or(Ok(()), |interface| socket.bind_device(Some(interface)))
    }

    fn asker(&self, v6: bool, mark: u32) -> Result<Socket, i32> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let open = || {
            let socket = Socket::new_raw(domain, Type::DGRAM.nonblocking().cloexec(), None)?;
            self.bind_device(&socket)?;
            if mark != 0 {
                socket.set_mark(mark)?;
            }
            match self.wire.tos {
                Some(tos) if v6 => set(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_TCLASS, tos.into())?,
                Some(tos) => socket.set_tos_v4(tos.into())?,
                None => {}
            }
            if let Some(mut source) = self.bound_to(v6) {
                source.set_port(0);
                socket.bind(&source.into())?;
            }
            Ok(socket)
        };
        open().map_err(|error: io::Error| os_error::of(&error))
    }

    #[cfg(test)]
    fn mark_kept(&self) -> u32 {
        self.asking[0].as_ref().map_or(0, |(socket, _)| socket.mark().unwrap())
    }

    pub fn clear(&mut self) {
        self.asking = [None, None];
        self.kept = HashMap::new();
        self.latest = None;
    }
}

fn connect(socket: &Socket, way: Way) -> Result<(), i32> {
    match way.ip {
        IpAddr::V4(ip) => connect_to(socket, &to_sockaddr_in(&SocketAddrV4::new(ip, PORT))),
        IpAddr::V6(ip) => connect_to(socket, &to_sockaddr_in6(&SocketAddrV6::new(ip, PORT, 0, way.zone))),
    }
}

fn connect_to<A>(socket: &Socket, address: &A) -> Result<(), i32> {
    // SAFETY: `address` is a whole socket address of the size given.
    let result =
        unsafe { libc::connect(socket.as_raw_fd(), (&raw const *address).cast(), size_of::<A>() as libc::socklen_t) };
    if result == 0 { Ok(()) } else { Err(os_error::of(&io::Error::last_os_error())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_without_a_mark_is_not_asked_for_with_the_mark_of_the_one_before() {
        let mut routes = Routes::new(Wire::default());
        // Nothing is sent to the second one, and whether there is a way there does not matter.
        let [first, second] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 1)].map(|ip| SocketAddr::from((ip, 1)));
        if routes.source(&first, 5, 1).is_err() {
            return; // no privilege for marks
        }
        let _ = routes.source(&second, 0, 1);
        assert_eq!(routes.mark_kept(), 0);
        routes.source(&first, 7, 1).unwrap();
        assert_eq!(routes.mark_kept(), 7);
    }
}
