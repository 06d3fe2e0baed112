//! A host in trouble of its own takes nothing down: without its network, stopped, without descriptors. Nor does a network
//! that loses packets.

use std::time::{Duration, Instant};

use tcpshaker::{Config, EngineKind, Monitor, State, Status, Watch};

use super::support::firewall::{self, Hook};
use super::support::lists::*;
use super::support::monitors::*;
use super::support::process::{Forked, sh, stop_parent_during};
use super::support::rlimit::{NoDescriptorLeft, set_descriptor_limit};
use super::support::targets::{Listener, V4, at};

/// Listeners on addresses of their own.
fn listeners(count: usize) -> Vec<Listener> {
    (0..count).map(|number| Listener::on(nth(number), PORT)).collect()
}

/// A watch of each, like this one. All are up.
fn watch_all(monitor: &Monitor, count: usize, like: &Watch) -> Vec<u64> {
    let watch = |tag| Watch { target: at(nth(tag), PORT).into(), tag, ..like.clone() };
    let ids = monitor.add(&(0..count).map(watch).collect::<Vec<_>>()).unwrap();
    for _ in 0..count {
        assert_next(monitor, State::Unknown, State::Up);
    }
    ids
}

/// Each is found up this many times from now on, and no change comes meanwhile.
#[track_caller]
fn assert_found_up(monitor: &Monitor, ids: &[u64], times: u32) {
    let ups = |id: u64| monitor.get(id).unwrap().up;
    let before: Vec<u32> = ids.iter().map(|&id| ups(id)).collect();
    quiet_until(monitor, "all are up", || ids.iter().zip(&before).all(|(&id, before)| ups(id) >= before + times));
}

fn as_it_is(_: &mut Config) {}

#[test]
fn that_has_lost_its_network_takes_nothing_down_and_judges_anew_afterwards() {
    namespaced!();
    let listeners = std::sync::Mutex::new(Vec::new());
    side_by_side(as_it_is, |checker, together| {
        together.once(|| *listeners.lock().unwrap() = self::listeners(20));
        let monitor = monitor_with(&checker, |config| config.set_max_down_percent(50).unwrap());
        let ids = watch_all(&monitor, 20, &Watch { timeout_ms: 100, ..quick(PORT) });
        let lost = Instant::now();
        together.once(|| drop(sh("ip link set lo down")));
        quiet_until(&monitor, "changes are held back for 3 s", || {
            lost.elapsed() >= Duration::from_secs(3) && monitor.held() >= 60
        });
        together.once(|| drop(sh("ip link set lo up")));
        assert_found_up(&monitor, &ids, 3);
        together.once(|| drop(listeners.lock().unwrap().remove(0)));
        assert_eq!(assert_next(&monitor, State::Up, State::Down).id, ids[0]);
        together.once(|| listeners.lock().unwrap().clear());
    });
}

#[test]
fn that_was_stopped_takes_nothing_down() {
    namespaced!("nft");
    let _listeners = listeners(20);
    let _listener = Listener::on(V4, PORT);
    side_by_side(as_it_is, |checker, together| {
        let monitor = monitor(&checker);
        let ids = watch_all(&monitor, 20, &Watch { fall: 1, timeout_ms: 2_500, ..quick(PORT) });
        let silent = add(&monitor, Watch { fall: 1, timeout_ms: 2_500, ..quick(PORT) });
        assert_next(&monitor, State::Unknown, State::Up);
        // A check whose answer is lost is in flight, and its deadline passes while this program is stopped.
        together.once(|| firewall::add(Hook::Input, &["ip daddr 127.0.0.1 drop"]));
        let mut waiting = (0, Instant::now());
        quiet_until(&monitor, "a check without an answer", || {
            let info = monitor.get(silent).unwrap();
            if info.next_us.is_some() || info.checks != waiting.0 {
                waiting = (info.checks, Instant::now());
            }
            waiting.1.elapsed() > Duration::from_millis(100)
        });
        together.once(|| {
            let stop = Forked::new(|| {
                stop_parent_during(|| std::thread::sleep(Duration::from_secs(3)));
                0
            });
            assert_eq!(stop.wait(), 0);
            firewall::open();
        });
        quiet_until(&monitor, "a failure that is not believed", || monitor.held() >= 1);
        quiet_until(&monitor, "it is checked", || monitor.get(silent).unwrap().last.unwrap().status == Status::Up);
        assert_found_up(&monitor, &ids, 3);
    });
}

#[test]
fn without_a_descriptor_left_has_no_verdict_and_changes_nothing() {
    namespaced!();
    let _listeners = listeners(20);
    set_descriptor_limit(300);
    for engine in [EngineKind::Socket, EngineKind::Raw] {
        for caller_driven in [false, true] {
            let checker = of_kind(engine, caller_driven, |_| ());
            let monitor = monitor(&checker);
            let ids = watch_all(&monitor, 20, &Watch { fall: 1, ..quick(PORT) });
            let all = NoDescriptorLeft::take_all();
            let checks = || ids.iter().map(|&id| monitor.get(id).unwrap().checks).collect::<Vec<_>>();
            let before = checks();
            quiet_until(&monitor, "more checks", || checks().iter().zip(&before).all(|(now, then)| *now >= then + 5));
            assert!(ids.iter().all(|&id| monitor.get(id).unwrap().down == 0));
            drop(all);
            assert_found_up(&monitor, &ids, 3);
        }
    }
}

/// No socket is left to a checker that has made no check yet.
#[test]
fn without_a_descriptor_left_from_the_beginning_knows_nothing() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    set_descriptor_limit(200);
    for caller_driven in [false, true] {
        let checker = of_kind(EngineKind::Socket, caller_driven, |_| ());
        let monitor = monitor(&checker);
        let all = NoDescriptorLeft::take_all();
        let id = add(&monitor, quick(PORT));
        quiet_until(&monitor, "checks that cannot be made", || monitor.get(id).unwrap().no_verdict >= 3);
        assert_eq!(monitor.get(id).unwrap().state, State::Unknown);
        drop(all);
        assert_next(&monitor, State::Unknown, State::Up);
    }
}

/// One packet in twenty is lost. A check is wrong with probability 9 in 100,000, and three in a row once in 10^12.
#[test]
fn on_a_network_that_loses_packets_takes_down_what_is_down_and_nothing_else() {
    namespaced!("nft");
    let _listeners = listeners(100);
    firewall::add(Hook::Input, &["numgen random mod 20 0 drop"]);
    side_by_side(
        |config| config.set_syn_interval(300).unwrap(),
        |checker, _| {
            let monitor = monitor(&checker);
            let lossy = Watch { timeout_ms: 1_000, fall: 3, first_fall: 3, ..quick(PORT) };
            let ids = watch_all(&monitor, 100, &lossy);
            assert_found_up(&monitor, &ids, 10);
            let dead = add(&monitor, Watch { target: at(nth(100), PORT).into(), ..lossy });
            let change = assert_next(&monitor, State::Unknown, State::Down);
            assert_eq!((change.id, change.last.unwrap().status), (dead, Status::Refused));
        },
    );
}
