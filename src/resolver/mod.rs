//! Names to addresses: getaddrinfo on threads of its own, identical lookups shared.
//!
//! getaddrinfo cannot be interrupted, so the threads never hold anybody up but [`Resolver::join`], and a lookup is told
//! not to try for longer than the checks that wait for it (see `lookup.rs`). What nobody waits for any more is
//! withdrawn.
//!
//! One lock guards the state. Nobody starts or joins a thread, calls a listener or drops many waiters under it, so
//! that a loop never waits long for it.

mod answers;
mod lookup;
mod lookups;
mod query;
mod slow_hosts;
mod waiter;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::sys::lock::{Condvar, Mutex, MutexGuard};
use crate::sys::thread::{self, Thread};
use crate::sys::{clock, os_error};

use answers::Answers;
pub(crate) use lookup::NOT_IN_TIME;
use lookup::{NO_THREAD, look_up};
use lookups::{Begun, Ending, Lookups};
pub(crate) use query::Query;
pub(crate) use waiter::{Asked, Listener, Ticket, Waiter, WaiterKey};

/// For getaddrinfo and the modules of nsswitch.conf(5).
const STACK: usize = 256 << 10;
/// A thread without work for this long ends, in nanoseconds.
const IDLE: u64 = 5_000_000_000;

pub(crate) struct Resolver {
    state: Mutex<State>,
}

struct State {
    lookups: Lookups,
    answers: Answers,
    /// Threads that have not ended.
    running: usize,
    /// Threads without work, the latest last, and what wakes each. The latest is called first, so that those that are
    /// not needed end.
    idle: Vec<(u64, Arc<Condvar>)>,
    /// Threads that were called or started, and have not looked for work since.
    coming: usize,
    /// Until when an idle thread sleeps that then looks whether time alone has made room.
    watched_until: Option<u64>,
    /// Those that may still run.
    threads: HashMap<u64, Thread>,
    /// The latest that ended for want of work; the next that does so joins it.
    ended: Option<Thread>,
    latest_thread: u64,
    closed: bool,
}

impl Resolver {
    /// `max_lookups`: how many may be under way at once.
    pub fn new(max_lookups: u32) -> Resolver {
        let state = State {
            lookups: Lookups::new(max_lookups as usize),
            answers: Answers::default(),
            running: 0,
            idle: Vec::new(),
            coming: 0,
            watched_until: None,
            threads: HashMap::new(),
            ended: None,
            latest_thread: 0,
            closed: false,
        };
        Resolver { state: Mutex::new(state) }
    }

    /// Has a name looked up; the listener hears the answer, unless one is known that will do. An errno if no thread or
    /// no memory can be had.
    pub fn ask(self: &Arc<Resolver>, query: Query, waiter: Waiter) -> Result<Asked, i32> {
        let mut state = self.lock();
        if state.closed {
            return Ok(Asked::Waits(Ticket::NOBODY)); // the loops end every check themselves
        }
        state.lookups.grow().map_err(|_| os_error::ENOMEM)?;
        let now = clock::now();
        if waiter.age_ms > 0
            && let Some(addresses) = state.answers.find(&query, waiter.age_ms, now)
        {
            return Ok(Asked::Known(addresses.to_vec()));
        }
        let ticket = state.lookups.join(query, waiter, now);
        let missing = state.call_threads(now);
        drop(state);
        self.start_threads(missing).inspect_err(|_| self.withdraw(ticket))?;
        Ok(Asked::Waits(ticket))
    }

    /// The waiter does not need the answer any more. It may be on its way, and is then to be ignored.
    pub fn withdraw(self: &Arc<Resolver>, ticket: Ticket) {
        let mut state = self.lock();
        let now = clock::now();
        let waiter = state.lookups.withdraw(ticket, now);
        // A lookup that nobody waits for makes room for another, and somebody has to be there then.
        let missing = if waiter.is_some() { state.call_threads(now) } else { 0 };
        drop(state);
        drop(waiter);
        let _ = self.start_threads(missing);
    }

    /// Takes no more names, and has the threads end after the lookups they are at. Nobody hears any more of those.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        let lookups = std::mem::replace(&mut state.lookups, Lookups::new(1));
        drop(state);
        idle.iter().for_each(|(_, call)| call.notify_one());
        drop(lookups);
    }

    /// Whether there is a thread that nobody has waited for.
    #[cfg(test)]
    pub fn has_threads(&self) -> bool {
        let state = self.lock();
        !state.threads.is_empty() || state.ended.is_some()
    }

    /// Waits for the threads to end. To be called after [`Resolver::close`], when nobody asks any more.
    pub fn join(&self) {
        loop {
            let mut state = self.lock();
            let threads = std::mem::take(&mut state.threads);
            let ended = state.ended.take();
            drop(state);
            // A thread that starts another leaves that one's handle here before it ends.
            if threads.is_empty() && ended.is_none() {
                return;
            }
            threads.into_values().chain(ended).for_each(Thread::join);
        }
    }

    /// Starts threads that were counted by [`State::call_threads`]. An errno if there is not a single one.
    fn start_threads(self: &Arc<Resolver>, missing: usize) -> Result<(), i32> {
        for left in (1..=missing).rev() {
            let mut state = self.lock();
            state.latest_thread += 1;
            let number = state.latest_thread;
            drop(state);
            let resolver = self.clone();
            // In the network namespace of the calling thread, which is a loop's or another of these.
            match thread::spawn(c"shaker-resolver", STACK, move || resolver.run(number)) {
                Ok(thread) => drop(self.lock().threads.insert(number, thread)),
                Err(error) => return self.go_without(left, error.raw_os_error().unwrap_or(NO_THREAD)),
            }
        }
        Ok(())
    }

    /// So many threads cannot be had. If there are others, they will come to what is queued; else it is given up.
    fn go_without(&self, missing: usize, errno: i32) -> Result<(), i32> {
        let mut state = self.lock();
        state.running -= missing;
        state.coming = state.coming.saturating_sub(missing); // a thread that close() called was never counted
        if state.running > 0 {
            return Ok(());
        }
        loop {
            let queued = state.lookups.give_up_queued();
            drop(state);
            if queued.is_empty() {
                return Err(errno);
            }
            queued.into_iter().for_each(|id| self.answer(id, &Err(NOT_IN_TIME)));
            state = self.lock();
        }
    }

    /// A thread's life.
    fn run(self: Arc<Resolver>, number: u64) {
        let call = Arc::new(Condvar::new());
        let mut state = self.lock();
        state.coming = state.coming.saturating_sub(1);
        while !state.closed {
            let now = clock::now();
            let begun = state.lookups.begin(now);
            if let Some(begun) = begun {
                // If others are still queued, somebody has to watch this one.
                let missing = state.call_threads(now);
                drop(state);
                let _ = self.start_threads(missing);
                self.serve(&begun, now);
                state = self.lock();
            } else {
                let is_needed;
                (state, is_needed) = wait_for_call(state, number, &call, now);
                if !is_needed {
                    break;
                }
            }
        }
        state.running -= 1;
        if !state.closed
            && let Some(own) = state.threads.remove(&number)
        {
            let before = state.ended.replace(own);
            drop(state);
            before.into_iter().for_each(Thread::join);
        }
    }

    /// Makes a lookup and hands its answer out.
    fn serve(&self, begun: &Begun, now: u64) {
        if begun.starts_clocks {
            self.start_clocks(begun.id, now);
        }
        let left = begun.until.saturating_sub(now);
        let (addresses, ending) = match left {
            0 => (Err(NOT_IN_TIME), Ending::CutShort), // everybody's deadline passed while the name was queued
            left => look_up(&begun.query, left.div_ceil(1_000_000_000)),
        };
        let mut state = self.lock();
        let now = clock::now();
        if let Ok(addresses) = &addresses
            && (state.lookups.is_to_be_kept(begun.id) || state.answers.has(&begun.query))
        {
            state.answers.keep(begun.query.clone(), addresses.clone(), now);
        }
        let is_wanted = state.lookups.end(begun, now, ending);
        drop(state);
        if is_wanted {
            self.answer(begun.id, &addresses);
        }
    }

    fn start_clocks(&self, id: u64, now: u64) {
        let mut last = 0;
        loop {
            let Some(group) = self.lock().lookups.start_clocks(id, now, &mut last) else { return };
            group.into_iter().for_each(|(listener, key)| listener.lookup_began(key));
        }
    }

    fn answer(&self, id: u64, addresses: &Result<Vec<SocketAddr>, i32>) {
        loop {
            let group = self.lock().lookups.take_group(id);
            if group.is_empty() {
                return;
            }
            group.into_iter().for_each(|waiter| waiter.listener.resolved(waiter.key, addresses.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Calls as many threads as there are lookups that may begin, the idle ones first. Returns how many are to be
    /// started.
    fn call_threads(&mut self, now: u64) -> usize {
        if self.closed {
            return 0;
        }
        let mut wanted = self.lookups.may_begin(now);
        if wanted == 0
            && let Some(change) = self.lookups.next_change()
            && self.watched_until.is_none_or(|until| change < until)
        {
            wanted = 1;
        }
        let mut missing = 0;
        while self.coming < wanted {
            if let Some((_, call)) = self.idle.pop() {
                call.notify_one();
            } else if self.running < self.lookups.most() && self.has_room_for_thread() {
                self.running += 1;
                missing += 1;
            } else {
                break;
            }
            self.coming += 1;
        }
        missing
    }

    /// Makes room for what is kept of one more thread. Where there is no memory for it, others run already: a few need
    /// little.
    fn has_room_for_thread(&mut self) -> bool {
        let threads = self.running + 1;
        self.idle.try_reserve(threads).is_ok() && self.threads.try_reserve(threads).is_ok()
    }
}

/// Waits until the thread is called, time may have made room, or the thread is not needed any more: then it returns
/// false.
fn wait_for_call<'a>(
    mut state: MutexGuard<'a, State>,
    number: u64,
    call: &Arc<Condvar>,
    now: u64,
) -> (MutexGuard<'a, State>, bool) {
    state.idle.push((number, call.clone()));
    let change = state.lookups.next_change().filter(|change| state.watched_until.is_none_or(|until| *change < until));
    if change.is_some() {
        state.watched_until = change;
    }
    let until = change.unwrap_or(now + IDLE);
    let mut time = now;
    let place = loop {
        let left = Duration::from_nanos(until.saturating_sub(time));
        state = call.wait_timeout(state, left);
        time = clock::now();
        let place = state.idle.iter().position(|(idle, _)| *idle == number);
        if place.is_none() || time >= until {
            break place;
        }
    };
    if change.is_some() && state.watched_until == change {
        state.watched_until = None;
    }
    match place {
        Some(place) => drop(state.idle.remove(place)), // it was not called
        None => state.coming = state.coming.saturating_sub(1),
    }
    (state, place.is_none() || change.is_some())
}
