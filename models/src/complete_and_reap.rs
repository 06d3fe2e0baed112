//! Results, and those who reap them: `src/completion/queue.rs`.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use crate::Model;
use crate::completion::Queue;
use crate::sys::readiness;

pub(crate) const MODELS: &[Model] = &[
    ("complete_and_reap: each result comes out once", each_result_comes_out_once),
    ("complete_and_reap: who waits for several holds nobody up", who_waits_for_several_holds_nobody_up),
    ("complete_and_reap: the descriptor shows what waits", the_descriptor_shows_what_waits),
    ("complete_and_reap: the end is heard", the_end_is_heard),
    ("complete_and_reap: an interrupt is heard", an_interrupt_is_heard),
];

const FOR_EVER: Option<Duration> = None;
const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

fn take(queue: &Queue<usize>, capacity: usize, wanted: usize, wait: Option<Duration>) -> Vec<usize> {
    let mut taken = Vec::new();
    queue.take(capacity, wanted, wait, |item| taken.push(item));
    taken
}

fn put(queue: &Arc<Queue<usize>>, items: std::ops::Range<usize>) -> thread::JoinHandle<()> {
    let queue = queue.clone();
    thread::spawn(move || queue.put(items))
}

fn each_result_comes_out_once() {
    let queue = Arc::new(Queue::new());
    let loops = [put(&queue, 0..1), put(&queue, 1..2)];
    let other = queue.clone();
    let reaper = thread::spawn(move || take(&other, 1, 1, FOR_EVER));
    let mut taken = take(&queue, 1, 1, FOR_EVER);
    taken.extend(reaper.join().unwrap());
    loops.into_iter().for_each(|one| one.join().unwrap());
    taken.sort_unstable();
    assert_eq!(taken, [0, 1]);
}

fn who_waits_for_several_holds_nobody_up() {
    let queue = Arc::new(Queue::new());
    let other = queue.clone();
    let of_a_list = thread::spawn(move || take(&other, 2, 2, FOR_EVER).len());
    let loops = [put(&queue, 0..1), put(&queue, 1..3)];
    assert_eq!(take(&queue, 1, 1, FOR_EVER).len(), 1);
    assert_eq!(of_a_list.join().unwrap(), 2);
    loops.into_iter().for_each(|one| one.join().unwrap());
}

/// An event loop waits for the descriptor, reaps what is there, and waits again.
fn the_descriptor_shows_what_waits() {
    let queue = Arc::new(Queue::new());
    let loops = [put(&queue, 0..1), put(&queue, 1..2)];
    queue.raw_fd().unwrap();
    let descriptor = readiness::latest();
    let mut taken = 0;
    while taken < 2 {
        descriptor.wait();
        taken += take(&queue, 8, 1, AT_ONCE).len();
    }
    loops.into_iter().for_each(|one| one.join().unwrap());
    assert!(!descriptor.is_raised(), "it is readable, and nothing is there");
}

fn the_end_is_heard() {
    let queue = Arc::new(Queue::<usize>::new());
    let (one, other) = (queue.clone(), queue.clone());
    let reaper = thread::spawn(move || take(&one, 1, 1, FOR_EVER).len());
    let closer = thread::spawn(move || other.close());
    assert_eq!(take(&queue, 2, 2, FOR_EVER).len(), 0);
    closer.join().unwrap();
    assert_eq!(reaper.join().unwrap(), 0);
}

fn an_interrupt_is_heard() {
    let queue = Arc::new(Queue::<usize>::new());
    let (seen, other) = (queue.interrupts(), queue.clone());
    let interrupter = thread::spawn(move || other.interrupt());
    assert_eq!(queue.take_unless(Some(seen), 1, 1, FOR_EVER, |_| ()), 0);
    interrupter.join().unwrap();
}
