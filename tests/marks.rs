//! The firewall mark of a single check: a director chooses the backend by it (direct server return), so a check that
//! bears another one asks the wrong server.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::SocketAddr;

use support::counters::Rise;
use support::engine::is_raw;
use support::etc;
use support::firewall::{self, Hook};
use support::lists::{PORT, checker, reap};
use support::privileges::drop_capabilities;
use support::process::{Forked, sh};
use support::targets::{Listener, V4, V6, at};
use tcpshaker::{Checker, Handshake, Request, Status, Verdict};

/// The checker's own, where it has one.
const OWN: u32 = 42;

fn marked(mark: u32, target: SocketAddr) -> Request {
    Request { mark, ..Request::new(target) }
}

/// Counts the SYNs to the listeners' port, by their mark.
struct Syns(Vec<u32>);

impl Syns {
    fn count(marks: &[u32]) -> Syns {
        marks.iter().for_each(|mark| firewall::add_counter(&format!("mark{mark}")));
        firewall::add_counter("others");
        let syn = format!("tcp dport {PORT} tcp flags & (syn | ack) == syn");
        let rule = |mark: &u32| format!("{syn} meta mark {mark} counter name mark{mark} accept");
        let mut rules: Vec<String> = marks.iter().map(rule).collect();
        rules.push(format!("{syn} counter name others"));
        firewall::add(Hook::Output, &rules.iter().map(String::as_str).collect::<Vec<_>>());
        Syns(marks.to_vec())
    }

    #[track_caller]
    fn assert(&self, expected: &[u64]) {
        let counts: Vec<u64> = self.0.iter().map(|mark| firewall::packets(&format!("mark{mark}"))).collect();
        assert_eq!((counts.as_slice(), firewall::packets("others")), (expected, 0), "of marks {:?}", self.0);
    }
}

/// Each way to make one check: blocking, in a list, submitted.
fn every_way(checker: &Checker, request: &Request) -> Vec<Verdict> {
    let mut verdicts = vec![checker.check(request)];
    verdicts.extend(checker.check_many(std::slice::from_ref(request)));
    checker.submit(vec![request.clone()]).expect("an open checker");
    checker.submit(vec![request.clone(), request.clone()]).expect("an open checker");
    verdicts.extend(reap(checker, 3).iter().map(|report| report.verdict));
    verdicts
}

#[track_caller]
fn assert_all_up(verdicts: &[Verdict]) {
    assert!(verdicts.iter().all(|verdict| verdict.status == Status::Up), "{verdicts:?}");
}

#[test]
fn every_check_leaves_with_its_own_mark_and_without_one_with_the_checkers() {
    namespaced!("nft");
    etc::replace();
    let _listeners = [Listener::on(V4, PORT), Listener::on(V6, PORT)];
    let syns = Syns::count(&[0, 1, 2, OWN]);
    let (plain, own) = (checker(|_| ()), checker(|config| config.set_mark(OWN).unwrap()));
    for ip in [V4, V6] {
        for mark in [1, 0, 2, 1] {
            assert_all_up(&every_way(&plain, &marked(mark, at(ip, PORT))));
            assert_all_up(&every_way(&own, &marked(mark, at(ip, PORT))));
        }
    }
    syns.assert(&[10, 40, 20, 10]);
    for mark in [2, 0] {
        let request = Request { mark, ..Request::new("four.test:8080") };
        assert_all_up(&every_way(&plain, &request));
        assert_all_up(&every_way(&own, &request));
    }
    syns.assert(&[15, 40, 30, 15]);
    if is_raw() {
        return; // it makes no other handshake
    }
    for handshake in [Handshake::Full, Handshake::HalfOpen] {
        let request = Request { handshake, linger: true, ..marked(1, at(V4, PORT)) };
        assert_all_up(&every_way(&own, &request));
    }
    syns.assert(&[15, 50, 30, 15]);
}

#[test]
fn one_socket_bears_the_mark_of_each_check_in_turn() {
    namespaced!("nft");
    let listener = Listener::on(V4, PORT);
    let syns = Syns::count(&[0, 1, 2]);
    let checker = checker(|config| config.set_max_in_flight(1).unwrap());
    let requests: Vec<Request> = (0..300).map(|number| marked(number % 3, listener.address())).collect();
    for request in &requests {
        assert_all_up(&[checker.check(request)]);
    }
    assert!(is_raw() || checker.stats().sockets <= 1, "{:?}", checker.stats());
    syns.assert(&[100, 100, 100]);
    // The first list's socket is the loop's own.
    assert_all_up(&checker.check_many(&requests));
    assert!(is_raw() || checker.stats().sockets <= 2, "{:?}", checker.stats());
    syns.assert(&[200, 200, 200]);
    listener.assert_untouched();
}

#[test]
fn mark_chooses_the_route_of_each_check_on_a_socket_that_took_another_one_before() {
    namespaced!("ip");
    let listener = Listener::on(V4, PORT);
    // The table of local addresses has to come after the rules.
    sh("ip rule add pref 100 lookup local && ip rule del pref 0");
    sh("ip rule add pref 2 fwmark 2 unreachable && ip rule add pref 3 fwmark 3 blackhole");
    let checker = checker(|config| config.set_max_in_flight(1).unwrap());
    for _ in 0..20 {
        for (mark, status, errno) in [
            (0, Status::Up, 0),
            (2, Status::Unreachable, libc::ENETUNREACH),
            (1, Status::Up, 0),
            (3, Status::LocalFault, libc::EINVAL),
        ] {
            for verdict in every_way(&checker, &marked(mark, listener.address())) {
                assert_eq!((verdict.status, verdict.os_error), (status, errno), "mark {mark}: {verdict}");
            }
        }
    }
}

#[test]
fn check_with_a_mark_is_unsupported_without_the_privilege_and_nothing_is_sent() {
    needs_sockets!("without the privilege there is no such checker");
    namespaced!();
    etc::replace();
    let _listener = Listener::on(V4, PORT);
    let child = Forked::new(|| {
        drop_capabilities();
        let checker = checker(|_| ());
        let connects = Rise::of("TcpActiveOpens");
        for target in [format!("{V4}:{PORT}"), format!("four.test:{PORT}")] {
            let request = Request { mark: 1, ..Request::new(target.as_str()) };
            for verdict in every_way(&checker, &request) {
                assert_eq!((verdict.status, verdict.os_error), (Status::Unsupported, libc::EPERM), "{verdict}");
            }
        }
        assert_eq!(connects.now(), 0);
        assert_eq!(checker.stats().unsupported, 10);
        assert_all_up(&every_way(&checker, &marked(0, at(V4, PORT))));
        0
    });
    assert_eq!(child.wait(), 0);
}

#[test]
fn socket_whose_mark_cannot_be_taken_back_serves_no_other_check() {
    needs_sockets!("a check has no socket");
    namespaced!("nft");
    let listener = Listener::on(V4, PORT);
    let syns = Syns::count(&[0, 7]);
    let checker = checker(|_| ());
    assert_all_up(&[checker.check(&marked(7, listener.address()))]);
    syns.assert(&[0, 1]);
    // Of this thread only, which makes the blocking checks of targets that answer at once.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop_capabilities();
            assert_all_up(&[checker.check(&marked(0, listener.address()))]);
        });
    });
    syns.assert(&[1, 1]);
    assert!(checker.stats().sockets <= 1, "{:?}", checker.stats());
}

mod from_c {
    use super::*;
    use tcpshaker::c_api::{
        shaker_check, shaker_check_many, shaker_checker_free, shaker_checker_new, shaker_reap, shaker_request,
        shaker_result, shaker_status, shaker_submit,
    };

    #[test]
    fn mark_of_a_request_goes_through_every_function_that_takes_one() {
        namespaced!("nft");
        let _listener = Listener::on(V4, PORT);
        let syns = Syns::count(&[0, 9]);
        let addr = std::ffi::CString::new(at(V4, PORT).to_string()).expect("a text");
        // SAFETY: all zeroes is a request, and a result; all arguments are as the header wants them.
        unsafe {
            let request = shaker_request { addr: addr.as_ptr(), mark: 9, ..std::mem::zeroed::<shaker_request>() };
            let mut result = std::mem::zeroed::<shaker_result>();
            let mut checker = std::ptr::null_mut();
            assert_eq!(shaker_checker_new(std::ptr::null(), &mut checker), shaker_status::SHAKER_OK);
            assert_eq!(shaker_check(checker, &request, &mut result), shaker_status::SHAKER_OK);
            assert_eq!(shaker_check_many(checker, &request, 1, &mut result), shaker_status::SHAKER_OK);
            assert_eq!(result.status, 0);
            assert_eq!(shaker_submit(checker, &request, 1, std::ptr::null_mut()), shaker_status::SHAKER_OK);
            assert_eq!(shaker_reap(checker, &mut result, 1, u32::MAX), 1);
            assert_eq!(result.status, 0);
            assert_eq!(shaker_checker_free(checker), shaker_status::SHAKER_OK);
        }
        syns.assert(&[0, 3]);
    }
}
