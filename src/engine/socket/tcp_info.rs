//! What the kernel tells of a connection: `TCP_INFO` (tcp(7)).

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::RawFd;
use std::time::Duration;

use crate::sys::os_error;

// States of a TCP socket, from include/net/tcp_states.h.
pub(super) const TCP_ESTABLISHED: u8 = 1;
pub(super) const TCP_SYN_SENT: u8 = 2;
pub(super) const TCP_SYN_RECV: u8 = 3;
pub(super) const TCP_CLOSE: u8 = 7;
pub(super) const TCP_CLOSE_WAIT: u8 = 8;

/// The head of `struct tcp_info` (include/uapi/linux/tcp.h), as far as it is needed; the kernel fills what fits.
#[repr(C)]
pub(super) struct TcpInfo {
    pub state: u8,
    _ca_state_to_options: [u8; 7],
    _rto_to_reordering: [u32; 9],
    _fackets_to_last_data_recv: [u32; 3],
    /// Milliseconds since the last ACK came in, the SYN-ACK included. Survives a reset.
    last_ack_recv: u32,
    _pmtu_and_rcv_ssthresh: [u32; 2],
    /// Smoothed round trip in µs; on a fresh connection, SYN to SYN-ACK.
    pub rtt: u32,
    _rttvar_to_rcv_space: [u32; 7],
    pub total_retrans: u32,
    _rates_and_bytes: [u64; 4],
    /// Every segment sent, retransmits and pure ACKs included.
    pub segs_out: u32,
}

const _: () = {
    assert!(std::mem::offset_of!(TcpInfo, last_ack_recv) == 56);
    assert!(std::mem::offset_of!(TcpInfo, rtt) == 68);
    assert!(std::mem::offset_of!(TcpInfo, total_retrans) == 100);
    assert!(std::mem::offset_of!(TcpInfo, segs_out) == 136);
};

impl TcpInfo {
    pub fn read(fd: RawFd) -> Result<TcpInfo, i32> {
        let mut info = MaybeUninit::<TcpInfo>::zeroed();
        let mut length = size_of::<TcpInfo>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, the size of `info`.
        let result =
            unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut length) };
        if result != 0 {
            return Err(os_error::of(&io::Error::last_os_error()));
        }
        // SAFETY: integers all through; what the kernel left out is zero.
        Ok(unsafe { info.assume_init() })
    }

    pub fn since_last_ack(&self) -> Duration {
        Duration::from_millis(self.last_ack_recv.into())
    }
}
