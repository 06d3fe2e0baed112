//! Answers that come late, twice or from nobody, and those that tell of an older connection.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddrV4;

use crate::support::firewall::{self, Hook};
use crate::support::lists::{PORT, SILENT_PORT, nth, silence, with_timeout};
use crate::support::network::listen_to_all;
use crate::support::peer::{ACK, Action, Peer, RST, SYN, Segment};
use crate::support::process::sysctl;
use crate::support::targets::DEAD_PORT;
use crate::trial::{Case, DEAD, LIVE, PATIENCE_MS, SILENT, Trial, any_of};

const ISN: u32 = 0x1234_5678;
/// Ports of the peer; what each of them is, its number says.
const FIRST_PORT: u16 = 1_000;

fn send(segment: Segment) -> Action {
    Action::Send(segment.packet())
}

fn any_port(number: usize) -> Case {
    let peer = Peer::at(FIRST_PORT + (number % 200) as u16);
    match number % 50 {
        0 => (with_timeout(400, peer), SILENT),
        odd if odd % 2 == 1 => (with_timeout(PATIENCE_MS, peer), LIVE),
        _ => (with_timeout(PATIENCE_MS, peer), DEAD),
    }
}

/// What the peer truly answers.
fn true_answer(syn: &Segment) -> Option<Segment> {
    match (syn.destination.port() - FIRST_PORT) % 50 {
        0 => None,
        odd if odd % 2 == 1 => Some(syn.answer(SYN | ACK, ISN)),
        _ => Some(syn.answer(RST | ACK, 0)),
    }
}

/// Starts a peer that sends this before its true answer.
fn peer(forge: impl Fn(&Segment) -> Vec<Segment> + Send + 'static) -> Peer {
    Peer::start(move |segment| match segment.flags {
        SYN => forge(segment).into_iter().chain(true_answer(segment)).map(send).collect(),
        _ => Vec::new(),
    })
}

mod to_the_check_before {
    use super::*;

    /// Before each answer come two to the last SYN for the same port, yes and no, as if one socket had made both checks;
    /// and the true answer to that SYN, once more, to the port that it came from.
    #[test]
    fn are_nothing_to_the_next_one() {
        namespaced!();
        let last = RefCell::new(HashMap::<u16, Segment>::new());
        let _peer = peer(move |syn| {
            let before = last.borrow_mut().insert(syn.destination.port(), syn.clone());
            let Some(before) = before.filter(|before| before.sequence != syn.sequence) else { return Vec::new() };
            let same_socket = Segment { source: syn.source, ..before.clone() };
            let mut late = vec![same_socket.answer(SYN | ACK, ISN), same_socket.answer(RST | ACK, 0)];
            late.extend(true_answer(&before));
            late.extend(late.clone());
            late
        });
        // So that ports serve again while answers to them are under way.
        sysctl("net/ipv4/ip_local_port_range", "40000 43999");
        Trial::new("late and doubled answers", &any_port).run();
    }
}

mod that_reset {
    use super::*;

    #[test]
    fn with_a_wrong_number_are_nothing() {
        namespaced!();
        let _peer = peer(|syn| {
            let right = syn.sequence.wrapping_add(1);
            let wrong = [1, 2, u32::MAX, 1 << 31, 65_535].map(|off| right.wrapping_add(off));
            let acknowledging = wrong.map(|acknowledged| Segment { acknowledged, ..syn.answer(RST | ACK, 0) });
            let bare = [0, syn.sequence, right, ISN].map(|sequence| syn.answer(RST, sequence));
            acknowledging.into_iter().chain(bare).collect()
        });
        Trial::new("RST with a wrong number", &any_port).run();
    }

    #[test]
    fn from_another_port_or_address_are_nothing() {
        namespaced!();
        let _peer = peer(|syn| {
            let truth = [syn.answer(RST | ACK, 0), syn.answer(SYN | ACK, ISN)];
            let port = SocketAddrV4::new(*syn.destination.ip(), syn.destination.port() ^ 1);
            let address = SocketAddrV4::new([10, 1, 0, 8].into(), syn.destination.port());
            let other = SocketAddrV4::new(*syn.source.ip(), syn.source.port() ^ 1);
            let sources = [port, address].into_iter();
            let forged = sources.flat_map(|source| truth.clone().map(|answer| Segment { source, ..answer }));
            forged.chain(truth.clone().map(|answer| Segment { destination: other, ..answer })).collect()
        });
        Trial::new("answers of others", &any_port).run();
    }
}

mod that_acknowledge_an_old_number {
    use super::*;

    /// A target that has an older connection with our port says so, and answers the next SYN.
    #[test]
    fn draw_another_syn_and_make_no_verdict_wrong() {
        namespaced!();
        let told = RefCell::new(HashSet::new());
        let _peer = Peer::start(move |segment| match segment.flags {
            SYN if told.borrow_mut().insert((segment.source, segment.destination, segment.sequence)) => {
                vec![send(Segment { acknowledged: segment.sequence.wrapping_sub(77), ..segment.answer(ACK, ISN) })]
            }
            SYN => true_answer(segment).map(send).into_iter().collect(),
            _ => Vec::new(),
        });
        // A port that goes on to tell of an older connection is no silent one.
        let case = |number| any_port(number + usize::from(number % 50 == 0));
        for outcome in Trial::new("challenge ACK", &case).run() {
            assert!(outcome.repeated * 2 > outcome.checks, "only {} SYNs were repeated", outcome.repeated);
        }
    }

    #[test]
    fn since_resets_were_lost_make_no_verdict_wrong() {
        namespaced!("nft");
        let _listeners = listen_to_all();
        silence(SILENT_PORT);
        // So that pairs of ports come again while a request of the last check is there.
        sysctl("net/ipv4/ip_local_port_range", "40000 47999");
        let lost = format!("tcp dport {PORT} tcp flags & rst == rst numgen random mod 100 < 20 drop");
        firewall::add(Hook::Input, &[&lost]);
        let addresses = [nth(0), nth(1)];
        let case = |number| any_of(&addresses, [PORT, DEAD_PORT, SILENT_PORT], number);
        Trial::new("a fifth of the resets lost", &case).run();
    }
}
