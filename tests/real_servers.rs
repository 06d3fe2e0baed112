//! Real servers at their most talkative: a thousand half-open checks, and not one line in their logs.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::handshake::{Completed, often, proves, withholds_ack};
use support::namespace::find_program;
use support::process::{sh, until};
use support::targets::{V4, at, wait_for_server};
use tcpshaker::{Checker, Config, Request, Status};

const PORT: u16 = 8080;

/// A running server and its logs.
struct Server {
    process: Child,
    logs: Vec<PathBuf>,
    /// Whether a line of the log speaks of no connection: it comes by itself now and then.
    is_chatter: fn(&str) -> bool,
}

impl Server {
    /// Starts a program whose standard output and error go to a log, too.
    fn start(command: &mut Command, directory: &Path, logs: &[&str], is_chatter: fn(&str) -> bool) -> Server {
        let output = File::create(directory.join("output.log")).expect("a log");
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("a second handle")).stderr(output);
        let process = command.spawn().expect("the server starts");
        let logs = logs.iter().chain(&["output.log"]).map(|name| directory.join(name)).collect();
        Server { process, logs, is_chatter }
    }

    /// Everything that the server has to say of its clients.
    fn lines(&self) -> Vec<String> {
        let read = |log| std::fs::read_to_string(log).unwrap_or_default();
        let texts: Vec<String> = self.logs.iter().map(read).collect();
        let told = texts.iter().flat_map(|text| text.lines()).filter(|line| !(self.is_chatter)(line));
        told.map(str::to_owned).collect()
    }

    /// The lines once the server has nothing more to say.
    fn settled_lines(&self) -> Vec<String> {
        let mut lines = self.lines();
        until("the server's silence", || {
            std::thread::sleep(Duration::from_secs(1));
            let before = std::mem::replace(&mut lines, self.lines());
            before.len() == lines.len()
        });
        lines
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A directory of the server's own, in memory and for this namespace only.
fn directory() -> PathBuf {
    support::etc::mount_empty("/run");
    PathBuf::from("/run")
}

/// A plain client leaves a line, a thousand checks leave none; but for checks that make the ordinary handshake.
fn assert_checks_go_unnoticed(server: Server, address: SocketAddr) {
    wait_for_server(address);
    let before = server.settled_lines();
    let completed = Completed::watch();
    let checker = Checker::new(&Config::default()).expect("a checker");
    for _ in 0..often(1000) {
        let verdict = checker.check(&Request { timeout_ms: 30_000, ..Request::new(address) });
        assert_eq!((verdict.status, verdict.half_open), (Status::Up, proves(&verdict)), "{verdict:?}");
    }
    let after = server.settled_lines();
    completed.assert_none(&checker.stats());
    let noticed = after[before.len()..].join("\n");
    assert_eq!(noticed.is_empty(), withholds_ack(), "the server noticed:\n{noticed}");
    // The same log does tell of a client that connects and closes.
    drop(TcpStream::connect(address).expect("a connection"));
    until("a line about a plain client", || server.lines().len() > after.len());
    println!("a plain client is told of as: {}", server.settled_lines()[after.len()..].join("\n"));
}

#[test]
fn nginx_does_not_notice_a_thousand_checks() {
    namespaced!("nginx");
    let directory = directory();
    let configuration = format!(
        "daemon off; worker_processes 2; pid nginx.pid; error_log error.log debug;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log access.log; server {{ listen 127.0.0.1:{PORT}; }}\n\
         client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;\n\
         scgi_temp_path scgi; }}\n"
    );
    std::fs::write(directory.join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-p", "/run", "-c", "/run/nginx.conf", "-e", "/run/error.log"]);
    let server = Server::start(&mut command, &directory, &["error.log", "access.log"], |_| false);
    assert_checks_go_unnoticed(server, at(V4, PORT));
}

#[test]
fn redis_does_not_notice_a_thousand_checks() {
    namespaced!("redis-server");
    let directory = directory();
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &PORT.to_string(), "--loglevel", "debug", "--save", ""]);
    command.current_dir(&directory);
    // Every five seconds it counts its clients.
    let server = Server::start(&mut command, &directory, &[], |line| line.contains("clients connected ("));
    assert_checks_go_unnoticed(server, at(V4, PORT));
}

#[test]
fn sshd_does_not_notice_a_thousand_checks() {
    namespaced!("sshd", "ssh-keygen");
    let directory = directory();
    sh("mkdir -m 755 /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /run/key");
    // It insists on a path from the root, since it starts itself anew for each client.
    let mut command = Command::new(find_program("sshd").expect("sshd"));
    command.args(["-D", "-e", "-f", "/dev/null", "-h", "/run/key", "-o", "LogLevel=DEBUG3", "-o", "PidFile=none"]);
    command.args(["-o", "ListenAddress=127.0.0.1", "-p", &PORT.to_string()]);
    let server = Server::start(&mut command, &directory, &[], |_| false);
    assert_checks_go_unnoticed(server, at(V4, PORT));
}
