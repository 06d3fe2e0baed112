//! ICMPv6 errors about the SYNs on loopback, of the test's own making.

use std::net::{Ipv6Addr, SocketAddrV6};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::peer::{Cable, SYN};

/// Answers each IPv6 SYN on loopback to a port by the error of this type and code, if there is one, as if the target
/// itself had said so.
pub fn answer_on_loopback(error_of: impl Fn(u16) -> Option<(u8, u8)> + Send + 'static) {
    send_on_loopback(move |packet| {
        let error = error_of(u16::from_be_bytes([packet[42], packet[43]]));
        error.map(|(kind, code)| message(kind, code, packet)).into_iter().collect()
    });
}

/// Sends these ICMPv6 messages for each IPv6 SYN on loopback: the function is given its packet, 60 bytes or more.
pub fn send_on_loopback(messages_for: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) {
    let loopback = Cable::open_ipv6("lo", &[0; 6]);
    // The kernel makes the checksum (icmp6(7)).
    let sender = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).expect("SOCK_RAW");
    let to: SockAddr = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0).into();
    std::thread::spawn(move || {
        loop {
            let packet = loopback.receive();
            // A header without extensions, and TCP's behind it.
            let is_syn = packet.len() >= 60 && packet[6] == libc::IPPROTO_TCP as u8 && packet[53] == SYN;
            let messages = if is_syn { messages_for(&packet) } else { Vec::new() };
            for message in messages {
                sender.send_to(&message, &to).expect("an ICMPv6 error");
            }
        }
    });
}

/// An error about a packet.
pub fn message(kind: u8, code: u8, packet: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(&packet[..60]);
    message
}
