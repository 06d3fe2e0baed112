//! Which changes are told of a target.

use tcpshaker::{State, Status, Watch};

use super::support::lists::*;
use super::support::monitors::*;
use super::support::targets::{DEAD_PORT, Listener, V4, at};

#[test]
fn whose_listener_comes_and_goes_changes_its_state_as_often() {
    namespaced!();
    with_every_kind(|checker| {
        let listener = Listener::on(V4, PORT);
        let monitor = monitor(&checker);
        let id = add(&monitor, Watch { tag: 7, ..quick(PORT) });
        let change = assert_next(&monitor, State::Unknown, State::Up);
        assert_eq!((change.id, change.tag, change.run, change.reported, change.skipped), (id, 7, 1, false, false));
        assert_eq!(change.last.map(|last| (last.status, last.address)), Some((Status::Up, Some(at(V4, PORT)))));
        quiet_until(&monitor, "more checks", || monitor.get(id).unwrap().checks >= 5);
        listener.assert_untouched();
        drop(listener);
        let change = assert_next(&monitor, State::Up, State::Down);
        assert_eq!((change.run, change.last.unwrap().status), (3, Status::Refused));
        let _listener = Listener::on(V4, PORT);
        let change = assert_next(&monitor, State::Down, State::Up);
        assert_eq!(change.run, 2);
        let info = monitor.get(id).unwrap();
        assert_eq!((info.state, info.changes, info.since_us), (State::Up, 3, change.at_us));
        assert!(info.up >= 7 && info.down >= 3 && info.no_verdict == 0, "{info:?}");
        assert!(info.rtt_us > 0 && info.rtt_smoothed_us > 0);
    });
}

#[test]
fn that_refuses_or_is_silent_is_down_at_its_first_verdict() {
    namespaced!("nft");
    silence(SILENT_PORT);
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let refused = add(&monitor, quick(DEAD_PORT));
        let change = assert_next(&monitor, State::Unknown, State::Down);
        assert_eq!((change.id, change.last.unwrap().status), (refused, Status::Refused));
        let silent = add(&monitor, Watch { timeout_ms: 50, ..quick(SILENT_PORT) });
        let change = assert_next(&monitor, State::Unknown, State::Down);
        assert_eq!((change.id, change.last.unwrap().status), (silent, Status::TimedOut));
    });
}

#[test]
fn that_many_watch_is_checked_for_all_of_them_at_once() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let watches: Vec<Watch> = (0..1_000).map(|tag| Watch { tag, ..quick(PORT) }).collect();
        let ids = monitor.add(&watches).unwrap();
        let mut tags: Vec<usize> = (0..1_000).map(|_| next(&monitor).tag).collect();
        tags.sort_unstable();
        assert_eq!(tags, (0..1_000).collect::<Vec<_>>());
        quiet_until(&monitor, "more checks", || monitor.get(ids[999]).unwrap().checks >= 10);
        let (checks, submitted) = (monitor.get(ids[0]).unwrap().checks, checker.stats().submitted);
        assert!(submitted <= u64::from(checks) + 100, "{submitted} checks for {checks} of each watch");
    });
}
