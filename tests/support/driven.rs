//! Checkers that their callers drive: with `TCPSHAKER_DRIVEN` set the tests' checkers are such, and the tests that ask
//! them asynchronously run once more on them.

use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tcpshaker::{Checker, Config, Stats};

use super::engine;

/// The tests' checkers have no thread of their own.
pub fn is_driven() -> bool {
    std::env::var_os("TCPSHAKER_DRIVEN").is_some_and(|value| !value.is_empty())
}

/// The default settings, but for the engine and for what drives the checker, and without early SYNs: the tests count
/// what is in flight and what is sent, and a check has one socket. Early SYNs have tests of their own (loss.rs, storm.rs).
pub fn config() -> Config {
    let mut config = Config::default();
    config.set_syn_interval(0).unwrap();
    config.set_caller_driven(is_driven()).unwrap();
    if engine::is_raw() {
        engine::choose_raw(&mut config).unwrap();
    }
    config
}

/// Has a caller-driven checker get on, without waiting and without taking results. One with threads does not mind.
pub fn drive(checker: &Checker) {
    checker.reap(&mut Vec::new(), 0, Some(Duration::ZERO));
}

/// The checker's figures, after it was driven: for those who wait until they are as they should be.
pub fn stats(checker: &Checker) -> Stats {
    drive(checker);
    checker.stats()
}

/// Sleeps, and has the checker get on meanwhile.
pub fn sleep(checker: &Checker, time: Duration) {
    let end = Instant::now() + time;
    while is_driven() && Instant::now() < end {
        drive(checker);
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
}

/// What a callback of the checker's sends next, within a minute.
pub fn receive<T>(checker: &Checker, calls: &Receiver<T>) -> Result<T, RecvTimeoutError> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        drive(checker);
        let wait = if is_driven() { Duration::from_millis(1) } else { Duration::from_secs(60) };
        match calls.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            received => return received,
        }
    }
}

/// The first line of a test of what only a checker with threads does: on caller-driven ones the test is over, and says
/// why.
macro_rules! needs_a_thread {
    ($why:literal) => {
        fn the_threaded_test() {}
        if $crate::support::driven::is_driven() {
            $crate::support::driven::say_left_out(std::any::type_name_of_val(&the_threaded_test), $why);
            return;
        }
    };
}

/// Says that a test has no object on a caller-driven checker, past the harness that would hide it.
pub fn say_left_out(place: &str, why: &str) {
    let test = place.strip_suffix("::the_threaded_test").unwrap_or(place);
    let _ = writeln!(std::io::stderr(), "not on a caller-driven checker: {test}: {why}");
}
