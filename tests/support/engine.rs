//! Which engine the tests' checkers have: with `TCPSHAKER_ENGINE=raw` they make their segments themselves, and the tests
//! of checks run once more on them.

use std::io::Write;

use tcpshaker::{Checker, Config, EngineKind, Error, Request, Status, Verdict};

use super::lists::{PATIENCE_MS, reap};

/// The tests' checkers make their segments themselves, and no socket of the kernel's TCP knows of a check.
pub fn is_raw() -> bool {
    std::env::var_os("TCPSHAKER_ENGINE").is_some_and(|engine| engine == "raw")
}

/// Has a checker make its segments itself.
pub fn choose_raw(config: &mut Config) -> Result<(), Error> {
    config.set_engine(EngineKind::Raw)
}

/// Has a checker make its segments itself where it may.
pub fn choose_auto(config: &mut Config) -> Result<(), Error> {
    config.set_engine(EngineKind::Auto)
}

/// Whether this checker makes its segments itself.
pub fn makes_segments(checker: &Checker) -> bool {
    checker.engine() == EngineKind::Raw
}

/// The first line of a test of what only a checker with the kernel's own sockets does: on one that makes its segments
/// itself the test is over, and says why.
macro_rules! needs_sockets {
    ($why:literal) => {
        fn the_sockets_test() {}
        if $crate::support::engine::is_raw() {
            $crate::support::engine::say_left_out(std::any::type_name_of_val(&the_sockets_test), $why);
            return;
        }
    };
}

/// Says that a test has no object where there are no sockets, past the harness that would hide it.
pub fn say_left_out(place: &str, why: &str) {
    let test = place.strip_suffix("::the_sockets_test").unwrap_or(place);
    let _ = writeln!(std::io::stderr(), "not on the raw engine: {test}: {why}");
}

/// A checker that makes its segments itself, whichever engine the tests' checkers have: at its defaults, but as patient
/// as the tests are.
pub fn raw(configure: impl FnOnce(&mut Config)) -> Checker {
    checker(|config| {
        choose_raw(config).expect("an engine of this system");
        configure(config);
    })
}

/// The same with the kernel's sockets.
pub fn with_sockets(configure: impl FnOnce(&mut Config)) -> Checker {
    checker(configure)
}

fn checker(configure: impl FnOnce(&mut Config)) -> Checker {
    let mut config = Config::default();
    config.set_timeout(PATIENCE_MS).unwrap();
    configure(&mut config);
    Checker::new(&config).expect("a checker")
}

/// Each way to make one check: blocking, in a list, submitted alone and with others.
pub fn every_way(checker: &Checker, request: &Request) -> Vec<Verdict> {
    let mut verdicts = vec![checker.check(request)];
    verdicts.extend(checker.check_many(&[request.clone(), request.clone()]));
    checker.submit(vec![request.clone()]).expect("an open checker");
    checker.submit(vec![request.clone(), request.clone()]).expect("an open checker");
    verdicts.extend(reap(checker, 3).iter().map(|report| report.verdict));
    verdicts
}

/// What a verdict says of its target.
pub fn said(verdict: &Verdict) -> (Status, i32) {
    (verdict.status, verdict.os_error)
}

pub const UP: (Status, i32) = (Status::Up, 0);
pub const REFUSED: (Status, i32) = (Status::Refused, libc::ECONNREFUSED);
pub const SILENT: (Status, i32) = (Status::TimedOut, 0);

/// Each way to check the target says this of it.
#[track_caller]
pub fn assert_said(checker: &Checker, request: &Request, expected: (Status, i32)) {
    for verdict in every_way(checker, request) {
        assert_eq!(said(&verdict), expected, "{verdict:?}");
        assert_eq!(verdict.half_open, expected == UP, "{verdict:?}");
        assert_eq!(verdict.rtt_us > 0, expected == UP, "{verdict:?}");
    }
}

/// Half-open requests that listeners of this namespace hold (SYN_RECV, proc(5)).
pub fn half_open_requests() -> usize {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(|path| std::fs::read_to_string(path).expect(path));
    let is_half_open = |line: &&str| line.split_whitespace().nth(3) == Some("03");
    tables.iter().map(|table| table.lines().filter(is_half_open).count()).sum()
}
