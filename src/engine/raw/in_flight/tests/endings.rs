//! What comes of a flow: by answers, by errors, by this host's own refusal, or by nothing.

use super::*;

/// An ICMP error about such a SYN, which is heard at once.
fn hear_of(in_flight: &mut InFlight, errno: i32, to: IpAddr, fields: &SynFields) {
    in_flight.note_error(&IcmpError { errno, to, quote: &quote_of(fields) });
    assert!(in_flight.has_errors());
    in_flight.hear_errors(true);
    assert!(!in_flight.has_errors());
}

/// Ends a flow with its outcome, if it has one.
fn verdict_of(in_flight: &mut InFlight, slot: u32, syn_at: u64) -> Verdict {
    let outcome = in_flight.next_outcome().map(|(.., outcome)| outcome);
    in_flight.conclude(slot, outcome, &target(), syn_at)
}

fn said(verdict: &Verdict) -> (Status, i32) {
    (verdict.status, verdict.os_error)
}

#[test]
fn a_flow_has_its_mark_until_it_ends() {
    let mut in_flight = in_flight();
    let (marked, ..) = begin(&mut in_flight, 1);
    let (other, ..) = begin(&mut in_flight, 1);
    in_flight.set_mark(marked, 7);
    in_flight.set_mark(other, 0);
    let answers = [marked, other].map(|slot| answer(&mut in_flight, slot, SYN_ACK));
    assert_eq!(answers.map(|answer| in_flight.mark_for(&answer)), [Some(7), Some(0)]);
    assert_eq!(in_flight.mark_for(&Answer { source_port: 81, ..answers[0] }), None, "no check goes there");
    assert_eq!([marked, other].map(|slot| in_flight.mark_of(slot)), [7, 0]);
    assert_eq!(in_flight.marks.len(), 1, "no mark needs no memory");
    end(&mut in_flight, marked, 1);
    assert_eq!(in_flight.mark_of(marked), 0);
}

#[test]
fn a_bare_ack_has_another_syn_sent_twice_at_most() {
    let mut in_flight = in_flight();
    let (slot, number, fields) = begin(&mut in_flight, 1);
    let ack = Answer { ack: 5, ..answer(&mut in_flight, slot, AnswerKind::Ack) };
    assert_eq!(in_flight.hear(&ack, 1), Heard::Nothing, "no SYN has left");
    in_flight.left(number, 1);
    let from_elsewhere = Answer { port: fields.source_port ^ 1, ..ack };
    assert_eq!(in_flight.hear(&from_elsewhere, 2), Heard::Nothing);
    let heard: Vec<Heard> = (0..4).map(|_| in_flight.hear(&ack, 2)).collect();
    assert_eq!(heard, [Heard::OlderSyn(slot), Heard::OlderSyn(slot), Heard::Nothing, Heard::Nothing]);
    assert_eq!(end(&mut in_flight, slot, 1), (Status::LocalFault, libc::EADDRINUSE), "something is there");

    let (slot, number, _) = begin(&mut in_flight, 3);
    in_flight.left(number, 3);
    let up = answer(&mut in_flight, slot, SYN_ACK);
    in_flight.hear(&up, 4);
    let ack = answer(&mut in_flight, slot, AnswerKind::Ack);
    assert_eq!(in_flight.hear(&ack, 5), Heard::Nothing, "it is answered");
}

#[test]
fn unreachable_is_the_verdict_at_once_of_one_syn_and_at_the_deadline_of_several() {
    for (syns, is_at_once) in [(1, true), (2, false), (3, false)] {
        let mut in_flight = in_flight();
        let (slot, number, fields) = begin(&mut in_flight, 1);
        (0..syns).for_each(|_| in_flight.left(number, 1));
        hear_of(&mut in_flight, libc::EHOSTUNREACH, target().ip(), &fields);
        assert_eq!(in_flight.has_outcomes(), is_at_once, "{syns} SYNs");
        let verdict = verdict_of(&mut in_flight, slot, 1);
        assert_eq!(said(&verdict), (Status::Unreachable, libc::EHOSTUNREACH));
        assert_eq!((verdict.syn_retransmits, verdict.address), (syns - 1, Some(target())));
    }
}

#[test]
fn a_refusal_by_icmp_is_the_verdict_however_many_syns_left() {
    for syns in [1, 2] {
        let mut in_flight = in_flight();
        let (slot, number, fields) = begin(&mut in_flight, 1);
        (0..syns).for_each(|_| in_flight.left(number, 1));
        hear_of(&mut in_flight, libc::ECONNREFUSED, target().ip(), &fields);
        assert_eq!(said(&verdict_of(&mut in_flight, slot, 1)), (Status::Refused, libc::ECONNREFUSED));
    }
}

#[test]
fn an_error_about_the_size_of_segments_another_target_another_number_or_an_answered_flow_says_nothing() {
    let mut in_flight = in_flight();
    let (slot, number, fields) = begin(&mut in_flight, 1);
    in_flight.left(number, 1);
    let others = [
        (libc::EMSGSIZE, target().ip(), fields),
        (libc::EHOSTUNREACH, [127, 0, 0, 2].into(), fields),
        (libc::EHOSTUNREACH, target().ip(), SynFields { target_port: 81, ..fields }),
        (libc::EHOSTUNREACH, target().ip(), SynFields { isn: fields.isn ^ 1, ..fields }),
    ];
    for (errno, to, quoted) in &others {
        hear_of(&mut in_flight, *errno, *to, quoted);
        assert!(!in_flight.has_outcomes());
    }
    let up = answer(&mut in_flight, slot, SYN_ACK);
    in_flight.hear(&up, 2);
    hear_of(&mut in_flight, libc::EHOSTUNREACH, target().ip(), &fields);
    let (.., outcome) = in_flight.next_outcome().expect("it is answered");
    assert!(in_flight.next_outcome().is_none(), "and that is all");
    assert_eq!(in_flight.conclude(slot, Some(outcome), &target(), 1).status, Status::Up);
}

#[test]
fn what_the_routes_refuse_is_final_unless_a_syn_has_left_or_an_answer_come() {
    let no_way = |flow, is_final| Refusal { flow, errno: libc::ENETUNREACH, is_final };
    let mut in_flight = in_flight();
    let (slot, flow, _) = begin(&mut in_flight, 1);
    in_flight.refused(&no_way(flow, true));
    assert_eq!(said(&verdict_of(&mut in_flight, slot, 1)), (Status::Unreachable, libc::ENETUNREACH));

    let (slot, flow, _) = begin(&mut in_flight, 1);
    in_flight.refused(&no_way(flow, false));
    assert!(!in_flight.has_outcomes(), "the next SYN may leave");
    assert_eq!(end(&mut in_flight, slot, 1), (Status::LocalFault, libc::ENETUNREACH), "but none did");

    let (slot, flow, _) = begin(&mut in_flight, 1);
    in_flight.left(flow, 1);
    in_flight.refused(&no_way(flow, true));
    assert!(!in_flight.has_outcomes(), "the one that left may be answered");
    assert_eq!(end(&mut in_flight, slot, 1), (Status::TimedOut, 0));

    let (_, flow, _) = begin(&mut in_flight, 1);
    in_flight.refused(&no_way(flow, true));
    in_flight.refused(&no_way(flow, true));
    assert!(in_flight.next_outcome().is_some());
    assert!(in_flight.next_outcome().is_none(), "it is told once");
}

#[test]
fn a_check_of_which_no_syn_has_left_is_this_hosts_fault() {
    let mut in_flight = in_flight();
    let (slot, ..) = begin(&mut in_flight, 1);
    assert_eq!(end(&mut in_flight, slot, 1), (Status::LocalFault, libc::ENOBUFS));
}

#[test]
fn what_was_dropped_between_two_syns_does_not_matter_once_the_second_had_its_chance() {
    let second = 1_000_000_000;
    for (dropped, expected) in [(3 * second, Status::TimedOut), (5 * second, Status::LocalFault)] {
        let mut in_flight = in_flight();
        let (slot, number, _) = begin(&mut in_flight, 2 * second);
        in_flight.left(number, 2 * second);
        in_flight.left(number, 4 * second);
        in_flight.lost_at = [Some(dropped), None];
        assert_eq!(end(&mut in_flight, slot, 2 * second).0, expected, "dropped at {dropped}");
    }
}

/// The round trip of a check, in microseconds, whose SYNs left so many milliseconds after it began, and whose answer came
/// 400 us after such a time. The answer echoes the timestamp of a SYN of such a time.
fn round_trip_of(syns: &[u64], echo_of: Option<i64>, from_first_port: bool, answered: u64) -> u32 {
    const BEGAN: u64 = 7_000_000_000_000;
    let ms = |time: u64| BEGAN + time * 1_000_000;
    let mut in_flight = in_flight();
    let (slot, number, _) = begin(&mut in_flight, BEGAN);
    let first = answer(&mut in_flight, slot, SYN_ACK);
    for (count, syn) in syns.iter().enumerate() {
        if count > 0 {
            in_flight.change_port(slot);
        }
        in_flight.left(number, ms(*syn));
    }
    let last = answer(&mut in_flight, slot, SYN_ACK);
    let echoed = |time: i64| BEGAN.saturating_add_signed(time * 1_000_000);
    let ts_echo = echo_of.map(|time| in_flight.next_syn(slot, 80, echoed(time)).1.tsval);
    let came = Answer { ts_echo, ..if from_first_port { first } else { last } };
    assert_eq!(in_flight.hear(&came, ms(answered) + 400_000), Heard::Answer);
    verdict_of(&mut in_flight, slot, BEGAN).rtt_us
}

#[track_caller]
fn assert_near(round_trip: u32, microseconds: u32) {
    assert!(round_trip.abs_diff(microseconds) <= 10, "{round_trip} us, not {microseconds}");
}

#[test]
fn the_round_trip_is_that_of_the_syn_that_was_answered() {
    // One SYN: from its leaving, whatever its timestamp says.
    assert_near(round_trip_of(&[0], None, false, 20), 20_400);
    assert_near(round_trip_of(&[5], None, false, 20), 15_400);
    assert_near(round_trip_of(&[5], Some(900), false, 20), 15_400);
    // Two: the echo says which.
    assert_near(round_trip_of(&[0, 300], Some(300), false, 320), 20_400);
    assert_near(round_trip_of(&[0, 300], Some(0), true, 320), 320_400);
    // One between the first and the last, of which only the timestamp is known, in milliseconds.
    assert_near(round_trip_of(&[0, 300, 900], Some(300), true, 920), 620_000);
    // An echo of a time before the check: it answers the first one at the earliest.
    assert_near(round_trip_of(&[0, 300], Some(-100), true, 320), 320_400);
    // Without an echo the port says it.
    assert_near(round_trip_of(&[0, 300], None, false, 320), 20_400);
    assert_near(round_trip_of(&[0, 300], None, true, 320), 320_400);
}

#[test]
fn a_round_trip_is_a_microsecond_at_least_and_nothing_where_the_clock_misleads() {
    let mut in_flight = in_flight();
    let syn_at = 1 << 42;
    let (slot, number, _) = begin(&mut in_flight, syn_at);
    in_flight.left(number, syn_at + 50_000_000);
    let up = answer(&mut in_flight, slot, SYN_ACK);
    in_flight.hear(&up, syn_at - 1_000_000_000);
    assert_eq!(verdict_of(&mut in_flight, slot, syn_at).rtt_us, 1);
}

#[test]
fn timestamps_are_milliseconds() {
    let mut in_flight = in_flight();
    let (slot, ..) = begin(&mut in_flight, 0);
    for (at, tsval) in [(0, 0), (999_999, 0), (1_000_000, 1), (2_999_999_999, 2_999), (5_000_000 << 32, 0)] {
        assert_eq!(in_flight.next_syn(slot, 80, at).1.tsval, tsval, "{at} ns");
    }
}

#[test]
fn the_key_is_renewed_when_many_flows_have_ended_and_none_is_there() {
    let mut in_flight = in_flight();
    let isn = |in_flight: &InFlight| in_flight.key.isn(1);
    let first = isn(&in_flight);
    let pass = |in_flight: &mut InFlight, flows: u32| {
        for _ in 0..flows {
            let (slot, ..) = begin(in_flight, 0);
            end(in_flight, slot, 0);
        }
    };
    pass(&mut in_flight, FLOWS_OF_A_KEY - 1);
    assert_eq!(isn(&in_flight), first);
    let (other, ..) = begin(&mut in_flight, 0);
    pass(&mut in_flight, FLOWS_OF_A_KEY);
    assert_eq!(isn(&in_flight), first, "answers of the one in flight are read with it");
    end(&mut in_flight, other, 0);
    let second = isn(&in_flight);
    assert_ne!(second, first);
    pass(&mut in_flight, FLOWS_OF_A_KEY - 1);
    assert_eq!(isn(&in_flight), second, "it counts from then on");
    in_flight.shrink();
    assert_ne!(isn(&in_flight), second, "numbers begin anew");
}
