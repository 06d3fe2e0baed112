//! The safe handle over one or more loops: what a program holds, and calls from any thread.

mod blocking;
mod builder;
#[cfg(test)]
mod bursts;
mod clients;
#[cfg(test)]
mod dead_loop;
mod driver;
mod inline;
mod many;
#[cfg(test)]
mod shares;
mod submit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mio::Poll;

use crate::check::close_mode::CloseMode;
use crate::check::error::Error;
use crate::check::request::{Family, Request};
use crate::check::verdict::{Report, Status};
use crate::completion::CompletionQueue;
use crate::config::{Config, EngineKind};
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::engine::raw::{RawEngine, counts::Counts};
use crate::engine::socket::{self, SocketEngine};
use crate::event_loop::command::{SubmittedCheck, Terms};
use crate::event_loop::handle::LoopHandle;
use crate::event_loop::shared::Shared;
use crate::event_loop::{EventLoop, LoopEngine};
use crate::stats::Stats;
use crate::sys::dso;
use crate::sys::limits;
use crate::sys::memory::vec_for;
use crate::sys::netns;
use crate::sys::os_error;
use crate::sys::raw_socket;
use crate::sys::thread::{self, Thread};

pub use builder::CheckerBuilder;
use driver::Driver;
pub(crate) use submit::Submission;

/// Nobody has more descriptors than this to spare for one checker, whatever the limit says.
const IN_FLIGHT_MAX: u64 = 1 << 20;
/// After one to two spans of this length without a check, ports are given back and raw sockets hear nothing any more:
/// one that hears costs the host's other traffic something.
const RAW_IDLE_MS: u32 = 5_000;
/// What a checker may have in flight by default where no check holds a descriptor.
const RAW_IN_FLIGHT: u32 = 1 << 18;
/// The host's callbacks run on it; musl's own default would be 128 KiB.
const LOOP_STACK: usize = 2 << 20;
/// A loop that is awake ends within less.
const AWAKE: Duration = Duration::from_secs(1);

/// Checks TCP ports. Made to be shared: every function may be called from any thread at any time.
///
/// Dropping it ends every check, and waits for its threads.
///
/// ```
/// let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let checker = tcpshaker::Checker::new(&tcpshaker::Config::default()).unwrap();
/// let verdict = checker.check_addr(&listener.local_addr().unwrap().to_string(), 500);
/// assert_eq!(verdict.status, tcpshaker::Status::Up);
/// ```
pub struct Checker {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
    next_id: AtomicU64,
    next_loop: AtomicUsize,
    /// Instead of the threads, where callers drive the loop.
    driver: Option<Driver>,
}

impl Checker {
    /// Makes a checker, ready for use when this returns.
    ///
    /// # Errors
    /// [`Error::LocalFault`] without descriptors, threads or memory for its loops, or if the path of the network namespace is
    /// none's; [`Error::Unsupported`] when a setting needs privileges that this process does not have, such as
    /// [`EngineKind::Raw`], or for a caller-driven checker in a network namespace.
    pub fn new(config: &Config) -> Result<Checker, Error> {
        let Some(path) = &config.network_namespace else { return Checker::new_here(config) };
        if config.caller_driven {
            return Err(Error::Unsupported); // callers are elsewhere
        }
        let inside = config.clone();
        match netns::run_in(path, move || Checker::new_here(&inside)) {
            Ok(made) => made,
            Err(error) if os_error::is_forbidden(os_error::of(&error)) => Err(Error::Unsupported),
            Err(_) => Err(Error::LocalFault),
        }
    }

    /// A checker whose threads are in the calling thread's network namespace.
    fn new_here(config: &Config) -> Result<Checker, Error> {
        let engine = effective_engine(config)?;
        let idle_ms = if engine == EngineKind::Raw { config.idle_ms.min(RAW_IDLE_MS) } else { config.idle_ms };
        let config = &Config { engine, idle_ms, ..config.clone() };
        socket::probe(&config.wire)?;
        let all = match config.max_in_flight {
            Some(checks) => checks,
            None if config.engine == EngineKind::Raw => RAW_IN_FLIGHT,
            None => (limits::descriptor_limit() / 2).clamp(1, IN_FLIGHT_MAX) as u32,
        };
        // A loop without a permit for a check would be no use.
        let loops = if config.caller_driven { 1 } else { config.loops.min(all) };
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
        let (mut polls, mut handles) = (vec_for(loops as usize)?, vec_for(loops as usize)?);
        for index in 0..loops {
            let limit = share(all as usize, loops as usize, index as usize) as u32;
            let (poll, handle) = LoopHandle::with_poll(limit, 2 * cpus).map_err(|_| Status::LocalFault)?;
            polls.push(poll);
            handles.push(handle);
        }
        let mut checker = Checker {
            shared: Arc::new(Shared::new(config.clone(), handles.clone())),
            threads: vec_for(loops as usize)?,
            next_id: AtomicU64::new(1),
            next_loop: AtomicUsize::new(0),
            driver: None,
        };
        for (index, (poll, handle)) in (0..).zip(polls.into_iter().zip(handles)) {
            checker.begin_loop_of(config.engine, poll, handle, index)?; // dropping it ends the loops that have begun
        }
        Ok(checker)
    }

    /// Begins a loop of the checker's engine; `index` is its number.
    #[cfg_attr(not(any(target_os = "linux", target_os = "android")), expect(unused_variables, reason = "for raw"))]
    fn begin_loop_of(
        &mut self,
        kind: EngineKind,
        poll: Poll,
        handle: Arc<LoopHandle>,
        index: u32,
    ) -> Result<(), Status> {
        match kind {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            EngineKind::Raw => {
                let counts = Counts::new(self.shared.opener.counter(), self.shared.counters.unsolicited());
                let engine = RawEngine::new(poll, self.shared.config.wire.clone(), index, counts);
                self.begin_loop(handle, engine)
            }
            _ => {
                let engine = SocketEngine::new(poll, self.shared.opener.clone(), handle.spare.clone());
                self.begin_loop(handle, engine)
            }
        }
    }

    /// Has a loop of this engine run on a thread of its own, or leaves it to callers.
    fn begin_loop<E>(&mut self, handle: Arc<LoopHandle>, engine: E) -> Result<(), Status>
    where
        E: LoopEngine + Send + 'static,
    {
        let event_loop = EventLoop::new(Arc::clone(&self.shared), handle, engine);
        if self.shared.config.caller_driven {
            self.driver = Some(Driver::new(event_loop));
            return Ok(());
        }
        let thread =
            thread::spawn(c"shaker-loop", LOOP_STACK, move || event_loop.run()).map_err(|_| Status::LocalFault)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends every check with [`Status::Closed`] and wakes every waiter. Nothing is accepted from now on; what was
    /// reported can still be reaped.
    pub fn shutdown(&self) {
        if self.is_forked() {
            return;
        }
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.handles.iter().for_each(|handle| handle.inbox.close(Status::Closed));
        self.shared.resolver.close();
        if let Some(driver) = &self.driver
            && !driver.is_driven_here()
        {
            driver.drive(|| false, Some(Duration::ZERO));
        }
    }

    /// What puts the checker's segments on the wire: never [`EngineKind::Auto`].
    pub fn engine(&self) -> EngineKind {
        self.shared.config.engine
    }

    /// What the checker has done and is doing.
    pub fn stats(&self) -> Stats {
        let sum = |count: fn(&LoopHandle) -> u64| self.shared.handles.iter().map(|handle| count(handle)).sum();
        Stats {
            in_flight: sum(|handle| handle.permits.taken().into()),
            queued: sum(|handle| handle.queued.load(Ordering::Relaxed)),
            sockets: self.shared.opener.held(),
            ..self.shared.counters.read()
        }
    }

    /// Whether the checker was made by a process that this one was forked from.
    pub fn is_forked(&self) -> bool {
        self.shared.fork_mark.is_child()
    }

    /// Whether the calling thread is one of the checker's own, that is, inside one of its callbacks.
    pub fn is_own_thread(&self) -> bool {
        match &self.driver {
            Some(driver) => driver.is_driven_here(),
            None => thread::belongs_to(self.shared.identity()),
        }
    }

    /// Takes from a queue of results as [`CompletionQueue::take_unless`](crate::completion::Queue::take_unless) does,
    /// and has the loop get on meanwhile where callers drive it.
    fn take(
        &self,
        queue: &CompletionQueue,
        seen: Option<u64>,
        capacity: usize,
        wanted: usize,
        wait: Option<Duration>,
        mut each: impl FnMut(Report),
    ) -> usize {
        let Some(driver) = &self.driver else { return queue.take_unless(seen, capacity, wanted, wait, each) };
        let wanted = wanted.min(capacity);
        let begun = Instant::now();
        let left = || wait.map(|wait| wait.saturating_sub(begun.elapsed()));
        loop {
            if driver.is_driven_here() {
                return queue.take(capacity, wanted, Some(Duration::ZERO), each);
            }
            driver.drive(|| queue.has(wanted, seen), left());
            if self.is_forked() {
                return 0; // a callback forked, and this is the child
            }
            let taken = queue.take(capacity, wanted, Some(Duration::ZERO), &mut each);
            let is_over = wanted == 0 || left() == Some(Duration::ZERO) || driver.has_ended();
            // Another reader may have been quicker.
            if taken > 0 || is_over || seen.is_some_and(|seen| seen != queue.interrupts()) {
                return taken;
            }
        }
    }

    /// A result was put into a queue by this thread and not by the loop: whoever drives the loop and waits for it
    /// looks.
    fn tell_of_result(&self) {
        if let Some(driver) = &self.driver {
            driver.tell_of_result();
            if driver.is_driven() && !driver.is_driven_here() {
                self.shared.handles[0].inbox.wake();
            }
        }
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shared.closed.load(Ordering::SeqCst)
    }

    fn not_forked(&self) -> Result<(), Status> {
        if self.is_forked() { Err(Status::Forked) } else { Ok(()) }
    }

    /// Why a blocking call that waited for verdicts has none: this is a child that a callback forked while the caller
    /// drove the checker, or a loop died of a defect.
    fn why_no_verdict(&self) -> Status {
        self.not_forked().err().unwrap_or(Status::Internal)
    }

    fn may_block(&self) -> Result<(), Status> {
        self.not_forked()?;
        if self.is_own_thread() {
            return Err(Status::Deadlock);
        }
        if self.is_shut_down() {
            return Err(Status::Closed);
        }
        Ok(())
    }

    /// Whether everything was cancelled since the count was read. Asked under the inbox's lock, so that a cancel comes
    /// either before a command or after it.
    fn cancelled_since(&self, cancels: u64) -> Option<Status> {
        (self.shared.cancels.load(Ordering::SeqCst) != cancels).then_some(Status::Cancelled)
    }

    /// Whose turn it is among the loops.
    fn turn(&self) -> usize {
        match self.shared.handles.len() {
            1 => 0,
            handles => self.next_loop.fetch_add(1, Ordering::Relaxed) % handles,
        }
    }

    fn submitted_check(&self, request: Request, id: u64, submitted: u64, paced: bool) -> SubmittedCheck {
        let config = &self.shared.config;
        let timeout_ms = if request.timeout_ms == 0 { config.timeout_ms } else { request.timeout_ms };
        let family = if request.family == Family::Any { config.family } else { request.family };
        let linger = request.linger || !config.zero_linger;
        let close_mode = CloseMode { handshake: request.handshake, linger };
        let mark = if request.mark == 0 { self.shared.opener.mark() } else { request.mark };
        let terms = Terms { submitted, timeout_ms, close_mode, mark, paced, has_token: false, syns: 0 };
        SubmittedCheck { id, tag: request.tag, target: request.target, family, name_age_ms: 0, terms }
    }
}

/// How many of `all` are this loop's, where each has as many as the others, or one less than the first ones.
fn share(all: usize, loops: usize, index: usize) -> usize {
    all / loops + usize::from(index < all % loops)
}

/// The engine that a checker with these settings has, in the calling thread's network namespace.
fn effective_engine(config: &Config) -> Result<EngineKind, Status> {
    match config.engine {
        EngineKind::Socket => Ok(EngineKind::Socket),
        EngineKind::Raw => match raw_socket::probe() {
            Ok(()) => Ok(EngineKind::Raw),
            Err(error) if os_error::is_out_of_descriptors(os_error::of(&error)) => Err(Status::LocalFault),
            _ => Err(Status::Unsupported),
        },
        // It could make no check that ends with FIN, and so none of this checker's.
        EngineKind::Auto if !config.zero_linger => Ok(EngineKind::Socket),
        EngineKind::Auto if raw_socket::probe().is_ok() => Ok(EngineKind::Raw),
        EngineKind::Auto => Ok(EngineKind::Socket),
    }
}

impl Checker {
    /// Whether the loops end now: each was woken, or is awake and ends by itself. One that sleeps, and whose descriptors
    /// the host has closed, only hears of it at its next timer.
    fn are_loops_ending(&self) -> bool {
        let unwoken = self.shared.handles.iter().filter(|handle| !handle.inbox.wake()).count();
        let until = Instant::now() + AWAKE;
        while unwoken > 0 && self.shared.loops.load(Ordering::SeqCst) > 0 {
            if Instant::now() > until {
                dso::stay_loaded();
                return false;
            }
            thread::pause(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        let threads = std::mem::take(&mut self.threads);
        if self.is_forked() {
            // The threads are the parent's, and so is whatever they were at: here their locks may be taken for ever. So
            // what they share is never dropped.
            std::mem::forget((threads, self.driver.take(), Arc::clone(&self.shared)));
            return;
        }
        self.shutdown();
        if self.is_own_thread() {
            // A callback held the last handle. Its thread cannot wait for itself, and ends soon.
            threads.into_iter().for_each(Thread::detach);
        } else if self.driver.is_some() {
            self.shared.resolver.join();
        } else {
            let end: fn(Thread) = if self.are_loops_ending() { Thread::join } else { Thread::detach };
            threads.into_iter().for_each(end);
        }
    }
}
