//! Sends many segments with one call (sendmmsg(2)).

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;

use super::segment::SYN_LEN;
use crate::sys::sockaddr::{sockaddr_in, sockaddr_in6, to_sockaddr_in, to_sockaddr_in6};

/// Segments sent with one call.
pub(super) const BATCH: usize = 64;

/// A SYN on its way out.
pub(super) struct Outgoing {
    pub segment: [u8; SYN_LEN],
    pub to: SocketAddr,
    /// With IPv4, the address that it leaves from: its checksum was made for that.
    pub source: Ipv4Addr,
}

#[repr(C)]
union Name {
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

/// The source address (IP_PKTINFO, ip(7)).
#[repr(C)]
struct SourceControl {
    header: libc::cmsghdr,
    info: libc::in_pktinfo,
}

impl SourceControl {
    fn new(source: Ipv4Addr) -> SourceControl {
        // SAFETY: integers all through, for which zero is a value.
        let mut control: SourceControl = unsafe { std::mem::zeroed() };
        control.header.cmsg_len = (size_of::<libc::cmsghdr>() + size_of::<libc::in_pktinfo>()) as _;
        control.header.cmsg_level = libc::IPPROTO_IP;
        control.header.cmsg_type = libc::IP_PKTINFO;
        control.info.ipi_spec_dst.s_addr = u32::from_ne_bytes(source.octets());
        control
    }
}

/// All that the kernel reads of one message.
struct Message {
    name: Name,
    vector: libc::iovec,
    control: SourceControl,
}

/// Sends these segments, 64 at most, all to addresses of one family. Returns how many left; an error is of the first.
pub(super) fn send(fd: RawFd, segments: &[Outgoing]) -> io::Result<usize> {
    let mut messages = [const { MaybeUninit::<Message>::uninit() }; BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
    let mut count = 0;
    for ((segment, message), header) in segments.iter().zip(&mut messages).zip(&mut headers) {
        let (name, name_len, control_len) = match segment.to {
            SocketAddr::V4(to) => {
                let v4 = to_sockaddr_in(&SocketAddrV4::new(*to.ip(), 0));
                (Name { v4 }, size_of::<sockaddr_in>(), size_of::<SourceControl>())
            }
            SocketAddr::V6(to) => {
                // For a raw socket the port is a protocol, or 0.
                let v6 = to_sockaddr_in6(&SocketAddrV6::new(*to.ip(), 0, to.flowinfo(), to.scope_id()));
                (Name { v6 }, size_of::<sockaddr_in6>(), 0)
            }
        };
        let vector = libc::iovec { iov_base: segment.segment.as_ptr().cast_mut().cast(), iov_len: SYN_LEN };
        let message = message.write(Message { name, vector, control: SourceControl::new(segment.source) });
        let header = header.write(libc::mmsghdr { msg_hdr: empty_header(), msg_len: 0 });
        header.msg_hdr.msg_name = (&raw mut message.name).cast();
        header.msg_hdr.msg_namelen = name_len as libc::socklen_t;
        header.msg_hdr.msg_iov = &mut message.vector;
        header.msg_hdr.msg_iovlen = 1;
        if control_len > 0 {
            header.msg_hdr.msg_control = (&raw mut message.control).cast();
            header.msg_hdr.msg_controllen = control_len as _;
        }
        count += 1;
    }
    // SAFETY: the first `count` headers are written, and point to messages and segments that outlive the call.
    let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr().cast(), count, libc::MSG_DONTWAIT as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

pub(super) fn empty_header() -> libc::msghdr {
    // SAFETY: integers and pointers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}
