//! A running HAProxy, as its runtime socket shows it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::etc::mount_empty;
use crate::support::process::until;

pub const SOCKET: &str = "/run/haproxy.sock";
const CONFIGURATION: &str = "/run/haproxy.cfg";
const STATES: &str = "/run/haproxy.states";
const LOG: &str = "/run/haproxy.log";

/// HAProxy's master and worker. The one that a test leaves behind ends with the test's namespace.
pub struct Haproxy {
    master: Child,
}

impl Haproxy {
    /// Runs with these backends, the first of which has a front, and waits until its socket answers.
    pub fn start(backends: &str) -> Haproxy {
        mount_empty("/run");
        let configuration = format!(
            "global\n  stats socket {SOCKET} level admin\n  server-state-file {STATES}\n  nbthread 1\n  maxconn 100\n\
             defaults\n  mode tcp\n  load-server-state-from-file global\n  timeout connect 1s\n  timeout client 9s\n  timeout server 9s\n\
             frontend front\n  bind 127.0.0.1:7000\n  default_backend many\n{backends}"
        );
        std::fs::write(CONFIGURATION, configuration).expect("the configuration");
        Haproxy { master: run() }
    }

    /// Has the master start a new worker, as `systemctl reload` does; the old one goes when it has nothing left to do.
    /// The new one has a file with the states of the servers, or knows nothing of them.
    pub fn reload(&self, with_states: bool) {
        let before = worker();
        if with_states {
            std::fs::write(STATES, ask("show servers state")).expect("the states");
        }
        self.signal(libc::SIGUSR2);
        until("another worker", || !worker().is_empty() && worker() != before);
    }

    /// Ends it, and starts it after `meanwhile`.
    pub fn restart(&mut self, meanwhile: impl FnOnce()) {
        self.signal(libc::SIGTERM);
        self.master.wait().expect("it ends");
        meanwhile();
        self.master = run();
    }

    /// Stops the worker for as long as `meanwhile` takes, with no room left in the queue of its socket.
    pub fn hold<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        let worker = worker().parse().expect("a process");
        kill(worker, libc::SIGSTOP);
        let address = SockAddr::unix(SOCKET).expect("a path");
        let mut queued = Vec::new();
        loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).expect("a socket");
            match socket.connect(&address) {
                Ok(()) => queued.push(socket),
                Err(error) => break assert_eq!(error.raw_os_error(), Some(libc::EAGAIN), "{error}"),
            }
        }
        let result = meanwhile();
        drop(queued);
        kill(worker, libc::SIGCONT);
        result
    }

    /// Which servers it takes for up, by `backend/server`.
    pub fn states(&self) -> BTreeMap<String, bool> {
        let text = ask("show servers state");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let fields = lines.map(|line| line.split(' ').collect::<Vec<_>>()).filter(|fields| fields.len() > 5);
        fields.map(|fields| (format!("{}/{}", fields[1], fields[3]), fields[5] != "0")).collect()
    }

    /// Waits until it takes these for up (true) or down.
    pub fn wait_for(&self, expected: &[(&str, bool)]) {
        until(&format!("HAProxy knows {expected:?}"), || {
            let states = self.states();
            expected.iter().all(|(name, is_up)| states.get(*name) == Some(is_up))
        });
    }

    /// What it has said of its servers.
    pub fn log(&self) -> String {
        std::fs::read_to_string(LOG).expect("its log")
    }

    fn signal(&self, signal: i32) {
        kill(self.master.id() as i32, signal);
    }
}

fn kill(process: i32, signal: i32) {
    // SAFETY: kill() takes no pointers.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0, "{}", std::io::Error::last_os_error());
}

fn run() -> Child {
    let log = File::options().create(true).append(true).open(LOG).expect("a log");
    let mut command = Command::new("haproxy");
    command.args(["-W", "-f", CONFIGURATION]).stdin(Stdio::null());
    let master = command.stdout(log.try_clone().expect("a second handle")).stderr(log).spawn().expect("haproxy starts");
    until("HAProxy's socket", || !worker().is_empty());
    master
}

/// The process id of the worker that answers now; empty if none does.
fn worker() -> String {
    let text = ask("show info");
    text.lines().find_map(|line| line.strip_prefix("Pid: ")).unwrap_or_default().to_owned()
}

/// What it says to a command of its runtime socket; nothing while it is not there.
pub fn ask(command: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut socket) = UnixStream::connect(SOCKET) {
        let asked = socket.write_all(format!("{command}\n").as_bytes());
        if asked.and_then(|()| socket.read_to_string(&mut answer)).is_err() {
            answer.clear();
        }
    }
    answer
}
