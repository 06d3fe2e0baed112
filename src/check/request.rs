//! What is asked: one check of one target.

use std::time::Duration;

use crate::check::target::Target;

/// How the check ends the handshake that it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Handshake {
    /// SYN, SYN-ACK, RST: the last ACK is withheld, and the server's application sees nothing.
    #[default]
    HalfOpen,
    /// SYN, SYN-ACK, ACK, then close: what any ordinary client does.
    Full,
}

/// Which addresses a check may use. An IPv4-mapped IPv6 address is IPv4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// IPv4 and IPv6.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    /// Whether a check of this address sends nothing but this family. An IPv4-mapped address is IPv4.
    pub(crate) fn allows(self, address: &std::net::SocketAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => address.ip().to_canonical().is_ipv4(),
            Family::V6 => address.ip().to_canonical().is_ipv6(),
        }
    }
}

/// One check to make.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to check.
    pub target: Target,
    /// From submission to verdict, resolving included, in milliseconds. 0: the checker's default.
    pub timeout_ms: u32,
    /// Half-open, or the ordinary handshake.
    pub handshake: Handshake,
    /// Close with FIN instead of RST, so that the handshake completes.
    pub linger: bool,
    /// Keeps this one check to a family; [`Family::Any`] leaves the choice to the checker's own setting.
    pub family: Family,
    /// The firewall mark of this one check (SO_MARK, socket(7)); 0 leaves it to the checker's own setting. Needs
    /// CAP_NET_ADMIN, or since Linux 5.17 CAP_NET_RAW: without it the check is [`Status::Unsupported`](crate::Status),
    /// and nothing is sent.
    pub mark: u32,
    /// Comes back in the report, untouched.
    pub tag: usize,
}

impl Request {
    /// A half-open check of `target` with the checker's own settings.
    pub fn new(target: impl Into<Target>) -> Request {
        Request {
            target: target.into(),
            timeout_ms: 0,
            handshake: Handshake::default(),
            linger: false,
            family: Family::default(),
            mark: 0,
            tag: 0,
        }
    }

    /// The same with this timeout, rounded up to milliseconds; at least one, at most seven weeks.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Request {
        Request { timeout_ms: milliseconds(timeout).max(1), ..self }
    }
}

/// Rounded up; the most that there can be stands for more.
pub(crate) fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_rounded_up_and_is_never_the_checkers_own() {
        let timeout_ms = |time| Request { tag: 7, ..Request::new("a:1") }.timeout(time).timeout_ms;
        assert_eq!(timeout_ms(Duration::ZERO), 1);
        assert_eq!(timeout_ms(Duration::from_nanos(1)), 1);
        assert_eq!(timeout_ms(Duration::from_micros(1_500)), 2);
        assert_eq!(timeout_ms(Duration::MAX), u32::MAX);
        assert_eq!(Request { tag: 7, ..Request::new("a:1") }.timeout(Duration::ZERO).tag, 7);
    }
}
