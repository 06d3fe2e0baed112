//! A cable that does not behave: in its middle stands a program that keeps packets back, doubles, damages or swallows
//! them. The kernels at both ends are real ones.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::far_host::FarHost;
use super::network::{bytes_of, mac_of};
use super::peer::{Cable, checksum};
use super::process::sh;

/// After what time a packet arrives, for each time that it does. A packet without a time is lost. It may be damaged, too.
pub type Fate = fn(&mut Dice, &mut Vec<u8>) -> Vec<Duration>;

/// The relay lives as long as the test's process.
pub struct Relay {
    /// The host at the other end.
    pub far: FarHost,
    _middle: FarHost,
}

impl Relay {
    /// Lays the cable. This host is 10.1.0.1 and fd01::1; the far one is 10.1.0.2 and fd01::2, and has all addresses of
    /// 10.3.0.0/16 and fd03::/64.
    pub fn lay(fate: Fate) -> Relay {
        let (middle, far) = (FarHost::new(), FarHost::new());
        // The kernel in the middle takes no part: these addresses are asked for by nobody.
        middle.connect(("near", "10.1.0.1/24"), ("middle1", "10.254.0.1/32"));
        let far = middle.run(move || {
            far.connect(("middle2", "10.254.0.2/32"), ("far", "10.1.0.2/24"));
            far
        });
        let macs = [mac_of("near"), far.run(|| mac_of("far"))];
        let [first, second] = middle.run(|| [mac_of("middle1"), mac_of("middle2")]);
        furnish("near", "1", "2", &first);
        sh("ip route add 10.3.0.0/16 via 10.1.0.2; ip route add fd03::/64 via fd01::2");
        far.run(move || {
            furnish("far", "2", "1", &second);
            sh("ip route add local 10.3.0.0/16 dev lo; ip route add local fd03::/64 dev lo");
        });
        let ends = middle.run(move || {
            let [near_mac, far_mac] = macs.map(|mac| bytes_of(&mac));
            let open = |cable: fn(&str, &[u8]) -> Cable| {
                [cable("middle1", &near_mac), cable("middle2", &far_mac)].map(Arc::new)
            };
            [open(Cable::open), open(Cable::open_ipv6)]
        });
        for (seed, from) in [(1, 0), (2, 1)] {
            for ends in &ends {
                let (from, to) = (ends[from].clone(), ends[1 - from].clone());
                std::thread::spawn(move || carry(&from, &to, fate, Dice::new(seed)));
            }
        }
        Relay { far, _middle: middle }
    }
}

/// An IPv6 address beside the other, and both addresses of the other end, for which nobody answers in the middle.
fn furnish(device: &str, own: &str, other: &str, mac: &str) {
    sh(&format!("ip addr add fd01::{own}/64 dev {device} nodad"));
    sh(&format!("ip neigh add 10.1.0.{other} lladdr {mac} dev {device} nud permanent"));
    sh(&format!("ip neigh add fd01::{other} lladdr {mac} dev {device} nud permanent"));
}

/// Carries packets from one end to the other, for ever.
fn carry(from: &Cable, to: &Cable, fate: Fate, mut dice: Dice) {
    let mut kept = BinaryHeap::new();
    loop {
        let wait = kept
            .peek()
            .map(|Reverse((at, _)): &Reverse<(Instant, Vec<u8>)>| at.saturating_duration_since(Instant::now()));
        if let Some(packet) = from.receive_within(wait) {
            let now = Instant::now();
            let mut packet = with_checksum(packet);
            let delays = fate(&mut dice, &mut packet);
            kept.extend(delays.into_iter().map(|delay| Reverse((now + delay, packet.clone()))));
        }
        let now = Instant::now();
        while kept.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            kept.pop().into_iter().for_each(|Reverse((_, packet))| to.send(&packet));
        }
    }
}

/// A kernel leaves the checksum of TCP to its device, and a virtual cable leaves it to nobody.
fn with_checksum(mut packet: Vec<u8>) -> Vec<u8> {
    let first = packet.first().copied().unwrap_or_default();
    let (header, protocol, addresses) =
        if first >> 4 == 6 { (40, 6, 8..40) } else { (usize::from(first & 15) * 4, 9, 12..20) };
    if packet.len() >= header + 20 && packet[protocol] == libc::IPPROTO_TCP as u8 {
        packet[header + 16..header + 18].fill(0);
        // The pseudo-header, whose length is that of IPv4 or of IPv6 (RFC 9293, 3.1): zeros more or less change no sum.
        let mut covered = packet[addresses].to_vec();
        covered.extend([0, libc::IPPROTO_TCP as u8]);
        covered.extend(((packet.len() - header) as u16).to_be_bytes());
        covered.extend(&packet[header..]);
        packet[header + 16..header + 18].copy_from_slice(&checksum(&covered));
    }
    packet
}
