//! A small network: a host at the other end of a cable, and another one behind it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::far_host::FarHost;
use super::firewall::{self, Hook};
use super::lists::{PORT, SILENT_PORT};
use super::process::{sh, sysctl};
use super::targets::Listener;

/// An address in text.
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Listeners for all addresses of the calling thread's namespace.
pub fn listen_to_all() -> [Listener; 2] {
    [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()].map(|ip| Listener::on(ip, PORT))
}

/// A cable to a host where each address has something to hear: near is .1 and far is .2 of 10.NUMBER.0.0/24 and
/// fdNUMBER::/64, and both have such link-local addresses as well.
pub fn lay_cable(far: &FarHost, number: u8) {
    let (near, far_end) = (format!("near{number}"), format!("far{number}"));
    far.connect((&near, &format!("10.{number}.0.1/24")), (&far_end, &format!("10.{number}.0.2/24")));
    let add = |device: &str, host: u8| {
        format!("ip addr add fd0{number}::{host}/64 dev {device} nodad; ip addr add fe80::{host}/64 dev {device} nodad")
    };
    sh(&add(&near, 1));
    let command = add(&far_end, 2);
    far.run(move || sh(&command));
}

/// A host by cable, and another one behind it: 10.5.0.2 and fd05::2.
pub struct Network {
    pub router: FarHost,
    _beyond: FarHost,
    _listeners: Vec<Listener>,
}

impl Network {
    pub fn new() -> Network {
        let (router, beyond) = (FarHost::new(), FarHost::new());
        lay_cable(&router, 1);
        let beyond = router.run(move || {
            sysctl("net/ipv4/ip_forward", "1");
            sysctl("net/ipv6/conf/all/forwarding", "1");
            // Every packet is answered by its own error.
            sysctl("net/ipv4/icmp_ratelimit", "0");
            sysctl("net/ipv6/icmp/ratelimit", "0");
            lay_cable(&beyond, 5);
            beyond
        });
        sh("ip route add 10.5.0.0/24 via 10.1.0.2; ip route add fd05::/64 via fd01::2");
        beyond.run(|| sh("ip route add 10.1.0.0/24 via 10.5.0.1; ip route add fd01::/64 via fd05::1"));
        let mut listeners = Vec::from(listen_to_all());
        listeners.extend(router.run(listen_to_all));
        listeners.extend(beyond.run(listen_to_all));
        let silence = || firewall::add(Hook::Input, &[&format!("tcp dport {SILENT_PORT} drop")]);
        silence();
        router.run(silence);
        beyond.run(silence);
        Network { router, _beyond: beyond, _listeners: listeners }
    }
}

/// The MAC address of an interface.
pub fn mac_of(interface: &str) -> String {
    let listing = sh(&format!("ip -o link show {interface}"));
    let mac = listing.split_whitespace().skip_while(|&word| word != "link/ether").nth(1);
    mac.expect("a MAC address").to_owned()
}

/// The bytes of a MAC address.
pub fn bytes_of(mac: &str) -> Vec<u8> {
    mac.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("a MAC address")).collect()
}

/// The number of an interface, which is the zone of what is reached through it.
pub fn scope_of(interface: &str) -> u32 {
    let listing = sh(&format!("ip -o link show {interface}"));
    listing.split(':').next().and_then(|number| number.parse().ok()).expect("the number of the interface")
}
