//! Which targets are checked, however they are given.

use std::collections::BTreeSet;

use crate::c_programs::{TextFile, finish, finish_with_input, live};
use crate::support::etc;
use crate::support::name_server::{Answer, NameServer};
use crate::support::network::ip;
use crate::support::targets::{Listener, V6, at};
use crate::the_tool::*;

#[test]
fn a_list_comes_from_a_file_or_standard_input_with_comments_and_blanks() {
    let (_first, one) = live();
    let (_second, two) = live();
    let list = format!("# two targets\n\n  {one}\t# the first\r\n\t \n{two}\n   # the end");
    let file = TextFile::new("list", &list);
    let piped = finish_with_input(&mut tool(&["-f", "-", "-n", "3"]), &list);
    for run in [finish(&mut tool(&["-f", file.path(), "-n", "3"])), piped] {
        assert_eq!(run.code(), UP, "{run:?}");
        assert_eq!(closing_lines(&run.stdout)[0], "Finished 6/6 checks");
    }
    let both = finish(&mut tool(&["-f", file.path(), "-a", &one, "-f", file.path()]));
    assert_eq!(closing_lines(&both.stdout)[0], "Finished 5/5 checks");
}

#[test]
fn an_empty_list_is_a_usage_error() {
    let file = TextFile::new("empty", "# nothing but a comment\n\n");
    let standard_input = finish_with_input(&mut tool(&["-f", "-"]), "");
    for run in [finish(&mut tool(&[])), finish(&mut tool(&["-f", file.path()])), standard_input] {
        assert_eq!(run.code(), USAGE, "{run:?}");
        assert_eq!(run.stdout, "");
        assert!(run.stderr.starts_with("tcp-checker: no target"), "{run:?}");
    }
}

#[test]
fn a_malformed_target_is_named_with_its_line_once_and_spoils_no_other() {
    let (_listener, up) = live();
    let file = TextFile::new("malformed", format!("{up}\n\nnowhere\n{up}\n[::1:80\n"));
    let run = finish(&mut tool(&["-f", file.path(), "-n", "2", "-a", "host:0"]));
    assert_eq!(run.code(), USAGE, "{run:?}");
    assert_eq!(
        closing_lines(&run.stdout),
        ["Finished 10/10 checks", "  Succeed: 4", "  Errors: connect 0, timeout 0, other 6"]
    );
    assert_eq!(verdicts(&run.stdout, "address"), 6, "{run:?}");
    let complaints: Vec<&str> = run.stderr.lines().filter(|line| !line.contains("xmt/rcv")).collect();
    assert_eq!(complaints.len(), 3, "{run:?}");
    assert!(!run.stdout.contains("nowhere") && !run.stdout.contains("host:0"), "told once: {run:?}");
    for named in [format!("{}:3: nowhere", file.path()), format!("{}:5: [::1:80", file.path()), "host:0".to_owned()] {
        let start = format!("tcp-checker: {named}: not an address");
        assert!(complaints.iter().any(|line| line.starts_with(&start)), "{start}: {run:?}");
    }
}

#[test]
fn a_file_that_is_no_list_is_refused_whole() {
    let (_listener, up) = live();
    let file = TextFile::new("binary", format!("{up}\n{up}\0.example:80\n"));
    let run = finish(&mut tool(&["-f", file.path()]));
    assert_eq!(run.code(), USAGE, "{run:?}");
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains(&format!("{}:2: a NUL byte", file.path())), "{run:?}");
    for (path, reason) in [("/nonexistent/list", "No such file"), ("/", "Is a directory")] {
        let run = finish(&mut tool(&["-f", path]));
        assert_eq!(run.code(), USAGE, "{run:?}");
        assert!(run.stderr.contains(path) && run.stderr.contains(reason), "{run:?}");
    }
}

#[test]
fn host_and_port_are_told_in_any_of_their_forms_and_each_target_has_one_line_that_names_it() {
    let (_listener, v4) = live();
    let port = v4.rsplit(':').next().unwrap();
    let on_v6 = Listener::on(V6, 0);
    let v6_port = on_v6.address().port().to_string();
    let v6 = at(V6, on_v6.address().port()).to_string();
    let named = format!("localhost:{port}");
    for (arguments, names) in [
        (&[&v4[..]][..], &[&v4][..]),
        (&["127.0.0.1", port], &[&v4]),
        (&["127.0.0.1", "-p", port], &[&v4]),
        (&["-p", port, "127.0.0.1", "127.0.0.2:1"], &[&v4, &"127.0.0.2:1".to_owned()]),
        (&["--port", port, "-4", "localhost"], &[&named]),
        (&[&v6], &[&v6]),
        (&["::1", &v6_port], &[&v6]),
        (&["[::1]", "-p", &v6_port], &[&v6]),
        (&["127.0.0.1", port, &v6, "localhost", port, "-4"], &[&v4, &named]),
        (&["-a", &v4], &[&v4]),
    ] {
        let run = finish(&mut tool(arguments));
        let lines: BTreeSet<&str> = run.stdout.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        let lines: BTreeSet<&str> = lines.iter().map(|name| name.strip_suffix(':').unwrap_or(name)).collect();
        // Of a family that is not allowed there is no line, but a complaint.
        assert_eq!(lines, names.iter().map(|name| name.as_str()).collect(), "{arguments:?}: {run:?}");
        assert_eq!(run.stdout.lines().count(), names.len(), "{arguments:?}: {run:?}");
    }
}

#[test]
fn the_port_of_targets_that_name_none_may_be_a_service() {
    namespaced!();
    let mut known = tool(&["-p", "http", "127.0.0.1"]);
    let mut unknown = tool(&["-p", "htpt", "127.0.0.1"]);
    etc::replace();
    let run = finish(&mut known);
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    assert!(run.has_line("127.0.0.1:http: 127.0.0.1:80 refused"), "{run:?}");
    let run = finish(&mut unknown);
    assert_eq!((run.code(), run.stdout.as_str()), (USAGE, ""), "{run:?}");
    assert!(run.stderr.starts_with("tcp-checker: -p htpt: expected a port"), "{run:?}");
}

#[test]
fn a_target_without_a_port_is_told_once_with_the_way_out() {
    for arguments in [&["localhost"][..], &["-a", "localhost", "-n", "3"], &["-C", "2", "-q", "-i", "1", "localhost"]] {
        let run = finish(&mut tool(arguments));
        assert_eq!(run.code(), USAGE, "{run:?}");
        assert_eq!(run.stderr.matches("tcp-checker: localhost: not an address").count(), 1, "{run:?}");
        assert!(run.stderr.contains("-p gives a port"), "{run:?}");
        assert!(!run.stdout.contains("localhost"), "{run:?}");
    }
}

#[test]
fn a_range_is_every_host_address_of_it() {
    let (_listener, target) = live();
    let port = target.rsplit(':').next().unwrap();
    for (range, hosts) in [
        ("127.0.0.0/29", &["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"][..]),
        ("127.0.0.6/31", &["127.0.0.6", "127.0.0.7"]),
        ("127.0.0.9/32", &["127.0.0.9"]),
        ("::1/128", &["[::1]"]),
    ] {
        let given = if range.starts_with(':') { format!("[{range}]:{port}") } else { format!("{range}:{port}") };
        for arguments in [&["-g", &given][..], &["-g", range, "-p", port]] {
            let run = finish(&mut tool(arguments));
            let mut found: Vec<&str> = run.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
            found.sort_unstable();
            let expected: Vec<String> = hosts.iter().map(|host| format!("{host}:{port}")).collect();
            assert_eq!(found, expected, "{arguments:?}: {run:?}");
        }
    }
    let alive = finish(&mut tool(&["-g", &format!("127.0.0.0/29:{port}"), "--alive"]));
    assert_eq!((alive.code(), alive.stdout.as_str()), (SOME_DOWN, &*format!("{target}\n")), "{alive:?}");
}

#[test]
fn a_range_of_more_than_1024_addresses_is_checked_only_if_that_is_meant() {
    let run = finish(&mut tool(&["-g", "127.0.0.0/21:1"]));
    assert_eq!((run.code(), run.stdout.as_str()), (USAGE, ""), "{run:?}");
    assert!(run.stderr.contains("2046 addresses") && run.stderr.contains("--yes"), "{run:?}");
    let run = finish(&mut tool(&["-g", "127.0.0.0/21:1", "--yes", "-q"]));
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    let run = finish(&mut tool(&["-g", "127.0.0.0/22:1", "--unreachable"]));
    assert_eq!(run.stdout.lines().count(), 1022, "{run:?}");
    for wrong in
        ["127.0.0.1:1", "127.0.0.0/33:1", "127.0.0/8:1", "[::1/129]:1", "127.0.0.0/24:", "name/24:1", "10.0.0.0/x:1"]
    {
        let run = finish(&mut tool(&["-g", wrong]));
        assert_eq!(run.code(), USAGE, "{wrong}: {run:?}");
        assert!(run.stderr.starts_with(&format!("tcp-checker: -g {wrong}: expected a range")), "{wrong}: {run:?}");
    }
}

#[test]
fn all_addresses_of_a_name_are_targets_of_their_own() {
    namespaced!();
    let listener = Listener::on(ip("127.0.0.2"), 0);
    let port = listener.address().port();
    let mut tool = tool(&["--all-addresses", &format!("many.test:{port}"), "-j"]);
    etc::replace();
    let addresses = ["127.0.0.2", "127.0.0.3", "::1"].map(ip);
    let _server = NameServer::start(&[("many.test", Answer::Addresses(addresses.to_vec()))]);
    let run = finish(&mut tool);
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    let found: BTreeSet<(String, String)> =
        run.stdout.lines().map(parse).map(|check| (check["target"].clone(), check["verdict"].clone())).collect();
    let expected = [("127.0.0.2", "up"), ("127.0.0.3", "down"), ("[::1]", "down")];
    assert_eq!(found, expected.map(|(host, verdict)| (format!("{host}:{port}"), verdict.to_owned())).into());

    let run = finish(tool_again(&mut tool).args(["--all-addresses", &format!("none.test:{port}")]));
    assert_eq!(run.code(), NO_VERDICT, "{run:?}");
    assert!(run.stdout.contains("none.test"), "a name without addresses says so: {run:?}");
}

/// The same program, without arguments.
fn tool_again(tool: &mut std::process::Command) -> &mut std::process::Command {
    *tool = std::process::Command::new(tool.get_program());
    tool
}
