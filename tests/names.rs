//! Names: what a check of a name says when the resolver answers, answers late, answers badly or never, and which of
//! several addresses the verdict is about. The name server, and /etc, are the test's own.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use support::counters::Syns;
use support::driven::{self, stats};
use support::engine::is_raw;
use support::etc;
use support::firewall::{self, Hook};
use support::handshake::{assert_sent_again, proves};
use support::name_server::{Answer, NameServer};
use support::process::until;
use support::targets::{DEAD_PORT, Listener, V4, V6, at};
use tcpshaker::{Checker, Family, Request, Status, Verdict};

const PORT: u16 = 8080;

/// Ample for any machine where an answer is certain to come.
const PATIENCE_MS: u32 = 30_000;
/// What a slow machine may need to notice a deadline.
const LATENESS: Duration = Duration::from_secs(3);

fn checker() -> Checker {
    let mut config = driven::config();
    config.set_timeout(PATIENCE_MS).unwrap();
    Checker::new(&config).expect("a checker")
}

fn addresses(texts: &[&str]) -> Answer {
    Answer::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
}

#[track_caller]
fn assert_verdict(verdict: Verdict, status: Status, os_error: i32, address: Option<SocketAddr>) {
    assert_eq!((verdict.status, verdict.os_error, verdict.address), (status, os_error, address), "{verdict:?}");
    assert_eq!(verdict.half_open, proves(&verdict), "{verdict:?}");
}

fn elapsed(verdict: Verdict) -> Duration {
    Duration::from_micros(verdict.elapsed_us)
}

#[test]
fn name_is_resolved_by_the_hosts_file_or_the_name_server_and_checked() {
    namespaced!();
    etc::replace();
    let _server = NameServer::start(&[("served.test", addresses(&["127.0.0.3"]))]);
    let any = Listener::on([0, 0, 0, 0].into(), PORT);
    let v6 = Listener::on(V6, PORT);
    let checker = checker();
    let expected = [
        ("four.test:8080", at(V4, PORT)),
        ("six.test:8080", at(V6, PORT)),
        ("served.test:8080", at([127, 0, 0, 3].into(), PORT)),
        ("SERVED.Test:8080", at([127, 0, 0, 3].into(), PORT)),
        ("served.test.:8080", at([127, 0, 0, 3].into(), PORT)),
        ("served.test:checkme", at([127, 0, 0, 3].into(), PORT)),
        ("127.0.0.7:checkme", at([127, 0, 0, 7].into(), PORT)),
        ("[::1]:checkme", at(V6, PORT)),
    ];
    for (text, address) in expected {
        assert_verdict(checker.check_addr(text, 0), Status::Up, 0, Some(address));
    }
    any.assert_untouched();
    v6.assert_untouched();
}

#[test]
fn port_alone_means_this_host_on_whichever_family_listens() {
    namespaced!();
    etc::replace();
    for ip in [V4, V6] {
        let listener = Listener::on(ip, PORT);
        assert_verdict(checker().check_addr(":8080", 0), Status::Up, 0, Some(listener.address()));
        listener.assert_untouched();
    }
    let nobody = checker().check_addr(":9", 0);
    assert_eq!((nobody.status, nobody.os_error), (Status::Refused, libc::ECONNREFUSED), "{nobody:?}");
}

#[test]
fn port_alone_in_a_list_means_this_host_on_whichever_family_listens_too() {
    namespaced!();
    etc::replace();
    let listener = Listener::on(V4, PORT);
    let checker = checker();
    for _ in 0..20 {
        // One that is refused at once, and the next attempt right after it, among others of their kind or alone.
        for count in [1, 20] {
            for verdict in checker.check_many(&vec![Request::new(":8080"); count]) {
                assert_verdict(verdict, Status::Up, 0, Some(listener.address()));
            }
            for verdict in checker.check_many(&vec![Request::new(":9"); count]) {
                // ::1 is the first, so it was the second that listened.
                assert_verdict(verdict, Status::Refused, libc::ECONNREFUSED, Some(at(V6, DEAD_PORT)));
            }
        }
    }
    assert_eq!(checker.stats().internal, 0);
    listener.assert_untouched();
}

#[test]
fn unknown_name_is_unresolved_and_says_eai_noname() {
    namespaced!();
    etc::replace();
    let _server = NameServer::start(&[]);
    let verdict = checker().check_addr("nobody.test:80", 0);
    assert_verdict(verdict, Status::Unresolved, libc::EAI_NONAME, None);
}

#[test]
fn unknown_service_is_unresolved_and_says_eai_service() {
    namespaced!();
    etc::replace();
    let verdict = checker().check_addr("localhost:no-such-service", 0);
    assert_verdict(verdict, Status::Unresolved, libc::EAI_SERVICE, None);
}

#[test]
fn name_without_an_address_of_the_family_is_unresolved() {
    namespaced!();
    etc::replace();
    let _server = NameServer::start(&[("six-only.test", addresses(&["::1"]))]);
    let verdict = checker().check(&Request { family: Family::V4, ..Request::new("six-only.test:80") });
    assert_eq!((verdict.status, verdict.address), (Status::Unresolved, None), "{verdict:?}");
    assert!([libc::EAI_NODATA, libc::EAI_NONAME].contains(&verdict.os_error), "{verdict:?}");
}

#[test]
fn family_of_the_check_or_of_the_checker_picks_the_address() {
    namespaced!();
    etc::replace();
    let server = NameServer::start(&[("dual.test", addresses(&["127.0.0.1", "::1"]))]);
    let (v4, v6) = (Listener::on(V4, PORT), Listener::on(V6, PORT));
    for (family, listener) in [(Family::V4, &v4), (Family::V6, &v6)] {
        for name in ["dual.test:8080", "both.test:8080"] {
            let request = Request { family, ..Request::new(name) };
            assert_verdict(checker().check(&request), Status::Up, 0, Some(listener.address()));
            let mut config = driven::config();
            config.set_timeout(PATIENCE_MS).unwrap();
            config.set_family(family).unwrap();
            let own = Checker::new(&config).unwrap();
            assert_verdict(own.check_addr(name, 0), Status::Up, 0, Some(listener.address()));
        }
        // Nobody asks for addresses that no check may use.
        let asked = (server.asked_for_v4("dual.test"), server.asked_for_v6("dual.test"));
        assert_eq!(asked, (2, if family == Family::V6 { 2 } else { 0 }));
    }
}

#[test]
fn name_server_that_fails_is_unresolved_and_says_eai_again() {
    namespaced!();
    etc::replace();
    let _server = NameServer::start(&[("broken.test", Answer::Failure)]);
    let verdict = checker().check_addr("broken.test:80", 0);
    assert_verdict(verdict, Status::Unresolved, libc::EAI_AGAIN, None);
}

#[test]
fn missing_name_server_is_unresolved() {
    namespaced!();
    etc::replace();
    let verdict = checker().check_addr("served.test:80", 0);
    assert_verdict(verdict, Status::Unresolved, libc::EAI_AGAIN, None);
}

#[test]
fn name_server_that_never_answers_is_unresolved_at_the_deadline_and_does_not_hold_up_the_end() {
    namespaced!();
    etc::replace();
    // The C library would wait for a minute, and nothing can interrupt it.
    etc::use_name_server(20, 3);
    let server = NameServer::start(&[("silent.test", Answer::Silence)]);
    let checker = checker();
    let listener = Listener::on(V4, PORT);
    let verdict = checker.check_addr("silent.test:80", 500);
    assert_verdict(verdict, Status::Unresolved, libc::EAI_AGAIN, None);
    assert!(elapsed(verdict) >= Duration::from_millis(500), "{verdict:?}");
    assert!(elapsed(verdict) < LATENESS, "{verdict:?}");
    assert!(server.asked_for_v4("silent.test") >= 1);
    // A lookup that hangs holds up nobody else.
    let verdict = checker.check_addr("localhost:8080", 0);
    assert_eq!((verdict.status, verdict.address), (Status::Up, Some(listener.address())), "{verdict:?}");
    let begun = Instant::now();
    drop(checker);
    assert!(begun.elapsed() < Duration::from_secs(20), "the end took {:?}", begun.elapsed());
}

#[test]
fn shutdown_ends_a_check_whose_name_is_being_resolved() {
    namespaced!();
    etc::replace();
    let server = NameServer::start(&[("silent.test", Answer::Silence)]);
    let checker = checker();
    std::thread::scope(|scope| {
        let check = scope.spawn(|| checker.check_addr("silent.test:80", 0));
        until("the question", || server.asked_for_v4("silent.test") > 0);
        checker.shutdown();
        assert_verdict(check.join().unwrap(), Status::Closed, 0, None);
    });
}

#[test]
fn deadline_covers_resolving_and_the_handshake_together() {
    namespaced!("nft");
    etc::replace();
    etc::use_name_server(10, 1);
    let _server = NameServer::start_slow(Duration::from_secs(3), &[("slow.test", addresses(&["127.0.0.3"]))]);
    firewall::add(Hook::Input, &[&format!("tcp dport {PORT} drop")]);
    let verdict = checker().check_addr("slow.test:8080", 4000);
    assert_verdict(verdict, Status::TimedOut, 0, Some("127.0.0.3:8080".parse().unwrap()));
    assert!(elapsed(verdict) >= Duration::from_secs(4), "{verdict:?}");
    // With the whole timeout to itself, the handshake would have ended at seven seconds.
    assert!(elapsed(verdict) < Duration::from_secs(7), "{verdict:?}");
}

#[test]
fn same_name_asked_for_by_many_at_once_is_looked_up_once() {
    namespaced!();
    etc::replace();
    let server = NameServer::start_slow(Duration::from_millis(1500), &[("shared.test", addresses(&["127.0.0.3"]))]);
    etc::use_name_server(10, 1);
    let listener = Listener::on([127, 0, 0, 3].into(), PORT);
    let checker = checker();
    let start = Barrier::new(16);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                start.wait();
                let verdict = checker.check_addr("shared.test:8080", 0);
                assert_verdict(verdict, Status::Up, 0, Some(listener.address()));
            });
        }
    });
    assert_eq!((server.asked_for_v4("shared.test"), server.asked_for_v6("shared.test")), (1, 1));
    // Shared, not remembered: a name may have moved.
    assert_eq!(checker.check_addr("shared.test:8080", 0).status, Status::Up);
    assert_eq!(server.asked_for_v4("shared.test"), 2);
}

#[test]
fn patient_check_outlasts_the_lookup_that_was_begun_for_an_impatient_one() {
    namespaced!();
    etc::replace();
    etc::use_name_server(20, 1);
    let table = [("slow.test", addresses(&["127.0.0.3"]))];
    let server = NameServer::start_slow(Duration::from_millis(1500), &table);
    let listener = Listener::on([127, 0, 0, 3].into(), PORT);
    let checker = checker();
    std::thread::scope(|scope| {
        let impatient = scope.spawn(|| checker.check_addr("slow.test:8080", 500));
        until("the impatient one's question", || server.asked_for_v4("slow.test") == 1);
        // The lookup is given up after a second at most, and the answer comes later than that.
        let patient = checker.check_addr("slow.test:8080", PATIENCE_MS);
        assert_verdict(patient, Status::Up, 0, Some(listener.address()));
        assert_verdict(impatient.join().unwrap(), Status::Unresolved, libc::EAI_AGAIN, None);
    });
    listener.assert_untouched();
}

/// A name with two addresses on loopback, in the resolver's order, and its name server.
struct TwoAddresses {
    first: SocketAddr,
    second: SocketAddr,
    _server: NameServer,
}

const TWO: &str = "two.test:8080";

fn two_addresses() -> TwoAddresses {
    etc::replace();
    let server = NameServer::start(&[("two.test", addresses(&["127.0.0.2", "127.0.0.3"]))]);
    let order: Vec<SocketAddr> = TWO.to_socket_addrs().expect("the name server's answer").collect();
    assert_eq!(order.len(), 2, "{order:?}");
    TwoAddresses { first: order[0], second: order[1], _server: server }
}

fn drop_all_to(address: SocketAddr) {
    firewall::add(Hook::Input, &[&format!("ip daddr {} tcp dport {} drop", address.ip(), address.port())]);
}

#[test]
fn first_address_of_a_name_wins_when_it_answers() {
    namespaced!();
    let two = two_addresses();
    let (first, second) = (Listener::on(two.first.ip(), PORT), Listener::on(two.second.ip(), PORT));
    let checker = checker();
    for _ in 0..50 {
        assert_verdict(checker.check_addr(TWO, 0), Status::Up, 0, Some(two.first));
    }
    first.assert_untouched();
    second.assert_untouched();
}

#[test]
fn next_address_is_tried_as_soon_as_the_first_is_refused() {
    namespaced!();
    let two = two_addresses();
    let listener = Listener::on(two.second.ip(), PORT);
    let verdict = checker().check_addr(TWO, 0);
    assert_verdict(verdict, Status::Up, 0, Some(two.second));
    listener.assert_untouched();
}

#[test]
fn each_address_of_a_name_is_tried_for_every_check_of_a_list() {
    namespaced!("nft");
    let two = two_addresses();
    let checker = checker();
    let list = vec![Request::new(TWO); 20];
    for verdict in checker.check_many(&list) {
        assert_verdict(verdict, Status::Refused, libc::ECONNREFUSED, Some(two.first));
    }
    let listener = Listener::on(two.second.ip(), PORT);
    for verdict in checker.check_many(&list) {
        assert_verdict(verdict, Status::Up, 0, Some(two.second));
    }
    drop_all_to(two.first);
    drop_all_to(two.second);
    for verdict in checker.check_many(&vec![Request { timeout_ms: 1000, ..Request::new(TWO) }; 20]) {
        assert_verdict(verdict, Status::TimedOut, 0, Some(two.first));
        assert!(elapsed(verdict) >= Duration::from_secs(1), "{verdict:?}");
    }
    assert_eq!((checker.stats().internal, checker.stats().in_flight, checker.stats().queued), (0, 0, 0));
    listener.assert_untouched();
}

#[test]
fn next_address_is_tried_when_the_first_is_silent_for_a_quarter_of_a_second() {
    namespaced!("nft");
    let two = two_addresses();
    let listener = Listener::on(two.second.ip(), PORT);
    drop_all_to(two.first);
    let verdict = checker().check_addr(TWO, 0);
    assert_verdict(verdict, Status::Up, 0, Some(two.second));
    assert!(elapsed(verdict) >= Duration::from_millis(250), "{verdict:?}");
    assert!(elapsed(verdict) < Duration::from_millis(2500), "{verdict:?}");
    listener.assert_untouched();
}

#[test]
fn first_address_may_still_win_after_the_second_was_tried() {
    namespaced!("nft");
    let two = two_addresses();
    let listener = Listener::on(two.first.ip(), PORT);
    // Only the first SYN is lost: the second address is refused, and the first answers the next SYN.
    drop_all_to(two.first);
    let checker = checker();
    let verdict = std::thread::scope(|scope| {
        let check = scope.spawn(|| checker.check_addr(TWO, 0));
        until("the first address in flight", || stats(&checker).in_flight > 0);
        std::thread::sleep(Duration::from_millis(500));
        firewall::open();
        check.join().unwrap()
    });
    assert_verdict(verdict, Status::Up, 0, Some(two.first));
    assert_sent_again(&verdict);
    listener.assert_untouched();
}

#[test]
fn when_no_address_is_up_the_verdict_is_the_first_ones() {
    namespaced!("nft");
    let two = two_addresses();
    let checker = checker();
    let verdict = checker.check_addr(TWO, 0);
    assert_verdict(verdict, Status::Refused, libc::ECONNREFUSED, Some(two.first));
    drop_all_to(two.second);
    let verdict = checker.check_addr(TWO, 2000);
    assert_verdict(verdict, Status::Refused, libc::ECONNREFUSED, Some(two.first));
    firewall::open();
    drop_all_to(two.first);
    let verdict = checker.check_addr(TWO, 2000);
    assert_verdict(verdict, Status::TimedOut, 0, Some(two.first));
    assert!(elapsed(verdict) >= Duration::from_secs(2), "{verdict:?}");
}

/// The one that could not be asked may be the live one.
#[test]
fn name_with_an_address_that_this_host_could_not_ask_has_no_verdict_but_up() {
    namespaced!();
    etc::replace();
    let _server = NameServer::start(&[
        ("mixed.test", addresses(&["::1", "127.0.0.2"])),
        ("two.test", addresses(&["127.0.0.2", "127.0.0.3"])),
    ]);
    let mut config = driven::config();
    config.set_source("192.0.2.1").unwrap(); // which this host does not have
    let sourced = Checker::new(&config).expect("a checker");
    assert_eq!(sourced.check_addr("mixed.test:8080", PATIENCE_MS).status, Status::LocalFault);
    let six = Listener::on(V6, PORT);
    assert_eq!(sourced.check_addr("mixed.test:8080", PATIENCE_MS).status, Status::Up);
    six.assert_untouched();

    let mut config = driven::config();
    config.set_max_rate(1).unwrap();
    let limited = Checker::new(&config).expect("a checker");
    let verdict = limited.check_addr("two.test:8080", 300);
    assert_eq!(verdict.status, Status::Busy, "the second address had no turn: {verdict:?}");
}

#[test]
fn losing_address_leaves_nothing_behind() {
    namespaced!("nft");
    let two = two_addresses();
    let listener = Listener::on(two.second.ip(), PORT);
    drop_all_to(two.first);
    let checker = checker();
    for _ in 0..5 {
        assert_eq!(checker.check_addr(TWO, 0).address, Some(two.second));
        assert_eq!((checker.stats().in_flight, checker.stats().queued), (0, 0));
    }
    assert!(is_raw() || checker.stats().sockets <= 3, "{:?}", checker.stats());
    firewall::open();
    // The silent address's sockets are as good as new.
    assert_verdict(checker.check(&Request::new(two.second)), Status::Up, 0, Some(two.second));
    let dead = at(IpAddr::from([127, 0, 0, 2]), DEAD_PORT);
    assert_verdict(checker.check(&Request::new(dead)), Status::Refused, libc::ECONNREFUSED, Some(dead));
    listener.assert_untouched();
}

#[test]
fn no_more_than_sixty_four_addresses_of_a_name_are_tried() {
    namespaced!();
    etc::replace();
    let lines: String = (1..=100).map(|last| format!("127.9.0.{last} many.test\n")).collect();
    std::fs::write("/etc/hosts", lines).expect("the test's own hosts");
    std::fs::write("/etc/host.conf", "multi on\n").expect("the test's own host.conf");
    // All of them refuse, but the last one, whose turn never comes.
    let _last = Listener::on([127, 9, 0, 100].into(), PORT);
    let (checker, sent) = (checker(), Syns::watch());
    let verdict = checker.check_addr("many.test:8080", 0);
    assert_eq!(verdict.status, Status::Refused, "{verdict:?}");
    assert_eq!(sent.now(), 64);
}
