//! Checks in a sandbox: each child enters one, checks every kind of target in every way, and notes what it is told.

use std::net::IpAddr;
use std::time::Duration;

use tcpshaker::{Checker, Request, Status, Verdict};

use super::firewall::{self, Hook};
use super::lists::tagged;
use super::process::sh;
use super::targets::{DEAD_PORT, Listener, V4, V6, at};
use super::watched::{Ending, Notes, Watched};

const PORT: u16 = 8080;
const SILENT_PORT: u16 = 8081;
/// Its first SYN is lost, so that nobody has an answer at once.
const SLOW_PORT: u16 = 8082;

/// Ample for an answer to the second SYN, which the kernel sends after one second. A checker that is not told of it
/// finds it at the deadline, and each of its slow checks takes as long.
const PATIENCE_MS: u32 = 4000;
/// Short, where none will come.
const IMPATIENCE_MS: u32 = 100;
/// Several times what all timeouts of a child add up to.
const TIME_LIMIT: Duration = Duration::from_secs(100);

/// Children at the same time: most of their time is waiting.
pub const AT_ONCE: usize = 24;

/// What is checked, and what is true of it.
#[derive(Clone)]
pub struct Step {
    pub name: String,
    pub request: Request,
    pub truth: Status,
}

pub fn step(name: &str, ip: IpAddr, port: u16, truth: Status) -> Step {
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let timeout_ms = if truth == Status::TimedOut { IMPATIENCE_MS } else { PATIENCE_MS };
    let request = Request { timeout_ms, ..Request::new(at(ip, port)) };
    Step { name: format!("{family} {name}"), request, truth }
}

pub fn live(ip: IpAddr) -> Step {
    step("live", ip, PORT, Status::Up)
}

pub fn refused(ip: IpAddr) -> Step {
    step("refused", ip, DEAD_PORT, Status::Refused)
}

pub fn silent(ip: IpAddr) -> Step {
    step("silent", ip, SILENT_PORT, Status::TimedOut)
}

pub fn slow(ip: IpAddr) -> Step {
    step("slow", ip, SLOW_PORT, Status::Up)
}

/// Every kind, and a live one after each.
pub fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    for ip in [V4, V6] {
        steps.extend([refused(ip), live(ip), refused(ip), live(ip), silent(ip), live(ip), slow(ip), live(ip)]);
        let full = Step { name: format!("{}, closed with FIN", live(ip).name), ..live(ip) };
        steps.push(Step { request: Request { linger: true, ..full.request }, ..full });
        steps.extend([refused(ip), live(ip)]);
    }
    steps
}

/// The targets of the steps, for as long as this lives.
pub fn targets() -> Vec<Listener> {
    firewall::add(Hook::Input, &[&format!("tcp dport {SILENT_PORT} drop")]);
    sh("nft 'add set inet tests seen { type inet_service; flags dynamic; timeout 3s; }'");
    let syn = format!("tcp dport {SLOW_PORT} tcp flags & (syn | ack) == syn");
    let rules = [format!("{syn} tcp sport @seen accept"), format!("{syn} add @seen {{ tcp sport }} drop")];
    firewall::add(Hook::Input, &rules.each_ref().map(String::as_str));
    let ports = [PORT, SLOW_PORT].into_iter();
    ports.flat_map(|port| [Listener::on(V4, port), Listener::on(V6, port)]).collect()
}

fn note(notes: &Notes, place: usize, verdict: &Verdict) {
    notes.write(place, verdict.status as i32, verdict.os_error);
}

/// The checks of a child: each step on the caller's thread, all steps submitted, and all in a list. It makes a note of
/// each, from the place `first` on.
pub fn check_every_way(checker: &Checker, steps: &[Step], notes: &Notes, first: usize) {
    let count = steps.len();
    for (place, step) in (first..).zip(steps) {
        note(notes, place, &checker.check(&step.request));
    }
    let requests = steps.iter().enumerate().map(|(tag, step)| tagged(tag, step.request.clone()));
    let requests: Vec<Request> = requests.collect();
    match checker.submit(requests.clone()) {
        Err(status) => (0..count).for_each(|place| notes.write(first + count + place, status as i32, 0)),
        Ok(_) => {
            let mut reports = Vec::new();
            // A report that does not come in ample time leaves its note unwritten.
            while reports.len() < count && checker.reap(&mut reports, count, Some(Duration::from_secs(30))) > 0 {}
            reports.iter().for_each(|report| note(notes, first + count + report.tag, &report.verdict));
        }
    }
    for (place, verdict) in checker.check_many(&requests).iter().enumerate() {
        note(notes, first + 2 * count + place, verdict);
    }
}

const WAYS: [&str; 3] = ["by the caller", "submitted", "in a list"];

/// What is wrong with the notes of a child about one checker; each step's truth is in `steps`.
pub fn wrong(notes: &Notes, first: usize, which: &str, steps: &[Step]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (way, place) in (0..3).flat_map(|way| (0..steps.len()).map(move |place| (way, place))) {
        let (step, place) = (&steps[place], first + way * steps.len() + place);
        let said = match notes.read(place) {
            Some((status, _)) if status < 0 || status == step.truth as i32 => continue,
            Some((status, errno)) => {
                let status = Status::ALL.into_iter().find(|known| *known as i32 == status);
                format!("{} ({errno})", status.map_or("?", Status::text))
            }
            None => "no result".to_owned(),
        };
        wrong.push(format!("{which}, {}, {}: {said}", WAYS[way], step.name));
    }
    wrong
}

/// A name, and what it does.
pub type Child<'a> = (String, Box<dyn Fn(&Notes) + 'a>);

/// Runs children, several at once, and says what is wrong with each.
pub fn run(children: &[Child<'_>], at_once: usize, judge: impl Fn(&Notes) -> Vec<String>) {
    let count = children.len();
    let (mut faults, mut faulty) = (Vec::new(), 0);
    for batch in children.chunks(at_once) {
        let running: Vec<_> =
            batch.iter().map(|(name, work)| (name, Watched::fork(TIME_LIMIT, |notes| work(notes)))).collect();
        for (name, child) in running {
            let ending = child.wait();
            let mut found = judge(&child.notes);
            if ending != Ending::Done {
                // What did not come any more is no finding of its own.
                found.retain(|fault| !fault.ends_with("no result"));
                found.insert(0, format!("{ending:?} after {} results", child.notes.count()));
            }
            faulty += usize::from(!found.is_empty());
            let (count, shown) = (found.len(), found.into_iter().take(4));
            faults.extend(shown.map(|fault| format!("{name} ({count} faults): {fault}")));
        }
    }
    assert!(faults.is_empty(), "{faulty} of {count} sandboxes:\n{}", faults.join("\n"));
}
