use std::ffi::{CStr, c_char, c_int};

use super::guard::guard;
use super::status::shaker_status;
use crate::check::error::Error;
use crate::check::request::Family;
use crate::config::{Config, EngineKind};
use crate::sys::sockaddr;

/// The settings of a checker. Opaque; belongs to one thread at a time.
///
/// A checker copies its settings when it is made, so a configuration may be changed, used again or freed after that.
pub struct shaker_config(Config);

impl shaker_config {
    pub(super) fn settings(&self) -> &Config {
        &self.0
    }
}

/// Makes a configuration with every setting at its default.
///
/// Returns it, to be freed with shaker_config_free; NULL only if the library is at fault.
#[unsafe(no_mangle)]
pub extern "C" fn shaker_config_new() -> *mut shaker_config {
    guard(std::ptr::null_mut(), || Box::into_raw(Box::new(shaker_config(Config::default()))))
}

/// Frees a configuration; NULL is fine. Checkers made from it are not affected.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_free(config: *mut shaker_config) {
    guard((), || {
        if !config.is_null() {
            // SAFETY: the caller got it from shaker_config_new, and gives it up.
            drop(unsafe { Box::from_raw(config) });
        }
    })
}

/// What puts a checker's segments on the wire: shaker_config_set_engine.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shaker_engine {
    /// Sockets of the kernel's TCP, one for each SYN. Needs no privilege, and is the default.
    SHAKER_ENGINE_SOCKET = 0,
    /// Segments that the library makes itself, on raw sockets. Needs CAP_NET_RAW; Linux and Android.
    SHAKER_ENGINE_RAW = 1,
    /// SHAKER_ENGINE_RAW where this process may and the settings allow it, else SHAKER_ENGINE_SOCKET.
    SHAKER_ENGINE_AUTO = 2,
}

impl From<EngineKind> for shaker_engine {
    fn from(engine: EngineKind) -> shaker_engine {
        match engine {
            EngineKind::Socket => shaker_engine::SHAKER_ENGINE_SOCKET,
            EngineKind::Raw => shaker_engine::SHAKER_ENGINE_RAW,
            EngineKind::Auto => shaker_engine::SHAKER_ENGINE_AUTO,
        }
    }
}

/// What puts a checker's segments on the wire, a shaker_engine. Default SHAKER_ENGINE_SOCKET.
///
/// SHAKER_ENGINE_RAW needs CAP_NET_RAW (capabilities(7); root has it, and so have containers by default) when the
/// checker is made: without it shaker_checker_new returns SHAKER_ERR_UNSUPPORTED. SHAKER_ENGINE_AUTO falls back to
/// SHAKER_ENGINE_SOCKET then, and if shaker_config_set_zero_linger is false; shaker_checker_engine tells which it is,
/// and SHAKER_CAN_RAW whether this process has the privilege now.
///
/// On SHAKER_ENGINE_RAW no check holds a descriptor, so shaker_config_set_max_in_flight defaults to 262,144, and a
/// million are a matter of memory. What each loop holds are ports, 64 while it is in use, and a descriptor for each: a
/// port carries one check of one target (address and port) at a time, and any number of others. For more checks of one
/// target at once it takes more, up to 1,024 or a quarter of the soft limit on descriptors; beyond that they wait.
///
/// No handshake is ever completed on SHAKER_ENGINE_RAW, whatever becomes of this process: the kernel knows no
/// connection, and resets each SYN-ACK by itself. So each result with SHAKER_OK has SHAKER_HALF_OPEN. A check with
/// SHAKER_LINGER or SHAKER_FULL_HANDSHAKE, or after shaker_config_set_zero_linger with false, is
/// SHAKER_ERR_UNSUPPORTED at once, and nothing is sent. While such a checker listens for answers, every TCP segment that
/// reaches this host costs about 0.1 us more, whichever program it is for.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or a number that is no engine's; SHAKER_ERR_UNSUPPORTED for
/// SHAKER_ENGINE_RAW elsewhere than on Linux and Android.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_engine(config: *mut shaker_config, engine: i32) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        let engines = [EngineKind::Socket, EngineKind::Raw, EngineKind::Auto];
        let Some(engine) = engines.into_iter().find(|kind| shaker_engine::from(*kind) as i32 == engine) else {
            return shaker_status::SHAKER_ERR_INVALID;
        };
        // SAFETY: as `set` asks.
        unsafe { set(config, |config| config.set_engine(engine)) }
    })
}

/// How many loop threads share the checks. Default 1, which is enough for over a hundred thousand checks per
/// second; 0 means one per CPU.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or more than 256.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_threads(config: *mut shaker_config, loops: u32) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_threads(loops)) })
}

/// The timeout, in milliseconds, of checks that name none (whose own timeout_ms is 0). Default 1000.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_timeout(config: *mut shaker_config, timeout_ms: u32) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_timeout(timeout_ms)) })
}

/// How many checks may be in flight at once; each holds a descriptor, and more checks wait their turn. The loops
/// need two descriptors each besides, and a few sockets lie ready for blocking callers. Default: half the soft
/// limit on descriptors (RLIMIT_NOFILE, getrlimit(2)) when the checker is made. On SHAKER_ENGINE_RAW a check holds no
/// descriptor, and the default is 262,144.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_max_in_flight(config: *mut shaker_config, checks: u32) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_max_in_flight(checks)) })
}

/// How many checks may start per second, over all loops; more wait their turn. A token bucket: after a pause at
/// most 10 ms' worth start at once, and at least one. Default 0: no limit.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_max_rate(
    config: *mut shaker_config,
    checks_per_second: u32,
) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe {
        set(config, |config| config.set_max_rate(checks_per_second))
    })
}

/// How many names may be looked up at once, each on a thread of the library's own while it lasts; more wait their turn.
/// Names that were slow of late have at most half of these places, so that they cannot keep others waiting. A lookup
/// cannot be interrupted: those that no check waits for any more do not count, though never more than as many again.
/// Default 64.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL, 0 or more than 1024.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_max_lookups(config: *mut shaker_config, lookups: u32) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_max_lookups(lookups)) })
}

/// After how many milliseconds without an answer a check sends another SYN, from another port: at most four in all, and
/// none that has no time left before the deadline. The first answer counts. Default 300, so that a target that answers
/// is not called down for the loss of a few packets; a silent target costs up to four SYNs. 0: one SYN, and the
/// kernel's own schedule, which sends it again after 1 s, 2 s, 4 s ... (tcp(7), tcp_syn_retries).
///
/// Each SYN in flight holds a descriptor and counts as a check for shaker_config_set_max_in_flight and
/// shaker_config_set_max_rate. An early SYN takes no other check's turn, and is given up for one that comes later: with
/// a limit of 1 there is none. A list (shaker_check_many) holds at most three quarters of the limit by first SYNs, so
/// that early ones find room. On SHAKER_ENGINE_RAW none of this holds, since another SYN holds nothing: it only pays the
/// rate, after checks whose time runs. And while there is time left after the fourth, further ones follow it there on
/// the kernel's schedule, as the kernel itself sends those of sockets again.
/// A check whose SYNs could not leave before its deadline, as this program was late itself, has the time for them
/// after it: at most three intervals.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_syn_interval(config: *mut shaker_config, interval_ms: u32) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_syn_interval(interval_ms)) })
}

/// Whether the checker makes no loop thread, and gets on only inside the caller's own calls to it. Default false.
///
/// shaker_reap and the blocking calls drive it, one caller at a time: a second waits until the first is done, or until
/// it has what it waits for. shaker_submit and shaker_cancel may come from any thread. Callbacks run inside the calls
/// that drive. shaker_checker_fd is readable when shaker_reap without a wait has anything to do: an answer, a deadline,
/// a result. shaker_config_set_threads does not matter; a thread is made only when a name has to be looked up.
///
/// An answered socket must be reset within 200 ms, or the kernel's ACK completes the handshake: drive the checker as
/// soon as its descriptor is readable. A verdict that comes late is right all the same, lacks SHAKER_HALF_OPEN, and is
/// counted in completed_handshakes. On SHAKER_ENGINE_RAW no ACK can leave, however late the checker is driven.
/// It is driven in the network namespace that it was made in: on a thread that has moved into another one (setns(2)), a
/// check that needs a new socket is SHAKER_ERR_LOCAL with EXDEV, from Linux 5.14 on, which can tell.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL; SHAKER_ERR_UNSUPPORTED where there is no such descriptor (Linux and
/// Android have it).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_caller_driven(config: *mut shaker_config, on: bool) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_caller_driven(on)) })
}

/// Keeps all checks to one family: AF_INET or AF_INET6; AF_UNSPEC, the default, allows both. A check may still name
/// its own (SHAKER_IPV4, SHAKER_IPV6).
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or another family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_family(config: *mut shaker_config, family: c_int) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        let family = match family {
            sockaddr::AF_UNSPEC => Family::Any,
            sockaddr::AF_INET => Family::V4,
            sockaddr::AF_INET6 => Family::V6,
            _ => return shaker_status::SHAKER_ERR_INVALID,
        };
        // SAFETY: as `set` asks.
        unsafe { set(config, |config| config.set_family(family)) }
    })
}

/// Whether checks end with RST (true, the default) or with FIN (false), as if every check had SHAKER_LINGER. FIN
/// carries the last ACK, so the handshake completes; SHAKER_ENGINE_RAW has none to send.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_zero_linger(config: *mut shaker_config, on: bool) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_zero_linger(on)) })
}

/// The source address of checks: an IPv4 or IPv6 address in text, copied. Each family may have one, set by a call
/// of its own; a second call for the same family replaces it, and 0.0.0.0 and :: are none. An IPv4-mapped one is IPv4.
/// An address that this machine does not have (yet) makes checks SHAKER_ERR_LOCAL with EADDRNOTAVAIL.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL, a text that is no address, or one that nobody can have (multicast).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_source(config: *mut shaker_config, ip: *const c_char) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        // SAFETY: the caller's text, NULL or NUL-terminated; and as `set` asks.
        unsafe { set(config, |config| config.set_source(text(ip)?)) }
    })
}

/// The interface that checks leave through (SO_BINDTODEVICE, socket(7)), by name, copied. It need not exist yet;
/// while it does not, checks are SHAKER_ERR_LOCAL with ENODEV.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or a name that no interface can have; SHAKER_ERR_UNSUPPORTED where
/// sockets cannot be bound to an interface (SHAKER_CAN_BIND_INTERFACE).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_interface(config: *mut shaker_config, name: *const c_char) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        // SAFETY: the caller's text, NULL or NUL-terminated; and as `set` asks.
        unsafe { set(config, |config| config.set_interface(text(name)?)) }
    })
}

/// The network namespace that checks leave from and names are looked up in, by its path, such as "/run/netns/blue" or
/// "/proc/4711/ns/net", copied. Only the checker's own threads are in it: nothing else of the process changes, and a
/// check by a blocking call goes by those threads, too. Not together with shaker_config_set_caller_driven.
///
/// shaker_checker_new opens it, once: from then on neither the path nor any privilege is needed. It returns
/// SHAKER_ERR_UNSUPPORTED without the privilege (CAP_SYS_ADMIN here and there, setns(2)) or if the checker is
/// caller-driven, and SHAKER_ERR_LOCAL if there is no network namespace at this path. Two things stay the process's
/// own: the name of a zone ("%eth0") means an interface here, and which name servers are asked is what the process's
/// resolv.conf(5) says.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or an empty text; SHAKER_ERR_LOCAL if there is no memory for it;
/// SHAKER_ERR_UNSUPPORTED where there are no network namespaces: elsewhere than on Linux and Android.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_network_namespace(
    config: *mut shaker_config,
    path: *const c_char,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        // SAFETY: the caller's text, NULL or NUL-terminated; and as `set` asks.
        unsafe { set(config, |config| config.set_network_namespace(text(path)?)) }
    })
}

/// The firewall mark of checks that name none (SO_MARK, socket(7)). Needs CAP_NET_ADMIN, or since Linux 5.17
/// CAP_NET_RAW: without it shaker_checker_new returns SHAKER_ERR_UNSUPPORTED.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL; SHAKER_ERR_UNSUPPORTED where sockets have no mark (SHAKER_CAN_MARK).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_mark(config: *mut shaker_config, mark: u32) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_mark(mark)) })
}

/// The type of service of checks: IP_TOS (ip(7)) and IPV6_TCLASS (ipv6(7)).
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL; SHAKER_ERR_UNSUPPORTED where it is not the program's to say
/// (SHAKER_CAN_TOS): on Windows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_config_set_tos(config: *mut shaker_config, tos: u8) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_tos(tos)) })
}

/// # Safety
/// `config` is NULL or came from shaker_config_new, and no other thread uses it.
unsafe fn set(config: *mut shaker_config, setter: impl FnOnce(&mut Config) -> Result<(), Error>) -> shaker_status {
    // SAFETY: the caller's promise.
    match unsafe { config.as_mut() } {
        Some(config) => setter(&mut config.0).into(),
        None => shaker_status::SHAKER_ERR_INVALID,
    }
}

/// # Safety
/// `text` is NULL or NUL-terminated, and outlives the call.
unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Error> {
    if text.is_null() {
        return Err(Error::Invalid);
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Error::Invalid)
}
