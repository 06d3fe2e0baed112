//! Watches of names: when they are looked up, and what is made of a name that does not resolve.

use std::sync::Arc;
use std::time::Instant;

use tcpshaker::{Checker, EngineKind, MonitorConfig, Request, State, Status, Watch};

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
        assert_eq!(change.last.unwrap().address, Some(at(std::net::IpAddr::from([127, 0, 0, 9]), PORT)));
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
    with_and_without_threads(|checker| {
        let begun = Instant::now();
        let before = server.asked_for_v4(HERE);
        let monitor = monitor_with(&checker, at_once);
        // Each has checks of its own, and all fail again and again.
        let watches = (0..20).map(|mark| Watch {
            interval_ms: HOUR_MS,
            falling_ms: 5,
            fall: 1_000_000,
            initial: State::Up,
            first_fall: 1_000_000,
            timeout_ms: PATIENCE_MS - mark,
            ..named(HERE)
        });
        let ids = monitor.add(&watches.collect::<Vec<_>>()).unwrap();
        quiet_until(&monitor, "many checks", || ids.iter().all(|&id| monitor.get(id).unwrap().down >= 10));
        // An answer is kept for half a minute at most.
        let most = 1 + begun.elapsed().as_secs() as usize / 30;
        let asked = server.asked_for_v4(HERE) - before;
        assert!((1..=most).contains(&asked), "asked {asked} times");
        // A check that no monitor makes is told nothing old.
        assert_eq!(checker.check(&Request::new(format!("{HERE}:{PORT}").as_str())).status, Status::Refused);
        assert!(server.asked_for_v4(HERE) - before > asked);
    });
}
