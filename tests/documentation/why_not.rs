//! docs/why.md, when not to use it: who answers for a server, and what a firewall keeps of a check.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tcpshaker::{Handshake, Request, Status};

use crate::page::block;
use crate::support::capture::tcpdump;
use crate::support::far_host::FarHost;
use crate::support::firewall::{self, Hook};
use crate::support::handshake::proves;
use crate::support::lists::checker;
use crate::support::process::{feed, sh, sysctl, until};
use crate::support::targets::{DEAD_PORT, Listener, V4, at, wait_for_server};
use crate::why::shown;

const PAGE: &str = "why.md";
const PORT: u16 = 8080;

/// Far longer than a line takes to appear.
const PATIENCE: Duration = Duration::from_secs(60);

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    let output = BufReader::new(output);
    std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
    lines
}

#[test]
fn sidecar_makes_a_dead_port_look_up() {
    namespaced!("nft");
    let dead = at(V4, DEAD_PORT);
    let sidecar = Listener::on(V4, 15001);
    let checker = checker(|_| ());
    assert_eq!(checker.check(&Request::new(dead)).status, Status::Refused);
    feed("nft", &["-f", "-"], &block(PAGE, "rule", "sidecar"));
    let verdict = checker.check(&Request::new(dead));
    assert_eq!((verdict.status, verdict.half_open), (Status::Up, proves(&verdict)), "{verdict:?}");
    sidecar.assert_untouched();
}

/// The flags between here and a server at the other end of a cable, until the server's last RST of them.
fn captured(server: SocketAddr, talk: impl FnOnce()) -> String {
    let filter = format!("tcp port {}", server.port());
    let (mut tcpdump, output, _errors) =
        tcpdump(&["-i", "near", "-nn", "-t", "-l", "--immediate-mode", "-s", "128", &filter]);
    let lines = lines_of(output);
    talk();
    let mut flags = Vec::new();
    while flags.last().is_none_or(|last| last != "<R.") {
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no RST from the server: {flags:?}"));
        let (ends, rest) = line.split_once(": Flags [").expect("a segment");
        let direction = if ends.ends_with(&format!(".{}", server.port())) { '>' } else { '<' };
        flags.push(format!("{direction}{}", rest.split(']').next().expect("its flags")));
    }
    tcpdump.kill().expect("tcpdump runs");
    tcpdump.wait().expect("tcpdump ends");
    flags.join(" ")
}

#[test]
fn syn_proxy_makes_a_dead_server_look_up_and_tells_a_live_one_nothing() {
    namespaced!("nft", "tcpdump");
    let far = FarHost::new();
    far.connect(("near", "10.1.0.1/24"), ("far", "10.1.0.2/24"));
    let target = at([10, 1, 0, 2].into(), PORT);
    let checker = checker(|_| ());
    // A cable may need a moment before it carries anything.
    until("the far host's answer", || checker.check(&Request::new(target)).status == Status::Refused);
    far.run(|| {
        feed("nft", &["-f", "-"], &block(PAGE, "rule", "synproxy"));
        sysctl("net/netfilter/nf_conntrack_tcp_loose", "0");
    });

    let half_open = captured(target, || {
        let verdict = checker.check(&Request::new(target));
        assert_eq!((verdict.status, verdict.half_open), (Status::Up, proves(&verdict)), "{verdict:?}");
    });
    assert_eq!(half_open, shown("synproxy", PORT));
    let plain = captured(target, || {
        // The RST may be there before connect() returns.
        let learned = TcpStream::connect(target).and_then(|mut client| client.read(&mut [0; 1]));
        assert_eq!(learned.expect_err("the server refuses the proxy").kind(), ErrorKind::ConnectionReset);
    });
    assert_eq!(plain, shown("synproxy, plain", PORT));
    let full = Request { handshake: Handshake::Full, ..Request::new(target) };
    assert_eq!(checker.check(&full).status, Status::Up);

    let listener = far.run(move || Listener::on([10, 1, 0, 2].into(), PORT));
    for _ in 0..20 {
        assert_eq!(checker.check(&Request::new(target)).status, Status::Up);
    }
    // A connection that the proxy lets through comes after whatever it made of the checks.
    let _client = TcpStream::connect(target).expect("a connection");
    let mut arrived = 0;
    until("the client's connection", || {
        arrived += listener.accept_all();
        arrived > 0
    });
    assert_eq!(arrived, 1);
}

/// What one line of conntrack(8) tells of an entry: `[NEW] tcp 6 120 SYN_SENT src=...`.
struct Event {
    life: u32,
    state: String,
}

impl Event {
    fn parse(line: &str) -> Event {
        let mut words = line.split_whitespace().skip_while(|&word| word != "tcp").skip(2);
        let life = words.next().and_then(|word| word.parse().ok());
        let (Some(life), Some(state)) = (life, words.next()) else { panic!("this is no event: {line}") };
        Event { life, state: state.to_owned() }
    }
}

#[track_caller]
fn assert_shown(events: &[Event], name: &str) {
    let shown: Vec<Event> = block(PAGE, "conntrack", name).lines().map(Event::parse).collect();
    let states = |events: &[Event]| events.iter().map(|event| event.state.clone()).collect::<Vec<String>>();
    assert_eq!(states(events), states(&shown), "{name}");
    for (seen, shown) in events.iter().zip(&shown) {
        // The kernel counts down, and rounds down, from the moment on which it set the life to that of the event.
        assert!(
            (shown.life.saturating_sub(5)..=shown.life).contains(&seen.life),
            "{name}: {} {}",
            seen.state,
            seen.life
        );
    }
}

/// The entries of this namespace's table for one port.
pub fn entries(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/net/nf_conntrack").expect("/proc");
    let port = format!(" dport={port} ");
    table.lines().filter(|line| line.contains(&port)).map(str::to_owned).collect()
}

#[test]
fn connection_tracking_keeps_of_each_way_to_check_what_the_page_says() {
    namespaced!("nft", "conntrack");
    let (target, known, silent) = (at(V4, PORT), at(V4, 8079), at(V4, 8081));
    firewall::add_counter("invalid");
    firewall::add(Hook::Input, &["ct state invalid counter name invalid", "tcp dport 8081 drop"]);
    firewall::add(Hook::Output, &["ct state invalid counter name invalid"]);
    let mut conntrack = Command::new("conntrack");
    conntrack.args(["-E", "-p", "tcp"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut conntrack = conntrack.spawn().expect("conntrack starts");
    let lines = lines_of(conntrack.stdout.take().expect("a pipe"));
    // It does not say when it listens, so it is told of something until it tells of it.
    let _other = Listener::on(V4, 8079);
    until("an event", || {
        wait_for_server(known);
        lines.try_recv().is_ok()
    });
    let to_target = format!(" dport={PORT} ");
    let events_until = |last: &str| {
        let mut events: Vec<Event> = Vec::new();
        while events.last().is_none_or(|event| event.state != last) {
            let line =
                lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {last} after {} events", events.len()));
            // An entry whose life has ended has none to tell of.
            if line.contains(&to_target) && !line.contains("[DESTROY]") {
                events.push(Event::parse(&line));
            }
        }
        events
    };

    let listener = Listener::on(V4, PORT);
    let checker = checker(|_| ());
    let ask = |request: Request| assert_eq!(checker.check(&request).status, Status::Up);
    ask(Request::new(target));
    assert_shown(&events_until("CLOSE"), "half-open");
    ask(Request { handshake: Handshake::Full, ..Request::new(target) });
    assert_shown(&events_until("CLOSE"), "full");
    assert_eq!(listener.accept_all(), 1);
    ask(Request { linger: true, ..Request::new(target) });
    let mut events = events_until("CLOSE_WAIT");
    assert_eq!(listener.accept_all(), 1); // and closes it
    events.extend(events_until("TIME_WAIT"));
    assert_shown(&events, "linger");

    sh("conntrack -F 2> /dev/null");
    for _ in 0..100 {
        ask(Request::new(target));
    }
    let kept = entries(PORT);
    assert!(kept.len() > 1 && kept.iter().all(|entry| entry.contains(" CLOSE ")), "{kept:#?}");
    assert_eq!(checker.check(&Request::new(at(V4, DEAD_PORT))).status, Status::Refused);
    assert_eq!(entries(DEAD_PORT), [""; 0]);
    let impatient = Request { timeout_ms: 1000, ..Request::new(silent) };
    assert_eq!(checker.check(&impatient).status, Status::TimedOut);
    assert!(matches!(&entries(8081)[..], [entry] if entry.contains(" SYN_SENT ")), "{:?}", entries(8081));
    assert_eq!(firewall::packets("invalid"), 0);
    conntrack.kill().expect("conntrack runs");
    conntrack.wait().expect("conntrack ends");
}
