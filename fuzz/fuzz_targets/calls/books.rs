//! The account of one input: which checks were accepted, and what came of each.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering::SeqCst};

use tcpshaker::c_api::*;

use crate::targets::Kind;

/// Checks of one input.
const MOST: usize = 2_048;
/// Checkers at a time.
pub const CHECKERS: usize = 2;

/// How the result comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Reaped,
    CalledBack,
    Returned,
    /// By shaker_check_many, which paces itself.
    OfAList,
}

/// What was asked, and of which checker.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub kind: Kind,
    pub way: Way,
    pub flags: u32,
    /// The checker's place.
    pub checker: usize,
    /// What the callback does.
    pub deed: u8,
    /// The settings or the flags leave its family out, or its interface is not there.
    pub is_odd: bool,
    pub is_raw: bool,
}

struct Line {
    asked: std::sync::Mutex<Option<Asked>>,
    accepted: AtomicBool,
    results: AtomicU8,
}

static LINES: [Line; MOST] = [const {
    Line { asked: std::sync::Mutex::new(None), accepted: AtomicBool::new(false), results: AtomicU8::new(0) }
}; MOST];
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// The checkers, for their callbacks.
pub static CHECKER: [AtomicPtr<shaker_checker>; CHECKERS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; CHECKERS];
/// A callback has shut it down, or is about to.
pub static SHUT_DOWN: [AtomicBool; CHECKERS] = [const { AtomicBool::new(false) }; CHECKERS];
/// A callback has reaped: a descriptor that was readable need not be any more.
pub static REAPED_BY_CALLBACK: AtomicBool = AtomicBool::new(false);

pub fn open() {
    for line in &LINES[..NEXT.load(SeqCst).min(MOST)] {
        *line.asked.lock().unwrap() = None;
        line.accepted.store(false, SeqCst);
        line.results.store(0, SeqCst);
    }
    NEXT.store(0, SeqCst);
    REAPED_BY_CALLBACK.store(false, SeqCst);
}

/// A line for one more check, which counts as accepted until it is refused. Its number goes along as user_data.
pub fn enter(asked: Asked) -> Option<usize> {
    let number = NEXT.fetch_add(1, SeqCst);
    let line = LINES.get(number)?;
    *line.asked.lock().unwrap() = Some(asked);
    line.accepted.store(true, SeqCst);
    Some(number)
}

/// The call that was to make it has refused it.
pub fn refuse(number: usize) {
    assert_eq!(LINES[number].results.load(SeqCst), 0, "a result of a check that was refused");
    LINES[number].accepted.store(false, SeqCst);
}

pub fn asked(number: usize) -> Asked {
    LINES[number].asked.lock().unwrap().expect("a check that was asked for")
}

/// A result has come.
pub fn note(result: &shaker_result, checker: usize) {
    let number = (result.user_data as usize).wrapping_sub(1);
    let line = LINES.get(number).unwrap_or_else(|| panic!("user_data of nobody: {number}"));
    let asked = asked(number);
    assert_eq!(asked.checker, checker, "a result of another checker");
    assert!(line.accepted.load(SeqCst), "a result of a check that was not accepted: {asked:?}");
    assert_eq!(line.results.fetch_add(1, SeqCst), 0, "a second result: {asked:?}");
    assert_eq!(result.id != 0, matches!(asked.way, Way::Reaped | Way::CalledBack), "{asked:?}");
    judge(result, &asked);
}

/// The truth about the target, or the truth about the check; never a falsehood about the target.
fn judge(result: &shaker_result, asked: &Asked) {
    const OK: i32 = shaker_status::SHAKER_OK as i32;
    const TIMEOUT: i32 = shaker_status::SHAKER_TIMEOUT as i32;
    const REFUSED: i32 = shaker_status::SHAKER_REFUSED as i32;
    const UNREACHABLE: i32 = shaker_status::SHAKER_UNREACHABLE as i32;
    const ADDRESS: i32 = shaker_status::SHAKER_ERR_ADDRESS as i32;
    const RESOLVE: i32 = shaker_status::SHAKER_ERR_RESOLVE as i32;
    const LOCAL: i32 = shaker_status::SHAKER_ERR_LOCAL as i32;
    const CANCELLED: i32 = shaker_status::SHAKER_ERR_CANCELLED as i32;
    const CLOSED: i32 = shaker_status::SHAKER_ERR_CLOSED as i32;
    const BUSY: i32 = shaker_status::SHAKER_ERR_BUSY as i32;
    const UNSUPPORTED: i32 = shaker_status::SHAKER_ERR_UNSUPPORTED as i32;
    let completes = asked.flags & (SHAKER_FULL_HANDSHAKE | SHAKER_LINGER) != 0;
    let any = asked.kind == Kind::Any;
    let is_true = match result.status {
        OK => matches!(asked.kind, Kind::Live | Kind::Named) || any,
        TIMEOUT => asked.kind == Kind::Silent || any,
        REFUSED => asked.kind == Kind::Dead || any,
        UNREACHABLE => any,
        ADDRESS => asked.kind == Kind::Malformed || asked.is_odd || any,
        RESOLVE => asked.kind == Kind::Named || any,
        // The answer may have been dropped, or what an older check left is in the way.
        LOCAL => asked.is_odd || any || (asked.is_raw && [libc::ENOBUFS, libc::EADDRINUSE].contains(&result.os_error)),
        CANCELLED | CLOSED => true,
        BUSY => asked.way != Way::OfAList,
        UNSUPPORTED => asked.is_raw && completes,
        _ => false,
    };
    let said = (result.status, result.os_error, result.flags, result.rtt_us, result.elapsed_us);
    assert!(is_true, "{asked:?} is found {said:?}");
    let half_open = result.flags & SHAKER_HALF_OPEN != 0;
    assert!(!half_open || (result.status == OK && asked.flags & SHAKER_FULL_HANDSHAKE == 0), "{asked:?}: {said:?}");
    assert!(half_open || result.status != OK || !asked.is_raw, "{asked:?}: {said:?}");
    assert!(result.status == OK || result.rtt_us == 0, "{asked:?}: {said:?}");
    assert!(result.status != OK || result.os_error == 0, "{asked:?}: {said:?}");
    assert!(result.elapsed_us < 100_000_000 && result.reserved == 0, "{asked:?}: {said:?}");
}

/// Those checks of this checker whose results are to come yet.
pub fn missing(checker: usize, ways: &[Way]) -> Vec<Asked> {
    let lines = &LINES[..NEXT.load(SeqCst).min(MOST)];
    let missing = |line: &Line| {
        let asked = (*line.asked.lock().unwrap()).filter(|asked| asked.checker == checker && ways.contains(&asked.way));
        asked.filter(|_| line.accepted.load(SeqCst) && line.results.load(SeqCst) == 0)
    };
    lines.iter().filter_map(missing).collect()
}

/// A checker is freed: what nobody has reaped is lost, and nothing else.
pub fn close(checker: usize) {
    let missing = missing(checker, &[Way::CalledBack, Way::Returned, Way::OfAList]);
    assert!(missing.is_empty(), "results that never came: {missing:?}");
    for line in &LINES[..NEXT.load(SeqCst).min(MOST)] {
        if line.asked.lock().unwrap().is_some_and(|asked| asked.checker == checker) {
            line.accepted.store(false, SeqCst);
        }
    }
}
