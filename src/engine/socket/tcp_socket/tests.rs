use std::net::{TcpListener, TcpStream as Peer};
use std::time::Instant;

use super::*;
use crate::sys::netns::ELSEWHERE;
use crate::sys::os_error::EADDRNOTAVAIL;
use crate::test_targets::{listening, refusing};

const FULL: CloseMode = CloseMode { handshake: Handshake::Full, linger: false };

fn open(close_mode: CloseMode, wire: &Wire) -> Socket {
    Socket::open(false, close_mode, wire, &Arc::default()).unwrap()
}

fn plain() -> Socket {
    open(CloseMode::HALF_OPEN, &Wire::default())
}

fn changed(mut socket: Socket, change: impl FnOnce(&mut Socket)) -> Socket {
    change(&mut socket);
    socket
}

fn bound_to_loopback() -> Socket {
    let wire = Wire { interface: Some(b"lo".as_slice().into()), ..Wire::default() };
    changed(open(CloseMode::HALF_OPEN, &wire), |it| it.used = true)
}

impl Socket {
    /// A check of a target on this host: what is seen of it, mostly at once.
    fn ask(&mut self, target: &SocketAddr) -> Observation {
        if let Err(failed) = self.connect(target) {
            return failed;
        }
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            let found = self.look(target, clock::now());
            if !matches!(found, Observation::Nothing { .. }) || Instant::now() > patience {
                return found;
            }
            std::thread::yield_now();
        }
    }
}

fn answer() -> Answer {
    Answer { rtt_us: 5, syn_retransmits: 2, acked: false, met_a_check: false, met_a_syn: false }
}

/// A socket whose handshake was completed, and which the server has reset since.
fn reset_by(listener: &TcpListener, target: &SocketAddr) -> Socket {
    let mut socket = open(FULL, &Wire::default());
    assert!(socket.connect(target).is_ok());
    let (peer, _): (Peer, _) = listener.accept().unwrap();
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    while !matches!(socket.look(target, clock::now()), Observation::Closed(_)) {
        std::thread::yield_now();
    }
    socket
}

#[test]
fn half_a_handshake_ends_without_an_ack_and_a_whole_one_with_it() {
    let (_listener, target) = listening();
    let acked = |mut socket: Socket| match socket.ask(&target) {
        Observation::Answered(answer) => answer.acked,
        _ => panic!("no answer"),
    };
    // On a busy host one may lose the processor until the ACK leaves by itself.
    let is_ever_withheld = |open: &dyn Fn() -> Socket| (0..50).any(|_| !acked(open()));
    assert!(is_ever_withheld(&plain));
    assert!(acked(open(FULL, &Wire::default())));
    // Without TCP_DEFER_ACCEPT, each connection has its ACK kept back by itself.
    let without_defer = || changed(open(FULL, &Wire::default()), |it| it.close_mode = CloseMode::HALF_OPEN);
    assert!(!without_defer().defers && is_ever_withheld(&without_defer));
}

#[test]
fn only_half_a_handshake_withholds_the_ack() {
    assert!(plain().withholds_ack());
    assert!(!open(FULL, &Wire::default()).withholds_ack());
}

#[test]
fn a_mark_is_set_where_it_changes_and_stays_known() {
    let mut socket = plain();
    assert_eq!(socket.mark(), 0);
    match socket.set_mark(7) {
        Ok(()) => {
            assert_eq!((socket.mark(), SockRef::from(socket.stream.as_ref().unwrap()).mark().unwrap()), (7, 7));
            assert_eq!(open(CloseMode::HALF_OPEN, &Wire { mark: Some(9), ..Wire::default() }).mark(), 9);
        }
        Err(errno) => assert!(os_error::is_forbidden(errno), "{errno}"),
    }
    let mut closed = changed(plain(), |it| {
        it.mark = 7;
        it.stream = None
    });
    assert_eq!((closed.set_mark(7), closed.set_mark(8), closed.mark()), (Ok(()), Err(EIO), 7));
}

#[test]
fn a_socket_of_another_network_namespace_is_none_of_this_checkers() {
    let (socket, Some(elsewhere)) = (plain(), Home::elsewhere()) else { return };
    assert_eq!((socket.check_home(Home::new()), socket.check_home(elsewhere)), (Ok(()), Err(ELSEWHERE)));
    assert_eq!(changed(plain(), |it| it.stream = None).check_home(elsewhere), Ok(()));
}

#[test]
fn the_poller_is_shown_a_socket_until_it_is_closed() {
    assert!(plain().source().is_some());
    assert!(changed(plain(), |it| it.stream = None).source().is_none());
}

#[test]
fn a_used_socket_may_be_to_blame_and_a_new_one_never() {
    let left_over = (1..200).find(|errno| is_left_over(*errno)).unwrap();
    let mut socket = plain();
    let mut blamed = |used, bound| {
        (socket.used, socket.bound) = (used, bound);
        let observations = [
            Observation::Unsent { errno: left_over },
            Observation::Unsent { errno: EIO },
            Observation::Noted { errno: EIO, syn_retransmits: 0 },
            Observation::Failed { errno: EIO, syn_retransmits: 0 },
            Observation::Fault { errno: EIO },
            Observation::Nothing { syn_retransmits: 0 },
        ];
        (socket.may_be_stale(), observations.each_ref().map(|observation| socket.is_to_blame(observation)))
    };
    assert_eq!(blamed(false, false), (false, [false; 6]));
    assert_eq!(blamed(false, true), (false, [false; 6]));
    assert_eq!(blamed(true, false), (false, [true, false, true, false, false, false]));
    assert_eq!(blamed(true, true), (true, [true, true, true, false, false, false]), "its interface may be gone");
}

#[test]
fn it_is_waited_for_an_answer_and_after_an_error_that_may_be_an_earlier_targets() {
    for used in [false, true] {
        let socket = changed(plain(), |it| it.used = used);
        let noted = Observation::Noted { errno: EIO, syn_retransmits: 0 };
        assert!(socket.waits(&Observation::Nothing { syn_retransmits: 0 }));
        assert_eq!(socket.waits(&noted), used);
        assert!(!socket.waits(&Observation::Answered(answer())) && !socket.waits(&Observation::Fault { errno: EIO }));
    }
}

#[test]
fn a_socket_that_was_bound_to_the_zone_of_a_link_serves_no_other_target() {
    let opened = Socket::open(true, CloseMode::HALF_OPEN, &Wire::default(), &Arc::default());
    let Ok(mut socket) = opened else { return }; // this host has no IPv6
    assert!(socket.is_reusable());
    // There is no interface of this number, and nothing is sent.
    assert!(socket.connect(&"[fe80::1%9999]:80".parse().unwrap()).is_err());
    assert!(!socket.is_reusable());
    let _ = socket.connect(&"[::1]:9".parse().unwrap());
    assert!(!socket.is_reusable());
}

#[test]
fn what_a_used_socket_is_bound_to_is_looked_at_anew() {
    let (_listener, target) = listening();
    let is_answered = |socket: &mut Socket| matches!(socket.ask(&target), Observation::Answered(_));
    assert!(is_answered(&mut bound_to_loopback()));
    let mut renamed = changed(bound_to_loopback(), |it| it.interface = Some(b"was0".as_slice().into()));
    assert!(matches!(renamed.ask(&target), Observation::Unsent { errno: ENODEV }));
    // An address for documentation (RFC 5737), which this host does not have.
    let source = Some(Box::new("192.0.2.7:0".parse().unwrap()));
    let mut moved = changed(plain(), |it| {
        it.used = true;
        it.source = source
    });
    assert!(matches!(moved.ask(&target), Observation::Fault { errno: EADDRNOTAVAIL }));
}

#[test]
fn a_refusal_and_a_reset_behind_the_answer_are_told_apart() {
    let (_bound, refusing) = refusing();
    let mut socket = plain();
    let found = socket.ask(&refusing);
    let Ended { verdict, clean, asked_twice, .. } = socket.conclude(found, &refusing, clock::now());
    assert_eq!((verdict.status, verdict.half_open, verdict.address), (Status::Refused, false, Some(refusing)));
    assert!(clean && !asked_twice, "it can serve another check");

    let (listener, target) = listening();
    for close_mode in [FULL, CloseMode::HALF_OPEN] {
        // The counters may be another system's: that there was a connection to reset proves the ACK.
        let mut socket = changed(reset_by(&listener, &target), |it| it.close_mode = close_mode);
        let verdict = socket.conclude(Observation::Closed(answer()), &target, clock::now()).verdict;
        assert_eq!((verdict.status, verdict.half_open, verdict.rtt_us), (Status::Up, false, 5));
    }
}

#[test]
fn a_socket_serves_another_check_unless_it_may_be_to_blame_or_a_call_failed() {
    let (_bound, target) = refusing();
    let end = |mut socket: Socket, observation| {
        let Ended { verdict, clean, .. } = socket.conclude(observation, &target, clock::now());
        assert_eq!(socket.stream.is_some(), clean, "kept or closed");
        (verdict.status, verdict.os_error, clean)
    };
    let unsent = || Observation::Unsent { errno: EIO };
    let (status, errno, clean) = end(plain(), unsent());
    assert_eq!((status, errno, clean), (status_of(EIO, Origin::Connect), EIO, true));
    assert!(!end(bound_to_loopback(), unsent()).2);
    assert_eq!(end(plain(), Observation::Fault { errno: EIO }), (Status::LocalFault, EIO, false));
    assert_eq!(end(plain(), Observation::Nothing { syn_retransmits: 1 }), (Status::TimedOut, 0, true));
}

#[test]
fn an_error_that_may_be_an_earlier_targets_is_not_this_ones() {
    let (_bound, target) = refusing();
    let errno = (1..200).find(|errno| status_of(*errno, Origin::Network) == Status::Unreachable).unwrap();
    for (used, status, os_error) in [(true, Status::TimedOut, 0), (false, Status::Unreachable, errno)] {
        let mut socket = changed(plain(), |it| it.used = used);
        let noted = Observation::Noted { errno, syn_retransmits: 3 };
        let verdict = socket.conclude(noted, &target, clock::now()).verdict;
        assert_eq!((verdict.status, verdict.os_error, verdict.syn_retransmits), (status, os_error, 3));
    }
}

#[test]
fn an_answer_is_proven_half_open_by_the_time_since_its_syn_alone_if_there_was_no_other() {
    let (_bound, target) = refusing();
    const MS: u64 = 1_000_000;
    let cases = [
        (answer(), MS),
        (answer(), 1_000 * MS), // the kernel tells of no SYN-ACK: nothing came to this socket
        (Answer { acked: true, ..answer() }, MS),
        (Answer { met_a_check: true, ..answer() }, MS),
    ];
    clock::by_hand::set(10_000 * MS);
    let verdicts =
        cases.map(|(answer, age)| plain().conclude(Observation::Answered(answer), &target, 10_000 * MS - age).verdict);
    clock::by_hand::let_go();
    let half_open = verdicts.each_ref().map(|verdict| (verdict.status, verdict.half_open, verdict.rtt_us));
    let (proven, not_proven) = ((Status::Up, true, 5), (Status::Up, false, 5));
    assert_eq!(half_open, [proven, not_proven, not_proven, (Status::Refused, false, 0)]);
}

#[test]
fn a_target_that_was_asked_twice_had_one_more_syn() {
    let mut socket = plain();
    socket.asks_again();
    let (_bound, target) = refusing();
    let Ended { verdict, asked_twice, .. } = socket.conclude(Observation::Answered(answer()), &target, clock::now());
    assert_eq!((verdict.syn_retransmits, asked_twice), (3, true));
}

#[test]
fn another_one_that_waits_is_known_to_a_socket_that_connects() {
    assert!(!plain().has_others(), "it does not connect");
    let mut other = Connecting::begin();
    other.waits();
    assert!(changed(plain(), |it| it.connecting = Some(Connecting::begin())).has_others());
}

#[test]
fn a_connection_stays_on_this_host_if_both_addresses_are_of_it() {
    let ((_bound, here), home) = (refusing(), Home::new());
    let elsewhere = "192.0.2.8:80".parse().unwrap();
    let socket = plain();
    assert!(socket.stays_here(&here, home) && !socket.stays_here(&elsewhere, home));
    // Between two addresses of this host, whichever it is bound to.
    let bound = changed(plain(), |it| it.source = Some(Box::new("127.0.0.1:0".parse().unwrap())));
    assert!(bound.stays_here(&here, home) && !bound.stays_here(&elsewhere, home));
}
