//! The switch that has Linux behave as a lesser system: what it takes away, and that it takes nothing away unasked. All
//! other tests run with it as well, and hold what is true there.
#![cfg(all(target_os = "linux", feature = "forced-handshake"))]

#[macro_use]
mod support;

use std::process::Command;

use support::capture::{Capture, conversations};
use support::handshake::{assert_conversations, assert_proven, conversation, reuses_sockets, withholds_ack};
use support::targets::{Listener, V4};
use tcpshaker::{Checker, Config, Request, Status, Verdict};

const SWITCH: &str = "TCPSHAKER_HANDSHAKE";
const PORT: u16 = 8080;

/// Whether the switch is set to this way (`None`: not at all). If not, runs the test once more with it set so: a
/// process reads it only once.
fn is_forced(way: Option<&str>, test: &str) -> bool {
    if std::env::var(SWITCH).ok().as_deref() == way {
        return true;
    }
    let mut again = Command::new(std::env::current_exe().expect("the path of this test"));
    again.args(["--exact", test, "--nocapture"]).env_remove(SWITCH);
    way.map(|way| again.env(SWITCH, way));
    let output = again.output().expect("it starts");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("test result: ok. 1 passed"), "{test}, forced {way:?}: {said}{errors}");
    false
}

/// Makes forty checks, on the caller's thread and on the loop's. Returns their verdicts and their segments, and how
/// many sockets the checker still holds.
fn check_and_watch() -> (Vec<Verdict>, Vec<Vec<String>>, u64) {
    let listener = Listener::on(V4, PORT);
    let mut config = Config::default();
    config.set_timeout(60_000).unwrap();
    let checker = Checker::new(&config).expect("a checker");
    let capture = Capture::start();
    let request = Request::new(listener.address());
    let mut verdicts: Vec<Verdict> = (0..20).map(|_| checker.check(&request)).collect();
    verdicts.extend(checker.check_many(&vec![request; 20]));
    let conversations = conversations(&capture.finish(), listener.address());
    let segments = conversations.into_iter().map(|conversation| conversation.segments).collect();
    (verdicts, segments, checker.stats().sockets)
}

#[test]
fn unset_changes_nothing() {
    if !is_forced(None, "unset_changes_nothing") {
        return;
    }
    namespaced!("tcpdump");
    assert_eq!((withholds_ack(), reuses_sockets()), (true, true));
    let (verdicts, conversations, sockets) = check_and_watch();
    assert!(verdicts.iter().all(|verdict| verdict.status == Status::Up), "{verdicts:?}");
    assert_proven(&verdicts);
    assert_eq!((conversations.len(), conversation()), (40, &[">S", "<S.", ">R."][..]));
    assert_conversations(&conversations);
    assert_ne!(sockets, 0, "none is kept for the next check");
}

#[test]
fn set_to_quickack_withholds_the_ack_all_the_same_and_keeps_no_socket() {
    if !is_forced(Some("quickack"), "set_to_quickack_withholds_the_ack_all_the_same_and_keeps_no_socket") {
        return;
    }
    namespaced!("tcpdump");
    assert_eq!((withholds_ack(), reuses_sockets()), (true, false));
    let (verdicts, conversations, sockets) = check_and_watch();
    assert!(verdicts.iter().all(|verdict| verdict.status == Status::Up), "{verdicts:?}");
    assert_proven(&verdicts);
    assert_eq!((conversations.len(), conversation()), (40, &[">S", "<S.", ">R."][..]));
    assert_conversations(&conversations);
    assert_eq!(sockets, 0, "one outlives its check, and could serve another");
}

#[test]
fn set_to_ordinary_completes_each_handshake_and_resets_it() {
    if !is_forced(Some("ordinary"), "set_to_ordinary_completes_each_handshake_and_resets_it") {
        return;
    }
    namespaced!("tcpdump");
    assert_eq!((withholds_ack(), reuses_sockets()), (false, false));
    let (verdicts, conversations, sockets) = check_and_watch();
    for verdict in verdicts {
        assert_eq!((verdict.status, verdict.half_open, verdict.syn_retransmits), (Status::Up, false, 0), "{verdict:?}");
        assert!(verdict.rtt_us > 0, "{verdict:?}");
    }
    assert_eq!((conversations.len(), conversation()), (40, &[">S", "<S.", ">.", ">R."][..]));
    assert_conversations(&conversations);
    assert_eq!(sockets, 0, "one outlives its check, and could serve another");
}
