//! What a fuzzer tries: the readers on any bytes, and what must hold of all that they read.

mod icmp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use icmp::icmp;

use super::segment::{Answer, AnswerKind, Quote, SYN_LEN, SynFields, SynTemplate, parse_quote, parse_v4, parse_v6};

/// The bytes are an IPv4 packet, a TCP segment and the quote of an ICMP error at once. Panics on what must not be.
pub fn segment(bytes: &[u8]) {
    packet(bytes);
    tcp(bytes);
    quote(bytes);
}

fn packet(bytes: &[u8]) {
    let answer = parse_v4(bytes);
    is_the_same_if_cut_off(bytes, answer, parse_v4);
    let Some(answer) = answer else { return };
    // The same segment by itself is the same answer.
    let (header_length, total_length) =
        (usize::from(bytes[0] % 16) * 4, usize::from(bytes[2]) << 8 | usize::from(bytes[3]));
    assert!(header_length >= 20 && total_length >= header_length + 20 && bytes[9] == 6);
    let segment = &bytes[header_length..total_length.min(bytes.len())];
    let source = Ipv6Addr::LOCALHOST;
    assert_eq!(parse_v6(segment, source), Some(Answer { source: IpAddr::V6(source), ..answer }));
    assert_eq!(answer.source, IpAddr::V4(Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15])));
}

fn tcp(bytes: &[u8]) {
    let answer = parse_v6(bytes, Ipv6Addr::LOCALHOST);
    is_the_same_if_cut_off(bytes, answer, |bytes| parse_v6(bytes, Ipv6Addr::LOCALHOST));
    let Some(answer) = answer else { return };
    let (flags, window) = (bytes[13], &bytes[14..16]);
    let is_set = |flag: u8| flags & flag != 0;
    let (fin, syn, rst, ack) = (is_set(1), is_set(2), is_set(4), is_set(16));
    assert!(ack && bytes[12] >> 4 >= 5);
    match answer.kind {
        AnswerKind::SynAck { zero_window } => assert!(syn && !rst && !fin && zero_window == (window == [0, 0])),
        AnswerKind::Reset => assert!(rst),
        AnswerKind::Ack => assert!(!syn && !rst && !fin),
    }
    let read = [&answer.source_port.to_be_bytes()[..], &answer.port.to_be_bytes(), &answer.ack.to_be_bytes()].concat();
    assert_eq!(read, [&bytes[..4], &bytes[8..12]].concat());
    if let Some(echo) = answer.ts_echo {
        let options = &bytes[20..usize::from(bytes[12] >> 4) * 4];
        let begins_here = |option: &[u8]| option[..2] == [8, 10] && option[6..] == echo.to_be_bytes();
        assert!(options.windows(10).any(begins_here));
    }
}

/// What a receiver cuts off takes nothing but the timestamp from an answer, and makes none.
fn is_the_same_if_cut_off(bytes: &[u8], whole: Option<Answer>, parse: impl Fn(&[u8]) -> Option<Answer>) {
    for length in (0..bytes.len()).take(128) {
        let Some(part) = parse(&bytes[..length]) else { continue };
        let whole = whole.expect("a part of what is no answer is none");
        assert_eq!(part, Answer { ts_echo: part.ts_echo, ..whole });
        assert!(part.ts_echo.is_none() || part.ts_echo == whole.ts_echo);
    }
}

/// A quote is that of the SYN which has the fields that it quotes.
fn quote(bytes: &[u8]) {
    let Some(quote) = parse_quote(bytes) else { return assert!(bytes.len() < 8) };
    let Quote { source_port, target_port, isn } = quote;
    let mut syn = [0; SYN_LEN];
    let source = Ipv4Addr::from_bits(!isn);
    SynTemplate::v4().write_v4(&mut syn, &SynFields { source_port, target_port, isn, tsval: isn }, source, source);
    assert_eq!(syn[..8], bytes[..8]);
    assert_eq!(parse_quote(&syn), Some(quote));
}
