//! A line a check, for programs: JSON and comma-separated values.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::Ipv6Addr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::c_programs::{TextFile, dead, finish, live};
use crate::support::targets::Listener;
use crate::the_tool::*;

#[test]
fn json_is_one_object_a_check_with_everything_escaped_and_the_summary_elsewhere() {
    let (_listener, up) = live();
    let dead = dead();
    let mut list = format!("{up}\n{}\n", dead).into_bytes();
    list.extend_from_slice(b"quo\"te\\\x01 \xff caf\xc3\xa9\n");
    let file = TextFile::new("json", list);
    let run = finish(&mut tool(&["-j", "-f", file.path(), "-n", "2"]));
    assert_eq!(run.code(), USAGE, "{run:?}");
    assert_eq!(closing_lines(&run.stderr)[0], "Finished 6/6 checks");

    let mut checks = BTreeMap::<String, Vec<BTreeMap<String, String>>>::new();
    for line in run.stdout.lines() {
        let check = parse(line);
        checks.entry(check["target"].clone()).or_default().push(check);
    }
    assert_eq!(checks.len(), 3, "{run:?}");
    for (target, verdict, status, code, address) in [
        (up.as_str(), "up", "up", "0", up.as_str()),
        (dead.as_str(), "down", "refused", "2", dead.as_str()),
        ("quo\"te\\\u{1} \u{fffd} café", "none", "address", "-2", "null"),
    ] {
        let found = &checks[target];
        assert_eq!(found.len(), 2, "{target}: {run:?}");
        for check in found {
            assert_eq!(check["verdict"], verdict, "{run:?}");
            assert_eq!(check["status"], status, "{run:?}");
            assert_eq!(check["code"], code, "{run:?}");
            assert_eq!(check["address"], address, "{run:?}");
            assert_eq!(check["schema"], "tcp-checker.check.v1", "{run:?}");
            assert!(is_time(&check["time"]), "{run:?}");
            match status {
                "up" => assert_eq!(check["error"], "", "{run:?}"),
                "refused" => assert_eq!(check["error"], "Connection refused", "{run:?}"),
                _ => assert!(check["error"].starts_with("not an address"), "{run:?}"),
            }
            for number in ["os_error", "rtt_us", "syn_retransmits", "elapsed_us"] {
                assert!(check[number].parse::<u64>().is_ok(), "{number}: {run:?}");
            }
            assert!(matches!(check["half_open"].as_str(), "true" | "false"), "{run:?}");
        }
    }
}

/// Whether this is a time as RFC 3339 has it, such as `2026-01-31T12:00:00.000000Z`.
fn is_time(text: &str) -> bool {
    let pattern = "0000-00-00T00:00:00.000000Z";
    text.len() == pattern.len()
        && text
            .bytes()
            .zip(pattern.bytes())
            .all(|(is, wanted)| if wanted == b'0' { is.is_ascii_digit() } else { is == wanted })
}

#[test]
fn json_of_targets_without_a_summary_leaves_standard_error_empty() {
    let (_listener, up) = live();
    let run = finish(&mut tool(&["-j", &up, &dead()]));
    assert_eq!((run.code(), run.stderr.as_str(), run.stdout.lines().count()), (SOME_DOWN, "", 2), "{run:?}");
}

#[test]
fn values_are_separated_by_commas_below_their_names_and_quoted_where_they_hold_any() {
    let (_listener, up) = live();
    let file = TextFile::new("csv", format!("{up}\n{}\nno,\"address\"\n", dead()));
    let run = finish(&mut tool(&["--csv", "-f", file.path(), "-n", "1"]));
    assert_eq!(run.code(), USAGE, "{run:?}");
    let mut lines = run.stdout.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!(names[..4], ["time", "target", "verdict", "status"], "{run:?}");
    let mut found = BTreeMap::new();
    for line in lines {
        let fields = fields(line);
        assert_eq!(fields.len(), names.len(), "{line}");
        assert!(is_time(&fields[0]), "{line}");
        let field = |name: &str| fields[names.iter().position(|wanted| *wanted == name).unwrap()].clone();
        found.insert(field("target"), (field("verdict"), field("error"), field("address")));
    }
    let refused = dead();
    assert_eq!(found[&up], ("up".to_owned(), String::new(), up.clone()));
    assert_eq!(found[&refused], ("down".to_owned(), "Connection refused".to_owned(), refused.clone()));
    assert_eq!(found["no,\"address\""].0, "none");
}

/// Takes a line of comma-separated values apart (RFC 4180).
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => fields.last_mut().unwrap().push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            letter => fields.last_mut().unwrap().push(letter),
        }
    }
    assert!(!quoted, "{line}");
    fields
}

#[test]
fn the_address_is_told_whatever_the_interface_of_its_zone_is_called() {
    namespaced!("ip");
    let name = OsStr::from_bytes(b"a,\"\xff");
    let ip = |arguments: &[&str], device: &OsStr, more: &[&str]| {
        let made = Command::new("ip").args(arguments).arg(device).args(more).status().unwrap();
        assert!(made.success(), "ip {arguments:?}");
    };
    ip(&["link", "add"], OsStr::new("near"), &["type", "veth", "peer", "name", "far"]);
    ip(&["link", "set", "near", "name"], name, &[]);
    ip(&["link", "set", "up"], OsStr::new("far"), &[]);
    ip(&["link", "set"], name, &["up"]);
    ip(&["addr", "add", "fe80::1/64", "dev"], name, &["nodad"]);
    let listener = Listener::on(Ipv6Addr::UNSPECIFIED.into(), 0);
    let port = listener.address().port();
    let target = [b"[fe80::1%a,\"\xff]:", port.to_string().as_bytes()].concat();
    let shown = format!("[fe80::1%a,\"\u{fffd}]:{port}");

    let run = finish(tool(&["-j"]).arg(OsStr::from_bytes(&target)));
    assert_eq!(run.code(), UP, "{run:?}");
    assert_eq!(parse(run.stdout.trim_end())["address"], shown, "{run:?}");
    let run = finish(tool(&["--csv"]).arg(OsStr::from_bytes(&target)));
    let quoted = format!("\"{}\"", shown.replace('"', "\"\""));
    assert_eq!((run.code(), run.stdout.matches(&quoted).count()), (UP, 2), "{run:?}");
}
