use super::*;

const PORTS: u16 = 4;

fn in_flight() -> InFlight {
    let mut ports = Ports::new(0, PORTS);
    ports.hold().unwrap();
    InFlight::new(ports)
}

fn target() -> SocketAddr {
    ([127, 0, 0, 1], 80).into()
}

/// The slot of a flow that begins, and what its first SYN says.
fn begin(in_flight: &mut InFlight, now: u64) -> (u32, FlowNumber, SynFields) {
    let destination = in_flight.flows.destination(target().ip(), target().port());
    let slot = in_flight.flows.open(destination, PORTS).unwrap();
    in_flight.flows.begin(slot, SlotKey::of(0));
    let (number, fields) = in_flight.next_syn(slot, 80, now);
    (slot, number, fields)
}

fn end(in_flight: &mut InFlight, slot: u32, syn_at: u64) -> (Status, i32) {
    let verdict = in_flight.conclude(slot, None, &target(), syn_at);
    (verdict.status, verdict.os_error)
}

#[test]
fn a_syn_is_not_like_one_of_before_the_rest() {
    let mut in_flight = in_flight();
    let mut isns = std::collections::HashSet::new();
    let mut ports = std::collections::HashSet::new();
    for rests in 0..4 {
        let (slot, _, fields) = begin(&mut in_flight, rests);
        assert!(isns.insert(fields.isn), "the ISN of an earlier check");
        assert!(ports.insert(fields.source_port), "the port of the check before");
        in_flight.conclude(slot, None, &target(), rests);
        in_flight.shrink();
    }
}

#[test]
fn a_syn_is_not_like_an_earlier_one_however_many_checks_lie_between() {
    for has_another_in_flight in [false, true] {
        let mut in_flight = in_flight();
        let mut isns = std::collections::HashSet::new();
        if has_another_in_flight {
            begin(&mut in_flight, 0); // as long as it is, the key stays
        }
        for check in 0..20_000 {
            let (slot, _, fields) = begin(&mut in_flight, check);
            in_flight.conclude(slot, None, &target(), check);
            isns.insert(fields.isn);
        }
        // Random ones would meet once in twenty tries.
        assert!(isns.len() > 19_990, "{} ISNs", isns.len());
    }
}

#[test]
fn what_was_dropped_says_nothing_of_a_check_that_began_later() {
    let minute = 60_000_000_000;
    for minutes in [0, 1, 30, 40, 60, 72, 80] {
        let mut in_flight = in_flight();
        let dropped = 5 * minute;
        in_flight.lost_at = [Some(dropped), None];
        let began = dropped + 1_000_000 + minutes * minute;
        let (slot, number, _) = begin(&mut in_flight, began);
        in_flight.left(number, began);
        assert_eq!(end(&mut in_flight, slot, began), (Status::TimedOut, 0), "{minutes} minutes later");
    }
}

#[test]
fn what_was_dropped_is_this_hosts_fault() {
    let mut in_flight = in_flight();
    let (slot, number, _) = begin(&mut in_flight, 1 << 40);
    in_flight.left(number, 1 << 40);
    in_flight.lost_at = [Some((1 << 40) + 1_000_000), None];
    assert_eq!(end(&mut in_flight, slot, 1 << 40), (Status::LocalFault, libc::ENOBUFS));
}

#[test]
fn what_kept_a_syn_here_says_nothing_of_the_target_once_another_has_left() {
    for errno in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::EPERM] {
        let mut in_flight = in_flight();
        let (slot, flow, _) = begin(&mut in_flight, 1);
        in_flight.refused(&Refusal { flow, errno, is_final: false });
        in_flight.left(flow, 2);
        assert_eq!(end(&mut in_flight, slot, 1), (Status::TimedOut, 0), "{errno}");
    }
}
