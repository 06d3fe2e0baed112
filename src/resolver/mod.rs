//! Names to addresses: getaddrinfo on a few threads of its own, identical lookups shared.
//!
//! getaddrinfo cannot be interrupted, so the threads never hold anybody up but [`Resolver::join`], and a lookup is told
//! not to try for longer than the checks that wait for it (see `lookup.rs`).

mod lookup;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::check::request::Family;
use crate::check::target::Name;
use crate::event_loop::command::Command;
use crate::event_loop::handle::LoopHandle;
use crate::sys::clock;
use crate::sys::lock::{Condvar, Mutex, MutexGuard};
use crate::sys::thread::{self, Thread};

pub(crate) use lookup::NOT_IN_TIME;
use lookup::{NO_THREAD, look_up};

/// Lookups at once. More would only queue up in front of the same name server.
const THREADS: usize = 4;
/// For getaddrinfo; musl's own default would be 128 KiB.
const STACK: usize = 2 << 20;

/// Who waits for a name: a race of a loop.
pub(crate) struct Asker {
    pub race: u32,
    pub generation: u32,
    /// When the answer is of no more use, on the library's clock; `None` until a paced check's name is taken up.
    pub deadline: Option<u64>,
    pub timeout_ms: u32,
}

/// What is looked up, and shared by all who ask for the same at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Query {
    pub name: Name,
    pub family: Family,
}

pub(crate) struct Resolver {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Query>,
    /// Who waits for each name that is queued or being looked up.
    askers: HashMap<Query, Waiting>,
    threads: Vec<Thread>,
    idle: usize,
    closed: bool,
}

#[derive(Default)]
struct Waiting {
    askers: Vec<(Arc<LoopHandle>, Asker)>,
    taken_up: bool,
}

impl Resolver {
    pub fn new() -> Resolver {
        Resolver { state: Mutex::new(State::default()), work: Condvar::new() }
    }

    /// Has a name looked up; the answer comes to the handle as [`Command::Resolved`]. An errno if no thread can be had.
    pub fn ask(self: &Arc<Resolver>, query: Query, handle: &Arc<LoopHandle>, mut asker: Asker) -> Result<(), i32> {
        let mut state = self.lock();
        if state.closed {
            return Ok(()); // the loops end every check themselves
        }
        if state.queue.len() >= state.idle && state.threads.len() < THREADS && !state.askers.contains_key(&query) {
            let resolver = self.clone();
            match thread::spawn(c"shaker-resolver", STACK, move || resolver.run()) {
                Ok(thread) => state.threads.push(thread),
                Err(error) if state.threads.is_empty() => return Err(error.raw_os_error().unwrap_or(NO_THREAD)),
                Err(_) => {} // the ones there are will come to it
            }
        }
        let waiting = state.askers.entry(query.clone()).or_default();
        if waiting.taken_up && asker.deadline.is_none() {
            let _ = handle.inbox.give(Command::LookupBegan { race: asker.race, generation: asker.generation });
            asker.deadline = Some(clock::now() + u64::from(asker.timeout_ms) * 1_000_000);
        }
        let first = waiting.askers.is_empty();
        waiting.askers.push((handle.clone(), asker));
        if first {
            state.queue.push_back(query);
            self.work.notify_one();
        }
        Ok(())
    }

    /// Takes no more names, and has the threads end after the lookups they are at.
    pub fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Waits for the threads to end.
    pub fn join(&self) {
        let threads = std::mem::take(&mut self.lock().threads);
        threads.into_iter().for_each(Thread::join);
    }

    fn run(&self) {
        loop {
            let mut state = self.lock();
            let query = loop {
                if state.closed {
                    return;
                }
                if let Some(query) = state.queue.pop_front() {
                    break query;
                }
                state.idle += 1;
                state = self.work.wait(state);
                state.idle -= 1;
            };
            let Some(until) = self.take_up(&mut state, &query) else {
                // Everybody's deadline passed while the name was queued.
                let waiting = state.askers.remove(&query).unwrap_or_default();
                drop(state);
                answer(waiting.askers, &Err(NOT_IN_TIME));
                continue;
            };
            drop(state);
            let addresses = look_up(&query, until.saturating_sub(clock::now()).div_ceil(1_000_000_000));
            let mut state = self.lock();
            let mut waiting = state.askers.remove(&query).unwrap_or_default();
            if addresses == Err(NOT_IN_TIME) {
                // Given up for those who asked first; who came later and has more time gets a lookup of its own.
                let patient = |(_, asker): &mut (_, Asker)| asker.deadline.is_some_and(|deadline| deadline > until);
                let askers: Vec<_> = waiting.askers.extract_if(.., patient).collect();
                if !askers.is_empty() {
                    state.askers.insert(query.clone(), Waiting { askers, taken_up: false });
                    state.queue.push_back(query);
                }
            }
            drop(state);
            answer(waiting.askers, &addresses);
        }
    }

    /// Starts the clocks of paced checks, and says until when anybody will want the answer; `None` if nobody does.
    fn take_up(&self, state: &mut State, query: &Query) -> Option<u64> {
        let now = clock::now();
        let waiting = state.askers.get_mut(query)?;
        waiting.taken_up = true;
        let mut last = 0;
        for (handle, asker) in &waiting.askers {
            let deadline = asker.deadline.unwrap_or_else(|| {
                let _ = handle.inbox.give(Command::LookupBegan { race: asker.race, generation: asker.generation });
                now + u64::from(asker.timeout_ms) * 1_000_000
            });
            last = last.max(deadline);
        }
        (last > now).then_some(last)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

fn answer(askers: Vec<(Arc<LoopHandle>, Asker)>, addresses: &Result<Vec<SocketAddr>, i32>) {
    for (handle, Asker { race, generation, .. }) in askers {
        let addresses = addresses.clone();
        let _ = handle.inbox.give(Command::Resolved { race, generation, addresses });
    }
}
