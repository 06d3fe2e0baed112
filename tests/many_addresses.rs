//! Names with thousands of addresses, as an answer of a name server can hold: what is tried, and what it costs.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use support::etc;
use support::firewall::{self, Hook};
use support::lists::{PORT, SILENT_PORT, checker, listen_everywhere, silence, tally, with_timeout};
use support::monitors::with_every_kind;
use support::name_server::{Answer, NameServer};
use support::process::{open_descriptors, threads, until};
use support::sized::sized;
use support::targets::DEAD_PORT;
use tcpshaker::{Request, Status};

/// As many addresses of IPv4 as a message of 64 KiB holds, about (RFC 1035, 4.2.2).
const MANY: u32 = 4_000;
/// So many of them are tried (tcpshaker.h).
const TRIED: u64 = 64;

fn serve() -> NameServer {
    etc::replace();
    etc::use_name_server(30, 2);
    let addresses = (1..=MANY).map(|number| IpAddr::V4(Ipv4Addr::from_bits(0x7f09_0000 + number)));
    NameServer::start(&[("many.test", Answer::Addresses(addresses.collect()))])
}

/// All of its addresses at this port.
fn many(port: u16, timeout_ms: u32) -> Request {
    Request { timeout_ms, ..Request::new(format!("many.test:{port}").as_str()) }
}

mod name_with_four_thousand_addresses {
    use super::*;

    #[test]
    fn is_told_by_each_kind_of_checker_and_leaves_nothing_behind() {
        namespaced!("nft");
        let (server, _listener) = (serve(), listen_everywhere());
        silence(SILENT_PORT);
        let before = (threads(), open_descriptors());
        with_every_kind(|checker| {
            let count = sized(20, 200);
            let truths =
                [(PORT, 0, Status::Up), (DEAD_PORT, 0, Status::Refused), (SILENT_PORT, 2_500, Status::TimedOut)];
            for (port, timeout_ms, truth) in truths {
                let verdicts = checker.check_many(&vec![many(port, timeout_ms); count]);
                // The time for silent ones may be over before the lookup is.
                let fits = |status: Status| status == truth || (port == SILENT_PORT && !status.is_verdict());
                assert!(verdicts.iter().all(|verdict| fits(verdict.status)), "port {port}: {:?}", tally(&verdicts));
            }
        });
        assert!(server.asked_for_v4("many.test") > 0);
        until("nothing is left", || (threads(), open_descriptors()) == before);
    }

    #[test]
    fn is_tried_at_sixty_four_of_them_where_each_refuses() {
        namespaced!("nft");
        let _server = serve();
        // The lookup makes connections of its own.
        firewall::add_counter("tried");
        firewall::add(Hook::Input, &[&format!("tcp dport {DEAD_PORT} counter name tried")]);
        let verdict = checker(|_| ()).check(&many(DEAD_PORT, 0));
        assert_eq!(verdict.status, Status::Refused, "{verdict:?}");
        assert_eq!(firewall::packets("tried"), TRIED);
    }

    #[test]
    fn holds_up_no_check_of_an_address() {
        namespaced!("nft");
        let (_server, _listener) = (serve(), listen_everywhere());
        with_every_kind(|checker| {
            std::thread::scope(|scope| {
                let named = scope.spawn(|| checker.check_many(&vec![many(PORT, 0); sized(20, 200)]));
                while !named.is_finished() {
                    let target = support::targets::at(support::targets::V4, PORT);
                    let verdict = checker.check(&with_timeout(0, target));
                    assert_eq!(verdict.status, Status::Up, "{verdict:?}");
                    // A lookup of so many takes the C library some hundredths of a second.
                    assert!(verdict.elapsed_us < 5_000_000, "{verdict:?}");
                    std::thread::sleep(Duration::from_millis(1));
                }
                let verdicts = named.join().expect("the names");
                assert!(verdicts.iter().all(|verdict| verdict.status == Status::Up), "{:?}", tally(&verdicts));
            });
        });
    }
}
