//! Targets of -a and -f: a summary in numbers, for scripts that know Go's tcp-shaker.

use crate::c_programs::{FLAVOURS, TextFile, command, dead, finish, finish_with_input, live, silent};
use crate::the_tool::*;

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
    let run = finish(&mut tool(&[&targets[..], &["-n", "2", "-t", "1000"]].concat()));
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
fn values_behind_a_sign_of_equality_are_taken_as_gos_tool_takes_them() {
    let (_listener, up) = live();
    let (_full, silent) = silent();
    let (up, silent) = (format!("-a={up}"), format!("-a={silent}"));
    let list = TextFile::new("equal", "127.0.0.1:9\n");
    let file = format!("-f={}", list.path());
    let run = finish(&mut tool(&[&up, &silent, &file, "-t=1000", "-n=2", "-c=3", "-r=0", "-T=1", "-s=127.0.0.1"]));
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    assert_eq!(
        closing_lines(&run.stdout),
        ["Finished 6/6 checks", "  Succeed: 2", "  Errors: connect 2, timeout 2, other 0"]
    );
    // One sign is Go's; a second one is part of the value.
    for (argument, complaint) in [("-t=", "-t : expected a time"), ("-t==100", "-t =100: expected a time")] {
        let run = finish(&mut tool(&[&up, argument]));
        assert_eq!(run.code(), USAGE, "{run:?}");
        assert!(run.stderr.starts_with(&format!("tcp-checker: {complaint}")), "{run:?}");
    }
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
