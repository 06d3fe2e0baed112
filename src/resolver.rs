//! Names to addresses: getaddrinfo on a few threads of its own, identical lookups shared.
//!
//! getaddrinfo cannot be interrupted, so the threads never hold anybody up but [`Resolver::join`], and a lookup is told
//! not to try for longer than the checks that wait for it (see [`patience`]).

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::clock;
use crate::lane::{Asker, Lane, Order, Query};
use crate::request::Family;
use crate::socket;
use crate::thread::{self, Thread};

/// Lookups at once. More would only queue up in front of the same name server.
const THREADS: usize = 4;

/// The deadline's own code: EAI_AGAIN, "try again later".
pub(crate) const NOT_IN_TIME: i32 = libc::EAI_AGAIN;

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
    askers: Vec<(Arc<Lane>, Asker)>,
    taken_up: bool,
}

impl Resolver {
    pub fn new() -> Resolver {
        Resolver { state: Mutex::default(), work: Condvar::new() }
    }

    /// Has a name looked up; the answer comes to the lane as [`Order::Resolved`]. An errno if no thread can be had.
    pub fn ask(self: &Arc<Resolver>, query: Query, lane: &Arc<Lane>, mut asker: Asker) -> Result<(), i32> {
        let mut state = self.lock();
        if state.closed {
            return Ok(()); // the loops end every check themselves
        }
        if state.queue.len() >= state.idle && state.threads.len() < THREADS && !state.askers.contains_key(&query) {
            let resolver = self.clone();
            match thread::spawn(c"shaker-resolver", move || resolver.run()) {
                Ok(thread) => state.threads.push(thread),
                Err(error) if state.threads.is_empty() => return Err(error.raw_os_error().unwrap_or(libc::EAGAIN)),
                Err(_) => {} // the ones there are will come to it
            }
        }
        let waiting = state.askers.entry(query.clone()).or_default();
        if waiting.taken_up && asker.deadline.is_none() {
            let _ = lane.give(Order::LookedUp { race: asker.race, serial: asker.serial });
            asker.deadline = Some(clock::now() + u64::from(asker.timeout_ms) * 1_000_000);
        }
        let first = waiting.askers.is_empty();
        waiting.askers.push((lane.clone(), asker));
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
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
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
        for (lane, asker) in &waiting.askers {
            let deadline = asker.deadline.unwrap_or_else(|| {
                let _ = lane.give(Order::LookedUp { race: asker.race, serial: asker.serial });
                now + u64::from(asker.timeout_ms) * 1_000_000
            });
            last = last.max(deadline);
        }
        (last > now).then_some(last)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is done under this lock that can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(askers: Vec<(Arc<Lane>, Asker)>, addresses: &Result<Vec<SocketAddr>, i32>) {
    for (lane, Asker { race, serial, .. }) in askers {
        let addresses = addresses.clone();
        let _ = lane.give(Order::Resolved { race, serial, addresses });
    }
}

/// getaddrinfo(3) for streams. `seconds` is how long the answer will be wanted.
fn look_up(query: &Query, seconds: u64) -> Result<Vec<SocketAddr>, i32> {
    let hints = libc::addrinfo {
        ai_flags: 0,
        ai_family: match query.family {
            Family::Any => libc::AF_UNSPEC,
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        },
        ai_socktype: libc::SOCK_STREAM,
        ai_protocol: libc::IPPROTO_TCP,
        ai_addrlen: 0,
        ai_addr: std::ptr::null_mut(),
        ai_canonname: std::ptr::null_mut(),
        ai_next: std::ptr::null_mut(),
    };
    let host = &query.name.host;
    let host = if host.is_empty() { std::ptr::null() } else { host.as_ptr() };
    let mut list = std::ptr::null_mut();
    let restore = patience::limit(seconds);
    // SAFETY: both strings are NUL-terminated and outlive the call, `hints` is whole, `list` is written on success.
    let code = unsafe { libc::getaddrinfo(host, query.name.service.as_ptr(), &hints, &mut list) };
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    patience::restore(restore);
    if code != 0 {
        // EAI_SYSTEM means "see errno", which nobody could: a resolver that could not be asked is one to ask again.
        let code =
            if code == libc::EAI_SYSTEM && socket::is_out_of_descriptors(errno) { libc::EAI_AGAIN } else { code };
        return Err(code);
    }
    let mut addresses = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: getaddrinfo's list is valid up to its NULL, and each ai_addr holds an address of its ai_family.
        unsafe {
            let info = &*entry;
            let address = match info.ai_family {
                libc::AF_INET => Some(socket::from_sockaddr_in(&*info.ai_addr.cast())),
                libc::AF_INET6 => Some(socket::from_sockaddr_in6(&*info.ai_addr.cast())),
                _ => None,
            };
            if let Some(address) = address
                && address.port() != 0
                && !addresses.contains(&address)
            {
                addresses.push(address);
            }
            entry = info.ai_next;
        }
    }
    // SAFETY: the list came from getaddrinfo, and nothing refers to it any more.
    unsafe { libc::freeaddrinfo(list) };
    if addresses.is_empty() { Err(libc::EAI_NONAME) } else { Ok(addresses) }
}

/// The EAI_ code in words.
pub(crate) fn error_text(code: i32) -> String {
    // SAFETY: gai_strerror returns a static NUL-terminated text for any code.
    let text = unsafe { std::ffi::CStr::from_ptr(libc::gai_strerror(code)) };
    text.to_string_lossy().into_owned()
}

/// How long a lookup tries, kept within what anybody waits for.
///
/// With a silent name server, glibc tries `attempts` times for `timeout` seconds each (resolv.conf(5): 2 and 5), and
/// a checker that is freed meanwhile would have to wait for it. Every thread has settings of its own (`_res`,
/// resolver(3)), so a shorter patience here changes nothing for the rest of the process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod patience {
    /// The head of `struct __res_state` (resolv.h), part of glibc's ABI.
    #[repr(C)]
    struct ResState {
        retrans: i32,
        retry: i32,
    }

    unsafe extern "C" {
        fn __res_state() -> *mut ResState;
    }

    /// What resolv.conf said.
    pub(super) struct Before {
        retrans: i32,
        retry: i32,
    }

    /// Keeps this thread's next lookup to about `seconds`.
    pub(super) fn limit(seconds: u64) -> Before {
        // SAFETY: res_init fills this thread's own state, which __res_state points to.
        let state = unsafe {
            if (*__res_state()).retrans == 0 {
                libc::res_init();
            }
            &mut *__res_state()
        };
        let before = Before { retrans: state.retrans, retry: state.retry };
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        if i64::from(seconds) < i64::from(before.retrans) * i64::from(before.retry) {
            // Fewer tries before shorter ones: a slow answer is better than none.
            state.retrans = before.retrans.min(seconds);
            state.retry = (seconds / state.retrans.max(1)).clamp(1, before.retry.max(1));
        }
        before
    }

    /// glibc goes on re-reading a changed resolv.conf only while the settings are those it read from it.
    pub(super) fn restore(before: Before) {
        // SAFETY: this thread's own state, set up by `limit`.
        let state = unsafe { &mut *__res_state() };
        state.retrans = before.retrans;
        state.retry = before.retry;
    }
}

/// Elsewhere the system's own patience has to do.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod patience {
    pub(super) fn limit(_seconds: u64) {}
    pub(super) fn restore(_: ()) {}
}
