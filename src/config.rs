//! The settings of a checker, each validated when it is set.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::check::close_mode::CloseMode;
use crate::check::error::Error;
use crate::check::request::Family;
use crate::check::target;
use crate::check::verdict::Status;
use crate::engine::socket;
use crate::engine::wire::Wire;
use crate::sys::netns;
use crate::sys::poll_set::PollSet;
use crate::sys::raw_socket;
use crate::sys::sockaddr::canonical;

/// More loops than this help nobody, and a mistyped number should not start ten thousand threads.
const LOOPS_MAX: u32 = 256;
/// Each lookup at once needs a thread.
const LOOKUPS_MAX: u32 = 1024;

/// What puts a checker's segments on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineKind {
    /// Sockets of the kernel's TCP, one for each SYN. Needs no privilege.
    #[default]
    Socket,
    /// Segments that the library makes itself, on raw sockets. Needs CAP_NET_RAW; Linux and Android.
    Raw,
    /// [`EngineKind::Raw`] where this process may and the settings allow it, else [`EngineKind::Socket`].
    Auto,
}

impl EngineKind {
    /// What a check that is to end its handshake so comes to, if the engine cannot. No connection of the kernel's TCP
    /// stands behind a segment of our own, so there is nothing that could send an ACK or a FIN.
    pub(crate) fn refusal(self, close_mode: CloseMode) -> Option<Status> {
        (self == EngineKind::Raw && !close_mode.withholds_ack()).then_some(Status::Unsupported)
    }
}

/// How a checker checks. Settings are read once, by [`Checker::new`](crate::Checker::new).
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) engine: EngineKind,
    pub(crate) loops: u32,
    pub(crate) timeout_ms: u32,
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) max_rate: u32,
    pub(crate) max_lookups: u32,
    pub(crate) family: Family,
    /// A socket that was not needed for this long is closed within as long again.
    pub(crate) idle_ms: u32,
    pub(crate) syn_interval_ms: u32,
    pub(crate) caller_driven: bool,
    pub(crate) zero_linger: bool,
    pub(crate) network_namespace: Option<Arc<String>>,
    pub(crate) wire: Wire,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            engine: EngineKind::Socket,
            loops: 1,
            timeout_ms: 1000,
            max_in_flight: None,
            max_rate: 0,
            max_lookups: 64,
            family: Family::Any,
            idle_ms: 60_000,
            syn_interval_ms: 300,
            caller_driven: false,
            zero_linger: true,
            network_namespace: None,
            wire: Wire::default(),
        }
    }
}

impl Config {
    /// What puts the segments on the wire. Default [`EngineKind::Socket`]. [`Error::Unsupported`] for
    /// [`EngineKind::Raw`] elsewhere than on Linux and Android; where this process lacks CAP_NET_RAW,
    /// [`Checker::new`](crate::Checker::new) says so. [`Checker::engine`](crate::Checker::engine) tells what
    /// [`EngineKind::Auto`] came to.
    ///
    /// With [`EngineKind::Raw`] every check is half-open: [`Handshake::Full`](crate::Handshake::Full), `linger` and
    /// [`Config::set_zero_linger`] with false make a check [`Error::Unsupported`], with nothing sent.
    pub fn set_engine(&mut self, engine: EngineKind) -> Result<(), Error> {
        if engine == EngineKind::Raw && !raw_socket::EXIST {
            return Err(Error::Unsupported);
        }
        self.engine = engine;
        Ok(())
    }

    /// How many loop threads share the checks. Default 1; 0 means one per CPU.
    pub fn set_threads(&mut self, loops: u32) -> Result<(), Error> {
        if loops > LOOPS_MAX {
            return Err(Error::Invalid);
        }
        self.loops = match loops {
            0 => std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32).min(LOOPS_MAX),
            loops => loops,
        };
        Ok(())
    }

    /// The timeout of checks that name none, in milliseconds. Default 1000; 0 is refused.
    pub fn set_timeout(&mut self, timeout_ms: u32) -> Result<(), Error> {
        if timeout_ms == 0 {
            return Err(Error::Invalid);
        }
        self.timeout_ms = timeout_ms;
        Ok(())
    }

    /// How many checks may be in flight at once; more wait their turn. Default: half the soft limit on open
    /// descriptors (RLIMIT_NOFILE) at the time the checker is made, and 262,144 with [`EngineKind::Raw`]. 0 is refused.
    pub fn set_max_in_flight(&mut self, checks: u32) -> Result<(), Error> {
        if checks == 0 {
            return Err(Error::Invalid);
        }
        self.max_in_flight = Some(checks);
        Ok(())
    }

    /// How many checks may start per second. Default 0: no limit.
    pub fn set_max_rate(&mut self, checks_per_second: u32) -> Result<(), Error> {
        self.max_rate = checks_per_second;
        Ok(())
    }

    /// How many names may be looked up at once, each on a thread of its own while it lasts; more wait their turn.
    /// Default 64; 0 and more than 1024 are refused.
    ///
    /// Names that were slow of late have at most half of these places, so that they cannot keep others waiting. A
    /// lookup cannot be interrupted: those that no check waits for any more do not count, though never more than as
    /// many again.
    pub fn set_max_lookups(&mut self, lookups: u32) -> Result<(), Error> {
        if lookups == 0 || lookups > LOOKUPS_MAX {
            return Err(Error::Invalid);
        }
        self.max_lookups = lookups;
        Ok(())
    }

    /// After how many milliseconds without an answer a check sends another SYN, from another port: at most four in all,
    /// none that has no time left before the deadline. Default 300; 0 leaves it to the kernel, which sends its SYN
    /// again after a second.
    pub fn set_syn_interval(&mut self, interval_ms: u32) -> Result<(), Error> {
        self.syn_interval_ms = interval_ms;
        Ok(())
    }

    /// Whether the checker makes no loop thread, and gets on only inside the caller's own calls to it. Default false.
    /// It is driven in the network namespace that it was made in; elsewhere a check that needs a new socket is a
    /// [`Status::LocalFault`] with EXDEV, from Linux 5.14 on, which can tell.
    /// [`Error::Unsupported`] where there is no descriptor to tell when it should.
    pub fn set_caller_driven(&mut self, on: bool) -> Result<(), Error> {
        if on && !PollSet::EXISTS {
            return Err(Error::Unsupported);
        }
        self.caller_driven = on;
        Ok(())
    }

    /// Keeps all checks to one family. Default [`Family::Any`].
    pub fn set_family(&mut self, family: Family) -> Result<(), Error> {
        self.family = family;
        Ok(())
    }

    /// Whether checks end with RST (the default) or, when false, with FIN, which completes the handshake.
    pub fn set_zero_linger(&mut self, on: bool) -> Result<(), Error> {
        self.zero_linger = on;
        Ok(())
    }

    /// The source address of checks of its family. IPv4 and IPv6 may each have one; setting it again replaces it, and
    /// 0.0.0.0 and :: are none. An IPv4-mapped one is IPv4.
    pub fn set_source(&mut self, ip: &str) -> Result<(), Error> {
        match target::parse_ip(ip.as_bytes()).map(|source| canonical(&source)) {
            Some(SocketAddr::V4(source)) if source.ip().is_unspecified() => self.wire.source_v4 = None,
            Some(SocketAddr::V6(source)) if source.ip().is_unspecified() => self.wire.source_v6 = None,
            Some(SocketAddr::V4(source)) if !source.ip().is_multicast() && !source.ip().is_broadcast() => {
                self.wire.source_v4 = Some(source)
            }
            Some(SocketAddr::V6(source)) if !source.ip().is_multicast() => self.wire.source_v6 = Some(source),
            _ => return Err(Error::Invalid),
        }
        Ok(())
    }

    /// The interface that checks leave through (SO_BINDTODEVICE, socket(7)). It need not exist yet.
    /// [`Error::Unsupported`] where there is no such thing.
    pub fn set_interface(&mut self, name: &str) -> Result<(), Error> {
        // dev_valid_name() in net/core/dev.c: 1 to IFNAMSIZ - 1 bytes, not . or .., without / : or white space.
        let odd = |byte: u8| byte == b'/' || byte == b':' || byte == 0 || byte.is_ascii_whitespace() || byte == 0x0b;
        if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.bytes().any(odd) {
            return Err(Error::Invalid);
        }
        if !socket::BINDS_INTERFACE {
            return Err(Error::Unsupported);
        }
        self.wire.interface = Some(name.as_bytes().into());
        Ok(())
    }

    /// The network namespace that checks leave from and names are looked up in, by its path ("/run/netns/blue").
    /// [`Checker::new`](crate::Checker::new) opens it, and needs CAP_SYS_ADMIN: it says [`Error::Unsupported`]
    /// without, and [`Error::LocalFault`] if the path is no network namespace's. [`Error::LocalFault`] without memory for
    /// the path, and [`Error::Unsupported`] where there are no namespaces.
    ///
    /// The checker's own threads are in it, and no other. A zone's name (`%eth0`) is read where the target is parsed.
    pub fn set_network_namespace(&mut self, path: &str) -> Result<(), Error> {
        if path.is_empty() || path.contains('\0') {
            return Err(Error::Invalid);
        }
        if !netns::EXIST {
            return Err(Error::Unsupported);
        }
        let mut copy = String::new();
        copy.try_reserve_exact(path.len()).map_err(|_| Error::LocalFault)?;
        copy.push_str(path);
        self.network_namespace = Some(Arc::new(copy));
        Ok(())
    }

    /// The firewall mark of checks that name none (SO_MARK, socket(7)). Needs CAP_NET_ADMIN, or since Linux 5.17
    /// CAP_NET_RAW; [`Checker::new`](crate::Checker::new) says [`Error::Unsupported`] without it, and this where there
    /// is no such thing.
    pub fn set_mark(&mut self, mark: u32) -> Result<(), Error> {
        if !socket::MARKS {
            return Err(Error::Unsupported);
        }
        self.wire.mark = Some(mark);
        Ok(())
    }

    /// The type of service of checks (IP_TOS, ip(7)) and their traffic class (IPV6_TCLASS, ipv6(7)).
    /// [`Error::Unsupported`] where it is not the program's to say.
    pub fn set_tos(&mut self, tos: u8) -> Result<(), Error> {
        if !socket::SETS_TOS {
            return Err(Error::Unsupported);
        }
        self.wire.tos = Some(tos);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interfaces_name_is_what_the_kernel_would_take_for_one() {
        let mut config = Config::default();
        let longest = "x".repeat(15);
        for name in ["eth0", "a.b", &longest] {
            assert_eq!(config.set_interface(name), Ok(()), "{name:?}");
            assert_eq!(config.wire.interface.as_deref(), Some(name.as_bytes()));
        }
        for name in ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\0b", "a\x0bb", &"x".repeat(16)] {
            assert_eq!(config.set_interface(name), Err(Error::Invalid), "{name:?}");
        }
        assert_eq!(config.wire.interface.as_deref(), Some(longest.as_bytes()), "what is refused changes nothing");
    }

    #[test]
    fn each_family_has_a_source_of_its_own_until_it_is_taken_back() {
        let mut config = Config::default();
        let sources = |config: &Config| {
            let Wire { source_v4, source_v6, .. } = &config.wire;
            (source_v4.map(|source| source.ip().to_string()), source_v6.map(|source| source.ip().to_string()))
        };
        let (v4, v6) = (Some("127.0.0.2".to_owned()), Some("::1".to_owned()));
        config.set_source("127.0.0.2").unwrap();
        config.set_source("::1").unwrap();
        assert_eq!(sources(&config), (v4.clone(), v6.clone()));
        for group in ["224.0.0.1", "255.255.255.255", "ff02::1", "nothing"] {
            assert_eq!(config.set_source(group), Err(Error::Invalid), "{group:?}");
        }
        config.set_source("::").unwrap();
        assert_eq!(sources(&config), (v4, None));
        config.set_source("::1").unwrap();
        config.set_source("0.0.0.0").unwrap();
        assert_eq!(sources(&config), (None, v6));
    }
}
