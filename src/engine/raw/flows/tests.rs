use super::*;

fn localhost(flows: &Flows, port: u16) -> Destination {
    flows.destination(IpAddr::from([127, 0, 0, 1]), port)
}

#[test]
fn a_port_carries_one_check_to_a_destination_and_any_number_to_others() {
    let mut flows = Flows::default();
    let (first, second) = (localhost(&flows, 1), localhost(&flows, 2));
    let opened: Vec<u32> = (0..4).map(|_| flows.open(first, 4).unwrap()).collect();
    let mut ports: Vec<u16> = opened.iter().map(|slot| flows.flow(*slot).port).collect();
    ports.sort_unstable();
    assert_eq!(ports, [0, 1, 2, 3]);
    assert_eq!(flows.open(first, 4), None);
    assert!(flows.open(second, 4).is_some());
    flows.close(opened[2]);
    let again = flows.open(first, 4).unwrap();
    assert_eq!(flows.flow(again).port, 2);
}

#[test]
fn the_ports_serve_a_destination_in_turn() {
    let mut flows = Flows::default();
    let destination = localhost(&flows, 80);
    let ports: Vec<u16> = (0..8)
        .map(|_| {
            let slot = flows.open(destination, 4).unwrap();
            let port = flows.flow(slot).port;
            flows.close(slot);
            port
        })
        .collect();
    assert_eq!(ports, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn a_number_leads_to_its_flow_until_that_has_ended() {
    let mut flows = Flows::default();
    let destination = localhost(&flows, 80);
    let slot = flows.open(destination, 64).unwrap();
    let number = flows.number(slot);
    assert!(flows.get(number).is_none(), "it has no check yet");
    flows.begin(slot, SlotKey::of(7));
    assert_eq!(flows.get(number).map(|(check, _)| check), Some(SlotKey::of(7)));
    flows.close(slot);
    assert!(flows.get(number).is_none());
    let mut others = 0;
    loop {
        let next = flows.open(destination, 64).unwrap();
        flows.begin(next, SlotKey::of(8));
        assert!(flows.get(number).is_none(), "the slot is another flow's");
        if next == slot {
            break;
        }
        flows.close(next);
        others += 1;
    }
    assert_eq!(others, RESTING - 1, "a slot rests while there are others");
    assert!(flows.get(FlowNumber::of(u32::MAX)).is_none());
}

#[test]
fn a_flow_is_found_by_its_pair() {
    let mut flows = Flows::default();
    let destination = localhost(&flows, 80);
    let slot = flows.open(destination, 64).unwrap();
    let port = flows.flow(slot).port;
    assert_eq!(flows.find(destination, port), Some(slot));
    assert_eq!(flows.find(destination, port + 1), None);
    flows.close(slot);
    assert_eq!(flows.find(destination, port), None);
}

#[test]
fn a_million_flows_cost_what_the_promise_leaves_for_them() {
    let mut flows = Flows::default();
    for index in 0..40_000u32 {
        let target = IpAddr::from((0x0a00_0000 + index).to_be_bytes());
        // Few enough for two targets whose hashes are the same, which happens.
        for _ in 0..25 {
            let destination = flows.destination(target, 80);
            assert!(flows.open(destination, 64).is_some());
        }
    }
    assert_eq!(flows.pairs.len(), 1_000_000);
    let bytes = flows.flows.capacity() * size_of::<Flow>() + flows.pairs.allocation_size();
    assert!(bytes < 32 * flows.pairs.len(), "{bytes} bytes");
    (0..1_000_000).for_each(|slot| flows.close(slot));
    assert!(flows.is_empty());
    flows.shrink();
    assert_eq!(flows.flows.capacity(), 0);
}

#[test]
fn slots_that_rested_longest_are_used_first_and_no_more_rest_than_must() {
    let mut flows = Flows::default();
    let destination = localhost(&flows, 80);
    for round in 0..3 {
        for slot in 0..RESTING as u32 {
            let next = flows.open(destination, 64).unwrap();
            assert_eq!(next, slot, "round {round}");
            flows.close(next);
            assert_eq!(flows.flow(next).generation, round + 1);
        }
    }
    assert_eq!((flows.flows.len(), flows.resting), (RESTING, RESTING));
}

#[test]
fn a_generation_follows_the_last_one_and_begins_anew_after_that() {
    let mut flows = Flows::default();
    let destination = localhost(&flows, 80);
    let last = (1 << (32 - SLOT_BITS)) - 1;
    for (before, after) in [(last - 1, last), (last, 0)] {
        let slot = flows.open(destination, 64).unwrap();
        flows.flow(slot).generation = before;
        assert_eq!(flows.number(slot).get(), u32::from(before) << SLOT_BITS | slot);
        flows.close(slot);
        assert_eq!(flows.flow(slot).generation, after);
    }
}

#[test]
fn a_number_of_another_generation_is_none_of_the_flows() {
    let mut flows = Flows::default();
    let destination = localhost(&flows, 80);
    let slot = flows.open(destination, 64).unwrap();
    flows.begin(slot, SlotKey::of(7));
    for generation in [1, 2, 3, 1 << 9] {
        flows.flow(slot).generation = generation;
        let number = flows.number(slot).get();
        assert!(flows.get(FlowNumber::of(number)).is_some());
        for bit in SLOT_BITS..u32::BITS {
            assert!(flows.get(FlowNumber::of(number ^ 1 << bit)).is_none(), "bit {bit} of {number:#x}");
        }
    }
}

#[test]
fn there_is_room_for_one_more_flow_after_it_was_asked_for_and_not_for_many() {
    let mut flows = Flows::default();
    let destination = localhost(&flows, 80);
    for count in 0..2_000u16 {
        let before = flows.flows.capacity();
        flows.grow().unwrap();
        let (slots, pairs) = (flows.flows.capacity(), flows.pairs.capacity());
        assert!(slots > flows.flows.len() && flows.turns.len() == TURNS);
        let spare = slots - flows.flows.len();
        assert!(spare <= 64.max(flows.flows.len() / 16), "room for {spare} more than {count}");
        assert!(spare >= flows.flows.len() / 16 || slots == before, "room for {spare} more than {count}: too often");
        assert!(flows.open(destination, u16::MAX).is_some());
        assert_eq!((flows.flows.capacity(), flows.pairs.capacity()), (slots, pairs), "no memory is asked for now");
    }
}

#[test]
fn every_port_of_a_destination_has_its_own_place_and_its_own_mask() {
    let mut flows = Flows::default();
    let mut masks = std::collections::HashSet::new();
    let mut hashes = std::collections::HashSet::new();
    for port in 1..=4 {
        let destination = localhost(&flows, port);
        for _ in 0..1_000 {
            let slot = flows.open(destination, 1_000).unwrap();
            let number = flows.flow(slot).port;
            masks.insert(flows.mask(slot));
            hashes.insert(hash_of(destination, number) >> 57 << 20 | hash_of(destination, number) & 0xf_ffff);
            assert_eq!(flows.mask(slot), flows.mask_of(destination, number));
        }
    }
    // Many of them have the same tag in the table.
    let destination = localhost(&flows, 1);
    assert!((0..1_000).all(|port| flows.find(destination, port).is_some()));
    assert!((1_000..3_000).all(|port| flows.find(destination, port).is_none()));
    assert!(masks.len() > 3_990 && hashes.len() > 3_990, "{} masks, {} places", masks.len(), hashes.len());
}

#[test]
fn a_flow_to_another_destination_is_not_found_though_its_port_is_the_same() {
    let mut flows = Flows::default();
    for port in 1..=4_000 {
        flows.open(localhost(&flows, port), 1);
    }
    for port in 5_000..9_000 {
        let destination = localhost(&flows, port);
        let found = flows.find(destination, 0);
        // Of so many, two may have the same hash.
        assert!(found.is_none_or(|slot| flows.flow(slot).destination == destination), "{port}");
    }
}

#[test]
fn a_burst_that_is_over_leaves_the_key_of_its_hashes_and_takes_other_ports() {
    let mut flows = Flows::default();
    let destination = localhost(&flows, 80);
    let first = flows.open(destination, 8).unwrap();
    let port = flows.flow(first).port;
    assert!(!flows.is_empty());
    flows.close(first);
    assert!(flows.is_empty());
    flows.shrink();
    assert_eq!(localhost(&flows, 80), destination);
    let next = flows.open(destination, 8).unwrap();
    assert_ne!(flows.flow(next).port, port);
}

#[test]
fn a_flow_is_answered_once_it_is_said_so() {
    let mut flow = unused_flow(0);
    flow.set_refused_once();
    assert!(flow.is_refused_once() && !flow.is_answered());
    flow.set_answered();
    assert!(flow.is_answered() && !flow.is_refused_once());
}

#[test]
fn a_destination_has_its_place_in_a_table_of_any_size() {
    let places: std::collections::HashSet<usize> = (0..10).map(|hash| Destination(hash).index(4)).collect();
    assert_eq!(places.len(), 4);
    assert_eq!(Destination(7).index(4), 3);
}

#[test]
fn times_are_compared_across_their_end() {
    let (before, after) = (CoarseTime(u32::MAX - 1), CoarseTime(3));
    assert!(before.is_before(after) && !after.is_before(before) && !after.is_before(after));
    let now = 1u64 << 52;
    assert_eq!(CoarseTime::of(now - (5 << UNIT_BITS)).until(now), 5 << UNIT_BITS);
    assert_eq!(CoarseTime::of(now + (5 << UNIT_BITS)).since(now), 5 << UNIT_BITS);
    assert_eq!(CoarseTime::of(now).since(now + (5 << UNIT_BITS)), 0, "it was not earlier");
}
