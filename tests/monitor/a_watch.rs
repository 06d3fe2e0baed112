//! What can be done with a watch, and when it is checked.

use std::time::Duration;

use tcpshaker::{EngineKind, Error, State, Watch};

use super::support::lists::*;
use super::support::monitors::*;
use super::support::process::until;
use super::support::targets::{DEAD_PORT, Listener, V4};

#[test]
fn that_was_removed_is_told_of_no_more() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let ids = monitor.add(&[on_demand(PORT), on_demand(DEAD_PORT)]).unwrap();
        ids.iter().for_each(|&id| monitor.report(id, true).unwrap());
        assert_eq!(monitor.remove(&ids[..1]), Ok(()));
        assert_eq!(next(&monitor).id, ids[1]);
        assert_quiet(&monitor, 20);
        assert_eq!(monitor.remove(&ids), Err(Error::Invalid), "the first is gone already");
        for id in [ids[0], ids[1], 0] {
            assert_eq!(monitor.get(id).map(|info| info.checks), Err(Error::Invalid));
            assert_eq!(monitor.report(id, true), Err(Error::Invalid));
            assert_eq!(monitor.pause(id, true), Err(Error::Invalid));
            assert_eq!(monitor.check_now(id), Err(Error::Invalid));
        }
        let again = add(&monitor, quick(PORT));
        assert_eq!(assert_next(&monitor, State::Unknown, State::Up).id, again);
    });
}

#[test]
fn that_is_paused_is_not_checked_until_it_goes_on_or_is_asked_for() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let id = add(&monitor, quick(PORT));
        assert_next(&monitor, State::Unknown, State::Up);
        monitor.pause(id, true).unwrap();
        quiet_until(&monitor, "nothing in flight", || checker.stats().in_flight == 0);
        let (before, submitted) = (monitor.get(id).unwrap(), checker.stats().submitted);
        assert!(before.paused && before.next_us.is_none());
        assert_quiet(&monitor, 200);
        assert_eq!(checker.stats().submitted, submitted);
        monitor.check_now(id).unwrap();
        quiet_until(&monitor, "one check", || monitor.get(id).unwrap().checks == before.checks + 1);
        assert_quiet(&monitor, 100);
        assert_eq!(checker.stats().submitted, submitted + 1);
        monitor.pause(id, false).unwrap();
        quiet_until(&monitor, "more checks", || monitor.get(id).unwrap().checks >= before.checks + 5);
    });
}

#[test]
fn can_be_checked_at_once() {
    namespaced!();
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let id = add(&monitor, on_demand(PORT));
        monitor.check_now(id).unwrap();
        assert_next(&monitor, State::Unknown, State::Down);
        let _listener = Listener::on(V4, PORT);
        monitor.check_now(id).unwrap();
        assert_next(&monitor, State::Down, State::Up);
        assert!(monitor.get(id).unwrap().next_us.is_some());
    });
}

#[test]
fn takes_reports_for_verdicts() {
    namespaced!();
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let watch = Watch { fall: 2, initial: State::Up, first_fall: 2, falling_ms: HOUR_MS, ..on_demand(DEAD_PORT) };
        let id = add(&monitor, watch);
        monitor.report(id, false).unwrap();
        assert_quiet(&monitor, 20);
        monitor.report(id, false).unwrap();
        let change = assert_next(&monitor, State::Up, State::Down);
        assert_eq!((change.reported, change.run, change.last), (true, 2, None));
        assert_eq!(monitor.get(id).unwrap().checks, 0);
    });
}

#[test]
fn that_can_be_none_is_refused_and_so_are_those_beside_it() {
    namespaced!();
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let bad =
            [(Watch::new("no port"), Error::BadAddress), (Watch { jitter_percent: 51, ..quick(PORT) }, Error::Invalid)];
        for (bad, error) in bad {
            assert_eq!(monitor.add(&[quick(PORT), bad]), Err(error));
        }
        assert_eq!(monitor.add(&[]), Ok(Vec::new()));
        assert_quiet(&monitor, 100);
        assert_eq!(checker.stats().submitted, 0);
    });
}

/// How long the library's threads have run, in nanoseconds, and how often: of each the line that the scheduler keeps. A
/// thread whose line stays the same has slept all the time, and so has made no system call.
fn runs_of_library() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc").map(|entry| entry.unwrap().path());
    let is_ours = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("shaker-"))
    };
    tasks.filter(is_ours).map(|task| std::fs::read_to_string(task.join("schedstat")).expect("schedstat")).collect()
}

#[test]
fn that_is_paused_costs_no_system_call() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    for engine in [EngineKind::Socket, EngineKind::Raw] {
        let checker = of_kind(engine, false, |_| ());
        let monitor = monitor(&checker);
        let id = add(&monitor, quick(PORT));
        assert_next(&monitor, State::Unknown, State::Up);
        let before = runs_of_library();
        assert_eq!(before.len(), 2, "the loop's thread and the monitor's");
        quiet_until(&monitor, "it works", || runs_of_library() != before);
        monitor.pause(id, true).unwrap();
        // A loop gives back what lies idle after a while.
        until("they sleep for a second", || {
            let before = runs_of_library();
            std::thread::sleep(Duration::from_secs(1));
            runs_of_library() == before
        });
    }
}
