//! The engine that makes its own segments: what goes over the wire, and what the verdicts say.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;

use support::capture::{Capture, conversations};
use support::counters::Rise;
use support::engine::{REFUSED, SILENT, UP, assert_said, every_way, half_open_requests, raw, said};
use support::far_host::FarHost;
use support::firewall::{self, Hook};
use support::lists::{PORT, SILENT_PORT, listen_everywhere, nth, silence, tally, with_timeout};
use support::peer::{ACK, Action, Peer, RST, SYN, Segment};
use support::process::{sh, until};
use support::targets::{DEAD_PORT, Listener, V4, V6, at};
use tcpshaker::{Request, Status};

mod the_wire {
    use super::*;

    /// The segments of many checks of a target, by conversation.
    fn conversations_with(target: SocketAddr, expected: (Status, i32)) -> Vec<Vec<String>> {
        let checker = raw(|_| ());
        let capture = Capture::start();
        for _ in 0..20 {
            assert_said(&checker, &Request::new(target), expected);
        }
        let verdicts = checker.check_many(&vec![Request::new(target); 200]);
        assert!(verdicts.iter().all(|verdict| said(verdict) == expected), "{:?}", tally(&verdicts));
        drop(checker);
        let conversations = conversations(&capture.finish(), target);
        // A SYN that has the number of the one before from its port would be taken for the same one, sent again.
        assert_eq!(conversations.len(), 20 * 6 + 200);
        conversations.into_iter().map(|conversation| conversation.segments).collect()
    }

    #[test]
    fn has_a_syn_an_answer_and_a_reset_for_a_live_target_and_nothing_else() {
        namespaced!("tcpdump");
        let completed = Rise::of("TcpPassiveOpens");
        for ip in [V4, V6] {
            let listener = Listener::on(ip, PORT);
            for segments in conversations_with(listener.address(), UP) {
                assert_eq!(segments, [">S", "<S.", ">R"]);
            }
            listener.assert_untouched();
        }
        assert_eq!((completed.now(), half_open_requests()), (0, 0));
    }

    #[test]
    fn has_a_syn_and_the_servers_reset_for_a_dead_one_and_nothing_else() {
        namespaced!("tcpdump");
        for ip in [V4, V6] {
            for segments in conversations_with(at(ip, DEAD_PORT), REFUSED) {
                assert_eq!(segments, [">S", "<R."]);
            }
        }
    }

    /// What crosses a cable, by direction and kind of segment.
    fn census_of(interface: &str) -> impl Fn() -> [u64; 5] {
        let kinds = ["syns", "answers", "resets", "refusals", "others"];
        kinds.iter().for_each(|kind| firewall::add_counter(kind));
        let flags = "tcp flags & (fin | syn | rst | ack)";
        firewall::add(
            Hook::Output,
            &[
                &format!("oifname {interface} meta l4proto tcp {flags} == syn counter name syns accept"),
                &format!("oifname {interface} meta l4proto tcp {flags} == rst counter name resets accept"),
                &format!("oifname {interface} meta l4proto tcp counter name others"),
            ],
        );
        firewall::add(
            Hook::Input,
            &[
                &format!("iifname {interface} meta l4proto tcp {flags} == syn|ack counter name answers accept"),
                &format!("iifname {interface} meta l4proto tcp {flags} == rst|ack counter name refusals accept"),
                &format!("iifname {interface} meta l4proto tcp counter name others"),
            ],
        );
        move || kinds.map(firewall::packets)
    }

    #[test]
    fn is_the_same_over_a_cable_and_this_hosts_kernel_sends_the_resets() {
        namespaced!("nft");
        let far = FarHost::new();
        far.connect(("near", "10.1.0.1/24"), ("far", "10.1.0.2/24"));
        sh("ip addr add fd01::1/64 dev near nodad");
        let listeners = far.run(|| {
            sh("ip addr add fd01::2/64 dev far nodad");
            ["0.0.0.0", "::"].map(|ip| Listener::on(ip.parse().unwrap(), PORT))
        });
        let census = census_of("near");
        let checker = raw(|_| ());
        let ips: [IpAddr; 2] = [[10, 1, 0, 2].into(), "fd01::2".parse().unwrap()];
        for ip in ips {
            for (port, expected) in [(PORT, UP), (DEAD_PORT, REFUSED)] {
                // The first segment may have to wait for the neighbour's address.
                let verdicts = checker.check_many(&vec![Request::new(at(ip, port)); 500]);
                assert!(verdicts.iter().all(|verdict| said(verdict) == expected), "{:?}", tally(&verdicts));
            }
        }
        drop(checker);
        until("every reset has left", || census()[2] >= 1_000);
        assert_eq!(census(), [2_000, 1_000, 1_000, 1_000, 0], "SYNs, answers, resets, refusals, others");
        far.run(|| assert_eq!((support::counters::counter("TcpPassiveOpens"), half_open_requests()), (0, 0)));
        listeners.iter().for_each(Listener::assert_untouched);
    }

    #[test]
    fn has_a_syn_like_a_kernels() {
        namespaced!();
        let (sender, syns) = channel();
        let _peer = Peer::start(move |segment| {
            sender.send(segment.clone()).unwrap();
            vec![Action::Send(segment.answer(RST | ACK, 0).packet())]
        });
        let next = || syns.recv_timeout(Duration::from_secs(60)).expect("a SYN");
        assert!(TcpStream::connect(Peer::at(80)).is_err());
        let kernels = next();
        assert_eq!(raw(|_| ()).check(&Request::new(Peer::at(80))).status, Status::Refused);
        let own = next();
        assert_eq!((own.flags, own.acknowledged), (SYN, 0));
        assert_eq!(own.option_kinds(), kernels.option_kinds(), "MSS, SACK, timestamps, window scale");
        assert_eq!(own.options[..4], kernels.options[..4], "the largest segment");
        assert_eq!(own.window, kernels.window);
    }

    #[test]
    fn has_other_numbers_and_ports_for_each_check() {
        namespaced!();
        let (sender, syns) = channel();
        let _peer = Peer::start(move |segment| {
            sender.send((segment.source.port(), segment.sequence)).unwrap();
            vec![Action::Send(segment.answer(RST | ACK, 0).packet())]
        });
        let checker = raw(|_| ());
        for _ in 0..300 {
            assert_eq!(checker.check(&Request::new(Peer::at(80))).status, Status::Refused);
        }
        let seen: Vec<(u16, u32)> = syns.try_iter().collect();
        let numbers: HashSet<u32> = seen.iter().map(|(_, number)| *number).collect();
        assert!(numbers.len() >= 299, "{} numbers of {} SYNs", numbers.len(), seen.len());
        // Nobody who has seen some can tell the next.
        let steps: HashSet<u32> = seen.windows(2).map(|pair| pair[1].1.wrapping_sub(pair[0].1)).collect();
        assert!(steps.len() >= 290, "the numbers of {} SYNs have {} differences", seen.len(), steps.len());
        // A pair of ports rests as long as it can.
        for ports in seen[..64].windows(32) {
            let ports: HashSet<u16> = ports.iter().map(|(port, _)| *port).collect();
            assert_eq!(ports.len(), 32, "a port was used again at once");
        }
    }

    #[test]
    fn has_no_more_syns_than_a_silent_target_may_have() {
        namespaced!("nft", "tcpdump");
        silence(SILENT_PORT);
        for (interval, timeout, expected) in [(50, 900, 4), (300, 300, 1), (0, 900, 1), (0, 1_500, 2)] {
            let checker = raw(|config| config.set_syn_interval(interval).unwrap());
            let capture = Capture::start();
            let target = at(V4, SILENT_PORT);
            let verdict = checker.check_many(&[with_timeout(timeout, target)])[0];
            assert_eq!((said(&verdict), verdict.syn_retransmits), (SILENT, expected - 1), "{verdict:?}");
            let segments = capture.finish();
            assert!(segments.iter().all(|segment| segment.flags == "S" && segment.destination == target));
            assert_eq!(segments.len(), expected as usize, "every {interval} ms for {timeout} ms");
        }
    }

    /// The first one leaves from the caller's thread, where an address of this host mostly answers at once.
    #[test]
    fn has_no_more_than_four_syns_of_a_blocking_check_of_this_host() {
        namespaced!("nft", "tcpdump");
        silence(SILENT_PORT);
        let checker = raw(|config| config.set_syn_interval(50).unwrap());
        for _ in 0..2 {
            let capture = Capture::start();
            let verdict = checker.check(&with_timeout(900, at(V4, SILENT_PORT)));
            assert_eq!((said(&verdict), verdict.syn_retransmits), (SILENT, 3), "{verdict:?}");
            assert_eq!(capture.finish().len(), 4);
        }
    }
}

mod verdicts {
    use super::*;

    #[test]
    fn say_that_the_window_of_an_answer_was_zero() {
        namespaced!();
        let _peer = Peer::start(|segment| {
            let window = if segment.destination.port() == 80 { 0 } else { 1_000 };
            match segment.flags {
                SYN => vec![Action::Send(Segment { window, ..segment.answer(SYN | ACK, 7) }.packet())],
                _ => Vec::new(),
            }
        });
        let checker = raw(|_| ());
        for (port, expected) in [(80, true), (81, false)] {
            for verdict in every_way(&checker, &Request::new(Peer::at(port))) {
                assert_eq!((said(&verdict), verdict.zero_window), (UP, expected), "{verdict:?}");
            }
        }
    }

    #[test]
    fn are_right_for_every_port_of_this_host_also_the_checkers_own() {
        namespaced!(alone);
        let checker = raw(|_| ());
        for ip in [V4, V6] {
            let requests: Vec<Request> = (1..=u16::MAX).map(|port| Request::new(at(ip, port))).collect();
            let verdicts = checker.check_many(&requests);
            assert_eq!(verdicts.iter().filter(|verdict| said(verdict) == REFUSED).count(), requests.len());
        }
    }

    #[test]
    fn of_two_checkers_with_two_loops_each_are_right_beside_each_other() {
        namespaced!("nft");
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let completed = Rise::of("TcpPassiveOpens");
        let checkers = [(); 2].map(|()| raw(|config| config.set_threads(2).unwrap()));
        let ports = [(PORT, UP), (DEAD_PORT, REFUSED), (SILENT_PORT, SILENT)];
        // The same targets for both, so that an answer which went to the wrong one would show.
        let requests: Vec<Request> = (0..30_000)
            .map(|number| match ports[number % 3].0 {
                SILENT_PORT => with_timeout(1_000, at(nth(number), SILENT_PORT)),
                port => Request::new(at(nth(number), port)),
            })
            .collect();
        std::thread::scope(|scope| {
            for checker in &checkers {
                scope.spawn(|| {
                    for (number, verdict) in checker.check_many(&requests).iter().enumerate() {
                        assert_eq!(said(verdict), ports[number % 3].1, "{verdict:?}");
                    }
                });
            }
        });
        assert_eq!(completed.now(), 0);
    }
}
