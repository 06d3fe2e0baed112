//! What one check takes from another: names that nobody answers from names that are answered, a token of the rate that
//! is paid twice, and silent targets that hold the places which live ones need.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use support::driven::{self, stats};
use support::etc;
use support::lists::*;
use support::name_server::{Answer, NameServer};
use support::process::until;
use support::rlimit::{NoDescriptorLeft, set_descriptor_limit};
use support::targets::{Listener, V4, at};
use tcpshaker::{Checker, Request, Status, Verdict};

/// Names under one domain, numbered.
fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{kind}-{number}.test")).collect()
}

/// A name server that is silent about some names and knows that the others are this host's.
fn name_server(silent: &[String], known: &[String]) -> NameServer {
    let silence = silent.iter().map(|name| (name.as_str(), Answer::Silence));
    let here = known.iter().map(|name| (name.as_str(), Answer::Addresses(vec![V4])));
    NameServer::start(&silence.chain(here).collect::<Vec<_>>())
}

fn ask(name: &str, timeout_ms: u32) -> Request {
    Request { timeout_ms, ..Request::new(format!("{name}:{PORT}").as_str()) }
}

mod names {
    use super::*;

    #[test]
    fn that_were_cancelled_hold_up_no_other() {
        namespaced!();
        etc::replace();
        // As long as the checks that ask for them have time.
        etc::use_name_server(12, 1);
        let (dead, fresh) = (names("dead", 1_000), names("fresh", 1));
        let server = name_server(&dead, &fresh);
        let _listener = Listener::on(V4, PORT);
        let checker = loops(1);
        let first = checker.submit(dead.iter().map(|name| ask(name, 12_000)).collect()).expect("a live checker");
        until("some are being looked up", || {
            driven::drive(&checker);
            dead.iter().any(|name| server.asked_for_v4(name) > 0)
        });
        (first..first + 1_000).for_each(|id| assert_eq!(checker.cancel(id), Ok(())));
        let reports = reap(&checker, 1_000);
        assert!(reports.iter().all(|report| report.verdict.status == Status::Cancelled));
        let verdict = checker.check(&ask(&fresh[0], 6_000));
        println!("{verdict:?}");
        assert_eq!(verdict.status, Status::Up, "{verdict:?}");
    }

    #[test]
    fn that_nobody_answers_do_not_keep_others_from_being_looked_up() {
        namespaced!();
        etc::replace();
        const TIMEOUT_MS: u32 = 4_000;
        const ROUNDS: usize = 5;
        etc::use_name_server(TIMEOUT_MS / 1_000, 1);
        let (slow, fast) = (names("slow", 20), names("fast", 50));
        let _server = name_server(&slow, &fast);
        let _listener = Listener::on(V4, PORT);
        let checker = loops(1);
        let begun = Instant::now();
        for round in 0..ROUNDS as u32 {
            let next = begun + Duration::from_secs(1) * round;
            driven::sleep(&checker, next.saturating_duration_since(Instant::now()));
            let requests = slow.iter().chain(&fast).enumerate();
            let requests = requests.map(|(number, name)| tagged(number, ask(name, TIMEOUT_MS)));
            checker.submit(requests.collect()).expect("a live checker");
        }
        let reports = reap(&checker, ROUNDS * (slow.len() + fast.len()));
        let (slow_ones, fast_ones): (Vec<_>, Vec<_>) = reports.iter().partition(|report| report.tag < slow.len());
        let tally = |reports: Vec<&tcpshaker::Report>| {
            tally(&reports.iter().map(|report| report.verdict).collect::<Vec<Verdict>>())
        };
        let (slow_ones, fast_ones) = (tally(slow_ones), tally(fast_ones));
        println!("slow: {slow_ones:?}, fast: {fast_ones:?}");
        assert_eq!(slow_ones, HashMap::from([(Status::Unresolved, ROUNDS * slow.len())]));
        assert_eq!(fast_ones, HashMap::from([(Status::Up, ROUNDS * fast.len())]));
    }
}

mod token {
    use super::*;

    /// One check a second, so that a second token shows.
    const INTERVAL: Duration = Duration::from_secs(1);

    /// The shortest time of three checks that find a token, and no descriptor for a moment. `check` makes one.
    fn shortest(check: impl Fn(&Checker) -> Verdict + Sync) -> Duration {
        silence(SILENT_PORT);
        let _listener = Listener::on(V4, PORT);
        set_descriptor_limit(256);
        let took = (0..3).map(|_| {
            let checker = checker(|config| config.set_max_rate(1).unwrap());
            // While the checker holds a socket, it is worth waiting for a descriptor.
            checker.submit(vec![with_timeout(10 * PATIENCE_MS, at(V4, SILENT_PORT))]).expect("a live checker");
            until("the silent target in flight", || stats(&checker).in_flight == 1);
            driven::sleep(&checker, INTERVAL + Duration::from_millis(100)); // a token is there
            let taken = NoDescriptorLeft::take_all();
            let verdict = std::thread::scope(|scope| {
                let check = scope.spawn(|| check(&checker));
                until("it waits", || stats(&checker).queued == 1);
                std::thread::sleep(Duration::from_millis(20));
                drop(taken);
                check.join().expect("check")
            });
            assert_eq!(verdict.status, Status::Up, "{verdict:?}");
            Duration::from_micros(verdict.elapsed_us)
        });
        let took: Vec<Duration> = took.collect();
        println!("{took:?}");
        took.into_iter().min().expect("three checks")
    }

    #[test]
    fn is_paid_once_by_a_check_that_goes_from_its_caller_to_the_loop() {
        needs_sockets!("a check needs no descriptor");
        namespaced!("nft");
        let took = shortest(|checker| checker.check(&Request::new(at(V4, PORT))));
        assert!(took < INTERVAL.mul_f32(0.9), "it waited for another token: {took:?}");
    }

    #[test]
    fn is_paid_once_by_a_submitted_check_that_waits_for_a_descriptor() {
        needs_sockets!("a check needs no descriptor");
        namespaced!("nft");
        let took = shortest(|checker| {
            checker.submit(vec![Request::new(at(V4, PORT))]).expect("a live checker");
            reap(checker, 1)[0].verdict
        });
        assert!(took < INTERVAL.mul_f32(0.9), "it waited for another token: {took:?}");
    }
}

mod places {
    use super::*;

    const SILENT: usize = 2_000;
    const LIVE: usize = 200;
    const WINDOW: u32 = 512;
    /// Rounds until every target has been asked once, even if only half of the places go to those that never were; and
    /// the rounds that are judged.
    const WARM_UP: usize = 2 * SILENT / WINDOW as usize + 2;
    const ROUNDS: usize = 5;

    #[test]
    fn that_silent_targets_want_are_there_for_those_that_answer() {
        namespaced!(alone, "nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let checker = checker(|config| config.set_max_in_flight(WINDOW).unwrap());
        let is_live = |number: usize| number.is_multiple_of((SILENT + LIVE) / LIVE);
        let target = |number: usize| at(nth(number), if is_live(number) { PORT } else { SILENT_PORT });
        let targets: Vec<SocketAddr> = (0..SILENT + LIVE).map(target).collect();
        let begun = Instant::now();
        let mut reports = Vec::new();
        for round in 0..WARM_UP + ROUNDS {
            let next = begun + Duration::from_secs(1) * round as u32;
            driven::sleep(&checker, next.saturating_duration_since(Instant::now()));
            let requests = targets.iter().enumerate();
            let requests =
                requests.map(|(number, target)| tagged(round * targets.len() + number, with_timeout(1_000, *target)));
            checker.submit(requests.collect()).expect("a live checker");
            checker.reap(&mut reports, usize::MAX, Some(Duration::ZERO));
        }
        let all = (WARM_UP + ROUNDS) * targets.len();
        reports.extend(reap(&checker, all - reports.len()));
        assert_each_once(reports.iter().map(|report| report.tag).collect(), all);
        let verdicts_of = |round: usize, live: bool| {
            let of_round = reports.iter().filter(|report| report.tag / targets.len() == round);
            let verdicts = of_round.filter(|report| is_live(report.tag % targets.len()) == live);
            tally(&verdicts.map(|report| report.verdict).collect::<Vec<_>>())
        };
        for round in 0..WARM_UP + ROUNDS {
            println!("round {round}: live {:?}, silent {:?}", verdicts_of(round, true), verdicts_of(round, false));
        }
        for round in WARM_UP..WARM_UP + ROUNDS {
            assert_eq!(verdicts_of(round, true), HashMap::from([(Status::Up, LIVE)]), "round {round}");
            // They have their share still.
            let silent = verdicts_of(round, false);
            assert!(silent.get(&Status::TimedOut).is_some_and(|count| *count >= WINDOW as usize / 4), "{silent:?}");
        }
    }

    #[test]
    fn that_early_syns_could_have_are_left_to_those_that_answer() {
        namespaced!("nft");
        const SHARE: usize = 6;
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let checker = checker(|config| {
            config.set_max_in_flight(16).unwrap();
            config.set_syn_interval(50).unwrap();
        });
        let ask = |port: u16, timeout_ms: u32| {
            let requests = (0..SHARE).map(|number| with_timeout(timeout_ms, at(nth(number), port)));
            checker.submit(requests.collect()).expect("a live checker");
        };
        ask(SILENT_PORT, 100); // from now on they are known to be silent
        reap(&checker, SHARE);
        ask(PORT, PATIENCE_MS); // and so many places are wanted by those that answer
        reap(&checker, SHARE);
        ask(SILENT_PORT, 3_000);
        driven::sleep(&checker, Duration::from_millis(500)); // time for each to send all its SYNs
        ask(PORT, 1_000);
        let reports = reap(&checker, SHARE);
        let verdicts: Vec<Verdict> = reports.iter().map(|report| report.verdict).collect();
        assert_eq!(tally(&verdicts), HashMap::from([(Status::Up, SHARE)]), "{verdicts:?}");
    }

    #[test]
    fn that_a_list_may_not_have_are_there_for_a_check_whose_time_runs() {
        namespaced!("nft");
        const IN_FLIGHT: u32 = 8;
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let checker = checker(|config| {
            config.set_max_in_flight(IN_FLIGHT).unwrap();
            config.set_syn_interval(300).unwrap();
        });
        let list: Vec<Request> = (0..64).map(|number| with_timeout(1_500, at(nth(number), SILENT_PORT))).collect();
        let verdicts = std::thread::scope(|scope| {
            let list = scope.spawn(|| checker.check_many(&list));
            until("the list has what it may have", || stats(&checker).in_flight >= u64::from(IN_FLIGHT) * 3 / 4);
            checker.submit(vec![with_timeout(1_000, at(nth(0), PORT)); 4]).expect("a live checker");
            let verdicts: Vec<Verdict> = reap(&checker, 4).iter().map(|report| report.verdict).collect();
            checker.cancel(0).expect("a live checker");
            list.join().unwrap();
            verdicts
        });
        assert_eq!(tally(&verdicts), HashMap::from([(Status::Up, 4)]), "{verdicts:?}");
    }
}
