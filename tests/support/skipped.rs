//! Notes of the tests that were skipped, from all the test programs of one `cargo test`, for the last of them to count.
#![allow(dead_code)] // each test program uses its part

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One file for each `cargo test`, which is the parent of its test programs.
fn path() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("skipped-{}", std::os::unix::process::parent_id()))
}

/// Adds a line: a test that was skipped, and why.
pub fn note(line: &str) {
    let file = OpenOptions::new().append(true).create(true).open(path());
    file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).expect("a note in the target directory");
}

/// Takes the lines that the test programs of this `cargo test` have added.
pub fn take() -> Vec<String> {
    let lines = fs::read_to_string(path()).unwrap_or_default();
    let _ = fs::remove_file(path());
    lines.lines().map(String::from).collect()
}
