//! What ends checks before their verdict: a cancel of one or of all, and the shutdown. Each still yields its one
//! result, and no other check suffers.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use support::driven::{self, stats};
use support::etc;
use support::handshake::Completed;
use support::lists::*;
use support::name_server::{Answer, NameServer};
use support::process::{sh, until};
use support::rlimit::set_descriptor_limit;
use support::targets::{DEAD_PORT, V4, at};
use tcpshaker::{Checker, Error, Request, Status, Verdict};

const COUNT: usize = 20_000;

/// A list of silent targets that would take an hour, ended by `end` once some of its checks are in flight.
fn end_list_early(threads: u32, end: impl Fn(&Checker)) -> (Checker, Vec<Verdict>) {
    let checker = checker(|config| {
        config.set_max_in_flight(500).unwrap();
        config.set_threads(threads).unwrap();
    });
    let requests: Vec<Request> = (0..COUNT).map(|number| Request::new(at(nth(number), SILENT_PORT))).collect();
    let begun = Instant::now();
    let verdicts = std::thread::scope(|scope| {
        let checks = scope.spawn(|| checker.check_many(&requests));
        until("all permits are taken", || stats(&checker).in_flight == 500);
        end(&checker);
        checks.join().expect("check_many")
    });
    assert!(begun.elapsed() < Duration::from_millis(PATIENCE_MS.into()), "it waited for a deadline");
    assert_eq!(verdicts.len(), COUNT);
    (checker, verdicts)
}

#[test]
fn cancelling_everything_ends_a_list_with_a_result_for_each_and_the_checker_goes_on() {
    namespaced!("nft");
    let _listener = listen_everywhere();
    silence(SILENT_PORT);
    for threads in [1, 2] {
        let (checker, verdicts) = end_list_early(threads, |checker| assert_eq!(checker.cancel(0), Ok(())));
        assert_eq!(tally(&verdicts), HashMap::from([(Status::Cancelled, COUNT)]));
        assert_eq!(checker.stats().cancelled, COUNT as u64);
        assert_eq!(checker.stats().submitted, COUNT as u64);
        assert_eq!(checker.stats().in_flight, 0);
        let next = checker.check_many(&vec![Request::new(at(V4, PORT)); 1_000]);
        assert_eq!(tally(&next), HashMap::from([(Status::Up, 1_000)]));
    }
}

#[test]
fn shutdown_ends_a_list_with_a_result_for_each_and_later_ones_at_once() {
    namespaced!("nft");
    silence(SILENT_PORT);
    for threads in [1, 2] {
        let (checker, verdicts) = end_list_early(threads, Checker::shutdown);
        assert_eq!(tally(&verdicts), HashMap::from([(Status::Closed, COUNT)]));
        let next = checker.check_many(&vec![Request::new(at(V4, PORT)); 1_000]);
        assert_eq!(tally(&next), HashMap::from([(Status::Closed, 1_000)]));
        assert_eq!(checker.submit(vec![Request::new(at(V4, PORT))]), Err(Error::Closed));
        assert_eq!(checker.reap(&mut Vec::new(), 1, None), 0, "nothing is left to wait for");
    }
}

#[test]
fn cancelling_by_id_ends_submitted_checks_wherever_they_are_and_no_other() {
    namespaced!("nft");
    silence(SILENT_PORT);
    let checker = checker(|config| {
        config.set_max_in_flight(100).unwrap();
        config.set_threads(2).unwrap();
    });
    let requests = (0..1_000).map(|number| tagged(number, with_timeout(3_000, at(nth(number), SILENT_PORT))));
    let first = checker.submit(requests.collect()).expect("a live checker");
    // In flight, queued, or still on their way to the loop: every third.
    for id in (first..first + 1_000).step_by(3) {
        assert_eq!(checker.cancel(id), Ok(()));
    }
    let reports = reap(&checker, 1_000);
    assert_each_once(reports.iter().map(|report| report.tag).collect(), 1_000);
    for report in reports {
        let status = report.verdict.status;
        if report.tag % 3 == 0 {
            assert_eq!(status, Status::Cancelled, "{report:?}");
            assert!(report.verdict.elapsed_us < 3_000_000, "{report:?}");
        } else {
            assert!(status == Status::TimedOut || status == Status::Busy, "{report:?}");
        }
    }
    // They are over, so their ids lead to no check.
    assert_eq!(checker.cancel(first), Ok(()));
    assert_eq!(checker.cancel(u64::MAX), Ok(()));
    assert_eq!(checker.stats().cancelled, 334);
}

#[test]
fn cancelling_by_id_ends_a_check_of_one_target_that_began_on_its_callers_thread() {
    needs_sockets!("no check begins on its caller's thread");
    namespaced!("nft");
    silence(SILENT_PORT);
    let checker = loops(2);
    for number in 0..10 {
        let request = tagged(number, Request::new(at(nth(number), SILENT_PORT)));
        let id = checker.submit(vec![request]).expect("a live checker");
        assert_eq!(checker.stats().in_flight, 1, "submit has sent the SYN already");
        assert_eq!(checker.cancel(id), Ok(()));
        let report = reap(&checker, 1)[0];
        assert_eq!((report.id, report.tag, report.verdict.status), (id, number, Status::Cancelled), "{report:?}");
    }
    assert_eq!(checker.stats().cancelled, 10);
}

#[test]
fn results_that_wait_at_the_shutdown_can_still_be_reaped() {
    namespaced!("nft");
    let _listener = listen_everywhere();
    silence(SILENT_PORT);
    let checker = loops(2);
    let target = |number| at(nth(number), if number < 500 { PORT } else { SILENT_PORT });
    let requests = (0..1_000).map(|number| tagged(number, Request::new(target(number)))).collect();
    checker.submit(requests).expect("a live checker");
    until("the live ones are up", || stats(&checker).up == 500);
    checker.shutdown();
    let mut reports = Vec::new();
    while checker.reap(&mut reports, 100, None) > 0 {}
    for report in &reports {
        let expected = if report.tag < 500 { Status::Up } else { Status::Closed };
        assert_eq!(report.verdict.status, expected, "{report:?}");
    }
    assert_each_once(reports.iter().map(|report| report.tag).collect(), 1_000);
}

#[test]
fn shutdown_from_a_callback_ends_everything_else() {
    namespaced!("nft");
    let _listener = listen_everywhere();
    silence(SILENT_PORT);
    let checker = Arc::new(loops(2));
    checker.submit((0..100).map(|number| Request::new(at(nth(number), SILENT_PORT))).collect()).unwrap();
    let own = checker.clone();
    checker.submit_with(Request::new(at(V4, PORT)), Box::new(move |_| own.shutdown())).unwrap();
    let mut reports = Vec::new();
    while checker.reap(&mut reports, 100, None) > 0 {}
    assert_eq!(reports.len(), 100);
    assert!(reports.iter().all(|report| report.verdict.status == Status::Closed));
}

#[test]
fn checks_of_a_list_that_are_cancelled_before_their_turn_took_no_time() {
    namespaced!("nft");
    etc::replace();
    let _server = NameServer::start(&[("silent.test", Answer::Silence)]);
    silence(SILENT_PORT);
    let begun = Instant::now();
    let (_, verdicts) = end_list_early(1, |checker| assert_eq!(checker.cancel(0), Ok(())));
    // Those in flight, at most, have something to show.
    assert!(verdicts.iter().filter(|verdict| verdict.elapsed_us != 0).count() <= 500);
    assert!(verdicts.iter().all(|verdict| u128::from(verdict.elapsed_us) <= begun.elapsed().as_micros()));
    // Names wait for their lookup first.
    let checker = loops(1);
    let requests: Vec<Request> =
        (0..100).map(|number| Request::new(format!("silent.test:{}", 1_000 + number).as_str())).collect();
    let begun = Instant::now();
    let verdicts = std::thread::scope(|scope| {
        let checks = scope.spawn(|| checker.check_many(&requests));
        until("all are waiting", || stats(&checker).queued == 100);
        assert_eq!(checker.cancel(0), Ok(()));
        checks.join().expect("check_many")
    });
    assert_eq!(tally(&verdicts), HashMap::from([(Status::Cancelled, 100)]));
    assert!(verdicts.iter().all(|verdict| u128::from(verdict.elapsed_us) <= begun.elapsed().as_micros()));
}

#[test]
fn cancelling_thirty_thousand_checks_one_by_one_keeps_no_answer_waiting_for_its_reset() {
    namespaced!(alone, "nft");
    set_descriptor_limit(DESCRIPTORS);
    let _listener = listen_everywhere();
    silence(SILENT_PORT);
    // Their first SYNs are lost; a second later all of them are answered at once.
    sh("nft add table inet lossy");
    sh("nft add chain inet lossy arriving '{ type filter hook input priority 0; }'");
    sh(&format!("nft add rule inet lossy arriving tcp dport {PORT} drop"));
    let (silent, late, prompt) = (30_000, 500, 10_000);
    let completed = Completed::watch();
    let checker = checker(|config| config.set_max_in_flight(10_000).unwrap());
    checker.submit((0..late).map(|number| tagged(number, Request::new(at(nth(number), PORT)))).collect()).unwrap();
    until("the first SYNs", || stats(&checker).in_flight == late as u64);
    let answered = Instant::now() + Duration::from_secs(1);
    sh("nft delete table inet lossy");
    let (sender, calls) = channel();
    let submit_silent = |number| {
        let sender = sender.clone();
        let request = tagged(number, with_timeout(10 * PATIENCE_MS, at(nth(number), SILENT_PORT)));
        checker.submit_with(request, Box::new(move |report| sender.send(*report).unwrap())).expect("a live checker")
    };
    let ids: Vec<u64> = (0..silent).map(submit_silent).collect();
    until("all permits are taken", || stats(&checker).in_flight == 10_000);
    std::thread::sleep(answered.saturating_duration_since(Instant::now() + Duration::from_millis(50)));
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(checker.cancel(id), Ok(()));
        if number % (silent / prompt) == 0 {
            let tag = late + number / (silent / prompt);
            checker.submit(vec![tagged(tag, Request::new(at(nth(number), PORT)))]).expect("a live checker");
        }
    }
    drop(sender);
    let mut tags = Vec::new();
    loop {
        match driven::receive(&checker, &calls) {
            Ok(report) => {
                assert_eq!(report.verdict.status, Status::Cancelled, "{report:?}");
                tags.push(report.tag);
            }
            Err(RecvTimeoutError::Disconnected) => break, // no callback is left
            Err(RecvTimeoutError::Timeout) => panic!("only {} of {silent} callbacks ran", tags.len()),
        }
    }
    assert_each_once(tags, silent);
    let reports = reap(&checker, late + prompt);
    assert!(reports.iter().all(|report| report.verdict.status == Status::Up));
    assert_each_once(reports.iter().map(|report| report.tag).collect(), late + prompt);
    completed.assert_none_in_silence(&checker.stats());
}

/// A check that a cancel meets on its way from its caller's thread to the loop gives its permit back, too.
#[test]
fn cancel_that_meets_a_check_on_its_way_to_the_loop_frees_its_permit_for_the_next() {
    namespaced!("nft");
    silence(SILENT_PORT);
    let checker = Arc::new(checker(|config| config.set_max_in_flight(1).unwrap()));
    // Threads that live as long as the test, so that each round costs little and meets the other closely.
    let (to_block, blocks) = channel::<u32>();
    let (to_list, lists) = channel::<u32>();
    let (ended, ends) = channel();
    std::thread::spawn({
        let (checker, ended) = (checker.clone(), ended.clone());
        move || {
            for spin in blocks {
                (0..spin).for_each(|_| std::hint::spin_loop());
                ended.send(("blocking", checker.check(&Request::new(at(V4, SILENT_PORT))).status)).unwrap();
            }
        }
    });
    std::thread::spawn({
        let checker = checker.clone();
        move || {
            for spin in lists {
                (0..spin).for_each(|_| std::hint::spin_loop());
                checker.cancel(0).unwrap();
                let list = [Request::new(at(V4, DEAD_PORT))];
                ended.send(("list", checker.check_many(&list)[0].status)).unwrap();
            }
        }
    });
    let begun = Instant::now();
    let mut rounds = 0u32;
    while begun.elapsed() < Duration::from_secs(3) {
        rounds += 1;
        to_block.send(rounds * 37 % 1_000).unwrap();
        to_list.send(rounds * 101 % 3_000).unwrap();
        let mut left = vec!["blocking", "list"];
        let round = Instant::now();
        while !left.is_empty() {
            match ends.recv_timeout(Duration::from_millis(2)) {
                Ok((who, status)) => {
                    left.retain(|other| *other != who);
                    assert!([Status::Cancelled, Status::Refused].contains(&status), "{who}: {status:?}");
                }
                // The cancel came before the blocking check.
                Err(_) if left.contains(&"blocking") => assert_eq!(checker.cancel(0), Ok(())),
                // Nobody but the list itself can be in its way.
                Err(_) => assert!(round.elapsed() < Duration::from_secs(30), "round {rounds} never ends"),
            }
        }
    }
    println!("{rounds} rounds");
}
