//! The kernel's own count of what TCP and UDP did in this namespace (RFC 4022, RFC 4113, /proc/net/netstat).

use super::engine::is_raw;
use super::firewall;
use super::process::sh;

/// A counter by its kernel name, such as `TcpPassiveOpens` or `TcpExtListenOverflows`.
///
/// `TcpPassiveOpens` counts handshakes that a listener saw completed, `TcpActiveOpens` the SYNs of connect(),
/// `TcpCurrEstab` the connections established now.
pub fn counter(name: &str) -> u64 {
    ["/proc/self/net/snmp", "/proc/self/net/netstat"]
        .iter()
        .find_map(|file| find(&std::fs::read_to_string(file).expect(file), name))
        .unwrap_or_else(|| panic!("the kernel has no counter {name}"))
}

/// The files pair a line of names with a line of values, both behind the protocol's name.
fn find(text: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks_exact(2).find_map(|pair| {
        let (protocol, names) = pair[0].split_once(':')?;
        let column = names.split_whitespace().position(|column| name.strip_prefix(protocol) == Some(column))?;
        pair[1].split_once(':')?.1.split_whitespace().nth(column)?.parse().ok()
    })
}

/// The SYNs that leave this namespace, whoever sends them. On the raw engine, and of one port, the packet filter counts
/// them, until it is told to forget its rules; TCP knows only those of its own sockets.
pub enum Syns {
    OfSockets(Rise),
    Counted,
}

impl Syns {
    /// Starts to count.
    pub fn watch() -> Syns {
        if !is_raw() {
            return Syns::OfSockets(Rise::of("TcpActiveOpens"));
        }
        Syns::count("")
    }

    /// Starts to count those to this port. One that is sent again counts again.
    pub fn to(port: u16) -> Syns {
        Syns::count(&format!("tcp dport {port}"))
    }

    fn count(which: &str) -> Syns {
        firewall::add_counter("syns_sent");
        sh("nft add chain inet tests sent '{ type filter hook output priority -200; }'");
        sh("nft flush chain inet tests sent; nft reset counter inet tests syns_sent");
        sh(&format!(
            "nft 'add rule inet tests sent {which} tcp flags & (fin | syn | rst | ack) == syn counter name syns_sent'"
        ));
        Syns::Counted
    }

    /// How many left until now.
    pub fn now(&self) -> u64 {
        match self {
            Syns::OfSockets(rise) => rise.now(),
            Syns::Counted => firewall::packets("syns_sent"),
        }
    }
}

/// How far a counter rises while something happens.
pub struct Rise {
    name: &'static str,
    before: u64,
}

impl Rise {
    /// Starts to watch.
    pub fn of(name: &'static str) -> Rise {
        Rise { name, before: counter(name) }
    }

    /// The rise until now.
    pub fn now(&self) -> u64 {
        counter(self.name) - self.before
    }
}
