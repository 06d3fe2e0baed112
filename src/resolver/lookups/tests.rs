use super::*;
use crate::check::request::Family;
use crate::check::target::Name;
use std::ffi::CString;
use std::net::SocketAddr;

mod edges;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

struct Nobody;

impl Listener for Nobody {
    fn lookup_began(&self, _: WaiterKey) {}
    fn resolved(&self, _: WaiterKey, _: Result<Vec<SocketAddr>, i32>) {}
}

fn query(host: &str) -> Query {
    let name = Name { host: CString::new(host).unwrap(), service: CString::new("80").unwrap() };
    Query { name, family: Family::Any }
}

fn waiter(slot: u32, deadline: Option<u64>) -> Waiter {
    Waiter {
        listener: Arc::new(Nobody),
        key: WaiterKey { slot, generation: 7 },
        deadline,
        timeout_ms: 1_000,
        age_ms: 0,
    }
}

fn lookups(max: usize) -> Lookups {
    Lookups::new(max)
}

impl Lookups {
    /// One who wants the host's address within ten seconds from time 0.
    fn ask(&mut self, host: &str, slot: u32) -> Ticket {
        self.join(query(host), waiter(slot, Some(10 * SECOND)), 0)
    }

    fn ask_for_each(&mut self, prefix: &str, count: usize) -> Vec<Ticket> {
        (0..count).map(|number| self.ask(&format!("{prefix}{number}"), number as u32)).collect()
    }

    fn begin_all(&mut self, now: u64) -> Vec<Begun> {
        std::iter::from_fn(|| self.begin(now)).collect()
    }

    /// Has these hosts known as slow, and their lookups over.
    fn make_slow(&mut self, prefix: &str, count: usize) {
        for number in 0..count {
            self.ask(&format!("{prefix}{number}"), 0);
            let begun = self.begin(0).unwrap();
            assert!(self.end(&begun, SLOW, Ending::Answered));
            self.take_group(begun.id);
        }
    }

    fn assert_empty(&self) {
        let held = (self.lookups.len(), self.by_query.len(), self.waiters.len(), self.places.all());
        assert_eq!(held, (0, 0, 0, 0));
        assert_eq!((self.prompt.len(), self.slow.len()), (0, 0));
    }
}

fn host(begun: &Begun) -> &str {
    begun.query.name.host.to_str().unwrap()
}

fn count(begun: &[Begun], prefix: &str) -> usize {
    begun.iter().filter(|begun| host(begun).starts_with(prefix)).count()
}

fn slots(group: &[Waiter]) -> Vec<u32> {
    group.iter().map(|waiter| waiter.key.slot).collect()
}

#[test]
fn those_who_ask_for_the_same_share_one_lookup_and_are_answered_in_the_order_they_came() {
    let mut lookups = lookups(4);
    for slot in 0..3 {
        assert!(!lookups.ask("a", slot).began);
    }
    let begun = lookups.begin(1).unwrap();
    assert!(lookups.begin(1).is_none());
    assert!(lookups.ask("a", 3).began);
    assert!(lookups.end(&begun, 2, Ending::Answered));
    // The answer is there: who asks now gets another.
    assert!(!lookups.ask("a", 4).began);
    assert_eq!(slots(&lookups.take_group(begun.id)), [0, 1, 2, 3]);
    assert!(lookups.take_group(begun.id).is_empty());
    let next = lookups.begin(3).unwrap();
    assert!(lookups.end(&next, 4, Ending::Answered));
    assert_eq!(slots(&lookups.take_group(next.id)), [4]);
    lookups.assert_empty();
}

#[test]
fn answers_are_taken_in_groups_and_who_withdraws_meanwhile_gets_none() {
    let mut lookups = lookups(4);
    let tickets: Vec<Ticket> = (0..1_000).map(|slot| lookups.ask("a", slot)).collect();
    let begun = lookups.begin(1).unwrap();
    assert!(lookups.end(&begun, 2, Ending::Answered));
    assert_eq!(lookups.take_group(begun.id).len(), GROUP);
    assert!(lookups.withdraw(tickets[0], 0).is_none(), "it is answered");
    assert_eq!(lookups.withdraw(tickets[999], 0).unwrap().key.slot, 999);
    let mut answered = GROUP;
    loop {
        let group = lookups.take_group(begun.id);
        if group.is_empty() {
            break;
        }
        assert!(group.len() <= GROUP && !slots(&group).contains(&999));
        answered += group.len();
    }
    assert_eq!(answered, 999);
    lookups.assert_empty();
}

#[test]
fn queued_lookup_that_its_last_waiter_withdraws_from_never_begins() {
    let mut lookups = lookups(1);
    let first = lookups.ask("a", 0);
    let second = lookups.ask("a", 1);
    lookups.ask("b", 2);
    assert!(lookups.withdraw(first, 0).is_some() && lookups.withdraw(first, 0).is_none());
    assert_eq!(lookups.may_begin(0), 1);
    assert!(lookups.withdraw(second, 0).is_some());
    let begun = lookups.begin(0).unwrap();
    assert_eq!(host(&begun), "b");
    assert!(lookups.end(&begun, 1, Ending::Answered));
    lookups.take_group(begun.id);
    lookups.assert_empty();
}

#[test]
fn withdrawing_a_hundred_thousand_queued_names_leaves_nothing_behind_them() {
    let mut lookups = lookups(1);
    lookups.ask("first", 0);
    let begun = lookups.begin(0).unwrap();
    for _ in 0..10 {
        let tickets = lookups.ask_for_each("name", 10_000);
        assert!(tickets.into_iter().all(|ticket| lookups.withdraw(ticket, 0).is_some()));
    }
    assert!(lookups.prompt.line_len() <= 64, "{}", lookups.prompt.line_len());
    lookups.end(&begun, 1, Ending::Answered);
    lookups.take_group(begun.id);
    lookups.assert_empty();
}

#[test]
fn lookups_under_way_that_nobody_waits_for_make_room_for_as_many_again() {
    let mut lookups = lookups(4);
    let tickets = lookups.ask_for_each("a", 4);
    let first = lookups.begin_all(0);
    assert_eq!(first.len(), 4);
    lookups.ask_for_each("b", 8);
    assert_eq!(lookups.may_begin(0), 0);
    assert!(lookups.withdraw(tickets[0], 0).is_some());
    assert_eq!(lookups.may_begin(LINGERS - 1), 0);
    assert_eq!(lookups.next_change(), Some(LINGERS));
    assert_eq!((lookups.may_begin(LINGERS), lookups.begin_all(LINGERS).len()), (1, 1));
    tickets[1..].iter().for_each(|ticket| drop(lookups.withdraw(*ticket, 0)));
    assert_eq!(lookups.begin_all(LINGERS).len(), 3);
    // Eight are under way, four of them for nobody.
    assert_eq!(lookups.may_begin(LINGERS), 0);
    assert!(!lookups.end(&first[0], LINGERS, Ending::Answered), "nobody waits for it");
    assert_eq!(lookups.may_begin(LINGERS), 0, "four are under way for somebody");
}

#[test]
fn cancelling_a_thousand_lookups_begins_none_of_them() {
    let mut lookups = lookups(4);
    let tickets = lookups.ask_for_each("a", 1_000);
    lookups.begin_all(0);
    for ticket in tickets {
        lookups.withdraw(ticket, 1);
        assert_eq!(lookups.may_begin(1), 0);
    }
    lookups.ask("fresh", 0);
    assert_eq!(lookups.begin_all(1 + LINGERS).len(), 1);
}

#[test]
fn lookup_that_nobody_waited_for_is_joined_by_the_next_who_asks_and_counts_again() {
    let mut lookups = lookups(1);
    let ticket = lookups.ask("a", 0);
    let begun = lookups.begin(0).unwrap();
    lookups.withdraw(ticket, 0);
    assert_eq!(lookups.may_begin(LINGERS), 0);
    assert_eq!(lookups.places.abandoned, 1);
    assert!(lookups.ask("a", 1).began);
    lookups.ask("b", 2);
    assert_eq!((lookups.may_begin(LINGERS), lookups.places.abandoned), (0, 0));
    assert!(lookups.end(&begun, 1, Ending::Answered));
    assert_eq!(slots(&lookups.take_group(begun.id)), [1]);
}

#[test]
fn slow_hosts_hold_half_of_the_places_and_others_pass_them_by() {
    let mut lookups = lookups(8);
    lookups.make_slow("slow", 20);
    lookups.ask_for_each("slow", 20);
    lookups.ask_for_each("fast", 20);
    let begun = lookups.begin_all(2 * SECOND);
    // One slow one is always under way; then the fast ones have the first choice.
    assert_eq!((count(&begun, "slow"), count(&begun, "fast")), (1, 7));
    for begun in begun.iter().filter(|begun| host(begun).starts_with("fast")) {
        assert!(lookups.end(begun, 2 * SECOND + 1, Ending::Answered));
    }
    let begun = lookups.begin_all(2 * SECOND + 2);
    assert_eq!((count(&begun, "slow"), count(&begun, "fast")), (0, 7));
    for begun in &begun {
        assert!(lookups.end(begun, 2 * SECOND + 3, Ending::Answered));
    }
    let begun = lookups.begin_all(2 * SECOND + 4);
    assert_eq!((count(&begun, "slow"), count(&begun, "fast")), (1, 6));
    for begun in begun.iter().filter(|begun| host(begun).starts_with("fast")) {
        assert!(lookups.end(begun, 2 * SECOND + 5, Ending::Answered));
    }
    // No fast one is left, and half of the places are.
    assert_eq!(lookups.begin_all(2 * SECOND + 6).len(), 2);
    lookups.ask_for_each("fast", 20);
    assert_eq!(lookups.begin_all(2 * SECOND + 7).len(), 4);
}

#[test]
fn slow_hosts_that_nobody_waits_for_leave_places_to_others_too() {
    let mut lookups = lookups(8);
    for round in 1..20 {
        lookups.make_slow(&format!("slow{round}-"), 20);
    }
    for round in 1..20 {
        let tickets = lookups.ask_for_each(&format!("slow{round}-"), 20);
        lookups.begin_all(round * SECOND);
        tickets.into_iter().for_each(|ticket| drop(lookups.withdraw(ticket, round * SECOND)));
    }
    assert!(lookups.places.all() > 8);
    lookups.ask_for_each("fast", 20);
    assert!(lookups.begin_all(20 * SECOND).len() >= 4);
}

#[test]
fn unknown_host_that_takes_long_makes_room_as_soon_as_it_is_slow() {
    let mut lookups = lookups(4);
    lookups.ask_for_each("dead", 10);
    assert_eq!(lookups.begin_all(1).len(), 4);
    lookups.ask("fast", 0);
    assert_eq!(lookups.next_change(), Some(1 + SLOW));
    assert_eq!(lookups.may_begin(SLOW), 0);
    // Four are slow now and count as two; the dead ones that are left are not known as such.
    let begun = lookups.begin_all(1 + SLOW);
    assert_eq!((begun.len(), count(&begun, "dead")), (2, 2));
    let begun = lookups.begin_all(1 + 2 * SLOW);
    assert_eq!(begun.len(), 2);
    assert_eq!(lookups.places.all(), lookups.most());
}

#[test]
fn another_port_of_a_host_that_became_slow_waits_with_the_slow_ones() {
    let mut lookups = lookups(2);
    lookups.ask("dead", 0);
    assert_eq!(lookups.begin_all(0).len(), 1);
    let mut other_port = query("dead");
    other_port.name.service = CString::new("81").unwrap();
    lookups.join(other_port, waiter(1, Some(10 * SECOND)), SLOW - 1);
    assert_eq!(lookups.begin(SLOW).map(|begun| begun.id), None, "half of two is one");
    lookups.ask("fast", 2);
    assert_eq!(host(&lookups.begin(SLOW).unwrap()), "fast");
}

#[test]
fn host_that_answers_promptly_again_is_slow_no_longer() {
    let mut lookups = lookups(2);
    lookups.make_slow("host", 1);
    lookups.ask("host0", 0);
    let begun = lookups.begin(SECOND).unwrap();
    assert_eq!(lookups.places.slow, 1);
    lookups.end(&begun, SECOND + 1, Ending::Answered);
    lookups.ask("host0", 0);
    lookups.begin(SECOND + 2).unwrap();
    assert_eq!((lookups.places.prompt, lookups.places.slow), (1, 0));
}

#[test]
fn time_of_a_paced_check_runs_from_when_its_lookup_begins() {
    let mut lookups = lookups(1);
    for slot in 0..200 {
        assert!(!lookups.join(query("a"), waiter(slot, None), 0).began);
    }
    lookups.ask("a", 200);
    let withdrawn = lookups.join(query("a"), waiter(201, None), 0);
    lookups.withdraw(withdrawn, 0);
    let begun = lookups.begin(20 * SECOND).unwrap();
    assert!(begun.starts_clocks);
    assert_eq!(begun.until, 21 * SECOND);
    // Who comes now hears at once that it began, and not again.
    assert!(lookups.join(query("a"), waiter(202, None), 20 * SECOND).began);
    let (mut last, mut told) = (0, Vec::new());
    while let Some(group) = lookups.start_clocks(begun.id, 20 * SECOND, &mut last) {
        assert!(group.len() <= GROUP);
        told.extend(group.into_iter().map(|(_, key)| key.slot));
    }
    assert_eq!(told, (0..200).collect::<Vec<_>>());
}

#[test]
fn lookup_whose_waiters_ran_out_of_time_in_the_queue_says_so() {
    let mut lookups = lookups(1);
    lookups.ask("a", 0);
    let begun = lookups.begin(10 * SECOND).unwrap();
    assert!(begun.until <= 10 * SECOND && !begun.starts_clocks);
    // One with more time came in the last moment, and gets a lookup.
    lookups.join(query("a"), waiter(1, Some(11 * SECOND)), 10 * SECOND);
    assert!(!lookups.end(&begun, 10 * SECOND, Ending::CutShort));
    let begun = lookups.begin(10 * SECOND).unwrap();
    assert_eq!(begun.until, 11 * SECOND);
    // Nobody did this time.
    assert!(lookups.end(&begun, 11 * SECOND, Ending::CutShort));
    assert_eq!(slots(&lookups.take_group(begun.id)), [0, 1]);
    lookups.assert_empty();
}

#[test]
fn late_joiner_with_more_time_gets_another_lookup_and_an_answer_is_everybodys() {
    let mut lookups = lookups(2);
    lookups.join(query("a"), waiter(0, Some(SECOND)), 0);
    let begun = lookups.begin(0).unwrap();
    let late = lookups.join(query("a"), waiter(1, Some(9 * SECOND)), 1);
    assert!(!lookups.end(&begun, SECOND, Ending::CutShort));
    // Its tickets are good as before.
    assert_eq!(lookups.withdraw(late, 0).unwrap().key.slot, 1);
    lookups.join(query("a"), waiter(2, Some(5 * SECOND)), SECOND);
    let begun = lookups.begin(SECOND).unwrap();
    lookups.join(query("a"), waiter(3, Some(20 * SECOND)), 2 * SECOND);
    assert!(lookups.end(&begun, 3 * SECOND, Ending::Answered));
    assert_eq!(slots(&lookups.take_group(begun.id)), [0, 2, 3]);
    lookups.assert_empty();
}

#[test]
fn giving_up_what_is_queued_leaves_alone_what_is_under_way() {
    let mut lookups = lookups(2);
    let names = 2 * GROUP + 5;
    lookups.make_slow("a", names / 2);
    lookups.ask_for_each("a", names);
    let begun = lookups.begin_all(SLOW);
    let mut given_up = 0;
    loop {
        let queued = lookups.give_up_queued();
        if queued.is_empty() {
            break;
        }
        assert!(queued.len() <= GROUP);
        given_up += queued.len();
        assert!(queued.into_iter().all(|id| lookups.take_group(id).len() == 1));
    }
    assert_eq!(given_up, names - begun.len());
    assert!(begun.iter().all(|begun| lookups.end(begun, SLOW + 1, Ending::Answered)));
    assert!(begun.iter().all(|begun| lookups.take_group(begun.id).len() == 1));
    lookups.assert_empty();
}
