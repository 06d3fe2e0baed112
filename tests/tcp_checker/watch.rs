//! tcp-checker watch: what it tells of the changes of its targets.

use std::process::Command;

use crate::c_programs::{Running, TextFile, dead, finish, live};
use crate::support::etc;
use crate::support::name_server::NameServer;
use crate::support::process::until;
use crate::support::targets::{Listener, V4};
use crate::terminal::Terminal;
use crate::the_tool::*;

#[test]
fn each_change_of_a_target_is_a_line() {
    let listener = Listener::on(V4, 0);
    let (address, target) = (listener.address(), listener.address().to_string());
    let dead = dead();
    let mut running = Running::start(&mut tool(&["watch", "-i", "20", "--fall", "2", "--rise", "3", &target, &dead]));
    running.wait_for_line(&[&target, "unknown -> up", "rtt"]);
    drop(listener);
    running.wait_for_line(&[&target, "up -> down", "refused"]);
    let _again = Listener::on(V4, address.port());
    let line = running.wait_for_line(&[&target, "down -> up"]);
    assert!(line.starts_with("20") && line.contains("Z "), "the time stands before it: {line}");
    running.signal(libc::SIGINT);
    let run = running.finish();
    assert_eq!(run.code(), SOME_DOWN, "the other one is down: {run:?}");
    assert_eq!(
        run.stdout.lines().filter(|line| line.contains(&format!(" {dead} unknown -> down"))).count(),
        1,
        "{run:?}"
    );
    assert_eq!(run.stdout.lines().count(), 4, "a line for each change, and no other: {run:?}");
    let of_target = run.stderr.lines().find(|line| line.starts_with(&target)).expect(&run.stderr);
    assert!(of_target.contains(" : up for ") && of_target.contains("changes = 3"), "{run:?}");
}

#[test]
fn each_change_of_a_target_is_a_line_of_json() {
    let listener = Listener::on(V4, 0);
    let target = listener.address().to_string();
    let mut running = Running::start(&mut tool(&["watch", "-j", "-i", "20", "--fall", "4", &target]));
    let up = parse(running.wait_for_line(&["\"up\""]).trim_end());
    drop(listener);
    let down = parse(running.wait_for_line(&["\"to\":\"down\""]).trim_end());
    running.signal(libc::SIGTERM);
    let run = running.finish();
    assert_eq!((run.code(), run.stderr.as_str()), (SOME_DOWN, ""), "{run:?}");
    for (change, from, to, run, status) in [(&up, "unknown", "up", "1", "up"), (&down, "up", "down", "4", "refused")] {
        for (field, value) in [
            ("schema", "tcp-checker.change.v1"),
            ("target", &target),
            ("from", from),
            ("to", to),
            ("run", run),
            ("status", status),
            ("skipped", "false"),
        ] {
            assert_eq!(change[field], value, "{field}: {change:?}");
        }
    }
    assert_eq!((&*down["error"], &*down["rtt_us"]), ("Connection refused", "0"), "{down:?}");
    assert!(up["rtt_us"].parse::<u32>().unwrap() > 0, "{up:?}");
}

#[test]
fn sigquit_tells_how_each_target_is_and_the_watch_goes_on() {
    let (_listener, up) = live();
    let mut running = Running::start(&mut tool(&["watch", "-i", "20", &up]));
    running.wait_for_line(&[&up, "unknown -> up"]);
    running.signal(libc::SIGQUIT);
    std::thread::sleep(std::time::Duration::from_millis(500));
    running.signal(libc::SIGINT);
    let run = running.finish();
    assert_eq!(run.code(), UP, "{run:?}");
    assert!((1..=2).contains(&run.stderr.matches(" : up for ").count()), "{run:?}");
}

#[test]
fn a_malformed_target_is_told_once_and_the_others_are_watched() {
    let (_listener, up) = live();
    let mut running = Running::start(&mut tool(&["watch", "-i", "20", "nowhere", &up]));
    running.wait_for_line(&[&up, "unknown -> up"]);
    running.signal(libc::SIGINT);
    let run = running.finish();
    assert_eq!(run.code(), USAGE, "{run:?}");
    assert_eq!(run.stderr.matches("nowhere").count(), 1, "{run:?}");
    let file = TextFile::new("watched", format!("{up}\nnowhere\n"));
    let mut running = Running::start(&mut tool(&["watch", "-i", "20", "-f", file.path()]));
    running.wait_for_line(&[&up, "unknown -> up"]);
    running.signal(libc::SIGINT);
    let run = running.finish();
    let told =
        run.stderr.lines().filter(|line| line.starts_with(&format!("tcp-checker: {}:2: nowhere: ", file.path())));
    assert_eq!(told.filter(|line| line.ends_with("; -p gives a port to targets without one")).count(), 1, "{run:?}");
    let alone = finish(&mut tool(&["watch", "nowhere"]));
    assert_eq!(alone.code(), USAGE, "nothing is left to watch: {alone:?}");
}

#[test]
fn a_name_that_does_not_resolve_is_told_once_and_why() {
    namespaced!();
    let [mut plain, mut json, mut quiet] = ["-i20", "-ji20", "-qi20"].map(|how| tool(&["watch", how, "none.test:80"]));
    etc::replace();
    let server = NameServer::start(&[]);
    let run = |tool: &mut Command, seen: &[&str]| {
        let mut running = Running::start(tool);
        if !seen.is_empty() {
            running.wait_for_line(seen);
        }
        let asked = server.asked_for_v4("none.test");
        until("more checks", || server.asked_for_v4("none.test") > asked + 5);
        running.signal(libc::SIGINT);
        running.finish()
    };

    let run_plain = run(&mut plain, &["Z none.test:80 unknown: no verdict (none.test:80: name not resolved"]);
    assert_eq!(run_plain.code(), NO_VERDICT, "{run_plain:?}");
    assert_eq!(run_plain.stdout.lines().count(), 1, "one line, however many checks: {run_plain:?}");
    let statistics = run_plain.stderr.lines().next().expect("a line for the target");
    let (_, told) = statistics.split_once("no verdict = ").expect(statistics);
    let (count, why) = told.split_once(' ').expect(statistics);
    assert!(count.parse::<u32>().unwrap() > 1 && why.len() > 5, "{statistics}");

    let run_json = run(&mut json, &["\"schema\""]);
    assert_eq!(run_json.stdout.lines().count(), 1, "{run_json:?}");
    let line = parse(run_json.stdout.trim_end());
    assert_eq!((&*line["from"], &*line["to"]), ("unknown", "unknown"), "{line:?}");
    assert!(line["code"].starts_with('-') && !line["error"].is_empty(), "{line:?}");

    assert_eq!(run(&mut quiet, &[]).stdout, "");
}

#[test]
fn a_terminal_shows_a_table_that_is_kept_up_to_date() {
    if !has("tmux", "a_terminal_shows_a_table") {
        return;
    }
    let listener = Listener::on(V4, 0);
    let target = listener.address().to_string();
    let dead = dead();
    let arguments = ["watch", "-i", "30", &target, &dead];
    let terminal = Terminal::start("table", 100, 10, "", &arguments);
    let screen = terminal.wait_for("xxx");
    let titles: Vec<&str> = screen.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(titles, ["target", "state", "since", "loss", "last", "ms", "avg", "ms"]);
    assert!(screen.chars().filter(|letter| ('▁'..='█').contains(letter)).count() >= 3, "{screen}");
    let line = |screen: &str, name: &str| -> Vec<String> {
        let line = screen.lines().find(|line| line.starts_with(name)).expect(screen);
        line.split_whitespace().map(str::to_owned).collect()
    };
    let of_up = line(&screen, &target);
    assert_eq!((&*of_up[1], &*of_up[3], &*of_up[4]), ("up", "s", "0%"), "{screen}");
    assert!(of_up[5].parse::<f64>().unwrap() > 0.0 && of_up[6].parse::<f64>().unwrap() > 0.0, "{screen}");
    assert_eq!(line(&screen, &dead)[1..5], ["down", &line(&screen, &dead)[2], "s", "100%"], "{screen}");

    drop(listener);
    until("the change", || line(&terminal.screen(), &target)[1] == "down");
    let screen = terminal.screen();
    assert_eq!(screen.lines().filter(|line| !line.is_empty()).count(), 3, "one line a target:\n{screen}");

    terminal.tmux(&["send-keys", "C-c"]);
    let screen = terminal.wait_for("changes = 2");
    assert!(!screen.contains("target  "), "the table has made way for the statistics:\n{screen}");
}

#[test]
fn a_small_terminal_shows_what_it_has_room_for_and_what_is_down_first() {
    if !has("tmux", "a_small_terminal_shows_what_it_has_room_for") {
        return;
    }
    let (_listener, up) = live();
    let port = up.rsplit(':').next().unwrap();
    let many: Vec<String> = (1..20).map(|host| format!("127.0.0.{host}:{port}")).collect();
    let mut arguments = vec!["watch", "-i", "30", "127.0.0.1:1"];
    arguments.extend(many.iter().map(String::as_str).take(1));
    arguments.extend(["127.0.0.200:1", "localhost.a.name.that.is.longer.than.the.terminal.has.room.for.example:1"]);
    arguments.extend(std::iter::repeat_n("127.0.0.1:2", 3)); // one target, given more than once
    for (columns, lines) in [(40, 24), (40, 6), (20, 24)] {
        let terminal = Terminal::start(&format!("small{columns}x{lines}"), columns, lines, "", &arguments);
        let screen = terminal.wait_for("down");
        let shown: Vec<&str> = screen.lines().filter(|line| !line.is_empty()).collect();
        assert!(shown[0].starts_with("target"), "the first line is still there:\n{screen}");
        if lines == 24 {
            assert_eq!(shown.len(), 1 + 5, "a line a target:\n{screen}");
            assert_eq!(screen.matches("localhost").count(), 1, "a long name is cut:\n{screen}");
        } else {
            let screen = terminal.wait_for("3 of 5 targets");
            assert_eq!(screen.matches("  down").count(), 3, "what is down comes first:\n{screen}");
        }
    }
    let terminal = Terminal::start("small40x2", 40, 2, "", &arguments);
    terminal.wait_for("0 of 5 targets");
}
