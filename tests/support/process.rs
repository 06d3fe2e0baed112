//! This process, seen from outside: its threads, its descriptors, forked children, and other programs.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a shell command that must succeed; returns what it printed.
#[track_caller]
pub fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output().expect("sh starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{command}` failed with {}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program that must succeed, with `text` on its standard input.
#[track_caller]
pub fn feed(program: &str, arguments: &[&str], text: &str) {
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect(program);
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads its input");
    let output = child.wait_with_output().expect("it can be waited for");
    assert!(output.status.success(), "{program} refused:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Sets a kernel parameter of this namespace.
#[track_caller]
pub fn sysctl(path: &str, value: &str) {
    std::fs::write(Path::new("/proc/sys").join(path), value).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Waits until `condition` holds; panics, saying `what` never came, after a minute.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited a minute in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many descriptors this process has open.
pub fn open_descriptors() -> usize {
    // The directory is read through a descriptor of its own.
    std::fs::read_dir("/proc/self/fd").expect("/proc").count() - 1
}

/// The threads of this process.
pub fn threads() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc/self/task").expect("/proc");
    let mut ids: Vec<u32> =
        entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// A forked child of this process, made to do one thing and vanish.
pub struct Forked {
    pid: libc::pid_t,
}

impl Forked {
    /// Forks; the child does `work` and exits with its result, with nothing flushed, dropped or unwound into the test.
    pub fn new(work: impl FnOnce() -> i32) -> Forked {
        // SAFETY: the child runs on the one thread that forked; glibc keeps its allocator usable there, and _exit ends
        // it before anything of the parent's could be torn down twice.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                // SAFETY: ends this process at once.
                unsafe { libc::_exit(outcome.unwrap_or(101)) }
            }
            pid => Forked { pid },
        }
    }

    /// Waits for the child to end; returns its exit status, or 128 and the signal that ended it.
    pub fn wait(self) -> i32 {
        let mut status = 0;
        loop {
            // SAFETY: the child is this process's own and not waited for yet.
            if unsafe { libc::waitpid(self.pid, &mut status, 0) } == self.pid {
                break;
            }
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EINTR));
        }
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
    }
}

/// Stops the parent of a forked child (SIGSTOP), waits for `pause` to return, and lets it go on (SIGCONT).
pub fn stop_parent_during(pause: impl FnOnce()) {
    // SAFETY: the parent is the test that forked this child and waits for it.
    let parent = unsafe { libc::getppid() };
    assert!(parent > 1, "the test that forked this child is gone");
    // SAFETY: as above.
    unsafe { libc::kill(parent, libc::SIGSTOP) };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(pause));
    // SAFETY: as above.
    unsafe { libc::kill(parent, libc::SIGCONT) };
    assert!(outcome.is_ok(), "the pause panicked");
}

/// Keeps this thread, and those that it starts from now on, to one processor.
pub fn share_one_processor() {
    // SAFETY: the set is this function's own, and whole whatever its bits are.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of_val(&set), &mut set), 0);
        let first = (0..libc::CPU_SETSIZE as usize).find(|cpu| libc::CPU_ISSET(*cpu, &set)).expect("a processor");
        libc::CPU_ZERO(&mut set);
        libc::CPU_SET(first, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
    }
}
