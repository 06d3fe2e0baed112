//! Several threads do everything that a monitor can do, at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tcpshaker::{State, Watch};

use super::support::lists::*;
use super::support::monitors::*;
use super::support::targets::{DEAD_PORT, Listener, V4};

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
