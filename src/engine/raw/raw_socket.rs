//! A raw IP socket of TCP segments, with its options (raw(7), ip(7), ipv6(7)).

use std::io;
use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::checksum::CHECKSUM_AT;
use super::receiving::{ErrorBuffer, IcmpError, Incoming, ReceiveBuffers, receive_error};
use super::sending::{Outgoing, send};
use crate::engine::wire::Wire;

/// What the receive queue may hold, if this process may say so (SO_RCVBUFFORCE, socket(7)): some 80,000 answers.
const RECEIVE_QUEUE: i32 = 64 << 20;
const SEND_QUEUE: i32 = 8 << 20;

/// Lets nothing through: BPF_RET | BPF_K, with 0 bytes (linux/filter.h).
const NOTHING: [libc::sock_filter; 1] = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 }];
/// Addresses that nobody has: one that is reserved (RFC 1112, section 4), one of those to discard (RFC 6666).
const NOWHERE_V4: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 1);
const NOWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);
/// A socket that is bound to an address of a group receives what goes there, which no segment of TCP does, and sends from
/// the address that the routes choose (raw_bind in net/ipv4/raw.c, rawv6_bind in net/ipv6/raw.c). Nobody joins these
/// (RFC 1112, section 4; RFC 4291, section 2.7).
pub(super) const NO_GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 0);
const NO_GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 0, 0);
/// Binding to an address that this host lacks (ipv6(7), linux/in6.h).
const IPV6_FREEBIND: i32 = 78;

pub(super) struct RawSocket {
    socket: Socket,
    /// With IPv6 this one sends, and hears nothing: its option to have checksums made is one to have them verified, too,
    /// and what is damaged would count among what the kernel had no room for (rawv6_rcv_skb in net/ipv6/raw.c).
    sender: Option<Socket>,
    v6: bool,
    /// The address that it is bound to while it receives.
    source: SocketAddr,
    /// What leaves bears this firewall mark.
    mark: u32,
    buffers: ReceiveBuffers,
    /// How many segments the kernel has dropped for want of room in the receive queue, as it counts them.
    dropped: u32,
}

impl RawSocket {
    /// Opens a socket, which is deaf: nothing is received by it, and it costs the host's other traffic nothing.
    pub fn open(v6: bool, wire: &Wire) -> io::Result<RawSocket> {
        let socket = open(v6, wire)?;
        let any = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let mut source = wire.source(v6).unwrap_or(SocketAddr::new(any, 0));
        source.set_port(0); // for a raw socket the port is a protocol, or 0
        let fd = socket.as_raw_fd();
        if v6 {
            set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?;
        } else {
            set(fd, libc::IPPROTO_IP, libc::IP_RECVERR, 1)?;
        }
        // What follows makes it better. A kernel or a sandbox that refuses it does no harm.
        let _ = set(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
        let _ = set(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
        if v6 {
            let _ = set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1);
        }
        if set(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_QUEUE).is_err() {
            let _ = set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_QUEUE);
        }
        let buffers = ReceiveBuffers::new().map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
        let sender = if v6 { Some(open_sender_v6(wire)?) } else { None };
        let socket = RawSocket { socket, sender, v6, source, mark: 0, buffers, dropped: 0 };
        socket.grow_deaf()?;
        Ok(socket)
    }

    /// Receives from now on what the filter lets through.
    pub fn listen(&self, filter: &[libc::sock_filter]) -> io::Result<()> {
        attach(&self.socket, filter)?;
        self.socket.bind(&self.source.into())
    }

    /// Receives nothing from now on. It is bound to an address that nobody has, so that the kernel hands no segment to it
    /// (raw_v4_match in net/ipv4/raw.c, raw_v6_match in net/ipv6/raw.c). A process that gave up its privileges could not
    /// open it again.
    pub fn grow_deaf(&self) -> io::Result<()> {
        hear_nothing(&self.socket)?;
        let (level, name) =
            if self.v6 { (libc::IPPROTO_IPV6, IPV6_FREEBIND) } else { (libc::IPPROTO_IP, libc::IP_FREEBIND) };
        let nowhere: SocketAddr = if self.v6 { (NOWHERE_V6, 0).into() } else { (NOWHERE_V4, 0).into() };
        set(self.fd(), level, name, 1)?;
        let bound = self.socket.bind(&nowhere.into());
        set(self.fd(), level, name, 0)?;
        bound
    }

    /// Another socket takes its place, which can be neither read nor written.
    #[cfg(test)]
    pub fn spoil(&mut self) {
        self.socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Has what leaves from now on bear this mark.
    pub fn set_mark(&mut self, mark: u32) -> io::Result<()> {
        if mark != self.mark {
            self.sender().set_mark(mark)?;
            self.mark = mark;
        }
        Ok(())
    }

    /// Sends these segments, all to addresses of the socket's family. Returns how many left; an error is of the first.
    pub fn send(&self, segments: &[Outgoing]) -> io::Result<usize> {
        send(self.sender().as_raw_fd(), segments)
    }

    fn sender(&self) -> &Socket {
        self.sender.as_ref().unwrap_or(&self.socket)
    }

    /// How many sockets it is.
    pub fn count(&self) -> u64 {
        1 + u64::from(self.sender.is_some())
    }

    /// Receives up to 64 segments. Returns how many; if fewer, no more were there.
    pub fn receive(&mut self) -> io::Result<usize> {
        self.buffers.receive(self.socket.as_raw_fd(), self.v6)
    }

    /// The received segment of this index.
    pub fn segment(&self, index: usize) -> Incoming<'_> {
        self.buffers.segment(index, self.v6)
    }

    /// How many segments the kernel has dropped so far, if it tells. Beside a segment it tells of those before it only.
    pub fn dropped(&self) -> Option<u32> {
        self.memory().map(|[.., drops]| drops)
    }

    /// How many instructions its filter has (SO_GET_FILTER, asm-generic/socket.h).
    #[cfg(test)]
    pub fn filter_length(&self) -> u32 {
        let mut length = 0;
        // SAFETY: without a place for the filter, the kernel writes its length to `length` alone.
        let asked = unsafe {
            let nowhere = std::ptr::null_mut();
            libc::getsockopt(self.fd(), libc::SOL_SOCKET, libc::SO_GET_FILTER, nowhere, &mut length)
        };
        assert_eq!(asked, 0);
        length
    }

    /// From now on there is room for so many bytes of what comes in, or a little more.
    #[cfg(test)]
    pub fn narrow(&self, room: usize) {
        self.socket.set_recv_buffer_size(room).unwrap();
    }

    /// How much memory what came in and is unread takes.
    #[cfg(test)]
    pub fn unread(&self) -> u32 {
        self.memory().map_or(0, |[unread, ..]| unread)
    }

    /// What the kernel tells of the socket's memory (SO_MEMINFO, linux/sock_diag.h): SK_MEMINFO_RMEM_ALLOC is the first
    /// word, SK_MEMINFO_DROPS the last.
    fn memory(&self) -> Option<[u32; 9]> {
        const SO_MEMINFO: i32 = 55; // asm-generic/socket.h
        let mut info = [0; 9];
        let mut size = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the kernel writes `size` bytes at most to `info`, and how many to `size`.
        let result = unsafe {
            let info = (&raw mut info).cast();
            libc::getsockopt(self.fd(), libc::SOL_SOCKET, SO_MEMINFO, info, &mut size)
        };
        (result == 0 && size as usize == size_of_val(&info)).then_some(info)
    }

    /// Whether the kernel has dropped segments since this was asked last. `dropped` is what it said beside a segment.
    pub fn has_dropped(&mut self, dropped: Option<u32>) -> bool {
        dropped.is_some_and(|dropped| std::mem::replace(&mut self.dropped, dropped) != dropped)
    }

    /// The next ICMP error that waits.
    pub fn receive_error<'a>(&self, buffer: &'a mut ErrorBuffer) -> Option<IcmpError<'a>> {
        receive_error(self.fd(), buffer)
    }
}

/// A socket that hears nothing, with what is the same for those that send and receive.
fn open(v6: bool, wire: &Wire) -> io::Result<Socket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new_raw(domain, Type::RAW.nonblocking().cloexec(), Some(Protocol::TCP))?;
    hear_nothing(&socket)?;
    if let Some(interface) = &wire.interface {
        socket.bind_device(Some(interface))?;
    }
    let fd = socket.as_raw_fd();
    match wire.tos {
        Some(tos) if v6 => set(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, tos.into())?,
        Some(tos) => set(fd, libc::IPPROTO_IP, libc::IP_TOS, tos.into())?,
        None => {}
    }
    // Makes it better. A kernel or a sandbox that refuses it does no harm.
    if set(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_QUEUE).is_err() {
        let _ = set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_QUEUE);
    }
    Ok(socket)
}

fn open_sender_v6(wire: &Wire) -> io::Result<Socket> {
    let socket = open(true, wire)?;
    set(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, CHECKSUM_AT as i32)?;
    socket.bind(&SocketAddrV6::new(NO_GROUP_V6, 0, 0, 0).into())?;
    Ok(socket)
}

pub(super) fn hear_nothing(socket: &Socket) -> io::Result<()> {
    attach(socket, &NOTHING)
}

fn attach(socket: &Socket, filter: &[libc::sock_filter]) -> io::Result<()> {
    let filter: Vec<SockFilter> = filter.iter().map(|one| SockFilter::new(one.code, one.jt, one.jf, one.k)).collect();
    socket.attach_filter(&filter)
}

fn set(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads one int, which `value` is.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
