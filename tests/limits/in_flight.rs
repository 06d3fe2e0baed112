//! A program that takes all descriptors or ports, and gives them back, while a thousand checks are under way: no verdict is
//! wrong, and none is lost.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Barrier};

use tcpshaker::{EngineKind, State, Verdict};

use super::*;
use crate::support::monitors::{monitor, quick, with_every_kind};
use crate::support::process::{open_descriptors, sysctl};

/// At once: of which a third is up, one refused, and one silent.
const CHECKS: usize = 1_000;
const ROUNDS: usize = 4;

fn requests() -> Vec<Request> {
    let request = |number: usize| match number % 3 {
        0 => with_timeout(PATIENCE_MS, at(nth(number), PORT)),
        1 => with_timeout(PATIENCE_MS, at(nth(number), DEAD_PORT)),
        _ => with_timeout(100, at(nth(number), SILENT_PORT)),
    };
    (0..CHECKS).map(|number| tagged(number, request(number))).collect()
}

const TRUTHS: [Status; 3] = [Status::Up, Status::Refused, Status::TimedOut];

/// How many of them had no verdict since they wanted what was taken. All others must be right, or had no turn in time.
fn faults<'a>(verdicts: impl IntoIterator<Item = (usize, &'a Verdict)>, errnos: &[i32]) -> usize {
    let mut faults = 0;
    for (number, verdict) in verdicts {
        match (verdict.status, verdict.os_error) {
            (Status::LocalFault | Status::Busy, errno) if errnos.contains(&errno) => faults += 1,
            (Status::Busy, 0) => {}
            (said, _) => assert_eq!(said, TRUTHS[number % 3], "{number}: {verdict:?}"),
        }
    }
    faults
}

/// Takes something, gives it back, and takes it again, until it is over; who is at the barrier waits for the first time.
/// `count` says how often.
fn take_again_and_again<T>(is_over: &AtomicBool, begun: &Barrier, count: &AtomicUsize, take: impl Fn() -> T) {
    for times in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let taken = take();
        if times == 0 {
            begun.wait();
        }
        // Now and then for longer than some of the checks can wait.
        std::thread::sleep(Duration::from_millis(if times % 4 == 0 { 150 } else { 7 }));
        drop(taken);
        std::thread::sleep(Duration::from_millis(5));
        count.store(times + 1, Ordering::Relaxed);
    }
}

/// Says that it is over, also where a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A thousand checks at once, again and again and in each way, beside somebody who takes what they need. Returns how many
/// had no verdict for it.
fn storm<T>(checker: &Arc<Checker>, errnos: &[i32], take: impl Fn() -> T + Sync) -> usize {
    let monitor = monitor(checker);
    let watched = monitor.add(&[quick(PORT), quick(DEAD_PORT)]).expect("two watches");
    let (is_over, begun, taken) = (AtomicBool::new(false), Barrier::new(2), AtomicUsize::new(0));
    let mut changes = Vec::new();
    let without = std::thread::scope(|scope| {
        scope.spawn(|| take_again_and_again(&is_over, &begun, &taken, &take));
        begun.wait();
        let _over = Over(&is_over);
        let (mut without, mut rounds) = (0, 0);
        // On sockets something is missing sooner or later, or this proves little.
        let goes_on = |rounds, without| {
            let is_in_vain = checker.engine() == EngineKind::Socket && without == 0 && rounds < 40 * ROUNDS;
            rounds < ROUNDS || taken.load(Ordering::Relaxed) < 5 || is_in_vain
        };
        while goes_on(rounds, without) {
            rounds += 1;
            checker.submit(requests()).expect("there is memory");
            let reports = reap(checker, CHECKS);
            assert_each_once(reports.iter().map(|report| report.tag).collect(), CHECKS);
            without += faults(reports.iter().map(|report| (report.tag, &report.verdict)), errnos);
            without += faults(checker.check_many(&requests()).iter().enumerate(), errnos);
            monitor.reap(&mut changes, 9, Some(Duration::ZERO));
        }
        without
    });
    until("both watches have a state", || {
        monitor.reap(&mut changes, 9, Some(Duration::from_millis(5)));
        changes.len() >= 2
    });
    let states: Vec<State> = watched.iter().map(|&id| monitor.get(id).unwrap().state).collect();
    assert_eq!((states, changes.len()), (vec![State::Up, State::Down], 2), "{changes:?}");
    // When it is over, every verdict is there.
    let verdicts = checker.check_many(&requests());
    assert_eq!(faults(verdicts.iter().enumerate(), &[]), 0);
    assert_eq!(tally(&verdicts).len(), 3);
    without
}

#[test]
fn descriptors_that_are_taken_and_given_back_cost_no_wrong_verdict_and_lose_none() {
    namespaced!("nft");
    let _listener = listen_everywhere();
    silence(SILENT_PORT);
    set_descriptor_limit(2 * CHECKS + 400);
    with_every_kind(|checker| {
        let before = open_descriptors() - stats(&checker).sockets as usize;
        let without = storm(&checker, &[libc::EMFILE], NoDescriptorLeft::take_all);
        assert!(without > 0 || checker.engine() == EngineKind::Raw, "nothing was missing: this proves little");
        drop(checker);
        assert!(open_descriptors() <= before);
    });
}

const FIRST: u16 = 40_000;
const LAST: u16 = 40_255;

/// Each ephemeral port that is to be had.
fn take_all_ports() -> Vec<TcpListener> {
    let bind = |port| {
        let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).ok()?;
        let any: SocketAddr = (Ipv6Addr::UNSPECIFIED, port).into();
        socket.set_only_v6(false).ok()?;
        socket.bind(&any.into()).ok()?;
        Some(socket.into())
    };
    (FIRST..=LAST).filter_map(bind).collect()
}

#[test]
fn ports_that_are_taken_and_given_back_cost_no_wrong_verdict_and_lose_none() {
    namespaced!("nft");
    let _listener = listen_everywhere();
    silence(SILENT_PORT);
    sysctl("net/ipv4/ip_local_port_range", &format!("{FIRST} {LAST}"));
    with_every_kind(|checker| {
        let without = storm(&checker, &[libc::EADDRNOTAVAIL, libc::EADDRINUSE], take_all_ports);
        assert!(without > 0 || checker.engine() == EngineKind::Raw, "nothing was missing: this proves little");
    });
}
