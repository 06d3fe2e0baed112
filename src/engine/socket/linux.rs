//! The handshake on Linux: its last ACK is withheld, and a reset socket connects again.
//!
//! How the last ACK is withheld: a client that asks for `TCP_DEFER_ACCEPT` promises to speak first, so the kernel
//! does not answer the SYN-ACK at once; it waits for data to send the ACK with, for up to 200 ms
//! (`tcp_rcv_synsent_state_process` in net/ipv4/tcp_input.c, `TCP_DELACK_MAX`). `TCP_QUICKACK = 0` has the same effect,
//! but only until the next connection. Within those 200 ms, `connect()` to an `AF_UNSPEC` address resets the
//! connection (connect(2), `tcp_disconnect`): with zero linger that is a RST, the local port is free at once, and the
//! socket can connect again, to any address of its family. Two things no reset undoes. A connect to a link-local
//! address binds the socket to the interface of its zone (`tcp_v6_connect` in net/ipv6/tcp_ipv6.c), so such a socket is
//! closed. And an ICMP error that comes behind the answer stays noted on the socket, so a reused one is not believed
//! when it tells of such an error.

use std::io;
use std::mem::size_of;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use mio::net::TcpStream;

use crate::sys::os_error;
use crate::sys::sockaddr::{canonical, to_sockaddr_in, to_sockaddr_in6};

use super::observation::{Answer, Observation};
use super::peer::{met_itself, microseconds_since, take_error};
use super::tcp_info::{TCP_CLOSE, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_SYN_RECV, TCP_SYN_SENT, TcpInfo};
use crate::engine::errno::{is_of_the_network, is_rare_icmp, is_reset};

pub(crate) fn withholds_ack() -> bool {
    true
}

pub(crate) fn reuses() -> bool {
    true
}

/// Withholds the ACK of every connection to come. Refused by kernels and sandboxes that do not know it on a client.
pub(super) fn defer(socket: &socket2::Socket) -> bool {
    set_option(socket.as_raw_fd(), libc::TCP_DEFER_ACCEPT, 1).is_ok()
}

/// Withholds the ACK of the next connection.
pub(super) fn defer_once(stream: &TcpStream) -> Result<(), i32> {
    set_option(stream.as_raw_fd(), libc::TCP_QUICKACK, 0)
}

pub(super) fn connect(stream: &TcpStream, target: &SocketAddr) -> Result<(), i32> {
    match canonical(target) {
        SocketAddr::V4(target) => connect_to(stream.as_raw_fd(), &to_sockaddr_in(&target)),
        SocketAddr::V6(target) => connect_to(stream.as_raw_fd(), &to_sockaddr_in6(&target)),
    }
}

pub(super) fn look(stream: &TcpStream, target: &SocketAddr, syn_at: u64) -> Result<Observation, i32> {
    let info = TcpInfo::read(stream.as_raw_fd())?;
    let syn_retransmits = info.total_retrans;
    match info.state {
        TCP_ESTABLISHED | TCP_CLOSE_WAIT => Ok(Observation::Answered(answer(stream, &info, target, syn_at)?)),
        TCP_SYN_SENT | TCP_SYN_RECV => match take_error(stream)? {
            0 => Ok(Observation::Nothing { syn_retransmits }),
            errno => error_without_answer(stream, errno, target, syn_at),
        },
        TCP_CLOSE => Ok(Observation::Closed(answer(stream, &info, target, syn_at)?)),
        // An emulator's TCP_INFO, or a state that no client can be in.
        _ => Err(libc::EIO),
    }
}

/// What SO_ERROR means of a socket that had no answer before.
fn error_without_answer(stream: &TcpStream, errno: i32, target: &SocketAddr, syn_at: u64) -> Result<Observation, i32> {
    let info = TcpInfo::read(stream.as_raw_fd())?;
    let syn_retransmits = info.total_retrans;
    Ok(match info.state {
        // Answered and reset by the server, between the two calls.
        TCP_CLOSE if is_reset(errno) => Observation::Answered(answer(stream, &info, target, syn_at)?),
        TCP_CLOSE => Observation::Failed { errno, syn_retransmits },
        // An ICMP error that found the socket locked by connect() was noted, not acted upon. So was one that came
        // behind an answer, and it survives the reset (sk_err_soft, tcp_v4_err in net/ipv4/tcp_ipv4.c).
        _ => Observation::Noted { errno, syn_retransmits },
    })
}

fn answer(stream: &TcpStream, info: &TcpInfo, target: &SocketAddr, syn_at: u64) -> Result<Answer, i32> {
    let syns = 1 + info.total_retrans;
    let acked = info.segs_out != syns;
    Ok(Answer {
        // The kernel has no sample if the SYN was sent twice to a server without timestamps; and an emulator may pass
        // on no more than the first words of TCP_INFO.
        rtt_us: if info.rtt > 0 { info.rtt } else { microseconds_since(syn_at) },
        syn_retransmits: info.total_retrans,
        acked,
        // A simultaneous open takes a SYN-ACK too, so a socket that sent only SYNs did not meet itself.
        met_a_check: acked && met_itself(stream, target)?,
        met_a_syn: info.met_a_syn(),
    })
}

/// The errno of an attempt that is over. A second connect() to where the first one failed returns it, and makes the
/// socket as good as new in the same call (the sock_error label of __inet_stream_connect in net/ipv4/af_inet.c).
pub(super) fn collect_error(stream: &TcpStream, target: &SocketAddr) -> Result<i32, i32> {
    match connect(stream, target) {
        // A sandbox says such things, too. Then the socket still has its error.
        Err(errno) if is_rare_icmp(errno) && take_error(stream)? != 0 => Err(errno),
        Err(errno) if is_of_the_network(errno) => Ok(errno),
        Err(errno) => Err(errno),
        // Not over after all, which cannot be.
        Ok(()) => Err(libc::EIO),
    }
}

/// Sends RST, and makes the socket as good as new.
pub(super) fn reset(stream: &TcpStream) -> bool {
    let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    connect_to(stream.as_raw_fd(), &nowhere).is_ok()
}

/// Whether the reset kept the counters of segments, as it did before Linux 5.6.
pub(super) fn keeps_counters(stream: &TcpStream) -> bool {
    TcpInfo::read(stream.as_raw_fd()).is_ok_and(|info| info.state == TCP_CLOSE && info.segs_in > 0)
}

/// How long ago the SYN-ACK came. The reset keeps it (rcv_tstamp).
pub(super) fn since_answer(stream: &TcpStream) -> Option<Duration> {
    TcpInfo::read(stream.as_raw_fd()).ok().map(|info| info.since_last_ack())
}

/// connect(2) on a non-blocking socket: on its way, or an errno.
fn connect_to<A>(fd: RawFd, address: &A) -> Result<(), i32> {
    // Not libc's own connect(), which spends a tenth of a microsecond on being a cancellation point.
    // SAFETY: `address` is a whole socket address of the size given.
    let result = unsafe { libc::syscall(libc::SYS_connect, fd, &raw const *address, size_of::<A>()) };
    if result == 0 {
        return Ok(());
    }
    match os_error::of(&io::Error::last_os_error()) {
        os_error::UNDER_WAY => Ok(()),
        errno => Err(errno),
    }
}

fn set_option(fd: RawFd, name: i32, value: i32) -> Result<(), i32> {
    // SAFETY: the kernel reads one int, which `value` is.
    let result = unsafe {
        libc::setsockopt(fd, libc::IPPROTO_TCP, name, (&raw const value).cast(), size_of::<i32>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(os_error::of(&io::Error::last_os_error())) }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[cfg(not(feature = "forced-handshake"))]
mod tests;
