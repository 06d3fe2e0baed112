//! Looks for threads that wait for each other's locks while a storm blows. Needs the feature `deadlock-detection`;
//! without it nobody looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static LOOKS: AtomicU64 = AtomicU64::new(0);

/// Looks again and again for the rest of the process. A deadlock ends the process: the storm itself never would.
pub fn watch() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(20));
            let deadlocks = parking_lot::deadlock::check_deadlock();
            for thread in deadlocks.iter().flatten() {
                println!("{:?} is in a deadlock:\n{:?}", thread.thread_id(), thread.backtrace());
            }
            if !deadlocks.is_empty() {
                std::process::exit(1);
            }
            LOOKS.fetch_add(1, Ordering::Relaxed);
        }
    });
}

pub fn assert_watched() {
    let looks = LOOKS.load(Ordering::Relaxed);
    println!("looked {looks} times for a deadlock");
    assert!(looks > 10, "only {looks} looks for a deadlock");
}

#[test]
fn two_threads_that_wait_for_each_others_lock_are_found() {
    static LOCKS: [parking_lot::Mutex<()>; 2] = [parking_lot::Mutex::new(()), parking_lot::Mutex::new(())];
    static BOTH_OWN_ONE: std::sync::Barrier = std::sync::Barrier::new(2);
    for own in [0, 1] {
        std::thread::spawn(move || {
            let _own = LOCKS[own].lock();
            BOTH_OWN_ONE.wait();
            drop(LOCKS[1 - own].lock());
        });
    }
    // They wait until the process ends.
    crate::support::process::until("the deadlock is found", || {
        parking_lot::deadlock::check_deadlock().iter().any(|deadlock| deadlock.len() == 2)
    });
}
