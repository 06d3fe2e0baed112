//! Lookups of names: how many there are at once, in which order, on which threads, and what is left of them.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::etc;
use support::handshake::Completed;
use support::lists::*;
use support::name_server::{Answer, NameServer};
use support::process::until;
use support::targets::{Listener, V4, at};
use tcpshaker::{Checker, Request, Status};

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

/// How many threads of this process have a name that begins so.
fn threads_named(prefix: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

const RESOLVER: &str = "shaker-resolver";
const LOOP: &str = "shaker-loop";

/// Whether the thread of this name sleeps, some milliseconds from now (proc_pid_stat(5)).
fn is_asleep(name: &str) -> bool {
    std::thread::sleep(Duration::from_millis(5));
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc");
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    stats.filter(|stat| stat.contains(&format!("({name}"))).all(|stat| stat.contains(") S "))
}

#[test]
fn as_many_names_are_looked_up_at_once_as_the_setting_says() {
    namespaced!();
    etc::replace();
    etc::use_name_server(30, 1);
    let silent = names("silent", 40);
    let server = name_server(Duration::ZERO, &silent, &[]);
    for most in [1, 7] {
        let checker = checker(|config| config.set_max_lookups(most).unwrap());
        let asked = || silent.iter().map(|name| server.asked_for_v4(name)).sum::<usize>();
        let before = asked();
        // Each has two seconds, so that freeing the checker does not take longer.
        checker.submit(silent.iter().map(|name| ask(name, 2_000)).collect()).expect("a live checker");
        until("they are being looked up", || asked() - before == most as usize);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(asked() - before, most as usize);
        assert_eq!(checker.cancel(0), Ok(()));
    }
}

#[test]
fn time_of_a_check_in_a_list_runs_from_when_its_name_is_looked_up() {
    namespaced!();
    etc::replace();
    etc::use_name_server(30, 1);
    let known = names("known", 6);
    let _server = name_server(Duration::from_millis(600), &[], &known);
    let _listener = Listener::on(V4, PORT);
    let checker = checker(|config| config.set_max_lookups(1).unwrap());
    let requests: Vec<Request> = known.iter().map(|name| ask(name, 3_000)).collect();
    // The last one waits for three seconds before its lookup begins.
    assert_eq!(tally(&checker.check_many(&requests)), HashMap::from([(Status::Up, 6)]));
    // The time of checks that are submitted runs meanwhile.
    let reports = {
        checker.submit(requests.clone()).expect("a live checker");
        reap(&checker, 6)
    };
    assert!(reports.iter().any(|report| report.verdict.status == Status::Unresolved), "{reports:?}");
}

#[test]
fn names_whose_checks_ran_out_of_time_hold_up_no_other() {
    namespaced!();
    etc::replace();
    etc::use_name_server(20, 1);
    // They are never asked for twice, so that nobody can know that they are slow.
    let (dead, fresh) = (names("dead", 400), names("fresh", 20));
    let server = name_server(Duration::ZERO, &dead, &fresh);
    let _listener = Listener::on(V4, PORT);
    let checker = loops(1);
    // The lookup is to last as long as the one patient check of the name has time, which is cancelled.
    let patient = dead.iter().take(64).map(|name| ask(name, 20_000)).collect();
    let first = checker.submit(patient).expect("a live checker");
    until("they are being looked up", || dead.iter().take(64).all(|name| server.asked_for_v4(name) > 0));
    checker.submit(dead.iter().map(|name| ask(name, 300)).collect()).expect("a live checker");
    (first..first + 64).for_each(|id| assert_eq!(checker.cancel(id), Ok(())));
    let reports = reap(&checker, 64 + 400);
    assert!(reports.iter().all(|report| report.verdict.status != Status::Up));
    let verdicts = checker.check_many(&fresh.iter().map(|name| ask(name, 6_000)).collect::<Vec<_>>());
    assert_eq!(tally(&verdicts), HashMap::from([(Status::Up, 20)]));
}

#[test]
fn hundred_thousand_checks_of_one_name_share_a_lookup_and_keep_no_answer_waiting() {
    namespaced!(alone);
    etc::replace();
    etc::use_name_server(30, 1);
    let known = names("known", 1);
    let may_answer = Arc::new(Mutex::new(()));
    let held = may_answer.lock().unwrap();
    let wait = {
        let may_answer = may_answer.clone();
        move || drop(may_answer.lock())
    };
    let server = NameServer::start_waiting(wait, &[(&known[0], Answer::Addresses(vec![V4]))]);
    let _listener = listen_everywhere();
    let checker = loops(1);
    let completed = Completed::watch();
    const COUNT: usize = 100_000;
    let checks = (0..COUNT).map(|number| tagged(number, ask(&known[0], 10 * PATIENCE_MS)));
    checker.submit(checks.collect()).expect("a live checker");
    until("the loop has nothing to do but to wait for the answer", || (0..20).all(|_| is_asleep(LOOP)));
    drop(held);
    // Others are answered all the while.
    let mut others = 0;
    while checker.stats().up < (COUNT + others) as u64 {
        let verdicts = checker.check_many(&vec![Request::new(at(V4, PORT)); 10]);
        others += verdicts.len();
        assert_eq!(tally(&verdicts), HashMap::from([(Status::Up, 10)]));
    }
    assert_each_once(reap(&checker, COUNT).iter().map(|report| report.tag).collect(), COUNT);
    assert_eq!(server.asked_for_v4(&known[0]), 1);
    completed.assert_none_in_silence(&checker.stats());
}

#[test]
fn threads_without_work_end_and_others_come_when_there_is_work_again() {
    namespaced!();
    etc::replace();
    etc::use_name_server(30, 1);
    let known = names("known", 30);
    let _server = name_server(Duration::from_millis(300), &[], &known);
    let _listener = Listener::on(V4, PORT);
    let checker = loops(1);
    let requests: Vec<Request> = known.iter().map(|name| ask(name, PATIENCE_MS)).collect();
    assert_eq!(threads_named(RESOLVER), 0);
    for _ in 0..2 {
        assert_eq!(tally(&checker.check_many(&requests)), HashMap::from([(Status::Up, 30)]));
        assert!(threads_named(RESOLVER) >= 30);
        until("they have ended", || threads_named(RESOLVER) == 0);
    }
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

/// Has a checker end by a callback that holds its last handle, and waits until its threads are gone.
fn end_in_a_callback(checker: Checker) {
    let checker = Arc::new(checker);
    let (handle_gone, wait) = channel::<()>();
    let own = checker.clone();
    let drop_it = Box::new(move |_: &_| {
        let _ = wait.recv();
        drop(own);
    });
    checker.submit_with(Request::new(at(V4, PORT)), drop_it).expect("a live checker");
    drop(checker);
    drop(handle_gone);
    until("every thread has ended", || threads_named("shaker-") == 0);
}

#[test]
fn last_handle_that_is_dropped_in_a_callback_leaves_no_thread() {
    namespaced!();
    etc::replace();
    etc::use_name_server(30, 1);
    let silent = names("silent", 2);
    let server = name_server(Duration::ZERO, &silent, &[]);
    let _listener = Listener::on(V4, PORT);
    for threads in [1, 2] {
        let checker = loops(threads);
        let before = server.asked_for_v4(&silent[1]);
        checker.submit(silent.iter().map(|name| ask(name, 1_000)).collect()).expect("a live checker");
        until("they are being looked up", || server.asked_for_v4(&silent[1]) > before);
        end_in_a_callback(checker);
    }
}

#[test]
fn last_handle_that_is_dropped_in_a_callback_leaves_no_stack() {
    namespaced!();
    etc::replace();
    let _listener = Listener::on(V4, PORT);
    // Each stack has a page beside it that nobody may touch.
    let stacks = || std::fs::read_to_string("/proc/self/maps").expect("/proc").matches("---p").count();
    let mut before = 0;
    for round in 0..30 {
        if round == 10 {
            before = stacks();
        }
        let checker = loops(1);
        assert_eq!(checker.check_addr(&format!("localhost:{PORT}"), 0).status, Status::Up);
        end_in_a_callback(checker);
    }
    assert!(stacks() < before + 10, "{before} became {}", stacks());
}
