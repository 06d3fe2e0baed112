//! The functions of the C API in any order: checkers and monitors of all kinds are made, used, shut down and freed, and
//! callbacks call the library in their turn. Each accepted check yields one result, and a true one; no thread and no
//! descriptor is left.
//!
//! It runs in a network namespace that has nothing but loopback (`fuzz/run`), and refuses to run elsewhere.

#![no_main]

#[path = "calls/asking.rs"]
mod asking;
#[path = "calls/books.rs"]
mod books;
#[path = "calls/checkers.rs"]
mod checkers;
#[path = "calls/input.rs"]
mod input;
#[path = "calls/monitors.rs"]
mod monitors;
#[path = "calls/targets.rs"]
mod targets;

use checkers::Checkers;
use input::Input;
use monitors::Monitors;
use targets::Targets;

/// Calls of one input: an input that takes long finds little.
const CALLS: usize = 48;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let targets = Targets::get();
    let before = targets::left();
    books::open();
    let mut input = Input::new(bytes);
    let (mut checkers, mut monitors) = (Checkers::default(), Monitors::default());
    for _ in 0..CALLS {
        if input.is_over() {
            break;
        }
        match input.below(8) {
            0..5 => checkers.call(&mut input, targets, &mut monitors),
            _ => monitors.call(&mut input, targets, &mut checkers),
        }
    }
    // One in four inputs leaves its results unread.
    if input.below(4) != 3 {
        checkers.reap_all();
    }
    match input.below(2) {
        0 => {
            monitors.free_all();
            checkers.free_all();
        }
        _ => {
            checkers.free_all_before_their_monitors();
            monitors.free_all();
        }
    }
    (0..books::CHECKERS).for_each(books::close);
    targets.forget_connections();
    assert_eq!(targets::left(), before, "threads and descriptors are left");
});
