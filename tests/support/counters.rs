//! The kernel's own count of what TCP and UDP did in this namespace (RFC 4022, RFC 4113, /proc/net/netstat).

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
