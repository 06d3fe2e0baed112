//! examples-c/haproxy_agent.c beside a real HAProxy: what HAProxy believes follows its servers, and these see no check.
#![cfg(all(target_os = "linux", not(feature = "forced-handshake")))]

mod c_programs;
#[path = "haproxy/proxy.rs"]
mod proxy;
#[macro_use]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use c_programs::{Finished, Running, command, finish, program};
use proxy::{Haproxy, SOCKET, ask};
use support::lists::nth;
use support::process::until;
use support::targets::{Listener, V6};

const PORT: u16 = 8080;
const INTERVAL_MS: u32 = 200;

fn agent() -> Running {
    Running::start(command("dynamic", "haproxy_agent").args([SOCKET, &INTERVAL_MS.to_string()]))
}

/// Ends an agent; returns also how many handshakes it admits to have completed, when it was kept from its processor.
fn end(agent: Running) -> (Finished, usize) {
    agent.signal(libc::SIGTERM);
    let finished = agent.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    let counts: Vec<usize> =
        finished.stdout.lines().last().unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    let &[checks, up, completed] = &counts[..] else { panic!("its last line has no counts: {finished:?}") };
    assert!(checks > 0 && completed <= 1 + up / 100, "{finished:?}");
    (finished, completed)
}

/// Servers of a backend, each a listener that accepts nothing, while it lives.
struct Servers {
    listeners: Vec<Option<Listener>>,
    /// How many connections they were handed.
    accepted: usize,
}

impl Servers {
    fn listen(count: usize) -> Servers {
        Servers { listeners: (0..count).map(|number| Some(Listener::on(nth(number), PORT))).collect(), accepted: 0 }
    }

    fn configuration(&self) -> String {
        let line = |number| format!("  server s{number} {}:{PORT}\n", nth(number));
        format!("backend many\n{}", (0..self.listeners.len()).map(line).collect::<String>())
    }

    fn kill(&mut self, numbers: Range<usize>) {
        for server in &mut self.listeners[numbers] {
            self.accepted += server.take().expect("a living server").accept_all();
        }
    }

    fn revive(&mut self, numbers: Range<usize>) {
        numbers.for_each(|number| self.listeners[number] = Some(Listener::on(nth(number), PORT)));
    }

    /// Waits until HAProxy takes the living for up and the dead for down.
    fn wait_until_known(&self, haproxy: &Haproxy, event: &str) {
        let begun = Instant::now();
        until(&format!("HAProxy knows: {event}"), || {
            let states = haproxy.states();
            let mut servers = self.listeners.iter().enumerate();
            servers.all(|(number, server)| states.get(&format!("many/s{number}")) == Some(&server.is_some()))
        });
        let intervals = begun.elapsed().as_secs_f64() * 1e3 / f64::from(INTERVAL_MS);
        println!("{event}: HAProxy knew after {intervals:.1} intervals");
    }

    /// No server was handed a connection, but for what the agents admit.
    fn assert_untouched(mut self, admitted: usize) {
        self.accepted += self.listeners.iter().flatten().map(Listener::accept_all).sum::<usize>();
        assert!(self.accepted <= admitted, "{} connections, and the agents admit {admitted}", self.accepted);
    }
}

#[test]
fn what_haproxy_believes_of_200_servers_follows_them_and_none_of_them_sees_a_check() {
    program("dynamic", "haproxy_agent"); // built outside, where nothing is cut off
    namespaced!("haproxy");
    let mut servers = Servers::listen(200);
    let haproxy = Haproxy::start(&servers.configuration());
    let mut agent = agent();
    servers.kill(0..20);
    servers.wait_until_known(&haproxy, "20 have died");
    servers.kill(40..190); // more than one line can tell
    servers.wait_until_known(&haproxy, "150 more have died");
    servers.revive(10..20);
    servers.revive(40..130);
    servers.wait_until_known(&haproxy, "100 have returned");

    // A HAProxy that does not answer keeps the agent neither from its checks nor from its end.
    let dies_and_is_noticed = |agent: &mut Running, servers: &mut Servers, number: usize| {
        servers.kill(number..number + 1);
        agent.wait_for_line(&[&format!("many/s{number} "), " is down: refused"]);
    };
    haproxy.hold(|| (50..53).for_each(|number| dies_and_is_noticed(&mut agent, &mut servers, number)));
    servers.wait_until_known(&haproxy, "it goes on");
    let (finished, admitted) = haproxy.hold(|| {
        dies_and_is_noticed(&mut agent, &mut servers, 53);
        end(agent)
    });
    assert_eq!(finished.stdout.matches(" is down: refused").count(), 174, "{finished:?}");
    assert!(finished.stdout.matches(" is up: up").count() >= 100, "{finished:?}");
    servers.assert_untouched(admitted);
}

#[test]
fn haproxy_that_was_reloaded_or_restarted_is_told_again() {
    program("dynamic", "haproxy_agent");
    namespaced!("haproxy");
    let mut servers = Servers::listen(6);
    let mut haproxy = Haproxy::start(&servers.configuration());
    let agent = agent();
    servers.kill(0..2);
    servers.wait_until_known(&haproxy, "two have died");
    haproxy.reload(false);
    servers.wait_until_known(&haproxy, "it was reloaded");
    haproxy.reload(true);
    let states = haproxy.states();
    assert!(["many/s0", "many/s1"].iter().all(|dead| states.get(*dead) == Some(&false)), "{states:?}");
    servers.wait_until_known(&haproxy, "it was reloaded, and knew the states");
    haproxy.restart(|| {
        servers.kill(2..3);
        servers.revive(0..1);
        std::thread::sleep(Duration::from_millis(2500)); // longer than between two looks at it
    });
    servers.wait_until_known(&haproxy, "it was restarted");
    let (finished, admitted) = end(agent);
    let told: Vec<&str> = finished.stderr.lines().map(|line| line.split(": ").nth(1).unwrap_or(line)).collect();
    let expected = ["out of touch with HAProxy", "in touch with HAProxy"];
    assert!(told.chunks(2).all(|pair| pair == expected), "{finished:?}");
    servers.assert_untouched(admitted);
}

#[test]
fn servers_that_come_move_and_go_are_followed_and_those_that_are_not_the_agents_are_left_alone() {
    program("dynamic", "haproxy_agent");
    namespaced!("haproxy");
    let mut servers = Servers::listen(3);
    // HAProxy itself has this one for down, since it wants an answer to its request.
    let (mute, _listeners) = (nth(9), [Listener::on(nth(9), PORT), Listener::on(V6, PORT)]);
    let (live, moved, come) = (nth(0), nth(7), nth(8));
    let others = format!(
        "  server v6 [::1]:{PORT}\n  server v6_dead [::1]:9\n  server named localhost:9\n\
         \x20 server elsewhere 127.0.0.1:9 addr {live} port {PORT}\n  server maintained 127.0.0.1:9 disabled\n\
         \x20 server unresolved nowhere.invalid:9 init-addr none\n  server local unix@/run/none.sock\n\
         \x20 server portless 127.0.0.1\n  server tracking {live}:{PORT} track web/own\n\
         backend web\n  option httpchk\n  server own {mute}:{PORT} check inter 100ms\n",
    );
    let haproxy = Haproxy::start(&(servers.configuration() + &others));
    let mut agent = agent();
    haproxy.wait_for(&[("many/v6", true), ("many/v6_dead", false), ("many/named", false), ("many/elsewhere", true)]);
    for (server, shown) in [("v6", "no check"), ("v6_dead", "DOWN")] {
        let line =
            ask("show stat").lines().find(|line| line.starts_with(&format!("many,{server},"))).map(str::to_owned);
        assert!(line.as_ref().is_some_and(|line| line.split(',').nth(17) == Some(shown)), "{line:?}");
    }
    haproxy.wait_for(&[("many/local", true), ("many/portless", true), ("web/own", false), ("many/tracking", false)]);

    ask("enable server many/maintained");
    ask(&format!("set server many/s1 addr {moved} port {PORT}"));
    ask(&format!("add server many/new {come}:{PORT}; enable server many/new"));
    haproxy.wait_for(&[("many/maintained", false), ("many/s1", false), ("many/new", false), ("many/s0", true)]);
    let _moved = Listener::on(moved, PORT);
    haproxy.wait_for(&[("many/s1", true)]);

    // What goes is forgotten when what came at the same time is known. What somebody else says of a server is undone.
    ask("disable server many/new; del server many/new; add server many/later 127.0.0.1:9; enable server many/later");
    ask("set server many/s0 health down");
    assert_eq!(haproxy.states().get("many/s0"), Some(&false));
    haproxy.wait_for(&[("many/later", false), ("many/s0", true)]);
    let _nobodys = Listener::on(come, PORT);
    servers.kill(2..3);
    agent.wait_for_line(&["many/s2", " is down"]);
    haproxy.wait_for(&[("many/s2", false), ("web/own", false), ("many/tracking", false)]);
    assert!(!haproxy.states().contains_key("many/new"));
    let (finished, admitted) = end(agent);
    for left_alone in ["many/unresolved ", "many/local ", "many/portless ", "web/own ", "many/s0 "] {
        assert!(!finished.stdout.contains(left_alone), "{left_alone}: {finished:?}");
    }
    let log = haproxy.log();
    assert!(log.contains("Server many/s0 is UP") && !log.contains("Server web/own is UP"), "{log}");
    assert!(!finished.stdout.contains(&format!("many/new ({come}:{PORT}) is up")), "{finished:?}");
    let refused = "haproxy_agent: many/tracking: cannot change health on a tracking server.\n";
    assert_eq!(finished.stderr, refused, "{finished:?}");
    servers.assert_untouched(admitted);
}

/// What the agent asks in HAProxy's place, and where the answer goes.
fn asked(listener: &UnixListener) -> (String, UnixStream) {
    listener.set_nonblocking(true).expect("O_NONBLOCK");
    let mut accepted = None;
    until("the agent", || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    let (socket, _) = accepted.expect("the agent");
    socket.set_nonblocking(false).expect("a blocking socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("SO_RCVTIMEO");
    let mut request = String::new();
    BufReader::new(&socket).read_line(&mut request).expect("a line");
    (request, socket)
}

#[test]
fn answer_that_comes_in_pieces_is_read_and_one_that_ends_too_soon_is_none() {
    let path = std::env::temp_dir().join(format!("tcpshaker-{}-haproxy.sock", std::process::id()));
    let listener = UnixListener::bind(&path).expect("a socket");
    let agent = Running::start(command("static", "haproxy_agent").args([path.to_str().unwrap(), "100"]));
    let line = "1 b 1 dead 127.0.0.1 2 0 1 1 1 1 0 2 0 0 0 0 - 9 - 0 0 - - 0\n";
    let (mut told, mut readings) = (0, 0);
    while told < 2 {
        let (request, mut socket) = asked(&listener);
        if request == "set server b/dead health down\n" {
            told += 1;
            socket.write_all(b"\n").expect("it reads");
        } else {
            assert_eq!(request, "show servers state \n");
            readings += 1;
            // Of the second answer, the line of the server is missing, and the end.
            let rest = if readings == 2 { String::new() } else { format!("{line}\n") };
            for piece in ["1\n", "# be_id be_name\n", &rest] {
                socket.write_all(piece.as_bytes()).expect("it reads");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    std::fs::remove_file(&path).expect("the socket");
    let (finished, _) = end(agent);
    // Had it been forgotten meanwhile, it would have been new again.
    assert_eq!(finished.stdout.matches("b/dead (127.0.0.1:9) is down: refused\n").count(), 1, "{finished:?}");
    let told = "haproxy_agent: out of touch with HAProxy: 1\n# be_id be_name\n\nhaproxy_agent: in touch with HAProxy\n";
    assert_eq!(finished.stderr, told, "{finished:?}");
}

#[test]
fn answer_that_is_no_text_or_has_no_end_is_none_and_takes_the_agent_no_memory() {
    let path = std::env::temp_dir().join(format!("tcpshaker-{}-odd-haproxy.sock", std::process::id()));
    let listener = UnixListener::bind(&path).expect("a socket");
    let agent = Running::start(command("static", "haproxy_agent").args([path.to_str().unwrap(), "100"]));
    let servers = "1\n# be_id be_name\n1 b 1 dead 127.0.0.1 2 0 1 1 1 1 0 2 0 0 0 0 - 9 - 0 0 - - 0\n\n";
    let mut told = Vec::new();
    while told.len() < 3 {
        let (request, mut socket) = asked(&listener);
        if request.starts_with("show servers state") {
            socket.write_all(servers.as_bytes()).expect("it reads");
            continue;
        }
        assert_eq!(request, "set server b/dead health down\n");
        told.push(Instant::now());
        match told.len() {
            1 => socket.write_all(b"so\0 or so\n").expect("it reads"),
            // Whoever writes without an end is left alone.
            2 => while socket.write_all(&[b'x'; 1 << 16]).is_ok() {},
            _ => socket.write_all(b"\n").expect("it reads"),
        }
    }
    std::fs::remove_file(&path).expect("the socket");
    assert!(told[1] - told[0] >= Duration::from_millis(200), "it asks again later, not at once: {told:?}");
    let (finished, _) = end(agent);
    let complaint =
        |why| format!("haproxy_agent: out of touch with HAProxy: {why}\nhaproxy_agent: in touch with HAProxy\n");
    let told = complaint("an answer that is no text") + &complaint("an answer without an end");
    assert_eq!(finished.stderr, told, "{finished:?}");
}

#[test]
fn bench_of_both_ways_to_check_tells_what_each_costs() {
    program("dynamic", "haproxy_agent");
    namespaced!("haproxy", "python3");
    let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/haproxy");
    let table = finish(Command::new(bench).args(["5", "20", "0.3", "1"]));
    assert_eq!(table.code(), 0, "{table:?}");
    for (way, makes_checks) in [("no checks", false), ("HAProxy's own", true), ("the agent", true)] {
        let row = table.stdout.lines().find_map(|line| line.strip_prefix(way)).unwrap_or_else(|| panic!("{table:?}"));
        let checks = row.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).expect("a number");
        assert_eq!(checks > 0.0, makes_checks, "{way}: {table:?}");
    }
}

#[test]
fn agent_without_a_socket_or_with_no_number_for_the_interval_says_how_it_is_used() {
    let wrong = ["often", "3", "100ms", "-1", "4294967300", "99999999999999999999"].map(|interval| ["a", interval]);
    let others = [&[][..], &["a", "100", "b", "c"]];
    for arguments in wrong.iter().map(|wrong| &wrong[..]).chain(others) {
        let refused = finish(command("static", "haproxy_agent").args(arguments));
        assert_eq!(refused.code(), 2, "{refused:?}");
        assert!(refused.stderr.starts_with("usage: haproxy_agent SOCKET"), "{refused:?}");
    }
}
