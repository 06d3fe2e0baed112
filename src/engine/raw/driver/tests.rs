//! The engine when its host is unkind.

use std::net::TcpListener;
use std::time::Instant;

use super::*;
use crate::sys::raw_socket;
use crate::test_targets::listening;

/// An engine, unless this process may have none.
fn engine() -> Option<RawEngine> {
    engine_of(Wire::default())
}

fn engine_of(wire: Wire) -> Option<RawEngine> {
    raw_socket::probe().ok()?;
    Some(RawEngine::with_ports(Poll::new().unwrap(), wire, 0, 16, Default::default()))
}

impl RawEngine {
    /// Whoever calls it is in another network namespace from now on. False where the kernel does not tell.
    pub fn move_elsewhere(&mut self) -> bool {
        Routes::elsewhere().is_some_and(|routes| {
            self.routes = routes;
            true
        })
    }

    /// No more SYNs of IPv4 may wait.
    pub fn fill(&mut self) {
        self.open(false).unwrap();
        self.families[0].as_mut().unwrap().pause(u64::MAX);
        for target in here(9, u16::MAX) {
            if self.families[0].as_ref().unwrap().is_full() {
                break;
            }
            begin(self, &target);
        }
    }
}

/// Whether it is so within some seconds.
fn comes_true(mut is_so: impl FnMut() -> bool) -> bool {
    let patience = Instant::now() + Duration::from_secs(10);
    while Instant::now() < patience {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// So many targets, each at an address of its own of this host.
fn here(port: u16, count: u16) -> impl Iterator<Item = SocketAddr> {
    (0..count).map(move |number| ([127, 1, (number >> 8) as u8, number as u8], port).into())
}

fn begin(engine: &mut RawEngine, target: &SocketAddr) -> u32 {
    let slot = engine.acquire(target, CloseMode::HALF_OPEN, 0, 1000).unwrap();
    assert!(matches!(engine.start(slot, SlotKey::of(0), target, clock::now()), Start::InFlight));
    slot
}

#[test]
fn a_socket_that_can_be_read_no_more_is_this_hosts_fault_and_nothing_waits_for_it() {
    let Some(mut engine) = engine() else { return };
    let (_listener, target) = listening();
    let slot = begin(&mut engine, &target);
    engine.flush();
    // As a sandbox or a stranger's close(2) does it: what is called fails from now on.
    engine.families[0].as_mut().unwrap().socket.spoil();
    let before = clock::now();
    engine.poll(Some(Duration::ZERO));
    engine.poll(Some(Duration::ZERO));
    assert!(engine.answers_read_until() >= before, "its deadline would never be acted on");
    let begun = clock::now();
    engine.poll(Some(Duration::from_millis(20)));
    assert!(clock::now() - begun >= 20_000_000, "the loop would spin");
    assert!(engine.acquire(&target, CloseMode::HALF_OPEN, 0, 1000).is_err(), "it would hear of nothing");
    let verdict = engine.last_look(slot, &target, before).verdict;
    assert_eq!(verdict.status, Status::LocalFault, "{verdict:?}");
    // Once nothing depends on it, there is another one.
    let slot = begin(&mut engine, &target);
    engine.flush();
    engine.poll(Some(Duration::from_secs(10)));
    assert_eq!(engine.next_event().map(|(_, answered)| answered), Some(slot));
    assert_eq!(engine.look(slot, &target, before).unwrap().verdict.status, Status::Up);
}

#[test]
fn syns_do_not_pile_up_while_none_may_leave() {
    let Some(mut engine) = engine() else { return };
    let targets: Vec<SocketAddr> = (1..=100).map(|last| ([127, 0, 0, last], 9).into()).collect();
    let slots: Vec<u32> = targets.iter().map(|target| begin(&mut engine, target)).collect();
    engine.families[0].as_mut().unwrap().pause(clock::now() + 3_600_000_000_000);
    for _ in 0..100 {
        for (slot, target) in slots.iter().zip(&targets) {
            engine.repeat_syn(*slot, target);
        }
    }
    let waiting = engine.families[0].as_ref().unwrap().waiting();
    assert!(waiting < 1_000, "{waiting} SYNs wait");
}

#[test]
fn an_answer_that_was_unread_when_its_socket_was_opened_anew_does_not_make_its_target_silent() {
    let Some(mut engine) = engine() else { return };
    let (_listener, target) = listening();
    let syn_at = clock::now();
    let slot = begin(&mut engine, &target);
    engine.flush();
    engine.renew_families();
    let verdict = engine.last_look(slot, &target, syn_at).verdict;
    assert_eq!(verdict.status, Status::LocalFault, "{verdict:?}");
}

/// More of them than are read at once: the process was stopped after it had read the last, and before it asked the poller.
#[test]
fn answers_that_wait_for_their_turn_to_be_read_keep_deadlines_back() {
    let Some(mut engine) = engine() else { return };
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked: Vec<SocketAddr> = here(port, 2_000).collect();
    // Nothing is unread by now.
    engine.open(false).unwrap();
    let unread = |engine: &RawEngine| engine.families[0].as_ref().unwrap().socket.unread();
    assert!(comes_true(|| {
        engine.poll(Some(Duration::ZERO));
        !engine.families[0].as_ref().unwrap().readable && unread(&engine) == 0
    }));
    let mut one = 0; // what an answer takes
    for (index, target) in (0..).zip(&asked) {
        begin(&mut engine, target);
        if index == 0 || engine.families[0].as_ref().is_some_and(Family::is_full) {
            engine.flush();
        }
        if index == 0 {
            assert!(comes_true(|| unread(&engine) > 0));
            one = unread(&engine);
        }
    }
    engine.flush();
    // On a busy host they come when a thread of the kernel's has its turn. What comes to neighbours of its ports counts,
    // too, and may be larger.
    comes_true(|| unread(&engine) >= one * asked.len() as u32);
    let before = clock::now();
    engine.poll(Some(Duration::ZERO));
    assert!(engine.families[0].as_ref().unwrap().readable, "so many are not read at once");
    assert!(engine.answers_read_until() < before, "some of those that came before are unread");
    while engine.families[0].as_ref().unwrap().readable {
        engine.poll(Some(Duration::ZERO));
    }
    engine.poll(Some(Duration::ZERO));
    assert!(engine.answers_read_until() >= before);
    assert_eq!(engine.in_flight.lost_at, [None; 2], "there was room for all");
}

#[test]
fn a_destination_is_the_same_however_it_is_spelled_and_another_one_has_another_number() {
    let Some(engine) = engine() else { return };
    let destination = |target: &str| engine.destination(&target.parse().unwrap());
    assert_eq!(destination("0.0.0.0:80"), destination("127.0.0.1:80"));
    assert_eq!(destination("[::ffff:127.0.0.1]:80"), destination("127.0.0.1:80"));
    let others: std::collections::HashSet<u32> =
        ["127.0.0.1:80", "127.0.0.1:81", "127.0.0.2:80", "[::1]:80"].map(destination).into();
    assert_eq!(others.len(), 4);
}

#[test]
fn what_lies_idle_is_closed_and_hears_nothing_but_can_be_opened_again() {
    let Some(mut engine) = engine() else { return };
    engine.open(false).unwrap();
    assert!(engine.has_idle() && engine.deaf[0].is_none() && engine.in_flight.ports.len() > 0);
    assert!(engine.close_idle(1) && !engine.close_idle(1));
    assert!(!engine.has_idle() && engine.deaf[0].is_some());
    assert_eq!(engine.in_flight.ports.len(), 0);
    let target = ([127, 0, 0, 1], 9).into();
    begin(&mut engine, &target);
    assert!(!engine.close_idle(1), "a check is in flight");
    assert!(engine.families[0].is_some());
}

#[test]
fn a_family_that_cannot_be_opened_leaves_the_other_one_alone() {
    let Some(mut engine) = engine() else { return };
    if !engine.move_elsewhere() || engine.deaf[1].is_none() {
        return; // this kernel tells no namespaces apart, or has no IPv6
    }
    assert!(engine.open(false).is_err(), "there is nothing to ask the routes of IPv4 with");
    assert_eq!((engine.has_idle(), engine.in_flight.ports.len()), (false, 0), "its ports are given back");
    engine.open(true).unwrap(); // its socket is there
    assert!(engine.open(false).is_err());
    assert!(engine.families[1].is_some() && engine.in_flight.ports.len() > 0);
}

#[test]
fn what_its_socket_hears_is_filtered_and_nothing_once_it_is_deaf() {
    let Some(mut engine) = engine() else { return };
    let deaf = engine.deaf[0].as_ref().unwrap().filter_length();
    engine.open(false).unwrap();
    let hears = engine.families[0].as_ref().unwrap().socket.filter_length();
    engine.close_idle(1);
    assert!(deaf == 1 && hears > 1, "{deaf}, {hears}");
    assert_eq!(engine.deaf[0].as_ref().unwrap().filter_length(), deaf);
}

#[test]
fn an_answer_that_waits_to_be_handed_out_is_not_waited_for() {
    let Some(mut engine) = engine() else { return };
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    for target in here(listener.local_addr().unwrap().port(), 8) {
        begin(&mut engine, &target);
    }
    engine.flush();
    let mut heard = 0;
    while heard < 8 {
        let begun = Instant::now();
        engine.poll(Some(Duration::from_secs(60)));
        assert!(begun.elapsed() < Duration::from_secs(30), "the poller knew of no other");
        heard += u32::from(engine.next_event().is_some());
    }
}

#[test]
fn a_syn_that_a_pause_kept_back_is_not_sent_for_a_check_that_is_over() {
    let Some(mut engine) = engine() else { return };
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let targets: Vec<SocketAddr> = here(listener.local_addr().unwrap().port(), 4).collect();
    engine.open(false).unwrap();
    engine.families[0].as_mut().unwrap().pause(1);
    let slots: Vec<u32> = targets.iter().map(|target| begin(&mut engine, target)).collect();
    engine.last_look(slots[0], &targets[0], clock::now());
    engine.last_look(slots[2], &targets[2], clock::now());
    let RawEngine { families, in_flight, .. } = &mut engine;
    let family = families[0].as_mut().unwrap();
    assert_eq!(family.waiting(), 4);
    family.drop_those_of_ended(&mut in_flight.flows);
    assert_eq!(family.waiting(), 2);
    engine.flush();
    let mut answered = Vec::new();
    assert!(comes_true(|| {
        engine.poll(Some(Duration::from_millis(100)));
        answered.extend(std::iter::from_fn(|| engine.next_event().map(|(_, slot)| slot)));
        answered.len() == 2
    }));
    answered.sort_unstable();
    assert_eq!(answered, [slots[1], slots[3]]);
}

#[test]
fn answers_that_this_host_has_lost_make_no_target_silent() {
    // With the larger room the kernel is asked after a whole batch. With the smaller one it tells beside the next answer.
    for room in [4 << 10, 64 << 10] {
        let Some(mut engine) = engine() else { return };
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let targets: Vec<SocketAddr> = here(port, 400).collect();
        engine.open(false).unwrap();
        engine.families[0].as_ref().unwrap().socket.narrow(room);
        let (syn_at, mut slots) = (clock::now(), Vec::new());
        for target in &targets {
            slots.push(begin(&mut engine, target));
            engine.flush();
        }
        assert!(comes_true(|| {
            engine.flush();
            engine.families[0].as_ref().unwrap().socket.dropped() > Some(0)
        }));
        let mut answered = Vec::new();
        let mut read = |engine: &mut RawEngine| {
            engine.poll(Some(Duration::from_millis(100)));
            answered.extend(std::iter::from_fn(|| engine.next_event().map(|(_, slot)| slot)));
            answered.len()
        };
        let at_once = read(&mut engine);
        if at_once < 64 {
            begin(&mut engine, &([127, 0, 4, 1], port).into());
            (0..100).find(|_| read(&mut engine) > at_once);
        }
        let unanswered = (0..slots.len()).find(|index| !answered.contains(&slots[*index])).expect("some were dropped");
        let verdict = engine.last_look(slots[unanswered], &targets[unanswered], syn_at).verdict;
        assert_eq!(verdict.status, Status::LocalFault, "{room}: {verdict:?}");
    }
}

#[test]
fn an_answer_that_was_told_of_and_is_not_there_is_lost_on_this_host() {
    let (_listener, target) = listening();
    let is_lost = || {
        let mut engine = engine()?;
        engine.open(false).unwrap();
        engine.poll(Some(Duration::ZERO)); // nothing is unread by now
        let syn_at = clock::now();
        let slot = begin(&mut engine, &target);
        engine.flush();
        let mut events = Events::with_capacity(1);
        engine.poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
        let family = engine.families[0].as_mut().unwrap();
        assert!(family.socket.receive().unwrap() > 0); // as if a sandbox had refused the call
        events.iter().for_each(|event| family.is_told(event));
        engine.read();
        Some(engine.last_look(slot, &target, syn_at).verdict.status == Status::LocalFault)
    };
    // What was told of may have come to a neighbour of its ports, and the answer after it.
    assert!((0..10).any(|_| is_lost() != Some(false)));
}

#[test]
fn while_no_check_is_in_flight_the_interface_is_looked_at_for_each() {
    let wire = Wire { interface: Some(b"lo".as_slice().into()), ..Wire::default() };
    let Some(mut engine) = engine_of(wire) else { return };
    engine.open(false).unwrap();
    engine.open(false).unwrap();
    let is_renewed = |engine: &RawEngine| engine.in_flight.lost_at[0].is_some();
    assert!(!is_renewed(&engine));
    engine.interface.is_another();
    engine.open(false).unwrap();
    assert!(is_renewed(&engine), "its socket is bound to the old one");
}

#[test]
fn the_whole_of_what_came_in_is_read_where_an_error_may_have_cut_it_short() {
    let (_listener, target) = listening();
    // Whether the end of what came in is known, which is as new as the look then; else as the last answer.
    let knows_the_end = |whole| {
        let mut engine = engine()?;
        engine.open(false).unwrap();
        engine.poll(Some(Duration::ZERO)); // nothing is unread by now
        begin(&mut engine, &target);
        assert!(comes_true(|| {
            engine.flush();
            engine.families[0].as_ref().unwrap().socket.unread() > 0
        }));
        std::thread::sleep(Duration::from_millis(5));
        let (now, stamps) = (clock::now(), Stamps::new().look());
        let family = engine.families[0].as_mut().unwrap();
        family.readable = true;
        family.read(now, stamps, whole, |_| ());
        Some(!family.readable && family.read_until == now)
    };
    // What comes to neighbours of its ports in between is the exception.
    assert!((0..20).any(|_| knows_the_end(true) != Some(false)));
    assert!((0..20).any(|_| knows_the_end(false) != Some(true)));
}
