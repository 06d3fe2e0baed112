//! Monitors: which changes of a target they tell, of listeners that come and go, and what happens to the changes.
//! On checkers with threads and on caller-driven ones, with the kernel's sockets and with segments of the library's own.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::descriptor::{LONG, is_readable};
use support::etc;
use support::firewall;
use support::lists::*;
use support::name_server::{Answer, NameServer};
use support::process::{Forked, open_descriptors, sh, stop_parent_during, threads, until};
use support::rlimit::{NoDescriptorLeft, set_descriptor_limit};
use support::targets::{DEAD_PORT, Listener, V4, at};
use tcpshaker::{Change, Checker, Config, EngineKind, Monitor, MonitorConfig, Request, State, Status, Watch};

const HOUR_MS: u32 = 3_600_000;

/// Does the same with a checker of each kind.
fn with_every_kind(test: impl Fn(Arc<Checker>)) {
    for engine in [EngineKind::Socket, EngineKind::Raw] {
        for caller_driven in [false, true] {
            test(of_kind(engine, caller_driven, |_| ()));
        }
    }
}

fn of_kind(engine: EngineKind, caller_driven: bool, configure: impl FnOnce(&mut Config)) -> Arc<Checker> {
    Arc::new(checker(|config| {
        config.set_engine(engine).unwrap();
        config.set_caller_driven(caller_driven).unwrap();
        configure(config);
    }))
}

fn monitor(checker: &Arc<Checker>) -> Monitor {
    monitor_with(checker, |_| ())
}

fn monitor_with(checker: &Arc<Checker>, configure: impl FnOnce(&mut MonitorConfig)) -> Monitor {
    let mut config = MonitorConfig::default();
    configure(&mut config);
    Monitor::new(checker.clone(), &config).expect("a monitor")
}

/// A watch that is checked fifty times a second.
fn quick(port: u16) -> Watch {
    Watch { interval_ms: 20, ..Watch::new(at(V4, port)) }
}

/// A watch that is checked when somebody asks for it, and changes with each verdict.
fn on_demand(port: u16) -> Watch {
    Watch { interval_ms: HOUR_MS, fall: 1, rise: 1, ..Watch::new(at(V4, port)) }
}

fn add(monitor: &Monitor, watch: Watch) -> u64 {
    monitor.add(&[watch]).expect("a live monitor")[0]
}

/// The next change, which comes within a minute.
#[track_caller]
fn next(monitor: &Monitor) -> Change {
    let mut changes = Vec::new();
    assert_eq!(monitor.reap(&mut changes, 1, Some(LONG)), 1, "no change came");
    changes[0]
}

/// The next change is from one state to another.
#[track_caller]
fn assert_next(monitor: &Monitor, from: State, to: State) -> Change {
    let change = next(monitor);
    assert_eq!((change.from, change.to), (from, to), "{change:?}");
    change
}

/// The monitor gets on for a while, and no change comes.
#[track_caller]
fn assert_quiet(monitor: &Monitor, time_ms: u64) {
    let mut changes = Vec::new();
    let taken = monitor.reap(&mut changes, 1, Some(Duration::from_millis(time_ms)));
    assert_eq!(taken, 0, "{changes:?}");
}

/// The monitor gets on until `condition` holds, and no change comes meanwhile.
#[track_caller]
fn quiet_until(monitor: &Monitor, what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert_quiet(monitor, 5);
        assert!(begun.elapsed() < LONG, "waited a minute in vain: {what}");
    }
}

mod a_target {
    use super::*;

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
    fn whose_name_does_not_resolve_has_no_verdict_and_one_that_does_has() {
        namespaced!();
        etc::replace();
        etc::use_name_server(5, 1);
        let _server = NameServer::start(&[("here.test", Answer::Addresses(vec![V4]))]);
        let _listener = Listener::on(V4, PORT);
        for caller_driven in [false, true] {
            let checker = of_kind(EngineKind::Socket, caller_driven, |_| ());
            let monitor = monitor(&checker);
            let named = |name: &str| Watch { interval_ms: 20, ..Watch::new(format!("{name}:{PORT}").as_str()) };
            let nowhere = add(&monitor, named("nowhere.test"));
            quiet_until(&monitor, "lookups that fail", || monitor.get(nowhere).unwrap().no_verdict >= 3);
            let info = monitor.get(nowhere).unwrap();
            assert_eq!((info.state, info.last.unwrap().status), (State::Unknown, Status::Unresolved));
            let here = add(&monitor, named("here.test"));
            let change = assert_next(&monitor, State::Unknown, State::Up);
            assert_eq!((change.id, change.last.unwrap().address), (here, Some(at(V4, PORT))));
        }
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
}

mod a_watch {
    use super::*;

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
            assert_eq!(monitor.remove(&ids), Err(Status::Invalid), "the first is gone already");
            for id in [ids[0], ids[1], 0] {
                assert_eq!(monitor.get(id).map(|info| info.checks), Err(Status::Invalid));
                assert_eq!(monitor.report(id, true), Err(Status::Invalid));
                assert_eq!(monitor.pause(id, true), Err(Status::Invalid));
                assert_eq!(monitor.check_now(id), Err(Status::Invalid));
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
            let watch =
                Watch { fall: 2, initial: State::Up, first_fall: 2, falling_ms: HOUR_MS, ..on_demand(DEAD_PORT) };
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
            let bad = [
                (Watch::new("no port"), Status::BadAddress),
                (Watch { jitter_percent: 51, ..quick(PORT) }, Status::Invalid),
            ];
            for (bad, status) in bad {
                assert_eq!(monitor.add(&[quick(PORT), bad]), Err(status));
            }
            assert_eq!(monitor.add(&[]), Ok(Vec::new()));
            assert_quiet(&monitor, 100);
            assert_eq!(checker.stats().submitted, 0);
        });
    }
}

/// How often the monitor's thread has gone to sleep by itself, as each system call that waits has it do.
fn sleeps_of_monitor() -> String {
    let tasks = || std::fs::read_dir("/proc/self/task").expect("/proc").map(|entry| entry.unwrap().path());
    let is_monitor = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "shaker-monitor")
    };
    let task = tasks().find(is_monitor).expect("the monitor's thread");
    let status = std::fs::read_to_string(task.join("status")).expect("its status");
    status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).expect("a count").to_owned()
}

#[test]
fn a_monitor_whose_watches_are_all_paused_sleeps() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    for engine in [EngineKind::Socket, EngineKind::Raw] {
        let checker = of_kind(engine, false, |_| ());
        let monitor = monitor(&checker);
        let id = add(&monitor, quick(PORT));
        assert_next(&monitor, State::Unknown, State::Up);
        let before = sleeps_of_monitor();
        quiet_until(&monitor, "it works", || sleeps_of_monitor() != before);
        monitor.pause(id, true).unwrap();
        quiet_until(&monitor, "nothing in flight", || checker.stats().in_flight == 0);
        until("it sleeps for half a second", || {
            let before = sleeps_of_monitor();
            std::thread::sleep(Duration::from_millis(500));
            sleeps_of_monitor() == before
        });
    }
}

mod changes {
    use super::*;

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
}

mod a_checker {
    use super::*;

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
            let of =
                |id: u64| changes.iter().filter(|change| change.id == id).map(|change| change.to).collect::<Vec<_>>();
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
}

mod a_host {
    use super::*;

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
}

/// A number from 0 up to but not `below`, of a sequence that the seed decides.
fn random(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize % below
}

/// Several threads add, remove, pause, report and reap at once.
#[test]
fn in_a_storm_each_change_follows_from_the_one_before() {
    namespaced!();
    let _listener = Listener::on(V4, PORT);
    with_every_kind(|checker| {
        let monitor = monitor(&checker);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reaper = scope.spawn(|| {
                let mut changes = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    monitor.reap(&mut changes, 7, Some(Duration::from_millis(20)));
                }
                changes
            });
            let workers: Vec<_> = (0..3u64)
                .map(|seed| {
                    let (monitor, is_over) = (&monitor, &is_over);
                    scope.spawn(move || {
                        let (mut seed, mut ids) = (seed + 1, Vec::new());
                        let begun = Instant::now();
                        while begun.elapsed() < Duration::from_millis(1_500) && !is_over.load(Ordering::Relaxed) {
                            let ports = [PORT, DEAD_PORT];
                            match (random(&mut seed, 6), ids.len()) {
                                (0, ..300) | (_, 0) => {
                                    let count = 1 + random(&mut seed, 20);
                                    let watch =
                                        || Watch { interval_ms: 1, fall: 1, rise: 1, ..quick(ports[count % 2]) };
                                    ids.extend(monitor.add(&vec![watch(); count]).unwrap());
                                }
                                (0 | 1, count) => monitor.remove(&[ids.swap_remove(random(&mut seed, count))]).unwrap(),
                                (2, count) => {
                                    monitor.pause(ids[random(&mut seed, count)], random(&mut seed, 2) == 0).unwrap()
                                }
                                (3, count) => monitor.check_now(ids[random(&mut seed, count)]).unwrap(),
                                (_, count) => {
                                    monitor.report(ids[random(&mut seed, count)], random(&mut seed, 2) == 0).unwrap()
                                }
                            }
                        }
                        ids
                    })
                })
                .collect();
            let ids: Vec<u64> = workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect();
            ids.iter().for_each(|&id| monitor.pause(id, true).unwrap());
            is_over.store(true, Ordering::Relaxed);
            let mut changes = reaper.join().expect("the reaper");
            while monitor.reap(&mut changes, usize::MAX, Some(Duration::from_millis(50))) > 0 {}
            assert!(changes.len() > 100, "only {} changes", changes.len());
            let mut states = HashMap::new();
            for change in &changes {
                let before = states.insert(change.id, change.to).unwrap_or(State::Unknown);
                assert!(change.skipped || change.from == before, "{before:?}, then {change:?}");
            }
            for &id in &ids {
                let last = states.get(&id).copied().unwrap_or(State::Unknown);
                assert_eq!(last, monitor.get(id).unwrap().state, "{id}");
            }
            monitor.remove(&ids).unwrap();
            assert_quiet(&monitor, 50);
        });
    });
}
