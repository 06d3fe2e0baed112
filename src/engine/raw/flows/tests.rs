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
fn times_are_compared_across_their_end() {
    let (before, after) = (CoarseTime(u32::MAX - 1), CoarseTime(3));
    assert!(before.is_before(after) && !after.is_before(before) && !after.is_before(after));
    let now = 1u64 << 52;
    assert_eq!(CoarseTime::of(now - (5 << UNIT_BITS)).until(now), 5 << UNIT_BITS);
}
