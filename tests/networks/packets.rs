//! What may become of a packet on its way: it is lost, overtaken, doubled, damaged or kept back.

use std::net::IpAddr;
use std::time::Duration;

use tcpshaker::{Request, Status};

use crate::support::dice::Dice;
use crate::support::firewall::{self, Hook};
use crate::support::lists::{PORT, SILENT_PORT, nth, silence, with_timeout};
use crate::support::network::{Network, ip, listen_to_all};
use crate::support::process::{sh, sysctl};
use crate::support::relay::{Fate, Relay};
use crate::support::targets::{DEAD_PORT, V4, V6, at};
use crate::trial::{Outcome, SILENT, Trial, Truth, any_of};

const PORTS: [u16; 3] = [PORT, DEAD_PORT, SILENT_PORT];

/// Few, so that checks find what earlier ones of the same target left behind.
fn addresses_of_this_host() -> Vec<IpAddr> {
    (0..7).map(nth).chain([V6]).collect()
}

mod that_are_lost {
    use super::*;

    fn lose(percent: u32) {
        firewall::add(Hook::Input, &[&format!("meta l4proto tcp numgen random mod 100 < {percent} drop")]);
    }

    fn assert_patience_finds_the_truth(percent: u32) {
        let _listeners = listen_to_all();
        silence(SILENT_PORT);
        lose(percent);
        let addresses = addresses_of_this_host();
        let case = |number| any_of(&addresses, PORTS, number);
        for outcome in Trial::new(&format!("{percent} % lost"), &case).run() {
            assert!(outcome.repeated * 100 >= outcome.checks * percent as usize / 2, "so few are lost by chance alone");
        }
    }

    #[test]
    fn one_in_a_hundred_make_no_verdict_wrong() {
        namespaced!("nft");
        assert_patience_finds_the_truth(1);
    }

    #[test]
    fn one_in_ten_make_no_verdict_wrong() {
        namespaced!("nft");
        assert_patience_finds_the_truth(10);
    }

    /// Nobody can tell a target from a silent one whose four SYNs had no answer. But nothing else may be said of it.
    #[test]
    fn one_in_two_make_targets_silent_and_nothing_worse() {
        namespaced!("nft");
        const LIVE: Truth = Truth::new("live", &[Status::Up, Status::TimedOut]);
        const DEAD: Truth = Truth::new("dead", &[Status::Refused, Status::TimedOut]);
        let _listeners = listen_to_all();
        silence(SILENT_PORT);
        lose(50);
        let addresses = addresses_of_this_host();
        let case = |number| {
            let (request, truth) = any_of(&addresses, PORTS, number);
            let truth = if truth.name == "live" {
                LIVE
            } else if truth.name == "dead" {
                DEAD
            } else {
                SILENT
            };
            (Request { timeout_ms: request.timeout_ms.min(1_000), ..request }, truth)
        };
        // A port that goes on to tell of an older connection is no silent one.
        for outcome in (Trial { none_percent: 30, ..Trial::new("50 % lost, 1 s", &case) }).run() {
            let silent = outcome.count(&LIVE, Status::TimedOut) * 100 / (outcome.checks / 2);
            println!("{silent} % of the live ones had no answer");
            // Four tries in 900 ms, each of which needs two packets to arrive, fail with a probability of 32 %; a busy
            // machine makes fewer of them in time.
            assert!((10..90).contains(&silent), "{silent} % of the live ones had no answer");
        }
    }

    /// The SYN of a check may meet that of another one that waits, and no listener.
    #[test]
    fn one_in_two_make_no_dead_port_up_among_the_ports_of_checks() {
        namespaced!("nft");
        const DEAD: Truth = Truth::new("dead", &[Status::Refused, Status::TimedOut]);
        sysctl("net/ipv4/ip_local_port_range", "40000 40031");
        lose(50);
        let case = |number| {
            let address = if number % 4 == 0 { V6 } else { V4 };
            (with_timeout(400, at(address, 40_000 + (number / 4 % 32) as u16)), DEAD)
        };
        let trial = Trial::new("50 % lost, dead ports among those of checks", &case);
        // There are no more ports, and none is left at times.
        Trial { none_percent: 50, in_flight: 256, syn_interval_ms: 100, only_sockets: true, ..trial }.run();
    }
}

mod on_a_cable {
    use super::*;

    fn assert_truth_is_found(condition: &str, fate: Fate) -> Vec<Outcome> {
        let relay = Relay::lay(fate);
        let _listeners = relay.far.run(|| {
            silence(SILENT_PORT);
            listen_to_all()
        });
        let ipv4 = (0..4).map(|number| IpAddr::from([10, 3, 0, number]));
        let ipv6 = (0..4).map(|number| IpAddr::from([0xfd03, 0, 0, 0, 0, 0, 0, number]));
        let addresses: Vec<IpAddr> = ipv4.chain(ipv6).collect();
        let case = |number| any_of(&addresses, PORTS, number);
        let outcomes = Trial { syn_interval_ms: 20, ..Trial::new(condition, &case) }.run();
        for outcome in &outcomes {
            assert!(outcome.repeated * 50 >= outcome.checks, "SYNs and answers are to cross each other");
        }
        outcomes
    }

    fn up_to(dice: &mut Dice, milliseconds: usize) -> Duration {
        Duration::from_micros(dice.below(1000 * milliseconds) as u64)
    }

    #[test]
    fn that_overtake_each_other_make_no_verdict_wrong() {
        namespaced!("nft");
        assert_truth_is_found("reordered", |dice, _| vec![up_to(dice, 40)]);
    }

    /// An answer comes for the second time when its port, and its socket, serve another check.
    #[test]
    fn that_come_twice_and_late_make_no_verdict_wrong() {
        namespaced!("nft");
        sysctl("net/ipv4/ip_local_port_range", "40000 43999");
        assert_truth_is_found("doubled and late", |dice, _| vec![up_to(dice, 20), up_to(dice, 200)]);
    }

    #[test]
    fn that_are_lost_doubled_and_reordered_make_no_verdict_wrong() {
        namespaced!("nft");
        assert_truth_is_found("5 % lost, a third doubled, all reordered", |dice, _| match dice.below(60) {
            0..3 => Vec::new(),
            3..20 => vec![up_to(dice, 40), up_to(dice, 200)],
            _ => vec![up_to(dice, 40)],
        });
    }

    /// What is damaged is lost, whatever it says. Two bits make a SYN-ACK of a RST, and a RST of a SYN-ACK.
    #[test]
    fn of_which_one_in_ten_is_damaged_make_no_verdict_wrong() {
        namespaced!("nft");
        let outcomes = assert_truth_is_found("one in ten damaged", |dice, packet| {
            let tcp = if packet[0] >> 4 == 6 { 40 } else { 20 };
            if packet.len() >= tcp + 20 && dice.below(10) == 0 {
                if dice.below(2) == 0 {
                    packet[tcp + 13] ^= 0x06;
                } else {
                    let byte = tcp + dice.below(packet.len() - tcp);
                    packet[byte] ^= 1 << dice.below(8);
                }
            }
            vec![Duration::ZERO]
        });
        for outcome in &outcomes {
            assert_eq!(outcome.count(&SILENT, Status::LocalFault), 0, "this host had room for all that came");
        }
    }
}

#[test]
fn of_576_bytes_at_most_make_no_verdict_wrong() {
    namespaced!("nft");
    let network = Network::new();
    sh("ip link set near1 mtu 576; ip link set lo mtu 576");
    network.router.run(|| sh("ip link set far1 mtu 576; ip link set near5 mtu 296"));
    let addresses = ["10.1.0.2", "10.5.0.2", "127.0.0.1"].map(ip);
    Trial::new("MTU 576", &|number| any_of(&addresses, PORTS, number)).run();
}
