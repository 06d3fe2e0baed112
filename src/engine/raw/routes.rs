//! Which source address a segment leaves with: the checksum of TCP over IPv4 covers it.
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

use crate::engine::wire::Wire;
use crate::sys::os_error;
use crate::sys::sockaddr::{canonical, to_sockaddr_in, to_sockaddr_in6};

/// How long an address is kept, in nanoseconds.
const LIFE: u64 = 1_000_000_000;
/// Addresses kept; when there are more, all are forgotten.
const MOST: usize = 1 << 14;
/// A datagram's port does not matter, but for rules of routing that look at it.
const PORT: u16 = 80;

#[derive(Clone, Copy)]
struct Kept {
    source: Ipv4Addr,
    until: u64,
}

pub(super) struct Routes {
    wire: Wire,
    v4: Option<Socket>,
    kept: HashMap<(Ipv4Addr, u32), Kept>,
    /// The one that was asked for last.
    latest: Option<((Ipv4Addr, u32), Kept)>,
}

impl Routes {
    pub fn new(wire: Wire) -> Routes {
        Routes { wire, v4: None, kept: HashMap::new(), latest: None }
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
                self.kept.insert(key, kept);
                kept
            }
        };
        self.latest = Some((key, kept));
        Ok(kept.source)
    }

    /// The address has left this host, or may have.
    pub fn forget(&mut self, target: Ipv4Addr, mark: u32) {
        self.kept.remove(&(target, mark));
        self.latest = None;
    }

    /// What the routes say of a target; the errno if there is no way there.
    pub fn ask(&mut self, target: IpAddr, scope: u32, mark: u32) -> Result<(), i32> {
        match target {
            IpAddr::V4(target) => self.ask_v4(target, mark).map(|_| ()),
            IpAddr::V6(target) => {
                let socket = self.open(true)?;
                self.prepare(&socket, mark)?;
                connect(&socket, &to_sockaddr_in6(&SocketAddrV6::new(target, PORT, 0, scope)))
            }
        }
    }

    fn ask_v4(&mut self, target: Ipv4Addr, mark: u32) -> Result<Ipv4Addr, i32> {
        let socket = match self.v4.take() {
            Some(socket) => socket,
            None => self.open(false)?,
        };
        self.prepare(&socket, mark)?;
        let target = to_sockaddr_in(&SocketAddrV4::new(target, PORT));
        connect(&socket, &target).map_err(|errno| match errno {
            // A broadcast address, which TCP knows no way to; or a route that prohibits it.
            libc::EACCES if socket.set_broadcast(true).is_ok() && connect(&socket, &target).is_ok() => {
                libc::ENETUNREACH
            }
            _ => errno,
        })?;
        let local = socket.local_addr().map_err(|error| os_error::of(&error))?;
        // Its address would be kept by the next connect.
        let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
        if connect(&socket, &nowhere).is_ok() {
            self.v4 = Some(socket);
        }
        match local.as_socket() {
            Some(SocketAddr::V4(local)) => Ok(*local.ip()),
            _ => Err(libc::EADDRNOTAVAIL),
        }
    }

    fn open(&self, v6: bool) -> Result<Socket, i32> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let open = || {
            let socket = Socket::new_raw(domain, Type::DGRAM.nonblocking().cloexec(), None)?;
            if let Some(interface) = &self.wire.interface {
                socket.bind_device(Some(interface))?;
            }
            match (self.wire.tos, v6, self.wire.source_v6) {
                (Some(tos), false, _) => socket.set_tos_v4(tos.into())?,
                (_, true, Some(source)) => {
                    socket.bind(&SocketAddrV6::new(*source.ip(), 0, 0, source.scope_id()).into())?
                }
                _ => {}
            }
            Ok(socket)
        };
        open().map_err(|error: io::Error| os_error::of(&error))
    }

    fn prepare(&self, socket: &Socket, mark: u32) -> Result<(), i32> {
        if mark == 0 && self.wire.mark.is_none_or(|mark| mark == 0) {
            return Ok(());
        }
        socket.set_mark(mark).map_err(|error| os_error::of(&error))
    }

    pub fn clear(&mut self) {
        self.v4 = None;
        self.kept = HashMap::new();
        self.latest = None;
    }
}

fn connect<A>(socket: &Socket, address: &A) -> Result<(), i32> {
    // SAFETY: `address` is a whole socket address of the size given.
    let result =
        unsafe { libc::connect(socket.as_raw_fd(), (&raw const *address).cast(), size_of::<A>() as libc::socklen_t) };
    if result == 0 { Ok(()) } else { Err(os_error::of(&io::Error::last_os_error())) }
}
