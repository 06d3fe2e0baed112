//! A name server of the test's own: it answers from a table, late, wrongly or not at all, and counts what it is asked.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Types of RFC 1035 and RFC 3596.
const A: u16 = 1;
const AAAA: u16 = 28;

/// What the name server does with a question.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These addresses; a name that has none of the type asked for gets an empty answer.
    Addresses(Vec<IpAddr>),
    /// "I have failed" (SERVFAIL).
    Failure,
    /// Nothing.
    Silence,
}

/// What fits into a datagram that no option allows more (RFC 1035, 4.2.1).
const DATAGRAM: usize = 512;

/// A running name server on 127.0.0.1:53. What is too long for UDP it tells by TCP. It ends with the test's process.
pub struct NameServer {
    questions: Arc<Mutex<HashMap<(String, u16), usize>>>,
}

impl NameServer {
    /// Starts it with a table of names; names that are not in it do not exist (NXDOMAIN).
    pub fn start(table: &[(&str, Answer)]) -> NameServer {
        NameServer::start_slow(Duration::ZERO, table)
    }

    /// The same, with each answer given only after `delay`.
    pub fn start_slow(delay: Duration, table: &[(&str, Answer)]) -> NameServer {
        NameServer::start_waiting(move || std::thread::sleep(delay), table)
    }

    /// The same, with each answer given only after `wait` has returned.
    pub fn start_waiting(wait: impl Fn() + Send + Sync + 'static, table: &[(&str, Answer)]) -> NameServer {
        let wait = Arc::new(wait);
        let table: HashMap<String, Answer> =
            table.iter().map(|(name, answer)| (name.to_string(), answer.clone())).collect();
        let questions = Arc::new(Mutex::new(HashMap::new()));
        let server = NameServer { questions: questions.clone() };
        serve_by_tcp(table.clone());
        let socket = UdpSocket::bind("127.0.0.1:53").expect("port 53 of a fresh namespace");
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            loop {
                let (length, client) = socket.recv_from(&mut buffer).expect("a question");
                let question = Question::parse(&buffer[..length]);
                *questions.lock().unwrap().entry((question.name.clone(), question.kind)).or_default() += 1;
                let Some(mut reply) = question.reply(table.get(&question.name)) else { continue };
                if reply.len() > DATAGRAM {
                    reply.truncate(question.message.len());
                    reply[2] |= 2; // truncated
                    reply[6..8].fill(0);
                }
                let socket = socket.try_clone().expect("a second handle");
                let wait = wait.clone();
                std::thread::spawn(move || {
                    wait();
                    let _ = socket.send_to(&reply, client);
                });
            }
        });
        server
    }

    /// How often an IPv4 address of `name` was asked for.
    pub fn asked_for_v4(&self, name: &str) -> usize {
        self.asked(name, A)
    }

    /// How often an IPv6 address of `name` was asked for.
    pub fn asked_for_v6(&self, name: &str) -> usize {
        self.asked(name, AAAA)
    }

    fn asked(&self, name: &str, kind: u16) -> usize {
        self.questions.lock().unwrap().get(&(name.to_owned(), kind)).copied().unwrap_or(0)
    }
}

/// Answers the questions that somebody asks by TCP, at once; each message has its length before it (RFC 1035, 4.2.2).
fn serve_by_tcp(table: HashMap<String, Answer>) {
    let (listener, table) = (TcpListener::bind("127.0.0.1:53").expect("port 53 of a fresh namespace"), Arc::new(table));
    let answer = |mut stream: TcpStream, table: &HashMap<String, Answer>| -> std::io::Result<()> {
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut message = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut message)?;
            let question = Question::parse(&message);
            let Some(reply) = question.reply(table.get(&question.name)) else { continue };
            let length = u16::try_from(reply.len()).expect("no more fits into a message").to_be_bytes();
            stream.write_all(&[&length[..], &reply].concat())?;
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let table = table.clone();
            // Who asks ends the connection when it has its answers.
            std::thread::spawn(move || answer(stream.expect("a connection"), &table));
        }
    });
}

struct Question {
    /// Header and question, as they came (RFC 1035, 4.1).
    message: Vec<u8>,
    name: String,
    kind: u16,
}

impl Question {
    fn parse(message: &[u8]) -> Question {
        let (mut place, mut labels) = (12, Vec::new());
        while message[place] != 0 {
            let end = place + 1 + message[place] as usize;
            labels.push(String::from_utf8_lossy(&message[place + 1..end]).to_ascii_lowercase());
            place = end;
        }
        let kind = u16::from_be_bytes([message[place + 1], message[place + 2]]);
        Question { message: message[..place + 5].to_vec(), name: labels.join("."), kind }
    }

    fn reply(&self, answer: Option<&Answer>) -> Option<Vec<u8>> {
        let (code, addresses): (u8, &[IpAddr]) = match answer {
            Some(Answer::Addresses(addresses)) => (0, addresses),
            Some(Answer::Failure) => (2, &[]),
            Some(Answer::Silence) => return None,
            None => (3, &[]),
        };
        let mut records = Vec::new();
        let mut count = 0u16;
        for address in addresses {
            let octets = match (address, self.kind) {
                (IpAddr::V4(ip), A) => ip.octets().to_vec(),
                (IpAddr::V6(ip), AAAA) => ip.octets().to_vec(),
                _ => continue,
            };
            count += 1;
            records.extend([0xc0, 12]); // the name stands at offset 12 of the message
            records.extend(self.kind.to_be_bytes());
            records.extend([0, 1, 0, 0, 0, 60]); // class IN, for a minute
            records.extend((octets.len() as u16).to_be_bytes());
            records.extend(octets);
        }
        let mut reply = self.message.clone();
        reply[2] = 0x81; // a response, recursion desired
        reply[3] = 0x80 | code; // recursion available
        reply[4..12].copy_from_slice(&[0, 1, count.to_be_bytes()[0], count.to_be_bytes()[1], 0, 0, 0, 0]);
        reply.extend(records);
        Some(reply)
    }
}
