//! What becomes of a monitor with its checker: at a shutdown, in a forked child, driven by callers, inside a callback.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tcpshaker::{Change, EngineKind, Error, Monitor, MonitorConfig, Report, Request, State, Watch};

use super::support::descriptor::{LONG, is_readable};
use super::support::lists::*;
use super::support::monitors::*;
use super::support::process::{Forked, threads, until};
use super::support::targets::{DEAD_PORT, Listener, V4, at};

#[test]
fn that_shuts_down_wakes_those_who_wait_for_changes() {
    namespaced!();
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let fd = monitor.raw_fd().expect("a descriptor");
        let id = add(&monitor, on_demand(DEAD_PORT));
        std::thread::scope(|scope| {
            let reapers = [(); 4].map(|()| scope.spawn(|| monitor.reap(&mut Vec::new(), 1, None)));
            std::thread::sleep(Duration::from_millis(20));
            checker.shutdown();
            assert_eq!(reapers.map(|reaper| reaper.join().unwrap()), [0; 4]);
        });
        assert_eq!(monitor.add(&[quick(PORT)]), Err(Error::Closed));
        assert_eq!(monitor.check_now(id), Err(Error::Closed));
        monitor.report(id, true).unwrap();
        assert!(is_readable(fd, Duration::ZERO));
        let mut changes = Vec::new();
        assert_eq!(monitor.reap(&mut changes, 9, None), 1, "what was reported can still be reaped");
        assert_eq!(monitor.reap(&mut changes, 9, None), 0);
        assert!(!is_readable(fd, Duration::ZERO));
        assert!(matches!(Monitor::new(checker.clone(), &MonitorConfig::default()), Err(Error::Closed)));
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
            assert_eq!(outcomes, [Some(Error::Forked); 3]);
            assert_eq!((kept.raw_fd(), kept.held()), (None, 0));
            assert_eq!(kept.reap(&mut Vec::new(), 1, None), 0);
            let made = Monitor::new(checker.clone(), &MonitorConfig::default());
            assert!(matches!(made, Err(Error::Forked)));
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
fn whose_callback_uses_the_monitor_goes_on() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    with_every_kind(|checker| {
        let monitor = Arc::new(monitor(&checker));
        let ids = monitor.add(&[on_demand(PORT), on_demand(DEAD_PORT)]).unwrap();
        let (sender, receiver) = channel();
        let (inside, own) = (monitor.clone(), ids.clone());
        let callback = move |_: &Report| {
            let done = [inside.remove(&own[..1]), inside.pause(own[1], true), inside.report(own[1], true)];
            let mut changes = Vec::new();
            let taken = [(); 2].map(|()| inside.reap(&mut changes, 9, None)); // it does not wait
            inside.check_now(own[1]).unwrap();
            sender.send((add(&inside, quick(DEAD_PORT)), done, taken)).unwrap();
        };
        checker.submit_with(Request::new(at(V4, PORT)), Box::new(callback)).unwrap();
        let mut changes = Vec::new();
        let (added, done, taken) = loop {
            monitor.reap(&mut changes, 0, Some(Duration::from_millis(1)));
            if let Ok(told) = receiver.try_recv() {
                break told;
            }
        };
        assert_eq!((done, taken), ([Ok(()); 3], [1, 0]), "what was reported");
        let mut down = [(); 2].map(|()| next(&monitor)).map(|change| (change.id, change.to));
        down.sort_unstable_by_key(|(id, _)| *id != ids[1]);
        assert_eq!(down, [(ids[1], State::Down), (added, State::Down)]);
    });
}

/// 40 watches that want 400 checks a second, of a checker that may make 100, and with an impatient timeout.
#[test]
fn whose_rate_is_too_low_for_all_watches_checks_each_in_its_turn() {
    namespaced!();
    const WATCHES: usize = 40;
    let _listener = listen_everywhere();
    let checker = of_kind(EngineKind::Socket, false, |config| config.set_max_rate(100).unwrap());
    let monitor = monitor(&checker);
    let watch = |number| Watch { timeout_ms: 100, interval_ms: 100, ..Watch::new(at(nth(number), PORT)) };
    let ids = monitor.add(&(0..WATCHES).map(watch).collect::<Vec<_>>()).unwrap();
    let checks = || ids.iter().map(|&id| monitor.get(id).unwrap()).map(|info| info.up).collect::<Vec<_>>();
    until("each is checked four times", || checks().iter().all(|&checks| checks >= 4));
    let checks = checks();
    let (least, most) = (checks.iter().min().unwrap(), checks.iter().max().unwrap());
    assert!(most - least <= 2, "{checks:?}");
    assert!(ids.iter().all(|&id| monitor.get(id).unwrap().no_verdict == 0));
}
