//! One half-open socket: its options, connect, what it saw, and the reset. All kernel lore lives here.
//!
//! How the last ACK is withheld: a client that asks for `TCP_DEFER_ACCEPT` promises to speak first, so the kernel
//! does not answer the SYN-ACK at once; it waits for data to send the ACK with, for up to 200 ms
//! (`tcp_rcv_synsent_state_process` in net/ipv4/tcp_input.c, `TCP_DELACK_MAX`). `TCP_QUICKACK = 0` has the same effect,
//! but only until the next connection. Within those 200 ms, `connect()` to an `AF_UNSPEC` address resets the
//! connection (connect(2), `tcp_disconnect`): with zero linger that is a RST, the local port is free at once, and the
//! socket can connect again, to any address of its family.

mod errno;
mod sockaddr;
mod tcp_info;

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Type};

use crate::clock;
use crate::config::Wire;
use crate::request::Handshake;
use crate::verdict::{Status, Verdict};

use errno::{Origin, status_of};
use sockaddr::{sockaddr_in, sockaddr_in6};
use tcp_info::{TCP_CLOSE, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_SYN_RECV, TCP_SYN_SENT, TcpInfo};

pub(crate) use errno::{error_text, is_out_of_descriptors};
pub(crate) use sockaddr::{CAddress, from_sockaddr_in, from_sockaddr_in6};

/// How long after the SYN-ACK an ACK certainly has not left by itself: TCP_DELACK_MAX (200 ms) less two ticks of the
/// slowest kernel clock (10 ms each), in which ages are counted.
const ACK_WITHHELD: Duration = Duration::from_millis(180);

/// How a check ends its handshake, which decides the options of its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    pub handshake: Handshake,
    /// Close with FIN instead of RST.
    pub linger: bool,
}

impl Manner {
    /// Whether the kernel completed the handshake, or may have, although the check meant to withhold the ACK.
    pub fn was_thwarted(self, verdict: &Verdict) -> bool {
        self.withholds_ack() && verdict.status == Status::Up && !verdict.half_open
    }

    /// The only manner that leaves a socket in a state to be used again.
    const RESET_HALF_OPEN: Manner = Manner { handshake: Handshake::HalfOpen, linger: false };

    /// Whether a check of this manner means to keep the handshake from completing.
    pub fn withholds_ack(self) -> bool {
        self == Manner::RESET_HALF_OPEN
    }
}

pub(crate) struct Socket {
    fd: OwnedFd,
    manner: Manner,
    v6: bool,
    /// `TCP_DEFER_ACCEPT` is set. Where it cannot be, `TCP_QUICKACK` must be cleared before every connect.
    defers: bool,
    /// It is bound to an interface, by its number.
    bound: bool,
    /// It has served a check before.
    used: bool,
    /// A connect has been begun and not ended.
    connecting: bool,
    /// How many sockets the checker holds.
    held: Arc<AtomicU64>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connecting {
            self.end();
        }
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a look at a connecting socket found.
pub(crate) enum Sight {
    /// No answer yet.
    Nothing { syn_retransmits: u32 },
    /// SYN-ACK.
    Answered(Answer),
    /// connect() itself failed.
    Unsent { errno: i32 },
    /// An ICMP error that the kernel noted but did not act upon.
    Failed { errno: i32, syn_retransmits: u32 },
    /// RST, ICMP or the kernel's own ETIMEDOUT: the attempt is over, and the errno is still to be collected. An
    /// answer may have come before.
    Closed(Answer),
}

/// What the kernel tells of an answered handshake.
pub(crate) struct Answer {
    rtt_us: u32,
    syn_retransmits: u32,
    /// More segments left than SYNs: the ACK is out.
    acked: bool,
    /// The answer came from the very socket that asked.
    met_itself: bool,
}

/// How a check ended.
pub(crate) struct Conclusion {
    pub verdict: Verdict,
    /// The socket is fit for another check.
    pub clean: bool,
    /// When, on the library's clock.
    pub at: u64,
}

impl Socket {
    /// Opens a socket with every option a check of this manner needs.
    pub fn open(v6: bool, manner: Manner, wire: &Wire, held: &Arc<AtomicU64>) -> Result<Socket, i32> {
        let (fd, defers) = open(v6, manner, wire).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
        held.fetch_add(1, Ordering::SeqCst);
        Ok(Socket {
            fd,
            manner,
            v6,
            defers,
            bound: wire.interface.is_some(),
            used: false,
            connecting: false,
            held: held.clone(),
        })
    }

    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub fn is_v6(&self) -> bool {
        self.v6
    }

    /// Whether a failure to connect may be the socket's own fault: one that is bound to an interface goes on meaning the
    /// interface that bore the name then, which may be gone.
    pub fn may_be_stale(&self) -> bool {
        self.bound && self.used
    }

    /// Sends the SYN. An error is the check's verdict.
    pub fn connect(&mut self, target: &SocketAddr) -> Result<(), i32> {
        if self.manner.handshake == Handshake::HalfOpen && !self.defers {
            set_option(self.raw_fd(), libc::IPPROTO_TCP, libc::TCP_QUICKACK, &0i32)
                .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
        }
        self.connecting = true;
        connect_to(self.raw_fd(), target)
    }

    /// What has come back so far. The state is read from the socket itself, so a stale event does no harm.
    pub fn look(&self, target: &SocketAddr) -> Sight {
        let info = TcpInfo::read(self.raw_fd());
        let syn_retransmits = info.total_retrans;
        match info.state {
            TCP_ESTABLISHED | TCP_CLOSE_WAIT => Sight::Answered(self.answer(&info, target)),
            TCP_SYN_SENT | TCP_SYN_RECV => match self.take_error() {
                0 => Sight::Nothing { syn_retransmits },
                // Answered and reset by the server, between the two calls.
                libc::ECONNRESET | libc::EPIPE => Sight::Answered(self.answer(&TcpInfo::read(self.raw_fd()), target)),
                // An ICMP error that found the socket locked by connect() itself was noted, not acted upon
                // (sk_err_soft, tcp_v4_err in net/ipv4/tcp_ipv4.c). It is the same answer.
                errno => Sight::Failed { errno, syn_retransmits },
            },
            TCP_CLOSE => Sight::Closed(self.answer(&info, target)),
            // No TCP_INFO (a sandbox), or a state that no client can be in: nothing was learned.
            _ => Sight::Unsent { errno: libc::EIO },
        }
    }

    fn answer(&self, info: &TcpInfo, target: &SocketAddr) -> Answer {
        let syns = 1 + info.total_retrans;
        let acked = info.segs_out != syns;
        Answer {
            rtt_us: info.rtt,
            syn_retransmits: info.total_retrans,
            acked,
            // A simultaneous open takes a SYN-ACK too, so a socket that sent only SYNs did not meet itself.
            met_itself: acked && local_address(self.raw_fd()).is_some_and(|local| same_endpoint(&local, target)),
        }
    }

    /// Ends the check: resets the connection or the attempt first, and says what was learned after.
    pub fn conclude(&mut self, sight: &Sight, target: &SocketAddr, syn_at: u64) -> Conclusion {
        let (clean, errno) = match sight {
            Sight::Closed(_) => self.collect_error(target),
            Sight::Unsent { errno } => (!self.bound && self.end(), *errno),
            Sight::Failed { errno, .. } => (self.end(), *errno),
            Sight::Nothing { .. } | Sight::Answered(_) => (self.end(), 0),
        };
        let now = clock::now();
        let mut verdict = Verdict { address: Some(*target), ..Verdict::without_segments(Status::TimedOut, errno) };
        match sight {
            Sight::Nothing { syn_retransmits } => verdict.syn_retransmits = *syn_retransmits,
            Sight::Unsent { .. } => verdict.status = status_of(errno, Origin::Connect),
            Sight::Failed { syn_retransmits, .. } => {
                verdict.status = status_of(errno, Origin::Network);
                verdict.syn_retransmits = *syn_retransmits;
            }
            // Only a connection can be reset: the SYN-ACK had come, and the ACK had gone out.
            Sight::Closed(answer) if errno != libc::ECONNRESET && errno != libc::EPIPE => {
                verdict.status = status_of(errno, Origin::Network);
                verdict.syn_retransmits = answer.syn_retransmits;
            }
            Sight::Answered(answer) | Sight::Closed(answer) => {
                verdict.status = if answer.met_itself { Status::Refused } else { Status::Up };
                verdict.os_error = 0;
                verdict.rtt_us = if answer.met_itself { 0 } else { answer.rtt_us };
                verdict.syn_retransmits = answer.syn_retransmits;
                verdict.half_open = verdict.status == Status::Up
                    && matches!(sight, Sight::Answered(_))
                    && self.is_proven_half_open(answer, Duration::from_nanos(now - syn_at));
            }
        }
        self.connecting &= !clean;
        self.used = true;
        Conclusion { verdict, clean: clean && self.manner.withholds_ack(), at: now }
    }

    /// The errno of an attempt that is over. A second connect() to where the first one failed returns it, and makes the
    /// socket as good as new in the same call (the sock_error label of __inet_stream_connect in net/ipv4/af_inet.c).
    fn collect_error(&self, target: &SocketAddr) -> (bool, i32) {
        match connect_to(self.raw_fd(), target) {
            // Not over after all, which cannot be: the socket is not to be trusted.
            Ok(()) | Err(libc::EALREADY | libc::EISCONN) => (false, 0),
            Err(errno) => (true, errno),
        }
    }

    /// Ends a check without a verdict. True if the socket is fit for another one.
    pub fn abandon(&mut self) -> bool {
        self.used = true;
        self.connecting = !self.end();
        !self.connecting && self.manner.withholds_ack()
    }

    /// Ends the connection even if a forked child holds a copy of the descriptor, as closing alone would not.
    fn end(&self) -> bool {
        if self.manner.linger {
            // SAFETY: shutdown takes no pointer.
            return unsafe { libc::shutdown(self.raw_fd(), libc::SHUT_RDWR) } == 0;
        }
        let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
        connect(self.raw_fd(), &nowhere).is_ok()
    }

    /// Whether it is proven that the kernel sent no ACK, asked after the reset. `since_syn` is measured after
    /// the reset too: the answer's own proof ended with the look, and an ACK may have slipped out between the two.
    fn is_proven_half_open(&self, answer: &Answer, since_syn: Duration) -> bool {
        self.manner.withholds_ack()
            && !answer.acked
            // A slow answer needs the second proof: the reset keeps the time of the SYN-ACK (rcv_tstamp).
            && (since_syn < ACK_WITHHELD || TcpInfo::read(self.raw_fd()).since_last_ack() < ACK_WITHHELD)
    }

    /// SO_ERROR, which reading clears.
    fn take_error(&self) -> i32 {
        let mut errno: i32 = 0;
        let mut length = size_of::<i32>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, the size of `errno`.
        let result = unsafe {
            libc::getsockopt(self.raw_fd(), libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut errno).cast(), &mut length)
        };
        if result == 0 { errno } else { last_errno() }
    }
}

/// The descriptor, and whether `TCP_DEFER_ACCEPT` is set on it.
fn open(v6: bool, manner: Manner, wire: &Wire) -> io::Result<(OwnedFd, bool)> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = socket2::Socket::new_raw(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    let fd = socket.as_raw_fd();
    if !manner.linger {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    // Refused by kernels and sandboxes that do not know it on a client; then TCP_QUICKACK must do.
    let defers = manner.handshake == Handshake::HalfOpen
        && set_option(fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &1i32).is_ok();
    if let Some(interface) = &wire.interface {
        socket.bind_device(Some(interface))?;
    }
    if let Some(mark) = wire.mark {
        socket.set_mark(mark)?;
    }
    if let Some(tos) = wire.tos {
        match v6 {
            true => socket.set_tclass_v6(tos.into())?,
            false => socket.set_tos_v4(tos.into())?,
        }
    }
    let source = if v6 { wire.source_v6.map(SocketAddr::V6) } else { wire.source_v4.map(SocketAddr::V4) };
    if let Some(source) = source {
        // Without it, bind would take a port for itself, unfit for more than one connection at a time (ip(7)).
        set_option(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, &1i32)?;
        socket.bind(&source.into())?;
    }
    Ok((socket.into(), defers))
}

/// Whether this process has the privileges that these settings need.
pub(crate) fn probe(wire: &Wire) -> Result<(), Status> {
    let manner = Manner { handshake: Handshake::HalfOpen, linger: false };
    let unbound = Wire { source_v4: None, source_v6: None, ..wire.clone() };
    match open(false, manner, &unbound).map_err(|error| error.raw_os_error()) {
        Err(Some(libc::EPERM | libc::EACCES)) if wire.mark.is_some() || wire.interface.is_some() => {
            Err(Status::Unsupported)
        }
        // Anything else may pass before the first check, and is that check's own result if it does not.
        _ => Ok(()),
    }
}

/// The soft limit on open descriptors.
pub(crate) fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
    // SAFETY: the kernel writes one rlimit, which `limit` is.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_cur
}

/// The number of an interface, if there is one of this name.
pub(crate) fn interface_index(name: &[u8]) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: `name` is a NUL-terminated string that lives through the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        index => Some(index),
    }
}

/// Whether a check of this target needs an IPv6 socket. An IPv4-mapped address does not: what it means is IPv4.
pub(crate) fn is_v6(target: &SocketAddr) -> bool {
    target.ip().to_canonical().is_ipv6()
}

fn connect_to(fd: RawFd, target: &SocketAddr) -> Result<(), i32> {
    match (target, target.ip().to_canonical()) {
        (SocketAddr::V6(target), IpAddr::V6(_)) => connect(fd, &sockaddr_in6(target)),
        (_, IpAddr::V4(ip)) => connect(fd, &sockaddr_in(&SocketAddrV4::new(ip, target.port()))),
        (SocketAddr::V4(_), IpAddr::V6(_)) => Err(libc::EINVAL), // no canonical form of IPv4 is IPv6
    }
}

/// connect(2) on a non-blocking socket: on its way, or an errno.
fn connect<A>(fd: RawFd, address: &A) -> Result<(), i32> {
    // Not libc's own connect(), which spends a tenth of a microsecond on being a cancellation point.
    // SAFETY: `address` is a whole socket address of the size given.
    let result = unsafe { libc::syscall(libc::SYS_connect, fd, &raw const *address, size_of::<A>()) };
    if result == 0 {
        return Ok(());
    }
    match last_errno() {
        libc::EINPROGRESS => Ok(()),
        errno => Err(errno),
    }
}

fn set_option(fd: RawFd, level: i32, name: i32, value: &i32) -> io::Result<()> {
    // SAFETY: the kernel reads one int, which `value` is.
    let result =
        unsafe { libc::setsockopt(fd, level, name, (&raw const *value).cast(), size_of::<i32>() as libc::socklen_t) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn local_address(fd: RawFd) -> Option<SocketAddr> {
    // SAFETY: `fd` is open for as long as the borrowing socket lives.
    let socket = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    socket2::SockRef::from(&socket).local_addr().ok()?.as_socket()
}

/// Whether the local end of a connection is its target too. Connecting to the unspecified address connects to this
/// host.
fn same_endpoint(local: &SocketAddr, target: &SocketAddr) -> bool {
    let (local_ip, target_ip) = (local.ip().to_canonical(), target.ip().to_canonical());
    local.port() == target.port() && (local_ip == target_ip || target_ip.is_unspecified())
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
