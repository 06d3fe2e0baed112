//! How fast, how many at once, and in how much memory.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::c_programs::{Running, TextFile, finish, live, program};
use crate::the_tool::*;

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
    // Handed over all at once, the last would wait two seconds for its turn, far past this timeout.
    let mut tool = tool(&["-a", &up, "-n", "200", "-c", "200", "-r", "100", "-t", "1000"]);
    let started = Instant::now();
    let run = finish(&mut tool);
    assert_eq!(run.code(), UP, "{run:?}");
    // The first few may go at once, and the clocks need not agree to the last per cent.
    assert!(started.elapsed() > Duration::from_millis(1_800), "{:?}: {run:?}", started.elapsed());
}

#[test]
fn a_rate_that_a_stalling_machine_cannot_keep_makes_no_check_late() {
    let (_listener, up) = live();
    let mut running = Running::start(&mut tool(&["-a", &up, "-n", "200", "-c", "200", "-r", "100", "-t", "1500"]));
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
        let mut tool = tool(&["-a", &up, "-n", "3", "-c", at_once, "-r", "1", "-t", "900"]);
        let started = Instant::now();
        let run = finish(&mut tool);
        assert_eq!(run.code(), UP, "{run:?}");
        assert!(started.elapsed() > Duration::from_millis(1_900), "{:?}: {run:?}", started.elapsed());
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
    let (few, many) = (peak_kib("2000"), peak_kib("60000"));
    assert!(many < few + 1024, "2,000 checks took {few} KiB, 60,000 took {many} KiB");
}
