//! Tests of the memory that watches take and give back.

use super::*;

#[test]
fn room_for_more_watches_is_room_for_their_timers_too() {
    let mut core = core(at_once);
    for count in [1_000, 10_000] {
        core.grow_by(count).unwrap();
        let room = core.schedule.room();
        for number in 0..count as u32 {
            add(&mut core, watch(20_000 * count as u32 + number), START);
        }
        assert_eq!(core.schedule.room(), room, "it grew where nobody can be refused");
        assert!(room < core.records.probes() + 1_000, "as much as is needed, and hardly more: {room}");
    }
}

#[test]
fn of_many_watches_that_are_gone_no_memory_is_left() {
    let mut core = core(|_| ());
    let (mut now, mut last) = (START, 0);
    for are_in_flight in [false, true] {
        let ids: Vec<u64> = (0..20_000).map(|number| add(&mut core, watch(number), now)).collect();
        let checks = if are_in_flight { due(&mut core, now + SECOND) } else { Vec::new() };
        now += 2 * SECOND;
        ids.iter().for_each(|&id| core.remove(slot(&core, id)));
        checks.iter().for_each(|&tag| core.settle(&ended(tag, Status::Up), now));
        assert!(!core.records.shrink(), "there is nothing left to give back");
        assert_eq!((core.records.probes(), core.next_at()), (0, None));
        // The next has no earlier one's id, and is checked in its time.
        let id = add(&mut core, watch(7), now);
        assert!(ids.into_iter().max().max(Some(last)).is_some_and(|last| id > last));
        now += SECOND + MS;
        check_once(&mut core, now, Status::Up);
        core.remove(slot(&core, id));
        last = id;
    }
}
