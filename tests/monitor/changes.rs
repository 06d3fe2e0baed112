//! Changes: how they come out, and what shows that they wait.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use tcpshaker::{EngineKind, Request, State, Status, Watch};

use super::support::descriptor::{LONG, is_readable};
use super::support::lists::*;
use super::support::monitors::*;
use super::support::process::{open_descriptors, threads, until};
use super::support::targets::{DEAD_PORT, Listener, V4, at};

#[test]
fn of_a_slow_reader_are_the_first_and_the_last_of_each_watch() {
    namespaced!();
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let ids = monitor.add(&[on_demand(PORT), on_demand(DEAD_PORT)]).unwrap();
        for number in 0..1_001 {
            ids.iter().for_each(|&id| monitor.report(id, number % 2 == 0).unwrap());
        }
        let mut changes = Vec::new();
        assert_eq!(monitor.reap(&mut changes, 100, Some(Duration::ZERO)), 4);
        for id in ids {
            let own: Vec<_> = changes.iter().filter(|change| change.id == id).collect();
            let told = own.iter().map(|change| (change.from, change.to, change.skipped));
            let expected = [(State::Unknown, State::Up, false), (State::Down, State::Up, true)];
            assert_eq!(told.collect::<Vec<_>>(), expected);
            assert_eq!(monitor.get(id).unwrap().changes, 1_001);
        }
    });
}

#[test]
fn are_every_result_where_that_is_asked_for() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    with_every_kind(|checker| {
        let monitor = monitor_with(&checker, |config| config.set_every_result(true).unwrap());
        add(&monitor, quick(PORT));
        assert_next(&monitor, State::Unknown, State::Up);
        assert_next(&monitor, State::Up, State::Up);
        assert_next(&monitor, State::Up, State::Up);
    });
}

#[test]
fn come_to_those_who_wait_for_them_already() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        std::thread::scope(|scope| {
            let waits = || scope.spawn(|| next(&monitor));
            let pause = || std::thread::sleep(Duration::from_millis(20));
            // Nothing is due, and nobody else would have the monitor get on.
            let reader = waits();
            pause();
            let id = add(&monitor, quick(PORT));
            let change = reader.join().unwrap();
            assert_eq!((change.id, change.to), (id, State::Up));
            monitor.pause(id, true).unwrap();
            let reader = waits();
            pause();
            let id = add(&monitor, on_demand(DEAD_PORT));
            monitor.check_now(id).unwrap();
            let change = reader.join().unwrap();
            assert_eq!((change.id, change.to), (id, State::Down));
            let reader = waits();
            pause();
            monitor.report(id, true).unwrap();
            let change = reader.join().unwrap();
            assert_eq!((change.id, change.to, change.reported), (id, State::Up, true));
        });
    });
}

#[test]
fn are_not_waited_for_by_those_who_have_no_room_for_one() {
    namespaced!();
    with_every_kind(|checker| {
        let monitor = Arc::new(monitor(&checker));
        let (end, ended) = mpsc::channel();
        let reader = monitor.clone();
        std::thread::spawn(move || end.send(reader.reap(&mut Vec::new(), 0, None)));
        assert_eq!(ended.recv_timeout(LONG), Ok(0), "it waits for ever");
        let id = add(&monitor, on_demand(PORT));
        monitor.report(id, true).unwrap();
        assert_eq!(monitor.reap(&mut Vec::new(), 0, None), 0);
        assert_eq!(next(&monitor).to, State::Up, "the change is lost");
    });
}

#[test]
fn are_shown_by_the_descriptor_exactly_while_they_wait() {
    namespaced!();
    for engine in [EngineKind::Socket, EngineKind::Raw] {
        let checker = of_kind(engine, false, |_| ());
        let monitor = monitor(&checker);
        let fd = monitor.raw_fd().expect("a descriptor");
        let id = add(&monitor, quick(PORT));
        assert_next(&monitor, State::Unknown, State::Down);
        assert!(!is_readable(fd, Duration::from_millis(100)), "checks are no changes");
        let _listener = Listener::on(V4, PORT);
        assert!(is_readable(fd, LONG));
        assert_next(&monitor, State::Down, State::Up);
        assert!(!is_readable(fd, Duration::ZERO));
        monitor.pause(id, true).unwrap();
        (0..3).for_each(|_| monitor.report(id, false).unwrap());
        assert!(is_readable(fd, Duration::ZERO));
        monitor.remove(&[id]).unwrap();
        assert!(!is_readable(fd, Duration::ZERO));
    }
}

#[test]
fn can_wait_when_the_monitor_is_freed_and_nothing_is_left_of_it() {
    namespaced!("nft");
    silence(SILENT_PORT);
    let _listener = Listener::on(V4, PORT);
    with_every_kind(|checker| {
        let mut used = Vec::new();
        for _ in 0..2 {
            for _ in 0..20 {
                let monitor = monitor(&checker);
                monitor.raw_fd().expect("a descriptor");
                let flapping = add(&monitor, on_demand(PORT));
                monitor.report(flapping, true).unwrap();
                let silent = add(&monitor, Watch { timeout_ms: 1_000, ..on_demand(SILENT_PORT) });
                monitor.check_now(silent).unwrap();
                until("a check in flight", || {
                    monitor.reap(&mut Vec::new(), 0, Some(Duration::ZERO));
                    checker.stats().in_flight > 0
                });
            }
            assert_eq!(checker.check(&Request::new(at(V4, PORT))).status, Status::Up);
            until("its checks have ended", || {
                checker.reap(&mut Vec::new(), 0, Some(Duration::ZERO));
                checker.stats().in_flight == 0
            });
            used.push((threads().len(), open_descriptors()));
        }
        // The checker itself may hold some sockets more or less.
        assert!(used[1].0 <= used[0].0 && used[1].1 < used[0].1 + 20, "{used:?}");
    });
}
