//! The engine that makes its own segments where packets are lost, where the process stands still, and where one target
//! has more checks than there are ports: never down by mistake, and no handshake is ever completed.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashSet;
use std::time::Duration;

use support::counters::{Rise, counter};
use support::engine::{REFUSED, SILENT, UP, every_way, half_open_requests, raw, said};
use support::firewall::{self, Hook};
use support::lists::{
    PATIENCE_MS, PORT, SILENT_PORT, listen_everywhere, nth, reap, silence, tagged, tally, with_timeout,
};
use support::peer::{ACK, Action, Cable, Forger, Peer, SYN, Segment};
use support::process::{Forked, stop_parent_during, until};
use support::targets::{DEAD_PORT, V4, at};
use tcpshaker::{Request, Status, Verdict};

fn not_up(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| verdict.status != Status::Up).count()
}

/// Verdicts that say a target is down.
fn down(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| verdict.status as i32 > 0).count()
}

mod lost_packets {
    use super::*;

    /// Many checks of live targets while each segment is lost with this probability.
    fn not_up_under_loss(percent: u32) -> usize {
        let listener = listen_everywhere();
        let checker = raw(|config| config.set_max_in_flight(2_000).unwrap());
        firewall::add(Hook::Input, &[&format!("meta l4proto tcp numgen random mod 100 < {percent} drop")]);
        let completed = Rise::of("TcpPassiveOpens");
        let requests: Vec<Request> = (0..50_000).map(|number| with_timeout(1_000, at(nth(number), PORT))).collect();
        let verdicts = checker.check_many(&requests);
        std::thread::sleep(Duration::from_millis(500)); // for an ACK that should never leave
        let again = verdicts.iter().filter(|verdict| verdict.syn_retransmits > 0).count();
        println!("{percent} %: {:?}, {again} SYNs sent again", tally(&verdicts));
        assert_eq!((completed.now(), checker.stats().completed_handshakes), (0, 0));
        assert!(again > 50_000 / 100 * percent as usize / 2, "only {again} SYNs were sent again");
        listener.assert_untouched();
        not_up(&verdicts)
    }

    #[test]
    fn of_one_in_a_hundred_make_hardly_a_live_target_down() {
        namespaced!(alone, "nft");
        let not_up = not_up_under_loss(1);
        assert!(not_up <= 5, "{not_up} of 50,000 were not up");
    }

    #[test]
    fn of_one_in_twenty_make_hardly_a_live_target_down() {
        namespaced!(alone, "nft");
        let not_up = not_up_under_loss(5);
        assert!(not_up <= 25, "{not_up} of 50,000 were not up");
    }

    #[test]
    fn are_counted_and_the_round_trip_is_that_of_the_segment_which_was_answered() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        let syn = |port: u16| format!("tcp dport {port} tcp flags & (syn | ack) == syn");
        // Of each three SYNs to one port the third arrives, to another one the second.
        firewall::add(Hook::Input, &[&format!("{} numgen inc mod 3 < 2 drop", syn(PORT))]);
        firewall::add(Hook::Input, &[&format!("{} numgen inc mod 2 == 0 drop", syn(DEAD_PORT))]);
        let checker = raw(|_| ());
        for _ in 0..3 {
            let verdict = checker.check_many(&[Request::new(at(V4, PORT))])[0];
            assert_eq!((said(&verdict), verdict.syn_retransmits), (UP, 2), "{verdict:?}");
            assert!(verdict.elapsed_us >= 600_000 && verdict.rtt_us > 0 && verdict.rtt_us < 200_000, "{verdict:?}");
            let verdict = checker.check_many(&[Request::new(at(V4, DEAD_PORT))])[0];
            // Of 4,096 runs one takes it for the target that was up a moment ago, and asks it twice.
            assert!(said(&verdict) == REFUSED && [1, 3].contains(&verdict.syn_retransmits), "{verdict:?}");
        }
    }

    #[test]
    fn that_a_slow_answer_is_taken_for_leave_the_first_round_trip_its_time() {
        namespaced!();
        // It answers the first SYN after the second has left, and no other. It echoes no timestamp.
        let first = std::cell::Cell::new(true);
        let _peer = Peer::start(move |segment| match segment.flags {
            SYN if first.replace(false) => {
                vec![Action::Pause(Duration::from_millis(450)), Action::Send(segment.answer(SYN | ACK, 7).packet())]
            }
            _ => Vec::new(),
        });
        let verdict = raw(|_| ()).check(&Request::new(Peer::at(80)));
        assert_eq!((said(&verdict), verdict.syn_retransmits), (UP, 1), "{verdict:?}");
    }

    /// 3,000 checks of one target, whose resets are all lost; the ports of all of them are half open there afterwards.
    #[test]
    fn of_resets_leave_nothing_that_stands_in_the_way_of_the_next_checks() {
        namespaced!(alone, "nft");
        let _listener = listen_everywhere();
        let checker = raw(|_| ());
        firewall::add(Hook::Input, &["tcp flags & rst == rst drop"]);
        let requests = vec![with_timeout(1_000, at(V4, PORT)); 3_000];
        let with_loss = checker.check_many(&requests);
        println!("with every reset lost: {:?}, {} half open", tally(&with_loss), half_open_requests());
        assert!(half_open_requests() > 0, "this proves nothing");
        firewall::open();
        let verdicts = checker.check_many(&requests[..1_000]);
        assert_eq!(not_up(&verdicts), 0, "{:?}", tally(&verdicts));
        let again = verdicts.iter().filter(|verdict| verdict.syn_retransmits > 0).count();
        let slow = verdicts.iter().filter(|verdict| verdict.elapsed_us >= 300_000).count();
        println!("{again} SYNs sent again, {slow} checks took as long as the interval");
    }

    #[test]
    fn of_resets_do_not_show_in_checks_one_after_another() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        let checker = raw(|_| ());
        firewall::add(Hook::Input, &["tcp flags & rst == rst drop"]);
        for _ in 0..64 {
            assert_eq!(checker.check(&Request::new(at(V4, PORT))).status, Status::Up);
        }
        firewall::open();
        let verdicts: Vec<Verdict> = (0..300).map(|_| checker.check(&with_timeout(1_000, at(V4, PORT)))).collect();
        assert_eq!(not_up(&verdicts), 0, "{:?}", tally(&verdicts));
        // The pair that is half open is cleared at once, and not after an interval.
        let slow = verdicts.iter().filter(|verdict| verdict.elapsed_us >= 250_000).count();
        assert!(slow <= 3, "{slow} of 300 checks waited for the next SYN");
    }
}

mod a_stalled_process {
    use super::*;

    const CHECKS: usize = 100_000;
    /// More answers than a socket's buffer has room for.
    const UNREAD: usize = 25_000;

    /// Stops this process for three seconds when its checks are under way: so many segments have come in.
    fn stop_when(segments: u64) -> Forked {
        let arrived = Rise::of("TcpInSegs");
        Forked::new(move || {
            until("checks are under way", || arrived.now() >= segments);
            stop_parent_during(|| std::thread::sleep(Duration::from_secs(3)));
            0
        })
    }

    #[test]
    fn completes_no_handshake_and_calls_nobody_down() {
        namespaced!(alone);
        let listener = listen_everywhere();
        let completed = Rise::of("TcpPassiveOpens");
        let stopper = stop_when(30_000);
        let checker = raw(|config| config.set_max_in_flight(CHECKS as u32).unwrap());
        let requests: Vec<Request> = (0..CHECKS).map(|number| with_timeout(1_000, at(nth(number), PORT))).collect();
        let begun = std::time::Instant::now();
        let mut verdicts = checker.check_many(&requests);
        while begun.elapsed() < Duration::from_secs(3) {
            verdicts.extend(checker.check_many(&requests)); // until it has been stopped
        }
        assert_eq!(stopper.wait(), 0);
        println!("{:?} in {:?}", tally(&verdicts), begun.elapsed());
        assert_eq!(down(&verdicts), 0, "{:?}", tally(&verdicts));
        assert_eq!((completed.now(), checker.stats().completed_handshakes), (0, 0));
        listener.assert_untouched();
        // And it goes on as if nothing had been.
        let verdicts = checker.check_many(&requests[..10_000]);
        assert_eq!(not_up(&verdicts), 0, "{:?}", tally(&verdicts));
    }

    /// Another process takes the SYNs, stops this one, and answers all of them. Their deadlines pass meanwhile.
    #[test]
    fn with_all_its_answers_unread_calls_nobody_down() {
        namespaced!(alone, "nft");
        silence(SILENT_PORT);
        let (loopback, forger) = (Cable::open("lo", &[0; 6]), Forger::new());
        let answerer = Forked::new(move || {
            let is_asked = |segment: &Segment| segment.flags == SYN && segment.destination.port() == SILENT_PORT;
            let syns = std::iter::repeat_with(|| loopback.receive());
            let mut asked = HashSet::new();
            let is_first = |syn: &Segment| asked.insert(syn.destination);
            let syns = syns.filter_map(|packet| Segment::parse(&packet)).filter(is_asked).filter(is_first);
            let syns = syns.take(UNREAD);
            let answers: Vec<Vec<u8>> = syns.map(|syn| syn.answer(SYN | ACK, 7).packet()).collect();
            stop_parent_during(|| {
                // On a busy machine the kernel drops some on their way (net.core.netdev_max_backlog).
                for _ in 0..4 {
                    answers.iter().for_each(|answer| forger.send(answer));
                    std::thread::sleep(Duration::from_secs(3));
                }
                std::thread::sleep(Duration::from_secs(1));
            });
            0
        });
        let checker = raw(|config| {
            config.set_syn_interval(0).unwrap();
            config.set_max_in_flight(UNREAD as u32).unwrap();
        });
        let requests: Vec<Request> =
            (0..UNREAD).map(|number| with_timeout(12_000, at(nth(number), SILENT_PORT))).collect();
        let verdicts = checker.check_many(&requests);
        assert_eq!(answerer.wait(), 0);
        println!("{:?}", tally(&verdicts));
        assert_eq!(down(&verdicts), 0, "{:?}", tally(&verdicts));
        assert!(not_up(&verdicts) < verdicts.len(), "{:?}", tally(&verdicts));
    }

    /// The same with ICMP errors, of which the poller tells once.
    #[test]
    fn with_all_its_errors_unread_hears_of_each() {
        namespaced!(alone, "nft");
        const ERRORS: usize = 2_000;
        silence(SILENT_PORT);
        let (loopback, forger) = (Cable::open("lo", &[0; 6]), Forger::new());
        let rejecter = Forked::new(move || {
            let is_asked = |segment: &Segment| segment.flags == SYN && segment.destination.port() == SILENT_PORT;
            let syns = std::iter::repeat_with(|| loopback.receive());
            let syns = syns.filter_map(|packet| Segment::parse(&packet)).filter(is_asked).take(ERRORS);
            let errors: Vec<Vec<u8>> = syns.map(|syn| syn.unreachable(1, syn.sequence)).collect();
            stop_parent_during(|| {
                for _ in 0..2 {
                    errors.iter().for_each(|error| forger.send(error));
                    std::thread::sleep(Duration::from_secs(2));
                }
            });
            0
        });
        let checker = raw(|config| {
            config.set_syn_interval(0).unwrap();
            config.set_max_in_flight(2 * ERRORS as u32).unwrap(); // of which a list has three quarters
        });
        let requests: Vec<Request> =
            (0..ERRORS).map(|number| with_timeout(3_000, at(nth(number), SILENT_PORT))).collect();
        let verdicts = checker.check_many(&requests);
        assert_eq!(rejecter.wait(), 0);
        let expected = (Status::Unreachable, libc::EHOSTUNREACH);
        let unheard = verdicts.iter().filter(|verdict| said(verdict) != expected).count();
        assert_eq!(unheard, 0, "{:?}", tally(&verdicts));
    }

    #[test]
    fn and_two_hundred_thousand_checks_with_half_of_them_in_flight_complete_no_handshake() {
        namespaced!(alone);
        let listener = listen_everywhere();
        let completed = Rise::of("TcpPassiveOpens");
        let checker = raw(|config| config.set_max_in_flight(100_000).unwrap());
        let requests: Vec<Request> = (0..200_000).map(|number| Request::new(at(nth(number), PORT))).collect();
        let verdicts = checker.check_many(&requests);
        assert_eq!(not_up(&verdicts), 0, "{:?}", tally(&verdicts));
        assert_eq!((completed.now(), counter("TcpCurrEstab"), half_open_requests()), (0, 0, 0));
        listener.assert_untouched();
    }
}

mod one_target {
    use super::*;

    #[test]
    fn that_is_live_has_ten_thousand_checks_at_once_and_all_are_up() {
        namespaced!(alone);
        let _listener = listen_everywhere();
        for threads in [1, 2] {
            let checker = raw(|config| {
                config.set_threads(threads).unwrap();
                config.set_max_in_flight(20_000).unwrap();
            });
            let requests = (0..10_000).map(|number| tagged(number, Request::new(at(V4, PORT))));
            checker.submit(requests.collect()).expect("a live checker");
            let verdicts: Vec<Verdict> = reap(&checker, 10_000).iter().map(|report| report.verdict).collect();
            assert_eq!(not_up(&verdicts), 0, "{:?}", tally(&verdicts));
        }
    }

    #[test]
    fn that_is_silent_and_has_more_checks_than_there_are_ports_keeps_no_other_waiting() {
        namespaced!(alone, "nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let checker = raw(|_| ());
        checker.submit(vec![with_timeout(PATIENCE_MS, at(V4, SILENT_PORT)); 3_000]).expect("a live checker");
        until("some are in flight", || checker.stats().in_flight >= 64);
        let live: Vec<Request> = (0..100).map(|number| with_timeout(2_000, at(nth(number), PORT))).collect();
        let verdicts = checker.check_many(&live);
        assert_eq!(not_up(&verdicts), 0, "in a list: {:?}", tally(&verdicts));
        checker.submit(live.iter().cloned().map(|request| tagged(1, request)).collect()).expect("a live checker");
        let verdicts: Vec<Verdict> = reap(&checker, 100).iter().map(|report| report.verdict).collect();
        assert_eq!(not_up(&verdicts), 0, "submitted: {:?}", tally(&verdicts));
        // The same host's other ports are other targets.
        for verdict in every_way_quickly(&checker, PORT) {
            assert_eq!(said(&verdict), UP, "{verdict:?}");
        }
        for verdict in every_way_quickly(&checker, DEAD_PORT) {
            assert_eq!(said(&verdict), REFUSED, "{verdict:?}");
        }
        checker.cancel(0).unwrap();
        let reports = reap(&checker, 3_000);
        assert!(reports.iter().all(|report| report.verdict.status == Status::Cancelled));
    }

    fn every_way_quickly(checker: &tcpshaker::Checker, port: u16) -> Vec<Verdict> {
        every_way(checker, &with_timeout(2_000, at(V4, port)))
    }

    #[test]
    fn that_is_silent_gives_each_check_its_own_time() {
        namespaced!(alone, "nft");
        silence(SILENT_PORT);
        let checker = raw(|_| ());
        // Those that find no port in time say nothing of the target; a list's time runs from its own start.
        let verdicts = checker.check_many(&vec![with_timeout(300, at(V4, SILENT_PORT)); 3_000]);
        assert!(verdicts.iter().all(|verdict| said(verdict) == SILENT), "{:?}", tally(&verdicts));
        checker.submit(vec![with_timeout(300, at(V4, SILENT_PORT)); 3_000]).expect("a live checker");
        let verdicts: Vec<Verdict> = reap(&checker, 3_000).iter().map(|report| report.verdict).collect();
        let tally = tally(&verdicts);
        let of = |status: Status| tally.get(&status).copied().unwrap_or(0);
        assert_eq!(of(Status::TimedOut) + of(Status::Busy), 3_000, "{tally:?}");
        assert!(of(Status::TimedOut) >= 64, "{tally:?}");
    }
}
