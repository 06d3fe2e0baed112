//! Networks that lose packets: a target that answers is not down by the loss of a few, and no handshake is completed in
//! silence.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::counters::Rise;
use support::driven::{self, stats};
use support::engine::is_raw;
use support::etc;
use support::handshake::withholds_ack;
use support::lists::{
    DESCRIPTORS, PATIENCE_MS, PORT, SILENT_PORT, listen_everywhere, nth, reap, silence, tally, with_timeout,
};
use support::name_server::{Answer, NameServer};
use support::process::{sh, until};
use support::rlimit::set_descriptor_limit;
use support::targets::{DEAD_PORT, Listener, V4, at};
use tcpshaker::{Checker, Config, Request, Status, Verdict};

/// A checker as it is by default: with early SYNs.
fn checker(configure: impl FnOnce(&mut Config)) -> Checker {
    support::lists::checker(|config| {
        config.set_syn_interval(300).unwrap();
        configure(config);
    })
}

fn loops(count: u32) -> Checker {
    checker(|config| config.set_threads(count).unwrap())
}

/// Has the firewall treat each TCP segment that arrives by these rules.
fn filter(rules: &[&str]) {
    sh("nft add table inet lossy");
    sh("nft add chain inet lossy arriving '{ type filter hook input priority 0; }'");
    for rule in rules {
        sh(&format!("nft 'add rule inet lossy arriving {rule}'"));
    }
}

fn filter_nothing() {
    sh("nft delete table inet lossy");
}

/// SYNs that arrived at this port, as the firewall counted them.
fn count_syns(port: u16) -> impl Fn() -> u64 {
    sh("nft add table inet counting");
    sh("nft add chain inet counting arriving '{ type filter hook input priority -10; }'");
    sh("nft add counter inet counting syns");
    sh(&format!(
        "nft 'add rule inet counting arriving tcp dport {port} tcp flags & (syn|ack) == syn counter name syns'"
    ));
    || {
        let text = sh("nft list counter inet counting syns");
        let packets = text.split("packets ").nth(1).and_then(|rest| rest.split_whitespace().next());
        packets.and_then(|packets| packets.parse().ok()).expect("a count of packets")
    }
}

/// Many checks of a live target while each packet is lost with this probability.
fn down_under_loss(percent: u32) -> (usize, Vec<Verdict>) {
    let _listener = listen_everywhere();
    let checker = checker(|config| config.set_max_in_flight(2_000).unwrap());
    filter(&[&format!("meta l4proto tcp numgen random mod 100 < {percent} drop")]);
    let completed = Rise::of("TcpPassiveOpens");
    let requests: Vec<Request> = (0..50_000).map(|number| with_timeout(1_000, at(nth(number), PORT))).collect();
    let verdicts = checker.check_many(&requests);
    std::thread::sleep(Duration::from_millis(500)); // for an ACK that is still to leave
    filter_nothing();
    let down = verdicts.iter().filter(|verdict| verdict.status != Status::Up).count();
    let (completed, admitted) = (completed.now(), checker.stats().completed_handshakes);
    println!("{percent} %: {:?}, {completed} handshakes completed, {admitted} admitted", tally(&verdicts));
    if withholds_ack() {
        assert!(completed <= admitted, "{completed} handshakes completed, {admitted} admitted");
    }
    (down, verdicts)
}

/// Makes a check whose SYNs are counted. One of an address of this host has its first SYN from the caller's thread on a raw
/// checker, and another one at once where that is not answered; of a list it has not.
fn check(checker: &Checker, request: &Request) -> Verdict {
    if is_raw() { checker.check_many(std::slice::from_ref(request))[0] } else { checker.check(request) }
}

mod a_live_target {
    use super::*;

    #[test]
    fn is_not_down_where_one_packet_in_a_hundred_is_lost() {
        namespaced!(alone, "nft");
        let (down, verdicts) = down_under_loss(1);
        assert!(down <= 5, "{down} of {} checks were not up", verdicts.len());
    }

    #[test]
    fn is_hardly_ever_down_where_one_packet_in_twenty_is_lost() {
        namespaced!(alone, "nft");
        let (down, verdicts) = down_under_loss(5);
        assert!(down <= 25, "{down} of {} checks were not up", verdicts.len());
    }

    #[test]
    fn is_up_after_a_lost_syn_and_the_verdict_says_that_one_was_sent_again() {
        namespaced!("nft");
        let _listener = Listener::on(V4, PORT);
        filter(&[&format!("tcp dport {PORT} tcp flags & (syn|ack) == syn numgen inc mod 2 == 0 drop")]);
        for list in [false, true] {
            let checker = loops(1);
            let request = Request { timeout_ms: 30_000, ..Request::new(at(V4, PORT)) };
            let verdict = if list { checker.check_many(&[request])[0] } else { check(&checker, &request) };
            assert_eq!((verdict.status, verdict.syn_retransmits), (Status::Up, 1), "{verdict:?}");
            assert!(verdict.elapsed_us >= 300_000, "{verdict:?}");
            assert!(
                u64::from(verdict.rtt_us) < verdict.elapsed_us,
                "the round trip is that of the second SYN: {verdict:?}"
            );
        }
    }

    /// Whoever gives up the permit that an early SYN waits for does so on its own thread.
    #[test]
    fn is_up_after_a_lost_syn_while_callers_have_the_other_permit() {
        namespaced!("nft");
        let _listener = Listener::on(V4, PORT);
        filter(&[&format!("tcp dport {PORT} tcp flags & (syn|ack) == syn numgen inc mod 2 == 0 drop")]);
        let checker = checker(|config| {
            config.set_max_in_flight(2).unwrap();
            config.set_syn_interval(100).unwrap();
        });
        let over = AtomicBool::new(false);
        let verdicts: Vec<Verdict> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    checker.check(&Request::new(at(V4, DEAD_PORT)));
                }
            });
            // Before the kernel sends the SYN again.
            let verdicts = (0..20).map(|_| checker.check(&with_timeout(900, at(V4, PORT)))).collect();
            over.store(true, Ordering::Relaxed);
            verdicts
        });
        let down = verdicts.iter().filter(|verdict| verdict.status != Status::Up).count();
        assert!(down <= 5, "{down} of {}: {verdicts:?}", verdicts.len());
    }

    #[test]
    fn that_a_name_leads_to_is_up_after_a_lost_syn() {
        namespaced!("nft");
        etc::replace();
        etc::use_name_server(5, 1);
        let _server = NameServer::start(&[("here.test", Answer::Addresses(vec![V4]))]);
        let _listener = Listener::on(V4, PORT);
        filter(&[&format!("tcp dport {PORT} tcp flags & (syn|ack) == syn numgen inc mod 2 == 0 drop")]);
        let request = Request { timeout_ms: 30_000, ..Request::new(format!("here.test:{PORT}").as_str()) };
        let verdict = loops(1).check(&request);
        assert_eq!((verdict.status, verdict.syn_retransmits), (Status::Up, 1), "{verdict:?}");
    }

    #[test]
    fn is_up_where_the_network_called_it_unreachable_for_one_syn_of_several() {
        namespaced!("nft");
        let _listener = Listener::on(V4, PORT);
        let syn = format!("tcp dport {PORT} tcp flags & (syn|ack) == syn");
        filter(&[
            &format!("{syn} meta mark set numgen inc mod 3"),
            &format!("{syn} meta mark 0 drop"),
            &format!("{syn} meta mark 1 reject with icmp type host-unreachable"),
        ]);
        let verdict = check(&loops(1), &Request { timeout_ms: 30_000, ..Request::new(at(V4, PORT)) });
        assert_eq!((verdict.status, verdict.syn_retransmits), (Status::Up, 2), "{verdict:?}");
    }

    #[test]
    fn is_up_where_a_lost_reset_left_its_half_open_requests_behind() {
        namespaced!(alone, "nft");
        only_where!(withholds_ack(), "there are no half-open requests to be left behind");
        let _listener = Listener::on(V4, PORT);
        // So that many of the next checks have a port of the last ones.
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 47999").expect("the namespace's own");
        let checker = loops(1);
        let target = at(V4, PORT);
        filter(&["tcp flags & rst == rst drop"]);
        let requests = vec![with_timeout(1_000, target); 3_000];
        let with_loss = checker.check_many(&requests);
        println!("with every reset lost: {:?}", tally(&with_loss));
        filter_nothing();
        let verdicts = checker.check_many(&requests[..1_000]);
        let down = verdicts.iter().filter(|verdict| verdict.status as i32 > 0).count();
        assert_eq!(down, 0, "{:?}", tally(&verdicts));
    }
}

mod a_dead_target {
    use super::*;

    #[test]
    fn is_refused_after_a_lost_syn() {
        namespaced!("nft");
        filter(&[&format!("tcp dport {DEAD_PORT} tcp flags & (syn|ack) == syn numgen inc mod 2 == 0 drop")]);
        let verdict = check(&loops(1), &Request { timeout_ms: 30_000, ..Request::new(at(V4, DEAD_PORT)) });
        assert_eq!((verdict.status, verdict.syn_retransmits), (Status::Refused, 1), "{verdict:?}");
    }
}

mod a_silent_target {
    use super::*;

    fn syns_of(checker: &Checker, timeout_ms: u32) -> (u64, Verdict) {
        let syns = count_syns(SILENT_PORT);
        silence(SILENT_PORT);
        let begun = Instant::now();
        let verdict = check(checker, &with_timeout(timeout_ms, at(V4, SILENT_PORT)));
        assert!(begun.elapsed() >= Duration::from_millis(timeout_ms.into()));
        assert_eq!(verdict.status, Status::TimedOut, "{verdict:?}");
        (syns(), verdict)
    }

    #[test]
    fn has_four_syns_that_count_as_sent_again() {
        namespaced!("nft");
        let (syns, verdict) = syns_of(&checker(|config| config.set_syn_interval(50).unwrap()), 900);
        assert_eq!(syns, 4);
        assert_eq!(verdict.syn_retransmits, if withholds_ack() { 3 } else { verdict.syn_retransmits });
    }

    #[test]
    fn has_one_syn_where_the_rest_is_left_to_the_kernel() {
        namespaced!("nft");
        let (syns, verdict) = syns_of(&checker(|config| config.set_syn_interval(0).unwrap()), 900);
        assert_eq!((syns, verdict.syn_retransmits), (1, 0));
    }

    #[test]
    fn has_no_syn_that_would_leave_at_the_deadline() {
        namespaced!("nft");
        let (syns, _) = syns_of(&checker(|config| config.set_syn_interval(300).unwrap()), 300);
        assert_eq!(syns, 1);
    }

    #[test]
    fn has_one_syn_where_one_check_may_be_in_flight() {
        needs_sockets!("a SYN that is sent again takes no permit");
        namespaced!("nft");
        let one = checker(|config| {
            config.set_max_in_flight(1).unwrap();
            config.set_syn_interval(50).unwrap();
        });
        assert_eq!(syns_of(&one, 900).0, 1);
    }

    #[test]
    fn takes_no_permit_from_a_check_that_waits_for_one() {
        needs_sockets!("a SYN that is sent again takes no permit");
        namespaced!("nft");
        silence(SILENT_PORT);
        let syns = count_syns(SILENT_PORT);
        let checker = checker(|config| {
            config.set_max_in_flight(4).unwrap();
            config.set_syn_interval(50).unwrap();
        });
        // As many as there are permits, and more that wait: nobody may have a second SYN before all have had their
        // first.
        let requests =
            (0..8).map(|number| with_timeout(if number < 4 { 900 } else { 20_000 }, at(nth(number), SILENT_PORT)));
        checker.submit(requests.collect()).expect("a live checker");
        assert_eq!(reap(&checker, 4).len(), 4);
        assert!(syns() <= 8, "{} SYNs, while checks waited", syns());
        checker.cancel(0).unwrap();
        assert_eq!(reap(&checker, 4).len(), 4);
    }

    #[test]
    fn has_no_syn_that_the_rate_owes_to_others() {
        namespaced!("nft");
        let slow = checker(|config| {
            config.set_max_rate(1).unwrap();
            config.set_syn_interval(50).unwrap();
        });
        assert_eq!(syns_of(&slow, 900).0, 1);
    }

    #[test]
    fn that_is_cancelled_leaves_nothing_in_flight() {
        needs_sockets!("a SYN that is sent again takes no permit");
        namespaced!("nft");
        silence(SILENT_PORT);
        let syns = count_syns(SILENT_PORT);
        let checker = checker(|config| config.set_syn_interval(50).unwrap());
        let id = checker.submit(vec![with_timeout(PATIENCE_MS, at(V4, SILENT_PORT))]).expect("a live checker");
        until("it has had four SYNs", || syns() == 4);
        assert_eq!(checker.stats().in_flight, 4);
        checker.cancel(id).unwrap();
        let report = reap(&checker, 1)[0];
        assert_eq!((report.id, report.verdict.status), (id, Status::Cancelled));
        assert_eq!(checker.stats().in_flight, 0);
    }

    #[test]
    fn is_cancelled_with_all_others_while_early_syns_leave() {
        needs_sockets!("a SYN that is sent again takes no permit");
        namespaced!(alone, "nft");
        const CHECKS: usize = 4_000;
        silence(SILENT_PORT);
        set_descriptor_limit(DESCRIPTORS);
        let checker = checker(|config| {
            config.set_max_in_flight(DESCRIPTORS as u32 / 2).unwrap();
            config.set_syn_interval(200).unwrap();
        });
        for _ in 0..3 {
            let requests = (0..CHECKS).map(|number| with_timeout(PATIENCE_MS, at(nth(number), SILENT_PORT)));
            checker.submit(requests.collect()).expect("a live checker");
            until("early SYNs leave", || {
                driven::drive(&checker);
                stats(&checker).in_flight > CHECKS as u64
            });
            checker.cancel(0).unwrap();
            let begun = Instant::now();
            let reports = reap(&checker, CHECKS);
            let others = reports.iter().filter(|report| report.verdict.status != Status::Cancelled).count();
            assert_eq!(others, 0, "of {CHECKS} checks, which took {:?} to end", begun.elapsed());
        }
    }
}

mod an_early_syn {
    use super::*;

    /// As many silent checks as leave a few permits, each of which holds one by an early SYN after a while.
    fn with_early_syns_in_all_other_permits(what: impl FnOnce(&Checker)) {
        silence(SILENT_PORT);
        let _listener = listen_everywhere();
        let checker = checker(|config| {
            config.set_max_in_flight(8).unwrap();
            config.set_syn_interval(50).unwrap();
        });
        checker.submit(vec![with_timeout(10 * PATIENCE_MS, at(V4, SILENT_PORT)); 4]).expect("a live checker");
        until("all permits are taken", || stats(&checker).in_flight == 8);
        what(&checker);
        checker.cancel(0).unwrap();
        assert_eq!(reap(&checker, 4).len(), 4);
        assert_eq!(stats(&checker).in_flight, 0);
    }

    #[test]
    fn is_given_up_for_a_check_that_comes_later() {
        needs_sockets!("a SYN that is sent again takes no permit");
        namespaced!("nft");
        with_early_syns_in_all_other_permits(|checker| {
            for _ in 0..50 {
                let verdict = checker.check(&with_timeout(PATIENCE_MS, at(V4, PORT)));
                assert_eq!(verdict.status, Status::Up, "{verdict:?}");
            }
            // Four that stay need all of the four permits.
            let silent = (0..4).map(|number| with_timeout(700, at(nth(number), SILENT_PORT)));
            checker.submit(silent.collect()).expect("a live checker");
            let reports = reap(checker, 4);
            assert!(reports.iter().all(|report| report.verdict.status == Status::TimedOut), "{reports:?}");
        });
    }

    #[test]
    fn is_given_up_for_the_checks_of_a_list() {
        needs_sockets!("a SYN that is sent again takes no permit");
        namespaced!("nft");
        with_early_syns_in_all_other_permits(|checker| {
            let verdicts = checker.check_many(&vec![with_timeout(PATIENCE_MS, at(V4, PORT)); 500]);
            assert!(verdicts.iter().all(|verdict| verdict.status == Status::Up), "{:?}", tally(&verdicts));
        });
    }

    #[test]
    fn that_was_given_up_in_vain_is_no_part_of_its_check_any_more() {
        needs_sockets!("a SYN that is sent again takes no permit");
        namespaced!("nft");
        silence(SILENT_PORT);
        let checker = checker(|config| {
            config.set_max_in_flight(2).unwrap();
            config.set_max_rate(1).unwrap();
            config.set_syn_interval(50).unwrap();
        });
        let silent = with_timeout(10 * PATIENCE_MS, at(V4, SILENT_PORT));
        let first = checker.submit(vec![silent.clone()]).expect("a live checker");
        until("an early SYN has the other permit and the token", || stats(&checker).in_flight == 2);
        let second = checker.submit(vec![silent; 2]).expect("a live checker");
        until("it was given up, and they wait for a token", || stats(&checker).in_flight == 1);
        checker.cancel(first).unwrap();
        assert_eq!(reap(&checker, 1)[0].verdict.status, Status::Cancelled);
        checker.cancel(0).unwrap();
        let reports = reap(&checker, 2);
        assert!(
            reports.iter().all(|report| report.id >= second && report.verdict.status == Status::Cancelled),
            "{reports:?}"
        );
        assert_eq!(stats(&checker).internal, 0);
    }
}
