//! Networks that change while checks are under way: addresses, routes and interfaces come and go.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tcpshaker::Status;

use crate::support::far_host::FarHost;
use crate::support::firewall::{self, Hook};
use crate::support::lists::{PORT, with_timeout};
use crate::support::network::{Network, ip, lay_cable, listen_to_all};
use crate::support::process::{sh, sysctl};
use crate::support::targets::{DEAD_PORT, Listener, at};
use crate::trial::{Case, DEAD, LIVE, PATIENCE_MS, Trial, Truth};

/// What may be said of those that are there by turns. They are never what their port is not.
const LIVE_BY_TURNS: Truth = Truth::new("live by turns", &[Status::Up, Status::Unreachable, Status::TimedOut]);
const DEAD_BY_TURNS: Truth = Truth::new("dead by turns", &[Status::Refused, Status::Unreachable, Status::TimedOut]);

/// Runs a trial, in parts, while `change` is made again and again.
#[track_caller]
fn run_while(condition: &str, change: impl Fn() + Send + 'static, case: &(dyn Fn(usize) -> Case + Sync)) {
    let over = Arc::new(AtomicBool::new(false));
    let changing = std::thread::spawn({
        let over = over.clone();
        move || {
            let mut changes = 0;
            while !over.load(Ordering::Relaxed) {
                change();
                changes += 1;
            }
            changes
        }
    });
    // A check that has little time may not have its turn in it, on a busy machine.
    Trial { parts: 20, none_percent: 20, ..Trial::new(condition, case) }.run();
    over.store(true, Ordering::Relaxed);
    let changes = changing.join().expect("the changes");
    println!("{condition}: {changes} changes");
    assert!(changes >= 2, "only {changes} changes were made");
}

fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// A check of one of these addresses, live on one port and dead on the other.
fn live_or_dead(addresses: &[IpAddr], number: usize) -> Case {
    let ip = addresses[number / 2 % addresses.len()];
    match number % 2 {
        0 => (with_timeout(PATIENCE_MS, at(ip, PORT)), LIVE),
        _ => (with_timeout(PATIENCE_MS, at(ip, DEAD_PORT)), DEAD),
    }
}

/// A check of one of the first addresses, which are there by turns, or of one of the others, which always are.
fn any_of_both(by_turns: &[IpAddr], always: &[IpAddr], number: usize) -> Case {
    let target = by_turns[number / 2 % by_turns.len()];
    match number % 4 {
        0 => (with_timeout(200, at(target, PORT)), LIVE_BY_TURNS),
        1 => (with_timeout(200, at(target, DEAD_PORT)), DEAD_BY_TURNS),
        _ => live_or_dead(always, number / 4 * 2 + number % 2),
    }
}

mod of_an_address {
    use super::*;

    /// Answers to the address that has gone come to nobody.
    #[test]
    fn of_this_host_make_no_verdict_wrong() {
        namespaced!("nft");
        let _network = Network::new();
        // Its other addresses stay when the first of a network goes.
        sysctl("net/ipv4/conf/all/promote_secondaries", "1");
        // With the first address of a network its route goes, and is made anew, and between there would be no way.
        sh("ip route add 10.1.0.0/24 dev near1 metric 9");
        let change = || {
            for (new, old) in [(7, 1), (1, 7)] {
                sh(&format!("ip addr add 10.1.0.{new}/24 dev near1; ip addr del 10.1.0.{old}/24 dev near1"));
                sh(&format!("ip addr add fd01::{new}/64 dev near1 nodad; ip addr del fd01::{old}/64 dev near1"));
                pause(100);
            }
        };
        let addresses = ["10.1.0.2", "10.5.0.2", "fd01::2"].map(ip);
        run_while("own address changes", change, &|number| live_or_dead(&addresses, number));
    }

    #[test]
    fn of_the_target_make_nothing_else_of_it_and_of_no_other() {
        namespaced!("nft");
        let far = FarHost::new();
        lay_cable(&far, 1);
        sh("ip route add 10.3.0.0/24 via 10.1.0.2; ip route add fd03::/64 via fd01::2");
        let _listeners = far.run(listen_to_all);
        let change = move || {
            far.run(|| sh("ip addr add 10.3.0.1/32 dev lo; ip addr add fd03::1/128 dev lo nodad"));
            pause(30);
            far.run(|| sh("ip addr del 10.3.0.1/32 dev lo; ip addr del fd03::1/128 dev lo"));
            pause(30);
        };
        let (by_turns, always) = (["10.3.0.1", "fd03::1"].map(ip), ["10.1.0.2", "fd01::2"].map(ip));
        run_while("target's address disappears", change, &|number| any_of_both(&by_turns, &always, number));
    }

    #[test]
    fn of_a_target_on_this_host_make_nothing_else_of_it_and_of_no_other() {
        namespaced!("nft");
        let _listeners = listen_to_all();
        let change = || {
            sh("ip addr add 10.3.0.1/32 dev lo; ip addr add fd03::1/128 dev lo nodad");
            pause(30);
            sh("ip addr del 10.3.0.1/32 dev lo; ip addr del fd03::1/128 dev lo");
            pause(30);
        };
        let (by_turns, always) = (["10.3.0.1", "fd03::1"].map(ip), ["127.0.0.1", "::1"].map(ip));
        run_while("address of this host disappears", change, &|number| any_of_both(&by_turns, &always, number));
    }
}

mod of_a_route {
    use super::*;

    /// Two cables to one host, which has 192.0.2.1.
    fn two_ways() -> (FarHost, [Listener; 2]) {
        let far = FarHost::new();
        lay_cable(&far, 1);
        lay_cable(&far, 2);
        let listeners = far.run(|| {
            sh("ip addr add 192.0.2.1/32 dev lo");
            listen_to_all()
        });
        (far, listeners)
    }

    #[test]
    fn into_another_one_make_no_verdict_wrong() {
        namespaced!("nft");
        let _far = two_ways();
        sh("ip route add default via 10.1.0.2");
        let change = || {
            for way in [2, 1] {
                sh(&format!("ip route replace default via 10.{way}.0.2"));
                pause(30);
            }
        };
        let addresses = [ip("192.0.2.1"), ip("10.1.0.2"), ip("10.2.0.2")];
        run_while("route changes", change, &|number| live_or_dead(&addresses, number));
    }

    /// The way that leads nowhere is short enough for one of several SYNs to find the other one.
    #[test]
    fn into_one_that_leads_nowhere_make_no_verdict_wrong() {
        namespaced!("nft");
        let _far = two_ways();
        let hole = FarHost::new();
        lay_cable(&hole, 3);
        hole.run(|| firewall::add(Hook::Input, &["meta l4proto tcp drop"]));
        sh("ip route add default via 10.1.0.2");
        let change = || {
            pause(150);
            sh("ip route replace default via 10.3.0.2; sleep 0.01; ip route replace default via 10.1.0.2");
        };
        let addresses = [ip("192.0.2.1"), ip("10.1.0.2")];
        run_while("route leads nowhere", change, &|number| live_or_dead(&addresses, number));
    }

    #[test]
    fn that_comes_and_goes_make_nothing_else_of_a_target_and_of_no_other() {
        namespaced!("nft");
        let _far = two_ways();
        let change = || {
            sh("ip route add 192.0.2.1 via 10.1.0.2");
            pause(30);
            sh("ip route del 192.0.2.1 via 10.1.0.2");
            pause(15);
            sh("ip route add unreachable 192.0.2.1");
            pause(15);
            sh("ip route del unreachable 192.0.2.1");
        };
        let (by_turns, always) = ([ip("192.0.2.1")], ["10.1.0.2", "fd02::2"].map(ip));
        run_while("route comes and goes", change, &|number| any_of_both(&by_turns, &always, number));
    }
}

#[test]
fn of_an_interface_that_goes_down_and_up_make_nothing_else_of_a_target_and_of_no_other() {
    namespaced!("nft");
    let far = FarHost::new();
    lay_cable(&far, 1);
    lay_cable(&far, 2);
    let _listeners = far.run(listen_to_all);
    let change = || {
        pause(30);
        sh("ip link set near1 down");
        pause(30);
        sh("ip link set near1 up; ip addr replace fd01::1/64 dev near1 nodad");
    };
    let (by_turns, always) = (["10.1.0.2", "fd01::2"].map(ip), ["10.2.0.2", "fd02::2", "127.0.0.1"].map(ip));
    let _here = listen_to_all();
    run_while("interface goes down and up", change, &|number| any_of_both(&by_turns, &always, number));
}
