//! Checks of a target again and again, and what is told of them together.

use std::time::{Duration, Instant};

use crate::c_programs::{Running, dead, finish, finish_with_input, live, silent};
use crate::support::targets::{Listener, V4};
use crate::the_tool::*;

/// The statistics of a target: sent, received, loss, and the times behind `min/avg/max/p95/jitter`, in milliseconds.
struct Statistics {
    counts: String,
    times: Vec<f64>,
    rest: String,
}

fn statistics(text: &str, target: &str) -> Statistics {
    let line = text.lines().rfind(|line| line.starts_with(target) && line.contains("xmt/rcv/%loss")).expect(text);
    let rest = line.split_once("xmt/rcv/%loss = ").expect(line).1;
    let times = rest.split_once("min/avg/max/p95/jitter = ").map_or(Vec::new(), |(_, times)| {
        times.split(',').next().unwrap().split('/').map(|time| time.parse().expect(line)).collect()
    });
    Statistics { counts: rest.split(',').next().unwrap().to_owned(), times, rest: rest.to_owned() }
}

#[test]
fn a_loop_has_a_line_a_check_until_ctrl_c_and_ends_with_statistics_of_each_target() {
    let (_listener, up) = live();
    let dead = dead();
    let mut running = Running::start(&mut tool(&["-l", "-i", "20", &up, &dead]));
    let line = running.wait_for_line(&[&up, "[2]", "up"]);
    assert!(line.contains(" ms (") && line.trim_end().ends_with(" avg, 0% loss)"), "{line}");
    let line = running.wait_for_line(&[&dead, "[3]", "refused"]);
    assert!(line.trim_end().ends_with("(NaN avg, 100% loss)"), "{line}");
    running.signal(libc::SIGINT);
    let run = running.finish();
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    let of_up = statistics(&run.stderr, &up);
    let counts: Vec<&str> = of_up.counts.split('/').collect();
    assert!(counts[0].parse::<u64>().unwrap() >= 3 && counts[0] == counts[1] && counts[2] == "0%", "{run:?}");
    let [min, mean, max, p95, jitter] = of_up.times[..] else { panic!("{run:?}") };
    assert!(0.0 < min && min <= mean && mean <= max && min <= p95 && p95 <= max, "{run:?}");
    assert!(jitter <= max - min + 0.001, "{run:?}");
    assert!(statistics(&run.stderr, &dead).counts.ends_with("/0/100%"), "{run:?}");
}

#[test]
fn a_loop_in_which_all_was_up_ends_well() {
    let (_listener, up) = live();
    let mut running = Running::start(&mut tool(&["--loop", "--interval=20ms", &up]));
    running.wait_for_line(&[&up, "[1]"]);
    running.signal(libc::SIGTERM);
    assert_eq!(running.finish().code(), UP);
}

#[test]
fn sigquit_shows_statistics_and_the_run_goes_on() {
    let (_listener, up) = live();
    let mut running = Running::start(&mut tool(&["-l", "-i", "20", &up]));
    running.wait_for_line(&[&up, "[1]"]);
    running.signal(libc::SIGQUIT);
    for _ in 0..20 {
        running.wait_for_line(&[&up, "up"]);
    }
    running.signal(libc::SIGINT);
    let run = running.finish();
    assert_eq!(run.code(), UP, "{run:?}");
    assert_eq!(run.stderr.matches("xmt/rcv/%loss").count(), 2, "once when asked, once at the end: {run:?}");
    assert!(run.stderr.starts_with('['), "the time of day stands above: {run:?}");
}

#[test]
fn checks_of_a_target_are_an_interval_apart_whatever_becomes_of_them() {
    let (_listener, up) = live();
    let (_full, silent) = silent();
    let mut tool = tool(&["-n", "4", "-i", "150ms", "-t", "2000", &up, &silent]);
    let started = Instant::now();
    let run = finish(&mut tool);
    assert!(started.elapsed() > Duration::from_millis(450), "{:?}: {run:?}", started.elapsed());
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    assert_eq!(statistics(&run.stderr, &up).counts, "4/4/0%", "{run:?}");
    assert_eq!(statistics(&run.stderr, &silent).counts, "4/0/100%", "{run:?}");
}

#[test]
fn an_outage_is_as_long_as_checks_found_it() {
    let listener = Listener::on(V4, 0);
    let address = listener.address();
    drop(listener);
    let target = address.to_string();
    let started = Instant::now();
    let mut running = Running::start(&mut tool(&["-l", "-o", "-i", "20", &target]));
    running.wait_for_line(&[&target, "[10]", "refused"]);
    let _listener = Listener::on(V4, address.port());
    running.wait_for_line(&[&target, "up"]);
    let at_most = started.elapsed();
    for _ in 0..5 {
        running.wait_for_line(&[&target, "up"]);
    }
    running.signal(libc::SIGINT);
    let run = running.finish();
    let rest = statistics(&run.stderr, &target).rest;
    let outage = rest.split_once("outage(ms) = ").expect(&rest).1.split(',').next().unwrap();
    let outage = Duration::from_millis(outage.parse().unwrap());
    assert!(outage >= Duration::from_millis(180) && outage <= at_most, "{outage:?} of {at_most:?}: {run:?}");
}

#[test]
fn interim_statistics_are_of_the_time_since_the_last() {
    let (_listener, up) = live();
    let run = finish(&mut tool(&["-Q", "0.1", "-n", "30", "-i", "20", &up]));
    assert_eq!((run.code(), run.stdout.as_str()), (UP, ""), "{run:?}");
    let sent: Vec<u64> = run
        .stderr
        .lines()
        .filter_map(|line| line.split_once("xmt/rcv/%loss = "))
        .map(|(_, counts)| counts.split('/').next().unwrap().parse().expect(counts))
        .collect();
    let (total, interim) = sent.split_last().unwrap();
    assert_eq!(*total, 30, "{run:?}");
    assert!(interim.len() >= 2 && interim.iter().sum::<u64>() <= 30, "{run:?}");
}

#[test]
fn times_stand_before_lines_that_are_to_have_them() {
    let (_listener, up) = live();
    for arguments in [&["-D", &up][..], &["-D", "-C", "2", "-i", "1", &up], &["-D", "--alive", &up]] {
        let run = finish(&mut tool(arguments));
        for line in run.stdout.lines() {
            let (time, rest) = line.strip_prefix('[').and_then(|line| line.split_once("] ")).expect(line);
            assert!(time.parse::<f64>().unwrap() > 1.7e9 && rest.starts_with(&up), "{line}");
        }
    }
}

#[test]
fn statistics_of_targets_of_a_summary_stand_below_it() {
    let (_listener, up) = live();
    let run = finish(&mut tool(&["-a", &up, "-a", &dead(), "-n", "3"]));
    assert_eq!(statistics(&run.stdout, &up).counts, "3/3/0%", "{run:?}");
    assert_eq!(run.stderr, "");
    let many: String = (0..25).map(|_| format!("{up}\n")).collect();
    for (verbose, lines) in [(&["-f", "-", "-n", "2"][..], 0), (&["-f", "-", "-n", "2", "-v"], 25)] {
        let run = finish_with_input(&mut tool(verbose), &many);
        assert_eq!(run.stdout.matches("xmt/rcv").count(), lines, "{run:?}");
    }
}
