//! What a host and its network do to a checker that makes its own segments: no descriptors, full devices, other marks.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::fs::File;
use std::net::Ipv4Addr;

use support::engine::{UP, assert_said, every_way, raw, said};
use support::far_host::FarHost;
use support::lists::{PORT, listen_everywhere, reap, silence, tally, with_timeout};
use support::network::{ip, lay_cable, listen_to_all};
use support::process::{Forked, sh};
use support::rlimit::{NoDescriptorLeft, set_descriptor_limit};
use support::targets::{V4, V6, at};
use tcpshaker::{Request, Status, Verdict};

#[test]
fn few_descriptors_are_enough_for_checks_and_the_process_keeps_some() {
    namespaced!();
    let _listener = listen_everywhere();
    for left in [8, 20, 40, 70] {
        let child = Forked::new(|| {
            set_descriptor_limit(512);
            let checker = raw(|_| ());
            let mut taken = NoDescriptorLeft::take_all();
            taken.give_back(left);
            for _ in 0..2 {
                let verdicts = checker.check_many(&vec![Request::new(at(V4, PORT)); 200]);
                assert!(verdicts.iter().all(|verdict| said(verdict) == UP), "{left}: {:?}", tally(&verdicts));
                assert_said(&checker, &Request::new(at(V4, PORT)), UP);
                File::open("/dev/null").expect("a descriptor is left for the process");
            }
            0
        });
        assert_eq!(child.wait(), 0, "{left} descriptors");
    }
}

/// A quarter of the descriptors are for ports, and each carries one check of a target. Whoever has none left waits for the
/// others, also where those have the target in other words.
#[test]
fn a_target_in_other_words_has_its_turn_when_the_ports_of_it_are_free() {
    namespaced!("nft");
    silence(PORT);
    let child = Forked::new(|| {
        set_descriptor_limit(256);
        let checker = raw(|_| ());
        let target = |text: &str| Request { timeout_ms: 500, ..Request::new(format!("{text}:{PORT}").as_str()) };
        for words in ["127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"] {
            let mut list = vec![target("127.0.0.1"); 80];
            list.extend(vec![target(words); 10]);
            let verdicts = checker.check_many(&list);
            assert_eq!(tally(&verdicts), HashMap::from([(Status::TimedOut, 90)]), "{words}");
        }
        0
    });
    assert_eq!(child.wait(), 0);
}

#[test]
fn a_check_without_a_mark_does_not_take_the_way_of_one_with_a_mark() {
    namespaced!();
    let far = FarHost::new();
    lay_cable(&far, 1);
    let _listeners = [far.run(listen_to_all), listen_to_all()];
    for version in [4, 6] {
        sh(&format!(
            "ip -{version} rule add fwmark 5 lookup 100; ip -{version} route add unreachable default table 100"
        ));
    }
    let checker = raw(|_| ());
    for _ in 0..3 {
        for (own, distant) in [(V4, "10.1.0.2"), (V6, "fd01::2")] {
            for verdict in every_way(&checker, &Request { mark: 5, ..Request::new(at(own, PORT)) }) {
                assert_eq!(said(&verdict), UP, "{verdict:?}");
            }
            for verdict in every_way(&checker, &Request::new(at(ip(distant), PORT))) {
                assert_eq!(said(&verdict), UP, "{verdict:?}");
            }
        }
    }
}

#[test]
fn a_device_that_takes_nothing_does_not_hold_up_what_leaves_by_another() {
    namespaced!();
    let far = FarHost::new();
    lay_cable(&far, 1);
    lay_cable(&far, 2);
    let _listeners = far.run(listen_to_all);
    sh(
        "ip neigh replace 10.2.0.9 lladdr 02:00:00:00:00:09 dev near2 nud permanent; ip route add 198.18.0.0/15 via 10.2.0.9",
    );
    sh("tc qdisc add dev near2 root tbf rate 8bit burst 100 limit 200");
    let checker = raw(|_| ());
    assert_said(&checker, &Request::new(at(ip("10.1.0.2"), PORT)), UP);
    let stuck = (0..400).map(|number| with_timeout(10_000, at(Ipv4Addr::from(0xc612_0000 + number).into(), 80)));
    checker.submit(stuck.collect()).expect("a live checker");
    for _ in 0..3 {
        assert_said(&checker, &with_timeout(5_000, at(ip("10.1.0.2"), PORT)), UP);
    }
    // Two fit into the device's queue, and one is on its way.
    let verdicts: Vec<Verdict> = reap(&checker, 400).iter().map(|report| report.verdict).collect();
    let kept_here = verdicts.iter().filter(|verdict| said(verdict) == (Status::LocalFault, libc::ENOBUFS)).count();
    assert!(kept_here >= 390, "{:?}", tally(&verdicts));
}
