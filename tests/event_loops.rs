//! The checker's descriptor in other people's event loops: the examples over libuv, libevent, glib and io_uring check ten
//! thousand targets each on one thread, half of them down.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;
#[path = "c/build.rs"]
mod c;
mod c_programs;

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use c_programs::Finished;
use support::counters::Rise;
use support::driven;
use support::handshake::withholds_ack;
use support::namespace::skip;
use support::targets::{DEAD_PORT, Listener};

const PORT: u16 = 8080;
const TARGETS: usize = 10_000;
/// Far more than a program takes; a lost wake-up would leave it waiting for ever.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the linker lets tests/event_loops/watched.c see of an example's calls.
const WATCHED: [&str; 5] = [
    "tests/event_loops/watched.c",
    "-Wl,--wrap=shaker_checker_new",
    "-Wl,--wrap=shaker_submit",
    "-Wl,--wrap=shaker_reap",
    "-Wl,--wrap=shaker_checker_free",
];

/// Addresses that are all different; each second one refuses.
fn targets() -> impl Iterator<Item = (String, &'static str)> {
    (0..TARGETS).map(|number| {
        let ip = Ipv4Addr::from(0x7f01_0000 + number as u32);
        match number % 2 {
            0 => (format!("{ip}:{PORT}"), "up"),
            _ => (format!("{ip}:{DEAD_PORT}"), "refused"),
        }
    })
}

/// Builds the example, told by arguments of the compiler how to poll, and sees what it does with all targets.
fn drives_the_checker(test: &str, example: &str, package: &str, polls: &[&str], idles: Idles) {
    let source = format!("examples-c/event_loops/{example}.c");
    let program = match c::build_with(&source, &[package], &[&WATCHED, polls].concat()) {
        Ok(program) => program,
        Err(why) => return skip(test, &why),
    };
    let listener = Listener::on(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
    let completed = Rise::of("TcpPassiveOpens");
    let mut command = Command::new(&program);
    command.args(targets().map(|(target, _)| target));
    let finished = c_programs::finish_within(&mut command, "", PATIENCE);
    let _ = std::fs::remove_file(&program);
    let Finished { stdout: said, stderr: watched, .. } = &finished;
    println!("{test}: {watched}");
    if watched.starts_with("no io_uring here: ") {
        return skip(test, watched.trim());
    }
    assert!(finished.status.success(), "{test} ended with {}: {watched}", finished.status);

    // Each result, and none twice.
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = targets().map(|(target, verdict)| format!("{target} {verdict}")).collect();
    expected.sort_unstable();
    assert_eq!(lines.len(), TARGETS);
    let wrong: Vec<_> = lines.iter().zip(&expected).filter(|(line, expected)| line != expected).collect();
    assert!(wrong.is_empty(), "{wrong:?}");

    // Its own thread and the checker's loop, if it has one, and nobody else; and each wake-up had its reason.
    let number = |name: &str| {
        let line = watched.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or_else(|| panic!("no {name}: {watched}"))
    };
    assert_eq!(number("threads"), if driven::is_driven() { 1 } else { 2 });
    assert_eq!(number("readable at the end"), 0);
    if idles == Idles::None {
        assert_eq!(number("idle wake-ups"), 0);
    }
    let (admitted, completed) = (number("completed handshakes"), completed.now());
    assert!(completed <= admitted, "{completed} completed, {admitted} admitted");
    if withholds_ack() {
        // A busy machine may keep a check from its reset now and then.
        assert!(admitted <= 50, "{completed} completed, {admitted} admitted");
        assert!(listener.accept_all() as u64 <= completed);
    } else {
        assert_eq!(admitted, 5000);
        listener.assert_untouched();
    }
}

/// Wake-ups that find nothing to take.
#[derive(PartialEq)]
enum Idles {
    None,
    /// An edge is told even if what it tells of was taken meanwhile.
    Edges,
}

#[test]
fn libuv_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with libuv", "libuv", "libuv", &[], Idles::None);
}

#[test]
fn libevent_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with libevent", "libevent", "libevent_core", &[], Idles::None);
}

#[test]
fn edge_triggered_libevent_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with edge-triggered libevent", "libevent", "libevent_core", &["-DTRIGGER=EV_ET"], Idles::None);
}

#[test]
fn glib_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with glib", "glib", "glib-2.0", &[], Idles::None);
}

#[test]
fn io_uring_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with io_uring", "io_uring", "liburing", &["-DPOLL=io_uring_prep_poll_add"], Idles::None);
}

#[test]
fn multishot_io_uring_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with multishot io_uring", "io_uring", "liburing", &[], Idles::Edges);
}
