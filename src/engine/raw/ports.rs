//! Ports that no other socket of this host gets: each is held by a socket that is bound, and neither connects nor listens.
//!
//! The kernel passes over such a port when it chooses one for a connect (__inet_hash_connect in
//! net/ipv4/inet_hashtables.c), and a segment that comes to it finds no connection and draws a RST.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use socket2::{Domain, Protocol, Socket, Type};

use crate::sys::memory::OutOfMemory;
use crate::sys::netns::Home;
use crate::sys::{clock, limits, os_error};

/// Ports are taken from a block of so many, 2 to this power, which begins at a multiple of its length.
pub(super) const BLOCK_BITS: u32 = 10;
const BLOCK: u16 = 1 << BLOCK_BITS;
/// No block begins below; many servers listen there.
const LOWEST: u16 = 10 << 10;
/// How many more ports are taken when those of a destination are all in use.
const STEP: usize = 64;
/// Where no port is to be had, all of them were tried, which takes a good part of a second. For so many nanoseconds only
/// a few are tried after that.
const PAUSE: u64 = 1_000_000_000;

#[derive(Default)]
pub(super) struct Ports {
    /// The first one of the block.
    first: u16,
    held: Vec<(u16, Socket)>,
    /// The one of the block that is to be tried next.
    next: u16,
    /// The process has no descriptors for more of them.
    short: bool,
    /// This loop's number: the loops of a checker take different blocks.
    index: u32,
    /// How many are taken at first.
    at_first: usize,
    hasher: RandomState,
    /// Until when only a few are tried.
    searched_until: Option<u64>,
    /// The namespace of all of them.
    home: Home,
}

impl Ports {
    pub fn new(index: u32, at_first: u16) -> Ports {
        Ports { index, at_first: at_first.into(), home: Home::new(), ..Ports::default() }
    }

    pub fn len(&self) -> u16 {
        self.held.len() as u16
    }

    /// The first port of the block that all are in.
    pub fn block(&self) -> u16 {
        self.first
    }

    /// The port of this number.
    pub fn port(&self, number: u16) -> u16 {
        self.held[usize::from(number)].0
    }

    /// The number of a port that is held.
    pub fn number(&self, port: u16) -> Option<u16> {
        self.held.binary_search_by_key(&port, |held| held.0).ok().map(|number| number as u16)
    }

    /// Takes the first ports. Nothing happens if some are held. The errno says why there are none.
    pub fn hold(&mut self) -> Result<(), i32> {
        if !self.held.is_empty() {
            return Ok(());
        }
        let at_first = self.at_first.min(most());
        let blocks = blocks(&limits::ephemeral_ports(), self.hasher.hash_one(std::process::id()), self.index);
        let mut errno = libc::EADDRINUSE;
        // First a block whose first ports are all free: who shares one with another loop hears the answers of both. A
        // block where few can be had is left for another one, too, while there is one.
        let attempts = [(at_first, true), (at_first.div_ceil(4), false), (1, false)];
        let searched = self.searched_until.is_some_and(|until| clock::now() < until);
        for &(enough, in_a_row) in &attempts[..if searched { 1 } else { attempts.len() }] {
            for &block in &blocks {
                self.first = block;
                self.next = 0;
                match self.extend_to(at_first, in_a_row) {
                    Err(why) if !is_of_the_port(why) => return Err(why),
                    Err(why) => errno = why,
                    Ok(()) => {}
                }
                if self.held.len() >= enough || (self.short && !self.held.is_empty()) {
                    return Ok(());
                }
                self.held.clear();
            }
        }
        if !searched {
            self.searched_until = Some(clock::now() + PAUSE);
        }
        Err(errno)
    }

    /// Takes some more of the block. False if there are no more, or if they would be a burden on the process.
    pub fn extend(&mut self) -> bool {
        let before = self.held.len();
        if self.short {
            return false;
        }
        let _ = self.extend_to((before + STEP).min(most()), false);
        self.held.len() > before
    }

    /// `in_a_row`: not beyond a port that somebody else has.
    fn extend_to(&mut self, count: usize, in_a_row: bool) -> Result<(), i32> {
        let reserved = reserved(self.first).map_err(|_| libc::ENOMEM)?;
        let before = self.held.len();
        let mut refusal = libc::EADDRINUSE;
        while self.held.len() < count && self.next < BLOCK {
            let port = self.first + self.next;
            if reserved[usize::from(self.next)] {
                self.next += 1;
                continue;
            }
            let at_home = |socket| self.home.check(&socket).map(|()| socket);
            let room = self.held.try_reserve(1).map_err(|_| libc::ENOMEM);
            match room.and_then(|()| hold(port).map_err(|error| os_error::of(&error))).and_then(at_home) {
                Ok(socket) => self.held.push((port, socket)),
                Err(errno) if is_of_the_port(errno) => {
                    refusal = errno;
                    if in_a_row {
                        break;
                    }
                }
                // Whatever else it is, it is not this port's fault.
                Err(errno) if self.held.is_empty() => return Err(errno),
                Err(errno) if os_error::is_out_of_descriptors(errno) => {
                    // Half of them are for the sockets that segments leave by, and for the rest of the process.
                    let taken = self.held.len() - before;
                    self.held.truncate((before + taken / 2).max(1));
                    self.short = true;
                    break;
                }
                Err(_) => break,
            }
            self.next += 1;
        }
        if self.held.is_empty() { Err(refusal) } else { Ok(()) }
    }

    /// Gives all of them back.
    pub fn clear(&mut self) {
        self.held = Vec::new();
        self.short = false;
    }
}

/// Whether another port may be had where this one is refused.
fn is_of_the_port(errno: i32) -> bool {
    matches!(errno, libc::EADDRINUSE | libc::EACCES)
}

/// The most ports that are no burden on the process: each takes a descriptor.
fn most() -> usize {
    (limits::descriptor_limit() / 4).clamp(1, BLOCK.into()) as usize
}

/// A socket that holds a port of both families.
fn hold(port: u16) -> io::Result<Socket> {
    let open = |domain| Socket::new_raw(domain, Type::STREAM.cloexec(), Some(Protocol::TCP));
    let any = |ip: std::net::IpAddr| SocketAddr::new(ip, port).into();
    let dual = open(Domain::IPV6).and_then(|socket| {
        socket.set_only_v6(false)?;
        Ok(socket)
    });
    match dual {
        Ok(socket) => match socket.bind(&any(Ipv6Addr::UNSPECIFIED.into())) {
            Ok(()) => return Ok(socket),
            Err(error) if error.raw_os_error() != Some(libc::EADDRNOTAVAIL) => return Err(error),
            Err(_) => {} // IPv6 is disabled
        },
        Err(error) if os_error::is_out_of_descriptors(os_error::of(&error)) => return Err(error),
        Err(_) => {}
    }
    let socket = open(Domain::IPV4)?;
    socket.bind(&any(Ipv4Addr::UNSPECIFIED.into()))?;
    Ok(socket)
}

/// The blocks in the order in which they are to be tried: first those above the range from which the kernel chooses
/// ports, which are the least likely to be in use, then those in it, then those below, where servers listen. Where to
/// begin among them is left to chance, and to the number of the loop.
fn blocks(ephemeral: &Range<u32>, chance: u64, index: u32) -> Vec<u16> {
    let kind = |block: u16| match u32::from(block) {
        first if first >= ephemeral.end => 0,
        first if first + u32::from(BLOCK) > ephemeral.start => 1,
        _ => 2,
    };
    let all: Vec<u16> = (LOWEST..=u16::MAX - BLOCK + 1).step_by(BLOCK.into()).collect();
    let mut ordered = Vec::new();
    for wanted in 0..3 {
        let mut some: Vec<u16> = all.iter().copied().filter(|block| kind(*block) == wanted).collect();
        let turn = (chance.wrapping_add(index.into()) % some.len().max(1) as u64) as usize;
        some.rotate_left(turn);
        ordered.extend(some);
    }
    ordered
}

/// Which ports of a block the administrator keeps for others (ip_local_reserved_ports,
/// Documentation/networking/ip-sysctl.rst). There may be no memory for that text.
fn reserved(block: u16) -> Result<[bool; BLOCK as usize], OutOfMemory> {
    let text = match std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports") {
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => return Err(OutOfMemory),
        text => text.unwrap_or_default(),
    };
    Ok(reserved_by(&text, block))
}

/// The same, as a list of ports and ranges has it.
fn reserved_by(text: &str, block: u16) -> [bool; BLOCK as usize] {
    let mut reserved = [false; BLOCK as usize];
    for item in text.trim().split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            let (first, last) = (first.max(block), last.min(block + (BLOCK - 1)));
            if first <= last {
                reserved[usize::from(first - block)..=usize::from(last - block)].fill(true);
            }
        }
    }
    reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_above_the_kernels_range_come_first_and_those_of_servers_last() {
        let blocks = blocks(&(32_768..61_000), 0, 0);
        assert_eq!(blocks[..4], [61_440, 62_464, 63_488, 64_512]);
        assert!(blocks[4..32].iter().all(|block| (32_768..61_440).contains(block)));
        assert!(blocks[32..].iter().all(|block| (LOWEST..32_768).contains(block)));
        assert!(blocks.iter().all(|block| block % BLOCK == 0));
    }

    #[test]
    fn ports_that_are_reserved_are_those_of_the_list_that_the_block_has() {
        let of = |text: &str| -> Vec<usize> {
            let reserved = reserved_by(text, 64_512);
            (0..reserved.len()).filter(|index| reserved[*index]).collect()
        };
        assert_eq!(of("\n"), [0; 0]);
        assert_eq!(of("80,64511,64513,64520-64522,65535\n"), [1, 8, 9, 10, 1_023]);
        assert_eq!(of("1-64512,65534-65535,x,7-"), [0, 1_022, 1_023]);
    }

    #[test]
    fn loops_of_one_checker_begin_with_different_blocks() {
        let first = |index| blocks(&(32_768..61_000), 7, index)[0];
        assert_ne!(first(0), first(1));
    }

    #[test]
    fn held_ports_are_nobody_elses_until_they_are_given_back() {
        let mut ports = Ports::new(0, 64);
        ports.hold().unwrap();
        assert!(ports.len() >= 16);
        let port = ports.port(3);
        assert_eq!(ports.number(port), Some(3));
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_err());
        let before = ports.len();
        assert!(ports.extend());
        assert!(ports.len() > before);
        ports.clear();
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
        assert_eq!(ports.number(port), None);
    }

    #[test]
    fn loops_and_checkers_hold_ports_of_different_blocks() {
        let held: Vec<Ports> = [0, 1, 2, 0, 1, 1 << 16]
            .map(|index| {
                let mut ports = Ports::new(index, 64);
                ports.hold().unwrap();
                ports
            })
            .into();
        let mut blocks: Vec<u16> = held.iter().map(Ports::block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        assert_eq!(blocks.len(), held.len(), "each of them hears what the others' ports hear");
    }
}
