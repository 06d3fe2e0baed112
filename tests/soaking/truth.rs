//! What is true of each target at each time, and which verdicts it explains.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tcpshaker::{EngineKind, Request, Status, Verdict};

use crate::support::lists::{PORT, SILENT_PORT, nth};
use crate::support::targets::{DEAD_PORT, V6, at};

/// Here somebody listens now and then.
pub const CHANGING_PORT: u16 = 8082;
/// The first of the addresses of the far host, and how many there are.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
pub const FAR_COUNT: u32 = 16;

/// A lost RST leaves a half-open connection behind, which a later SYN from the same port meets. Linux answers only one
/// of several such SYNs within this time (tcp_invalid_ratelimit in its ip-sysctl.rst; TCPACKSkippedSynRecv counts the
/// others), so a check that has no time for a SYN from another port may have no answer so long after the loss is over.
const SYN_UNANSWERED: u64 = 500_000_000;

/// Nanoseconds since the soak began; never 0.
pub fn now() -> u64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Live,
    LiveV6,
    Dead,
    Silent,
    Changing,
    FarLive,
    FarDead,
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::Live, Kind::LiveV6, Kind::Dead, Kind::Silent, Kind::Changing, Kind::FarLive, Kind::FarDead];

    /// What the check of this number has for a target: of 64 in a row, so many of each kind.
    pub fn of(number: usize) -> Kind {
        match number * 29 % 64 {
            0..32 => Kind::Live,
            32..37 => Kind::LiveV6,
            37..51 => Kind::Dead,
            51..54 => Kind::Silent,
            54..58 => Kind::Changing,
            58..62 => Kind::FarLive,
            _ => Kind::FarDead,
        }
    }

    pub fn is_far(self) -> bool {
        matches!(self, Kind::FarLive | Kind::FarDead)
    }

    pub fn is_live(self) -> bool {
        matches!(self, Kind::Live | Kind::LiveV6 | Kind::FarLive)
    }

    /// One of the targets of this kind.
    pub fn target(self, number: usize) -> SocketAddr {
        let near = nth(number % 60_000);
        let far = || IpAddr::V4(Ipv4Addr::from_bits(FAR.to_bits() + number as u32 % FAR_COUNT));
        match self {
            Kind::Live => at(near, PORT),
            Kind::LiveV6 => at(V6, PORT),
            Kind::Dead => at(near, DEAD_PORT),
            Kind::Silent => at(near, SILENT_PORT),
            Kind::Changing => at(near, CHANGING_PORT),
            Kind::FarLive => at(far(), PORT),
            Kind::FarDead => at(far(), DEAD_PORT),
        }
    }

    /// A silent target is waited for a short time only, whatever the others have.
    pub fn request(self, number: usize, timeout_ms: u32, tag: usize) -> Request {
        let timeout_ms = if self == Kind::Silent { timeout_ms.min(60) } else { timeout_ms };
        Request { timeout_ms, tag, ..Request::new(self.target(number)) }
    }
}

/// What goes wrong for moments; and whether somebody listens on the port that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Packets are lost on their way in.
    Loss,
    /// This host's own firewall lets nothing out.
    Filter,
    /// No new descriptor is to be had.
    Descriptors,
    /// The process is stopped.
    Stop,
    /// The cable to the far host is down.
    LinkDown,
    /// The process forks.
    Fork,
    /// A checker is made, used and freed.
    ShortLived,
    /// Checks are cancelled.
    Cancel,
    /// The kernel of this machine drops packets by itself, as its queue for a processor is full.
    Overflow,
    Listening,
    NotListening,
}

impl Fault {
    pub const ALL: [Fault; 11] = [
        Fault::Loss,
        Fault::Filter,
        Fault::Descriptors,
        Fault::Stop,
        Fault::LinkDown,
        Fault::Fork,
        Fault::ShortLived,
        Fault::Cancel,
        Fault::Overflow,
        Fault::Listening,
        Fault::NotListening,
    ];
}

/// Packets that the kernel has dropped by itself, on the whole machine (the second column of softnet_stat).
pub fn overflown() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/net/softnet_stat").ok()?;
    let dropped = |line: &str| u64::from_str_radix(line.split(' ').nth(1)?, 16).ok();
    text.lines().map(dropped).sum()
}

/// When each fault was there last, and how often it was brought about.
#[derive(Default)]
pub struct Moments {
    last: [AtomicU64; Fault::ALL.len()],
    times: [AtomicU64; Fault::ALL.len()],
}

impl Moments {
    /// Is called before anything is done for it.
    pub fn begin(&self, fault: Fault) {
        self.last[fault as usize].store(u64::MAX, Ordering::SeqCst);
        self.times[fault as usize].fetch_add(1, Ordering::SeqCst);
    }

    /// Is called after all of it was undone, and may have effects for a while yet.
    pub fn end(&self, fault: Fault, effects: Duration) {
        self.last[fault as usize].store(now() + effects.as_nanos() as u64, Ordering::SeqCst);
    }

    pub fn count(&self, fault: Fault) {
        self.times[fault as usize].fetch_add(1, Ordering::SeqCst);
    }

    pub fn times(&self, fault: Fault) -> u64 {
        self.times[fault as usize].load(Ordering::SeqCst)
    }

    /// Whether it was there at any time since then.
    pub fn was_there_since(&self, fault: Fault, since: u64) -> bool {
        self.last[fault as usize].load(Ordering::SeqCst) >= since
    }

    /// What was there since then, and how many milliseconds before then the others were there last.
    pub fn seen_from(&self, since: u64) -> String {
        let of_each = Fault::ALL.into_iter().zip(&self.last).map(|(fault, last)| match last.load(Ordering::SeqCst) {
            0 => format!("{fault:?} never"),
            last if last >= since => format!("{fault:?} NOW"),
            last => format!("{fault:?} -{}", (since - last) / 1_000_000),
        });
        of_each.collect::<Vec<_>>().join(", ")
    }
}

/// Whether a verdict is true of its target, or a fault since the check began explains it. `may_end` says that the check
/// may have been cancelled, or its checker shut down.
pub fn explains(
    moments: &Moments,
    engine: EngineKind,
    (kind, since): (Kind, u64),
    verdict: &Verdict,
    may_end: bool,
) -> bool {
    let was_there = |fault| moments.was_there_since(fault, since);
    let link_was_down = || kind.is_far() && was_there(Fault::LinkDown);
    match (verdict.status, verdict.os_error) {
        (Status::Up, 0) => kind.is_live() || kind == Kind::Changing && was_there(Fault::Listening),
        // It answered, and then refused the stranger who asked whether two checks had met, which only who has lost a SYN has
        // to know.
        (Status::Refused, 0) => {
            kind == Kind::Changing
                && verdict.syn_retransmits > 0
                && was_there(Fault::Listening)
                && was_there(Fault::NotListening)
        }
        (Status::Refused, libc::ECONNREFUSED) => match kind {
            Kind::Dead | Kind::FarDead => true,
            Kind::Changing => was_there(Fault::NotListening),
            _ => false,
        },
        (Status::TimedOut, _) => {
            let before = since.saturating_sub(SYN_UNANSWERED);
            let rst_was_lost = [Fault::Loss, Fault::Overflow].iter().any(|&loss| moments.was_there_since(loss, before))
                && verdict.elapsed_us < 1_000_000;
            let is_lossy = [Fault::Loss, Fault::Filter, Fault::Overflow].into_iter().any(was_there);
            let syn_was_lost = is_lossy || link_was_down();
            kind == Kind::Silent || syn_was_lost || rst_was_lost
        }
        (Status::Unreachable, _) => link_was_down(),
        (Status::LocalFault, libc::EMFILE) => was_there(Fault::Descriptors),
        (Status::LocalFault, libc::EPERM) => was_there(Fault::Filter),
        // The raw engine says so where this host may have dropped an answer, and where a lost RST has left a half-open
        // connection behind.
        (Status::LocalFault, libc::ENOBUFS | libc::EADDRINUSE) => engine == EngineKind::Raw,
        (Status::LocalFault, _) => link_was_down(),
        (Status::Busy, libc::EMFILE) => was_there(Fault::Descriptors),
        (Status::Busy, _) => true,
        (Status::Cancelled | Status::Closed, _) => may_end,
        _ => false,
    }
}
