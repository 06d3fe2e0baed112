//! A peer whose TCP is the test's own: it hears every IPv4 segment on a cable and answers with segments and ICMP errors
//! that no kernel would send. The kernel of the far host takes no part: the peer's address is nobody's.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::far_host::FarHost;
use super::network::{bytes_of, mac_of};
use super::process::{sh, share_one_processor};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

const PEER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);

/// A TCP segment over IPv4.
#[derive(Clone, Debug)]
pub struct Segment {
    pub source: SocketAddrV4,
    pub destination: SocketAddrV4,
    pub sequence: u32,
    pub acknowledged: u32,
    pub flags: u8,
    pub window: u16,
    /// As they stand in the header, padded to whole words.
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

/// Sends IPv4 packets of the test's own making from this host, whatever address they say they come from (raw(7)).
pub struct Forger(OwnedFd);

impl Forger {
    /// Opens a raw socket that takes whole packets.
    pub fn new() -> Forger {
        // SAFETY: socket takes no pointer.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) };
        assert!(fd >= 0, "SOCK_RAW: {}", io::Error::last_os_error());
        // SAFETY: the descriptor was made above, and nobody else owns it.
        Forger(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Sends a packet to where it says it goes.
    pub fn send(&self, packet: &[u8]) {
        // SAFETY: zero is a valid sockaddr_in.
        let mut to: libc::sockaddr_in = unsafe { zeroed() };
        to.sin_family = libc::AF_INET as u16;
        to.sin_addr.s_addr = u32::from_ne_bytes(packet[16..20].try_into().expect("four bytes"));
        let (data, size) = (packet.as_ptr().cast(), size_of_val(&to) as libc::socklen_t);
        // SAFETY: both pointers lead to as many bytes as the call is told.
        let sent = unsafe { libc::sendto(self.0.as_raw_fd(), data, packet.len(), 0, (&raw const to).cast(), size) };
        if sent < 0 {
            let error = io::Error::last_os_error();
            // The packet filter may drop it, or the queue be full.
            let is_lost = matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOBUFS));
            assert!(is_lost, "sendto: {error}");
        }
    }
}

/// Answers the SYNs that arrive on loopback as nobody there would: `forge` is asked about every segment that comes by,
/// and what it returns is sent.
pub fn forge_on_loopback(forge: impl Fn(&Segment) -> Vec<Vec<u8>> + Send + 'static) {
    let (loopback, forger) = (Cable::open("lo", &[0; 6]), Forger::new());
    std::thread::spawn(move || {
        loop {
            let Some(segment) = Segment::parse(&loopback.receive()) else { continue };
            forge(&segment).iter().for_each(|packet| forger.send(packet));
        }
    });
}

/// What the peer does: at once, or after a while.
#[derive(Clone)]
pub enum Action {
    Send(Vec<u8>),
    Pause(Duration),
}

/// The peer lives as long as the test's process.
pub struct Peer {
    _far: FarHost,
}

impl Peer {
    /// Lays a cable and starts the peer at its end. `answer` is asked about every segment that arrives there.
    pub fn start(answer: impl Fn(&Segment) -> Vec<Action> + Send + 'static) -> Peer {
        let far = FarHost::new();
        far.connect(("near", "10.1.0.1/24"), ("far", "10.1.0.2/24"));
        let mac = far.run(|| mac_of("far"));
        sh(&format!("ip neigh add {PEER} lladdr {mac} dev near nud permanent"));
        let near_mac = bytes_of(&mac_of("near"));
        let socket = far.run(move || Cable::open("far", &near_mac));
        std::thread::spawn(move || {
            // Linux queues what comes by a veth for each processor, so that packets sent by two of them may overtake.
            share_one_processor();
            loop {
                let Some(segment) = Segment::parse(&socket.receive()) else { continue };
                if *segment.destination.ip() != PEER {
                    continue;
                }
                for action in answer(&segment) {
                    match action {
                        Action::Send(packet) => socket.send(&packet),
                        Action::Pause(pause) => std::thread::sleep(pause),
                    }
                }
            }
        });
        Peer { _far: far }
    }

    /// Where the peer is.
    pub fn at(port: u16) -> SocketAddr {
        SocketAddrV4::new(PEER, port).into()
    }
}

impl Segment {
    /// Takes an IPv4 packet apart, if it is one of TCP.
    pub fn parse(packet: &[u8]) -> Option<Segment> {
        let (ip, protocol) = (packet.get(..usize::from(packet.first()? & 15) * 4)?, *packet.get(9)?);
        if ip.len() < 20 || packet[0] >> 4 != 4 || protocol != libc::IPPROTO_TCP as u8 {
            return None;
        }
        let tcp = packet.get(ip.len()..)?;
        let word = |place: usize| Some(u32::from_be_bytes(tcp.get(place..place + 4)?.try_into().ok()?));
        let end =
            |ip: &[u8], port: u32| SocketAddrV4::new(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]), (port & 0xffff) as u16);
        Some(Segment {
            source: end(&ip[12..16], word(0)? >> 16),
            destination: end(&ip[16..20], word(0)?),
            sequence: word(4)?,
            acknowledged: word(8)?,
            flags: *tcp.get(13)?,
            window: (word(12)? & 0xffff) as u16,
            options: tcp.get(20..usize::from(tcp.get(12)? >> 4) * 4)?.to_vec(),
            payload: Vec::new(),
        })
    }

    /// A segment the other way, with these flags; it acknowledges the SYN if it acknowledges at all.
    pub fn answer(&self, flags: u8, sequence: u32) -> Segment {
        let acknowledged = if flags & ACK != 0 { self.sequence.wrapping_add(1) } else { 0 };
        let (source, destination) = (self.destination, self.source);
        let (window, options, payload) = (0xffff, Vec::new(), Vec::new());
        Segment { source, destination, sequence, acknowledged, flags, window, options, payload }
    }

    /// What kinds of options there are (RFC 9293, 3.1), without those that only fill up.
    pub fn option_kinds(&self) -> Vec<u8> {
        let (mut kinds, mut rest) = (Vec::new(), &self.options[..]);
        while let Some((&kind, after)) = rest.split_first() {
            match kind {
                0 => break,
                1 => rest = after,
                _ => {
                    kinds.push(kind);
                    rest = rest.get(usize::from(after[0])..).expect("an option ends within the header");
                }
            }
        }
        kinds
    }

    /// The segment as an IP packet.
    pub fn packet(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.source.port().to_be_bytes());
        tcp.extend(self.destination.port().to_be_bytes());
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend(self.acknowledged.to_be_bytes());
        // Words of header, the flags, the window, room for the checksum, no urgent data.
        tcp.extend([((5 + self.options.len() / 4) << 4) as u8, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0, 0, 0, 0]);
        tcp.extend(&self.options);
        tcp.extend(&self.payload);
        let mut pseudo = [self.source.ip().octets(), self.destination.ip().octets()].concat();
        pseudo.extend([0, libc::IPPROTO_TCP as u8]);
        pseudo.extend((tcp.len() as u16).to_be_bytes());
        let sum = checksum(&[pseudo, tcp.clone()].concat());
        tcp[16..18].copy_from_slice(&sum);
        ip_packet(*self.source.ip(), *self.destination.ip(), libc::IPPROTO_TCP as u8, &tcp)
    }

    /// ICMP's "port unreachable" about this segment, as if it had this sequence number; from where it was sent to.
    pub fn port_unreachable(&self, sequence: u32) -> Vec<u8> {
        self.unreachable(3, sequence)
    }

    /// The same with another code of "destination unreachable" (RFC 792).
    pub fn unreachable(&self, code: u8, sequence: u32) -> Vec<u8> {
        self.icmp(3, code, sequence)
    }

    /// An ICMP message of any type about this segment.
    pub fn icmp(&self, kind: u8, code: u8, sequence: u32) -> Vec<u8> {
        let quoted = Segment { sequence, ..self.clone() }.packet();
        // Type and code; room for the checksum; what differs from type to type.
        let mut icmp = vec![kind, code, 0, 0, 0, 0, 0, 0];
        icmp.extend(&quoted[..28]);
        let sum = checksum(&icmp);
        icmp[2..4].copy_from_slice(&sum);
        ip_packet(*self.destination.ip(), *self.source.ip(), libc::IPPROTO_ICMP as u8, &icmp)
    }
}

/// An IPv4 packet with this content.
pub fn ip_packet(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, content: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0];
    ip.extend((20 + content.len() as u16).to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    ip.extend(source.octets());
    ip.extend(destination.octets());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    ip.extend(content);
    ip
}

/// The Internet checksum (RFC 1071).
pub fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| low.into()));
    let mut sum: u32 = words.sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// IP packets on an interface of the calling thread's network, past its kernel's TCP (packet(7)).
pub struct Cable {
    socket: OwnedFd,
    to: libc::sockaddr_ll,
}

impl Cable {
    /// Opens an interface of the calling thread's namespace for IPv4; what is sent there goes to this neighbour.
    pub fn open(interface: &str, to_mac: &[u8]) -> Cable {
        Cable::of_protocol(libc::ETH_P_IP as u16, interface, to_mac)
    }

    /// The same for IPv6.
    pub fn open_ipv6(interface: &str, to_mac: &[u8]) -> Cable {
        Cable::of_protocol(libc::ETH_P_IPV6 as u16, interface, to_mac)
    }

    fn of_protocol(protocol: u16, interface: &str, to_mac: &[u8]) -> Cable {
        let protocol = protocol.to_be();
        let name = std::ffi::CString::new(interface).expect("a name");
        // SAFETY: zero is a valid sockaddr_ll.
        let mut to: libc::sockaddr_ll = unsafe { zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_protocol = protocol;
        // SAFETY: the name ends with NUL and outlives the call.
        to.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
        to.sll_halen = 6;
        to.sll_addr[..6].copy_from_slice(to_mac);
        // SAFETY: socket takes no pointer.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, protocol.into()) };
        assert!(fd >= 0, "AF_PACKET: {}", io::Error::last_os_error());
        // SAFETY: the descriptor was made above, and nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: `to` is a whole address of the size given.
        let bound = unsafe { libc::bind(fd, (&raw const to).cast(), size) };
        assert_eq!(bound, 0, "bind: {}", io::Error::last_os_error());
        // As much as a hundred thousand segments take that nobody has had time to read.
        let room: libc::c_int = 256 << 20;
        let length = size_of_val(&room) as libc::socklen_t;
        // SAFETY: the kernel reads one number, which `room` is.
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const room).cast(), length) };
        Cable { socket, to }
    }

    /// The next packet that comes in, if one does within this time (`None`: for ever).
    pub fn receive_within(&self, time: Option<Duration>) -> Option<Vec<u8>> {
        let mut entry = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let milliseconds = time.map_or(-1, |time| time.as_micros().div_ceil(1000) as libc::c_int);
        // SAFETY: the entry is one, as the call is told.
        let ready = unsafe { libc::poll(&mut entry, 1, milliseconds) };
        (ready > 0).then(|| self.receive())
    }

    /// The next packet that comes in.
    pub fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        // SAFETY: the buffer is as long as the call is told.
        let length = unsafe { libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        buffer.truncate(length.max(0) as usize);
        buffer
    }

    /// Sends a packet.
    pub fn send(&self, packet: &[u8]) {
        let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        let (data, to) = (packet.as_ptr().cast(), (&raw const self.to).cast());
        // SAFETY: both pointers lead to as many bytes as the call is told.
        while unsafe { libc::sendto(self.socket.as_raw_fd(), data, packet.len(), 0, to, size) } < 0 {
            // A busy machine has no room for the packet for a while.
            let error = io::Error::last_os_error();
            assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS), "sendto: {error}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
