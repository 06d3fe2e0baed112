//! tcp-checker, the command-line tool: what it prints, and its exit status.
#![cfg(target_os = "linux")]

mod c_programs;
mod support;

use c_programs::{
    FLAVOURS, Finished, Running, TextFile, command, dead, finish, finish_with_input, live, program, silent,
};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::namespace::{find_program, skip};
use support::privileges::{may_be_raw, without_raw_sockets};
use support::process::until;

const UP: i32 = 0;
const SOME_DOWN: i32 = 1;
const USAGE: i32 = 2;
const NO_VERDICT: i32 = 3;

fn tool(arguments: &[&str]) -> Command {
    let mut tool = command("dynamic", "tcp-checker");
    tool.args(arguments);
    tool
}

/// Whether a tool that a test needs is there; if not, the test is skipped, but never in CI.
fn has(tool: &str, test: &str) -> bool {
    let found = find_program(tool).is_some();
    if !found {
        skip(test, &format!("there is no {tool} on this machine"));
    }
    found
}

/// The three lines that scripts know from Go's tool, with the time left out.
fn closing_lines(output: &str) -> Vec<&str> {
    let from = output.lines().position(|line| line.starts_with("Finished ")).expect(output);
    let mut lines: Vec<&str> = output.lines().skip(from).take(3).collect();
    let (finished, seconds) = lines[0].split_once(" in ").expect(output);
    assert!(seconds.strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok()), "{output}");
    lines[0] = finished;
    lines
}

/// The number that stands behind this word in the table of verdicts; 0 if the word has no row.
fn verdicts(output: &str, word: &str) -> u64 {
    let rows = output.lines().skip_while(|line| *line != "Verdicts:").take_while(|line| !line.is_empty());
    let mut words = rows.map(str::split_whitespace).filter(|row| row.clone().next() == Some(word));
    words.next().map_or(0, |row| row.clone().nth(1).unwrap().parse().expect(output))
}

#[test]
fn live_targets_end_with_the_three_lines_of_gos_tool_and_status_0() {
    let (_listener, target) = live();
    for flavour in FLAVOURS {
        let run = finish(command(flavour, "tcp-checker").args(["-a", &target, "-n", "50", "-c", "5"]));
        assert_eq!(run.code(), UP, "{run:?}");
        assert_eq!(
            closing_lines(&run.stdout),
            ["Finished 50/50 checks", "  Succeed: 50", "  Errors: connect 0, timeout 0, other 0"]
        );
        assert_eq!(run.stderr, "");
        assert_eq!(verdicts(&run.stdout, "up"), 50, "{run:?}");
        assert!(run.has_line("Handshakes the kernel completed against our will: "), "{run:?}");
    }
}

#[test]
fn the_distribution_of_round_trip_times_is_in_order_and_its_histogram_counts_every_answer() {
    let (_listener, target) = live();
    let run = finish(&mut tool(&["-a", &target, "-n", "3000", "-c", "20"]));
    assert_eq!(run.code(), UP, "{run:?}");
    let times = run.stdout.lines().find(|line| line.starts_with("  min ")).expect(&run.stdout);
    let microseconds: Vec<f64> = times.split(',').map(|part| microseconds(part.split_whitespace().skip(1))).collect();
    assert_eq!(microseconds.len(), 5, "min, p50, p90, p99, max: {times}");
    assert!(microseconds.is_sorted(), "{times}");
    assert!(microseconds[4] > 0.0, "{times}");

    let rows = run.stdout.lines().skip_while(|line| *line != times).skip(1).take_while(|line| !line.is_empty());
    let rows: Vec<&str> = rows.collect();
    assert!((1..=12).contains(&rows.len()), "{run:?}");
    let counts = rows.iter().map(|row| row.rsplit(' ').next().unwrap().parse::<u64>().expect(row));
    assert_eq!(counts.sum::<u64>(), 3000, "{run:?}");
    assert!(rows.iter().any(|row| row.contains(&"#".repeat(40))), "the longest bar fills its column: {run:?}");
}

fn microseconds<'a>(mut words: impl Iterator<Item = &'a str>) -> f64 {
    let (number, unit) = (words.next().unwrap(), words.next().unwrap());
    let scale = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        other => panic!("{other} is no unit of time"),
    };
    number.parse::<f64>().unwrap() * scale
}

#[test]
fn dead_targets_are_connect_errors_and_status_1() {
    let dead = dead();
    let run = finish(&mut tool(&["-a", &dead, "-n", "3"]));
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    assert_eq!(
        closing_lines(&run.stdout),
        ["Finished 3/3 checks", "  Succeed: 0", "  Errors: connect 3, timeout 0, other 0"]
    );
    assert_eq!(verdicts(&run.stdout, "refused"), 3, "{run:?}");
    assert!(!run.stdout.contains("SYN-ACK"), "no answer, no round-trip times: {run:?}");
}

#[test]
fn live_dead_and_silent_targets_are_counted_apart() {
    let (_listener, up) = live();
    let dead = dead();
    let (_full, silent) = silent();
    let targets = ["-a", &up, "-a", &dead, "-a", &silent];
    let run = finish(&mut tool(&[&targets[..], &["-n", "2", "-t", "100"]].concat()));
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    assert_eq!(
        closing_lines(&run.stdout),
        ["Finished 6/6 checks", "  Succeed: 2", "  Errors: connect 2, timeout 2, other 0"]
    );
    for (word, count) in [("up", 2), ("refused", 2), ("timeout", 2)] {
        assert_eq!(verdicts(&run.stdout, word), count, "{word}: {run:?}");
    }
    assert!(run.stdout.contains(&format!("such as {silent} timed out")), "{run:?}");
}

#[test]
fn verbose_prints_what_is_not_up_and_very_verbose_every_check() {
    let (_listener, up) = live();
    let dead = dead();
    for (flag, up_lines) in [("-v", 0), ("-vv", 2)] {
        let run = finish(&mut tool(&[flag, "-a", &up, "-a", &dead, "-n", "2"]));
        assert_eq!(run.code(), SOME_DOWN, "{run:?}");
        assert_eq!(run.stdout.matches(&format!("{up} up")).count(), up_lines, "{flag}: {run:?}");
        let refused = format!("{dead} refused");
        assert_eq!(run.stdout.lines().filter(|line| line.starts_with(&refused)).count(), 2, "{flag}: {run:?}");
    }
}

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
    let complaints: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(complaints.len(), 3, "{run:?}");
    for named in [format!("{}:3: nowhere", file.path()), format!("{}:5: [::1:80", file.path()), "-a host:0".to_owned()]
    {
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
fn bad_flags_and_numbers_are_usage_errors_that_say_what_was_expected() {
    let target = "127.0.0.1:1";
    let wrong: [(&[&str], &str); 25] = [
        (&["-x"], "-x: no such option"),
        (&["-a"], "-a wants a value"),
        (&["-a", target, "stray"], "stray: unexpected"),
        (&["-a", target, "-4", "-6"], "-4 and -6 exclude each other"),
        (&["-a", target, "-m", "-j"], "-j and -m exclude each other"),
        (&["-a", target, "-n", "0"], "-n 0: expected a number from 1"),
        (&["-a", target, "-n", "many"], "-n many: expected a number"),
        (&["-a", target, "-n", ""], "-n : expected a number"),
        (&["-a", target, "-n", "-3"], "-n -3: expected a number"),
        (&["-a", target, "-n", "99999999999999999999"], "-n 99999999999999999999: expected a number"),
        (&["-a", target, "-c", "0"], "-c 0: expected a number"),
        (&["-a", target, "-c", "1000000000"], "-c 1000000000: expected a number"),
        (&["-a", target, "-t", "0"], "-t 0: expected a number"),
        (&["-a", target, "-t", "1.5"], "-t 1.5: expected a number"),
        (&["-a", target, "-r", "1e3"], "-r 1e3: expected a number"),
        (&["-a", target, "-s", "localhost"], "-s localhost: expected an IP address"),
        (&["-a", target, "-T", "4000000000"], "-T 4000000000: "),
        (&["--engine"], "--engine wants a value"),
        (&["-a", target, "--engine", "turbo"], "--engine turbo: expected socket, raw or auto"),
        (&["-a", target, "--engine="], "--engine : expected socket, raw or auto"),
        (&["-a", target, "--engine==raw"], "--engine =raw: expected socket, raw or auto"),
        (&["-a", target, "--syn-interval", "0.3"], "--syn-interval 0.3: expected a number from 0"),
        (&["-a", target, "--syn-interval=-1"], "--syn-interval -1: expected a number from 0"),
        (&["-a", target, "--syn-interval", "4294967296"], "--syn-interval 4294967296: expected a number from 0"),
        (&["-a", target, "--turbo"], "--turbo: no such option"),
    ];
    for (arguments, complaint) in wrong {
        let run = finish(&mut tool(arguments));
        assert_eq!(run.code(), USAGE, "{arguments:?}: {run:?}");
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(run.stderr.starts_with(&format!("tcp-checker: {complaint}")), "{arguments:?}: {run:?}");
    }
}

#[test]
fn values_behind_a_sign_of_equality_are_taken_as_gos_tool_takes_them() {
    let (_listener, up) = live();
    let (_full, silent) = silent();
    let (up, silent) = (format!("-a={up}"), format!("-a={silent}"));
    let list = TextFile::new("equal", "127.0.0.1:9\n");
    let file = format!("-f={}", list.path());
    let run = finish(&mut tool(&[&up, &silent, &file, "-t=100", "-n=2", "-c=3", "-r=0", "-T=1", "-s=127.0.0.1"]));
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    assert_eq!(
        closing_lines(&run.stdout),
        ["Finished 6/6 checks", "  Succeed: 2", "  Errors: connect 2, timeout 2, other 0"]
    );
    // One sign is Go's; a second one is part of the value.
    for (argument, complaint) in [("-t=", "-t : expected a number"), ("-t==100", "-t =100: expected a number")] {
        let run = finish(&mut tool(&[&up, argument]));
        assert_eq!(run.code(), USAGE, "{run:?}");
        assert!(run.stderr.starts_with(&format!("tcp-checker: {complaint}")), "{run:?}");
    }
}

#[test]
fn help_lists_every_option_on_standard_output() {
    let run = finish(&mut tool(&["-h"]));
    assert_eq!((run.code(), run.stderr.as_str()), (UP, ""), "{run:?}");
    let letters = ["-a", "-f", "-n", "-c", "-t", "-r", "-4, -6", "-s", "-T", "-v", "-j", "-m", "-h"];
    for option in letters.into_iter().chain(["--engine", "--syn-interval"]) {
        assert!(run.has_line(&format!("  {option} ")), "{option}: {run:?}");
    }
}

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
            assert_eq!(check["error"], if status == "refused" { "Connection refused" } else { "" }, "{run:?}");
            for number in ["os_error", "rtt_us", "syn_retransmits", "elapsed_us"] {
                assert!(check[number].parse::<u64>().is_ok(), "{number}: {run:?}");
            }
            assert!(matches!(check["half_open"].as_str(), "true" | "false"), "{run:?}");
        }
    }
}

/// Reads one flat JSON object, strictly; numbers and words stay text.
fn parse(line: &str) -> BTreeMap<String, String> {
    let mut rest = line.strip_prefix('{').and_then(|line| line.strip_suffix('}')).expect(line);
    let mut object = BTreeMap::new();
    loop {
        let key = parse_string(&mut rest).expect(line);
        rest = rest.strip_prefix(':').expect(line);
        let value = if rest.starts_with('"') {
            parse_string(&mut rest).expect(line)
        } else {
            let (word, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            assert!(matches!(word, "true" | "false" | "null") || word.parse::<i64>().is_ok(), "{word:?} in {line}");
            rest = after;
            word.to_owned()
        };
        assert!(object.insert(key, value).is_none(), "a key stands twice: {line}");
        if rest.is_empty() {
            return object;
        }
        rest = rest.strip_prefix(',').expect(line);
    }
}

fn parse_string(rest: &mut &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = rest.strip_prefix('"')?.chars();
    loop {
        match letters.next()? {
            '"' => break,
            '\\' => match letters.next()? {
                letter @ ('"' | '\\') => text.push(letter),
                'u' => {
                    let digits: String = letters.by_ref().take(4).collect();
                    text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                _ => return None,
            },
            letter if letter < ' ' => return None,
            letter => text.push(letter),
        }
    }
    *rest = letters.as_str();
    Some(text)
}

#[test]
fn ctrl_c_ends_a_run_with_a_summary_of_what_was_done() {
    let (_listener, up) = live();
    let (_full, silent) = silent();
    let mut running = Running::start(&mut tool(&["-vv", "-a", &up, "-a", &silent, "-t", "600000"]));
    running.wait_for_line(&[&up, "up"]);
    running.signal(libc::SIGINT);
    let run = running.finish();
    assert_eq!(run.code(), NO_VERDICT, "{run:?}");
    assert_eq!(
        closing_lines(&run.stdout),
        ["Finished 1/2 checks", "  Succeed: 1", "  Errors: connect 0, timeout 0, other 0"]
    );
    assert_eq!(verdicts(&run.stdout, "cancelled"), 1, "{run:?}");
}

#[test]
fn ctrl_c_in_full_flight_loses_no_check() {
    let (_listener, up) = live();
    let mut running = Running::start(&mut tool(&["-j", "-a", &up, "-n", "4000000000", "-c", "200"]));
    for _ in 0..1000 {
        running.wait_for_line(&[&up]);
    }
    running.signal(libc::SIGINT);
    let run = running.finish();
    assert_eq!(run.code(), NO_VERDICT, "{}", run.stderr);
    let finished = closing_lines(&run.stderr)[0].strip_prefix("Finished ").unwrap();
    let finished: usize = finished.split('/').next().unwrap().parse().unwrap();
    let cancelled = verdicts(&run.stderr, "cancelled");
    assert_eq!(verdicts(&run.stderr, "up") as usize, finished, "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), finished + cancelled as usize, "{}", run.stderr);
    assert!(finished >= 1000 && cancelled <= 200, "{}", run.stderr);
}

#[test]
fn ctrl_c_ends_the_one_check_under_way_whenever_it_comes() {
    let (_listener, up) = live();
    let (_full, silent) = silent();
    for delay in (0..40).chain([500]) {
        let targets = ["-vv", "-c", "1", "-a", &up, "-a", &silent, "-a", &up, "-t", "600000"];
        let mut running = Running::start(&mut tool(&targets));
        running.wait_for_line(&[&up, "up"]);
        std::thread::sleep(Duration::from_micros(50 * delay * delay));
        running.signal(if delay % 2 == 0 { libc::SIGINT } else { libc::SIGTERM });
        let run = running.finish();
        assert_eq!(run.code(), NO_VERDICT, "{run:?}");
        assert_eq!(closing_lines(&run.stdout)[..2], ["Finished 1/3 checks", "  Succeed: 1"], "{run:?}");
        // Where it came before the second check began, there was nothing to cancel.
        assert!(verdicts(&run.stdout, "cancelled") <= 1, "{run:?}");
    }
}

#[test]
fn ctrl_c_ends_a_run_that_waits_for_its_rate() {
    let (_listener, up) = live();
    for at_once in ["1", "2"] {
        let mut running = Running::start(&mut tool(&["-vv", "-a", &up, "-n", "1000", "-c", at_once, "-r", "1"]));
        running.wait_for_line(&[&up, "up"]);
        running.signal(libc::SIGINT);
        let run = running.finish();
        assert_eq!(run.code(), NO_VERDICT, "{run:?}");
        assert!(verdicts(&run.stdout, "up") < 900, "{run:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let (_listener, up) = live();
    for at_once in ["1", "2"] {
        let mut tool = tool(&["-vv", "-a", &up, "-n", "4000000000", "-c", at_once]);
        let mut running = tool.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(running.stdout.take());
        until("it ends", || running.try_wait().unwrap().is_some());
        assert_eq!(running.wait().unwrap().signal(), Some(libc::SIGPIPE));
    }
}

#[test]
fn one_at_a_time_is_asked_by_the_thread_that_tells_and_not_by_the_librarys() {
    if !has("strace", "one_at_a_time_is_asked_by_the_thread_that_tells") {
        return;
    }
    let (_listener, up) = live();
    let log = TextFile::new("strace", "");
    let mut strace = Command::new("strace");
    strace.env_remove("LD_LIBRARY_PATH").args(["-f", "-e", "trace=connect,write", "-o", log.path()]);
    strace.arg(program("dynamic", "tcp-checker")).args(["-vv", "-c", "1", "-n", "20", "-a", &up]);
    let run = finish(&mut strace);
    assert_eq!(run.code(), UP, "{run:?}");
    let told = std::fs::read_to_string(log.path()).unwrap();
    let threads = |call: &str| -> BTreeSet<&str> {
        let calls = told.lines().filter(|line| line.contains(call));
        calls.map(|line| line.split_whitespace().next().unwrap()).collect()
    };
    let asking = threads(" connect(");
    assert_eq!(asking.len(), 1, "{told}");
    assert_eq!(asking, threads(&format!("\"{up} up")), "{told}");
}

#[test]
fn a_rate_is_kept_and_no_check_is_late_for_it() {
    let (_listener, up) = live();
    let started = Instant::now();
    // Handed over all at once, the last would wait four seconds for its turn, far past this timeout.
    let run = finish(&mut tool(&["-a", &up, "-n", "400", "-c", "400", "-r", "100", "-t", "1500"]));
    assert_eq!(run.code(), UP, "{run:?}");
    // The first few may go at once, and the clocks need not agree to the last per cent.
    assert!(started.elapsed() > Duration::from_millis(3_800), "{:?}: {run:?}", started.elapsed());
}

#[test]
fn a_rate_that_a_stalling_machine_cannot_keep_makes_no_check_late() {
    let (_listener, up) = live();
    let mut running = Running::start(&mut tool(&["-a", &up, "-n", "400", "-c", "400", "-r", "100", "-t", "1500"]));
    // It runs for a third of the time. What the library may not start then, it does not make up for.
    while running.child.try_wait().unwrap().is_none() {
        running.signal(libc::SIGSTOP);
        std::thread::sleep(Duration::from_millis(40));
        running.signal(libc::SIGCONT);
        std::thread::sleep(Duration::from_millis(20));
    }
    let run = running.finish();
    assert_eq!(run.code(), UP, "{run:?}");
}

#[test]
fn a_rate_slower_than_the_timeout_still_gives_every_check_its_turn() {
    let (_listener, up) = live();
    for at_once in ["1", "4"] {
        let started = Instant::now();
        let run = finish(&mut tool(&["-a", &up, "-n", "4", "-c", at_once, "-r", "1", "-t", "900"]));
        assert_eq!(run.code(), UP, "{run:?}");
        assert!(started.elapsed() > Duration::from_millis(2_900), "{:?}: {run:?}", started.elapsed());
    }
}

#[test]
fn thousands_at_once_need_no_more_than_their_timeout() {
    let (_listener, up) = live();
    let run = finish(&mut tool(&["-a", &up, "-n", "50000", "-c", "5000"]));
    assert_eq!(run.code(), UP, "{run:?}");
    assert_eq!(closing_lines(&run.stdout)[..2], ["Finished 50000/50000 checks", "  Succeed: 50000"]);
}

#[test]
fn more_at_once_than_the_limit_of_descriptors_is_a_usage_error_that_names_the_limit() {
    let mut limited = Command::new("sh");
    limited.env_remove("LD_LIBRARY_PATH").args(["-c", "ulimit -n 300; exec \"$@\"", "sh"]);
    let run = finish(limited.arg(program("dynamic", "tcp-checker")).args(["-a", "127.0.0.1:9", "-c", "201"]));
    assert_eq!(run.code(), USAGE, "{run:?}");
    assert!(run.stderr.contains("-c 201: ") && run.stderr.contains("leaves room for 200"), "{run:?}");
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
    // Two at once, so that there is room for an early SYN; less time than the interval of the library.
    let arguments = ["--syn-interval", "50", "-j", "-a", &silent, "-c", "2", "-t", "250"];
    until("an early SYN", || {
        let run = finish(&mut tool(&arguments));
        assert_eq!(run.code(), SOME_DOWN, "{run:?}");
        parse(run.stdout.trim_end())["syn_retransmits"] != "0"
    });
}

#[test]
fn several_loops_check_every_target_of_a_long_list() {
    let listeners: Vec<_> = (0..20).map(|_| live()).collect();
    let list: String = (0..1000).map(|line| format!("{}\n", listeners[line % 20].1)).collect();
    for loops in ["0", "3"] {
        let run = finish_with_input(&mut tool(&["-f", "-", "-n", "5", "-T", loops]), &list);
        assert_eq!(run.code(), UP, "{run:?}");
        assert_eq!(closing_lines(&run.stdout)[..2], ["Finished 5000/5000 checks", "  Succeed: 5000"]);
    }
}

#[test]
fn memory_does_not_grow_with_the_number_of_checks() {
    let (_listener, up) = live();
    let peak_kib = |checks: &str| {
        let mut tool = tool(&["-a", &up, "-n", checks, "-c", "100", "-j"]);
        tool.stdout(Stdio::null()).stderr(Stdio::null());
        #[expect(clippy::zombie_processes, reason = "wait4 waits for it, and tells its peak")]
        let child = tool.spawn().unwrap();
        let mut status = 0;
        // SAFETY: both pointers are to locals that live through the call; nobody else waits for this child.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            assert_eq!(libc::wait4(child.id() as i32, &mut status, 0, &mut usage), child.id() as i32);
            usage
        };
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == UP, "{status}");
        usage.ru_maxrss
    };
    let (few, many) = (peak_kib("2000"), peak_kib("200000"));
    assert!(many < few + 2048, "2,000 checks took {few} KiB, 200,000 took {many} KiB");
}

#[test]
fn progress_is_shown_on_a_terminal_and_nowhere_else() {
    let (_full, silent) = silent();
    let arguments = ["-a", &silent, "-t", "6000"];
    let piped = finish(&mut tool(&arguments));
    assert_eq!((piped.code(), piped.stderr.as_str()), (SOME_DOWN, ""), "{piped:?}");
    assert!(!piped.stdout.contains("left"), "{piped:?}");

    if !has("script", "progress_is_shown_on_a_terminal") {
        return;
    }
    let line = [&[program("dynamic", "tcp-checker").to_str().unwrap()], &arguments[..]].concat().join(" ");
    let mut script = Command::new("script");
    let shown = finish(script.env_remove("LD_LIBRARY_PATH").args(["-qec", &line, "/dev/null"]));
    assert_eq!(shown.code(), SOME_DOWN, "{shown:?}");
    assert!(shown.stdout.contains("0/1  0/s  up 0  down 0  unknown time left"), "{shown:?}");
    assert!(shown.stdout.contains("Finished 1/1 checks in "), "{shown:?}");
}

#[test]
fn progress_in_a_real_terminal_is_one_line_that_moves_and_then_makes_way_for_the_summary() {
    if !has("tmux", "progress_in_a_real_terminal") {
        return;
    }
    let (_listener, up) = live();
    let socket = format!("tcpshaker-{}", std::process::id());
    let tool = program("dynamic", "tcp-checker");
    let line = format!("env -u LD_LIBRARY_PATH {} -a {up} -n 200 -r 20 -c 2; sleep 600", tool.display());
    let tmux = |arguments: &[&str]| -> Finished {
        let mut tmux = Command::new("tmux");
        // Inside a tmux it would join that one.
        finish(tmux.env_remove("TMUX").args(["-L", &socket, "-f", "/dev/null"]).args(arguments))
    };
    let started = tmux(&["new-session", "-d", "-x", "80", "-y", "50", &line]);
    assert_eq!(started.code(), 0, "{started:?}");

    let (mut progress, mut screen) = (Vec::new(), String::new());
    let deadline = Instant::now() + Duration::from_secs(120);
    while !screen.contains("completed against our will") && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
        screen = tmux(&["capture-pane", "-p"]).stdout;
        let moving: Vec<&str> = screen.lines().filter(|line| line.contains(" left")).collect();
        assert!(moving.len() <= 1, "progress takes more than one line:\n{screen}");
        if let [line] = moving[..]
            && progress.last().is_none_or(|last| last != line)
        {
            progress.push(line.to_owned());
        }
    }
    tmux(&["kill-server"]);

    assert!(screen.starts_with("Finished 200/200 checks in "), "the progress line is gone:\n{screen}");
    assert!(progress.len() >= 2, "it moves: {progress:?}");
    for line in &progress {
        assert!(line.contains("/200  ") && line.contains("/s  up ") && line.contains("  down 0  "), "{progress:?}");
    }
}
