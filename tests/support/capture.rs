//! What went over the wire: tcpdump's account, taken apart into conversations.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::targets::{V4, at};

/// Ports where nobody listens: a knock there shows in the capture that it has begun, and that it is complete.
const FIRST_KNOCK: u16 = 1;
const LAST_KNOCK: u16 = 2;

/// A running capture of all TCP segments on loopback.
pub struct Capture {
    tcpdump: Child,
    errors: BufReader<ChildStderr>,
    lines: Receiver<String>,
    segments: Vec<Segment>,
}

/// One captured segment.
#[derive(Clone, Debug)]
pub struct Segment {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// As tcpdump writes them: `S` is SYN, `S.` SYN-ACK, `.` ACK, `F.` FIN with ACK, `R.` RST with ACK.
    pub flags: String,
    /// The sequence number, where tcpdump gives it.
    pub sequence: Option<u32>,
    /// The type of service, or the traffic class.
    pub tos: u8,
}

/// The segments between one client's port and a server, from one SYN up to the next.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub client: SocketAddr,
    /// `>` and the flags of a segment from the client, `<` and the flags of one from the server.
    pub segments: Vec<String>,
}

impl Conversation {
    /// The segments in one line.
    pub fn text(&self) -> String {
        self.segments.join(" ")
    }
}

/// tcpdump on the loopback, once it listens; with what it writes and what it says.
pub fn tcpdump(arguments: &[&str]) -> (Child, ChildStdout, BufReader<ChildStderr>) {
    let mut tcpdump = Command::new("tcpdump")
        .args(["-i", "lo", "-B", "16384"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpdump starts");
    let mut errors = BufReader::new(tcpdump.stderr.take().expect("a pipe"));
    let mut said = String::new();
    while !said.contains("listening on") {
        assert_ne!(errors.read_line(&mut said).expect("its messages"), 0, "tcpdump does not listen: {said}");
    }
    let output = tcpdump.stdout.take().expect("a pipe");
    (tcpdump, output, errors)
}

impl Capture {
    /// Starts tcpdump and returns once it sees the wire.
    pub fn start() -> Capture {
        // Headers only: each packet in the kernel's buffer takes the room of the longest.
        let (tcpdump, output, errors) = tcpdump(&["-nn", "-v", "-tt", "-l", "--immediate-mode", "-s", "128", "tcp"]);
        let output = BufReader::new(output);
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let mut capture = Capture { tcpdump, errors, lines, segments: Vec::new() };
        capture.knock(FIRST_KNOCK);
        capture.segments.clear();
        capture
    }

    /// Ends the capture; every segment that was sent before this call is in it.
    pub fn finish(mut self) -> Vec<Segment> {
        self.knock(LAST_KNOCK);
        // SAFETY: the child is running and this process's own.
        unsafe { libc::kill(self.tcpdump.id() as i32, libc::SIGINT) };
        let mut said = String::new();
        self.errors.read_to_string(&mut said).expect("its messages");
        self.tcpdump.wait().expect("tcpdump can be waited for");
        assert!(said.contains("\n0 packets dropped by kernel"), "tcpdump missed something: {said}");
        let knock =
            |segment: &Segment| [&segment.source, &segment.destination].iter().any(|end| end.port() <= LAST_KNOCK);
        self.segments.into_iter().filter(|segment| !knock(segment)).collect()
    }

    /// Sends a segment to a dead port and reads what was captured up to it.
    fn knock(&mut self, port: u16) {
        assert!(TcpStream::connect(at(V4, port)).is_err(), "nobody listens on port {port} of a fresh namespace");
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut first_half = String::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                // With -v, tcpdump puts the addresses of IPv4 on a line of their own, indented.
                Ok(line) if line.ends_with(')') && !line.contains(" > ") => first_half = line,
                Ok(line) => {
                    let segment = Segment::parse(&(std::mem::take(&mut first_half) + &line));
                    let knocked = segment.source.port() == port;
                    self.segments.push(segment);
                    if knocked {
                        return; // the RST, which came after the SYN
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("tcpdump shows no knock on port {port} within a minute"),
                Err(RecvTimeoutError::Disconnected) => panic!("tcpdump ended"),
            }
        }
    }
}

impl Segment {
    /// Takes apart `1.5 IP (tos 0x0, ...) 127.0.0.1.4711 > 127.0.0.1.80: Flags [S], cksum ..., seq 7, ...`.
    fn parse(line: &str) -> Segment {
        let try_parse = || {
            let (before, after) = line.split_once(" > ")?;
            let (destination, rest) = after.split_once(": Flags [")?;
            let (flags, rest) = rest.split_once(']')?;
            let sequence = rest.split_once("seq ").map(|(_, number)| number.split([',', ':']).next());
            let tos = before.split_once("tos 0x").or(before.split_once("class 0x"));
            let tos = tos.map_or("0", |(_, number)| number.split(',').next().unwrap_or(number));
            Some(Segment {
                source: parse_end(before.rsplit(' ').next()?)?,
                destination: parse_end(destination)?,
                flags: flags.to_owned(),
                sequence: sequence.flatten().and_then(|number| number.parse().ok()),
                tos: u8::from_str_radix(tos, 16).ok()?,
            })
        };
        try_parse().unwrap_or_else(|| panic!("this is no segment: {line}"))
    }
}

/// tcpdump puts a dot between address and port.
fn parse_end(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.rsplit_once('.')?;
    Some(at(ip.parse::<IpAddr>().ok()?, port.parse().ok()?))
}

/// The conversations with a server, in the order in which they began.
pub fn conversations(segments: &[Segment], server: SocketAddr) -> Vec<Conversation> {
    let mut all: Vec<Conversation> = Vec::new();
    let mut latest: HashMap<SocketAddr, (usize, Option<u32>)> = HashMap::new();
    for segment in segments {
        let (direction, client) = match () {
            () if segment.destination == server => ('>', segment.source),
            () if segment.source == server => ('<', segment.destination),
            () => continue,
        };
        let known = latest.get(&client);
        // A SYN sent again bears its first number; any other opens a conversation from a port that was used before.
        let opens = segment.flags == "S" && known.is_none_or(|&(_, sequence)| sequence != segment.sequence);
        let place = match known {
            Some(&(place, _)) if !opens => place,
            _ => {
                all.push(Conversation { client, segments: Vec::new() });
                latest.insert(client, (all.len() - 1, segment.sequence));
                all.len() - 1
            }
        };
        all[place].segments.push(format!("{direction}{}", segment.flags));
    }
    all
}
