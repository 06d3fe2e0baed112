//! docs/why.md, which engine: what goes over the wire, and what a firewall keeps of a check.

use std::net::SocketAddr;

use tcpshaker::{Checker, Config, Request, Status};

use crate::support::capture::{Capture, conversations};
use crate::support::engine::{UP, raw, said, with_sockets};
use crate::support::firewall::{self, Hook};
use crate::support::lists::{PORT, SILENT_PORT, silence, with_timeout};
use crate::support::targets::{DEAD_PORT, Listener, V4, at};
use crate::why::shown;
use crate::why_not::entries;

/// Ample for four SYNs.
const IMPATIENCE_MS: u32 = 900;

fn with_early_syns(config: &mut Config) {
    config.set_syn_interval(50).unwrap();
}

/// What goes over loopback between a server and whoever talks to it meanwhile, one connection after another; and how
/// many there are.
fn captured(server: SocketAddr, talk: impl FnOnce()) -> (usize, String) {
    let capture = Capture::start();
    talk();
    let conversations = conversations(&capture.finish(), server);
    let texts: Vec<String> = conversations.iter().map(|conversation| conversation.text()).collect();
    (texts.len(), texts.join(" "))
}

/// A list of one check, which begins in the loop.
fn verdict(checker: &Checker, request: &Request) -> (Status, i32) {
    said(&checker.check_many(std::slice::from_ref(request))[0])
}

#[test]
fn engines_look_on_the_wire_as_the_page_says() {
    namespaced!("tcpdump", "nft");
    let (live, silent) = (at(V4, PORT), with_timeout(IMPATIENCE_MS, at(V4, SILENT_PORT)));
    let _listener = Listener::on(V4, PORT);
    silence(SILENT_PORT);
    let (own, sockets) = (raw(with_early_syns), with_sockets(with_early_syns));
    let by_raw = captured(live, || assert_eq!(verdict(&own, &Request::new(live)), UP));
    assert_eq!(by_raw, (1, shown("raw", PORT)));
    let target = at(V4, SILENT_PORT);
    let by_raw = captured(target, || assert_eq!(verdict(&own, &silent).0, Status::TimedOut));
    assert_eq!(by_raw, (4, shown("silent, raw", SILENT_PORT)));
    let by_sockets = captured(target, || assert_eq!(verdict(&sockets, &silent).0, Status::TimedOut));
    assert_eq!(by_sockets, (4, shown("silent", SILENT_PORT)));
}

#[test]
fn engines_leave_in_connection_tracking_what_the_page_says() {
    namespaced!("nft");
    let silent = with_timeout(IMPATIENCE_MS, at(V4, SILENT_PORT));
    let _listener = Listener::on(V4, PORT);
    firewall::add_counter("invalid");
    firewall::add(Hook::Input, &["ct state invalid counter name invalid", "tcp dport 8081 drop"]);
    firewall::add(Hook::Output, &["ct state invalid counter name invalid"]);
    let own = raw(with_early_syns);
    assert_eq!(verdict(&own, &Request::new(at(V4, PORT))), UP);
    assert!(matches!(&entries(PORT)[..], [entry] if entry.contains(" CLOSE ")), "{:?}", entries(PORT));
    assert_eq!(verdict(&own, &Request::new(at(V4, DEAD_PORT))).0, Status::Refused);
    assert_eq!(entries(DEAD_PORT), [""; 0]);
    for (checker, left) in [(own, 4), (with_sockets(with_early_syns), 4 + 4)] {
        assert_eq!(verdict(&checker, &silent).0, Status::TimedOut);
        assert_eq!(entries(SILENT_PORT).len(), left, "{:?}", entries(SILENT_PORT));
    }
    assert_eq!(firewall::packets("invalid"), 0);
}
