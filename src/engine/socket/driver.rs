//! The engine of half-open sockets, as the loop drives it.

use std::ffi::c_int;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::handshake::reuses_socket;
use super::meeting;
use super::observation::Observation;
use super::opener::Opener;
use super::peer::is_v6;
use super::pool::{Pool, SocketSlot};
use super::spare::SpareSockets;
use super::tcp_socket::{Ended, Socket};
use crate::check::close_mode::CloseMode;
use crate::check::slot::SlotKey;
use crate::check::verdict::{Status, Verdict};
use crate::engine::{Conclusion, Engine, NoSocket, Start, WAKE};
use crate::sys::memory::OutOfMemory;
use crate::sys::os_error;
use crate::sys::poller;

/// Answers taken from the poller at once; each costs a few microseconds. Less than 4 KiB of them, as mio would end the
/// process if it could not have their memory.
const EVENTS: usize = 4_095 / if cfg!(unix) { size_of::<mio::event::Event>() } else { 32 };
/// Sockets closed before the loop looks at the poller again; each costs a few microseconds.
const CLOSED_AT_ONCE: usize = 256;

pub(crate) struct SocketEngine {
    poll: Poll,
    events: Events,
    /// Slots that the last poll told of, in reverse.
    ready: Vec<u32>,
    pool: Pool,
    opener: Arc<Opener>,
    spare: Arc<SpareSockets>,
    /// This loop is short of descriptors, and keeps its sockets for itself.
    short: bool,
}

impl SocketEngine {
    pub fn new(poll: Poll, opener: Arc<Opener>, spare: Arc<SpareSockets>) -> SocketEngine {
        let (events, ready) = (Events::with_capacity(EVENTS), Vec::with_capacity(EVENTS));
        SocketEngine { poll, events, ready, pool: Pool::default(), opener, spare, short: false }
    }

    /// Makes room for one more socket.
    pub fn grow(&mut self) -> Result<(), OutOfMemory> {
        self.pool.grow()
    }

    /// Goes on with a check that began on a caller's thread. Returns the slot; the errno if nobody would notice the
    /// answer.
    pub fn adopt_socket(&mut self, socket: Socket, check: SlotKey) -> (u32, Result<(), i32>) {
        let slot = self.pool.insert(socket, true);
        self.pool.slot(slot).check = Some(check);
        (slot, self.watch(slot))
    }
}

impl Engine for SocketEngine {
    const REPEATS_SYN: bool = false;

    #[cfg(unix)]
    fn poller_fd(&self) -> Option<c_int> {
        Some(std::os::fd::AsRawFd::as_raw_fd(&self.poll))
    }

    #[cfg(not(unix))]
    fn poller_fd(&self) -> Option<c_int> {
        None
    }

    /// Waits for answers or a wake-up (`None`: for ever).
    fn poll(&mut self, wait: Option<Duration>) {
        self.ready.clear();
        if poller::wait(&mut self.poll, &mut self.events, wait) {
            let sockets = self.events.iter().map(|event| event.token()).filter(|token| *token != WAKE);
            self.ready.extend(sockets.map(|token| token.0 as u32));
            self.ready.reverse(); // the first to come is the first to be read
        }
    }

    /// The next check that the last poll told of, and its socket's slot. An event says only that something changed;
    /// what, the socket itself says. So a late or doubled event does no harm.
    fn next_event(&mut self) -> Option<(SlotKey, u32)> {
        while let Some(slot) = self.ready.pop() {
            if let Some(check) = self.pool.get(slot).and_then(|socket| socket.check) {
                return Some((check, slot));
            }
        }
        None
    }

    /// The slot of a socket for a check: one that lies idle, or a new one.
    fn acquire(&mut self, target: &SocketAddr, close_mode: CloseMode, mark: u32, limit: u32) -> Result<u32, NoSocket> {
        let v6 = is_v6(target);
        if reuses_socket(close_mode)
            && let Some(slot) = self.pool.take_idle(v6)
        {
            if self.pool.slot(slot).socket.set_mark(mark).is_ok() {
                return Ok(slot);
            }
            drop(self.remove(slot));
        }
        if self.pool.len() >= limit as usize {
            self.close_idle(1); // of the other family, or each family would hold as many as the limit
        }
        self.grow().map_err(NoSocket::from)?;
        let socket = self.opener.open(v6, close_mode, mark)?;
        Ok(self.pool.insert(socket, false))
    }

    /// There is no slot that one target alone cannot have.
    fn destination(&self, _: &SocketAddr) -> u32 {
        0
    }

    /// Sends the SYN of a check from an acquired slot.
    fn start(&mut self, slot: u32, check: SlotKey, target: &SocketAddr, now: u64) -> Start {
        self.pool.slot(slot).check = Some(check);
        let mut observation = self.connect(slot, target, now);
        if self.pool.slot(slot).socket.is_to_blame(&observation) {
            if self.renew(slot).is_err() {
                self.remove(slot);
                return Start::Stale;
            }
            observation = self.connect(slot, target, now);
        }
        if !matches!(observation, Observation::Nothing { .. })
            && let Some(conclusion) = self.conclude_or_ask_again(slot, observation, target, now)
        {
            return Start::Concluded(conclusion);
        }
        self.pool.slot(slot).socket.is_left_waiting();
        match self.watch(slot) {
            Ok(()) => Start::InFlight,
            Err(errno) => Start::Unwatchable { errno, closed: self.last_look(slot, target, now).closed },
        }
    }

    /// Concludes the check of this slot if there is an answer.
    fn look(&mut self, slot: u32, target: &SocketAddr, syn_at: u64) -> Option<Conclusion> {
        let socket = &self.pool.slot(slot).socket;
        let observation = socket.look(target, syn_at);
        if socket.waits(&observation) {
            return None;
        }
        let conclusion = self.conclude_or_ask_again(slot, observation, target, syn_at);
        if conclusion.is_none() {
            self.pool.slot(slot).socket.is_left_waiting();
            if let Err(errno) = self.watch(slot) {
                let Conclusion { at, closed, .. } = self.last_look(slot, target, syn_at);
                let verdict = Verdict::without_segments(Status::LocalFault, errno);
                return Some(Conclusion { verdict, at, closed });
            }
        }
        conclusion
    }

    /// Concludes the check of this slot, whose deadline has passed. An answer that waits in the kernel still counts:
    /// only the look came late.
    fn last_look(&mut self, slot: u32, target: &SocketAddr, syn_at: u64) -> Conclusion {
        let observation = self.pool.slot(slot).socket.look(target, syn_at);
        self.conclude(slot, observation, target, syn_at)
    }

    fn repeat_syn(&mut self, _: u32, _: &SocketAddr) -> bool {
        true
    }

    fn flush(&mut self) {}

    fn answers_read_until(&self) -> u64 {
        u64::MAX
    }

    fn wants_poll_at(&self) -> Option<u64> {
        None
    }

    fn set_short_of_descriptors(&mut self, short: bool) {
        self.short = short;
    }

    fn has_idle(&self) -> bool {
        self.pool.idle() > 0
    }

    /// Closes up to `most` idle sockets. True if there was one.
    fn close_idle(&mut self, most: usize) -> bool {
        let mut any = false;
        for _ in 0..most {
            let Some(slot) = self.pool.take_any_idle() else { break };
            drop(self.remove(slot));
            any = true;
        }
        any
    }

    /// From now on an idle socket that is not used counts as not needed.
    fn mark_unneeded(&mut self) {
        self.pool.mark_untouched();
    }

    /// Closes idle sockets that nobody has needed since they were marked. False if there are more.
    fn close_unneeded(&mut self) -> bool {
        for slot in self.pool.take_untouched(CLOSED_AT_ONCE) {
            drop(self.remove(slot));
        }
        !self.pool.has_untouched()
    }

    /// Gives back the memory that a burst took.
    fn shrink(&mut self) {
        self.pool.shrink();
    }
}

impl SocketEngine {
    /// Sends the SYN. A target on this machine has answered by the time connect returns.
    fn connect(&mut self, slot: u32, target: &SocketAddr, now: u64) -> Observation {
        let socket = &mut self.pool.slot(slot).socket;
        match socket.connect(target) {
            Ok(()) if target.ip().is_loopback() => socket.look(target, now),
            Ok(()) => Observation::Nothing { syn_retransmits: 0 },
            Err(observation) => observation,
        }
    }

    /// Has a new socket take the place of one that is to blame.
    fn renew(&mut self, slot: u32) -> Result<(), NoSocket> {
        if self.pool.slot(slot).socket.may_be_stale() {
            self.close_idle(CLOSED_AT_ONCE); // they are bound to the same interface number
        }
        let socket = self.opener.open_like(&self.pool.slot(slot).socket)?;
        self.unwatch(slot);
        self.pool.slot(slot).socket = socket;
        Ok(())
    }

    fn conclude(&mut self, slot: u32, observation: Observation, target: &SocketAddr, syn_at: u64) -> Conclusion {
        let ended = self.end(slot, observation, target, syn_at);
        self.opener.must_ask_again(&self.pool.slot(slot).socket, &ended, target); // there is no time to ask again
        self.conclusion(slot, ended)
    }

    /// `None` if a target that was up a moment ago has refused, and has not answered yet to another socket.
    fn conclude_or_ask_again(
        &mut self,
        slot: u32,
        mut observation: Observation,
        target: &SocketAddr,
        syn_at: u64,
    ) -> Option<Conclusion> {
        loop {
            let ended = self.end(slot, observation, target, syn_at);
            if !self.opener.must_ask_again(&self.pool.slot(slot).socket, &ended, target) || self.renew(slot).is_err() {
                return Some(self.conclusion(slot, ended));
            }
            self.pool.slot(slot).socket.asks_again();
            observation = self.connect(slot, target, syn_at);
            if let Observation::Nothing { .. } = observation {
                return None;
            }
        }
    }

    fn end(&mut self, slot: u32, observation: Observation, target: &SocketAddr, syn_at: u64) -> Ended {
        self.unwatch_if_it_closes(slot);
        let observation = meeting::judged(&self.opener, &self.pool.slot(slot).socket, observation, target);
        let mut ended = self.pool.slot(slot).socket.conclude(observation, target, syn_at);
        self.opener.doubt(&mut ended.verdict);
        ended
    }

    fn conclusion(&mut self, slot: u32, ended: Ended) -> Conclusion {
        let closed = self.release(slot, ended.clean);
        Conclusion { verdict: ended.verdict, at: ended.at, closed }
    }

    /// The socket has done its work: back to the idle ones, or closed. True if a descriptor was given back.
    fn release(&mut self, slot: u32, clean: bool) -> bool {
        let SocketSlot { check, from_caller, unwatchable, .. } = self.pool.slot(slot);
        *check = None;
        let from_caller = *from_caller;
        let keep = clean && !*unwatchable && (self.short || !self.opener.is_short_of_descriptors());
        if keep && !from_caller && self.pool.put_idle(slot).is_ok() {
            return false;
        }
        let socket = self.remove(slot);
        if keep && from_caller {
            let _ = self.spare.keep(socket); // a sweep follows every check that ends in the loop
        }
        true
    }

    /// Makes a socket known to the poller: edge-triggered, once, for as long as it lives, and only when a check has to
    /// wait for its answer. Writable means answered; an answer that is there already is an edge, too.
    fn watch(&mut self, slot: u32) -> Result<(), i32> {
        let SocketSlot { socket, watched, unwatchable, .. } = self.pool.slot(slot);
        if !*watched && let Some(source) = socket.source() {
            let registered = self.poll.registry().register(source, Token(slot as usize), Interest::WRITABLE);
            *unwatchable = registered.is_err();
            registered.map_err(|error| os_error::of(&error))?;
            *watched = true;
        }
        Ok(())
    }

    /// Takes a socket from the poller. Closing alone would not: a forked child may hold a copy of the descriptor.
    fn unwatch(&mut self, slot: u32) {
        let SocketSlot { socket, watched, .. } = self.pool.slot(slot);
        if std::mem::take(watched)
            && let Some(source) = socket.source()
        {
            let _ = self.poll.registry().deregister(source);
        }
    }

    /// A socket that serves one check is closed with it, and has to leave the poller before.
    fn unwatch_if_it_closes(&mut self, slot: u32) {
        if !self.pool.slot(slot).socket.is_reusable() {
            self.unwatch(slot);
        }
    }

    fn remove(&mut self, slot: u32) -> Socket {
        self.unwatch(slot);
        self.pool.remove(slot).socket
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::engine::wire::Wire;
    use crate::test_targets::{listening, refusing};

    const MODE: CloseMode = CloseMode::HALF_OPEN;

    fn engine() -> SocketEngine {
        let opener = Arc::new(Opener::new(Wire::default()));
        SocketEngine::new(Poll::new().unwrap(), opener, Arc::new(SpareSockets::new(1)))
    }

    fn begin(engine: &mut SocketEngine, target: &SocketAddr) -> Start {
        let slot = engine.acquire(target, MODE, 0, 8).unwrap();
        engine.start(slot, SlotKey::of(0), target, crate::sys::clock::now())
    }

    #[test]
    fn a_target_on_this_host_has_answered_by_the_time_that_its_syn_is_sent() {
        let ((_listener, live), (_bound, dead)) = (listening(), refusing());
        for (target, status) in [(live, Status::Up), (dead, Status::Refused)] {
            let heard = |_| match begin(&mut engine(), &target) {
                Start::Concluded(conclusion) => Some(conclusion.verdict.status),
                _ => None, // a busy host may be late
            };
            assert_eq!((0..50).find_map(heard), Some(status));
        }
    }

    #[test]
    fn while_a_loop_lacks_descriptors_no_other_one_keeps_what_lies_idle() {
        let (_bound, target) = refusing();
        for (some_are_short, is_short, keeps) in
            [(false, false, true), (true, false, false), (true, true, true), (false, true, true)]
        {
            let kept = |_| {
                let mut engine = engine();
                engine.opener.count_short_loops(some_are_short.into());
                engine.set_short_of_descriptors(is_short);
                let is_over = matches!(begin(&mut engine, &target), Start::Concluded(_));
                is_over.then(|| engine.has_idle())
            };
            assert_eq!((0..50).find_map(kept), Some(keeps && reuses_socket(MODE)));
        }
    }
}
