//! What is checked: ports on loopback that answer, refuse and are silent; and what of a run is left.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What it must be found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Live,
    Dead,
    Silent,
    /// A name for the live ports.
    Named,
    Malformed,
    /// Whatever the input says.
    Any,
}

pub struct Targets {
    /// One port, of IPv4 and of IPv6.
    live: [TcpListener; 2],
    silent: TcpListener,
    _full: TcpStream,
    /// It is bound, and nobody listens there.
    dead: SocketAddr,
}

impl Targets {
    pub fn get() -> &'static Targets {
        static TARGETS: OnceLock<Targets> = OnceLock::new();
        TARGETS.get_or_init(Targets::new)
    }

    fn new() -> Targets {
        let interfaces = std::fs::read_dir("/sys/class/net").map_or(0, |entries| entries.count());
        let seen = std::fs::read_to_string("/proc/net/dev").expect("/proc/net/dev");
        let others = seen.lines().filter_map(|line| line.split_once(':')).any(|(name, _)| name.trim() != "lo");
        assert!(!others, "this is no network namespace of its own ({interfaces} interfaces): see fuzz/run");

        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 8080)).expect("127.0.0.1:8080");
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 8080)).expect("[::1]:8080");
        let live = [v4, v6];
        live.iter().for_each(|listener| listener.set_nonblocking(true).expect("listeners that do not block"));
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 8081)).expect("127.0.0.1:8081");
        // SAFETY: the descriptor is the listener's. Room for one connection, which is there.
        assert_eq!(unsafe { libc::listen(silent.as_raw_fd(), 0) }, 0);
        let full = TcpStream::connect(silent.local_addr().expect("its address")).expect("one connection");
        Targets { live, silent, _full: full, dead: dead_port() }
    }

    pub fn live_v4(&self) -> SocketAddr {
        self.live[0].local_addr().expect("its address")
    }

    pub fn live_v6(&self) -> SocketAddr {
        self.live[1].local_addr().expect("its address")
    }

    pub fn dead(&self) -> SocketAddr {
        self.dead
    }

    pub fn silent(&self) -> SocketAddr {
        self.silent.local_addr().expect("its address")
    }

    /// Full handshakes have left connections.
    pub fn forget_connections(&self) {
        for listener in &self.live {
            loop {
                match listener.accept() {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => {} // it was reset
                }
            }
        }
    }
}

fn dead_port() -> SocketAddr {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8082));
    let name = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: a socket of our own, and an address of the length that is given.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        let length = size_of_val(&name) as libc::socklen_t;
        assert_eq!(libc::bind(fd, (&raw const name).cast(), length), 0, "127.0.0.1:8082");
        std::mem::forget(std::os::fd::OwnedFd::from_raw_fd(fd)); // bound for good
    }
    address
}

/// How many threads and descriptors there are. A thread that was joined may be in the list a little longer.
pub fn left() -> (usize, usize) {
    let count = |path: &str| std::fs::read_dir(path).expect(path).count();
    static LEAST: OnceLock<(usize, usize)> = OnceLock::new();
    let begun = Instant::now();
    loop {
        let now = (count("/proc/self/task"), count("/proc/self/fd"));
        let least = *LEAST.get_or_init(|| now);
        if now == least || begun.elapsed() > Duration::from_secs(20) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
