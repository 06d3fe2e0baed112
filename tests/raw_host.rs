//! What a checker that makes its own segments takes from its host and its process, and what it gives back.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::time::Duration;

use support::driven::drive;
use support::engine::{REFUSED, SILENT, UP, assert_said, makes_segments, raw, said};
use support::lists::{PORT, SILENT_PORT, listen_everywhere, nth, reap, silence, tally, with_timeout};
use support::privileges::drop_capabilities;
use support::process::{Forked, open_descriptors, threads, until};
use support::targets::{DEAD_PORT, Listener, V4, V6, at};
use tcpshaker::{Error, Request, Status, Verdict};

mod the_host {
    use super::*;

    /// Ports that nobody may bind, because somebody has.
    fn taken_ports() -> HashSet<u16> {
        let is_taken = |port: &u16| {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_err()
                || TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).is_err()
        };
        (1..=u16::MAX).filter(is_taken).collect()
    }

    /// Raw sockets that TCP segments are shown to, and sockets that all packets are shown to (raw(7), packet(7)).
    pub fn receivers() -> usize {
        let tables = ["raw", "raw6"].map(|name| std::fs::read_to_string(format!("/proc/self/net/{name}")).expect(name));
        // A socket that is bound to an address which this host lacks receives nothing: 240.0.0.1, and 100::1; nor does
        // one that is bound to a group, to which no segment goes: 224.0.0.0, and ff0e::.
        let deaf = ["010000F0", "00000001000000000000000001000000", "000000E0", "00000EFF000000000000000000000000"];
        let is_deaf = |local: &str| deaf.iter().any(|address| local.strip_suffix(":0006") == Some(*address));
        let receives = |local: &str| local.ends_with(":0006") && !is_deaf(local);
        let is_tcp = |line: &&str| line.split_whitespace().nth(1).is_some_and(receives);
        let packet = std::fs::read_to_string("/proc/self/net/packet").expect("/proc");
        tables.iter().map(|table| table.lines().filter(is_tcp).count()).sum::<usize>() + packet.lines().count() - 1
    }

    #[test]
    fn has_all_ports_and_descriptors_and_threads_back_when_the_checker_is_gone() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let before = (taken_ports(), open_descriptors(), threads());
        for _ in 0..3 {
            let checker = raw(|config| config.set_threads(2).unwrap());
            // More of one target than there are ports at first.
            let verdicts = checker.check_many(&vec![Request::new(at(V4, PORT)); 5_000]);
            assert!(verdicts.iter().all(|verdict| said(verdict) == UP), "{:?}", tally(&verdicts));
            assert_eq!(checker.check(&Request::new(at(V6, DEAD_PORT))).status, Status::Refused);
            assert!(taken_ports().len() > before.0.len(), "its ports are nobody else's");
            checker.submit(vec![Request::new(at(V4, SILENT_PORT)); 5_000]).expect("a live checker");
            drop(checker);
            until("its threads are gone", || threads() == before.2);
            assert_eq!((taken_ports(), open_descriptors()), (before.0.clone(), before.1));
            assert_eq!(receivers(), 0);
        }
    }

    #[test]
    fn is_not_slowed_down_by_a_checker_that_has_had_nothing_to_do_for_a_while() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let checker = raw(|_| ());
        assert_eq!(checker.check(&Request::new(at(V4, PORT))).status, Status::Up);
        let silent = checker.submit(vec![Request::new(at(V4, SILENT_PORT))]).expect("a live checker");
        until("the check in flight", || checker.stats().in_flight == 1);
        assert!(receivers() > 0, "something receives its answers, or this test proves nothing");
        checker.cancel(silent).unwrap();
        reap(&checker, 1);
        until("no receiver is left", || receivers() == 0);
        // The answer to the first segment after a rest is not missed, either.
        let verdicts = checker.check_many(&vec![with_timeout(5_000, at(V4, PORT)); 100]);
        assert!(verdicts.iter().all(|verdict| said(verdict) == UP), "{:?}", tally(&verdicts));
        until("no receiver is left", || receivers() == 0);
    }

    #[test]
    fn has_its_own_connections_undisturbed_beside_a_busy_checker() {
        namespaced!();
        let server = TcpListener::bind(at(V4, PORT)).expect("a port");
        std::thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.expect("a connection");
                let _ = std::io::Write::write_all(&mut stream, b"hello");
            }
        });
        let _listener = Listener::on([127, 0, 0, 2].into(), PORT);
        let checker = raw(|_| ());
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| checker.check_many(&vec![Request::new(at([127, 0, 0, 2].into(), PORT)); 50_000]));
            for _ in 0..5_000 {
                let mut stream = TcpStream::connect(at(V4, PORT)).expect("a connection of the host's own");
                let mut said = String::new();
                std::io::Read::read_to_string(&mut stream, &mut said).expect("what the server says");
                assert_eq!(said, "hello");
                // No connection has to wait for its port.
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
            let verdicts = busy.join().expect("check_many");
            assert!(verdicts.iter().all(|verdict| said(verdict) == UP), "{:?}", tally(&verdicts));
        });
    }
}

mod a_process {
    use super::the_host::receivers;
    use super::*;

    #[test]
    fn that_is_forked_is_told_so_and_its_parent_goes_on() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let checker = raw(|_| ());
        let silent = checker.submit(vec![Request::new(at(V4, SILENT_PORT))]).expect("a live checker");
        let child = Forked::new(|| {
            let told = |verdict: Verdict| assert_eq!(verdict.status, Status::Forked, "{verdict:?}");
            told(checker.check(&Request::new(at(V4, PORT))));
            told(checker.check_many(&[Request::new(at(V4, PORT))])[0]);
            assert_eq!(checker.submit(vec![Request::new(at(V4, PORT))]), Err(Error::Forked));
            checker.shutdown();
            // One of its own has ports of its own.
            let own = raw(|_| ());
            assert_said(&own, &Request::new(at(V4, PORT)), UP);
            drop(own);
            0
        });
        let verdicts =
            checker.check_many(&(0..5_000).map(|number| Request::new(at(nth(number), PORT))).collect::<Vec<_>>());
        assert_eq!(child.wait(), 0);
        assert!(verdicts.iter().all(|verdict| said(verdict) == UP), "{:?}", tally(&verdicts));
        checker.cancel(silent).unwrap();
        assert_eq!(reap(&checker, 1)[0].verdict.status, Status::Cancelled);
    }

    #[test]
    fn that_drives_its_checker_itself_has_every_verdict() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let before = threads();
        let checker = raw(|config| config.set_caller_driven(true).unwrap());
        assert!(makes_segments(&checker));
        assert_said(&checker, &Request::new(at(V4, PORT)), UP);
        assert_said(&checker, &Request::new(at(V6, DEAD_PORT)), REFUSED);
        assert_said(&checker, &with_timeout(700, at(V4, SILENT_PORT)), SILENT);
        let fd = checker.raw_fd().expect("a descriptor");
        let requests = (0..1_000).map(|number| Request::new(at(nth(number), PORT)));
        checker.submit(requests.collect()).expect("a live checker");
        let mut reports = Vec::new();
        while reports.len() < 1_000 {
            assert!(support::descriptor::is_readable(fd, support::descriptor::LONG), "{} reports", reports.len());
            reports.extend(support::descriptor::reap_now(&checker));
        }
        assert!(reports.iter().all(|report| said(&report.verdict) == UP));
        assert_eq!(threads(), before);
    }

    #[test]
    fn that_gives_its_privilege_up_keeps_the_checker_that_it_has_made() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        let child = Forked::new(|| {
            // A thread of the checker's own would keep what it had: the capabilities are those of one thread.
            let checker = raw(|config| config.set_caller_driven(true).unwrap());
            drop_capabilities();
            for _ in 0..2 {
                assert_said(&checker, &Request::new(at(V4, PORT)), UP);
                assert_said(&checker, &Request::new(at(V6, DEAD_PORT)), REFUSED);
                until("no receiver is left", || {
                    drive(&checker);
                    receivers() == 0
                });
            }
            0
        });
        assert_eq!(child.wait(), 0);
    }
}
