//! Lists of checks: their targets, somewhere in 127.0.0.0/8, how they are made, and what came of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tcpshaker::{Checker, Config, Report, Request, Status, Verdict};

use super::driven;
use super::firewall::{self, Hook};
use super::targets::{Listener, at};

pub const PORT: u16 = 8080;
pub const SILENT_PORT: u16 = 8081;
/// Ample for any machine where an answer is certain to come.
pub const PATIENCE_MS: u32 = 60_000;
/// What Linux distributions and containers commonly grant, or more.
pub const DESCRIPTORS: usize = 20_000;

pub fn checker(configure: impl FnOnce(&mut Config)) -> Checker {
    let mut config = driven::config();
    config.set_timeout(PATIENCE_MS).unwrap();
    configure(&mut config);
    Checker::new(&config).expect("a checker")
}

pub fn loops(count: u32) -> Checker {
    checker(|config| config.set_threads(count).unwrap())
}

/// The address of this number, somewhere in 127.0.0.0/8 and above 127.1.0.0.
pub fn nth(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x7f01_0000 + number as u32))
}

/// One listener for all of 127.0.0.0/8.
pub fn listen_everywhere() -> Listener {
    Listener::on(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT)
}

pub fn silence(port: u16) {
    firewall::add(Hook::Input, &[&format!("tcp dport {port} drop")]);
}

pub fn with_timeout(timeout_ms: u32, target: SocketAddr) -> Request {
    Request { timeout_ms, ..Request::new(target) }
}

pub fn tagged(tag: usize, request: Request) -> Request {
    Request { tag, ..request }
}

/// Reaps until `count` reports are there; each must come within a minute of the one before.
pub fn reap(checker: &Checker, count: usize) -> Vec<Report> {
    let mut reports = Vec::new();
    while reports.len() < count {
        let taken = checker.reap(&mut reports, count, Some(Duration::from_secs(60)));
        assert_ne!(taken, 0, "only {} of {count} reports came", reports.len());
    }
    reports
}

/// Each tag from 0 up is there once.
#[track_caller]
pub fn assert_each_once(mut tags: Vec<usize>, count: usize) {
    tags.sort_unstable();
    assert!(tags.iter().copied().eq(0..count), "{} results for {count} checks, or one twice", tags.len());
}

pub fn tally(verdicts: &[Verdict]) -> HashMap<Status, usize> {
    let mut tally = HashMap::new();
    verdicts.iter().for_each(|verdict| *tally.entry(verdict.status).or_default() += 1);
    tally
}
