//! Watches of names: when they are looked up, and what is made of a name that does not resolve.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tcpshaker::{Checker, EngineKind, Monitor, MonitorConfig, Request, State, Status, Watch};

use super::support::etc;
use super::support::lists::*;
use super::support::monitors::*;
use super::support::name_server::{Answer, NameServer};
use super::support::targets::{Listener, V4, at};

const HERE: &str = "here.test";

/// A name server that knows one name, an address of this host.
fn name_server() -> NameServer {
    etc::replace();
    etc::use_name_server(5, 1);
    NameServer::start(&[(HERE, Answer::Addresses(vec![V4]))])
}

fn with_and_without_threads(test: impl Fn(Arc<Checker>)) {
    [false, true].into_iter().for_each(|caller_driven| test(of_kind(EngineKind::Socket, caller_driven, |_| ())));
}

fn named(name: &str) -> Watch {
    Watch { interval_ms: 20, ..Watch::new(format!("{name}:{PORT}").as_str()) }
}

fn at_once(config: &mut MonitorConfig) {
    config.set_max_spread(0).unwrap();
}

#[test]
fn that_does_not_resolve_is_no_verdict_and_one_that_does_is() {
    namespaced!();
    let _server = name_server();
    let _listener = Listener::on(V4, PORT);
    with_and_without_threads(|checker| {
        let monitor = monitor(&checker);
        let nowhere = add(&monitor, named("nowhere.test"));
        quiet_until(&monitor, "lookups that fail", || monitor.get(nowhere).unwrap().no_verdict >= 3);
        let info = monitor.get(nowhere).unwrap();
        assert_eq!((info.state, info.last.unwrap().status), (State::Unknown, Status::Unresolved));
        let here = add(&monitor, named(HERE));
        let change = assert_next(&monitor, State::Unknown, State::Up);
        assert_eq!((change.id, change.last.unwrap().address), (here, Some(at(V4, PORT))));
    });
}

#[test]
fn that_resolves_no_more_leaves_its_target_as_it_was() {
    namespaced!();
    let _server = name_server();
    let hosts = |line: &str| std::fs::write("/etc/hosts", line).expect("a file in the new /etc");
    let _listener = Listener::on(V4, PORT);
    with_and_without_threads(|checker| {
        let monitor = monitor(&checker);
        hosts("127.0.0.1 moving.test\n");
        let id = add(&monitor, named("moving.test"));
        assert_next(&monitor, State::Unknown, State::Up);
        hosts("");
        quiet_until(&monitor, "lookups that fail", || monitor.get(id).unwrap().no_verdict >= 5);
        hosts("127.0.0.9 moving.test\n"); // where nobody listens
        let change = assert_next(&monitor, State::Up, State::Down);
        assert_eq!(change.last.unwrap().address, Some(at(IpAddr::from([127, 0, 0, 9]), PORT)));
    });
}

#[test]
fn is_looked_up_anew_at_each_check_that_follows_its_interval() {
    namespaced!();
    let server = name_server();
    let _listener = Listener::on(V4, PORT);
    with_and_without_threads(|checker| {
        let before = server.asked_for_v4(HERE);
        let monitor = monitor(&checker);
        let id = add(&monitor, named(HERE));
        assert_next(&monitor, State::Unknown, State::Up);
        quiet_until(&monitor, "more checks", || monitor.get(id).unwrap().checks >= 10);
        let checks = monitor.get(id).unwrap().checks as usize;
        let asked = server.asked_for_v4(HERE) - before;
        assert!(asked >= checks, "asked {asked} times for {checks} checks");
    });
}

#[test]
fn is_looked_up_once_for_all_checks_within_an_interval() {
    namespaced!();
    let server = name_server();
    let _listener = Listener::on(V4, PORT);
    with_and_without_threads(|checker| {
        let monitor = monitor_with(&checker, at_once);
        // Each has checks of its own, and all are up again and again.
        let watches = (0..20).map(|mark| Watch { interval_ms: 200, timeout_ms: PATIENCE_MS - mark, ..named(HERE) });
        let ids = monitor.add(&watches.collect::<Vec<_>>()).unwrap();
        for _ in &ids {
            assert_next(&monitor, State::Unknown, State::Up);
        }
        let begun = Instant::now();
        let before = server.asked_for_v4(HERE);
        quiet_until(&monitor, "many checks", || ids.iter().all(|&id| monitor.get(id).unwrap().up >= 6));
        // An answer is kept for nine tenths of the interval.
        let most = 1 + begun.elapsed().as_millis() as usize / 180;
        let asked = server.asked_for_v4(HERE) - before;
        assert!((1..=most).contains(&asked), "asked {asked} times, and {most} are enough");
        // A check that no monitor makes is told nothing old.
        ids.iter().for_each(|&id| monitor.pause(id, true).unwrap());
        let before = server.asked_for_v4(HERE);
        assert_eq!(checker.check(&Request::new(format!("{HERE}:{PORT}").as_str())).status, Status::Up);
        assert!(server.asked_for_v4(HERE) > before);
    });
}

const MOVING: &str = "moving.test";

/// The name has this address of this host from now on.
fn move_to(last: u8) {
    std::fs::write("/etc/hosts", format!("127.0.0.{last} {MOVING}\n")).expect("a file in the new /etc");
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// A watch of a name that moves to 127.0.0.3 when its target is up. The answer from before that is kept, for another
/// watch, and stays so for half a minute.
fn moved(monitor: &Monitor, rise: u32) -> u64 {
    let old = Listener::on(address(1), PORT);
    move_to(1);
    let other = add(monitor, named(MOVING));
    assert_next(monitor, State::Unknown, State::Up);
    let own = Watch { interval_ms: HOUR_MS, falling_ms: 20, rising_ms: 20, down_ms: 20, ..named(MOVING) };
    let id = add(monitor, Watch { fall: 1, rise, ..own });
    assert_next(monitor, State::Unknown, State::Up);
    let checks = monitor.get(other).unwrap().checks;
    quiet_until(monitor, "an answer is kept", || monitor.get(other).unwrap().checks >= checks + 3);
    monitor.pause(other, true).unwrap();
    drop(old);
    move_to(3);
    id
}

#[test]
fn that_has_moved_is_found_by_a_check_that_is_asked_for_and_by_those_after_a_failure() {
    namespaced!();
    let _server = name_server();
    let _listener = Listener::on(address(3), PORT);
    with_and_without_threads(|checker| {
        let monitor = monitor_with(&checker, at_once);
        let id = moved(&monitor, 1);
        monitor.check_now(id).unwrap();
        quiet_until(&monitor, "the new address is found", || monitor.get(id).unwrap().up >= 2);
        assert_eq!(monitor.get(id).unwrap().last.unwrap().address, Some(at(address(3), PORT)));
        move_to(9); // where nobody listens
        monitor.check_now(id).unwrap();
        assert_next(&monitor, State::Up, State::Down);
        let begun = Instant::now();
        move_to(3);
        assert_next(&monitor, State::Down, State::Up);
        assert!(begun.elapsed().as_secs() < 25, "as long as the old answer is kept");
    });
}

#[test]
fn that_has_moved_is_up_again_by_the_new_answer_and_not_by_one_that_was_kept() {
    namespaced!();
    let _server = name_server();
    let _listener = Listener::on(address(3), PORT);
    with_and_without_threads(|checker| {
        let monitor = monitor_with(&checker, at_once);
        let id = moved(&monitor, 2);
        monitor.report(id, false).unwrap();
        assert_next(&monitor, State::Up, State::Down);
        assert_next(&monitor, State::Down, State::Up);
        assert_eq!(monitor.get(id).unwrap().up, 3, "two in a row, after the first of all");
    });
}
