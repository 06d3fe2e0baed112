//! The profiles that others put a program into: Docker's own for containers, and systemd's for services. Every verdict is
//! true there, on each engine, of names and in monitors too.

use std::sync::Arc;

use tcpshaker::{Checker, EngineKind, Monitor, State};

use super::*;
use crate::support::monitors::{monitor, of_kind, quick};
use crate::support::sandbox::slow;
use crate::support::seccomp::{Case, Fate, Judged};
use crate::support::targets::DEAD_PORT;

const KINDS: [(EngineKind, bool); 4] =
    [(EngineKind::Socket, false), (EngineKind::Socket, true), (EngineKind::Raw, false), (EngineKind::Raw, true)];

/// A verdict of each step in each way, of a name, and the states of two watches.
fn expected() -> Vec<i32> {
    let steps = steps();
    let verdicts = [&steps[..], &steps, &steps].concat().into_iter().map(|step| step.truth as i32);
    verdicts.chain([Status::Up as i32, State::Up as i32, State::Down as i32]).collect()
}

/// The raw engine makes no whole handshake, and sends each SYN from another port, which the slow target goes by.
fn steps_of(engine: EngineKind) -> Vec<Step> {
    let of_raw = |step: Step| match [V4, V6].into_iter().find(|ip| slow(*ip).name == step.name) {
        Some(ip) => live(ip),
        None => Step { request: Request { linger: false, ..step.request }, ..step },
    };
    steps().into_iter().map(|step| if engine == EngineKind::Raw { of_raw(step) } else { step }).collect()
}

fn check(checker: Arc<Checker>, steps: &[Step], notes: &Notes) {
    check_every_way(&checker, steps, notes, 0);
    let place = 3 * steps.len();
    let named = checker.check_addr(&format!("localhost:{PORT}"), 30_000);
    notes.write(place, named.status as i32, named.os_error);
    let monitor = monitor(&checker);
    let ids = monitor.add(&[quick(PORT), quick(DEAD_PORT)]).expect("two watches");
    for (place, id) in (place + 1..).zip(ids) {
        notes.write(place, first_state(&monitor, id) as i32, 0);
    }
}

/// What a watch is found to be, within a minute.
fn first_state(monitor: &Monitor, id: u64) -> State {
    let mut changes = Vec::new();
    until("a state", || {
        monitor.reap(&mut changes, 9, Some(std::time::Duration::from_millis(5)));
        monitor.get(id).expect("a watch").state != State::Unknown
    });
    monitor.get(id).expect("a watch").state
}

/// A child for each kind of checker, which enters the profile first.
pub fn assert_true_verdicts(enter: &(dyn Fn() + Sync)) {
    let _targets = targets();
    let children: Vec<Child<'_>> = KINDS
        .iter()
        .map(|&(engine, is_driven)| {
            let work = move |notes: &Notes| {
                enter();
                check(of_kind(engine, is_driven, |_| ()), &steps_of(engine), notes);
            };
            (format!("{engine:?}, caller-driven: {is_driven}"), Box::new(work) as Box<dyn Fn(&Notes)>)
        })
        .collect();
    let expected = expected();
    run(&children, KINDS.len(), |notes| {
        let told = |place: usize| notes.read(place).map(|(told, _)| told);
        let wrong = expected.iter().enumerate().filter(|(place, truth)| told(*place) != Some(**truth));
        wrong.map(|(place, truth)| format!("{place} is not {truth}: {:?}", notes.read(place))).collect()
    });
}

/// What Docker's profile says of the calls that it judges by an argument.
fn judged_by_docker() -> Vec<Judged> {
    // The flags of clone(2) that make a namespace; where clone3(2) is not there, the C library takes clone(2).
    const NEW_NAMESPACES: u32 = 0x7e02_0000;
    let families = [libc::AF_ALG, libc::AF_VSOCK].map(|family| (Case::Is(family as u32), Fate::Fails(libc::EPERM)));
    let personalities = [0, 8, 0x2_0000, 0x2_0008, u32::MAX].map(|value| (Case::Is(value), Fate::IsMade));
    let judged = |number, cases, otherwise| Judged { number, place: 0, cases, otherwise };
    vec![
        judged(libc::SYS_socket, families.to_vec(), Fate::IsMade),
        judged(libc::SYS_clone, vec![(Case::HasAnyOf(NEW_NAMESPACES), Fate::Fails(libc::EPERM))], Fate::IsMade),
        judged(libc::SYS_clone3, Vec::new(), Fate::Fails(libc::ENOSYS)),
        judged(libc::SYS_personality, personalities.to_vec(), Fate::Fails(libc::EPERM)),
    ]
}

/// RestrictAddressFamilies=AF_INET AF_INET6, which is less than most services are given.
fn restrict_address_families() {
    let families = [libc::AF_INET, libc::AF_INET6].map(|family| (Case::Is(family as u32), Fate::IsMade));
    let otherwise = Fate::Fails(libc::EAFNOSUPPORT);
    let sockets = Judged { number: libc::SYS_socket, place: 0, cases: families.to_vec(), otherwise };
    seccomp::allow_and_judge(&[], &[sockets], Fate::IsMade);
}

#[test]
fn profile_of_docker_leaves_every_verdict_true() {
    namespaced!("nft", "cc");
    sandboxed!();
    let allowed = seccomp::numbers(include_str!("docker.txt"));
    assert!(allowed.len() > 250, "{}", allowed.len());
    assert_true_verdicts(&|| seccomp::allow_and_judge(&allowed, &judged_by_docker(), Fate::Fails(libc::EPERM)));
}

#[test]
fn profile_of_systemd_for_services_kills_nobody_and_leaves_every_verdict_true() {
    namespaced!("nft", "cc");
    sandboxed!();
    let allowed = seccomp::numbers(include_str!("systemd.txt"));
    assert!(allowed.len() > 250, "{}", allowed.len());
    assert_true_verdicts(&|| {
        restrict_address_families();
        seccomp::allow_and_judge(&allowed, &[], Fate::IsKilled);
    });
}
