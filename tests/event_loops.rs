//! The checker's descriptor in other people's event loops: single-threaded C programs over libuv, libevent, glib and
//! io_uring check ten thousand targets each, half of them down.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;
#[path = "c/build.rs"]
mod c;

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::counters::Rise;
use support::driven;
use support::handshake::withholds_ack;
use support::namespace::skip;
use support::targets::{DEAD_PORT, Listener};

const PORT: u16 = 8080;
/// Far more than a program takes; a lost wake-up would leave it waiting for ever.
const PATIENCE: Duration = Duration::from_secs(120);
/// The exit status of a program that finds its event loop forbidden on this machine.
const EXIT_SKIPPED: i32 = 77;

fn drives_the_checker(test: &str, source: &str, package: &str, variant: &str) {
    let program = match c::build(source, &[package]) {
        Ok(program) => program,
        Err(why) => return skip(test, &why),
    };
    let listener = Listener::on(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
    let completed = Rise::of("TcpPassiveOpens");
    let mut command = Command::new(&program);
    command.args([PORT.to_string(), DEAD_PORT.to_string(), variant.to_owned()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let begun = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().expect("it can be ended");
            panic!("{source} {variant} still waits: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("its output");
    let _ = std::fs::remove_file(&program);
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{source} {variant}: {errors}");
    if output.status.code() == Some(EXIT_SKIPPED) {
        return skip(test, said.trim());
    }
    assert!(output.status.success(), "{source} {variant} ended with {}: {said}{errors}", output.status);
    // Its own thread and the checker's loop, if it has one, and nobody else; and each wake-up had its reason.
    let threads = if driven::is_driven() { 1 } else { 2 };
    let expected =
        format!("up 5000\nrefused 5000\nwrong 0\ntwice 0\nreadable at the end 0\nthreads {threads}\nidle wake-ups 0\n");
    let (said, admitted) = said.trim_end().rsplit_once("completed handshakes ").expect(&said);
    assert_eq!(said, expected, "{errors}");
    let (admitted, completed) = (admitted.parse::<u64>().expect("a number"), completed.now());
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

#[test]
fn libuv_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with libuv", "examples-c/event_loops/libuv.c", "libuv", "");
}

#[test]
fn libevent_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with libevent", "examples-c/event_loops/libevent.c", "libevent_core", "");
}

#[test]
fn edge_triggered_libevent_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with edge-triggered libevent", "examples-c/event_loops/libevent.c", "libevent_core", "edge");
}

#[test]
fn glib_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with glib", "examples-c/event_loops/glib.c", "glib-2.0", "");
}

#[test]
fn io_uring_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with io_uring", "examples-c/event_loops/io_uring.c", "liburing", "");
}

#[test]
fn multishot_io_uring_program_checks_ten_thousand_targets_on_one_thread() {
    namespaced!(alone);
    drives_the_checker("with multishot io_uring", "examples-c/event_loops/io_uring.c", "liburing", "multishot");
}
