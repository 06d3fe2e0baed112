use super::*;
use crate::check::close_mode::CloseMode;
use crate::config::Config;
use crate::event_loop::command::Terms;

const NOW: u64 = 5_000_000_000;
const ORDINARY: Owner = Owner::Race { race: 0, early: false };
const EARLY: Owner = Owner::Race { race: 0, early: true };

/// A loop with so many permits that runs nowhere, its table of checks, and the poller that it would sleep in.
struct Loop {
    room: Room,
    table: CheckTable,
    poll: mio::Poll,
}

impl Loop {
    fn new(permits: u32, has_sockets: bool, change: impl FnOnce(&mut Config)) -> Loop {
        let (poll, handle) = LoopHandle::with_poll(permits, 1).unwrap();
        let mut config = Config::default();
        change(&mut config);
        let shared = Arc::new(Shared::new(config, vec![handle.clone()]));
        Loop { room: Room::new(shared, handle, has_sockets), table: CheckTable::default(), poll }
    }

    fn with_sockets(permits: u32) -> Loop {
        Loop::new(permits, true, |_| ())
    }

    fn check(&mut self, owner: Owner) -> u32 {
        let close_mode = CloseMode::HALF_OPEN;
        let terms =
            Terms { submitted: NOW, timeout_ms: 1, close_mode, mark: 0, paced: false, has_token: false, syns: 0 };
        let check = Check::new(owner, ([127, 0, 0, 1], 80).into(), self.table.next_generation(), false, terms);
        self.table.insert(check)
    }

    /// A check that is in flight, for which a permit was taken.
    fn start(&mut self, change: impl FnOnce(&mut Check)) -> u32 {
        let slot = self.check(ORDINARY);
        change(self.table.check(slot));
        let stage = self.table.check(slot).stage();
        assert!(self.room.take_permit(stage), "a permit is left");
        self.table.put_in_flight(slot, NOW, 0);
        self.room.counts(self.table.get(slot).unwrap());
        slot
    }

    fn start_early_syn(&mut self) -> u32 {
        let slot = self.check(EARLY);
        assert!(self.room.take_for_early_syn(&self.table, NOW));
        self.table.put_in_flight(slot, NOW, 0);
        self.room.counts(self.table.get(slot).unwrap());
        self.room.note_early_syn(slot, &self.table);
        slot
    }

    fn end(&mut self, slot: u32) {
        let check = self.table.remove(slot);
        self.room.counts_no_more(&check);
        self.room.is_freed(false);
    }

    fn has_some_for_early_syn(&self) -> bool {
        self.room.has_some_for_early_syn(&self.table, NOW)
    }

    /// Whether the loop is woken when somebody gives up a permit.
    fn is_woken_for_room(&mut self) -> bool {
        self.room.handle.tell_of_room();
        let mut events = mio::Events::with_capacity(4);
        self.poll.poll(&mut events, Some(std::time::Duration::ZERO)).unwrap();
        !events.is_empty()
    }
}

#[test]
fn an_early_syn_leaves_the_last_descriptor_to_checks_of_any_loop() {
    let own = Loop::with_sockets(8);
    assert!(own.has_some_for_early_syn());
    own.room.shared.opener.count_short_loops(1); // another loop's
    assert!(!own.has_some_for_early_syn());
}

#[test]
fn a_check_without_a_permit_waits_and_whoever_gives_one_up_wakes_the_loop() {
    let mut own = Loop::with_sockets(2);
    let first = own.start(|_| ());
    own.start(|_| ());
    assert!(own.room.gate.is_open() && !own.is_woken_for_room());
    assert!(!own.room.take_permit(Stage::Queued));
    assert!(!own.room.gate.is_open() && own.is_woken_for_room());
    own.end(first);
    assert!(own.room.gate.is_open());
    assert!(own.room.take_permit(Stage::Queued));
    assert_eq!(own.room.handle.permits.taken(), 2);
}

#[test]
fn checks_of_a_list_leave_a_quarter_of_the_permits_to_early_syns_and_to_others() {
    for (has_sockets, interval, for_lists) in [(true, 300, 6), (true, 0, 8), (false, 300, 8)] {
        let mut own = Loop::new(8, has_sockets, |config| config.set_syn_interval(interval).unwrap());
        let mut slots: Vec<u32> = (0..for_lists).map(|_| own.start(|check| check.listed = true)).collect();
        assert!(!own.room.take_permit(Stage::Paced), "the {for_lists} of lists are taken");
        if for_lists < 8 {
            assert!(!own.room.gate.is_open());
            own.start(|_| ());
        }
        own.end(slots.pop().unwrap());
        assert!(own.room.take_permit(Stage::Paced));
        slots.into_iter().for_each(|slot| own.end(slot));
        assert_eq!(own.room.listed, 0);
    }
}

#[test]
fn an_early_syn_takes_the_turn_of_no_check_whose_time_runs() {
    let mut own = Loop::with_sockets(8);
    let queued = own.check(ORDINARY);
    own.table.queue(queued);
    assert!(!own.has_some_for_early_syn(), "it may have been queued for want of a token");
    assert!(!own.room.take_for_early_syn(&own.table, NOW));
    assert!(!own.room.finds_some_for_early_syn(&own.table, NOW) && own.is_woken_for_room());
    own.table.remove(queued);
    assert!(own.has_some_for_early_syn() && own.room.finds_some_for_early_syn(&own.table, NOW));
    assert!(!own.is_woken_for_room(), "there was room at once");
}

#[test]
fn early_syns_have_all_permits_but_a_quarter_while_a_list_waits() {
    let mut own = Loop::with_sockets(8);
    let listed = own.check(ORDINARY);
    own.table.check(listed).listed = true;
    own.table.queue(listed);
    own.start_early_syn();
    let second = own.start_early_syn();
    assert!(!own.has_some_for_early_syn(), "two of eight");
    own.end(second);
    assert!(own.has_some_for_early_syn());
    own.table.remove(listed);
    (0..7).for_each(|_| {
        own.start_early_syn();
    });
    assert!(!own.has_some_for_early_syn() && !own.room.take_permit(Stage::Queued));
    assert_eq!((own.room.early_syns, own.room.handle.permits.taken()), (8, 8));
}

#[test]
fn an_early_syn_that_is_given_up_for_a_check_is_the_latest_and_none_leaves_for_a_while() {
    let mut own = Loop::with_sockets(8);
    let slots: Vec<u32> = (0..4).map(|_| own.start_early_syn()).collect();
    own.end(slots[3]);
    let next_in_its_slot = own.start(|_| ());
    assert_eq!(next_in_its_slot, slots[3]);
    assert_eq!(own.room.early_syns_from(), 0);
    assert_eq!(own.room.early_syn_for(Stage::Queued, &own.table, NOW), Some(slots[2]));
    assert_eq!(own.room.early_syns_from(), NOW + PAUSE);
    assert!(!own.has_some_for_early_syn());
    assert!(own.room.has_some_for_early_syn(&own.table, NOW + PAUSE));
    own.room.listed = own.room.for_lists - 1;
    assert!(own.room.lists_may_start());
    own.room.listed = own.room.for_lists;
    assert!(!own.room.lists_may_start());
    assert_eq!(own.room.early_syn_for(Stage::Paced, &own.table, NOW), None, "it has all that lists may have");
    assert_eq!(own.room.early_syn_for(Stage::Queued, &own.table, NOW), Some(slots[1]));
    own.room.listed = 0;
    assert_eq!(own.room.early_syn_for(Stage::Paced, &own.table, NOW), Some(slots[0]));
    assert_eq!(own.room.early_syn_for(Stage::Queued, &own.table, NOW), None);
}

#[test]
fn early_syns_that_are_over_do_not_pile_up() {
    let mut own = Loop::with_sockets(8);
    let first = own.start_early_syn();
    for _ in 0..10_000 {
        let slot = own.start_early_syn();
        own.end(slot);
        assert!(own.room.early.len() <= 64 + 2 * 2 + 1, "{} are remembered", own.room.early.len());
    }
    assert!(own.room.early.iter().any(|&(slot, _)| slot == first), "one that is not over is remembered");
}

#[test]
fn early_syns_in_flight_are_all_remembered_however_many_they_are() {
    let mut own = Loop::with_sockets(1_000);
    let slots: Vec<u32> = (0..500).map(|_| own.start_early_syn()).collect();
    assert!(own.room.early.iter().map(|&(slot, _)| slot).eq(slots));
}

#[test]
fn whoever_lacks_a_descriptor_waits_while_the_checker_holds_some() {
    let mut own = Loop::with_sockets(8);
    assert!(!own.room.waits_for_descriptor(), "nothing of its own would come free");
    assert!(own.room.gate.is_open());
    own.room.shared.opener.counter().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let before = clock::now();
    assert!(own.room.waits_for_descriptor());
    assert!(!own.room.gate.is_open());
    assert!(own.room.gate.opens_at().unwrap() >= before + SHORTAGE_RETRY);

    let mut own = Loop::new(8, false, |_| ());
    assert!(!own.room.waits_for_descriptor());
    own.start(|_| ());
    assert!(own.room.waits_for_descriptor(), "ports come free with the checks in flight");
}

#[test]
fn loops_that_wait_for_a_descriptor_hear_of_one_that_was_closed() {
    let mut own = Loop::with_sockets(1);
    own.start(|_| ());
    own.room.shared.opener.count_short_loops(1);
    assert!(!own.room.take_permit(Stage::Queued));
    own.room.is_freed(true);
    assert!(own.room.gate.is_open());
    let mut events = mio::Events::with_capacity(4);
    own.poll.poll(&mut events, Some(std::time::Duration::ZERO)).unwrap();
    assert!(!events.is_empty(), "it is told by the way that other loops are");
}

#[test]
fn a_target_is_silent_from_a_timeout_to_an_answer() {
    let mut own = Loop::with_sockets(8);
    let target = ([127, 0, 0, 1], 80).into();
    for answer in [Status::Up, Status::Refused, Status::Unreachable] {
        assert!(!own.room.is_silent(&target));
        own.room.heard(&target, Status::TimedOut);
        own.room.heard(&target, Status::LocalFault);
        assert!(own.room.is_silent(&target), "what this host could not do says nothing");
        own.room.heard(&target, answer);
    }
    assert!(!own.room.is_silent(&target));
}

#[test]
fn silent_targets_leave_the_permits_that_others_need_of_which_early_syns_are_none() {
    let mut own = Loop::with_sockets(8);
    assert!(own.room.silent_may_start());
    own.start(|_| ());
    own.start_early_syn();
    own.start_early_syn();
    let silent = own.start(|check| check.silent = true);
    assert_eq!((own.room.silent.in_flight(), own.room.handle.permits.taken()), (1, 4));
    // One other is in flight, and two are queued: three of eight.
    own.room.gate.wait_for_room();
    own.room.look_anew(2, NOW);
    assert!(own.room.gate.is_open());
    let mut started = vec![silent];
    while own.room.silent_may_start() {
        own.table.check(silent).silent = true;
        own.room.silent.started();
        started.push(silent);
    }
    assert_eq!(started.len(), 5, "of eight three are for others");
    started.iter().skip(1).for_each(|_| own.room.silent.ended());
    own.end(silent);
    assert_eq!(own.room.silent.in_flight(), 0);
}
