//! Several threads do everything that a monitor can do, at once: each change follows from the one before.
//!
//! Every run prints its seed. `STORM_SEED=n` makes the same decisions again; the scheduler makes its own.

#[cfg(feature = "deadlock-detection")]
#[path = "../storm/deadlocks.rs"]
mod deadlocks;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tcpshaker::{Change, Error, Monitor, State, Watch};

use super::support::lists::*;
use super::support::monitors::*;
use super::support::targets::{DEAD_PORT, Listener, V4, at};

const WORKERS: u64 = 3;
const REAPERS: usize = 3;

/// A number from 0 up to but not `below`, of a sequence that the seed decides.
fn random(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize % below
}

/// One of some watches that share their checks, and change at each verdict.
fn random_watch(seed: &mut u64) -> Watch {
    let (port, state) = ([PORT, DEAD_PORT][random(seed, 2)], [State::Unknown, State::Up, State::Down][random(seed, 3)]);
    let target = at(nth(random(seed, 3)), port);
    Watch {
        interval_ms: 1,
        jitter_percent: 50,
        fall: 1,
        rise: 1,
        initial: state,
        tag: state as usize,
        ..Watch::new(target)
    }
}

/// Adds, removes, pauses, reports and asks at random until it is over. Returns the watches that are left.
fn work(monitor: &Monitor, mut seed: u64, is_over: &AtomicBool) -> Vec<u64> {
    let mut ids = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let count = ids.len();
        if count == 0 || count < 300 && random(&mut seed, 6) == 0 {
            let watches: Vec<Watch> = (0..=random(&mut seed, 20)).map(|_| random_watch(&mut seed)).collect();
            ids.extend(monitor.add(&watches).unwrap());
            continue;
        }
        let place = random(&mut seed, count);
        let id = ids[place];
        match random(&mut seed, 6) {
            0 => {
                ids.swap_remove(place);
                monitor.remove(&[id]).unwrap();
                assert_eq!(monitor.get(id).map(|info| info.state), Err(Error::Invalid));
            }
            1 => monitor.pause(id, random(&mut seed, 2) == 0).unwrap(),
            2 => monitor.check_now(id).unwrap(),
            3 => drop(monitor.get(id).unwrap()),
            _ => monitor.report(id, random(&mut seed, 2) == 0).unwrap(),
        }
    }
    ids
}

/// Where changes of the same time lead to from a state, in any order in which each follows from the one before.
fn ends(from: State, at_once: &[&Change]) -> Vec<State> {
    let next = |(place, change): (usize, &&Change)| {
        let mut rest = at_once.to_vec();
        rest.remove(place);
        let follows = (change.skipped || change.from == from) && change.from != change.to;
        if follows { ends(change.to, &rest) } else { Vec::new() }
    };
    if at_once.is_empty() { vec![from] } else { at_once.iter().enumerate().flat_map(next).collect() }
}

/// Whether the changes of one watch, in the order of their times, lead from one state to another.
fn lead(from: State, changes: &[&Change], to: State) -> bool {
    let groups = changes.chunk_by(|change, next| change.at_us == next.at_us);
    let states = groups.fold(vec![from], |states, group| {
        let mut ends: Vec<State> = states.into_iter().flat_map(|state| ends(state, group)).collect();
        ends.sort_unstable_by_key(|state| *state as i32);
        ends.dedup();
        ends
    });
    states.contains(&to)
}

#[test]
fn in_a_storm_each_change_follows_from_the_one_before() {
    namespaced!();
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_nanos() as u64;
    let seed = std::env::var("STORM_SEED").map_or(since_epoch, |text| text.parse().expect("a number"));
    println!("STORM_SEED={seed}");
    #[cfg(feature = "deadlock-detection")]
    deadlocks::watch();
    let _listeners: Vec<Listener> = (0..3).map(|number| Listener::on(nth(number), PORT)).collect();
    let _unwatched = Listener::on(V4, PORT);
    side_by_side(
        |_| (),
        |checker, _| {
            let monitor = monitor(&checker);
            let (is_over, is_read) = (AtomicBool::new(false), AtomicBool::new(false));
            let (ids, mut changes) = std::thread::scope(|scope| {
                let reapers: Vec<_> = (0..REAPERS)
                    .map(|_| {
                        scope.spawn(|| {
                            let mut changes = Vec::new();
                            while !is_read.load(Ordering::Relaxed) {
                                monitor.reap(&mut changes, 7, Some(Duration::from_millis(20)));
                            }
                            changes
                        })
                    })
                    .collect();
                let workers: Vec<_> = (0..WORKERS)
                    .map(|number| {
                        let (monitor, is_over) = (&monitor, &is_over);
                        scope.spawn(move || work(monitor, seed.wrapping_add(number), is_over))
                    })
                    .collect();
                std::thread::sleep(Duration::from_millis(1_500));
                is_over.store(true, Ordering::Relaxed);
                let ids: Vec<u64> = workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect();
                ids.iter().for_each(|&id| monitor.pause(id, true).unwrap());
                is_read.store(true, Ordering::Relaxed);
                let changes = reapers.into_iter().flat_map(|reaper| reaper.join().expect("a reaper"));
                (ids, changes.collect::<Vec<Change>>())
            });
            // Checks that paused watches had asked for may still end.
            let begun = Instant::now();
            while monitor.reap(&mut changes, usize::MAX, Some(Duration::from_millis(100))) > 0 {
                assert!(begun.elapsed() < Duration::from_secs(60), "paused watches change for ever");
            }
            assert!(changes.len() > 100, "only {} changes", changes.len());
            let mut of_each: HashMap<u64, Vec<&Change>> = HashMap::new();
            changes.iter().for_each(|change| of_each.entry(change.id).or_default().push(change));
            for (id, changes) in &mut of_each {
                changes.sort_by_key(|change| change.at_us);
                let initial = [State::Unknown, State::Up, State::Down][changes[0].tag];
                // Of one that was removed, nothing may have been told of its last change.
                let ends = match monitor.get(*id) {
                    Ok(info) => vec![info.state],
                    Err(_) => vec![State::Up, State::Down],
                };
                assert!(ends.iter().any(|&end| lead(initial, changes, end)), "not to {ends:?}: {changes:#?}");
            }
            for id in ids.iter().filter(|id| !of_each.contains_key(id)) {
                let info = monitor.get(*id).unwrap();
                assert_eq!(info.changes, 0, "{id} has changed, and nobody was told");
            }
            monitor.remove(&ids).unwrap();
            assert_quiet(&monitor, 50);
        },
    );
    #[cfg(feature = "deadlock-detection")]
    deadlocks::assert_watched();
}
