//! Options of the checks themselves: sources, engines, namespaces, how the handshake ends.

use std::net::SocketAddr;
use std::process::Command;

use crate::c_programs::{dead, finish, live, program, silent};
use crate::support::capture::{Capture, conversations};
use crate::support::etc;
use crate::support::firewall::{self, Hook};
use crate::support::privileges::{may_be_raw, without_raw_sockets};
use crate::support::process::{sh, until};
use crate::the_tool::*;

#[test]
fn checks_that_this_machine_cannot_make_are_without_verdict_and_status_3() {
    let (_listener, up) = live();
    // An address kept for documentation, which no machine has: nothing is sent from it.
    let run = finish(&mut tool(&["-a", &up, "-n", "2", "-s", "192.0.2.1"]));
    assert_eq!(run.code(), NO_VERDICT, "{run:?}");
    assert_eq!(
        closing_lines(&run.stdout),
        ["Finished 2/2 checks", "  Succeed: 0", "  Errors: connect 0, timeout 0, other 2"]
    );
    assert_eq!(verdicts(&run.stdout, "local"), 2, "{run:?}");

    let dead = dead();
    let some_down = finish(&mut tool(&["-a", &dead, "-a", "[::1]:1", "-s", "127.0.0.1", "-s", "2001:db8::1"]));
    assert_eq!(some_down.code(), SOME_DOWN, "a target that is down outweighs one without verdict: {some_down:?}");
}

#[test]
fn a_source_address_and_a_family_are_used() {
    let (listener, target) = live();
    let port = listener.address().port();
    let run = finish(&mut tool(&["-j", "-4", "-s", "127.0.0.9", "-a", &target, "-a", &format!("localhost:{port}")]));
    assert_eq!(run.code(), UP, "{run:?}");
    for line in run.stdout.lines() {
        assert_eq!(parse(line)["address"], target, "{run:?}");
    }
}

#[test]
fn raw_without_the_privilege_is_a_usage_error_that_names_it_and_auto_takes_sockets() {
    let (_listener, target) = live();
    let run = finish(without_raw_sockets(&mut tool(&["-a", &target, "--engine", "raw"])));
    assert_eq!((run.code(), run.stdout.as_str()), (USAGE, ""), "{run:?}");
    assert!(run.stderr.starts_with("tcp-checker: --engine raw: ") && run.stderr.contains("CAP_NET_RAW"), "{run:?}");
    let run = finish(without_raw_sockets(&mut tool(&["-a", &target, "--engine=auto"])));
    assert_eq!(run.code(), UP, "{run:?}");
}

#[test]
fn raw_checks_hold_no_descriptors() {
    if !may_be_raw("raw_checks_hold_no_descriptors") {
        return;
    }
    let (_listener, up) = live();
    let mut limited = Command::new("sh");
    limited.env_remove("LD_LIBRARY_PATH").args(["-c", "ulimit -n 300; exec \"$@\"", "sh"]);
    let arguments = ["--engine", "raw", "-j", "-a", &up, "-n", "2000", "-c", "2000"];
    let run = finish(limited.arg(program("dynamic", "tcp-checker")).args(arguments));
    assert_eq!((run.code(), run.stdout.lines().count()), (UP, 2000), "{run:?}");
    assert!(run.stdout.lines().all(|line| parse(line)["half_open"] == "true"), "{run:?}");
}

#[test]
fn another_syn_is_sent_after_the_interval() {
    let (_full, silent) = silent();
    // Less time than the interval of the library. There is room for early SYNs beside the one check at once, too.
    let arguments = ["--syn-interval", "50", "-j", "-a", &silent, "-t", "250"];
    until("an early SYN", || {
        let run = finish(&mut tool(&arguments));
        assert_eq!(run.code(), SOME_DOWN, "{run:?}");
        parse(run.stdout.trim_end())["syn_retransmits"] != "0"
    });
}

/// The segments of one check with these options, as tcpdump saw them, and the types of service of those that it sent.
fn segments(options: &[&str]) -> (String, Vec<u8>) {
    let (_listener, target) = live();
    let server: SocketAddr = target.parse().unwrap();
    let capture = Capture::start();
    let run = finish(tool(&[&target]).args(options));
    assert_eq!(run.code(), UP, "{options:?}: {run:?}");
    let segments = capture.finish();
    let conversations = conversations(&segments, server);
    assert_eq!(conversations.len(), 1, "{options:?}: {segments:?}");
    let sent = segments.iter().filter(|segment| segment.destination == server).map(|segment| segment.tos).collect();
    (conversations[0].text(), sent)
}

#[test]
fn the_handshake_ends_as_it_is_asked_to_and_carries_its_type_of_service() {
    namespaced!("tcpdump");
    let (half, _) = segments(&["-O", "0"]);
    assert!(half.starts_with(">S <S. >R"), "{half}");
    let (full, _) = segments(&["--full"]);
    assert!(full.starts_with(">S <S. >. >R"), "{full}");
    let (closed, _) = segments(&["--linger"]);
    assert!(closed.contains(">F."), "{closed}");
    for tos in ["0x48", "72"] {
        let (_, types) = segments(&["-O", tos, "-I", "lo"]);
        assert!(types.contains(&0x48), "-O {tos}: {types:?}");
    }
}

#[test]
fn a_mark_is_seen_by_the_firewall_and_an_interface_that_is_not_there_is_no_verdict() {
    namespaced!("nft");
    let (_listener, up) = live();
    firewall::add_counter("marked");
    firewall::add(Hook::Output, &["meta mark 0x2a counter name marked"]);
    for mark in ["42", "0x2a"] {
        let before = firewall::packets("marked");
        let run = finish(&mut tool(&["-M", mark, &up]));
        assert_eq!(run.code(), UP, "{run:?}");
        assert!(firewall::packets("marked") > before, "-M {mark}");
    }
    let run = finish(&mut tool(&["-I", "nowhere0", &up]));
    assert_eq!(run.code(), NO_VERDICT, "{run:?}");
    assert!(run.stdout.contains("No such device"), "{run:?}");
}

#[test]
fn checks_leave_from_a_network_namespace_by_its_name_or_path() {
    namespaced!("ip");
    let (_listener, up) = live();
    let mut by_name = tool(&["--netns", "blue", &up]);
    let mut by_path = tool(&["--netns", "/run/netns/blue", "-c", "1", "-j", &up]);
    let mut elsewhere = tool(&["--netns", "red", &up]);
    etc::mount_empty("/run");
    sh("ip netns add blue");
    let run = finish(&mut by_name);
    assert_eq!(run.code(), SOME_DOWN, "loopback is not up there: {run:?}");
    assert!(run.stdout.contains("unreachable"), "{run:?}");
    sh("ip -n blue link set lo up");
    let run = finish(&mut by_path);
    assert_eq!((run.code(), &*parse(run.stdout.trim_end())["status"]), (SOME_DOWN, "refused"), "{run:?}");
    let run = finish(&mut elsewhere);
    assert_eq!(run.code(), USAGE, "{run:?}");
    assert!(run.stderr.starts_with("tcp-checker: --netns red: there is no such network namespace"), "{run:?}");
}

#[test]
fn what_the_raw_engine_cannot_do_is_no_verdict() {
    if !may_be_raw("what_the_raw_engine_cannot_do_is_no_verdict") {
        return;
    }
    let (_listener, up) = live();
    let run = finish(&mut tool(&["--engine", "raw", "--full", &up]));
    assert_eq!(run.code(), NO_VERDICT, "{run:?}");
}
