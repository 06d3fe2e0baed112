//! Targets whose behaviour is known: a listener that never accepts, a full one, a dead port.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::handshake;
use super::process::until;

/// IPv4 loopback.
pub const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// IPv6 loopback.
pub const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A port where nobody listens, outside the ephemeral range, so that no socket meets itself there.
pub const DEAD_PORT: u16 = 9;

/// A socket address, for short.
pub fn at(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

/// A listener whose program never calls accept(), unless to see that there is nothing to accept.
pub struct Listener {
    socket: TcpListener,
}

impl Listener {
    /// Listens on a port with the longest queue that the kernel grants.
    pub fn on(ip: IpAddr, port: u16) -> Listener {
        Listener::with_backlog(at(ip, port), i32::MAX)
    }

    /// Listens with a queue of this length.
    pub fn with_backlog(address: SocketAddr, backlog: i32) -> Listener {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        if address.is_ipv6() {
            socket.set_only_v6(true).expect("IPV6_V6ONLY");
        }
        socket.set_reuse_address(true).expect("SO_REUSEADDR");
        socket.bind(&address.into()).unwrap_or_else(|error| panic!("bind {address}: {error}"));
        socket.listen(backlog).expect("listen");
        socket.set_nonblocking(true).expect("O_NONBLOCK");
        Listener { socket: socket.into() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket")
    }

    /// Of a listener, the kernel tells how long its queue is and how long it may be (tcp_get_info); one more than that
    /// fits in (sk_acceptq_is_full).
    fn is_full(&self) -> bool {
        // SAFETY: all zeroes is a valid struct.
        let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
        let (level, option, mut length) = (libc::IPPROTO_TCP, libc::TCP_INFO, size_of_val(&info) as libc::socklen_t);
        let descriptor = self.socket.as_raw_fd();
        // SAFETY: the descriptor is open, and the kernel writes no more than `length` bytes.
        let told = unsafe { libc::getsockopt(descriptor, level, option, (&raw mut info).cast(), &mut length) };
        assert_eq!(told, 0, "{}", std::io::Error::last_os_error());
        info.tcpi_unacked > info.tcpi_sacked
    }

    /// Nothing ever arrived: accept() says EAGAIN at once, or after no more connections than checks were held up. Where
    /// the ACK cannot be withheld, whatever arrived was reset.
    #[track_caller]
    pub fn assert_untouched(&self) {
        if !handshake::withholds_ack() {
            return self.assert_reset();
        }
        let mut peers = Vec::new();
        let end = loop {
            match self.socket.accept() {
                Ok((_, peer)) => peers.push(peer),
                Err(error) => break error,
            }
        };
        assert_eq!(end.kind(), ErrorKind::WouldBlock, "{end}");
        assert!(peers.len() as u64 <= handshake::held_up(), "{} was handed connections from {peers:?}", self.address());
    }

    #[track_caller]
    pub fn assert_reset(&self) {
        for (mut stream, peer) in std::iter::from_fn(|| self.socket.accept().ok()) {
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("SO_RCVTIMEO");
            let end = stream.read(&mut [0]).map_err(|error| error.kind());
            assert_eq!(end, Err(ErrorKind::ConnectionReset), "what became of the connection from {peer}");
        }
    }

    /// Takes every connection that has arrived; returns how many there were.
    pub fn accept_all(&self) -> usize {
        std::iter::from_fn(|| self.socket.accept().ok()).count()
    }
}

/// A listener whose queue of established connections is full: the kernel leaves new SYNs unanswered.
pub struct FullListener {
    listener: Listener,
    _queued: TcpStream,
}

impl FullListener {
    /// Listens with the shortest queue, which one connection fills.
    pub fn on(ip: IpAddr, port: u16) -> FullListener {
        let listener = Listener::with_backlog(at(ip, port), 0);
        let queued = TcpStream::connect(listener.address()).expect("the first connection");
        until("a full queue", || listener.is_full());
        FullListener { listener, _queued: queued }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }
}

/// Waits until a plain client can connect, as to a server that was just started.
pub fn wait_for_server(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = TcpStream::connect(address) {
        assert!(Instant::now() < deadline, "nobody listens on {address} after a minute: {error}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
