//! Which source address a segment leaves with: the checksum of TCP over IPv4 covers it.
//!
//! A raw socket that is connected, and sends nothing, has the address that the kernel's routes choose. What it says
//! is kept for a moment. Nothing else is asked of the kernel, so a change of routes or addresses is noticed when the
//! moment is over, and at once if the address has left the host, since sending then fails.

use std::collections::HashMap;
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::raw_socket::{NO_GROUP_V4, hear_nothing};
use crate::check::verdict::Verdict;
use crate::engine::wire::Wire;
use crate::sys::netns::Home;
use crate::sys::os_error;
use crate::sys::sockaddr::{canonical, to_sockaddr_in, to_sockaddr_in6};

/// How long an address is kept, in nanoseconds.
const LIFE: u64 = 1_000_000_000;
/// Addresses kept; when there are more, all are forgotten.
const MOST: usize = 1 << 16;
/// A raw socket's segments have no port for rules of routing (raw_sendmsg in net/ipv4/raw.c).
const PORT: u16 = 0;

#[derive(Clone, Copy)]
struct Kept {
    source: Ipv4Addr,
    until: u64,
}

pub(super) struct Routes {
    wire: Wire,
    /// Where they are those that count.
    home: Home,
    /// A socket to ask with, and the mark that it has.
    v4: Option<(Socket, u32)>,
    kept: HashMap<(Ipv4Addr, u32), Kept>,
    /// The one that was asked for last.
    latest: Option<((Ipv4Addr, u32), Kept)>,
}

impl Routes {
    pub fn new(wire: Wire) -> Routes {
        Routes { wire, home: Home::new(), v4: None, kept: HashMap::new(), latest: None }
    }

    /// Where segments for a target go: an address that means "this host" is one of this host.
    pub fn effective(&self, target: &SocketAddr) -> SocketAddr {
        let mut target = canonical(target);
        match target.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                let source = self.wire.source_v4.map(|source| *source.ip()).or_else(|| self.of_interface());
                target.set_ip(source.unwrap_or(Ipv4Addr::LOCALHOST).into());
            }
            // Whatever the source is (tcp_v6_connect in net/ipv6/tcp_ipv6.c).
            IpAddr::V6(ip) if ip.is_unspecified() => target.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        // The zone of a source is that of a target without one.
        if let (SocketAddr::V6(target), Some(source)) = (&mut target, &self.wire.source_v6)
            && target.ip().is_unicast_link_local()
            && target.scope_id() == 0
        {
            target.set_scope_id(source.scope_id());
        }
        target
    }

    /// The address that the interface which is configured has, as TCP would take it (ip_route_output_key in
    /// net/ipv4/route.c).
    fn of_interface(&self) -> Option<Ipv4Addr> {
        self.wire.interface.as_ref()?;
        let socket = self.open(false, 0).ok()?;
        self.disconnect(&socket).ok()?;
        connect(&socket, &to_sockaddr_in(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT))).ok()?;
        socket.local_addr().ok()?.as_socket_ipv4().map(|local| *local.ip())
    }

    /// What TCP says of an address that it connects to nowhere, or not without a zone (tcp_v4_connect, tcp_v6_connect).
    pub fn may_ask(&self, target: &SocketAddr) -> Result<(), i32> {
        match target {
            _ if target.ip().is_multicast() => Err(libc::ENETUNREACH),
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
                let zone_of_source = self.wire.source_v6.map_or(0, |source| source.scope_id());
                match v6.scope_id() {
                    0 if self.wire.interface.is_some() => Ok(()),
                    zone if zone == 0 || ![0, zone].contains(&zone_of_source) => Err(libc::EINVAL),
                    // A raw socket would take the zone, whatever interface it is bound to.
                    zone if self.wire.interface.is_some() => self.ask_v6(*v6.ip(), zone, 0),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Whether a target is on this host.
    pub fn is_here(&mut self, target: &SocketAddr, mark: u32, now: u64) -> bool {
        let ip = self.effective(target).ip();
        ip.is_loopback() || matches!(ip, IpAddr::V4(v4) if self.source(v4, mark, now) == Ok(v4))
    }

    /// The address from which segments with this mark leave for the target; the errno if there is no way there.
    pub fn source(&mut self, target: Ipv4Addr, mark: u32, now: u64) -> Result<Ipv4Addr, i32> {
        if let Some(source) = self.wire.source_v4 {
            return Ok(*source.ip());
        }
        if target.is_loopback() && mark == 0 && self.wire.interface.is_none() {
            return Ok(Ipv4Addr::LOCALHOST); // each target there may be asked from this one
        }
        let key = (target, mark);
        if let Some((latest, kept)) = self.latest
            && latest == key
            && now < kept.until
        {
            return Ok(kept.source);
        }
        let kept = match self.kept.get(&key) {
            Some(kept) if now < kept.until => *kept,
            _ => {
                let kept = Kept { source: self.ask_v4(target, mark)?, until: now + LIFE };
                if self.kept.len() >= MOST {
                    self.kept.clear();
                }
                // Without memory it is asked for again.
                if self.kept.try_reserve(1).is_ok() {
                    self.kept.insert(key, kept);
                }
                kept
            }
        };
        self.latest = Some((key, kept));
        Ok(kept.source)
    }

    /// Whether the calling thread may open a socket: not where it is in another namespace. One that is there already does
    /// not matter.
    pub fn may_open(&self, v6: bool, is_there: bool) -> Result<(), i32> {
        if is_there { Ok(()) } else { self.open(v6, 0).map(|_| ()) }
    }

    /// See [`Wire::doubt`].
    pub fn doubt(&self, verdict: &mut Verdict) {
        self.wire.doubt(verdict, self.home);
    }

    /// The address of IPv6 that the configuration has all segments leave from.
    pub fn configured_v6(&self) -> Option<SocketAddr> {
        self.wire.source(true)
    }

    /// Opens what the routes of IPv4 are asked with, so that no check lacks a descriptor for it later.
    pub fn open_v4(&mut self) -> Result<(), i32> {
        if self.wire.source_v4.is_none() && self.v4.is_none() {
            let mark = self.wire.mark.unwrap_or(0);
            self.v4 = Some((self.open(false, mark)?, mark));
        }
        Ok(())
    }

    /// The address may have left this host, or another may be meant now.
    pub fn forget(&mut self, target: IpAddr, mark: u32) {
        if let IpAddr::V4(target) = target {
            self.kept.remove(&(target, mark));
            self.latest = None;
        }
    }

    /// What the routes say of a target; the errno if there is no way there.
    pub fn ask(&mut self, target: IpAddr, scope: u32, mark: u32) -> Result<(), i32> {
        match target {
            IpAddr::V4(target) if self.wire.source_v4.is_some() => {
                let socket = self.open(false, mark)?;
                connect(&socket, &to_sockaddr_in(&SocketAddrV4::new(target, PORT)))
            }
            IpAddr::V4(target) => self.ask_v4(target, mark).map(|_| ()),
            IpAddr::V6(target) => self.ask_v6(target, scope, mark),
        }
    }

    fn ask_v6(&self, target: Ipv6Addr, scope: u32, mark: u32) -> Result<(), i32> {
        let socket = self.open(true, mark)?;
        connect(&socket, &to_sockaddr_in6(&SocketAddrV6::new(target, PORT, 0, scope)))
    }

    fn ask_v4(&mut self, target: Ipv4Addr, mark: u32) -> Result<Ipv4Addr, i32> {
        if self.v4.as_ref().is_some_and(|(_, of)| *of != mark) {
            self.v4 = None; // before there is another one: descriptors may be few
        }
        let socket = match self.v4.take() {
            Some((socket, _)) => socket,
            None => self.open(false, mark)?,
        };
        self.disconnect(&socket)?;
        let target = to_sockaddr_in(&SocketAddrV4::new(target, PORT));
        match connect(&socket, &target) {
            // A broadcast address, which TCP knows no way to; or a route that prohibits it.
            Err(libc::EACCES) if socket.set_broadcast(true).is_ok() && connect(&socket, &target).is_ok() => {
                return Err(libc::ENETUNREACH);
            }
            Err(libc::EACCES) => return Err(libc::EACCES),
            Err(errno) => {
                self.v4 = Some((socket, mark));
                return Err(errno);
            }
            Ok(()) => {}
        }
        let local = socket.local_addr().map_err(|error| os_error::of(&error))?;
        self.v4 = Some((socket, mark));
        match local.as_socket() {
            Some(SocketAddr::V4(local)) => Ok(*local.ip()),
            _ => Err(libc::EADDRNOTAVAIL),
        }
    }

    /// Its address would be kept by the next connect. What it was bound to is lost with it (__udp_disconnect in
    /// net/ipv4/udp.c).
    fn disconnect(&self, socket: &Socket) -> Result<(), i32> {
        connect(socket, &libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] })?;
        self.bind_device(socket).map_err(|error| os_error::of(&error))
    }

    fn bind_device(&self, socket: &Socket) -> io::Result<()> {
        self.wire.interface.as_ref().map_or(Ok(()), |interface| socket.bind_device(Some(interface)))
    }

    fn open(&self, v6: bool, mark: u32) -> Result<Socket, i32> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let open = || {
            let socket = asker(domain)?;
            self.bind_device(&socket)?;
            if mark != 0 {
                socket.set_mark(mark)?;
            }
            if let (Some(tos), false) = (self.wire.tos, v6) {
                socket.set_tos_v4(tos.into())?;
            }
            if let Some(mut source) = self.wire.source(v6) {
                source.set_port(0);
                socket.bind(&source.into())?;
            }
            Ok(socket)
        };
        let socket = open().map_err(|error: io::Error| os_error::of(&error))?;
        self.home.check(&socket)?;
        Ok(socket)
    }

    /// Those that nobody may ask from here; `None` where the kernel does not tell.
    #[cfg(test)]
    pub fn elsewhere() -> Option<Routes> {
        Some(Routes { home: Home::elsewhere()?, ..Routes::new(Wire::default()) })
    }

    #[cfg(test)]
    fn mark_kept(&self) -> u32 {
        self.v4.as_ref().map_or(0, |(socket, _)| socket.mark().unwrap())
    }

    pub fn clear(&mut self) {
        self.v4 = None;
        self.kept = HashMap::new();
        self.latest = None;
    }
}

/// A raw one, so that rules of routing for TCP are those that are asked. A process that has given up its privileges asks
/// with datagrams.
fn asker(domain: Domain) -> io::Result<Socket> {
    match Socket::new_raw(domain, Type::RAW.nonblocking().cloexec(), Some(Protocol::TCP)) {
        Ok(socket) => {
            hear_nothing(&socket)?;
            if domain == Domain::IPV4 {
                // Until it is asked, it costs the host's other traffic nothing: no segment goes to a group.
                socket.bind(&SocketAddrV4::new(NO_GROUP_V4, 0).into())?;
            }
            Ok(socket)
        }
        Err(error) if os_error::is_forbidden(os_error::of(&error)) => {
            Socket::new_raw(domain, Type::DGRAM.nonblocking().cloexec(), None)
        }
        Err(error) => Err(error),
    }
}

fn connect<A>(socket: &Socket, address: &A) -> Result<(), i32> {
    // SAFETY: `address` is a whole socket address of the size given.
    let result =
        unsafe { libc::connect(socket.as_raw_fd(), (&raw const *address).cast(), size_of::<A>() as libc::socklen_t) };
    if result == 0 { Ok(()) } else { Err(os_error::of(&io::Error::last_os_error())) }
}

#[cfg(test)]
mod tests;
