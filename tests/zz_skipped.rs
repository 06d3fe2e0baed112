//! The last test program that `cargo test` runs: it counts what the others have skipped, and names what to install.
#![cfg(unix)]

#[path = "support/skipped.rs"]
mod skipped;

use std::collections::BTreeMap;
use std::io::Write;

/// The Debian packages that a reason is about: of the tool that it says is not there.
fn packages(reason: &str) -> Vec<&'static str> {
    let tool = reason.split_once(" no ").map_or("", |(_, rest)| rest).split([' ', ':']).next().unwrap_or_default();
    let table = include_str!("debian-packages").lines().map(|line| line.split('#').next().unwrap_or_default());
    let rows = table.map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.iter().skip(2).any(|name| *name == tool)).map(|row| row[0]).collect()
}

/// How many tests were skipped, and for each reason how many, and what would change it.
fn account(skipped: &[String]) -> String {
    let mut reasons = BTreeMap::<&str, usize>::new();
    for line in skipped {
        *reasons.entry(line.split_once(": ").map_or(line, |(_, reason)| reason)).or_default() += 1;
    }
    let mut text = format!("{} SKIPPED; as root on Debian, tests/setup installs what the tests use\n", skipped.len());
    for (reason, count) in reasons {
        let packages = packages(reason).join(" ");
        let remedy = if packages.is_empty() { String::new() } else { format!(" (apt-get install {packages})") };
        text += &format!("{count:5}  {reason}{remedy}\n");
    }
    text
}

#[test]
fn skipped_tests_are_counted_at_the_end() {
    let skipped = skipped::take();
    if !skipped.is_empty() {
        // Past the harness, which would hide it.
        let _ = write!(std::io::stderr(), "\n{}", account(&skipped));
    }
}

#[test]
fn account_names_the_package_of_each_tool_that_is_missing() {
    let skipped = [
        "SKIPPED wire::a: there is no tcpdump on this machine",
        "SKIPPED wire::b: there is no tcpdump on this machine",
        "SKIPPED with libuv: pkg-config knows no libuv on this machine",
        "SKIPPED names::c: no network namespace here: unshare failed: not permitted",
    ];
    let expected = "4 SKIPPED; as root on Debian, tests/setup installs what the tests use\n    \
        1  no network namespace here: unshare failed: not permitted\n    \
        1  pkg-config knows no libuv on this machine (apt-get install libuv1-dev)\n    \
        2  there is no tcpdump on this machine (apt-get install tcpdump)\n";
    assert_eq!(account(&skipped.map(String::from)), expected);
}
