//! Tests of the timing wheel.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn expired(wheel: &mut TimerWheel, now: u64) -> BTreeSet<u32> {
    wheel.advance(now);
    std::iter::from_fn(|| wheel.expired()).collect()
}

#[test]
fn nothing_set_never_asks_to_be_woken() {
    let mut wheel = TimerWheel::new();
    assert_eq!(wheel.next(), None);
    let timer = wheel.set(500, 1);
    wheel.clear(timer);
    assert_eq!(wheel.next(), None);
}

#[test]
fn a_timer_of_seven_weeks_neither_expires_early_nor_is_forgotten() {
    let mut wheel = TimerWheel::new();
    let at = u32::MAX as u64 + 12_345;
    wheel.set(at, 7);
    assert!(expired(&mut wheel, at - 1).is_empty());
    assert_eq!(expired(&mut wheel, at), BTreeSet::from([7]));
}

#[test]
fn those_that_were_due_first_are_handed_out_first_however_many_come_after() {
    let mut wheel = TimerWheel::new();
    wheel.set(10, 1);
    wheel.set(20, 2);
    wheel.advance(20);
    wheel.set(300, 3);
    let cleared = wheel.set(5000, 4);
    wheel.set(5001, 5);
    wheel.advance(6000);
    assert_eq!(wheel.expired(), Some(1));
    wheel.clear(cleared);
    wheel.set(6000, 6);
    assert_eq!(std::iter::from_fn(|| wheel.expired()).collect::<Vec<_>>(), [2, 3, 5, 6]);
}

#[test]
fn a_timer_beyond_the_last_tick_waits_as_long_as_there_are_ticks() {
    let mut wheel = TimerWheel::new();
    wheel.set(u64::MAX, 7);
    assert!(expired(&mut wheel, 1 << 45).is_empty());
    assert_eq!(expired(&mut wheel, 1 << 48), BTreeSet::from([7]));
}

#[test]
fn a_million_timers_cost_what_the_promise_leaves_for_them() {
    let mut wheel = TimerWheel::new();
    for owner in 0..1_000_000 {
        wheel.set(u64::from(owner % 30_000), owner);
    }
    let bytes = wheel.nodes.capacity() * size_of::<Node>();
    assert!(bytes <= 21_250_000, "{bytes} bytes");
}

#[test]
fn there_is_room_for_as_many_as_were_asked_for_and_hardly_more() {
    let mut wheel = TimerWheel::new();
    let mut count = 0;
    for asked in [1, 64, 1_000, 1_001, 1_000, 40_000] {
        let before = wheel.nodes.capacity();
        wheel.grow_to(asked).unwrap();
        let room = wheel.nodes.capacity();
        assert!(room == before.max(asked) || room <= asked + 64.max(before / 16), "{asked}: {before} to {room}");
        while count < asked as u32 {
            wheel.set(u64::from(count), count);
            count += 1;
        }
        assert_eq!(wheel.nodes.capacity(), room, "no memory is asked for now");
    }
}

#[test]
fn no_part_of_a_wheel_without_timers_is_larger_than_what_an_allocation_may_fail_for() {
    assert!(size_of_val(&*TimerWheel::new().heads[0]) < 4_096);
}

#[test]
fn no_tick_moves_more_timers_than_a_quarter_of_a_second_of_them() {
    const A_SECOND: u64 = 1_000;
    let mut wheel = TimerWheel::new();
    // Each timer is set anew for ten seconds later, through several turns of the finest levels.
    (0..10 * A_SECOND).for_each(|number| _ = wheel.set(number, number as u32));
    let mut most = 0;
    for now in 0..150 * A_SECOND {
        let moved = |wheel: &TimerWheel| {
            let (start, level, bucket) = wheel.first()?;
            let is_coarse = level > 0 && start <= now;
            is_coarse.then(|| {
                let first = wheel.heads[level][bucket];
                let next = |index: &u32| Some(wheel.nodes[*index as usize].next).filter(|next| *next != NONE);
                std::iter::successors(Some(first), next).count()
            })
        };
        most = most.max(moved(&wheel).unwrap_or(0));
        wheel.advance(now);
        while let Some(owner) = wheel.expired() {
            wheel.set(now + 10 * A_SECOND, owner);
        }
    }
    assert!((200..=256).contains(&most), "{most} of {} timers moved at once", 10 * A_SECOND);
}

#[test]
fn a_timer_in_the_past_is_due_at_once() {
    let mut wheel = TimerWheel::new();
    wheel.advance(1_000_000);
    wheel.set(3, 9);
    assert_eq!(wheel.next(), Some(1_000_000));
    assert_eq!(expired(&mut wheel, 1_000_000), BTreeSet::from([9]));
}

#[derive(Clone, Debug)]
enum Step {
    Set(u64),
    Clear(usize),
    Advance(u64),
    Sleep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![0..5u64, 0..300u64, 0..100_000u64, 0..1u64 << 33].prop_map(Step::Set),
        2 => any::<usize>().prop_map(Step::Clear),
        2 => prop_oneof![0..3u64, 0..1_000u64, 0..1u64 << 30].prop_map(Step::Advance),
        1 => Just(Step::Sleep),
    ]
}

proptest! {
    /// Against the simplest thing that could be right: a list.
    #[test]
    fn every_timer_expires_once_at_its_tick(steps in proptest::collection::vec(step(), 1..200)) {
        let mut wheel = TimerWheel::new();
        let mut model: Vec<(u64, u32, Timer)> = Vec::new();
        let (mut now, mut owner) = (0, 0);
        for step in steps {
            match step {
                Step::Set(after) => {
                    owner += 1;
                    model.push((now + after, owner, wheel.set(now + after, owner)));
                }
                Step::Clear(which) if !model.is_empty() => {
                    let (_, _, timer) = model.swap_remove(which % model.len());
                    wheel.clear(timer);
                }
                Step::Clear(_) => {}
                Step::Advance(by) => now += by,
                // As the loop does: sleep until the wheel is to be advanced. It may say so too early, never too
                // late.
                Step::Sleep => {
                    let earliest = model.iter().map(|(at, ..)| (*at).max(now)).min();
                    prop_assert_eq!(wheel.next().is_some(), earliest.is_some());
                    if let Some(next) = wheel.next() {
                        prop_assert!(next <= earliest.unwrap());
                        now = now.max(next);
                    }
                }
            }
            let due: BTreeSet<u32> = model.iter().filter(|(at, ..)| *at <= now).map(|(_, owner, _)| *owner).collect();
            model.retain(|(at, ..)| *at > now);
            prop_assert_eq!(expired(&mut wheel, now), due);
        }
    }
}

#[test]
fn the_memory_of_a_timer_that_is_over_serves_the_next_one() {
    let mut wheel = TimerWheel::new();
    for at in 1..1_000 {
        let cleared = wheel.set(at + 5, 1);
        wheel.set(at, 2);
        wheel.clear(cleared);
        assert_eq!(expired(&mut wheel, at), BTreeSet::from([2]));
    }
    assert!(wheel.nodes.len() <= 2, "{}", wheel.nodes.len());
}
