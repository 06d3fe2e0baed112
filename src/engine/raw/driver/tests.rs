//! The engine when its host is unkind.

use std::net::TcpListener;

use super::*;
use crate::sys::raw_socket;

/// An engine, unless this process may have none.
fn engine() -> Option<RawEngine> {
    raw_socket::probe().ok()?;
    Some(RawEngine::with_ports(Poll::new().unwrap(), Wire::default(), 0, 16, Default::default()))
}

fn begin(engine: &mut RawEngine, target: &SocketAddr) -> u32 {
    let slot = engine.acquire(target, CloseMode::HALF_OPEN, 0, 1000).unwrap();
    assert!(matches!(engine.start(slot, SlotKey::of(0), target, clock::now()), Start::InFlight));
    slot
}

#[test]
fn a_socket_that_can_be_read_no_more_is_this_hosts_fault_and_nothing_waits_for_it() {
    let Some(mut engine) = engine() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
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
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
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
    let asked: Vec<SocketAddr> =
        (0..2_000u16).map(|number| ([127, 1, (number >> 8) as u8, number as u8], port).into()).collect();
    // Nothing is unread by now.
    engine.open(false).unwrap();
    engine.poll(Some(Duration::ZERO));
    let family =
        |engine: &RawEngine| engine.families[0].as_ref().map(|family| (family.readable, family.socket.unread()));
    assert_eq!(family(&engine), Some((false, 0)));
    let mut one = 0; // what an answer takes
    for (index, target) in (0..).zip(&asked) {
        begin(&mut engine, target);
        if index == 0 || engine.families[0].as_ref().is_some_and(Family::is_full) {
            engine.flush();
        }
        while one == 0 {
            one = family(&engine).unwrap().1;
        }
    }
    engine.flush();
    // On a busy host they come when a thread of the kernel's has its turn.
    while family(&engine).unwrap().1 < one * asked.len() as u32 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let before = clock::now();
    engine.poll(Some(Duration::ZERO));
    assert!(engine.families[0].as_ref().unwrap().readable, "so many are not read at once");
    assert!(engine.answers_read_until() < before, "some of those that came before are unread");
    while engine.families[0].as_ref().unwrap().readable {
        engine.poll(Some(Duration::ZERO));
    }
    engine.poll(Some(Duration::ZERO));
    assert!(engine.answers_read_until() >= before);
}
