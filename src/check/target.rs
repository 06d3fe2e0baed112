//! Text to target: a literal socket address, or a name and a port for the resolver.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::sys::interface::interface_index;
use crate::sys::memory::{boxed, vec_for};

/// The longest name that DNS can carry (RFC 1035, 2.3.4: 255 octets on the wire, 253 in text).
const NAME_MAX: usize = 253;
/// What is wrong with a name that could not be copied.
const NO_MEMORY: &str = "there is no memory for it";

/// What to check.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A socket address, ready to be checked.
    Literal(SocketAddr),
    /// A name, a service, or both, for getaddrinfo.
    Name(Box<Name>),
    /// No address at all, and what is wrong with it. Its check yields [`Status::BadAddress`](crate::Status).
    Malformed(&'static str),
}

/// A name and a port to be looked up together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The host; empty means this one.
    pub(crate) host: CString,
    /// A port number, or a service's name.
    pub(crate) service: CString,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Target {
        if address.port() == 0 { Target::Malformed("the port is zero") } else { Target::Literal(address) }
    }
}

impl From<&str> for Target {
    fn from(text: &str) -> Target {
        Target::parse(text.as_bytes())
    }
}

impl Target {
    /// Parses `"127.0.0.1:80"`, `"[::1]:80"`, `"[fe80::1%eth0]:80"`, `"example.com:80"`, `"example.com:http"`
    /// or `":80"` (this host). Names need not be UTF-8: what they may hold is the resolver's business.
    pub fn parse(text: &[u8]) -> Target {
        match parse(text) {
            Ok(target) => target,
            Err(reason) => Target::Malformed(reason),
        }
    }

    /// Whether there was no memory for it. It may be an address.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        matches!(self, Target::Malformed(NO_MEMORY))
    }
}

impl Name {
    fn target(host: &[u8], service: CString) -> Result<Target, &'static str> {
        boxed(Name { host: c_string(host)?, service }).map(Target::Name).map_err(|_| NO_MEMORY)
    }
}

fn parse(text: &[u8]) -> Result<Target, &'static str> {
    if text.contains(&0) {
        return Err("there is a NUL in it");
    }
    if let Some(rest) = text.strip_prefix(b"[") {
        let end = rest.iter().position(|&byte| byte == b']').ok_or("the bracket is not closed")?;
        let service = rest[end + 1..].strip_prefix(b":").ok_or("there is no :port after the bracket")?;
        let (ip, scope) = parse_v6(&rest[..end])?;
        return match parse_service(service)? {
            Service::Port(port) => Ok(Target::Literal(SocketAddrV6::new(ip, port, 0, scope).into())),
            Service::Named(service) => Name::target(&rest[..end], service),
        };
    }
    let colon = text.iter().rposition(|&byte| byte == b':').ok_or("there is no :port")?;
    let (host, service) = (&text[..colon], &text[colon + 1..]);
    if host.contains(&b':') {
        return Err("an IPv6 address must stand in brackets");
    }
    let service = parse_service(service)?;
    if ends_in_a_number(host) {
        let ip =
            parse_v4(without_root(host)).ok_or("a number is no name, and an IPv4 address is four decimal numbers")?;
        return match service {
            Service::Port(port) => Ok(Target::Literal(SocketAddr::new(IpAddr::V4(ip), port))),
            Service::Named(service) => Name::target(ip.to_string().as_bytes(), service),
        };
    }
    if without_root(host).len() > NAME_MAX {
        return Err("the name is longer than 253 bytes");
    }
    if host.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control() || b"[]/@".contains(byte)) {
        return Err("the name holds a character that no name has");
    }
    let service = match service {
        Service::Port(port) => c_string(port.to_string().as_bytes())?,
        Service::Named(service) => service,
    };
    Name::target(host, service)
}

enum Service {
    Port(u16),
    Named(CString),
}

fn parse_service(text: &[u8]) -> Result<Service, &'static str> {
    if text.is_empty() {
        return Err("the port is missing");
    }
    if text.iter().all(u8::is_ascii_digit) {
        let port = std::str::from_utf8(text).ok().and_then(|digits| digits.parse::<u16>().ok());
        return match port {
            Some(0) => Err("the port is zero"),
            Some(port) => Ok(Service::Port(port)),
            None => Err("the port is over 65535"),
        };
    }
    // RFC 6335, 5.1: state, digits and hyphens, at least one letter. Older lists also use _ . + * /, which
    // getaddrinfo takes; a sign or a space it would take for a number (strtoul) is no service.
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+*/".contains(byte);
    if !text.iter().all(known) || !text.iter().any(u8::is_ascii_alphabetic) {
        return Err("the port is neither a number nor a service's name");
    }
    Ok(Service::Named(c_string(text)?))
}

/// The name without the dot of the root.
fn without_root(host: &[u8]) -> &[u8] {
    host.strip_suffix(b".").unwrap_or(host)
}

/// Whether the last label is a number, decimal or hexadecimal (the URL standard's "ends in a number"). inet_aton(3),
/// and with it getaddrinfo, takes "127.1", "2130706433" and "010.0.0.1" for addresses, the last one for 8.0.0.1.
fn ends_in_a_number(host: &[u8]) -> bool {
    let last = without_root(host).rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    match last.strip_prefix(b"0x").or_else(|| last.strip_prefix(b"0X")) {
        Some(digits) => digits.iter().all(u8::is_ascii_hexdigit),
        None => !last.is_empty() && last.iter().all(u8::is_ascii_digit),
    }
}

/// Four decimal numbers without leading zeros.
fn parse_v4(text: &[u8]) -> Option<Ipv4Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn parse_v6(text: &[u8]) -> Result<(Ipv6Addr, u32), &'static str> {
    let (ip, scope) = match text.iter().position(|&byte| byte == b'%') {
        Some(percent) => (&text[..percent], Some(&text[percent + 1..])),
        None => (text, None),
    };
    let ip = std::str::from_utf8(ip).ok().and_then(|ip| ip.parse().ok());
    let ip: Ipv6Addr = ip.ok_or("brackets hold an IPv6 address")?;
    let scope = match scope {
        None => 0,
        // A number is taken at its word; a name only where interfaces matter (RFC 4007, 11; glibc's
        // inet6_scopeid_pton.c).
        Some(number) if number.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).ok_or("no such scope")?
        }
        Some(name) if is_link_local(&ip) => interface_index(name).ok_or("no such interface")?,
        Some(_) => return Err("the address has no scope"),
    };
    Ok((ip, scope))
}

/// Link-local, or multicast within an interface or a link.
fn is_link_local(ip: &Ipv6Addr) -> bool {
    ip.is_unicast_link_local() || matches!(ip.segments()[0] & 0xff0f, 0xff01 | 0xff02)
}

/// An address of this machine, as a source for checks: IPv4, or IPv6 with or without a scope.
pub(crate) fn parse_ip(text: &[u8]) -> Option<SocketAddr> {
    match parse_v4(text) {
        Some(ip) => Some(SocketAddr::new(IpAddr::V4(ip), 0)),
        None => parse_v6(text).ok().map(|(ip, scope)| SocketAddrV6::new(ip, 0, 0, scope).into()),
    }
}

fn c_string(text: &[u8]) -> Result<CString, &'static str> {
    let mut bytes = vec_for(text.len() + 1).map_err(|_| NO_MEMORY)?;
    bytes.extend_from_slice(text);
    bytes.push(0);
    CString::from_vec_with_nul(bytes).map_err(|_| "there is a NUL in it")
}
