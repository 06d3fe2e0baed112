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
    _rates: [u64; 2],
    /// Sequence numbers of this end that were acknowledged; the SYN has one.
    bytes_acked: u64,
    _bytes_received: u64,
    /// Every segment sent, retransmits and pure ACKs included.
    pub segs_out: u32,
    /// Every segment that came in.
    pub segs_in: u32,
    _notsent_bytes_to_data_segs_out: [u32; 4],
    _delivery_rate_to_sndbuf_limited: [u64; 4],
    /// Segments with a sequence number that were delivered: the SYN, and in a simultaneous open the SYN-ACK too
    /// (`tcp_rcv_state_process` in net/ipv4/tcp_input.c). Known since Linux 4.18.
    delivered: u32,
    _delivered_ce: u32,
}

const _: () = {
    assert!(std::mem::offset_of!(TcpInfo, last_ack_recv) == 56);
    assert!(std::mem::offset_of!(TcpInfo, rtt) == 68);
    assert!(std::mem::offset_of!(TcpInfo, total_retrans) == 100);
    assert!(std::mem::offset_of!(TcpInfo, bytes_acked) == 120);
    assert!(std::mem::offset_of!(TcpInfo, segs_out) == 136);
    assert!(std::mem::offset_of!(TcpInfo, segs_in) == 140);
    assert!(std::mem::offset_of!(TcpInfo, delivered) == 192);
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

    /// Whether the SYN was answered with a SYN (simultaneous open, RFC 9293, section 3.5): the other end connects, and
    /// nobody listens there. A listener's SYN-ACK, be it doubled, acknowledges the SYN and has nothing of this end's
    /// delivered after it.
    pub fn met_a_syn(&self) -> bool {
        let reset_before_it_was_acknowledged = self.state == TCP_CLOSE && self.bytes_acked == 0;
        self.segs_in >= 2 && (self.delivered >= 2 || reset_before_it_was_acknowledged)
    }

    pub fn since_last_ack(&self) -> Duration {
        Duration::from_millis(self.last_ack_recv.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(state: u8, segs_in: u32, bytes_acked: u64, delivered: u32) -> TcpInfo {
        // SAFETY: integers all through, for which zero is a value.
        let zero: TcpInfo = unsafe { std::mem::zeroed() };
        TcpInfo { state, segs_in, bytes_acked, delivered, ..zero }
    }

    #[test]
    fn answer_of_a_listener_is_no_syn_even_if_it_is_doubled_or_followed_by_a_reset() {
        assert!(!info(TCP_ESTABLISHED, 1, 1, 1).met_a_syn());
        assert!(!info(TCP_ESTABLISHED, 2, 1, 1).met_a_syn());
        assert!(!info(TCP_CLOSE, 2, 1, 1).met_a_syn());
        assert!(!info(TCP_CLOSE, 1, 0, 0).met_a_syn());
    }

    #[test]
    fn syn_and_its_acknowledgement_are_a_simultaneous_open() {
        assert!(info(TCP_ESTABLISHED, 2, 1, 2).met_a_syn());
        assert!(info(TCP_CLOSE, 4, 1, 2).met_a_syn());
    }

    #[test]
    fn syn_and_a_reset_are_one_that_was_given_up() {
        assert!(info(TCP_CLOSE, 2, 0, 0).met_a_syn());
    }

    #[test]
    fn kernel_that_does_not_tell_of_segments_has_told_of_no_syn() {
        assert!(!info(TCP_ESTABLISHED, 0, 0, 0).met_a_syn());
        assert!(!info(TCP_CLOSE, 0, 0, 0).met_a_syn());
        assert!(!info(TCP_ESTABLISHED, 2, 1, 0).met_a_syn());
    }
}
