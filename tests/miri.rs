//! The modules that ask nothing of the system, run by Miri: no undefined behaviour, no memory that is read before it is
//! written or used after it was freed, and no leak, in what their unit tests do.
//!
//! It needs a nightly toolchain with the components miri and rust-src (`rustup component add miri rust-src --toolchain
//! nightly`). No package brings them, so that the test is skipped without them in CI, too.
#![cfg(all(target_os = "linux", not(feature = "forced-handshake"), not(feature = "parking_lot")))]

#[path = "support/skipped.rs"]
mod skipped;

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Unit tests of these are run. Others that ask nothing of the system are about odds or sizes, and take Miri minutes.
const MODULES: [&str; 18] = [
    "check::address::",
    "check::pieces::tests::items",
    "check::slab::tests::memory",
    "engine::raw::checksum::",
    "engine::raw::isn::tests::edge",
    "engine::raw::segment::",
    "event_loop::gate::",
    "event_loop::ids::",
    "event_loop::syn_schedule::",
    "monitor::hysteresis::",
    "permits::",
    "rate::",
    "resolver::answers::tests::a",
    "resolver::slow_hosts::tests::a",
    // Of what cannot be had Miri makes an end of its own.
    "sys::memory::tests::what_can_be_had",
    "timer_wheel::tests::a_timer_",
    "timer_wheel::tests::nothing_",
    "timer_wheel::tests::those_",
];

/// Of those, the ones that try hundreds of inputs or sizes.
const LEFT_OUT: [&str; 10] = [
    "segment::tests::checksum_is_that_of_a_sum_over_all_bytes",
    "segment::tests::header_whose_length_is_wrong_is_no_answer",
    "segment::tests::parsers_take_any_bytes",
    "segment::tests::what_is_written_is_read_again",
    "checksum::tests::any_bytes_are_read",
    "checksum::tests::each_bit_of_a_segment_by_ipv6",
    "checksum::tests::what_this_library_sends_is_undamaged",
    "hysteresis::tests::a_verdict_changes_the_state",
    "hysteresis::tests::doubting_never_changes_the_state",
    "hysteresis::tests::the_state_is_that_of_the_latest_run",
];

fn nightly() -> Command {
    let mut command = Command::new("rustup");
    let own = |name: &str| ["CARGO", "RUST", "LD_LIBRARY_PATH"].iter().any(|start| name.starts_with(start));
    for (name, _) in std::env::vars_os().filter(|(name, _)| own(&name.to_string_lossy())) {
        if name != "CARGO_HOME" && name != "RUSTUP_HOME" {
            command.env_remove(name);
        }
    }
    command.args(["run", "nightly"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn is_there() -> bool {
    let says = |args: &[&str]| nightly().args(args).output().ok().filter(|output| output.status.success());
    let sysroot = says(&["rustc", "--print", "sysroot"]).and_then(|output| String::from_utf8(output.stdout).ok());
    let has_source = |sysroot: String| Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library").exists();
    sysroot.is_some_and(has_source) && says(&["cargo", "miri", "--version"]).is_some()
}

#[test]
fn modules_that_ask_nothing_of_the_system_have_no_undefined_behaviour() {
    if !is_there() {
        let line = "SKIPPED by Miri: there is no nightly Rust with miri and rust-src on this machine";
        let _ = writeln!(std::io::stderr(), "{line}");
        return skipped::note(line);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("miri");
    let mut cargo = nightly();
    cargo.env("CARGO_TARGET_DIR", target).env("MIRIFLAGS", "-Zmiri-disable-isolation");
    cargo.args(["cargo", "miri", "test", "--locked", "--lib", "--"]).args(MODULES);
    cargo.args(LEFT_OUT.iter().flat_map(|test| ["--skip", test]));
    let ran = cargo.output().expect("rustup starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    let passed = said.lines().filter(|line| line.ends_with("... ok")).count();
    println!("{passed} unit tests by Miri");
    assert!(passed > 50, "only {passed} unit tests were run:\n{said}");
}
