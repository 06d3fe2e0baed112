//! docs/why.md, what goes over the wire and what the server sees: each capture is made again.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tcpshaker::{Checker, Handshake, Request, Status};

use crate::page::block;
use crate::support::capture::{Capture, conversations};
use crate::support::counters::Rise;
use crate::support::etc::mount_empty;
use crate::support::lists::checker;
use crate::support::namespace::find_program;
use crate::support::process::{sh, sysctl, until};
use crate::support::targets::{FullListener, V4, at, wait_for_server};

const PAGE: &str = "why.md";
const PORT: u16 = 8080;

/// A capture of the page, as a conversation with the server on this port: `>S <S. >R.`.
pub fn shown(name: &str, server: u16) -> String {
    let flags = |line: &str| {
        let (ends, rest) = line.split_once(": Flags [")?;
        let direction = if ends.ends_with(&format!(".{server}")) { '>' } else { '<' };
        Some(format!("{direction}{}", rest.split_once(']')?.0))
    };
    let text = block(PAGE, "capture", name);
    let segments: Option<Vec<String>> = text.lines().map(flags).collect();
    segments.unwrap_or_else(|| panic!("this is no capture:\n{text}")).join(" ")
}

/// What goes over loopback between a server and whoever talks to it meanwhile.
fn captured(server: SocketAddr, talk: impl FnOnce()) -> String {
    let capture = Capture::start();
    talk();
    let conversations = conversations(&capture.finish(), server);
    assert_eq!(conversations.len(), 1, "{conversations:?}");
    conversations[0].text()
}

fn is_up(checker: &Checker, request: &Request) -> bool {
    let verdict = checker.check(request);
    assert!([Status::Up, Status::TimedOut].contains(&verdict.status), "{verdict:?}");
    verdict.status == Status::Up
}

fn full(target: SocketAddr) -> Request {
    Request { handshake: Handshake::Full, ..Request::new(target) }
}

fn linger(target: SocketAddr) -> Request {
    Request { linger: true, ..Request::new(target) }
}

/// Waits for the one connection that was made, and reads what came on it; `None` if it was reset.
fn accepted(listener: &TcpListener) -> Option<usize> {
    let mut connection = None;
    until("a connection", || {
        connection = listener.accept().ok();
        connection.is_some()
    });
    let (mut stream, _) = connection?;
    stream.set_nonblocking(false).expect("a blocking socket");
    stream.read(&mut [0; 16]).ok()
}

fn listen(port: u16, backlog: i32) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("SO_REUSEADDR");
    socket.bind(&at(V4, port).into()).expect("a free port");
    socket.listen(backlog).expect("a listener");
    socket.set_nonblocking(true).expect("O_NONBLOCK");
    socket.into()
}

/// How many ports a client keeps in TIME_WAIT.
fn waiting_ports() -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").expect("/proc");
    table.lines().filter(|line| line.split_whitespace().nth(3) == Some("06")).count()
}

#[test]
fn ways_to_check_look_on_the_wire_and_to_the_server_as_the_page_says() {
    namespaced!("tcpdump");
    let target = at(V4, PORT);
    let listener = listen(PORT, 16);
    let checker = checker(|_| ());
    let (completed, reset) = (Rise::of("TcpPassiveOpens"), Rise::of("TcpExtEmbryonicRsts"));

    let half_open = captured(target, || assert!(is_up(&checker, &Request::new(target))));
    assert_eq!(half_open, shown("half-open", PORT));
    assert!(listener.accept().is_err());
    assert_eq!((completed.now(), reset.now(), waiting_ports()), (0, 1, 0));

    assert_eq!(captured(target, || assert!(is_up(&checker, &full(target)))), shown("full", PORT));
    assert_eq!(accepted(&listener), None);
    assert_eq!((completed.now(), reset.now(), waiting_ports()), (1, 1, 0));

    // The server's kernel may wait before it acknowledges a FIN, in the hope of something to send with it.
    let acknowledged = || std::thread::sleep(Duration::from_secs(1));
    let with_fin = captured(target, || {
        assert!(is_up(&checker, &linger(target)));
        acknowledged();
    });
    assert_eq!(with_fin, shown("linger", PORT));
    assert_eq!(accepted(&listener), Some(0));
    until("a port that waits", || waiting_ports() == 1);

    let plain = captured(target, || {
        drop(TcpStream::connect(target).expect("a connection"));
        acknowledged();
    });
    assert_eq!(plain, shown("plain", PORT));
    assert_eq!(accepted(&listener), Some(0));
    until("another port that waits", || waiting_ports() == 2);
    assert_eq!((completed.now(), reset.now()), (3, 1));
}

#[test]
fn full_accept_queue_is_a_timeout_whatever_the_settings_and_half_open_checks_do_not_fill_it() {
    namespaced!("tcpdump");
    let full_listener = FullListener::on(V4, 8082);
    let target = full_listener.address();
    let checker = checker(|config| config.set_syn_interval(0).unwrap());
    let overflows = Rise::of("TcpExtListenOverflows");
    // The kernel sends a SYN again after a second, and then after two more.
    let patient = Request { timeout_ms: 2000, ..Request::new(target) };
    assert_eq!(captured(target, || assert!(!is_up(&checker, &patient))), shown("full accept queue", 8082));
    assert!(overflows.now() >= 2);
    for (cookies, abort) in [("0", "0"), ("0", "1"), ("1", "1"), ("2", "0"), ("2", "1")] {
        sysctl("net/ipv4/tcp_syncookies", cookies);
        sysctl("net/ipv4/tcp_abort_on_overflow", abort);
        assert!(!is_up(&checker, &Request { timeout_ms: 200, ..Request::new(target) }), "{cookies} {abort}");
    }
    sysctl("net/ipv4/tcp_syncookies", "1");
    sysctl("net/ipv4/tcp_abort_on_overflow", "0");

    // A program that never accepts.
    let _stuck = listen(PORT, 0);
    let target = at(V4, PORT);
    for _ in 0..100 {
        assert!(is_up(&checker, &Request::new(target)));
    }
    assert!(is_up(&checker, &full(target)));
    assert!(!is_up(&checker, &Request { timeout_ms: 200, ..full(target) }));
    assert!(!is_up(&checker, &Request { timeout_ms: 200, ..Request::new(target) }));
}

#[test]
fn cookies_and_deferred_accept_mislead_no_half_open_check() {
    namespaced!("tcpdump");
    let target = at(V4, PORT);
    let listener = listen(PORT, 16);
    let checker = checker(|_| ());
    sysctl("net/ipv4/tcp_syncookies", "2");
    let (sent, embryonic) = (Rise::of("TcpExtSyncookiesSent"), Rise::of("TcpExtEmbryonicRsts"));
    let with_cookies = captured(target, || assert!(is_up(&checker, &Request::new(target))));
    assert_eq!(with_cookies, shown("cookies", PORT));
    assert_eq!((sent.now(), embryonic.now()), (1, 0), "the kernel keeps no note");
    sysctl("net/ipv4/tcp_syncookies", "1");

    let seconds: libc::c_int = 5;
    let (level, option) = (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT);
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&listener);
    // SAFETY: the value is an int, as the size says, and the descriptor is open.
    let set = unsafe { libc::setsockopt(descriptor, level, option, (&raw const seconds).cast(), 4) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    assert!(is_up(&checker, &Request::new(target)));
    assert!(is_up(&checker, &full(target)));
    assert!(listener.accept().is_err());
    assert!(is_up(&checker, &linger(target)));
    assert_eq!(accepted(&listener), Some(0));
}

#[test]
fn sshd_logs_a_plain_client_as_the_page_says_and_a_check_not_at_all() {
    namespaced!("sshd", "ssh-keygen");
    mount_empty("/run");
    sh("mkdir -m 755 /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /run/key");
    let log = std::fs::File::create("/run/log").expect("a log");
    // It insists on a path from the root, since it starts itself anew for each client.
    let mut command = Command::new(find_program("sshd").expect("sshd"));
    command.args(["-D", "-e", "-f", "/dev/null", "-h", "/run/key", "-o", "PidFile=none", "-p", &PORT.to_string()]);
    command.args(["-o", "ListenAddress=127.0.0.1"]).stdin(Stdio::null()).stderr(log);
    let mut sshd = command.spawn().expect("sshd starts");
    let target = at(V4, PORT);
    let lines = || {
        let text = std::fs::read_to_string("/run/log").expect("the log");
        let told = |line: &&str| line.contains("onnection closed");
        text.lines().filter(told).map(without_port).collect::<Vec<String>>()
    };
    let expected: Vec<String> = block(PAGE, "log", "plain").lines().map(without_port).collect();
    wait_for_server(target);
    until("what it says of a plain client", || lines() == expected);

    let checker = checker(|_| ());
    for _ in 0..100 {
        assert!(is_up(&checker, &Request::new(target)));
    }
    // What it says of the next client comes after whatever it would have said of these.
    drop(TcpStream::connect(target).expect("a connection"));
    until("what it says of the next one", || lines().len() >= 2 * expected.len());
    assert_eq!(lines(), [expected.clone(), expected].concat());
    sshd.kill().expect("sshd runs");
    sshd.wait().expect("sshd ends");
}

/// A line of sshd's, in which the client's port varies.
fn without_port(line: &str) -> String {
    line.split_once(" port ").map_or(line, |(before, _)| before).trim_end().to_owned()
}
