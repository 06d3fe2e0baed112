//! What ICMP says of a target: of every type and code, true and forged.

use tcpshaker::Status;

use crate::support::firewall::{self, Hook};
use crate::support::icmp6;
use crate::support::lists::{PORT, SILENT_PORT, silence, with_timeout};
use crate::support::network::listen_to_all;
use crate::support::peer::{ACK, Action, Peer, RST, SYN, Segment};
use crate::support::targets::{DEAD_PORT, V6, at};
use crate::trial::{DEAD, LIVE, PATIENCE_MS, SILENT, Trial, Truth, any_of};

const ISN: u32 = 0x1234_5678;
/// The first of as many ports as there are errors.
const FIRST_PORT: u16 = 1_000;
/// Patience where an error waits for the answers to other SYNs, which do not come.
const SECONDS: u32 = 10_000;

const fn unreachable(errno: i32) -> Truth {
    Truth { name: "unreachable", may_be: &[Status::Unreachable], errno: Some(errno) }
}

const REFUSED: Truth = Truth { name: "refused", may_be: &[Status::Refused], errno: Some(libc::ECONNREFUSED) };

/// Type, code, and what it means of the target (RFC 792, RFC 1122, RFC 1812, icmp_err_convert in net/ipv4/icmp.c).
const ICMP: [(u8, u8, Truth); 22] = [
    (3, 0, unreachable(libc::ENETUNREACH)),
    (3, 1, unreachable(libc::EHOSTUNREACH)),
    (3, 2, unreachable(libc::ENOPROTOOPT)),
    (3, 3, REFUSED),
    (3, 4, SILENT), // a segment was too large, which no SYN is
    (3, 5, unreachable(libc::EOPNOTSUPP)),
    (3, 6, unreachable(libc::ENETUNREACH)),
    (3, 7, unreachable(libc::EHOSTDOWN)),
    (3, 8, unreachable(libc::ENONET)),
    (3, 9, unreachable(libc::ENETUNREACH)),
    (3, 10, unreachable(libc::EHOSTUNREACH)),
    (3, 11, unreachable(libc::ENETUNREACH)),
    (3, 12, unreachable(libc::EHOSTUNREACH)),
    (3, 13, unreachable(libc::EHOSTUNREACH)),
    (3, 14, unreachable(libc::EHOSTUNREACH)),
    (3, 15, unreachable(libc::EHOSTUNREACH)),
    (3, 16, SILENT), // there is no such code
    (4, 0, SILENT),  // source quench, which nobody heeds (RFC 6633)
    (11, 0, unreachable(libc::EHOSTUNREACH)),
    (11, 1, SILENT), // about a fragment, which no SYN is
    (12, 0, unreachable(libc::EPROTO)),
    (12, 1, unreachable(libc::EPROTO)),
];

/// The same of ICMPv6 (RFC 4443, icmpv6_err_convert in net/ipv6/icmp.c).
const ICMPV6: [(u8, u8, Truth); 12] = [
    (1, 0, unreachable(libc::ENETUNREACH)),
    (1, 1, unreachable(libc::EACCES)),
    (1, 2, unreachable(libc::EHOSTUNREACH)),
    (1, 3, unreachable(libc::EHOSTUNREACH)),
    (1, 4, REFUSED),
    (1, 5, unreachable(libc::EACCES)),
    (1, 6, unreachable(libc::EACCES)),
    (1, 7, unreachable(libc::EPROTO)),
    (1, 8, unreachable(libc::EPROTO)),
    (2, 0, SILENT), // a segment was too large
    (3, 0, unreachable(libc::EHOSTUNREACH)),
    (4, 0, unreachable(libc::EPROTO)),
];

fn port_of(error: usize) -> u16 {
    FIRST_PORT + error as u16
}

fn timeout_of(truth: &Truth) -> u32 {
    if truth.may_be == SILENT.may_be { 400 } else { SECONDS }
}

mod that_are_true {
    use super::*;

    #[test]
    fn are_the_verdict_of_their_code() {
        namespaced!();
        let _peer = Peer::start(|segment| match segment.flags {
            SYN => {
                let (kind, code, _) = ICMP[usize::from(segment.destination.port() - FIRST_PORT)];
                vec![Action::Send(segment.icmp(kind, code, segment.sequence))]
            }
            _ => Vec::new(),
        });
        let case = |number| {
            let error = number % ICMP.len();
            let (_, _, truth) = ICMP[error];
            (with_timeout(timeout_of(&truth), Peer::at(port_of(error))), truth)
        };
        // Those that get no answer may not have their turn in time, on a busy machine.
        Trial { none_percent: 20, ..Trial::new("ICMP of every code", &case) }.run();
    }

    #[test]
    fn are_the_verdict_of_their_code_in_ipv6() {
        namespaced!("nft");
        firewall::add(Hook::Input, &[&format!("meta nfproto ipv6 tcp dport {FIRST_PORT}-{} drop", FIRST_PORT + 99)]);
        icmp6::answer_on_loopback(|port| {
            let (kind, code, _) = ICMPV6.get(usize::from(port.checked_sub(FIRST_PORT)?))?;
            Some((*kind, *code))
        });
        let case = |number| {
            let error = number % ICMPV6.len();
            let (_, _, truth) = ICMPV6[error];
            (with_timeout(timeout_of(&truth), at(V6, port_of(error))), truth)
        };
        Trial { none_percent: 20, ..Trial::new("ICMPv6 of every code", &case) }.run();
    }
}

mod that_are_forged {
    use super::*;

    /// Errors of every code about a segment that was never sent, before the true answer.
    #[test]
    fn are_nothing() {
        namespaced!();
        let _peer = Peer::start(|segment| {
            if segment.flags != SYN {
                return Vec::new();
            }
            let (kind, code, _) = ICMP[usize::from(segment.destination.port()) % ICMP.len()];
            let numbers = [u32::MAX, 2, 1 << 16, 1 << 31].map(|off| segment.sequence.wrapping_add(off));
            let mut packets = numbers.map(|number| segment.icmp(kind, code, number)).to_vec();
            let mut other = segment.clone();
            other.source.set_port(segment.source.port() ^ 1);
            packets.push(other.icmp(kind, code, segment.sequence));
            let mut other = segment.clone();
            other.destination.set_port(segment.destination.port() ^ 1);
            packets.push(other.icmp(kind, code, segment.sequence));
            packets.extend(truth(segment).map(|answer| answer.packet()));
            packets.into_iter().map(Action::Send).collect()
        });
        Trial::new("forged ICMP", &|number| {
            let port = FIRST_PORT + (number % 220) as u16;
            match port % 55 {
                0 => (with_timeout(400, Peer::at(port)), SILENT),
                odd if odd % 2 == 1 => (with_timeout(PATIENCE_MS, Peer::at(port)), LIVE),
                _ => (with_timeout(PATIENCE_MS, Peer::at(port)), DEAD),
            }
        })
        .run();
    }

    /// The same of ICMPv6. Some first SYNs are lost, so that errors come before the answers.
    #[test]
    fn are_nothing_in_ipv6() {
        namespaced!("nft");
        let _listeners = listen_to_all();
        silence(SILENT_PORT);
        firewall::add(Hook::Input, &["meta l4proto tcp numgen random mod 100 < 10 drop"]);
        icmp6::send_on_loopback(|packet| {
            let (kind, code, _) = ICMPV6[usize::from(packet[47]) % ICMPV6.len()];
            let forged = |place: usize, off: u8| {
                let mut other = packet.to_vec();
                other[place] ^= off;
                icmp6::message(kind, code, &other)
            };
            // Another port of either end, another number, another target. (Linux takes the number after the SYN's for the
            // SYN's; and who knows the number has seen the SYN, so that the raw engine asks for no address of its own.)
            [(41, 1), (43, 1), (47, 2), (44, 128), (45, 3), (39, 2)].map(|(place, off)| forged(place, off)).into()
        });
        let case = |number| any_of(&[V6], [PORT, DEAD_PORT, SILENT_PORT], number);
        (Trial { syn_interval_ms: 20, ..Trial::new("forged ICMPv6, 10 % lost", &case) }).run();
    }

    fn truth(syn: &Segment) -> Option<Segment> {
        match syn.destination.port() % 55 {
            0 => None,
            odd if odd % 2 == 1 => Some(syn.answer(SYN | ACK, ISN)),
            _ => Some(syn.answer(RST | ACK, 0)),
        }
    }
}
