//! Names, those who wait for their addresses, and those who do not wait any more: `src/resolver/`.
//!
//! The names are numbers, which getaddrinfo(3) reads and asks nobody for.

use std::ffi::CString;
use std::net::SocketAddr;
use std::sync::Arc;

use loom::thread;

use crate::Model;
use crate::check::request::Family;
use crate::check::target::Name;
use crate::resolver::{Asked, Listener, Query, Resolver, Ticket, Waiter, WaiterKey};
use crate::sys::clock;
use crate::sys::lock::{self, Condvar, Mutex};

pub(crate) const MODELS: &[Model] = &[
    ("withdraw: everybody who waits hears the answer once", everybody_who_waits_hears_the_answer_once),
    ("withdraw: who goes leaves the others their answers", who_goes_leaves_the_others_their_answers),
    ("withdraw: a thread that ends for want of work is replaced", a_thread_that_ends_for_want_of_work_is_replaced),
];

/// What was heard: how many answers for each of those who wait.
#[derive(Default)]
struct Heard([usize; 3]);

struct Ear {
    heard: Mutex<Heard>,
    changed: Condvar,
}

impl Listener for Ear {
    fn lookup_began(&self, _: WaiterKey) {}

    fn resolved(&self, waiter: WaiterKey, addresses: Result<Vec<SocketAddr>, i32>) {
        assert_eq!(addresses.map(|addresses| addresses.len()), Ok(1));
        self.heard.lock().0[waiter.slot as usize] += 1;
        self.changed.notify_all();
    }
}

impl Ear {
    fn new() -> Arc<Ear> {
        Arc::new(Ear { heard: Mutex::new(Heard::default()), changed: Condvar::new() })
    }

    /// Waits until this one has its answer.
    fn wait_for(&self, slot: usize) {
        let mut heard = self.heard.lock();
        while heard.0[slot] == 0 {
            heard = self.changed.wait(heard);
        }
    }

    fn answers(&self) -> [usize; 3] {
        self.heard.lock().0
    }
}

fn ask(resolver: &Arc<Resolver>, ear: &Arc<Ear>, slot: u32, host: &str) -> Ticket {
    let name = Name { host: CString::new(host).unwrap(), service: c"80".into() };
    let deadline = Some(clock::now() + 3_600_000_000_000);
    let key = WaiterKey { slot, generation: 0 };
    let waiter = Waiter { listener: ear.clone(), key, deadline, timeout_ms: 3_600_000, age_ms: 0 };
    match resolver.ask(Query { name, family: Family::Any }, waiter) {
        Ok(Asked::Waits(ticket)) => ticket,
        _ => panic!("nothing is known yet, and there are threads"),
    }
}

fn everybody_who_waits_hears_the_answer_once() {
    lock::let_time_pass(false);
    let (resolver, ear) = (Arc::new(Resolver::new(1)), Ear::new());
    let (other, others_ear) = (resolver.clone(), ear.clone());
    let asker = thread::spawn(move || ask(&other, &others_ear, 1, "127.0.0.1"));
    ask(&resolver, &ear, 0, "127.0.0.1");
    [0, 1].into_iter().for_each(|slot| ear.wait_for(slot));
    asker.join().unwrap();
    resolver.close();
    assert_eq!(ear.answers(), [1, 1, 0]);
}

fn who_goes_leaves_the_others_their_answers() {
    lock::let_time_pass(false);
    let (resolver, ear) = (Arc::new(Resolver::new(1)), Ear::new());
    let first = ask(&resolver, &ear, 0, "127.0.0.1");
    let other = resolver.clone();
    let goes = thread::spawn(move || other.withdraw(first));
    ask(&resolver, &ear, 1, "127.0.0.1");
    ask(&resolver, &ear, 2, "127.0.0.2");
    [1, 2].into_iter().for_each(|slot| ear.wait_for(slot));
    goes.join().unwrap();
    resolver.close();
    assert!(matches!(ear.answers(), [0 | 1, 1, 1]), "{:?}", ear.answers());
}

/// A thread without work ends after a while, and somebody may call it at that very moment.
fn a_thread_that_ends_for_want_of_work_is_replaced() {
    lock::let_time_pass(true);
    let (resolver, ear) = (Arc::new(Resolver::new(1)), Ear::new());
    for slot in [0, 1] {
        ask(&resolver, &ear, slot, "127.0.0.1");
        ear.wait_for(slot as usize);
    }
    resolver.close();
    assert_eq!(ear.answers(), [1, 1, 0]);
}
