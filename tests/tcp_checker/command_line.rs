//! Options: their names, their values, and what is said of wrong ones.

use crate::c_programs::{finish, live};
use crate::the_tool::*;

#[test]
fn bad_flags_and_numbers_are_usage_errors_that_say_what_was_expected() {
    let target = "127.0.0.1:1";
    let wrong: [(&[&str], &str); 39] = [
        (&["-y"], "invalid option -- 'y'"),
        (&["-a"], "option requires an argument -- 'a'"),
        (&["-a", target, "-j", "--csv"], "-j and --csv exclude each other"),
        (&["-a", target, "--alive", "--unreachable"], "--alive and --unreachable exclude each other"),
        (&["-a", target, "-n", "2", "-l"], "-n and -l exclude each other"),
        (&["-a", target, "--fall", "2"], "--fall and --rise are for tcp-checker watch"),
        (&["watch", target, "-n", "2"], "watch goes on until Ctrl-C"),
        (&["watch", target, "-Q", "1"], "watch tells changes and nothing else"),
        (&["watch", target, "-x", "1"], "watch tells changes and nothing else"),
        (&["watch", target, "--alive"], "watch tells changes and nothing else"),
        (&["watch", target, "--unreachable"], "watch tells changes and nothing else"),
        (&["--metrics-file", "/dev/null", target, "--alive"], "watch tells changes and nothing else"),
        (&["-a", target, "-O", "256"], "-O 256: expected a number from 0 to 255"),
        (&["-a", target, "-M", "0x1g"], "-M 0x1g: expected a number from 0 to 0xffffffff"),
        (&["-a", target, "-4", "-6"], "-4 and -6 exclude each other"),
        (&["-a", target, "-m", "-j"], "-j and -m exclude each other"),
        (&["-a", target, "-n", "0"], "-n 0: expected a number from 1"),
        (&["-a", target, "-n", "many"], "-n many: expected a number"),
        (&["-a", target, "-n", ""], "-n : expected a number"),
        (&["-a", target, "-n", "-3"], "-n -3: expected a number"),
        (&["-a", target, "-n", "99999999999999999999"], "-n 99999999999999999999: expected a number"),
        (&["-a", target, "-c", "0"], "-c 0: expected a number"),
        (&["-a", target, "-c", "1000000000"], "-c 1000000000: expected a number"),
        (&["-a", target, "-t", "0"], "-t 0: expected a time"),
        (&["-a", target, "-t", "1.5"], "-t 1.5: expected a time"),
        (&["-a", target, "-r", "1e3"], "-r 1e3: expected a number"),
        (&["-a", target, "-s", "localhost"], "-S localhost: expected an IP address"),
        (&["-a", target, "-T", "4000000000"], "-T 4000000000: "),
        (&["--engine"], "option '--engine' requires an argument"),
        (&["-a", target, "--engine", "turbo"], "--engine turbo: expected socket, raw or auto"),
        (&["-a", target, "--engine="], "--engine : expected socket, raw or auto"),
        (&["-a", target, "--engine==raw"], "--engine =raw: expected socket, raw or auto"),
        (&["-a", target, "--syn-interval", "0.3"], "--syn-interval 0.3: expected a time"),
        (&["-a", target, "--syn-interval=-1"], "--syn-interval -1: expected a time"),
        (&["-a", target, "--syn-interval", "4294967296"], "--syn-interval 4294967296: expected a time"),
        (
            &["-p", "300ms", "127.0.0.1"],
            "-p 300ms: expected a port, from 1 to 65535, or the name of a service; the time",
        ),
        (&["-p", "65536", "127.0.0.1"], "-p 65536: expected a port"),
        (&["--port=", "127.0.0.1"], "-p : expected a port"),
        (&["-a", target, "--turbo"], "unrecognized option '--turbo'"),
    ];
    for (arguments, complaint) in wrong {
        let run = finish(&mut tool(arguments));
        assert_eq!(run.code(), USAGE, "{arguments:?}: {run:?}");
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(run.stderr.starts_with(&format!("tcp-checker: {complaint}")), "{arguments:?}: {run:?}");
    }
}

#[test]
fn help_lists_every_option_on_standard_output() {
    for option in ["-h", "--help"] {
        let run = finish(&mut tool(&[option]));
        assert_eq!((run.code(), run.stderr.as_str()), (UP, ""), "{run:?}");
        assert!(run.has_line("Usage: tcp-checker "), "{run:?}");
        for letter in "46aCcDfghIijlMmnOopQqrSTtVvx".chars() {
            assert!(run.has_line(&format!("  -{letter}, ")), "-{letter} with a long name: {run:?}");
        }
        assert!(run.stdout.lines().all(|line| line.len() < 80), "it fits a terminal: {run:?}");
    }
}

#[test]
fn the_version_is_that_of_the_library() {
    for option in ["-V", "--version"] {
        let run = finish(&mut tool(&[option]));
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!((run.code(), run.stdout), (UP, format!("tcp-checker {version}, libtcpshaker {version}\n")));
    }
}

#[test]
fn every_short_option_of_the_tcp_shaker_tool_has_a_long_name() {
    let (_listener, up) = live();
    let run = finish(&mut tool(&["--target", &up, "--checks=3", "--concurrency", "2", "--timeout=1s", "--verbose"]));
    assert_eq!(run.code(), UP, "{run:?}");
    assert_eq!(closing_lines(&run.stdout)[0], "Finished 3/3 checks");
}

#[test]
fn a_time_has_a_unit_or_is_of_milliseconds() {
    let (_full, silent) = crate::c_programs::silent();
    for (time, least) in [("600", 0.6), ("600ms", 0.6), ("0.6s", 0.6), ("0.01m", 0.6)] {
        let run = finish(&mut tool(&["-t", time, "-j", &silent]));
        assert_eq!(run.code(), SOME_DOWN, "{run:?}");
        let elapsed = parse(run.stdout.trim_end())["elapsed_us"].parse::<f64>().unwrap() / 1e6;
        assert!((least..60.0).contains(&elapsed), "-t {time} took {elapsed} s");
    }
}

#[test]
fn help_that_cannot_be_written_is_a_failure() {
    for option in ["--help", "--usage", "--version"] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let ended = tool(&[option]).stdout(full).output().unwrap();
        let complaint = "tcp-checker: the output could not be written\n";
        assert_eq!(
            (ended.status.code(), ended.stderr.as_slice()),
            (Some(NO_VERDICT), complaint.as_bytes()),
            "{option}"
        );
    }
}

#[test]
fn the_path_of_a_namespace_is_refused_and_not_cut_short_where_it_is_too_long() {
    let (_listener, up) = live();
    // As long as a path may be, without the end.
    let longest = "/".repeat(4095 - "proc/self/ns/net".len()) + "proc/self/ns/net";
    let run = finish(&mut tool(&["--netns", &format!("{longest}/more"), &up]));
    assert_eq!(run.code(), USAGE, "{run:?}");
    assert!(run.stderr.ends_with(": File name too long\n(tcp-checker --help lists the options)\n"), "{run:?}");
}
