use super::*;
use crate::check::close_mode::CloseMode;
use crate::check::slot::SlotKey;

const MS: u64 = 1_000_000;

fn terms(timeout_ms: u32, paced: bool) -> Terms {
    let close_mode = CloseMode::HALF_OPEN;
    Terms { submitted: 0, timeout_ms, close_mode, mark: 0, paced, has_token: false, syns: 0 }
}

fn race(addresses: u8, paced: bool) -> AddressRace {
    let reply_to = ReplyTo { sink: SlotKey::of(0), id: 1, tag: 0 };
    let mut race = AddressRace::of_name(reply_to, 1, terms(1000, paced));
    let addresses = (1..=addresses).map(|last| ([127, 0, 0, last], 80).into());
    assert!(race.is_resolving());
    race.resolved(&addresses.collect::<Vec<_>>(), 0).unwrap();
    race
}

/// Has a check of the next address run in this slot.
fn take_turn(race: &mut AddressRace, check: u32, now: u64) -> Terms {
    let Some(Turn::Address { number, terms, .. }) = race.next_turn(now) else { panic!("no address is left") };
    race.is_checked_by(check, number);
    terms
}

/// Has a check by an early SYN run in this slot.
fn send_early(race: &mut AddressRace, check: u32) -> SocketAddr {
    let Some(Turn::EarlySyn { address, number, .. }) = race.next_turn(0) else { panic!("no early SYN is left") };
    race.is_checked_by(check, number);
    address
}

fn last_byte(address: SocketAddr) -> u8 {
    match address {
        SocketAddr::V4(address) => address.ip().octets()[3],
        SocketAddr::V6(_) => 0,
    }
}

fn verdict(status: Status) -> Verdict {
    Verdict::without_segments(status, 0)
}

#[test]
fn the_first_answer_ends_it() {
    let mut race = race(2, false);
    take_turn(&mut race, 1, 0);
    take_turn(&mut race, 2, 250 * MS);
    assert_eq!(race.concluded(2, verdict(Status::Up), 260 * MS), Next::End(verdict(Status::Up)));
}

#[test]
fn a_refusal_gives_the_next_address_its_turn_and_the_first_ones_verdict_stands_in_the_end() {
    let mut race = race(2, false);
    take_turn(&mut race, 1, 0);
    assert_eq!(race.concluded(1, verdict(Status::Refused), MS), Next::Address);
    take_turn(&mut race, 2, MS);
    assert_eq!(race.concluded(2, verdict(Status::TimedOut), 2 * MS), Next::End(verdict(Status::Refused)));
}

#[test]
fn a_verdict_waits_for_the_addresses_that_are_still_under_way() {
    let mut race = race(2, false);
    take_turn(&mut race, 1, 0);
    take_turn(&mut race, 2, 250 * MS);
    assert_eq!(race.concluded(1, verdict(Status::Unreachable), 300 * MS), Next::Wait);
}

#[test]
fn no_address_has_its_turn_after_the_deadline() {
    let mut race = race(2, false);
    take_turn(&mut race, 1, 0);
    let end = Next::End(verdict(Status::TimedOut));
    assert_eq!(race.concluded(1, verdict(Status::TimedOut), 1000 * MS), end);
}

#[test]
fn a_paced_one_is_not_charged_for_the_wait_for_its_turn() {
    let mut race = race(2, true);
    race.begin_time(100 * MS);
    assert_eq!(take_turn(&mut race, 1, 100 * MS).timeout_ms, 1000);
    race.starts(700 * MS, 800 * MS);
    assert_eq!(race.deadline(), 1800 * MS);
    assert_eq!(take_turn(&mut race, 2, 1050 * MS).timeout_ms, 750);
}

#[test]
fn an_address_without_an_answer_has_three_more_syns() {
    let mut race = race(1, false);
    take_turn(&mut race, 1, 0);
    assert_eq!(race.next_delay(0), None, "they are left to the kernel");
    for check in 2..=4 {
        assert_eq!(race.next_delay(300), Some(300));
        send_early(&mut race, check);
    }
    assert_eq!(race.next_delay(300), None);
    assert!(race.next_turn(0).is_none());
    assert_eq!(race.syns_sent_again(Some(([127, 0, 0, 1], 80).into())), 3);
}

#[test]
fn early_syns_go_to_the_addresses_in_turn_after_each_has_had_its_own() {
    let mut race = race(2, false);
    take_turn(&mut race, 1, 0);
    assert_eq!(race.next_delay(300), Some(ATTEMPT_DELAY_MS));
    take_turn(&mut race, 2, 0);
    let sent: Vec<u8> = (3..9).map(|check| send_early(&mut race, check)).map(last_byte).collect();
    assert_eq!(sent, [1, 2, 1, 2, 1, 2]);
}

#[test]
fn a_refusal_of_one_syn_is_the_addresses_and_a_word_of_the_network_waits_for_the_others() {
    let mut race = race(1, false);
    take_turn(&mut race, 1, 0);
    send_early(&mut race, 2);
    send_early(&mut race, 3);
    assert_eq!(race.concluded(2, verdict(Status::Unreachable), MS), Next::Wait);
    assert_eq!(race.concluded(1, verdict(Status::Refused), MS), Next::End(verdict(Status::Refused)));
}

#[test]
fn of_the_verdicts_on_one_address_the_one_that_says_more_stands() {
    let mut race = race(1, false);
    take_turn(&mut race, 1, 0);
    send_early(&mut race, 2);
    assert_eq!(race.concluded(2, verdict(Status::Unreachable), MS), Next::Wait);
    let end = Next::End(verdict(Status::Unreachable));
    assert_eq!(race.concluded(1, verdict(Status::TimedOut), 1000 * MS), end);
}

#[test]
fn an_answer_after_the_deadline_is_too_late() {
    let race = AddressRace::of_name(ReplyTo { sink: SlotKey::of(0), id: 1, tag: 0 }, 1, terms(5, false));
    assert!(race.is_in_time(5 * MS - 1));
    assert!(!race.is_in_time(5 * MS));
}

#[test]
fn an_address_that_this_host_could_not_ask_leaves_a_name_without_a_verdict() {
    for fault in [Status::LocalFault, Status::Busy] {
        for bad in [Status::Refused, Status::TimedOut, Status::Unreachable] {
            for (first, second) in [(bad, fault), (fault, bad)] {
                let mut race = race(2, false);
                take_turn(&mut race, 1, 0);
                assert_eq!(race.concluded(1, verdict(first), MS), Next::Address);
                take_turn(&mut race, 2, MS);
                assert_eq!(
                    race.concluded(2, verdict(second), 2 * MS),
                    Next::End(verdict(fault)),
                    "{first:?}, {second:?}"
                );
            }
        }
    }
}

#[test]
fn an_early_syn_that_this_host_could_not_send_takes_nothing_from_the_silence_of_its_address() {
    let mut race = race(1, false);
    take_turn(&mut race, 1, 0);
    send_early(&mut race, 2);
    assert_eq!(race.concluded(2, verdict(Status::LocalFault), MS), Next::Wait);
    let end = Next::End(verdict(Status::TimedOut));
    assert_eq!(race.concluded(1, verdict(Status::TimedOut), 1000 * MS), end);
}

#[test]
fn a_family_that_this_host_lacks_takes_no_part_where_there_are_others() {
    let lacking = Verdict { os_error: EAFNOSUPPORT, ..verdict(Status::LocalFault) };
    for (first, second) in [(lacking, verdict(Status::Refused)), (verdict(Status::Refused), lacking)] {
        let mut race = race(2, false);
        take_turn(&mut race, 1, 0);
        race.concluded(1, first, MS);
        take_turn(&mut race, 2, MS);
        assert_eq!(race.concluded(2, second, 2 * MS), Next::End(verdict(Status::Refused)));
    }
    let mut race = race(1, false);
    take_turn(&mut race, 1, 0);
    assert_eq!(race.concluded(1, lacking, MS), Next::End(lacking));
}

#[test]
fn an_early_syn_that_is_given_up_leaves_what_is_known_by_then() {
    let mut race = race(1, false);
    take_turn(&mut race, 1, 0);
    send_early(&mut race, 2);
    assert_eq!(race.concluded(1, verdict(Status::TimedOut), MS), Next::Wait);
    assert_eq!(race.given_up(7, 1), Next::Wait, "no check of it");
    assert_eq!(race.given_up(2, 1), Next::End(verdict(Status::TimedOut)));
    assert_eq!(race.syns_sent_again(Some(([127, 0, 0, 1], 80).into())), 2);
}

#[test]
fn the_time_of_a_paced_one_runs_once_its_lookup_begins_and_its_checks_wait_for_nothing_on_it() {
    let mut race = race(1, true);
    assert!(race.waits_for_its_time() && race.is_in_time(5000 * MS));
    race.begin_time(100 * MS);
    assert!(!race.waits_for_its_time() && race.is_in_time(1100 * MS - 1) && !race.is_in_time(1100 * MS));
    assert!(take_turn(&mut race, 1, 200 * MS).paced, "the wait for a turn is not charged");
}

#[test]
fn the_time_of_early_syns_runs_already() {
    let reply_to = ReplyTo { sink: SlotKey::of(0), id: 1, tag: 0 };
    let mut race = AddressRace::of_check(reply_to, 1, terms(1000, true), ([127, 0, 0, 1], 80).into(), 1);
    let Some(Turn::EarlySyn { terms, .. }) = race.next_turn(300 * MS) else { panic!("no early SYN is left") };
    assert!(!terms.paced);
}

#[test]
fn an_early_syn_that_is_given_up_leaves_the_others_under_way() {
    let mut race = race(1, false);
    take_turn(&mut race, 1, 0);
    send_early(&mut race, 2);
    send_early(&mut race, 3);
    assert_eq!(race.concluded(1, verdict(Status::TimedOut), MS), Next::Wait);
    assert_eq!(race.given_up(2, 0), Next::Wait);
    assert_eq!(race.into_running().collect::<Vec<_>>(), [3]);
}

#[test]
fn silence_after_a_late_first_syn_is_no_verdict_and_an_answer_is_one() {
    let silent = Verdict { os_error: 110, ..verdict(Status::TimedOut) };
    for (seen, told) in [(silent, verdict(Status::Busy)), (verdict(Status::Refused), verdict(Status::Refused))] {
        let mut race = race(1, false);
        take_turn(&mut race, 1, 0);
        race.starts(0, 950 * MS);
        assert_eq!(race.concluded(1, seen, 1000 * MS), Next::End(told));
    }
}

#[test]
fn of_two_that_say_as_much_the_first_stands() {
    let unreachable = |os_error| Verdict { os_error, ..verdict(Status::Unreachable) };
    let mut race = race(1, false);
    take_turn(&mut race, 1, 0);
    send_early(&mut race, 2);
    assert_eq!(race.concluded(2, unreachable(101), MS), Next::Wait);
    assert_eq!(race.concluded(1, unreachable(113), 2 * MS), Next::End(unreachable(101)));
}
