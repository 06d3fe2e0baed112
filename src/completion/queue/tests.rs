use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const FOR_EVER: Option<Duration> = None;
const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
/// Nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

fn take(queue: &Queue<usize>, capacity: usize, wait: Option<Duration>) -> Vec<usize> {
    let mut taken = Vec::new();
    assert_eq!(queue.take(capacity, 1, wait, |item| taken.push(item)), taken.len());
    taken
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never comes true: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn until_asleep(queue: &Queue<usize>, readers: usize) {
    until("the readers sleep", || queue.state.lock().sleepers.count == readers);
}

mod readers {
    use super::*;

    const READERS: usize = 8;

    #[test]
    fn that_sleep_get_one_item_each_whether_the_items_come_together_or_one_by_one() {
        let queue = Queue::new();
        for together in [true, false] {
            let mut taken = std::thread::scope(|scope| {
                let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| take(&queue, 1, FOR_EVER))).collect();
                until_asleep(&queue, READERS);
                match together {
                    true => queue.put(0..READERS),
                    false => (0..READERS).for_each(|item| queue.put(item..item + 1)),
                }
                readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
            });
            taken.sort_unstable();
            assert!(taken.into_iter().eq(0..READERS));
        }
    }

    #[test]
    fn are_woken_no_more_than_there_are_items_for() {
        let queue = Queue::<usize>::new();
        let woken = |sleepers: &[usize], items: usize| {
            let mut state = queue.state.lock();
            state.ready = Pieces::new();
            state.ready.extend(0..items);
            sleepers.iter().for_each(|wanted| state.sleepers.enter(*wanted));
            let wake = state.whom_to_wake(items);
            sleepers.iter().for_each(|wanted| state.sleepers.leave(*wanted));
            match wake {
                Wake::Some(readers) => readers,
                Wake::All => usize::MAX,
            }
        };
        assert_eq!(woken(&[], 5), 0);
        assert_eq!(woken(&[1, 1, 1], 1), 1);
        assert_eq!(woken(&[1, 1, 1], 2), 2);
        assert_eq!(woken(&[1, 1, 1], 3), usize::MAX);
        assert_eq!(woken(&[5], 4), 0);
        assert_eq!(woken(&[5], 5), usize::MAX);
        // Which of them the system would choose, nobody knows.
        assert_eq!(woken(&[5, 1], 1), usize::MAX);
        // Nobody waits for several any more.
        assert_eq!(woken(&[1, 1, 1], 1), 1);
    }

    #[test]
    fn that_wait_for_several_items_sleep_until_so_many_are_there_and_hold_up_no_other() {
        let queue = Queue::new();
        std::thread::scope(|scope| {
            let several = scope.spawn(|| queue.take(10, 3, FOR_EVER, |_| ()));
            until_asleep(&queue, 1);
            let one = scope.spawn(|| take(&queue, 1, FOR_EVER));
            until_asleep(&queue, 2);
            queue.put(0..1);
            assert_eq!(one.join().unwrap(), [0]);
            queue.put(1..3);
            std::thread::sleep(Duration::from_millis(20));
            assert!(!several.is_finished());
            queue.put(3..4);
            assert_eq!(several.join().unwrap(), 3);
        });
    }

    #[test]
    fn of_all_kinds_take_every_item_once_between_them() {
        const ITEMS: usize = 100_000;
        let queue = Queue::new();
        let times_taken: Vec<AtomicUsize> = (0..ITEMS).map(|_| AtomicUsize::new(0)).collect();
        let left = AtomicUsize::new(ITEMS);
        std::thread::scope(|scope| {
            for (capacity, wait) in
                [(1, FOR_EVER), (1, Some(Duration::from_micros(50))), (7, FOR_EVER), (1_000, FOR_EVER)]
            {
                let (queue, times_taken, left) = (&queue, &times_taken, &left);
                scope.spawn(move || {
                    while left.load(Ordering::SeqCst) > 0 {
                        let taken = take(queue, capacity, wait);
                        for item in &taken {
                            times_taken[*item].fetch_add(1, Ordering::SeqCst);
                        }
                        if left.fetch_sub(taken.len(), Ordering::SeqCst) == taken.len() {
                            queue.close();
                        }
                    }
                });
            }
            for half in [0..ITEMS / 2, ITEMS / 2..ITEMS] {
                let queue = &queue;
                scope.spawn(move || {
                    let mut next = half.start;
                    while next < half.end {
                        let end = half.end.min(next + [1, 1, 3, 300][next % 4]);
                        queue.put(next..end);
                        next = end;
                    }
                });
            }
        });
        assert!(times_taken.iter().all(|times| times.load(Ordering::SeqCst) == 1));
    }

    #[test]
    fn that_have_some_time_sleep_until_an_item_comes() {
        let queue = Queue::new();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| take(&queue, 1, Some(PATIENCE)));
            until_asleep(&queue, 1);
            queue.put(7..8);
            assert_eq!(reader.join().unwrap(), [7]);
        });
    }

    #[test]
    fn whose_time_is_over_go_with_what_is_there() {
        let queue = Queue::new();
        queue.put(0..2);
        assert_eq!(queue.take(10, 5, Some(Duration::from_millis(5)), |_| ()), 2);
        assert_eq!(queue.take(10, 5, Some(Duration::from_millis(5)), |_| ()), 0);
        assert_eq!(queue.take(10, 1, AT_ONCE, |_| ()), 0);
    }

    #[test]
    fn never_get_more_than_they_have_room_for() {
        let queue = Queue::new();
        queue.put(0..1_000);
        for capacity in [0, 1, 255, 256, 257] {
            assert_eq!(take(&queue, capacity, FOR_EVER).len(), capacity);
        }
        assert_eq!(take(&queue, usize::MAX, FOR_EVER), (769..1_000).collect::<Vec<_>>());
    }
}

mod code_of_the_reader {
    use super::*;

    #[test]
    fn may_use_the_queue_itself() {
        let queue = Queue::new();
        queue.put(0..1);
        let taken = queue.take(usize::MAX, 1, FOR_EVER, |item| {
            assert_eq!(item, 0);
            queue.put(1..3);
            assert_eq!(take(&queue, 1, AT_ONCE), [1]);
        });
        assert_eq!(taken, 1);
        assert_eq!(take(&queue, usize::MAX, AT_ONCE), [2]);
    }

    #[test]
    fn that_panics_loses_no_item_but_the_one_it_was_given() {
        let queue = Queue::new();
        queue.put(0..1_000);
        let mut taken = Vec::new();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            queue.take(usize::MAX, 1, FOR_EVER, |item| {
                assert_ne!(item, 300);
                taken.push(item);
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(taken, (0..300).collect::<Vec<_>>());
        assert_eq!(take(&queue, usize::MAX, AT_ONCE), (301..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn that_panics_leaves_the_rest_to_a_reader_that_sleeps() {
        let queue = Queue::new();
        queue.put(0..2);
        std::thread::scope(|scope| {
            let (queue, mut other) = (&queue, None);
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                queue.take(2, 2, FOR_EVER, |_| {
                    other = Some(scope.spawn(|| take(queue, 1, FOR_EVER)));
                    until_asleep(queue, 1);
                    panic!("a defect of the reader");
                })
            }));
            assert!(panicked.is_err());
            assert_eq!(other.unwrap().join().unwrap(), [1]);
        });
    }
}

#[test]
fn closing_wakes_everybody_for_ever_and_takes_nothing_away() {
    let queue = Queue::new();
    std::thread::scope(|scope| {
        let several = scope.spawn(|| queue.take(10, 10, FOR_EVER, |_| ()));
        until_asleep(&queue, 1);
        queue.put(0..3);
        assert!(!queue.is_closed());
        queue.close();
        assert!(queue.is_closed());
        assert_eq!(several.join().unwrap(), 3);
        queue.put(3..4);
        assert_eq!(take(&queue, 10, FOR_EVER), [3]);
        assert_eq!(take(&queue, 10, FOR_EVER), []);
    });
    let queue = Queue::new();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..5).map(|_| scope.spawn(|| take(&queue, 1, FOR_EVER))).collect();
        until_asleep(&queue, 5);
        queue.close();
        assert!(readers.into_iter().all(|reader| reader.join().unwrap().is_empty()));
    });
}

#[cfg(unix)]
mod descriptor {
    use super::*;

    fn is_readable(queue: &Queue<usize>) -> bool {
        let mut watched = libc::pollfd { fd: queue.raw_fd().unwrap(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which lives through the call.
        unsafe { libc::poll(&mut watched, 1, 0) == 1 }
    }

    #[test]
    fn is_readable_exactly_while_items_wait_whenever_it_was_made() {
        for made_early in [true, false] {
            let queue = Queue::new();
            assert!(!made_early || !is_readable(&queue));
            queue.put(0..600);
            assert!(is_readable(&queue));
            assert_eq!(take(&queue, 599, AT_ONCE).len(), 599);
            assert!(is_readable(&queue), "one item waits");
            queue.put(0..1);
            assert_eq!(take(&queue, 2, AT_ONCE).len(), 2);
            assert!(!is_readable(&queue));
            queue.put(0..0);
            assert!(!is_readable(&queue), "nothing was put");
            queue.close();
            assert!(!is_readable(&queue), "closed, but empty");
        }
    }

    #[test]
    fn shows_items_that_come_while_the_reader_is_at_the_last_and_those_that_it_did_not_get() {
        let queue = Queue::new();
        assert!(!is_readable(&queue));
        queue.put(0..1);
        queue.take(1, 1, FOR_EVER, |_| {
            assert!(!is_readable(&queue), "it has been taken");
            queue.put(1..3);
        });
        assert!(is_readable(&queue));
        let panicked = catch_unwind(AssertUnwindSafe(|| queue.take(2, 2, FOR_EVER, |_| panic!("a defect"))));
        assert!(panicked.is_err());
        assert!(is_readable(&queue), "one was not handed out");
        assert_eq!(take(&queue, 2, AT_ONCE), [2]);
        assert!(!is_readable(&queue));
    }
}

#[test]
fn an_interrupt_wakes_all_who_had_not_seen_it_and_nobody_else() {
    let queue = Queue::<usize>::new();
    let seen = queue.interrupts();
    std::thread::scope(|scope| {
        let interrupted: Vec<_> =
            (0..2).map(|_| scope.spawn(|| queue.take_unless(Some(seen), 1, 1, FOR_EVER, |_| ()))).collect();
        let other = scope.spawn(|| take(&queue, 1, FOR_EVER));
        until_asleep(&queue, 3);
        queue.interrupt();
        interrupted.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), 0));
        until_asleep(&queue, 1);
        assert!(queue.has(1, Some(seen)) && !queue.has(1, Some(queue.interrupts())) && !queue.has(1, None));
        assert_eq!(queue.take_unless(Some(seen), 1, 1, FOR_EVER, |_| ()), 0, "it has not seen that one");
        queue.put(std::iter::once(7));
        assert_eq!(other.join().unwrap(), [7]);
    });
}
