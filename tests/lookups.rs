//! Lookups of names: how many there are at once, in which order, on which threads, and what is left of them.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use support::etc;
use support::lists::*;
use support::name_server::{Answer, NameServer};
use support::targets::V4;
use tcpshaker::{Request, Status};

fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{kind}-{number}.test")).collect()
}

/// A name server that is silent about some names, and says after `delay` that the others are this host's.
fn name_server(delay: Duration, silent: &[String], known: &[String]) -> NameServer {
    let silence = silent.iter().map(|name| (name.as_str(), Answer::Silence));
    let here = known.iter().map(|name| (name.as_str(), Answer::Addresses(vec![V4])));
    NameServer::start_slow(delay, &silence.chain(here).collect::<Vec<_>>())
}

fn ask(name: &str, timeout_ms: u32) -> Request {
    Request { timeout_ms, ..Request::new(format!("{name}:{PORT}").as_str()) }
}

#[test]
fn freeing_a_checker_waits_for_no_silent_name_server_wherever_its_threads_run() {
    namespaced!();
    etc::replace();
    let silent = names("silent", 2);
    let _server = name_server(Duration::ZERO, &silent, &[]);
    for patience in [50, 60, 70] {
        etc::use_name_server(patience, 1);
        // The stacks of earlier threads serve again, and what the C library keeps there is still there.
        let checker = loops(1);
        for _ in 0..2 {
            let verdicts = checker.check_many(&[ask(&silent[0], 300), ask(&silent[1], 1_300)]);
            assert_eq!(tally(&verdicts), HashMap::from([(Status::Unresolved, 2)]));
        }
        let begun = Instant::now();
        drop(checker);
        assert!(begun.elapsed() < Duration::from_secs(30), "the end took {:?}", begun.elapsed());
    }
}
