use super::*;
use proptest::prelude::*;

/// Segments of Linux 6.18, from IP header on, as a packet socket showed them where the MTU is 1,500.
pub(in crate::engine::raw) mod of_linux {
    pub const SYN_V4: &str = "4500003c1b304000400621827f0000017f0000098dd21f9063a7c7aa00000000a002faf0fe380000\
        020405b40402080a6a7e55d8000000000103030a";
    pub const SYN_V6: &str = "600142ec002806400000000000000000000000000000000100000000000000000000000000000001\
        e7441f9192f791d800000000a002fd2000300000020405a00402080aa38e30aa000000000103030a";
    pub const SYN_ACK_V4: &str = "4500003c0000400040063cba7f0000017f0000011f91cf9255775c82593eb4e7a012fe88fe300000\
        020405b40402080a8bd67384619139480103030a";
    pub const SYN_ACK_V6: &str = "600a9d950028064000000000000000000000000000000001000000000000000000000000000000\
        011f91e74415ed09e292f791d9a012fb0400300000020405a00402080ac94b2c38a38e30aa0103030a";
    pub const ACK_V4: &str = "45000034ca3f4000400672827f0000017f000001cf921f91593eb4e755775c838010003ffe280000\
        0101080a619139488bd67384";
    pub const RST_V4: &str = "450000280000400040063cce7f0000017f0000011f92865c0000000062f64cc6501400005c230000";
    pub const RST_V6: &str = "600d8d6a00140640000000000000000000000000000000010000000000000000000000000000000\
        11f92de40000000006e78758b50140000001c0000";
}

pub(in crate::engine::raw) const V6_HEADER: usize = 40;

pub(in crate::engine::raw) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|digit| digit.to_digit(16).expect("a hex digit")).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn port(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The checksum over all words of a segment of even length and its pseudo header, as RFC 9293, section 3.1 has it.
fn plain_checksum(segment: &[u8], source: Ipv4Addr, target: Ipv4Addr) -> u16 {
    let pseudo = [&source.octets()[..], &target.octets(), &[0, 6], &(segment.len() as u16).to_be_bytes()].concat();
    let words = pseudo.chunks(2).chain(segment.chunks(2));
    let add = |sum: u32, word: &[u8]| {
        let sum = sum + u32::from(port(word, 0));
        if sum > 0xffff { sum - 0xffff } else { sum }
    };
    !(words.fold(0, add) as u16)
}

/// In an IPv4 packet with so many words of options.
pub(in crate::engine::raw) fn packet(options: u8, source: Ipv4Addr, segment: &[u8]) -> Vec<u8> {
    let length = (HEADER + usize::from(options) * 4 + segment.len()) as u16;
    let mut packet = vec![0x45 + options, 0, 0, 0, 0, 0, 0x40, 0, 64, TCP, 0, 0];
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet.extend(source.octets());
    packet.extend([127, 0, 0, 1]);
    packet.extend(std::iter::repeat_n(NOP, usize::from(options) * 4));
    packet.extend(segment);
    packet
}

/// From port 8080 to port 258, with options whose length is a multiple of 4.
fn segment(flags: u8, window: u16, options: &[u8]) -> Vec<u8> {
    let words = 5 + options.len() / 4;
    let mut segment = vec![0x1f, 0x90, 1, 2, 9, 9, 9, 9, 0x11, 0x22, 0x33, 0x44, (words as u8) << 4, flags];
    segment.extend(window.to_be_bytes());
    segment.extend([7, 7, 0, 0]);
    segment.extend(options);
    segment
}

fn kind(flags: u8) -> Option<AnswerKind> {
    Some(parse_v6(&segment(flags, 500, &[]), Ipv6Addr::LOCALHOST)?.kind)
}

fn echo(options: &[u8]) -> Option<u32> {
    let answer = parse_v6(&segment(SYN_ACK, 500, options), Ipv6Addr::LOCALHOST);
    answer.expect("the options do not matter for anything else").ts_echo
}

#[test]
fn syn_is_that_of_linux_but_for_its_window_scale() {
    let families = [(of_linux::SYN_V4, HEADER, SynTemplate::v4()), (of_linux::SYN_V6, V6_HEADER, SynTemplate::v6())];
    for (hex, header, template) in families {
        let mut theirs = bytes(hex)[header..].to_vec();
        let (isn, tsval) = (word(&theirs, ISN_AT), word(&theirs, TSVAL_AT));
        let fields = SynFields { source_port: port(&theirs, 0), target_port: port(&theirs, 2), isn, tsval };
        let mut ours = [0; SYN_LEN];
        template.write_without_checksum(&mut ours, &fields);
        // That machine has a larger tcp_rmem than the usual one; and no checksum is made for loopback.
        theirs[SYN_LEN - 1] = 7;
        theirs[CHECKSUM_AT..CHECKSUM_AT + 2].fill(0);
        assert_eq!(ours[..], theirs);
    }
}

#[test]
fn answers_of_linux_are_read() {
    let v4 = |hex| parse_v4(&bytes(hex)).expect("an answer");
    let v6 = |hex| parse_v6(&bytes(hex)[V6_HEADER..], Ipv6Addr::LOCALHOST).expect("an answer");
    let (localhost, localhost_6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    let syn_ack = AnswerKind::SynAck { zero_window: false };
    let answer =
        |source, source_port, port, ack, kind, ts_echo| Answer { source, source_port, port, ack, kind, ts_echo };
    assert_eq!(v4(of_linux::SYN_ACK_V4), answer(localhost, 8_081, 0xcf92, 0x593e_b4e7, syn_ack, Some(0x6191_3948)));
    assert_eq!(v6(of_linux::SYN_ACK_V6), answer(localhost_6, 8_081, 0xe744, 0x92f7_91d9, syn_ack, Some(0xa38e_30aa)));
    assert_eq!(v4(of_linux::ACK_V4), answer(localhost, 0xcf92, 8_081, 0x5577_5c83, AnswerKind::Ack, Some(0x8bd6_7384)));
    assert_eq!(v4(of_linux::RST_V4), answer(localhost, 8_082, 0x865c, 0x62f6_4cc6, AnswerKind::Reset, None));
    assert_eq!(v6(of_linux::RST_V6), answer(localhost_6, 8_082, 0xde40, 0x6e78_758b, AnswerKind::Reset, None));
    assert_eq!(parse_v4(&bytes(of_linux::SYN_V4)), None);
    assert_eq!(parse_v6(&bytes(of_linux::SYN_V6)[V6_HEADER..], Ipv6Addr::LOCALHOST), None);
}

#[test]
fn flags_tell_what_kind_an_answer_is() {
    let syn_ack = Some(AnswerKind::SynAck { zero_window: false });
    for others in [0, PSH, URG, 0x40, 0x80, 0xc0 | PSH | URG] {
        assert_eq!(kind(SYN_ACK | others), syn_ack);
        for more in [0, SYN, FIN, SYN | FIN] {
            assert_eq!(kind(RST_ACK | others | more), Some(AnswerKind::Reset));
            assert_eq!(kind(RST | others | more), None, "it does not name what it answers");
        }
        for nothing in [0, SYN, FIN, SYN | FIN, SYN_ACK | FIN, FIN | ACK] {
            assert_eq!(kind(nothing | others), None, "flags {:#x}", nothing | others);
        }
    }
    for others in [0, 0x40, 0x80, 0xc0] {
        assert_eq!(kind(ACK | others), Some(AnswerKind::Ack));
        assert_eq!(kind(ACK | PSH | others), None);
        assert_eq!(kind(ACK | URG | others), None);
    }
}

#[test]
fn window_of_zero_is_told() {
    let kind = |window| parse_v6(&segment(SYN_ACK, window, &[]), Ipv6Addr::LOCALHOST).map(|answer| answer.kind);
    for window in [1, 0x100, u16::MAX] {
        assert_eq!(kind(window), Some(AnswerKind::SynAck { zero_window: false }));
    }
    assert_eq!(kind(0), Some(AnswerKind::SynAck { zero_window: true }));
}

#[test]
fn timestamp_echo_is_found_wherever_it_stands() {
    let timestamps = [TIMESTAMPS, TIMESTAMPS_LEN, 1, 1, 1, 1, 0xca, 0xfe, 0xba, 0xbe];
    let with = |before: &[u8], after: &[u8]| echo(&[before, &timestamps, after].concat());
    assert_eq!(with(&[NOP, NOP], &[]), Some(0xcafe_babe));
    assert_eq!(with(&[], &[NOP, NOP]), Some(0xcafe_babe));
    assert_eq!(with(&[], &[END_OF_OPTIONS, 0xff]), Some(0xcafe_babe));
    assert_eq!(with(&[MSS, 4, 5, 0xb4, SACK_PERMITTED, 2], &[]), Some(0xcafe_babe));
    assert_eq!(with(&[TIMESTAMPS, 4, 1, 1, TIMESTAMPS, 2], &[]), Some(0xcafe_babe), "the others have a wrong length");
    assert_eq!(with(&[WINDOW_SCALE, 3, 7, 254, 7, 1, 2, 3, 4, 5], &[]), Some(0xcafe_babe));
}

#[test]
fn options_that_are_not_whole_have_no_timestamp_echo() {
    assert_eq!(echo(&[]), None);
    assert_eq!(echo(&[END_OF_OPTIONS, NOP, TIMESTAMPS, TIMESTAMPS_LEN, 1, 1, 1, 1, 2, 2, 2, 2]), None);
    assert_eq!(echo(&[NOP, NOP, NOP, TIMESTAMPS, TIMESTAMPS_LEN, 1, 1, 1, 1, 2, 2, 2]), None);
    assert_eq!(echo(&[TIMESTAMPS, 8, 1, 1, 1, 1, 2, 2]), None);
    assert_eq!(echo(&[TIMESTAMPS, 12, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]), None);
    for length in [0, 1, 13, 255] {
        assert_eq!(echo(&[254, length, TIMESTAMPS, TIMESTAMPS_LEN, 1, 1, 1, 1, 2, 2, 2, 2]), None);
    }
    assert_eq!(echo(&[NOP, NOP, NOP, 254]), None);
}

#[test]
fn segment_with_less_than_a_header_is_no_answer() {
    let whole = segment(SYN_ACK, 500, &[TIMESTAMPS, TIMESTAMPS_LEN, 1, 1, 1, 1, 2, 2, 2, 2, NOP, NOP]);
    for length in 0..=whole.len() {
        let six = parse_v6(&whole[..length], Ipv6Addr::LOCALHOST);
        assert_eq!(six.is_some(), length == whole.len(), "{length} bytes");
        assert_eq!(six.is_some_and(|answer| answer.ts_echo.is_some()), length == whole.len(), "{length} bytes");
        for options in [0, 1, 10] {
            let four = packet(options, Ipv4Addr::LOCALHOST, &whole);
            let four = parse_v4(&four[..four.len() - whole.len() + length]);
            let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
            assert_eq!(four, six.map(|answer| Answer { source, ..answer }), "{length} bytes of TCP");
        }
    }
    let four = packet(10, Ipv4Addr::LOCALHOST, &whole);
    assert!((0..60 + HEADER).all(|length| parse_v4(&four[..length]).is_none()));
}

#[test]
fn header_whose_length_is_wrong_is_no_answer() {
    let mut segment = segment(SYN_ACK, 500, &[]);
    for words in 0..16u8 {
        segment[12] = words << 4;
        assert_eq!(parse_v6(&segment, Ipv6Addr::LOCALHOST).is_some(), words == 5, "TCP, {words} words");
    }
    segment[12] = 5 << 4;
    let mut packet = packet(0, Ipv4Addr::LOCALHOST, &segment);
    for words in 0..16 {
        packet[0] = 0x40 | words;
        assert_eq!(parse_v4(&packet).is_some(), words == 5, "IP, {words} words");
    }
    packet[0] = 0x45;
    for length in 0..=u16::MAX {
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(parse_v4(&packet).is_some(), length >= 40, "a packet of {length} bytes");
    }
}

#[test]
fn what_follows_a_packet_is_not_part_of_it_and_a_header_that_goes_on_there_is_none() {
    let timestamps = [NOP, NOP, TIMESTAMPS, TIMESTAMPS_LEN, 1, 1, 1, 1, 2, 2, 2, 2];
    let mut packet = packet(0, Ipv4Addr::LOCALHOST, &segment(SYN_ACK, 500, &timestamps));
    assert!(parse_v4(&packet).expect("an answer").ts_echo.is_some());
    packet[3] -= 4;
    assert_eq!(parse_v4(&packet), None);
}

#[test]
fn other_packets_than_whole_ones_of_tcp_over_ipv4_are_no_answers() {
    let whole = packet(0, Ipv4Addr::LOCALHOST, &segment(SYN_ACK, 500, &[]));
    let with = |at: usize, byte: u8| {
        let mut packet = whole.clone();
        packet[at] = byte;
        parse_v4(&packet).is_some()
    };
    for byte in 0..=255 {
        assert_eq!(with(0, byte), byte == 0x45, "version and length {byte:#x}");
        assert_eq!(with(9, byte), byte == TCP, "protocol {byte}");
        assert_eq!(with(6, byte), byte & 0x1f == 0, "fragment {byte:#x}");
        assert_eq!(with(7, byte), byte == 0, "fragment {byte:#x}");
    }
}

#[test]
fn a_reset_is_that_of_linux() {
    let packet = bytes(of_linux::SYN_ACK_V4);
    let answer = parse_v4(&packet).expect("an answer");
    let reset = reset_v4(&answer, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
    let whole = self::packet(0, Ipv4Addr::LOCALHOST, &reset.bytes[..reset.len]);
    assert!(!checksum::is_damaged_v4(&whole));
    assert_ne!(reset.bytes[16..18], [0; 2], "a raw socket leaves the checksum to its program");
    // To 8081 from 0xcf92: the number that was acknowledged, no acknowledgement, a RST alone, and no window.
    let expected = bytes("cf921f91593eb4e700000000500400000000");
    assert_eq!([&reset.bytes[..16], &reset.bytes[18..20]].concat(), expected);
    let without_checksum = reset_v6(&answer);
    assert_eq!(without_checksum.bytes[..16], reset.bytes[..16]);
    assert_eq!((without_checksum.len, &without_checksum.bytes[16..20]), (20, &[0; 4][..]));
}

#[test]
fn quote_needs_the_ports_and_the_isn() {
    let mut syn = [0; SYN_LEN];
    let fields = SynFields { source_port: 20_480, target_port: 443, isn: 0xdead_beef, tsval: 1 };
    SynTemplate::v6().write_v6(&mut syn, &fields);
    for length in 0..8 {
        assert_eq!(parse_quote(&syn[..length]), None);
    }
    for length in 8..=SYN_LEN {
        let quote = Quote { source_port: 20_480, target_port: 443, isn: 0xdead_beef };
        assert_eq!(parse_quote(&syn[..length]), Some(quote));
    }
}

/// Where a carry is lost if there is one step too few.
fn fields() -> impl Strategy<Value = SynFields> {
    (any::<u16>(), any::<u16>(), any::<u32>(), any::<u32>())
        .prop_map(|(source_port, target_port, isn, tsval)| SynFields { source_port, target_port, isn, tsval })
}

/// Extremes more often than chance would have them: they are where a carry is lost.
fn address() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![Just(0), Just(u32::MAX), Just(0xffff_0000), any::<u32>()].prop_map(Ipv4Addr::from_bits)
}

/// Bytes that look like an answer, so that the parsers get further than the first of them.
fn nearly_an_answer() -> impl Strategy<Value = Vec<u8>> {
    let patch = (any::<prop::sample::Index>(), any::<u8>());
    (0..=10u8, proptest::collection::vec(any::<u8>(), 0..=40), proptest::collection::vec(patch, 0..4), any::<u8>())
        .prop_map(|(ip_options, mut options, patches, cut)| {
            options.truncate(options.len() & !3);
            let mut packet = packet(ip_options, Ipv4Addr::LOCALHOST, &segment(SYN_ACK, 500, &options));
            for (at, byte) in patches {
                let at = at.index(packet.len());
                packet[at] = byte;
            }
            packet.truncate(usize::from(cut));
            packet
        })
}

proptest! {
    #[test]
    fn checksum_is_that_of_a_sum_over_all_bytes(fields in fields(), source in address(), target in address()) {
        let mut syn = [0; SYN_LEN];
        SynTemplate::v4().write_v4(&mut syn, &fields, source, target);
        let made = port(&syn, CHECKSUM_AT);
        syn[CHECKSUM_AT..CHECKSUM_AT + 2].fill(0);
        prop_assert_eq!(made, plain_checksum(&syn, source, target));
    }

    /// A listener that sends our own fields back.
    #[test]
    fn what_is_written_is_read_again(fields in fields(), source in address(), target in address()) {
        let mut syn = [0; SYN_LEN];
        SynTemplate::v4().write_v4(&mut syn, &fields, source, target);
        let SynFields { source_port, target_port, isn, tsval } = fields;
        prop_assert_eq!(parse_quote(&syn), Some(Quote { source_port, target_port, isn }));
        prop_assert_eq!(parse_v4(&packet(0, source, &syn)), None);
        syn.copy_within(ISN_AT..ISN_AT + 4, 8);
        syn.copy_within(TSVAL_AT..TSVAL_AT + 4, TSVAL_AT + 4);
        syn[13] = SYN_ACK;
        let expected = Answer {
            source: IpAddr::V4(source),
            source_port,
            port: target_port,
            ack: isn,
            kind: AnswerKind::SynAck { zero_window: false },
            ts_echo: Some(tsval),
        };
        prop_assert_eq!(parse_v4(&packet(0, source, &syn)), Some(expected));
        let source = source.to_ipv6_compatible();
        prop_assert_eq!(parse_v6(&syn, source), Some(Answer { source: IpAddr::V6(source), ..expected }));
    }

    #[test]
    fn parsers_take_any_bytes(bytes in prop_oneof![proptest::collection::vec(any::<u8>(), 0..160), nearly_an_answer()]) {
        prop_assert_eq!(parse_quote(&bytes).is_some(), bytes.len() >= 8);
        if let Some(answer) = parse_v4(&bytes) {
            prop_assert!(bytes.len() >= 2 * HEADER);
            let header_length = usize::from(bytes[0] & 0xf) * 4;
            prop_assert_eq!(answer.ack, word(&bytes, header_length + 8));
        }
        prop_assert!(parse_v6(&bytes, Ipv6Addr::LOCALHOST).is_none() || bytes.len() >= HEADER);
    }
}

#[test]
fn what_stands_behind_the_end_of_the_options_is_none_of_them() {
    let timestamps = [TIMESTAMPS, TIMESTAMPS_LEN, 0, 0, 0, 1, 0, 0, 0, 2];
    let behind = |before: &[u8]| timestamp_echo(&[before, &timestamps].concat());
    assert_eq!([behind(&[NOP]), behind(&[2, 4, 5, 180]), behind(&[END_OF_OPTIONS, 2])], [Some(2), Some(2), None]);
}
