use super::*;
use crate::check::close_mode::CloseMode;
use crate::check::slot::SlotKey;
use crate::event_loop::check::Owner;
use crate::event_loop::command::Terms;
use crate::event_loop::outbox::ReplyTo;

const SUBMITTED: u64 = 5_000_000_000;

fn check_of(table: &mut CheckTable, owner: Owner) -> Check {
    let (submitted, close_mode) = (SUBMITTED, CloseMode::HALF_OPEN);
    let terms = Terms { submitted, timeout_ms: 1, close_mode, mark: 0, paced: false, has_token: false, syns: 0 };
    Check::new(owner, ([127, 0, 0, 1], 80).into(), table.next_generation(), false, terms)
}

fn add(table: &mut CheckTable) -> u32 {
    let check = check_of(table, Owner::Race { race: 0, early: false });
    table.insert(check)
}

fn submit(table: &mut CheckTable, id: u64) -> u32 {
    let check = check_of(table, Owner::Submitter(ReplyTo { sink: SlotKey::of(0), id, tag: 0 }));
    table.insert(check)
}

#[test]
fn a_submitted_check_is_found_by_its_id_until_it_is_gone_or_a_races() {
    let mut table = CheckTable::default();
    let slots: Vec<u32> = (1..=1000).map(|id| submit(&mut table, id)).collect();
    let blocking = submit(&mut table, 0);
    assert_eq!((table.find(1), table.find(1000), table.find(0)), (Some(slots[0]), Some(slots[999]), None));
    for &slot in &slots {
        table.put_in_flight(slot, SUBMITTED, 0);
    }
    table.put_in_flight(blocking, SUBMITTED, 0);
    table.remove(slots[0]);
    assert_eq!((table.find(1), table.find(2)), (None, Some(slots[1])));
    table.give_to_race(slots[1], 7);
    assert_eq!(table.find(2), None);
    assert!(matches!(table.remove(slots[1]).owner(), Owner::Race { race: 7, early: false }));
    table.remove(blocking);
}

#[test]
fn a_million_checks_cost_what_the_promise_leaves_for_them() {
    /// As `Slab` has it.
    enum Entry {
        _Vacant(usize),
        _Occupied(Check),
    }
    let mut table = CheckTable::default();
    for id in 1..=1_000_000 {
        submit(&mut table, id);
    }
    let bytes = table.checks.capacity() * size_of::<Entry>() + table.ids.bytes();
    assert!(bytes <= 105_000_000, "{bytes} bytes");
}

#[test]
fn checks_start_in_the_order_they_came_and_one_that_had_its_turn_goes_first() {
    let mut table = CheckTable::default();
    let (first, second, third) = (add(&mut table), add(&mut table), add(&mut table));
    table.queue(first);
    table.queue(second);
    table.queue_first(third);
    let mut started = Vec::new();
    while let Some(slot) = table.first_queued(true, true) {
        started.push(slot);
        table.start_first(slot, 0, 0);
    }
    assert_eq!(started, [third, first, second]);
    assert!(!table.has_queued());
}

#[test]
fn silent_targets_wait_in_a_queue_of_their_own_and_start_in_their_turn_when_they_may() {
    let mut table = CheckTable::default();
    let (silent, other) = (add(&mut table), add(&mut table));
    table.check(silent).silent = true;
    table.queue(silent);
    table.queue(other);
    assert_eq!(table.first_queued(true, true), Some(silent));
    assert_eq!(table.first_queued(false, true), Some(other));
    table.start_first(other, 0, 0);
    assert_eq!(table.first_queued(false, true), None);
    assert_eq!((table.queued(), table.queued_of_others()), (1, 0));
    table.remove(silent);
    assert!(!table.has_queued());
}

#[test]
fn checks_of_lists_wait_in_queues_of_their_own_and_start_in_their_turn_when_they_may() {
    let mut table = CheckTable::default();
    let slots = [(); 4].map(|()| add(&mut table));
    for (number, &slot) in slots.iter().enumerate() {
        (table.check(slot).listed, table.check(slot).silent) = (number % 2 == 0, number < 2);
        table.queue(slot);
    }
    let may = [(true, true), (true, false), (false, true), (false, false)];
    let first = may.map(|(silent, listed)| table.first_queued(silent, listed));
    assert_eq!(first, [0, 1, 2, 3].map(|number| Some(slots[number])));
    table.start_first(slots[2], SUBMITTED, 0);
    assert_eq!((table.queued(), table.queued_of_others()), (3, 1));
}

#[test]
fn one_that_had_its_turn_goes_before_those_of_other_queues_and_nobody_after_it_does() {
    let mut table = CheckTable::default();
    let (listed, before, gone, returned) = (add(&mut table), add(&mut table), add(&mut table), add(&mut table));
    table.check(listed).listed = true;
    [listed, before].into_iter().for_each(|slot| table.queue(slot));
    [returned, gone].into_iter().for_each(|slot| table.queue_first(slot));
    table.remove(gone);
    // So many are gone that the queue drops their entries.
    for _ in 0..100 {
        let slot = add(&mut table);
        table.queue(slot);
        table.remove(slot);
    }
    let mut started = Vec::new();
    while let Some(slot) = table.first_queued(true, true) {
        started.push(slot);
        table.start_first(slot, SUBMITTED, 0);
    }
    assert_eq!(started, [returned, listed, before]);
}

#[test]
fn of_any_two_queues_the_check_that_came_first_has_its_turn_unless_the_other_has_had_its_own() {
    for (first_kind, second_kind) in (0..16).map(|pair| (pair / 4, pair % 4)) {
        for has_had_its_turn in [false, true] {
            let mut table = CheckTable::default();
            let (first, second) = (add(&mut table), add(&mut table));
            for (slot, kind) in [(first, first_kind), (second, second_kind)] {
                (table.check(slot).listed, table.check(slot).silent) = (kind & LISTED != 0, kind & SILENT != 0);
            }
            table.queue(first);
            if has_had_its_turn {
                table.queue_first(second)
            } else {
                table.queue(second)
            }
            let expected = if has_had_its_turn { second } else { first };
            assert_eq!(table.first_queued(true, true), Some(expected), "{first_kind}, {second_kind}");
        }
    }
}

#[test]
fn a_later_check_in_the_slot_of_a_cancelled_one_waits_for_its_own_turn() {
    let mut table = CheckTable::default();
    let (cancelled, other) = (add(&mut table), add(&mut table));
    table.queue(cancelled);
    table.queue(other);
    table.remove(cancelled);
    let later = add(&mut table);
    assert_eq!(later, cancelled);
    table.queue(later);
    assert_eq!(table.first_queued(true, true), Some(other));
    assert_eq!(table.queued(), 2);
}

#[test]
fn a_queue_whose_checks_are_all_in_flight_holds_little() {
    let mut table = CheckTable::default();
    for _ in 0..100_000 {
        let slot = add(&mut table);
        table.queue(slot);
    }
    while let Some(slot) = table.first_queued(true, true) {
        table.start_first(slot, SUBMITTED, 0);
    }
    assert!(table.queues[0].entries.room() < 1_000, "room for {} entries", table.queues[0].entries.room());
}

#[test]
fn checks_that_are_gone_leave_nothing_behind_a_head_that_waits() {
    let mut table = CheckTable::default();
    let head = add(&mut table);
    table.queue(head);
    for _ in 0..100_000 {
        let slot = add(&mut table);
        table.queue(slot);
        table.remove(slot);
    }
    assert_eq!(table.first_queued(true, true), Some(head));
    assert!(table.queues[0].entries.room() < 1_000, "room for {} entries", table.queues[0].entries.room());
}

#[test]
fn checks_that_wait_for_their_target_let_others_by_and_come_first_when_it_is_free() {
    let mut table = CheckTable::default();
    let waiting: Vec<u32> = (0..3).map(|_| add(&mut table)).collect();
    let other = add(&mut table);
    waiting.iter().chain([&other]).for_each(|slot| table.queue(*slot));
    waiting.iter().for_each(|slot| table.wait_for_target(*slot, 7).unwrap());
    assert_eq!((table.first_queued(true, true), table.queued(), table.queued_in_time()), (Some(other), 4, 4));
    assert!(table.remove(waiting[0]).waits_for_target);
    table.lose_one_of(7);
    table.target_is_free(8);
    assert_eq!(table.first_queued(true, true), Some(other), "another target");
    table.target_is_free(7);
    assert_eq!(table.first_queued(true, true), Some(waiting[1]));
    assert!(table.has_some_for_targets(), "one more waits");
    table.target_is_free(7);
    assert_eq!(table.first_queued(true, true), Some(waiting[2]));
    assert!(!table.has_some_for_targets());
    [waiting[2], waiting[1], other].into_iter().for_each(|slot| table.start_first(slot, SUBMITTED, 0));
    assert!(!table.has_queued());
}

#[test]
fn of_those_that_wait_the_ones_whose_time_runs_are_counted_until_they_start_or_go() {
    let mut table = CheckTable::default();
    let paced = add(&mut table);
    table.check(paced).listed = true;
    let (started, gone, silent) = (add(&mut table), add(&mut table), add(&mut table));
    for slot in [silent, paced, started, gone] {
        table.queue(slot);
    }
    assert_eq!((table.queued(), table.queued_in_time()), (4, 3));
    table.move_to_silent(silent);
    assert_eq!((table.queued(), table.queued_of_others(), table.queued_in_time()), (4, 3, 3));
    assert_eq!(table.first_queued(false, true), Some(paced));
    table.start_first(paced, SUBMITTED, 0);
    assert_eq!(table.queued_in_time(), 3, "its time did not run");
    table.start_first(started, SUBMITTED, 0);
    assert_eq!(table.queued_in_time(), 2);
    table.remove(gone);
    assert_eq!(table.queued_in_time(), 1);
    assert_eq!((table.first_queued(false, true), table.has_queued()), (None, true), "it waits, and may not start");
    table.remove(silent);
    assert_eq!((table.queued_in_time(), table.has_queued()), (0, false));
}

#[test]
fn a_silent_target_goes_behind_those_of_its_queue_and_starts_in_its_turn() {
    let mut table = CheckTable::default();
    let (first, second, third) = (add(&mut table), add(&mut table), add(&mut table));
    table.check(second).silent = true;
    [first, second, third].into_iter().for_each(|slot| table.queue(slot));
    table.move_to_silent(first);
    // Each in its turn, as it came: the queue of silent targets has the second at its head.
    let mut started = Vec::new();
    while let Some(slot) = table.first_queued(true, true) {
        started.push(slot);
        table.start_first(slot, SUBMITTED, 0);
    }
    assert_eq!(started, [second, first, third]);
}

#[test]
fn a_check_is_in_flight_from_its_start_to_its_end() {
    let mut table = CheckTable::default();
    assert!(table.is_empty() && !table.is_in_flight(0));
    let slot = add(&mut table);
    table.queue(slot);
    assert!(!table.is_in_flight(slot) && !table.is_empty());
    table.start_first(slot, SUBMITTED, 0);
    assert!(table.is_in_flight(slot));
    assert_eq!(table.len(), 1);
    assert!(table.slots() > slot);
    table.remove(slot);
    assert!(!table.is_in_flight(slot) && table.is_empty());
}

#[test]
fn what_there_was_room_for_needs_no_memory() {
    let mut table = CheckTable::default();
    for id in 1..1_000 {
        table.grow().unwrap();
        let room = |table: &CheckTable| (table.checks.capacity(), table.ids.bytes());
        let before = room(&table);
        let slot = submit(&mut table, id);
        table.check(slot).silent = id % 2 == 0;
        table.queue(slot);
        assert_eq!(room(&table), before, "check {id}");
    }
}

#[test]
fn the_memory_of_a_burst_goes_and_generations_go_on() {
    let mut table = CheckTable::default();
    let slots: Vec<u32> = (0..1_000).map(|_| add(&mut table)).collect();
    for slot in slots {
        table.queue(slot);
        table.remove(slot);
    }
    let last = table.next_generation();
    table.reset();
    assert_eq!(table.slots(), 0);
    assert_eq!(table.next_generation(), last + 1);
}

#[test]
fn generations_are_compared_across_their_end() {
    assert!(is_before(1, 2) && !is_before(2, 1) && !is_before(2, 2));
    assert!(is_before(u32::MAX, 0) && !is_before(0, u32::MAX));
}

#[test]
fn what_came_before_another_is_older_also_when_generations_have_wrapped_around() {
    let mut table = CheckTable::default();
    for passed in [7, u32::MAX - 8, 5] {
        table.pass_generations(passed);
        let latest = table.next_generation();
        let other = latest.wrapping_sub(2);
        let older = |distance: u32| table.is_older(other.wrapping_sub(distance), other);
        assert!(older(1) && older(1_000) && older(1 << 31));
        assert!(!older(0) && !table.is_older(latest, other) && !table.is_older(other.wrapping_add(1), other));
    }
}
