//! A host in trouble of its own takes nothing down.

use std::time::Duration;

use tcpshaker::{State, Status, Watch};

use super::support::firewall;
use super::support::lists::*;
use super::support::monitors::*;
use super::support::process::{Forked, sh, stop_parent_during};
use super::support::targets::{Listener, V4, at};

#[test]
fn that_has_lost_its_network_takes_nothing_down_and_judges_anew_afterwards() {
    namespaced!();
    with_every_kind(|checker| {
        let monitor = monitor_with(&checker, |config| config.set_max_down_percent(50).unwrap());
        let watches: Vec<Watch> = (0..20).map(|tag| Watch { timeout_ms: 100, tag, ..quick(PORT) }).collect();
        let targets = watches.into_iter().map(|watch| Watch { target: at(nth(watch.tag), PORT).into(), ..watch });
        let listeners: Vec<Listener> = (0..20).map(|number| Listener::on(nth(number), PORT)).collect();
        let ids = monitor.add(&targets.collect::<Vec<_>>()).unwrap();
        for _ in 0..20 {
            assert_next(&monitor, State::Unknown, State::Up);
        }
        sh("ip link set lo down");
        quiet_until(&monitor, "changes that are held back", || monitor.held() >= 60);
        sh("ip link set lo up");
        let ups = |id: u64| monitor.get(id).unwrap().up;
        let before: Vec<u32> = ids.iter().map(|&id| ups(id)).collect();
        quiet_until(&monitor, "all are up", || ids.iter().zip(&before).all(|(&id, before)| ups(id) > before + 3));
        let _others = listeners.into_iter().skip(1).collect::<Vec<_>>(); // the first is closed
        assert_eq!(assert_next(&monitor, State::Up, State::Down).id, ids[0]);
    });
}

#[test]
fn that_was_stopped_takes_nothing_down() {
    namespaced!("nft");
    let _listener = Listener::on(V4, PORT);
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let id = add(&monitor, Watch { timeout_ms: 1_000, fall: 1, ..quick(PORT) });
        assert_next(&monitor, State::Unknown, State::Up);
        // A check whose answer is lost is in flight, and its deadline passes while this program is stopped.
        silence(PORT);
        quiet_until(&monitor, "a check without an answer", || checker.stats().in_flight == 1);
        let stop = Forked::new(|| {
            stop_parent_during(|| std::thread::sleep(Duration::from_secs(2)));
            0
        });
        assert_eq!(stop.wait(), 0);
        firewall::open();
        quiet_until(&monitor, "a failure that is not believed", || monitor.held() == 1);
        quiet_until(&monitor, "it is checked", || monitor.get(id).unwrap().last.unwrap().status == Status::Up);
    });
}
