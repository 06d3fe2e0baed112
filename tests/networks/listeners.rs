//! Listeners that are overwhelmed, and kernels that answer for them all the same.

use std::net::{IpAddr, Ipv4Addr};

use tcpshaker::Status;

use crate::support::counters::Rise;
use crate::support::firewall::{self, Hook};
use crate::support::lists::{PORT, SILENT_PORT, nth, silence, with_timeout};
use crate::support::network::listen_to_all;
use crate::support::process::sysctl;
use crate::support::targets::{DEAD_PORT, FullListener, Listener, V4, V6, at};
use crate::trial::{Case, DEAD, LIVE, PATIENCE_MS, Trial, Truth, any_of, checks};

const PORTS: [u16; 3] = [PORT, DEAD_PORT, SILENT_PORT];

fn addresses() -> Vec<IpAddr> {
    (0..7).map(nth).chain([V6]).collect()
}

mod that_answer_with_syn_cookies {
    use super::*;

    #[test]
    fn always_are_up_and_make_no_verdict_wrong() {
        namespaced!("nft");
        sysctl("net/ipv4/tcp_syncookies", "2");
        let _listeners = listen_to_all();
        silence(SILENT_PORT);
        let (addresses, sent) = (addresses(), Rise::of("TcpExtSyncookiesSent"));
        Trial::new("SYN cookies", &|number| any_of(&addresses, PORTS, number)).run();
        assert!(sent.now() as usize >= checks() / 2, "only {} cookies were sent", sent.now());
    }

    /// Resets that are lost leave more half-open requests behind than the queue has room for.
    #[test]
    fn as_their_queue_of_requests_is_full_are_up() {
        namespaced!("nft");
        sysctl("net/ipv4/tcp_syncookies", "1");
        let _small = Listener::with_backlog(at(Ipv4Addr::UNSPECIFIED.into(), PORT), 16);
        let _large = Listener::on(V6, PORT);
        silence(SILENT_PORT);
        let lost = format!("tcp dport {PORT} tcp flags & rst == rst numgen random mod 100 < 10 drop");
        firewall::add(Hook::Input, &[&lost]);
        let (addresses, sent) = (addresses(), Rise::of("TcpExtSyncookiesSent"));
        Trial::new("SYN cookies of a full queue", &|number| any_of(&addresses, PORTS, number)).run();
        assert!(sent.now() > 0, "no cookie was sent");
    }
}

mod whose_queue_is_full {
    use super::*;

    const FULL: Truth = Truth::new("full", &[Status::TimedOut]);
    const FULL_PORT: u16 = 8082;

    fn any(number: usize) -> Case {
        let ip = if number.is_multiple_of(4) { V6 } else { V4 };
        match number % 3 {
            0 => (with_timeout(400, at(ip, FULL_PORT)), FULL),
            1 => (with_timeout(PATIENCE_MS, at(ip, PORT)), LIVE),
            _ => (with_timeout(PATIENCE_MS, at(ip, DEAD_PORT)), DEAD),
        }
    }

    #[test]
    fn of_connections_are_silent_and_make_no_verdict_wrong() {
        namespaced!("nft");
        let _full = [V4, V6].map(|ip| FullListener::on(ip, FULL_PORT));
        let _listeners = listen_to_all();
        let overflows = Rise::of("TcpExtListenOverflows");
        // Those that get no answer may not have their turn in time, on a busy machine.
        Trial { in_flight: 8_000, none_percent: 34, ..Trial::new("full accept queue", &any) }.run();
        assert!(overflows.now() as usize >= checks() / 3, "the queue was not full");
    }

    #[test]
    fn of_requests_are_up_or_silent_and_never_refused() {
        namespaced!("nft");
        const FULL: Truth = Truth::new("full", &[Status::Up, Status::TimedOut]);
        sysctl("net/ipv4/tcp_syncookies", "0");
        let _full = Listener::with_backlog(at(V4, FULL_PORT), 4);
        let _listeners = listen_to_all();
        // Each check leaves a request there.
        firewall::add(Hook::Input, &[&format!("tcp dport {FULL_PORT} tcp flags & rst == rst drop")]);
        let case = |number| {
            let (mut request, truth) = any(number);
            if number % 3 == 0 {
                request = with_timeout(400, at(V4, FULL_PORT));
            }
            (request, if number % 3 == 0 { FULL } else { truth })
        };
        let trial = Trial { in_flight: 8_000, ..Trial::new("full queue of requests", &case) };
        // One that tells of an older connection, and is silent then, is no silent one.
        for outcome in (Trial { none_percent: 34, ..trial }).run() {
            assert!(outcome.count(&FULL, Status::Up) < outcome.checks / 6, "the queue was not full");
        }
    }
}
