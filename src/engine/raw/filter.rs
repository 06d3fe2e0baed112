//! What a raw socket is to hear: classic BPF programs, which the kernel runs over each segment before it copies it.

use libc::sock_filter;

/// So much of a packet is handed out: an IPv4 header and a TCP header, both with all the options that they can have.
const SNAP: u32 = 128;

// Codes of linux/filter.h and linux/bpf_common.h. libc does not have them for Android. A is the accumulator, X the
// index.
/// A = the byte at k.
const LOAD_BYTE: u16 = 0x30;
/// A = the 16 bits at k.
const LOAD_HALF: u16 = 0x28;
/// A = the byte at X + k.
const LOAD_BYTE_X: u16 = 0x50;
/// A = the 16 bits at X + k.
const LOAD_HALF_X: u16 = 0x48;
/// X = the length of the IPv4 header that begins at k.
const LOAD_X_HEADER: u16 = 0xb1;
/// A = A & k.
const AND: u16 = 0x54;
/// Whether A == k.
const EQUAL: u16 = 0x15;
/// Whether A & k is not 0.
const ANY: u16 = 0x45;
/// Ends: k bytes of the packet are handed out.
const RETURN: u16 = 0x06;

const TCP: u32 = libc::IPPROTO_TCP as u32;
/// In the flags of a TCP header.
const RST_OR_ACK: u32 = 0x14;
/// In the word of an IPv4 header that begins with the flags.
const FRAGMENT_OFFSET: u32 = 0x1fff;

/// For a raw socket of IPv4, where offset 0 is the IP header: TCP segments to one of the `1 << ports_log2` ports that
/// begin at `first`, a multiple of their number, which have RST or ACK set.
pub(super) fn v4(first: u16, ports_log2: u32) -> [sock_filter; 12] {
    [
        step(LOAD_BYTE, 9),
        test(EQUAL, TCP, 0, 9),
        // Only the first fragment of a packet has the TCP header.
        step(LOAD_HALF, 6),
        test(ANY, FRAGMENT_OFFSET, 7, 0),
        step(LOAD_X_HEADER, 0),
        step(LOAD_HALF_X, 2),
        step(AND, mask(first, ports_log2)),
        test(EQUAL, first.into(), 0, 3),
        step(LOAD_BYTE_X, 13),
        test(ANY, RST_OR_ACK, 0, 1),
        step(RETURN, SNAP),
        step(RETURN, 0),
    ]
}

/// For a raw socket of IPv6 and TCP, where offset 0 is the TCP header: the same segments.
pub(super) fn v6(first: u16, ports_log2: u32) -> [sock_filter; 7] {
    [
        step(LOAD_HALF, 2),
        step(AND, mask(first, ports_log2)),
        test(EQUAL, first.into(), 0, 3),
        step(LOAD_BYTE, 13),
        test(ANY, RST_OR_ACK, 0, 1),
        step(RETURN, SNAP),
        step(RETURN, 0),
    ]
}

/// The bits in which the ports of a block are alike.
fn mask(first: u16, ports_log2: u32) -> u32 {
    let mask = u16::MAX.unbounded_shl(ports_log2);
    debug_assert_eq!(first & !mask, 0, "the block begins at a multiple of its size");
    mask.into()
}

fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// Skips so many steps if the condition holds, and so many if not.
fn test(code: u16, k: u32, if_so: u8, if_not: u8) -> sock_filter {
    sock_filter { code, jt: if_so, jf: if_not, k }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::super::segment::parse_v6;
    use super::*;

    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const PSH: u8 = 8;
    const ACK: u8 = 16;

    /// As the kernel runs a program (`___bpf_prog_run` in kernel/bpf/core.c): what is beyond the packet ends it with 0.
    fn run(program: &[sock_filter], packet: &[u8]) -> u32 {
        let byte = |at: u32| packet.get(at as usize).map(|byte| u32::from(*byte));
        let half = |at: u32| Some(byte(at)? << 8 | byte(at + 1)?);
        let (mut a, mut x, mut next) = (0, 0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[next];
            next += 1;
            let loaded = match code {
                LOAD_BYTE => byte(k),
                LOAD_HALF => half(k),
                LOAD_BYTE_X => byte(x + k),
                LOAD_HALF_X => half(x + k),
                LOAD_X_HEADER => byte(k),
                AND => Some(a & k),
                EQUAL | ANY => Some(a),
                RETURN => return k,
                _ => panic!("step {next} has the code {code:#x}"),
            };
            let Some(loaded) = loaded else { return 0 };
            match code {
                LOAD_X_HEADER => x = (loaded & 0xf) * 4,
                EQUAL => next += usize::from(if a == k { jt } else { jf }),
                ANY => next += usize::from(if a & k != 0 { jt } else { jf }),
                _ => a = loaded,
            }
        }
    }

    fn segment(port: u16, flags: u8) -> Vec<u8> {
        let [high, low] = port.to_be_bytes();
        let ports_to_ack = [0x1f, 0x90, high, low, 9, 9, 9, 9, 8, 8, 8, 8];
        [&ports_to_ack[..], &[0x50, flags, 0xfa, 0xf0, 7, 7, 0, 0]].concat()
    }

    /// In an IPv4 packet with so many words of options.
    fn packet(options: u8, segment: &[u8]) -> Vec<u8> {
        let mut header = vec![0x45 + options, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
        header.extend(std::iter::repeat_n(1, usize::from(options) * 4));
        header.extend_from_slice(segment);
        header
    }

    /// The verdict of both programs on a segment.
    #[track_caller]
    fn accepts(first: u16, ports_log2: u32, segment: &[u8]) -> bool {
        let six = run(&v6(first, ports_log2), segment);
        for options in [0, 1, 10] {
            assert_eq!(run(&v4(first, ports_log2), &packet(options, segment)), six, "with {options} words of options");
        }
        assert!(six == 0 || six == SNAP);
        six != 0
    }

    #[test]
    fn segments_with_rst_or_ack_pass_and_no_others() {
        for flags in 0..=255 {
            let answers = flags & (RST | ACK) != 0;
            assert_eq!(accepts(20_480, 6, &segment(20_480, flags)), answers, "flags {flags:#x}");
        }
        assert!(accepts(20_480, 6, &segment(20_480, SYN | ACK)));
        assert!(accepts(20_480, 6, &segment(20_480, ACK)));
        assert!(!accepts(20_480, 6, &segment(20_480, SYN)));
        assert!(!accepts(20_480, 6, &segment(20_480, FIN | PSH)));
    }

    #[test]
    fn every_answer_passes() {
        let is_answer = |flags: &u8| parse_v6(&segment(20_480, *flags), Ipv6Addr::LOCALHOST).is_some();
        let answers: Vec<u8> = (0..=255).filter(is_answer).collect();
        assert_eq!(answers.len(), 64 + 16 + 4);
        assert!(answers.into_iter().all(|flags| accepts(20_480, 6, &segment(20_480, flags))));
    }

    #[test]
    fn ports_of_the_block_pass_and_no_others() {
        for (first, ports_log2) in [(20_480, 6), (20_480, 0), (1_024, 10), (32_768, 15), (65_472, 6), (0, 16)] {
            let block = u32::from(first)..u32::from(first) + (1 << ports_log2);
            for port in 0..=u16::MAX {
                let is_ours = block.contains(&port.into());
                assert_eq!(run(&v6(first, ports_log2), &segment(port, ACK)) != 0, is_ours, "port {port} of {block:?}");
            }
            let ends = [first, first.wrapping_sub(1), (block.end - 1) as u16, block.end as u16];
            for port in ends {
                assert_eq!(
                    accepts(first, ports_log2, &segment(port, RST)),
                    block.contains(&port.into()),
                    "port {port}"
                );
            }
        }
    }

    #[test]
    fn packets_of_another_protocol_are_dropped() {
        for protocol in 0..=255 {
            let mut packet = packet(0, &segment(20_480, ACK));
            packet[9] = protocol;
            assert_eq!(run(&v4(20_480, 6), &packet) != 0, protocol == 6, "protocol {protocol}");
        }
    }

    #[test]
    fn fragments_after_the_first_are_dropped() {
        for bit in 0..16 {
            let mut packet = packet(0, &segment(20_480, ACK));
            packet[6..8].copy_from_slice(&(1u16 << bit).to_be_bytes());
            // The three highest bits are flags, the others the offset.
            assert_eq!(run(&v4(20_480, 6), &packet) != 0, bit >= 13, "bit {bit}");
        }
    }

    #[test]
    fn packets_that_end_before_the_flags_are_dropped() {
        let segment = segment(20_480, SYN | ACK);
        for length in 0..14 {
            assert!(!accepts(20_480, 6, &segment[..length]), "{length} bytes");
        }
        assert!(accepts(20_480, 6, &segment[..14]));
        assert_eq!(run(&v4(20_480, 6), &[]), 0);
    }
}
