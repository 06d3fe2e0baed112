//! The segments of half a handshake: SYNs to send, and what comes back. Pure functions of bytes.
//!
//! What comes back was written by anybody. So the fields of an [`Answer`] say only what somebody claims, and its ISN is
//! what tells whether it is an answer to a SYN of ours. Whether it was damaged on its way is asked of its checksum.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::{self, CHECKSUM_AT, folded};

/// A SYN: a TCP header with options, and no data.
pub(super) const SYN_LEN: usize = 40;

/// A segment to be sent: a SYN, or what is shorter.
pub(super) struct Segment {
    pub bytes: [u8; SYN_LEN],
    pub len: usize,
}

const TCP: u8 = 6;
/// The shortest header that IPv4 and TCP have.
const HEADER: usize = 20;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;
const SYN_ACK: u8 = SYN | ACK;
const RST_ACK: u8 = RST | ACK;

const END_OF_OPTIONS: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const TIMESTAMPS: u8 = 8;
/// With its kind and length.
const TIMESTAMPS_LEN: u8 = 10;

/// Where a SYN differs from another one. The first four bytes are the ports.
const ISN_AT: usize = 4;
const TSVAL_AT: usize = 28;

/// What is the same in all SYNs of a family. They look as Linux's own do on Ethernet: the options in the order in which
/// `tcp_options_write` (net/ipv4/tcp_output.c) writes them, and the largest window below 65,536 that is a multiple of
/// the MSS.
pub(super) struct SynTemplate {
    /// With zeros where SYNs differ.
    bytes: [u8; SYN_LEN],
    /// The sum, as the checksum has it, of these bytes and of the pseudo header without the addresses.
    sum: u64,
}

/// Where a SYN differs from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SynFields {
    pub source_port: u16,
    pub target_port: u16,
    pub isn: u32,
    pub tsval: u32,
}

impl SynTemplate {
    pub const fn v4() -> SynTemplate {
        SynTemplate::new(1_460, 64_240)
    }

    pub const fn v6() -> SynTemplate {
        SynTemplate::new(1_440, 64_800)
    }

    const fn new(mss: u16, window: u16) -> SynTemplate {
        let (mss, window) = (mss.to_be_bytes(), window.to_be_bytes());
        #[rustfmt::skip]
        let bytes = [
            0, 0, 0, 0, // ports
            0, 0, 0, 0, // ISN
            0, 0, 0, 0, // no ACK
            (SYN_LEN as u8 / 4) << 4, SYN, window[0], window[1],
            0, 0, 0, 0, // checksum, no urgent data
            MSS, 4, mss[0], mss[1],
            SACK_PERMITTED, 2, TIMESTAMPS, TIMESTAMPS_LEN,
            0, 0, 0, 0, // TSval
            0, 0, 0, 0, // TSecr
            NOP, WINDOW_SCALE, 3, 7,
        ];
        let mut sum = TCP as u64 + SYN_LEN as u64;
        let mut at = 0;
        while at < SYN_LEN {
            sum += u16::from_be_bytes([bytes[at], bytes[at + 1]]) as u64;
            at += 2;
        }
        SynTemplate { bytes, sum }
    }

    /// A SYN for IPv4, from an address to another one.
    ///
    /// The checksum is the sum of all 16-bit words (RFC 1071). A field of 32 bits counts as its two words do, since 2^16
    /// is 1 modulo 65,535.
    #[inline]
    pub fn write_v4(&self, out: &mut [u8; SYN_LEN], fields: &SynFields, source: Ipv4Addr, target: Ipv4Addr) {
        let ports = u32::from(fields.source_port) << 16 | u32::from(fields.target_port);
        let changing = [ports, fields.isn, fields.tsval, source.to_bits(), target.to_bits()];
        let sum = changing.into_iter().map(u64::from).sum::<u64>() + self.sum;
        self.write_without_checksum(out, fields);
        out[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&(!folded(sum)).to_be_bytes());
    }

    /// A SYN for IPv6. Its checksum is left to the kernel (`IPV6_CHECKSUM`), which knows the source address.
    #[inline]
    pub fn write_v6(&self, out: &mut [u8; SYN_LEN], fields: &SynFields) {
        self.write_without_checksum(out, fields);
    }

    #[inline]
    fn write_without_checksum(&self, out: &mut [u8; SYN_LEN], fields: &SynFields) {
        *out = self.bytes;
        out[..2].copy_from_slice(&fields.source_port.to_be_bytes());
        out[2..4].copy_from_slice(&fields.target_port.to_be_bytes());
        out[ISN_AT..ISN_AT + 4].copy_from_slice(&fields.isn.to_be_bytes());
        out[TSVAL_AT..TSVAL_AT + 4].copy_from_slice(&fields.tsval.to_be_bytes());
    }
}

/// A RST of what a segment tells of, for IPv6: its checksum is left to the kernel. As Linux's own, it has the number that
/// was acknowledged, and acknowledges nothing.
pub(super) fn reset_v6(answer: &Answer) -> Segment {
    let mut bytes = [0; SYN_LEN];
    bytes[..2].copy_from_slice(&answer.port.to_be_bytes());
    bytes[2..4].copy_from_slice(&answer.source_port.to_be_bytes());
    bytes[ISN_AT..ISN_AT + 4].copy_from_slice(&answer.ack.to_be_bytes());
    bytes[12] = (HEADER as u8 / 4) << 4;
    bytes[13] = RST;
    Segment { bytes, len: HEADER }
}

/// The same for IPv4, from an address to another one.
pub(super) fn reset_v4(answer: &Answer, source: Ipv4Addr, target: Ipv4Addr) -> Segment {
    let mut reset = reset_v6(answer);
    let checksum = checksum::of_v4(&reset.bytes[..HEADER], source, target);
    reset.bytes[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&checksum.to_be_bytes());
    reset
}

/// A segment that claims to answer a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub source: IpAddr,
    pub source_port: u16,
    /// Of this end.
    pub port: u16,
    /// The ISN that is answered, plus 1.
    pub ack: u32,
    pub kind: AnswerKind,
    /// The TSval of the SYN that is answered.
    pub ts_echo: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerKind {
    SynAck {
        zero_window: bool,
    },
    Reset,
    /// Nothing but an acknowledgement: there is a half-open connection of an older SYN between these ports.
    Ack,
}

/// Reads what a raw socket of IPv4 hands out. The packet may be cut off behind the TCP header.
#[inline]
pub(super) fn parse_v4(packet: &[u8]) -> Option<Answer> {
    let header = packet.first_chunk::<HEADER>()?;
    let header_length = usize::from(header[0] & 0xf) * 4;
    let total_length = usize::from(half(header, 2));
    let fragment_offset = half(header, 6) & 0x1fff;
    if header[0] >> 4 != 4 || header_length < HEADER || header[9] != TCP || fragment_offset != 0 {
        return None;
    }
    // What follows the packet in its frame is not its own.
    let segment = packet.get(header_length..total_length.min(packet.len()))?;
    parse(segment, IpAddr::V4(Ipv4Addr::from_bits(word(header, 12))))
}

/// Reads what a raw socket of IPv6 hands out: a segment without the header before it.
#[inline]
pub(super) fn parse_v6(segment: &[u8], source: Ipv6Addr) -> Option<Answer> {
    parse(segment, IpAddr::V6(source))
}

#[inline]
fn parse(segment: &[u8], source: IpAddr) -> Option<Answer> {
    let header = segment.first_chunk::<HEADER>()?;
    let header_length = usize::from(header[12] >> 4) * 4;
    if header_length < HEADER || header_length > segment.len() {
        return None;
    }
    let flags = header[13];
    // As the kernel does it in SYN-SENT: a RST is one whatever else is set, but needs an acknowledgement.
    let kind = match flags & (FIN | SYN | RST | ACK) {
        kind if kind & RST_ACK == RST_ACK => AnswerKind::Reset,
        SYN_ACK => AnswerKind::SynAck { zero_window: half(header, 14) == 0 },
        ACK if flags & (PSH | URG) == 0 => AnswerKind::Ack,
        _ => return None,
    };
    Some(Answer {
        source,
        source_port: half(header, 0),
        port: half(header, 2),
        ack: word(header, 8),
        kind,
        ts_echo: timestamp_echo(&segment[HEADER..header_length]),
    })
}

/// The TSecr among the options; none unless all options before it are well formed.
fn timestamp_echo(mut options: &[u8]) -> Option<u32> {
    loop {
        match *options {
            [NOP, ..] => options = &options[1..],
            [END_OF_OPTIONS, ..] => return None,
            [TIMESTAMPS, TIMESTAMPS_LEN, _, _, _, _, a, b, c, d, ..] => return Some(u32::from_be_bytes([a, b, c, d])),
            [_, length, ..] if length >= 2 => options = options.get(usize::from(length)..)?,
            _ => return None,
        }
    }
}

/// The SYN that an ICMP error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quote {
    /// Of this end.
    pub source_port: u16,
    pub target_port: u16,
    pub isn: u32,
}

/// Reads the start of a TCP header as an ICMP error quotes it, which has 8 bytes of it at least (RFC 792).
#[inline]
pub(super) fn parse_quote(bytes: &[u8]) -> Option<Quote> {
    let header = bytes.first_chunk::<8>()?;
    Some(Quote { source_port: half(header, 0), target_port: half(header, 2), isn: word(header, 4) })
}

/// The 16 bits at an offset.
#[inline]
fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The 32 bits at an offset.
#[inline]
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
pub(super) mod tests;
