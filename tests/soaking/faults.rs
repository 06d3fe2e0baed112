//! What goes wrong during the soak: one fault after another, each for a moment, some within another.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tcpshaker::{Checker, Error, Request, Status};

use super::books::Books;
use super::traffic::Plant;
use super::truth::{CHANGING_PORT, FAR_COUNT, Fault};
use crate::support::dice::Dice;
use crate::support::far_host::FarHost;
use crate::support::firewall::{self, Hook};
use crate::support::lists::{DESCRIPTORS, PORT, SILENT_PORT};
use crate::support::process::{Forked, feed, sh, stop_parent_during, sysctl};
use crate::support::rlimit::set_descriptor_limit;
use crate::support::targets::{Listener, V4, at};

/// How long an interface that is up again may lose packets: its carrier is noticed within a second (link_watch.c).
const LINK_EFFECTS: Duration = Duration::from_secs(2);
/// Every address of this host, and of the other.
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What goes wrong, as often as it stands here.
const DECK: [Fault; 11] = [
    Fault::Loss,
    Fault::Loss,
    Fault::Loss,
    Fault::Filter,
    Fault::NotListening,
    Fault::NotListening,
    Fault::Descriptors,
    Fault::Stop,
    Fault::LinkDown,
    Fault::Fork,
    Fault::Fork,
];

/// The network of the soak, and what can go wrong with it and with this process.
pub struct World {
    pub far: FarHost,
    listeners: Vec<Listener>,
    changing: Option<Listener>,
    stopper: Stopper,
}

impl World {
    /// Is to be made before any thread is.
    pub fn new(books: &Books) -> World {
        let stopper = Stopper::start();
        set_descriptor_limit(DESCRIPTORS);
        for (parameter, value) in [("core/somaxconn", "65535"), ("ipv4/tcp_max_syn_backlog", "65535")] {
            sysctl(&format!("net/{parameter}"), value);
        }
        firewall::add(Hook::Input, &[&format!("tcp dport {SILENT_PORT} drop")]);
        let chains = [("arriving", "input"), ("leaving", "output")]
            .map(|(chain, hook)| format!("add chain inet soak {chain} {{ type filter hook {hook} priority 0; }}\n"));
        feed("nft", &["-f", "-"], &format!("add table inet soak\n{}", chains.concat()));
        let far = FarHost::new();
        far.connect(("near", "10.1.0.1/24"), ("far", "10.1.0.2/24"));
        let others = (1..FAR_COUNT).map(|number| format!("ip addr add 10.1.0.{}/24 dev far\n", 2 + number));
        let others: String = others.collect();
        let beyond = far.run(move || {
            sysctl("net/core/somaxconn", "65535");
            sh(&others);
            Listener::on(ANY, PORT)
        });
        let here = [ANY, std::net::Ipv6Addr::LOCALHOST.into()].map(|ip| Listener::on(ip, PORT));
        books.moments.begin(Fault::Listening);
        let changing = Some(Listener::on(ANY, CHANGING_PORT));
        World { far, listeners: here.into_iter().chain([beyond]).collect(), changing, stopper }
    }

    /// One fault after another, until it is over. What a server would accept is accepted meanwhile.
    pub fn go_wrong(&mut self, plants: &[Plant], books: &Books, seed: u64, is_over: &AtomicBool) {
        let (mut dice, mut deck) = (Dice::new(seed), Vec::new());
        while !is_over.load(Ordering::Relaxed) {
            if deck.is_empty() {
                deck.extend(DECK);
            }
            let fault = deck.swap_remove(dice.below(deck.len()));
            self.bring_about(fault, plants, books, &mut dice, true);
            self.accept();
            std::thread::sleep(Duration::from_millis(100 + dice.below(500) as u64));
            self.accept();
        }
    }

    /// Takes what has arrived, so that no queue is ever full.
    pub fn accept(&self) {
        self.listeners.iter().chain(&self.changing).for_each(|listener| {
            listener.accept_all();
        });
    }

    fn bring_about(&mut self, fault: Fault, plants: &[Plant], books: &Books, dice: &mut Dice, may_nest: bool) {
        let moments = &books.moments;
        moments.begin(fault);
        let hold = |world: &mut World, dice: &mut Dice| {
            std::thread::sleep(Duration::from_millis(30 + dice.below(200) as u64));
            // With no descriptor left, no program can be started.
            let others: &[Fault] = if fault == Fault::Descriptors { &[Fault::Stop] } else { &DECK };
            let other = dice.one_of(others);
            if may_nest && other != fault && dice.one_in(3) {
                world.bring_about(other, plants, books, dice, false);
            }
        };
        match fault {
            Fault::Loss => {
                let which = ["", "tcp flags & (syn | ack) == syn", "tcp flags & (syn | ack) == (syn | ack)"];
                let which = dice.one_of(&[which[0], which[0], which[1], which[2], "tcp flags & rst == rst"]);
                let of_a_hundred = dice.one_of(&["1", "10", "50", "99"]);
                rule("arriving", &format!("meta l4proto tcp {which} numgen random mod 100 < {of_a_hundred} drop"));
                hold(self, dice);
                sh("nft flush chain inet soak arriving");
            }
            Fault::Filter => {
                let of_a_hundred = dice.one_of(&["10", "99"]);
                rule("leaving", &format!("tcp flags & (syn | ack) == syn numgen random mod 100 < {of_a_hundred} drop"));
                hold(self, dice);
                sh("nft flush chain inet soak leaving");
            }
            Fault::NotListening => {
                self.accept();
                self.changing = None;
                moments.end(Fault::Listening, Duration::ZERO);
                hold(self, dice);
                moments.begin(Fault::Listening);
                self.changing = Some(Listener::on(ANY, CHANGING_PORT));
            }
            Fault::Descriptors => {
                // Those that are open stay so.
                set_descriptor_limit(3);
                hold(self, dice);
                set_descriptor_limit(DESCRIPTORS);
            }
            Fault::Stop => self.stopper.stop(10 + dice.below(600) as u64),
            Fault::LinkDown => {
                sh("ip link set near down");
                hold(self, dice);
                sh("ip link set near up");
            }
            _ => fork(plants, books, dice),
        }
        moments.end(fault, if fault == Fault::LinkDown { LINK_EFFECTS } else { Duration::ZERO });
    }

    pub fn end(self) {
        self.stopper.end();
    }
}

fn rule(chain: &str, rule: &str) {
    feed("nft", &["-f", "-"], &format!("add rule inet soak {chain} {rule}\n"));
}

/// Children of every kind; each is gone before this returns.
fn fork(plants: &[Plant], books: &Books, dice: &mut Dice) {
    let kinds: Vec<usize> = (0..4).map(|_| dice.below(4)).collect();
    let children: Vec<Forked> = kinds.iter().map(|&kind| Forked::new(|| be_a_child(kind, plants))).collect();
    for (child, kind) in children.into_iter().zip(kinds) {
        let status = child.wait();
        if status != 0 {
            books.accuse(format!("a forked child (kind {kind}) ends with {status}"));
        }
    }
}

/// What a child does; 0 if it finds what it should.
fn be_a_child(kind: usize, plants: &[Plant]) -> i32 {
    let is_told = |checker: &Checker| {
        let request = Request::new(at(V4, PORT));
        checker.check(&request).status == Status::Forked
            && checker.submit(vec![request]) == Err(Error::Forked)
            && checker.reap(&mut Vec::new(), 1, None) == 0
    };
    match kind {
        0 => 0,
        1 => i32::from(!plants.iter().all(|plant| is_told(&plant.checker))),
        2 => {
            // Holds copies of every descriptor for a while.
            std::thread::sleep(Duration::from_millis(100));
            0
        }
        _ => {
            let arguments = [c"true".as_ptr(), std::ptr::null()];
            // SAFETY: the path and the arguments are texts that end with NUL, and the list ends with a null pointer.
            unsafe { libc::execv(c"/bin/true".as_ptr(), arguments.as_ptr()) };
            1
        }
    }
}

/// A companion process that stops this one for as long as it is told.
struct Stopper {
    orders: UnixStream,
    process: Forked,
}

impl Stopper {
    fn start() -> Stopper {
        let (orders, mut from) = UnixStream::pair().expect("a pair of sockets");
        let process = Forked::new(|| {
            // SAFETY: takes numbers only. A parent that is killed takes this process with it.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let mut time = [0; 8];
            loop {
                from.read_exact(&mut time).expect("an order");
                match u64::from_ne_bytes(time) {
                    0 => return 0,
                    time => stop_parent_during(|| std::thread::sleep(Duration::from_millis(time))),
                }
                from.write_all(&[0]).expect("an answer");
            }
        });
        Stopper { orders, process }
    }

    /// Returns when the process was stopped for so many milliseconds, and goes on.
    fn stop(&mut self, time: u64) {
        self.orders.write_all(&time.to_ne_bytes()).expect("the companion listens");
        self.orders.read_exact(&mut [0]).expect("its answer");
    }

    fn end(mut self) {
        self.orders.write_all(&0u64.to_ne_bytes()).expect("the companion listens");
        assert_eq!(self.process.wait(), 0);
    }
}
