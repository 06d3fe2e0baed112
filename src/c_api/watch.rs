use std::ffi::{c_char, c_void};

use super::request::{convert, shaker_request, validate};
use super::result::shaker_result;
use super::status::shaker_status;
use crate::check::verdict::{Report, Status, Verdict};
use crate::monitor::{Change, State, Watch, WatchInfo};
use crate::sys::sockaddr::{sockaddr, socklen_t};

/// What a monitor holds to be true of a target.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shaker_state {
    /// Too few verdicts yet.
    SHAKER_STATE_UNKNOWN = 0,
    /// It answers.
    SHAKER_STATE_UP = 1,
    /// It does not: it refuses, is silent, or cannot be reached.
    SHAKER_STATE_DOWN = 2,
}

impl From<State> for shaker_state {
    fn from(state: State) -> shaker_state {
        match state {
            State::Unknown => shaker_state::SHAKER_STATE_UNKNOWN,
            State::Up => shaker_state::SHAKER_STATE_UP,
            State::Down => shaker_state::SHAKER_STATE_DOWN,
        }
    }
}

/// shaker_change.flags: shaker_monitor_report led to it, not a check.
pub const SHAKER_CHANGE_REPORTED: u32 = 1;
/// shaker_change.flags: changes of this watch between the one that was reaped before and this one were not reaped in
/// time, and are gone.
pub const SHAKER_CHANGE_SKIPPED: u32 = 2;

/// A target to be checked again and again. Zero-initialise it, then name the target: addr, or sockaddr and sockaddr_len.
/// 0 stands for a default, which is HAProxy's.
///
/// The library reads it during the call only. Watches of one target that have the same settings share their checks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shaker_watch {
    /// "host:port", or NULL where sockaddr has the target. A name is looked up anew for the first check, for one
    /// after a check that was not up or a failure that was reported, and for one that was asked for
    /// (shaker_monitor_check_now). Any other check takes the latest answer that was kept, if that is no older than
    /// nine tenths of interval_ms, and than 30 s: getaddrinfo(3) tells nobody how long its answers hold. A name that
    /// does not resolve is no verdict.
    pub addr: *const c_char,
    /// An IPv4 or IPv6 address with its port. Exactly one of addr and sockaddr must be given.
    pub sockaddr: *const sockaddr,
    /// The length of *sockaddr in bytes.
    pub sockaddr_len: socklen_t,
    /// As in shaker_request: SHAKER_FULL_HANDSHAKE, SHAKER_LINGER, SHAKER_IPV4, SHAKER_IPV6.
    pub flags: u32,
    /// As in shaker_request.
    pub mark: u32,
    /// For one check, resolving included, in milliseconds. 0: the checker's default.
    pub timeout_ms: u32,
    /// From a verdict to the start of the next check, while up and well, in milliseconds. 0: 2000. After a check that
    /// began late it is shorter by as much, at most by a tenth, so that many watches keep apart.
    pub interval_ms: u32,
    /// The same while up, after a failure that was not the last straw. 0: interval_ms.
    pub falling_ms: u32,
    /// The same while down or unknown, after a success that was not yet enough. 0: interval_ms.
    pub rising_ms: u32,
    /// The same while down. 0: interval_ms.
    pub down_ms: u32,
    /// How many failures in a row take it down. 0: 3.
    pub fall: u32,
    /// How many successes in a row bring it up. 0: 2.
    pub rise: u32,
    /// fall until the initial state was left or confirmed. 0: 1.
    pub first_fall: u32,
    /// rise until the initial state was left or confirmed. 0: 1.
    pub first_rise: u32,
    /// Each interval is longer or shorter by up to so many percent, by chance; at most 50.
    pub jitter_percent: u32,
    /// A shaker_state: what holds before the first verdict.
    pub initial: i32,
    /// Comes back in each change, untouched.
    pub user_data: *mut c_void,
    /// Must be 0.
    pub reserved: [u64; 4],
}

/// The state of a watch has changed; or where every result is asked for, a check of it has ended.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shaker_change {
    /// The watch's, from shaker_monitor_add.
    pub id: u64,
    /// The watch's own.
    pub user_data: *mut c_void,
    /// A shaker_state: the one before.
    pub from: i32,
    /// A shaker_state: the one after. The same only where every result is asked for
    /// (shaker_monitor_config_set_every_result).
    pub to: i32,
    /// How many verdicts in a row led here.
    pub run: u32,
    /// SHAKER_CHANGE_REPORTED and SHAKER_CHANGE_SKIPPED, or-ed. A program must expect flags it does not know.
    pub flags: u32,
    /// When, in microseconds of CLOCK_MONOTONIC.
    pub at_us: u64,
    /// What the latest check learned, with id 0 and the watch's user_data. Before the first check SHAKER_ERR_BUSY: its
    /// turn has not come.
    pub last: shaker_result,
    /// 0.
    pub reserved: [u64; 2],
}

/// What is known of a watch. The struct may grow at its end. After 4,294,967,295 its counters go on from 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shaker_watch_info {
    /// A shaker_state.
    pub state: i32,
    /// How many verdicts in a row agree with the latest.
    pub run: u32,
    /// Since when it has been in this state, in microseconds of CLOCK_MONOTONIC.
    pub since_us: u64,
    /// When the next check begins, on the same clock; 0 while one is in flight, or none is to be made.
    pub next_us: u64,
    /// Checks that ended.
    pub checks: u64,
    /// Verdicts that it is up, reports included.
    pub up: u64,
    /// Verdicts that it is down, reports included.
    pub down: u64,
    /// Checks that ended without a verdict.
    pub no_verdict: u64,
    /// How often the state changed.
    pub changes: u64,
    /// The latest round trip in microseconds; 0 before the first.
    pub rtt_us: u32,
    /// Round trips in microseconds, smoothed as RFC 6298 does (SRTT).
    pub rtt_smoothed_us: u32,
    /// How much they vary, by the same (RTTVAR).
    pub rtt_variation_us: u32,
    /// 1 while it is paused, else 0.
    pub paused: u32,
    /// What the latest check learned, as in shaker_change.
    pub last: shaker_result,
}

/// The core's view of a watch, if it is valid.
///
/// # Safety
/// Its `addr` or `sockaddr` points to what it says.
unsafe fn convert_watch(watch: &shaker_watch) -> Result<Watch, Status> {
    let request = shaker_request {
        addr: watch.addr,
        sockaddr: watch.sockaddr,
        sockaddr_len: watch.sockaddr_len,
        timeout_ms: watch.timeout_ms,
        flags: watch.flags,
        callback: None,
        user_data: watch.user_data,
        mark: watch.mark,
        reserved: [0; 3],
    };
    validate(&request, false)?;
    if watch.reserved != [0; 4] {
        return Err(Status::Invalid);
    }
    let initial = [State::Unknown, State::Up, State::Down].into_iter().find(|state| *state as i32 == watch.initial);
    let request = convert(&request);
    Ok(Watch {
        target: request.target,
        timeout_ms: request.timeout_ms,
        handshake: request.handshake,
        linger: request.linger,
        family: request.family,
        mark: request.mark,
        interval_ms: watch.interval_ms,
        falling_ms: watch.falling_ms,
        rising_ms: watch.rising_ms,
        down_ms: watch.down_ms,
        fall: watch.fall,
        rise: watch.rise,
        first_fall: watch.first_fall,
        first_rise: watch.first_rise,
        jitter_percent: watch.jitter_percent,
        initial: initial.ok_or(Status::Invalid)?,
        tag: request.tag,
    })
}
/// What the latest check learned, if there has been one.
fn last(verdict: Option<Verdict>, tag: usize) -> shaker_result {
    let verdict = verdict.unwrap_or_else(|| Verdict::without_segments(Status::Busy, 0));
    shaker_result::from(&Report { id: 0, tag, verdict })
}

impl From<&Change> for shaker_change {
    fn from(change: &Change) -> shaker_change {
        shaker_change {
            id: change.id,
            user_data: change.tag as *mut c_void,
            from: shaker_state::from(change.from) as i32,
            to: shaker_state::from(change.to) as i32,
            run: change.run,
            flags: if change.reported { SHAKER_CHANGE_REPORTED } else { 0 }
                | if change.skipped { SHAKER_CHANGE_SKIPPED } else { 0 },
            at_us: change.at_us,
            last: last(change.last, change.tag),
            reserved: [0; 2],
        }
    }
}

impl From<&WatchInfo> for shaker_watch_info {
    fn from(info: &WatchInfo) -> shaker_watch_info {
        shaker_watch_info {
            state: shaker_state::from(info.state) as i32,
            run: info.run,
            since_us: info.since_us,
            next_us: info.next_us.unwrap_or(0),
            checks: info.checks.into(),
            up: info.up.into(),
            down: info.down.into(),
            no_verdict: info.no_verdict.into(),
            changes: info.changes.into(),
            rtt_us: info.rtt_us,
            rtt_smoothed_us: info.rtt_smoothed_us,
            rtt_variation_us: info.rtt_variation_us,
            paused: info.paused.into(),
            last: last(info.last, info.tag),
        }
    }
}

/// The watches of a caller's array, if every one is valid.
///
/// # Safety
/// `watches` is NULL or an array of `count`, whose elements point to what they say.
pub(super) unsafe fn watches(watches: *const shaker_watch, count: usize) -> Result<Vec<Watch>, shaker_status> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if watches.is_null() || count > isize::MAX as usize / size_of::<shaker_watch>() {
        return Err(shaker_status::SHAKER_ERR_INVALID);
    }
    // SAFETY: the caller's promise.
    let watches = unsafe { std::slice::from_raw_parts(watches, count) };
    let mut all = Vec::new();
    all.try_reserve_exact(count).map_err(|_| shaker_status::SHAKER_ERR_LOCAL)?;
    for watch in watches {
        // SAFETY: the caller's promise.
        all.push(unsafe { convert_watch(watch) }?);
    }
    Ok(all)
}
