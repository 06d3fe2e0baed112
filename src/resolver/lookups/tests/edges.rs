//! What is so at the edge of a rule, and the tests of the rules do not come to.

use super::*;

#[test]
fn room_for_a_lookup_is_made_before_it_is_added() {
    let mut lookups = lookups(1);
    for number in 0..1_000 {
        lookups.grow().unwrap();
        assert!(lookups.lookups.capacity() > number && lookups.by_query.capacity() > number);
        lookups.ask(&number.to_string(), 0);
    }
}

#[test]
fn an_answer_is_kept_where_one_of_those_who_asked_would_have_taken_such_a_one() {
    let mut lookups = lookups(1);
    lookups.ask("a", 0);
    let begun = lookups.begin(0).unwrap();
    assert!(!lookups.is_to_be_kept(begun.id));
    lookups.join(query("a"), Waiter { age_ms: 5, ..waiter(1, Some(SECOND)) }, 0);
    assert!(lookups.is_to_be_kept(begun.id));
    lookups.ask("a", 2);
    assert!(lookups.is_to_be_kept(begun.id));
}

#[test]
fn both_those_of_slow_hosts_and_the_others_may_begin() {
    let mut lookups = lookups(8);
    lookups.make_slow("slow", 3);
    lookups.ask_for_each("slow", 3);
    lookups.ask_for_each("fast", 3);
    assert_eq!(lookups.may_begin(SLOW), 6);
    assert_eq!(lookups.next_change(), None, "nothing is under way");
    (0..3).for_each(|_| drop(lookups.begin(SLOW).unwrap()));
    assert_eq!((lookups.prompt.len(), lookups.slow.len()), (1, 2));
    lookups.begin(SLOW).unwrap();
    lookups.ask("another", 0);
    lookups.ask("yet another", 0);
    assert_eq!((lookups.prompt.len(), lookups.slow.len()), (2, 2));
    assert_eq!(lookups.next_change(), Some(2 * SLOW));
}

#[test]
fn the_only_place_is_no_slow_hosts_while_others_wait() {
    let mut lookups = lookups(1);
    lookups.make_slow("slow", 1);
    lookups.ask("slow0", 0);
    lookups.ask("fast", 1);
    assert_eq!(host(&lookups.begin(SLOW).unwrap()), "fast");
}

#[test]
fn one_that_was_cut_short_is_made_again_for_those_alone_who_still_wait() {
    let mut lookups = lookups(1);
    let first = lookups.join(query("a"), waiter(0, Some(SECOND)), 0);
    let begun = lookups.begin(0).unwrap();
    let late = lookups.join(query("a"), waiter(1, Some(9 * SECOND)), 1);
    lookups.withdraw(first, SECOND).unwrap();
    lookups.withdraw(late, SECOND).unwrap();
    assert!(!lookups.end(&begun, SECOND, Ending::CutShort));
    lookups.assert_empty();
}

#[test]
fn one_that_begins_again_is_slow_when_it_has_been_under_way_for_long_anew() {
    let mut lookups = lookups(4);
    lookups.ask("other", 0);
    lookups.begin(0).unwrap();
    lookups.join(query("a"), waiter(0, Some(100 * MS)), 0);
    let begun = lookups.begin(MS).unwrap();
    lookups.join(query("a"), waiter(1, Some(9 * SECOND)), MS);
    assert!(!lookups.end(&begun, 100 * MS, Ending::CutShort));
    lookups.begin(100 * MS).unwrap();
    lookups.may_begin(SLOW + 50 * MS);
    assert_eq!(lookups.places.slow, 1, "the other one");
    lookups.may_begin(SLOW + 100 * MS);
    assert_eq!(lookups.places.slow, 2);
}
