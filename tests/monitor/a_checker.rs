//! What becomes of a monitor with its checker: at a shutdown, in a forked child, driven by callers, without descriptors.

use std::time::{Duration, Instant};

use tcpshaker::{Change, EngineKind, Monitor, MonitorConfig, State, Status, Watch};

use super::support::descriptor::{LONG, is_readable};
use super::support::lists::*;
use super::support::monitors::*;
use super::support::process::{Forked, threads};
use super::support::rlimit::{NoDescriptorLeft, set_descriptor_limit};
use super::support::targets::{DEAD_PORT, Listener, V4};

#[test]
fn that_shuts_down_wakes_those_who_wait_for_changes() {
    namespaced!();
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let fd = monitor.raw_fd().expect("a descriptor");
        let id = add(&monitor, on_demand(DEAD_PORT));
        std::thread::scope(|scope| {
            let reaper = scope.spawn(|| monitor.reap(&mut Vec::new(), 1, None));
            std::thread::sleep(Duration::from_millis(20));
            checker.shutdown();
            assert_eq!(reaper.join().unwrap(), 0);
        });
        assert_eq!(monitor.add(&[quick(PORT)]), Err(Status::Closed));
        assert_eq!(monitor.check_now(id), Err(Status::Closed));
        monitor.report(id, true).unwrap();
        assert!(is_readable(fd, Duration::ZERO));
        let mut changes = Vec::new();
        assert_eq!(monitor.reap(&mut changes, 9, None), 1, "what was reported can still be reaped");
        assert_eq!(monitor.reap(&mut changes, 9, None), 0);
        assert!(!is_readable(fd, Duration::ZERO));
        assert!(matches!(Monitor::new(checker.clone(), &MonitorConfig::default()), Err(Status::Closed)));
    });
}

#[test]
fn of_a_parent_process_has_no_monitor_in_its_child() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    with_every_kind(|checker| {
        let (kept, given) = (monitor(&checker), monitor(&checker));
        let id = add(&kept, quick(PORT));
        assert_next(&kept, State::Unknown, State::Up);
        let child = Forked::new(|| {
            let outcomes = [kept.add(&[quick(PORT)]).err(), kept.remove(&[id]).err(), kept.get(id).err()];
            assert_eq!(outcomes, [Some(Status::Forked); 3]);
            assert_eq!((kept.raw_fd(), kept.held()), (None, 0));
            assert_eq!(kept.reap(&mut Vec::new(), 1, None), 0);
            let made = Monitor::new(checker.clone(), &MonitorConfig::default());
            assert!(matches!(made, Err(Status::Forked)));
            drop(given);
            0
        });
        assert_eq!(child.wait(), 0);
        let checks = kept.get(id).unwrap().checks;
        quiet_until(&kept, "more checks", || kept.get(id).unwrap().checks >= checks + 3);
    });
}

#[test]
fn that_callers_drive_has_a_monitor_without_a_thread_whose_descriptor_says_when_to_reap() {
    namespaced!("nft");
    silence(SILENT_PORT);
    for engine in [EngineKind::Socket, EngineKind::Raw] {
        let listener = Listener::on(V4, PORT);
        let before = threads();
        let checker = of_kind(engine, true, |_| ());
        let monitor = monitor(&checker);
        let fd = monitor.raw_fd().expect("a descriptor");
        assert!(!is_readable(fd, Duration::ZERO), "there is nothing to do");
        let silent = Watch { timeout_ms: 50, first_fall: 2, ..quick(SILENT_PORT) };
        let ids = monitor.add(&[quick(PORT), silent]).unwrap();
        let mut changes = Vec::new();
        let drive_until = |changes: &mut Vec<Change>, count: usize| {
            while changes.len() < count {
                assert!(is_readable(fd, LONG), "only {changes:?}, and nothing to do");
                monitor.reap(changes, 10, Some(Duration::ZERO));
            }
        };
        drive_until(&mut changes, 2);
        drop(listener);
        drive_until(&mut changes, 3);
        let of = |id: u64| changes.iter().filter(|change| change.id == id).map(|change| change.to).collect::<Vec<_>>();
        assert_eq!((of(ids[0]), of(ids[1])), (vec![State::Up, State::Down], vec![State::Down]));
        assert_eq!(threads(), before);
        ids.iter().for_each(|&id| monitor.pause(id, true).unwrap());
        let begun = Instant::now();
        while is_readable(fd, Duration::from_millis(200)) {
            monitor.reap(&mut changes, 10, Some(Duration::ZERO));
            assert!(begun.elapsed() < LONG, "a paused monitor always has something to do");
        }
    }
}

#[test]
fn without_a_descriptor_left_has_no_verdict() {
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
