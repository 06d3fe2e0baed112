//! The soak: checks of live, dead and silent targets, as many as fit into the time, on both engines, with threads and
//! caller-driven, with monitors beside, while one fault follows another. Every verdict is held against what is true.
//!
//! `tests/soak 20m` is the long run. Every run prints its seed; `SOAK_SEED=n` makes the same decisions again, and the
//! scheduler makes its own.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;
#[path = "soaking/books.rs"]
mod books;
#[path = "soaking/faults.rs"]
mod faults;
#[path = "soaking/traffic.rs"]
mod traffic;
#[path = "soaking/truth.rs"]
mod truth;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use books::{Books, grouped};
use faults::World;
use support::counters::counter;
use support::dice::seed;
use support::process::{open_descriptors, threads, until};
use tcpshaker::EngineKind;
use traffic::{Plant, live_briefly};
use truth::{Fault, Kind};

/// More than freed memory that the allocator keeps, and less than a few bytes of each check.
const MEMORY_ROOM: u64 = 24 << 20;

fn soak_time() -> Duration {
    let seconds = std::env::var("SOAK_SECONDS").map_or(10, |seconds| seconds.parse().expect("SOAK_SECONDS"));
    Duration::from_secs(seconds)
}

/// The memory of this process that is really there, in bytes; waits while there is no descriptor to ask with.
fn resident() -> u64 {
    let mut memory = None;
    until("a descriptor", || {
        let status = std::fs::read_to_string("/proc/self/status").ok();
        let line = status.as_deref().and_then(|status| status.lines().find_map(|line| line.strip_prefix("VmRSS:")));
        memory = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        memory.is_some()
    });
    memory.expect("a number") * 1024
}

/// Handshakes that listeners of the calling thread's network namespace saw completed.
fn completed() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp").expect("/proc");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let place = names.split(' ').position(|name| name == "PassiveOpens").expect("a counter");
    values.split(' ').nth(place).and_then(|value| value.parse().ok()).expect("a number")
}

fn plants() -> Vec<Plant> {
    let kinds =
        [EngineKind::Socket, EngineKind::Raw].map(|engine| [false, true].map(|driven| Plant::new(engine, driven)));
    kinds.into_iter().flatten().collect()
}

/// Everybody asks for so long, while one fault follows another. Returns the memory in use after a tenth of the time, and
/// at its end.
fn soak(world: &mut World, plants: &[Plant], books: &Arc<Books>, seed: u64, time: Duration) -> [u64; 2] {
    let is_over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let of_each = plants.iter().zip((seed.wrapping_add(10)..).step_by(2));
        for (plant, seed) in of_each {
            scope.spawn(move || plant.submit_and_reap(books, seed, is_over));
            scope.spawn(move || plant.call(books, seed + 1, is_over));
        }
        scope.spawn(move || live_briefly(books, seed.wrapping_add(1), is_over));
        scope.spawn(move || world.go_wrong(plants, books, seed, is_over));
        scope.spawn(move || {
            let mut dropped = None;
            while !is_over.load(Ordering::Relaxed) {
                plants.iter().for_each(|plant| plant.watch(books));
                let now = truth::overflown(); // none while no descriptor is left
                if now.is_some() && now != std::mem::replace(&mut dropped, now) {
                    books.moments.begin(Fault::Overflow);
                    books.moments.end(Fault::Overflow, Duration::ZERO);
                }
            }
        });
        let memory = [time / 10, time - time / 10].map(|part| {
            std::thread::sleep(part);
            resident()
        });
        is_over.store(true, Ordering::Relaxed);
        memory
    })
}

#[test]
fn of_checks_of_every_kind_amid_faults_has_no_wrong_verdict_loses_nothing_and_leaves_nothing_behind() {
    namespaced!("nft", "ip");
    let (seed, time, books) = (seed("SOAK_SEED"), soak_time(), Arc::new(Books::default()));
    let mut world = World::new(&books);
    let threads_before = threads();
    drop(plants()); // what is made once per process is made now
    until("the first threads are gone", || threads() == threads_before);
    let descriptors_before = open_descriptors();
    let completed_before = completed() + world.far.run(completed);
    let dropped_before = truth::overflown().unwrap_or(0);
    let (plants, begun) = (plants(), Instant::now());

    let [early, late] = soak(&mut world, &plants, &books, seed, time);

    let took = begun.elapsed();
    plants.iter().for_each(|plant| plant.watch_until_all_is_true(&books));
    std::thread::sleep(Duration::from_millis(500)); // for an ACK that is still to leave
    let completed = completed() + world.far.run(completed) - completed_before;
    let mut admitted = books.admitted.load(Ordering::SeqCst);
    for plant in plants {
        let (name, stats) = (plant.name(), plant.checker.stats());
        println!("{name}: {stats:?}");
        admitted += stats.completed_handshakes;
        drop(plant);
    }
    let total = books.total(&Kind::ALL);
    print!("{}", books.table());
    let [unproven, sent_again] = [&books.unproven, &books.sent_again].map(|count| count.load(Ordering::SeqCst));
    println!(
        "handshakes: {completed} completed, {admitted} admitted; up without a proof {unproven}, after more than one SYN {sent_again}"
    );
    let dropped = truth::overflown().unwrap_or(0) - dropped_before;
    println!("packets that the kernel dropped by itself, on the whole machine: {dropped}");
    println!("SYNs to older half-open connections that nobody answered: {}", counter("TcpExtTCPACKSkippedSynRecv"));
    let wrong = books.wrong.lock().unwrap();
    let rate = total as f64 / took.as_secs_f64();
    println!("{} checks in {:.0} s, {rate:.0} a second; wrong: {}", grouped(total), took.as_secs_f64(), wrong.len());
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("memory: {:.1} MiB after a tenth of the time, {:.1} MiB at its end", mib(early), mib(late));
    until("the threads are gone", || threads() == threads_before);
    until("the descriptors are closed", || open_descriptors() == descriptors_before);
    println!("at the end: {} threads and {descriptors_before} descriptors, as before", threads_before.len());

    assert!(wrong.is_empty(), "{} wrong, of them:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    assert!(completed <= admitted, "{completed} handshakes were completed, {admitted} are admitted");
    let live = [Kind::Live, Kind::LiveV6, Kind::FarLive];
    assert!(books.up(&live) * 2 > books.total(&live), "hardly a live target is up: what does this show?");
    assert!(Kind::ALL.iter().all(|&kind| books.total(&[kind]) > 0));
    if time >= Duration::from_secs(60) {
        assert!(late < early + MEMORY_ROOM, "memory grew from {early} to {late} bytes");
    }
    world.end();
}
