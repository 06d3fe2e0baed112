//! Sends many segments with one call (sendmmsg(2)).

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;

use super::segment::Segment;
use crate::sys::sockaddr::{sockaddr_in, sockaddr_in6, to_sockaddr_in, to_sockaddr_in6};

/// Segments sent with one call.
pub(super) const BATCH: usize = 64;

/// A SYN, or a RST, on its way out.
pub(super) struct Outgoing {
    pub segment: Segment,
    pub to: SocketAddr,
    /// The address that it leaves from. With IPv4 its checksum was made for that. With IPv6 and none, the kernel chooses
    /// it together with the way, and makes the checksum.
    pub source: Option<SocketAddr>,
}

#[repr(C)]
union Name {
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

#[repr(C)]
union Info {
    v4: libc::in_pktinfo,
    v6: libc::in6_pktinfo,
}

/// The source address (IP_PKTINFO, ip(7); IPV6_PKTINFO, ipv6(7)).
#[repr(C)]
struct SourceControl {
    header: libc::cmsghdr,
    info: Info,
}

impl SourceControl {
    fn new(source: &SocketAddr, to: &SocketAddr) -> SourceControl {
        // SAFETY: integers all through, for which zero is a value.
        let mut control: SourceControl = unsafe { std::mem::zeroed() };
        let len = match source {
            SocketAddr::V4(source) => {
                control.header.cmsg_level = libc::IPPROTO_IP;
                control.header.cmsg_type = libc::IP_PKTINFO;
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(source.ip().octets()) };
                control.info.v4 =
                    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: libc::in_addr { s_addr: 0 } };
                size_of::<libc::in_pktinfo>()
            }
            SocketAddr::V6(source) => {
                control.header.cmsg_level = libc::IPPROTO_IPV6;
                control.header.cmsg_type = libc::IPV6_PKTINFO;
                let ipi6_addr = libc::in6_addr { s6_addr: source.ip().octets() };
                // The zone of a target comes first: the source has to be there, too.
                let has_zone = matches!(to, SocketAddr::V6(to) if to.scope_id() != 0);
                let ipi6_ifindex = if has_zone { 0 } else { source.scope_id() as _ };
                control.info.v6 = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex };
                size_of::<libc::in6_pktinfo>()
            }
        };
        control.header.cmsg_len = (size_of::<libc::cmsghdr>() + len) as _;
        control
    }
}

/// All that the kernel reads of one message.
struct Message {
    name: Name,
    vector: libc::iovec,
    control: Option<SourceControl>,
}

/// Sends these segments, 64 at most, all to addresses of one family. Returns how many left; an error is of the first.
pub(super) fn send(fd: RawFd, segments: &[Outgoing]) -> io::Result<usize> {
    let mut messages = [const { MaybeUninit::<Message>::uninit() }; BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
    let mut count = 0;
    for ((segment, message), header) in segments.iter().zip(&mut messages).zip(&mut headers) {
        let (name, name_len) = match segment.to {
            SocketAddr::V4(to) => {
                let v4 = to_sockaddr_in(&SocketAddrV4::new(*to.ip(), 0));
                (Name { v4 }, size_of::<sockaddr_in>())
            }
            SocketAddr::V6(to) => {
                // For a raw socket the port is a protocol, or 0.
                let v6 = to_sockaddr_in6(&SocketAddrV6::new(*to.ip(), 0, to.flowinfo(), to.scope_id()));
                (Name { v6 }, size_of::<sockaddr_in6>())
            }
        };
        let Segment { bytes, len } = &segment.segment;
        let vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: *len };
        let control = segment.source.as_ref().map(|source| SourceControl::new(source, &segment.to));
        let message = message.write(Message { name, vector, control });
        let header = header.write(libc::mmsghdr { msg_hdr: empty_header(), msg_len: 0 });
        header.msg_hdr.msg_name = (&raw mut message.name).cast();
        header.msg_hdr.msg_namelen = name_len as libc::socklen_t;
        header.msg_hdr.msg_iov = &mut message.vector;
        header.msg_hdr.msg_iovlen = 1;
        if let Some(control) = &mut message.control {
            header.msg_hdr.msg_control = (&raw mut *control).cast();
            header.msg_hdr.msg_controllen = size_of::<SourceControl>() as _;
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
