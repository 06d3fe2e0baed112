use super::*;

mod endings;

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

/// An answer to the SYN that a flow would send now.
fn answer(in_flight: &mut InFlight, slot: u32, kind: AnswerKind) -> Answer {
    let (_, fields) = in_flight.next_syn(slot, 80, 0);
    let (source, ack) = (target().ip(), fields.isn.wrapping_add(1));
    Answer { source, source_port: 80, port: fields.source_port, ack, kind, ts_echo: None }
}

const SYN_ACK: AnswerKind = AnswerKind::SynAck { zero_window: false };

/// Hears answers to a flow's SYN at this time, and ends it with the outcome that is there.
fn hear_and_end(in_flight: &mut InFlight, kind: AnswerKind, at: u64) -> Status {
    let (slot, number, _) = begin(in_flight, at);
    in_flight.left(number, at);
    let answer = answer(in_flight, slot, kind);
    in_flight.hear(&answer, at);
    let outcome = in_flight.next_outcome().map(|(.., outcome)| outcome);
    in_flight.conclude(slot, outcome, &target(), at).status
}

#[test]
fn a_refusal_counts_at_once_where_nobody_has_been_up_lately() {
    let mut in_flight = in_flight();
    let second = 1_000_000_000;
    assert_eq!(hear_and_end(&mut in_flight, AnswerKind::Reset, second), Status::Refused);
    assert_eq!(hear_and_end(&mut in_flight, SYN_ACK, 2 * second), Status::Up);
    let later = 200 * second;
    let (slot, number, _) = begin(&mut in_flight, later);
    in_flight.left(number, later);
    let refusal = answer(&mut in_flight, slot, AnswerKind::Reset);
    assert_eq!(in_flight.hear(&refusal, later), Heard::Answer);
    assert!(in_flight.has_outcomes());
}

#[test]
fn a_refusal_of_a_target_that_has_been_up_lately_counts_when_another_port_is_refused_too() {
    let mut in_flight = in_flight();
    assert_eq!(hear_and_end(&mut in_flight, SYN_ACK, 1), Status::Up);
    let (slot, number, before) = begin(&mut in_flight, 2);
    in_flight.left(number, 2);
    let refusal = answer(&mut in_flight, slot, AnswerKind::Reset);
    assert_eq!(in_flight.hear(&refusal, 3), Heard::MaybeRefused(slot));
    let (_, after) = in_flight.next_syn(slot, 80, 3);
    assert_ne!(before.source_port, after.source_port);
    assert_eq!(in_flight.hear(&refusal, 4), Heard::Answer, "it came twice");
    assert!(!in_flight.has_outcomes(), "the same refusal is no second one");
    in_flight.left(number, 4);
    let refusal = answer(&mut in_flight, slot, AnswerKind::Reset);
    assert_eq!(in_flight.hear(&refusal, 5), Heard::Answer);
    let (_, slot, outcome) = in_flight.next_outcome().unwrap();
    let verdict = in_flight.conclude(slot, Some(outcome), &target(), 2);
    assert_eq!((verdict.status, verdict.os_error), (Status::Refused, libc::ECONNREFUSED));
    // From now on it is known.
    assert_eq!(hear_and_end(&mut in_flight, AnswerKind::Reset, 6), Status::Refused);
}

#[test]
fn a_target_whose_half_open_connection_refused_is_up_when_another_port_is_answered() {
    let mut in_flight = in_flight();
    assert_eq!(hear_and_end(&mut in_flight, SYN_ACK, 1), Status::Up);
    let (slot, number, _) = begin(&mut in_flight, 2);
    in_flight.left(number, 2);
    let refusal = answer(&mut in_flight, slot, AnswerKind::Reset);
    assert_eq!(in_flight.hear(&refusal, 3), Heard::MaybeRefused(slot));
    in_flight.left(number, 4);
    let up = answer(&mut in_flight, slot, SYN_ACK);
    assert_eq!(in_flight.hear(&up, 5), Heard::Answer);
    let (_, slot, outcome) = in_flight.next_outcome().unwrap();
    assert_eq!(in_flight.conclude(slot, Some(outcome), &target(), 2).status, Status::Up);
}

#[test]
fn a_doubtful_refusal_that_nothing_follows_is_none() {
    let mut in_flight = in_flight();
    assert_eq!(hear_and_end(&mut in_flight, SYN_ACK, 1), Status::Up);
    let (slot, number, _) = begin(&mut in_flight, 2);
    in_flight.left(number, 2);
    let refusal = answer(&mut in_flight, slot, AnswerKind::Reset);
    in_flight.hear(&refusal, 3);
    in_flight.left(number, 4);
    assert_eq!(end(&mut in_flight, slot, 2), (Status::TimedOut, 0));
}

#[test]
fn a_refusal_of_a_target_that_only_shares_its_entry_with_one_that_was_up_counts_if_nothing_follows() {
    let mut in_flight = in_flight();
    let own = in_flight.flows.destination(target().ip(), target().port());
    let entries = 1 << 12;
    let another = (1..=u16::MAX).map(|port| in_flight.flows.destination(target().ip(), port));
    let another = another.filter(|other| *other != own).find(|other| other.index(entries) == own.index(entries));
    in_flight.lately_up.note(another.expect("65,534 others, and 4,096 entries"), 1);
    let (slot, number, _) = begin(&mut in_flight, 2);
    in_flight.left(number, 2);
    let refusal = answer(&mut in_flight, slot, AnswerKind::Reset);
    assert_eq!(in_flight.hear(&refusal, 3), Heard::MaybeRefused(slot));
    in_flight.left(number, 4);
    assert_eq!(end(&mut in_flight, slot, 2), (Status::Refused, libc::ECONNREFUSED));
}

#[test]
fn an_error_waits_for_what_came_before_it_but_not_for_ever_where_segments_come_without_end() {
    let mut in_flight = in_flight();
    let (_, number, fields) = begin(&mut in_flight, 1);
    in_flight.left(number, 1);
    let quote = quote_of(&fields);
    let error = IcmpError { errno: libc::EHOSTUNREACH, to: target().ip(), quote: &quote };
    in_flight.note_error(&error);
    in_flight.hear_errors(false);
    assert!(!in_flight.has_outcomes());
    for _ in 1..MANY_ERRORS {
        in_flight.note_error(&error);
    }
    in_flight.hear_errors(false);
    assert!(in_flight.has_outcomes() && !in_flight.has_errors());
}

/// The quote of a flow's SYN in an ICMP error.
fn quote_of(fields: &SynFields) -> Vec<u8> {
    let ports = [fields.source_port, fields.target_port].map(u16::to_be_bytes).concat();
    [ports, fields.isn.to_be_bytes().to_vec()].concat()
}
