//! How a run ends before its time.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::c_programs::{Running, finish, live, program, silent};
use crate::support::process::until;
use crate::the_tool::*;

#[test]
fn ctrl_c_ends_a_run_with_a_summary_of_what_was_done() {
    let (_listener, up) = live();
    let (_full, silent) = silent();
    let mut running = Running::start(&mut tool(&["-vv", "-a", &up, "-a", &silent, "-t", "10m"]));
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
fn the_two_signals_of_timeout_are_one_and_the_statistics_are_printed() {
    let (_listener, up) = live();
    for _ in 0..20 {
        let mut running = Running::start(&mut tool(&["-l", "-i", "20", &up]));
        running.wait_for_line(&[&up, "[1]"]);
        running.signal(libc::SIGTERM);
        running.signal(libc::SIGTERM);
        let run = running.finish();
        assert_eq!(run.code(), UP, "{run:?}");
        assert!(run.stderr.contains("xmt/rcv/%loss"), "{run:?}");
    }
}

#[test]
fn a_second_ctrl_c_ends_a_run_that_cannot_print() {
    let (_listener, up) = live();
    let mut tool = tool(&["-vv", "-a", &up, "-n", "4000000000"]);
    let mut running = tool.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let call = format!("/proc/{}/syscall", running.id());
    let writing = format!("{} 0x1 ", libc::SYS_write);
    until("nobody reads, and it waits in write(2)", || std::fs::read_to_string(&call).unwrap().starts_with(&writing));
    until("it ends", || {
        // SAFETY: kill() takes no pointers; the child is not waited for yet, so its id is still its own.
        unsafe { libc::kill(running.id() as i32, libc::SIGINT) };
        std::thread::sleep(Duration::from_millis(100));
        running.try_wait().unwrap().is_some()
    });
    assert_eq!(running.wait().unwrap().signal(), Some(libc::SIGINT));
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
fn a_reader_that_goes_away_ends_the_run_also_where_the_signal_was_ignored() {
    let (_listener, up) = live();
    for way in [&["-l", "-i", "10"][..], &["watch", "-j", "-i", "10"]] {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' PIPE; exec \"$@\"", "-"]).arg(program("dynamic", "tcp-checker"));
        let mut running = shell.args(way).args([&up, "nowhere.invalid:1"]).stdout(Stdio::piped()).spawn().unwrap();
        drop(running.stdout.take());
        until("it ends", || running.try_wait().unwrap().is_some());
        assert_eq!(running.wait().unwrap().signal(), Some(libc::SIGPIPE), "{way:?}");
    }
}

#[test]
fn nothing_is_printed_into_a_socket_where_the_standard_descriptors_were_closed() {
    let (_listener, up) = live();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" <&- >&- 2>&-", "-"]).arg(program("dynamic", "tcp-checker"));
    let mut running = shell.args(["-l", "-i", "10", &up]).spawn().unwrap();
    let is_held = |descriptor: u32| {
        let held = std::fs::read_link(format!("/proc/{}/fd/{descriptor}", running.id()));
        held.is_ok_and(|file| file == Path::new("/dev/null"))
    };
    until("the descriptors are nobody else's", || (0..3).all(is_held));
    running.kill().unwrap();
    running.wait().unwrap();
    for (closed, code) in [(">&-", NO_VERDICT), ("2>&-", UP), ("<&-", UP)] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec \"$@\" {closed}"), "-"]).arg(program("dynamic", "tcp-checker"));
        let run = finish(shell.arg(&up));
        assert_eq!(run.code(), code, "{closed}: {run:?}");
    }
}
