//! The places where one thread of the library hands something over to another one: a loop that falls asleep and those
//! who leave commands for it, results and those who reap them, names and those who wait for their addresses.
//!
//! The files that hand over are the library's own, compiled here once more with other files beside them: locks, flags
//! and threads of `sys/` are loom's, which runs a model once for each order in which its threads can meet. A thread
//! that nobody wakes, a result that comes twice or never and a lock that is waited for in a circle end the program.
//!
//!     cargo run --manifest-path models/Cargo.toml           all models
//!     cargo run --manifest-path models/Cargo.toml WORD      those with this word in their name
//!
//! No test, since `cfg(test)` would add the sources' own tests.
#![allow(dead_code, unused_imports)] // each source is here as a whole

#[path = "../../src/check/mod.rs"]
mod check;
mod complete_and_reap;
#[path = "../../src/completion/mod.rs"]
mod completion;
mod event_loop;
#[path = "../../src/resolver/mod.rs"]
mod resolver;
mod sleep_and_wake;
mod sys;
mod withdraw;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// How often the system takes the processor from a thread that could go on, in one order. Defects need one or two.
const PREEMPTIONS: usize = 2;

type Model = (&'static str, fn());

fn main() {
    let word = std::env::args().nth(1).unwrap_or_default();
    let all = [sleep_and_wake::MODELS, complete_and_reap::MODELS, withdraw::MODELS].concat();
    let chosen: Vec<Model> = all.into_iter().filter(|(name, _)| name.contains(&word)).collect();
    assert!(!chosen.is_empty(), "no model has {word} in its name");
    for (name, model) in chosen {
        println!("{name}");
        let begun = Instant::now();
        let orders = every_order(model);
        println!("    {orders} orders, {:.1} s", begun.elapsed().as_secs_f32());
    }
}

/// Runs a model in every order. Returns how many there were.
fn every_order(model: fn()) -> usize {
    static ORDERS: AtomicUsize = AtomicUsize::new(0);
    ORDERS.store(0, Ordering::Relaxed);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(PREEMPTIONS));
    builder.max_branches = 10_000;
    builder.check(move || {
        ORDERS.fetch_add(1, Ordering::Relaxed);
        sys::clock::begin();
        model();
    });
    ORDERS.load(Ordering::Relaxed)
}
