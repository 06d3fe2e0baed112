//! The C examples as tests see them: built by their own Makefile, run with a limit on their time.
#![allow(dead_code)] // each test binary uses its part

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::targets::{DEAD_PORT, FullListener, Listener, V4, at};

/// Nothing here takes a hundredth of this; it only keeps a hang from lasting for ever.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// What is printed by a program that was killed comes at once, or never.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The program that is no example, in tools/.
const TOOL: &str = "tcp-checker";

pub const FLAVOURS: [&str; 2] = ["dynamic", "static"];

/// Where the sources of an example are, or those of the tool.
fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(if name == TOOL { "tools/tcp-checker" } else { "examples-c" })
}

/// Runs make in examples-c, or for the tool in its directory.
pub fn make(arguments: &[&str]) -> Finished {
    make_in(&directory(""), arguments)
}

/// Keeps test binaries that run side by side from building over each other in a directory with a Makefile.
pub fn lock(directory: &Path) -> File {
    let build = directory.join("build");
    fs::create_dir_all(&build).unwrap();
    let lock = File::create(build.join(".lock")).unwrap();
    // SAFETY: the descriptor is open; closing it gives the lock back.
    assert_eq!(unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) }, 0, "{}", std::io::Error::last_os_error());
    lock
}

/// Runs make, alone in this directory.
pub fn make_in(directory: &Path, arguments: &[&str]) -> Finished {
    let _lock = lock(directory);
    let mut make = Command::new("make");
    // A make around cargo would hand its own flags down, and cargo test its own build of the library.
    make.env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("MAKELEVEL").env_remove("LD_LIBRARY_PATH");
    make.env("WERROR", "-Werror").arg("-C").arg(directory).args(arguments);
    // The library may have to be built from nothing.
    finish_within(&mut make, "", Duration::from_secs(1800))
}

/// The path of an example or of the tool, built if need be.
pub fn program(flavour: &str, name: &str) -> PathBuf {
    static EXAMPLES: OnceLock<()> = OnceLock::new();
    static THE_TOOL: OnceLock<()> = OnceLock::new();
    let directory = directory(name);
    if name == TOOL { &THE_TOOL } else { &EXAMPLES }.get_or_init(|| {
        let built = make_in(&directory, &["all"]);
        assert!(built.status.success(), "make all failed in {directory:?}:\n{}{}", built.stdout, built.stderr);
    });
    directory.join("build").join(flavour).join(name)
}

/// A command for an example or for the tool.
pub fn command(flavour: &str, name: &str) -> Command {
    let mut command = Command::new(program(flavour, name));
    // cargo test points it at its own build of the library, which would come before the program's own path.
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The exit status; a program killed by a signal has none.
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("killed: {self:?}"))
    }

    /// Whether some line of standard output starts with this text.
    pub fn has_line(&self, start: &str) -> bool {
        self.stdout.lines().any(|line| line.starts_with(start))
    }
}

pub fn finish(command: &mut Command) -> Finished {
    finish_with_input(command, "")
}

pub fn finish_with_input(command: &mut Command, input: &str) -> Finished {
    finish_within(command, input, PATIENCE)
}

pub fn finish_within(command: &mut Command, input: &str, patience: Duration) -> Finished {
    let mut running = Running::start(command);
    let mut stdin = running.child.stdin.take().unwrap();
    // A program that does not read its input may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    running.finish_within(patience)
}

/// A program that runs, its output read line by line.
pub struct Running {
    pub child: Child,
    lines: Receiver<String>,
    seen: String,
    /// What came on standard error so far.
    errors: Arc<Mutex<Vec<u8>>>,
    /// Is disconnected at the end of standard error.
    errors_end: Receiver<()>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (line_sender, lines) = mpsc::channel();
        let (end_sender, errors_end) = mpsc::channel();
        let errors = Arc::new(Mutex::new(Vec::new()));
        let sink = errors.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
                if line_sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
                line.clear();
            }
        });
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                sink.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
            drop(end_sender);
        });
        Running { child, lines, seen: String::new(), errors, errors_end }
    }

    /// Waits for a line of standard output that holds each of these texts.
    #[track_caller]
    pub fn wait_for_line(&mut self, texts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    if texts.iter().all(|text| line.contains(text)) {
                        return line;
                    }
                }
                Err(_) => self.give_up(&format!("no line with {texts:?}")),
            }
        }
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: kill() takes no pointers; the child is not waited for yet, so its id is still its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0, "{}", std::io::Error::last_os_error());
    }

    pub fn finish(self) -> Finished {
        self.finish_within(PATIENCE)
    }

    /// Ends the program, and tells what it said on both its outputs.
    #[track_caller]
    fn give_up(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A child of its own may hold the pipes open for as long as it likes.
        self.seen.extend(std::iter::from_fn(|| self.lines.recv_timeout(LAST_WORDS).ok()));
        let errors = self.errors(LAST_WORDS);
        panic!("{why}; it printed:\n{}\nand on standard error:\n{errors}", self.seen);
    }

    /// What came on standard error until its end, or so far if the end does not come in time.
    fn errors(&self, patience: Duration) -> String {
        let _ = self.errors_end.recv_timeout(patience);
        String::from_utf8_lossy(&self.errors.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn finish_within(mut self, patience: Duration) -> Finished {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push_str(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.give_up(&format!("still running after {patience:?}")),
            }
        }
        let status = self.child.wait().unwrap();
        let stderr = self.errors(patience);
        Finished { status, stdout: self.seen, stderr }
    }
}

/// A listener on loopback and its address as a target.
pub fn live() -> (Listener, String) {
    let listener = Listener::on(V4, 0);
    let target = listener.address().to_string();
    (listener, target)
}

/// A target that refuses.
pub fn dead() -> String {
    at(V4, DEAD_PORT).to_string()
}

/// A target that never answers.
pub fn silent() -> (FullListener, String) {
    let listener = FullListener::on(V4, 0);
    let target = listener.address().to_string();
    (listener, target)
}

/// A file for one test, removed after it.
pub struct TextFile(pub PathBuf);

impl TextFile {
    pub fn new(name: &str, text: impl AsRef<[u8]>) -> TextFile {
        let path = std::env::temp_dir().join(format!("tcpshaker-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        TextFile(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TextFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
