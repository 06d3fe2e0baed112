//! A process that may have no more threads, and lock no memory.

use std::sync::Arc;

use tcpshaker::{EngineKind, State, Verdict};

use super::*;
use crate::support::monitors::{add, assert_next, assert_quiet, monitor, of_kind, quick};
use crate::support::privileges::be_nobody_with_raw_sockets;
use crate::support::process::{open_descriptors, threads};

/// Sets the soft limit of a resource, for somebody who is not root.
fn set_limit(resource: libc::__rlimit_resource_t, soft: libc::rlim_t) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is this function's own.
    assert_eq!(unsafe { libc::getrlimit(resource, &mut limit) }, 0);
    limit.rlim_cur = soft.min(limit.rlim_max);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0);
}

/// A name that is this host's, in each way to make a check.
fn named(checker: &Checker) -> Vec<(Status, i32)> {
    let request = Request { timeout_ms: PATIENCE_MS, ..Request::new("localhost:8080") };
    let mut verdicts: Vec<Verdict> = vec![checker.check(&request)];
    verdicts.extend(checker.check_many(&[request.clone(), request.clone()]));
    checker.submit(vec![request]).expect("a live checker");
    verdicts.extend(reap(checker, 1).iter().map(|report| report.verdict));
    verdicts.iter().map(|verdict| (verdict.status, verdict.os_error)).collect()
}

/// Addresses in each way to make a check, of which each has the verdict that is true.
fn assert_addresses_are_right(checker: &Checker) {
    let requests = [V4, V6].map(|ip| [at(ip, PORT), at(ip, DEAD_PORT)]).concat();
    let requests: Vec<Request> = requests.into_iter().map(|target| with_timeout(PATIENCE_MS, target)).collect();
    let expected = [Status::Up, Status::Refused, Status::Up, Status::Refused];
    let blocking: Vec<Status> = requests.iter().map(|request| checker.check(request).status).collect();
    let listed: Vec<Status> = checker.check_many(&requests).iter().map(|verdict| verdict.status).collect();
    assert_eq!((blocking, listed), (expected.to_vec(), expected.to_vec()));
    let requests = requests.into_iter().enumerate().map(|(tag, request)| tagged(tag, request)).collect();
    checker.submit(requests).expect("a live checker");
    reap(checker, 4).iter().for_each(|report| assert_eq!(report.verdict.status, expected[report.tag]));
}

const NO_THREAD: (Status, i32) = (Status::LocalFault, libc::EAGAIN);
const UP: (Status, i32) = (Status::Up, 0);

fn go_without_threads(engine: EngineKind) {
    let (looped, driven) = (of_kind(engine, false, |_| ()), of_kind(engine, true, |_| ()));
    let experienced = of_kind(engine, false, |_| ());
    let watched = monitor(&looped);
    assert_eq!(named(&experienced), [UP; 4], "it has a thread for names");
    let before = (threads().len(), open_descriptors());
    set_limit(libc::RLIMIT_NPROC, 1);
    assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "this process may have another thread");
    for _ in 0..3 {
        let made = Checker::new(&threaded(engine)).map(drop);
        assert_eq!(made, Err(Error::LocalFault), "a checker that needs a thread");
        assert_eq!(Monitor::new(looped.clone(), &MonitorConfig::default()).map(drop), Err(Error::LocalFault));
    }
    assert_eq!((threads().len(), open_descriptors()), before);
    for checker in [&looped, &driven, &experienced] {
        assert_addresses_are_right(checker);
    }
    assert_eq!((named(&looped), named(&driven)), (vec![NO_THREAD; 4], vec![NO_THREAD; 4]));
    assert_eq!(named(&experienced), [UP; 4], "one thread is enough for all names");
    // A watch of a name has no verdict, and so no state; one of an address has.
    let of_name = add(&watched, Watch { interval_ms: 20, ..Watch::new("localhost:8080") });
    until("it is checked in vain", || watched.get(of_name).unwrap().no_verdict >= 3);
    assert_eq!(watched.get(of_name).unwrap().state, State::Unknown);
    assert_quiet(&watched, 50);
    let of_address = monitor(&driven); // it needs no thread
    add(&of_address, quick(PORT));
    assert_next(&of_address, State::Unknown, State::Up);
    drop(of_address);
    assert_eq!(threads().len(), before.0);

    set_limit(libc::RLIMIT_NPROC, libc::RLIM_INFINITY);
    assert_next(&watched, State::Unknown, State::Up);
    for checker in [looped.clone(), driven, Arc::new(Checker::new(&threaded(engine)).expect("a thread"))] {
        assert_eq!(named(&checker), [UP; 4]);
        drop(monitor(&checker));
    }
}

fn threaded(engine: EngineKind) -> Config {
    let mut config = Config::default();
    config.set_engine(engine).unwrap();
    config
}

#[test]
fn that_cannot_be_made_are_no_verdict_and_no_matter_any_more_when_they_can() {
    namespaced!();
    let _listeners = [V4, V6].map(|ip| Listener::on(ip, PORT));
    for engine in [EngineKind::Socket, EngineKind::Raw] {
        let child = Forked::new(|| {
            be_nobody_with_raw_sockets();
            go_without_threads(engine);
            0
        });
        assert_eq!(child.wait(), 0, "{engine:?}");
    }
}

#[test]
fn need_no_memory_that_is_locked() {
    namespaced!();
    let _listeners = [V4, V6].map(|ip| Listener::on(ip, PORT));
    let child = Forked::new(|| {
        be_nobody_with_raw_sockets();
        set_limit(libc::RLIMIT_MEMLOCK, 0);
        let mut page = [0u8; 4096];
        // SAFETY: the page is this function's own.
        assert_ne!(unsafe { libc::mlock(page.as_mut_ptr().cast(), page.len()) }, 0, "this process may lock memory");
        support::monitors::with_every_kind(|checker| {
            assert_addresses_are_right(&checker);
            assert_eq!(named(&checker), [UP; 4]);
            let monitor = monitor(&checker);
            add(&monitor, quick(PORT));
            assert_next(&monitor, State::Unknown, State::Up);
        });
        0
    });
    assert_eq!(child.wait(), 0);
}
