//! Receives many segments with one call (recvmmsg(2)), and ICMP errors (IP_RECVERR, ip(7)).

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::RawFd;

use super::checksum::{is_damaged_v4, is_damaged_v6};
use super::sending::empty_header;
use crate::sys::memory::{OutOfMemory, vec_for};
use crate::sys::sockaddr::{AF_INET, AF_INET6, from_sockaddr_in, from_sockaddr_in6, sockaddr_in6, sockaddr_storage};

/// Segments received with one call.
pub(super) const BATCH: usize = 64;
/// Of a segment so much is read: the longest IPv4 header, and the TCP header with its options.
const READ: usize = 128;
/// Room for what the kernel says beside a segment: its time, how many were dropped, and where it went to.
const CONTROL: usize = 96;
/// SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6 (linux/errqueue.h).
const ICMP_ORIGINS: std::ops::RangeInclusive<u8> = 2..=3;

/// A segment that came in.
pub(super) struct Incoming<'a> {
    /// With IPv4 from the IP header on, with IPv6 from the TCP header on.
    pub bytes: &'a [u8],
    /// With IPv6, where it came from.
    pub source: SocketAddrV6,
    /// With IPv6, where it went to, if the kernel tells.
    destination: Option<Ipv6Addr>,
    /// When the kernel received it, in nanoseconds on CLOCK_REALTIME; 0 if it does not tell.
    pub stamp: u64,
    /// How many segments the kernel has dropped so far, if it says so.
    pub dropped: Option<u32>,
}

#[cfg(test)]
impl Incoming<'_> {
    pub fn of_v4(bytes: &[u8]) -> Incoming<'_> {
        let source = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0);
        Incoming { bytes, source, destination: None, stamp: 0, dropped: None }
    }
}

impl Incoming<'_> {
    /// The end that it came from, with its zone.
    pub fn sender(&self, ip: IpAddr, port: u16) -> SocketAddr {
        let mut sender = SocketAddr::new(ip, port);
        if let SocketAddr::V6(v6) = &mut sender {
            v6.set_scope_id(self.source.scope_id());
        }
        sender
    }

    /// The address of this host that it came to, if the kernel tells.
    pub fn destination(&self, v6: bool) -> Option<IpAddr> {
        if v6 {
            return self.destination.map(IpAddr::V6);
        }
        let address = self.bytes.get(16..20)?.first_chunk::<4>()?;
        Some(Ipv4Addr::from(*address).into())
    }

    /// Whether its checksum is wrong. Of a segment that is cut off nobody can tell.
    pub fn is_damaged(&self, v6: bool) -> bool {
        match self.destination {
            _ if !v6 => is_damaged_v4(self.bytes),
            Some(destination) if self.bytes.len() < READ => is_damaged_v6(self.bytes, *self.source.ip(), destination),
            _ => false,
        }
    }
}

/// An ICMP error.
pub(super) struct IcmpError<'a> {
    /// As the kernel translates it.
    pub errno: i32,
    /// Where the segment went that drew it.
    pub to: IpAddr,
    /// What it quotes of that: the TCP header, or its first bytes.
    pub quote: &'a [u8],
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

struct Message {
    bytes: [u8; READ],
    control: Control,
    name: sockaddr_in6,
    vector: libc::iovec,
}

/// Where segments are put that come in.
pub(super) struct ReceiveBuffers {
    messages: Box<[Message]>,
    headers: Box<[libc::mmsghdr]>,
    /// How many headers the kernel has written to since they were made ready.
    used: usize,
}

// SAFETY: the pointers in it lead to its own boxes.
unsafe impl Send for ReceiveBuffers {}

impl ReceiveBuffers {
    pub fn new() -> Result<ReceiveBuffers, OutOfMemory> {
        let message = || Message {
            bytes: [0; READ],
            control: Control([0; CONTROL]),
            // SAFETY: integers all through, for which zero is a value.
            name: unsafe { std::mem::zeroed() },
            vector: libc::iovec { iov_base: std::ptr::null_mut(), iov_len: READ },
        };
        let header = || libc::mmsghdr { msg_hdr: empty_header(), msg_len: 0 };
        let (mut messages, mut headers) = (vec_for(BATCH)?, vec_for(BATCH)?);
        messages.resize_with(BATCH, message);
        headers.resize_with(BATCH, header);
        Ok(ReceiveBuffers { messages: messages.into(), headers: headers.into(), used: BATCH })
    }

    /// Receives up to 64 segments. Returns how many; if fewer, no more were there.
    pub fn receive(&mut self, fd: RawFd, v6: bool) -> io::Result<usize> {
        for (header, message) in self.headers.iter_mut().zip(&mut self.messages).take(self.used) {
            message.vector.iov_base = message.bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_iov = &mut message.vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = message.control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL as _;
            if v6 {
                header.msg_hdr.msg_name = (&raw mut message.name).cast();
                header.msg_hdr.msg_namelen = size_of::<sockaddr_in6>() as libc::socklen_t;
            }
        }
        self.used = 0;
        let (headers, count) = (self.headers.as_mut_ptr(), BATCH as u32);
        // SAFETY: the headers point to messages that live as long as this.
        let received = unsafe { libc::recvmmsg(fd, headers, count, libc::MSG_DONTWAIT as _, std::ptr::null_mut()) };
        self.used = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        Ok(self.used)
    }

    /// The received segment of this index.
    pub fn segment(&self, index: usize, v6: bool) -> Incoming<'_> {
        let (header, message) = (&self.headers[index], &self.messages[index]);
        let bytes = &message.bytes[..(header.msg_len as usize).min(READ)];
        let ip = if v6 { Ipv6Addr::from(message.name.sin6_addr.s6_addr) } else { Ipv6Addr::UNSPECIFIED };
        let source = SocketAddrV6::new(ip, 0, 0, message.name.sin6_scope_id);
        let mut incoming = Incoming { bytes, source, destination: None, stamp: 0, dropped: None };
        for (level, kind, data) in control_messages(&message.control, &header.msg_hdr) {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => incoming.stamp = nanoseconds(data).unwrap_or(0),
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => incoming.dropped = read_u32(data),
                // An in6_pktinfo, which begins with the address.
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    incoming.destination = data.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets));
                }
                _ => {}
            }
        }
        incoming
    }
}

/// Where an ICMP error is put.
pub(super) struct ErrorBuffer {
    bytes: [u8; 64],
    control: Control,
    name: sockaddr_storage,
}

impl ErrorBuffer {
    pub fn new() -> ErrorBuffer {
        // SAFETY: integers all through, for which zero is a value.
        ErrorBuffer { bytes: [0; 64], control: Control([0; CONTROL]), name: unsafe { std::mem::zeroed() } }
    }
}

/// The next ICMP error that waits; with errno 0 if it is none of ICMP.
pub(super) fn receive_error(fd: RawFd, buffer: &mut ErrorBuffer) -> Option<IcmpError<'_>> {
    let mut vector = libc::iovec { iov_base: buffer.bytes.as_mut_ptr().cast(), iov_len: buffer.bytes.len() };
    let mut header = empty_header();
    header.msg_name = (&raw mut buffer.name).cast();
    header.msg_namelen = size_of::<sockaddr_storage>() as libc::socklen_t;
    header.msg_iov = &mut vector;
    header.msg_iovlen = 1;
    header.msg_control = buffer.control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL as _;
    // SAFETY: the header points into `buffer` and to `vector`, which outlive the call.
    let read = unsafe { libc::recvmsg(fd, &mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) };
    let read = usize::try_from(read).ok()?.min(buffer.bytes.len());
    let errno = control_messages(&buffer.control, &header).find_map(icmp_errno).unwrap_or(0);
    Some(IcmpError { errno, to: ip_of(&buffer.name), quote: &buffer.bytes[..read] })
}

/// The errno of a sock_extended_err of ICMP: ee_errno, then ee_origin.
fn icmp_errno((level, kind, data): (i32, i32, &[u8])) -> Option<i32> {
    let kinds = [(libc::IPPROTO_IP, libc::IP_RECVERR), (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)];
    let is_of_icmp = kinds.contains(&(level, kind)) && ICMP_ORIGINS.contains(data.get(4)?);
    if is_of_icmp { read_u32(data).map(u32::cast_signed) } else { None }
}

fn ip_of(name: &sockaddr_storage) -> IpAddr {
    let name: *const sockaddr_storage = name;
    // SAFETY: a sockaddr_storage is as large as either, aligned as strictly, and all zero or written by the kernel.
    unsafe {
        match i32::from((*name).ss_family) {
            AF_INET => from_sockaddr_in(&*name.cast()).ip(),
            AF_INET6 => from_sockaddr_in6(&*name.cast()).ip(),
            _ => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// What the kernel wrote beside a message (cmsg(3)): level, type and data of each.
fn control_messages<'a>(control: &'a Control, header: &libc::msghdr) -> impl Iterator<Item = (i32, i32, &'a [u8])> {
    const WORD: usize = size_of::<usize>();
    const HEADER: usize = WORD + 8;
    #[allow(clippy::unnecessary_cast)] // a socklen_t with musl
    let len = header.msg_controllen as usize;
    let mut rest = &control.0[..len.min(CONTROL)];
    std::iter::from_fn(move || {
        let len = usize::from_ne_bytes(rest.get(..WORD)?.try_into().ok()?);
        let level = read_u32(rest.get(WORD..)?)?.cast_signed();
        let kind = read_u32(rest.get(WORD + 4..)?)?.cast_signed();
        let data = rest.get(HEADER..len)?;
        rest = rest.get(len.next_multiple_of(WORD)..).unwrap_or_default();
        Some((level, kind, data))
    })
}

fn read_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// A timespec as the kernel writes it: two words of its own size.
fn nanoseconds(bytes: &[u8]) -> Option<u64> {
    let word = |bytes: &[u8]| match bytes.len() {
        8 => bytes.try_into().ok().map(u64::from_ne_bytes),
        4 => bytes.try_into().ok().map(|word| u32::from_ne_bytes(word).into()),
        _ => None,
    };
    let (seconds, nanoseconds) = bytes.split_at(bytes.len() / 2);
    Some(word(seconds)? * 1_000_000_000 + word(nanoseconds)?)
}

#[cfg(test)]
mod tests {
    use super::super::segment::tests::{V6_HEADER, bytes, of_linux};
    use super::*;

    const LOOPBACK_V6: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 3);

    fn incoming(bytes: &[u8], destination: Option<Ipv6Addr>) -> Incoming<'_> {
        Incoming { bytes, source: LOOPBACK_V6, destination, stamp: 0, dropped: None }
    }

    #[test]
    fn a_segment_of_which_a_bit_is_wrong_is_damaged_and_one_that_is_cut_off_or_goes_nobody_knows_where_is_not() {
        let v4 = bytes(of_linux::RST_V4);
        let here = Some(Ipv6Addr::LOCALHOST);
        // On loopback nobody makes the checksum. The right one is found by trying all.
        let unmade = &bytes(of_linux::RST_V6)[V6_HEADER..];
        let with_sum = |sum: u16| [&unmade[..16], &sum.to_be_bytes(), &unmade[18..]].concat();
        let mut made = (1..=u16::MAX).map(with_sum).filter(|segment| segment != unmade);
        let v6 = made.find(|segment| !incoming(segment, here).is_damaged(true)).unwrap();
        assert!(!incoming(&v4, None).is_damaged(false));
        let [mut bad_v4, mut bad_v6] = [v4, v6];
        bad_v4[25] ^= 4;
        bad_v6[5] ^= 4;
        assert!(incoming(&bad_v4, None).is_damaged(false) && incoming(&bad_v6, here).is_damaged(true));
        assert!(!incoming(&bad_v6, None).is_damaged(true), "its checksum covers where it went to");
        for (length, is_damaged) in [(READ - 1, true), (READ, false)] {
            bad_v6.resize(length, 7);
            assert_eq!(incoming(&bad_v6, here).is_damaged(true), is_damaged, "{length}");
        }
    }

    #[test]
    fn both_ends_of_a_segment_are_known_with_their_zone() {
        let v4 = bytes(of_linux::RST_V4);
        assert_eq!(incoming(&v4, None).destination(false), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(incoming(&v4[..18], None).destination(false), None);
        let v6 = incoming(&[], Some(Ipv6Addr::LOCALHOST));
        assert_eq!(v6.destination(true), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(v6.sender("fe80::7".parse().unwrap(), 80), "[fe80::7%3]:80".parse().unwrap());
    }

    #[test]
    fn an_error_is_one_of_icmp_that_the_kernel_says_is_one() {
        let error = |origin: u8| [&113_u32.to_ne_bytes()[..], &[origin, 1, 1, 0], &[0; 8]].concat();
        let of = |level, kind, data: &[u8]| icmp_errno((level, kind, data));
        // SO_EE_ORIGIN_LOCAL, _ICMP, _ICMP6 and _TXSTATUS (linux/errqueue.h).
        let origins = [1, 2, 3, 4].map(|origin| of(libc::IPPROTO_IP, libc::IP_RECVERR, &error(origin)));
        assert_eq!(origins, [None, Some(113), Some(113), None]);
        assert_eq!(of(libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &error(3)), Some(113));
        assert_eq!(of(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &error(2)), None);
        assert_eq!(of(libc::IPPROTO_IP, libc::IP_RECVERR, &error(2)[..4]), None);
    }

    #[test]
    fn a_stamp_is_two_words_of_the_kernels_own_size_and_nothing_else() {
        let long = [3_u64, 5].map(u64::to_ne_bytes).concat();
        let short = [3_u32, 5].map(u32::to_ne_bytes).concat();
        assert_eq!((nanoseconds(&long), nanoseconds(&short)), (Some(3_000_000_005), Some(3_000_000_005)));
        assert_eq!([&long[..12], &short[..7], &[]].map(nanoseconds), [None; 3]);
    }
}
