//! The C examples, built by their Makefile and run as a reader would run them.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;
mod c_programs;

use c_programs::{FLAVOURS, Running, command, dead, finish, live, make, program, silent};
use std::io::Write;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;
use support::namespace::skip;
use support::process::sysctl;
use support::targets::{Listener, at};

#[test]
fn check_prints_one_line_a_target_and_succeeds_only_if_all_are_up() {
    let (_first, one) = live();
    let (_second, two) = live();
    let dead = dead();
    for flavour in FLAVOURS {
        let up = finish(command(flavour, "check").args([&one, &two]));
        assert_eq!(up.code(), 0, "{up:?}");
        assert_eq!(up.stdout.lines().count(), 2, "{up:?}");
        assert!(up.has_line(&format!("{one} up")) && up.has_line(&format!("{two} up")), "{up:?}");

        let mixed = finish(command(flavour, "check").args([&one, &dead]));
        assert_eq!(mixed.code(), 1, "{mixed:?}");
        assert!(mixed.has_line(&format!("{one} up")), "{mixed:?}");
        assert!(mixed.has_line(&format!("{dead} refused")), "{mixed:?}");
    }
}

#[test]
fn check_takes_a_bare_number_for_the_timeout_of_the_target_before_it() {
    let (_full, silent) = silent();
    let (_listener, up) = live();
    let checked = finish(command("dynamic", "check").args([&silent, "50", &up, "2000", &silent, "60"]));
    assert_eq!(checked.code(), 1, "{checked:?}");
    let lines: Vec<&str> = checked.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{checked:?}");
    assert!(lines[0].starts_with(&format!("{silent} timed out")), "{checked:?}");
    assert!(lines[1].starts_with(&format!("{up} up")), "{checked:?}");
    assert!(lines[2].starts_with(&format!("{silent} timed out")), "{checked:?}");
}

#[test]
fn check_says_what_was_expected_of_a_malformed_target_and_goes_on() {
    let (_listener, up) = live();
    let checked = finish(command("dynamic", "check").args(["nowhere", &up]));
    assert_eq!(checked.code(), 1, "{checked:?}");
    assert!(checked.has_line("nowhere: not an address"), "{checked:?}");
    assert!(checked.has_line(&format!("{up} up")), "{checked:?}");
}

#[test]
fn check_explains_itself_when_the_command_line_is_wrong() {
    let wrong: [&[&str]; 5] =
        [&[], &["1000"], &["127.0.0.1:1", "1", "2"], &["127.0.0.1:1", "0"], &["127.0.0.1:1", "4294967296"]];
    for arguments in wrong {
        let refused = finish(command("dynamic", "check").args(arguments));
        assert_eq!(refused.code(), 2, "{arguments:?}: {refused:?}");
        assert!(refused.stderr.starts_with("usage: check host:port"), "{arguments:?}: {refused:?}");
    }
}

#[test]
fn check_says_that_no_checker_could_be_made_where_there_is_no_descriptor_for_one() {
    for flavour in FLAVOURS {
        // The fourth is enough to load the program's libraries, but not for a loop.
        let mut with_few_descriptors = Command::new("sh");
        with_few_descriptors
            .args(["-c", "ulimit -n 4 && exec \"$@\"", "sh"])
            .arg(program(flavour, "check"))
            .arg(dead());
        let refused = finish(with_few_descriptors.env_remove("LD_LIBRARY_PATH"));
        assert_eq!((refused.code(), refused.stdout.as_str()), (3, ""), "{refused:?}");
        assert!(refused.stderr.starts_with("check: no checker could be made"), "{refused:?}");
    }
}

#[test]
fn the_demo_finds_every_verdict_as_expected_in_both_link_flavours() {
    for flavour in FLAVOURS {
        let demo = finish(&mut command(flavour, "demo"));
        assert_eq!(demo.code(), 0, "{demo:?}");
        for expected in ["IPv4 listener", "dead port", "localhost:", "every verdict was the expected one"] {
            assert!(demo.stdout.contains(expected), "{expected:?} is missing: {demo:?}");
        }
        assert!(demo.stdout.contains("accept() returned 1 connection, then EAGAIN"), "{demo:?}");
        assert!(!demo.stdout.contains("SURPRISE"), "{demo:?}");
    }
}

#[test]
fn the_demo_says_that_ipv6_is_off_and_goes_on() {
    program("dynamic", "demo"); // built outside, where nothing is cut off
    namespaced!();
    sysctl("net/ipv6/conf/all/disable_ipv6", "1");
    let shown = finish(&mut command("dynamic", "demo"));
    assert_eq!(shown.code(), 0, "{shown:?}");
    assert!(shown.has_line("  IPv6 is left out: "), "{shown:?}");
    assert!(shown.has_line("  IPv4 listener") && !shown.has_line("  IPv6 listener"), "{shown:?}");
}

/// Where there is no network, as a reader with the crates at hand may have none.
#[test]
fn make_run_shows_the_demo_and_with_addr_checks_those_targets_instead() {
    program("dynamic", "demo"); // cargo fetches what it needs outside
    namespaced!();
    let shown = make(&["run"]);
    assert_eq!(shown.code(), 0, "{shown:?}");
    assert!(shown.stdout.contains("every verdict was the expected one"), "{shown:?}");
    assert!(shown.has_line("threads of this process: 1"), "{shown:?}");

    let (_first, one) = live();
    let (_second, two) = live();
    let checked = make(&["run", &format!("ADDR={one} {two}")]);
    assert_eq!(checked.code(), 0, "{checked:?}");
    assert!(checked.has_line(&format!("{one} up")) && checked.has_line(&format!("{two} up")), "{checked:?}");
    assert!(!checked.stdout.contains("every verdict was the expected one"), "{checked:?}");

    let dead = dead();
    let down = make(&["run", &format!("ADDR={dead}")]);
    assert!(!down.status.success() && down.has_line(&format!("{dead} refused")), "{down:?}");
}

/// What needs pkg-config is left out, and nothing complains. Nothing is made here, only said.
#[test]
fn make_on_a_machine_without_pkg_config_leaves_out_what_needs_other_libraries() {
    let would = |goal: &[&str]| {
        let run = make(&[goal, &["-n", "PKG_CONFIG=/nowhere/pkg-config"]].concat());
        assert_eq!((run.code(), run.stderr.as_str()), (0, ""), "make {goal:?}: {run:?}");
        run.stdout
    };
    let examples = would(&["all"]);
    assert!(examples.contains("build/dynamic/check") && !examples.contains("event_loops"), "{examples}");
    let installed = would(&["-C", "..", "install"]);
    assert!(installed.contains("tcp-checker is left out: pkg-config knows no jansson"), "{installed}");
}

#[test]
fn the_event_loop_prints_a_line_when_a_port_opens_and_when_it_closes() {
    // An address that no other program of this machine listens on by chance.
    let ip: IpAddr = "127.83.72.75".parse().unwrap();
    let listener = Listener::on(ip, 0);
    let port = listener.address().port();
    let target = at(ip, port).to_string();
    let dead = dead();
    drop(listener);

    for flavour in FLAVOURS {
        let mut running = Running::start(command(flavour, "event_loop").args([&target, &dead]));
        running.wait_for_line(&[&target, "unknown -> down", "refused"]);
        let listener = Listener::on(ip, port);
        running.wait_for_line(&[&target, "down -> up"]);
        drop(listener);
        running.wait_for_line(&[&target, "up -> down"]);

        // Enter prints the table, every target of it.
        let mut keys = running.child.stdin.take().unwrap();
        keys.write_all(b"\n").unwrap();
        running.wait_for_line(&[&target, "  down  "]);
        running.wait_for_line(&[&dead, "  down  "]);
        keys.write_all(b"q\n").unwrap();
        let finished = running.finish();
        assert_eq!(finished.code(), 0, "{finished:?}");
        assert_eq!(finished.stdout.matches(" -> ").count(), 4, "only changes are printed: {finished:?}");
    }
}

#[test]
fn the_event_loop_goes_on_when_its_input_has_ended_and_says_once_what_it_cannot_check() {
    let (_listener, target) = live();
    let mut running = Running::start(command("dynamic", "event_loop").args(["nowhere", &target]));
    drop(running.child.stdin.take());
    running.wait_for_line(&[&target, "unknown -> up"]);
    std::thread::sleep(Duration::from_millis(2500)); // two more rounds
    running.signal(libc::SIGTERM);
    let finished = running.finish();
    assert_eq!(finished.status.code(), None, "it still ran: {finished:?}");
    assert_eq!(finished.stdout.lines().count(), 2, "{finished:?}");
    assert!(finished.stdout.contains("nowhere  unknown  (not an address"), "{finished:?}");
}

#[test]
fn the_event_loop_without_targets_is_a_usage_error() {
    let refused = finish(&mut command("static", "event_loop"));
    assert_eq!(refused.code(), 2, "{refused:?}");
    assert!(refused.stderr.starts_with("usage: event_loop"), "{refused:?}");
}

/// A port that opens and closes, each told of once; `end` ends the program.
fn watches(ip: &str, arguments: &[&str], end: impl Fn(&mut Running) -> Option<i32>) {
    let ip: IpAddr = ip.parse().unwrap();
    let listener = Listener::on(ip, 0);
    let port = listener.address().port();
    let (target, dead) = (at(ip, port).to_string(), dead());
    drop(listener);
    for flavour in FLAVOURS {
        let mut running = Running::start(command(flavour, "watch").args(arguments).args([&target, "nowhere", &dead]));
        running.wait_for_line(&[&target, "unknown -> down", "refused"]);
        let listener = Listener::on(ip, port);
        running.wait_for_line(&[&target, "down -> up"]);
        drop(listener);
        running.wait_for_line(&[&target, "up -> down"]);
        let code = end(&mut running);
        let finished = running.finish();
        assert_eq!(finished.status.code(), code, "{finished:?}");
        assert_eq!(finished.stdout.matches(" -> ").count(), 4, "changes alone, each once: {finished:?}");
        assert_eq!(finished.stderr, "watch: not an address: nowhere\n");
    }
}

#[test]
fn watch_prints_a_line_when_a_port_opens_and_when_it_closes() {
    watches("127.83.72.77", &[], |running| {
        running.signal(libc::SIGTERM);
        None
    });
}

#[test]
fn watch_in_an_epoll_loop_calls_back_and_heeds_the_keys() {
    watches("127.83.72.78", &["-e"], |running| {
        let mut keys = running.child.stdin.take().unwrap();
        keys.write_all(b"\n").unwrap();
        running.wait_for_line(&["127.83.72.78", "  down  (rtt "]);
        running.wait_for_line(&["127.0.0.1:9  down  (rtt 0 us)"]);
        keys.write_all(b"q\n").unwrap();
        Some(0)
    });
}

#[test]
fn watch_goes_on_when_its_input_has_ended_and_without_targets_it_is_a_usage_error() {
    let (_listener, target) = live();
    let mut running = Running::start(command("dynamic", "watch").args(["-e", &target]));
    drop(running.child.stdin.take());
    running.wait_for_line(&[&target, "unknown -> up"]);
    running.signal(libc::SIGTERM);
    assert_eq!(running.finish().status.code(), None);
    for arguments in [&[][..], &["-e"]] {
        let refused = finish(command("static", "watch").args(arguments));
        assert_eq!(refused.code(), 2, "{refused:?}");
        assert!(refused.stderr.starts_with("usage: watch"), "{refused:?}");
    }
}

#[test]
fn the_caller_driven_front_sends_clients_where_somebody_is_up_and_has_no_second_thread() {
    for flavour in FLAVOURS {
        let shown = finish(&mut command(flavour, "caller_driven"));
        assert_eq!(shown.code(), 0, "{shown:?}");
        for expected in [
            "2 of 2 up, a client is sent to: 127.0.0.1:",
            "1 of 2 up, a client is sent to: 127.0.0.1:",
            "0 of 2 up, a client is sent to: no backend is up",
            "threads of this process: 1",
        ] {
            assert!(shown.has_line(expected), "{expected:?} is missing: {shown:?}");
        }
        for change in [" is up", " is down"] {
            let changes = shown.stdout.lines().filter(|line| line.starts_with("127.0.0.1:") && line.ends_with(change));
            assert_eq!(changes.count(), 2, "{shown:?}");
        }
    }
}

#[test]
fn the_caller_driven_front_follows_backends_of_others() {
    let ip: IpAddr = "127.83.72.76".parse().unwrap();
    let listener = Listener::on(ip, 0);
    let backend = listener.address();
    let mut running = Running::start(command("dynamic", "caller_driven").args(["0", &backend.to_string()]));
    let line = running.wait_for_line(&["the front is "]);
    let front = line.trim().rsplit_once(' ').expect("an address").1.to_owned();
    let ask = || std::io::read_to_string(std::net::TcpStream::connect(&front).expect("the front")).expect("its answer");
    running.wait_for_line(&[&backend.to_string(), "is up"]);
    assert_eq!(ask(), format!("{backend}\n"));
    drop(listener);
    running.wait_for_line(&[&backend.to_string(), "is down"]);
    assert_eq!(ask(), "no backend is up\n");
    running.signal(libc::SIGTERM);
    assert_eq!(running.finish().status.code(), None);
    assert_eq!(finish(command("static", "caller_driven").arg("0")).code(), 2);
}

#[test]
fn thread_per_core_program_watches_each_target_on_one_of_its_own_threads_and_has_no_others() {
    let ip: IpAddr = "127.83.72.77".parse().unwrap();
    let (first, second) = (Listener::on(ip, 0), Listener::on(ip, 0));
    let up = [first.address().to_string(), second.address().to_string()];
    let dead = dead();
    for flavour in FLAVOURS {
        let mut running = Running::start(command(flavour, "thread_per_core").args(["2", &up[0], &up[1], &dead]));
        let mut told: Vec<String> = (0..3).map(|_| running.wait_for_line(&["thread "]).trim_end().to_owned()).collect();
        told.sort();
        let mut expected = [
            format!("thread 0: {} is up", up[0]),
            format!("thread 0: {dead} is down"),
            format!("thread 1: {} is up", up[1]),
        ];
        expected.sort();
        assert_eq!(told, expected);
        let tasks = std::fs::read_dir(format!("/proc/{}/task", running.child.id())).unwrap();
        assert_eq!(tasks.count(), 2);
        running.signal(libc::SIGTERM);
        assert_eq!(running.finish().status.code(), None);
    }
    assert_eq!(finish(command("static", "thread_per_core").args(["0", &dead])).code(), 2);
}

#[test]
fn programs_in_other_peoples_event_loops_are_built_where_these_are() {
    let (_listener, up) = live();
    let dead = dead();
    for (program, package) in
        [("libuv", "libuv"), ("libevent", "libevent_core"), ("glib", "glib-2.0"), ("io_uring", "liburing")]
    {
        let known = Command::new("pkg-config").args(["--exists", package]).status();
        if !known.is_ok_and(|status| status.success()) {
            skip(program, &format!("pkg-config knows no {package} on this machine"));
            continue;
        }
        let checked = finish(command("dynamic", &format!("event_loops/{program}")).args([&up, &dead]));
        if checked.stderr.starts_with("no io_uring here: ") {
            skip(program, checked.stderr.trim());
            continue;
        }
        assert_eq!(checked.code(), 0, "{program}: {checked:?}");
        let mut lines: Vec<&str> = checked.stdout.lines().collect();
        lines.sort_by_key(|line| line.ends_with("refused"));
        assert_eq!(lines, [format!("{up} up"), format!("{dead} refused")], "{program}");
    }
}

/// Of what the tests run programs with: what one said before it hung is what its author needs.
#[test]
fn program_that_hangs_is_ended_and_both_its_outputs_are_told() {
    let ended = std::thread::spawn(|| {
        let mut hangs = Command::new("sh");
        hangs.args(["-c", "echo one; echo two >&2; sleep 30 & wait"]);
        c_programs::finish_within(&mut hangs, "", Duration::from_millis(500))
    });
    let told = ended.join().expect_err("it hangs").downcast::<String>().expect("a text");
    for said in ["still running", "one", "two"] {
        assert!(told.contains(said), "{said:?} is missing: {told}");
    }
}
