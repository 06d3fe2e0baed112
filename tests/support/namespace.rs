//! A test in a network of its own: its outer half starts the same test again inside new namespaces and judges it by
//! its exit; the inner half finds loopback up and nothing else in the world.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::handshake;
use super::process::sh;
use super::sized::is_full;
use super::skipped;

/// Set in the inner half to the name of the test that it is.
const INSIDE: &str = "TCPSHAKER_TEST_INSIDE";

/// Far more than any test needs, far less than a stuck test would take; and more where a test is told to take longer.
fn time_limit() -> Duration {
    Duration::from_secs(300) + time_told().unwrap_or_default()
}

/// How much longer a test may take, where it is told to.
fn time_told() -> Option<Duration> {
    let told = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seconds =
        ["STORM_SECONDS", "SOAK_SECONDS", "SIGNAL_SECONDS"].into_iter().filter_map(told).map(|seconds| 2 * seconds);
    // Some calls are tried with each of twenty errors, and where nothing can be had, a try takes as long as its checks.
    let calls = told("SYSTEM_CALLS").map(|calls| 4 * calls);
    // Where half of all packets are lost, most checks of a network last until their deadline.
    let checks = told("NETWORK_CHECKS").map(|checks| checks / 100);
    let is_long = is_full() || std::env::var_os("MEMORY_SWEEP").is_some();
    let full_size = is_long.then_some(3_000);
    seconds.chain(calls).chain(checks).chain(full_size).max().map(Duration::from_secs)
}

/// Whether other tests may run at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// Others may run beside it.
    Any,
    /// It floods the machine, or counts on a processor: nobody beside it.
    Alone,
}

/// The first line of a test that needs a network of its own; names the programs that it also needs.
///
/// In the outer half it runs the inner half and returns from the test; in the inner half the test goes on.
macro_rules! namespaced {
    ($($tool:literal),* $(,)?) => { namespaced!(@ $crate::support::namespace::Company::Any, [$($tool),*]) };
    (alone $(, $tool:literal)* $(,)?) => { namespaced!(@ $crate::support::namespace::Company::Alone, [$($tool),*]) };
    (@ $company:expr, $tools:expr) => {
        fn here() {}
        if !$crate::support::namespace::entered(std::any::type_name_of_val(&here), $company, &$tools) {
            return;
        }
    };
}

/// Says that a test did not run, and why, past the harness that would hide it. In CI nothing is skipped.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "SKIPPED counts as failed where CI is set: {why}");
    tell_skipped(&format!("SKIPPED {test}: {why}"));
}

/// The inner half's output is the outer half's to tell.
fn tell_skipped(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
    if std::env::var_os(INSIDE).is_none() {
        skipped::note(line);
    }
}

/// Whether this is the inner half. `here` is the path of an item within the test function, which names the test.
pub fn entered(here: &str, company: Company, tools: &[&str]) -> bool {
    let test = here.split_once("::").and_then(|(_crate, path)| path.rsplit_once("::")).expect("a path within a test").0;
    if std::env::var_os(INSIDE).as_deref() == Some(OsStr::new(test)) {
        sh("ip link set lo up");
        handshake::make_room_for_completed_handshakes();
        return true;
    }
    if let Some(tool) = tools.iter().find(|tool| find_program(tool).is_none()) {
        skip(test, &format!("there is no {tool} on this machine"));
    } else if let Err(why) = namespaces_work() {
        skip(test, why);
    } else {
        // Others do not wait for one that takes as long as it is told.
        let _turn = time_told().is_none().then(|| Turn::take(company));
        run_inside(test);
    }
    false
}

/// Where a program is, looking also where only the administrator's PATH looks.
pub fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path()).map(|directory| directory.join(name)).find(|path| path.is_file())
}

fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

/// A command in new network and mount namespaces, and without root in a new user namespace too. There it keeps its
/// user and gets the capabilities: tcpdump would give up those of a root.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    // SAFETY: geteuid only returns a number.
    if unsafe { libc::geteuid() } != 0 {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command.args(["--net", "--mount", "--propagation", "private"]).env("PATH", search_path());
    command
}

fn namespaces_work() -> Result<(), &'static str> {
    static WORK: OnceLock<Result<(), String>> = OnceLock::new();
    let probe = || match unshare().args(["ip", "link", "set", "lo", "up"]).output() {
        Err(error) => Err(format!("there is no unshare on this machine: {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("no network namespace here: {}", String::from_utf8_lossy(&output.stderr).trim())),
    };
    WORK.get_or_init(probe).as_ref().map(|_| ()).map_err(String::as_str)
}

fn run_inside(test: &str) {
    // The same test may run in another column at the same time (tests/run).
    let log = format!("{}-{}.log", test.replace("::", "."), std::process::id());
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(log);
    let output = File::create(&log).expect("a log in the target directory");
    let child = unshare()
        .arg(std::env::current_exe().expect("the path of this test"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, test)
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a second handle of the log"))
        .stderr(output)
        .process_group(0) // so that whatever the test starts can be ended with it
        .spawn()
        .expect("unshare starts");
    let ended = wait_for(child);
    let said = String::from_utf8_lossy(&std::fs::read(&log).expect("the log")).into_owned();
    let _ = std::fs::remove_file(&log);
    // The harness has begun the line with the test's name.
    for line in said.lines().filter_map(|line| line.find("SKIPPED ").map(|at| &line[at..])) {
        tell_skipped(line);
    }
    match ended {
        None => panic!("{test} was still running after {:?} and was killed; it said:\n{said}", time_limit()),
        Some(status) if !status.success() => panic!("{test} ended with {status}; it said:\n{said}"),
        // A name that the harness does not know is no failure to it: then nothing ran at all.
        Some(_) => assert!(said.contains("test result: ok. 1 passed"), "{test} did not run inside; it said:\n{said}"),
    }
    print!("{said}"); // seen with --nocapture
}

/// Waits for the inner half and ends what is left of its process group; `None` if it ran out of time.
fn wait_for(mut child: Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + time_limit();
    let ended = loop {
        match child.try_wait().expect("the child can be waited for") {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    // SAFETY: the group is the child's own; nothing but what the test started is in it.
    unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
    let _ = child.wait();
    ended
}

/// A place among the tests of all the test programs: many may run beside each other, or one alone.
struct Turn {
    _lock: File,
}

impl Turn {
    /// Who wants to be alone keeps others waiting at the gate, or would wait as long as they come one after another.
    fn take(company: Company) -> Turn {
        let gate = locked("gate", libc::LOCK_EX);
        let turn = locked("turn", if company == Company::Alone { libc::LOCK_EX } else { libc::LOCK_SH });
        drop(gate);
        Turn { _lock: turn }
    }
}

/// A lock that the test programs of all builds share.
fn locked(name: &str, kind: libc::c_int) -> File {
    // SAFETY: getuid only returns a number.
    let user = unsafe { libc::getuid() };
    let file = File::create(std::env::temp_dir().join(format!("tcpshaker-tests-{user}.{name}"))).expect("a lock file");
    // SAFETY: the descriptor is open; closing it gives the lock back.
    assert_eq!(unsafe { libc::flock(file.as_raw_fd(), kind) }, 0, "{}", std::io::Error::last_os_error());
    file
}
