//! The checksum of TCP (RFC 1071; RFC 9293, section 3.1) of what comes in, which a raw socket leaves to its program. With
//! IPv6 the kernel would look at it (`IPV6_CHECKSUM`, ipv6(7)), but counts what is damaged among what it has dropped for
//! want of room.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The shortest header that IPv4 has.
const HEADER: usize = 20;
/// Where it is in a TCP header.
pub(super) const CHECKSUM_AT: usize = 16;
const TCP: u64 = 6;

/// A sum below 2^36 in 16 bits: what was carried out of them is added to them. Fifteen fields of 32 bits sum up to less.
#[inline]
pub(super) fn folded(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The checksum of a segment for IPv4 in which it is still zero.
pub(super) fn of_v4(segment: &[u8], source: Ipv4Addr, target: Ipv4Addr) -> u16 {
    let addresses = sum(&source.octets()) + sum(&target.octets());
    !folded(addresses + TCP + segment.len() as u64 + sum(segment))
}

/// Whether an IPv4 packet of TCP, as a raw socket hands it out, was damaged on its way. Nobody can tell if it is cut off.
pub(super) fn is_damaged_v4(packet: &[u8]) -> bool {
    let Some(header) = packet.first_chunk::<HEADER>() else { return false };
    let total_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let segment = packet.get(usize::from(header[0] & 0xf) * 4..total_length);
    segment.is_some_and(|segment| is_damaged(segment, sum(&header[12..])))
}

/// Whether a segment that came by IPv6 was.
pub(super) fn is_damaged_v6(segment: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> bool {
    is_damaged(segment, sum(&source.octets()) + sum(&destination.octets()))
}

/// What was never on a wire has no checksum yet. Linux puts the sum of the pseudo header there, which a device that sends
/// it would go on with (`__tcp_v4_send_check` in net/ipv4/tcp_ipv4.c); gVisor leaves it zero.
fn is_damaged(segment: &[u8], addresses: u64) -> bool {
    let Some(&[high, low]) = segment.get(CHECKSUM_AT..CHECKSUM_AT + 2) else { return false };
    let pseudo_header = addresses + TCP + segment.len() as u64;
    let is_right = folded(pseudo_header + sum(segment)) == u16::MAX;
    !is_right && ![0, folded(pseudo_header)].contains(&u16::from_be_bytes([high, low]))
}

/// The sum of all 16-bit words. A last byte is the first one of a word.
fn sum(bytes: &[u8]) -> u64 {
    let (words, last) = bytes.as_chunks::<2>();
    let words: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    words + last.first().map_or(0, |&byte| u64::from(byte) << 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::segment::tests::{V6_HEADER, bytes, of_linux, packet};
    use super::super::segment::{SYN_LEN, SynFields, SynTemplate};
    use super::*;

    /// With so many bytes of data behind the header.
    fn with_data(data: usize) -> Vec<u8> {
        let mut segment = bytes(of_linux::RST_V4)[HEADER..].to_vec();
        segment.extend((0..data).map(|at| 0xa0 + at as u8));
        segment[CHECKSUM_AT..CHECKSUM_AT + 2].fill(0);
        let mut whole = packet(0, Ipv4Addr::LOCALHOST, &segment);
        let pseudo = [&[127, 0, 0, 1, 127, 0, 0, 1, 0, 6][..], &(segment.len() as u16).to_be_bytes()].concat();
        let checksum = plain_checksum(&[pseudo, segment].concat());
        whole[HEADER + CHECKSUM_AT..HEADER + CHECKSUM_AT + 2].copy_from_slice(&checksum.to_be_bytes());
        whole
    }

    /// By sums of two bytes at a time.
    fn plain_checksum(covered: &[u8]) -> u16 {
        let mut sum = 0u32;
        for word in covered.chunks(2) {
            sum += u32::from(word[0]) * 256 + u32::from(*word.get(1).unwrap_or(&0));
            sum = sum % 0x10000 + sum / 0x10000;
        }
        !sum as u16
    }

    #[test]
    fn what_linux_sends_is_undamaged_also_on_loopback() {
        for hex in [of_linux::SYN_V4, of_linux::SYN_ACK_V4, of_linux::ACK_V4, of_linux::RST_V4] {
            assert!(!is_damaged_v4(&bytes(hex)), "{hex}");
        }
        for hex in [of_linux::SYN_V6, of_linux::SYN_ACK_V6, of_linux::RST_V6] {
            assert!(!is_damaged_v6(&bytes(hex)[V6_HEADER..], Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST), "{hex}");
        }
    }

    #[test]
    fn each_bit_that_is_not_as_it_was_is_damage() {
        for data in 0..4 {
            let whole = with_data(data);
            assert!(!is_damaged_v4(&whole), "{data}");
            // From the addresses on.
            for bit in 12 * 8..whole.len() * 8 {
                let mut packet = whole.clone();
                packet[bit / 8] ^= 1 << (bit % 8);
                assert!(is_damaged_v4(&packet), "bit {bit} of {data}");
            }
        }
    }

    #[test]
    fn a_checksum_that_is_yet_to_be_made_is_none_that_is_wrong() {
        let mut packet = with_data(0);
        packet[HEADER + CHECKSUM_AT..HEADER + CHECKSUM_AT + 2].fill(0);
        assert!(!is_damaged_v4(&packet));
    }

    #[test]
    fn of_a_packet_that_is_cut_off_nobody_can_tell() {
        let mut packet = with_data(3);
        packet[HEADER + 4] ^= 1;
        for length in 0..packet.len() {
            assert!(!is_damaged_v4(&packet[..length]), "{length}");
        }
        // What follows a packet in its frame is not its own.
        packet[HEADER + 4] ^= 1;
        packet.extend([1, 2, 3]);
        assert!(!is_damaged_v4(&packet));
    }

    #[test]
    fn sum_is_folded_until_nothing_is_carried() {
        let edges: Vec<u64> = (0..8).chain(0x7ffe..0x8002).chain(0xfff0..0x1_0000).collect();
        for high in 0..16 {
            for (middle, low) in edges.iter().flat_map(|middle| edges.iter().map(move |low| (middle, low))) {
                let sum = high << 32 | middle << 16 | low;
                let mut plain = sum;
                while plain > 0xffff {
                    plain = (plain & 0xffff) + (plain >> 16);
                }
                assert_eq!(u64::from(folded(sum)), plain, "{sum:#x}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_this_library_sends_is_undamaged(source in any::<u32>(), isn in any::<u32>(), options in 0..=10u8) {
            let mut syn = [0; SYN_LEN];
            let fields = SynFields { source_port: 4_711, target_port: 80, isn, tsval: !isn };
            let (source, target) = (Ipv4Addr::from_bits(source), Ipv4Addr::LOCALHOST);
            SynTemplate::v4().write_v4(&mut syn, &fields, source, target);
            prop_assert!(!is_damaged_v4(&packet(options, source, &syn)));
        }

        #[test]
        fn each_bit_of_a_segment_by_ipv6_that_is_not_as_it_was_is_damage(
            source in any::<u128>(), target in any::<u128>(), isn in any::<u32>(), bit in 0..8 * SYN_LEN
        ) {
            let mut syn = [0; SYN_LEN];
            let fields = SynFields { source_port: 4_711, target_port: 80, isn, tsval: !isn };
            let (source, target) = (Ipv6Addr::from_bits(source), Ipv6Addr::from_bits(target));
            SynTemplate::v6().write_v6(&mut syn, &fields);
            let pseudo = [&source.octets()[..], &target.octets(), &[0, 6, 0, SYN_LEN as u8]].concat();
            let checksum = plain_checksum(&[&pseudo[..], &syn].concat());
            syn[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&checksum.to_be_bytes());
            prop_assert!(!is_damaged_v6(&syn, source, target));
            syn[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(is_damaged_v6(&syn, source, target));
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
            is_damaged_v4(&bytes);
        }
    }
}
