//! One check of one address on one socket: queued, started, answered, judged.

use std::net::SocketAddr;

use mio::Interest;
use slab::Slab;

use super::{Check, EventLoop, Key, Owner, ReplyTo, Seat, Stage};
use crate::check::verdict::{Status, Verdict};
use crate::engine::socket::{self, Observation, Socket};
use crate::event_loop::handle::{StartedCheck, Terms};
use crate::sys::clock;
use crate::sys::os_error;

/// When a loop asks again for a descriptor that nobody told it of, in nanoseconds.
const SHORTAGE_RETRY: u64 = 50_000_000;
/// Idle sockets closed at once for want of descriptors; each costs a few microseconds.
const FREED_AT_ONCE: usize = 64;

impl EventLoop {
    /// Gives a check its slot, and its place in the queue is up to the caller. Its deadline runs already, unless it
    /// is paced.
    pub(super) fn admit(&mut self, owner: Owner, target: SocketAddr, terms: Terms) -> (u32, u32) {
        let Terms { submitted, timeout_ms, close_mode, paced } = terms;
        let generation = self.next_generation();
        let stage = if paced { Stage::Paced } else { Stage::Queued };
        let check = Check { owner, target, submitted, timeout_ms, generation, close_mode, stage, timer: None };
        let slot = sparing(&mut self.checks).insert(check);
        if !paced {
            let timer = self.set_deadline(submitted, timeout_ms, slot as u32);
            self.checks[slot].timer = Some(timer);
        }
        (slot as u32, generation)
    }

    /// Goes on with a check that began on a caller's thread.
    pub(super) fn take_over(&mut self, reply_to: ReplyTo, begun: StartedCheck) {
        let StartedCheck { target, socket, syn_at, terms, .. } = begun;
        let (slot, _) = self.admit(Owner::Asker(reply_to), target, terms);
        let seat = self.seat(socket, true);
        self.seats[seat as usize].check = Some(Key::of(slot as usize));
        self.checks[slot as usize].stage = Stage::InFlight { seat, syn_at };
        if let Err(errno) = self.watch(seat) {
            self.unwatchable(slot, errno);
        }
    }

    /// Starts queued checks until a place, a descriptor, the rate or the slice runs out.
    pub(super) fn start_queued(&mut self) {
        self.starved = false;
        self.held_back_until = None;
        self.just_concluded = false;
        while let Some(&(slot, generation)) = self.queue.front() {
            let Some(check) = self.checks.get(slot as usize).filter(|check| check.generation == generation) else {
                self.queue.pop_front(); // cancelled or out of time meanwhile
                continue;
            };
            if check.is_overdue(self.now) {
                self.queue.pop_front();
                self.settle_busy(slot); // its deadline has passed, and waits to be judged
                if self.slice_is_over() {
                    break;
                }
                continue;
            }
            let (v6, close_mode) = (socket::is_v6(&check.target), check.close_mode);
            if !self.enter() {
                self.starved = true;
                return;
            }
            if let Err(until) = self.shared.rate.take(clock::now) {
                self.handle.leave();
                self.held_back_until = Some(until);
                return;
            }
            let idle = if socket::reuses_socket(close_mode) { self.idle[usize::from(v6)].pop() } else { None };
            let seat = match idle {
                Some(seat) => Ok(seat),
                None => self.open_seat(slot),
            };
            match seat {
                Ok(seat) => {
                    self.queue.pop_front();
                    self.start(slot, seat);
                }
                Err(errno) => {
                    self.handle.leave();
                    if os_error::is_out_of_descriptors(errno) && self.shared.sockets() > 0 {
                        // One of the checker's own is in use, and will wake this loop when it is free. The host's own wake
                        // nobody, so this loop asks again in a while, too.
                        self.starved = true;
                        self.held_back_until = Some(clock::now() + SHORTAGE_RETRY);
                        return;
                    }
                    self.end_shortage();
                    self.queue.pop_front();
                    let fault = Verdict::without_segments(Status::LocalFault, errno);
                    self.settle(slot, fault, self.now);
                }
            }
            if self.slice_is_over() {
                break;
            }
        }
        if self.queue.is_empty() {
            self.end_shortage();
        }
    }

    /// Takes a place among the checks in flight, or asks to be woken when one is free.
    fn enter(&mut self) -> bool {
        self.handle.enter() || {
            self.handle.set_starved(true);
            self.handle.enter() && {
                self.handle.set_starved(false);
                true
            }
        }
    }

    /// A new socket. When the process has no descriptor left, those that lie idle are closed first.
    fn open_seat(&mut self, slot: u32) -> Result<u32, i32> {
        let check = &self.checks[slot as usize];
        let (v6, close_mode) = (socket::is_v6(&check.target), check.close_mode);
        if self.seats.len() >= self.handle.max_in_flight() as usize {
            self.drop_idle(1); // one of the other family, or the limit would be held twice
        }
        let mut socket = self.shared.open_socket(v6, close_mode);
        if matches!(socket, Err(errno) if os_error::is_out_of_descriptors(errno)) {
            self.drop_idle(FREED_AT_ONCE);
            self.handle.drop_spare();
            self.declare_shortage();
            // Once more, since one may have been closed before this loop asked to be woken.
            socket = self.shared.open_socket(v6, close_mode);
        }
        if !matches!(socket, Err(errno) if os_error::is_out_of_descriptors(errno)) {
            self.end_shortage();
        }
        Ok(self.seat(socket?, false))
    }

    fn seat(&mut self, socket: Socket, lent: bool) -> u32 {
        sparing(&mut self.seats).insert(Seat { socket, check: None, lent, watched: false }) as u32
    }

    /// Makes a socket known to the poller: edge-triggered, once, for as long as it lives, and only when a check has to wait
    /// for its answer. Writable means answered; an answer that is there already is an edge, too.
    fn watch(&mut self, seat: u32) -> Result<(), i32> {
        let Seat { socket, watched, .. } = &mut self.seats[seat as usize];
        if !*watched && let Some(source) = socket.source() {
            let registered = self.poll.registry().register(source, mio::Token(seat as usize), Interest::WRITABLE);
            registered.map_err(|error| error.raw_os_error().unwrap_or(0))?;
            *watched = true;
        }
        Ok(())
    }

    /// Takes a socket from the poller. Closing alone would not: a forked child may hold a copy of the descriptor.
    fn unwatch(&mut self, seat: u32) {
        let Seat { socket, watched, .. } = &mut self.seats[seat as usize];
        if std::mem::take(watched)
            && let Some(source) = socket.source()
        {
            let _ = self.poll.registry().deregister(source);
        }
    }

    /// A socket that serves one check is closed with it, and has to leave the poller before.
    fn unwatch_if_it_closes(&mut self, seat: u32) {
        if !self.seats[seat as usize].socket.is_reusable() {
            self.unwatch(seat);
        }
    }

    /// The poller does not take the socket, so nobody would notice the answer.
    fn unwatchable(&mut self, slot: u32, errno: i32) {
        if let Stage::InFlight { seat, .. } = self.checks[slot as usize].stage {
            let clean = self.seats[seat as usize].socket.abandon();
            self.release(seat, clean);
        }
        self.settle(slot, Verdict::without_segments(Status::LocalFault, errno), self.now);
    }

    /// Sends the SYN.
    fn start(&mut self, slot: u32, seat: u32) {
        // A check that was over at once has read the clock a moment ago.
        let now = if std::mem::take(&mut self.just_concluded) { self.latest } else { clock::now() };
        self.latest = now;
        if let Owner::Race { race, .. } = self.checks[slot as usize].owner {
            self.race_starts_address(race, now.saturating_sub(self.checks[slot as usize].submitted));
        }
        let check = &mut self.checks[slot as usize];
        if matches!(check.stage, Stage::Paced) {
            check.submitted = now;
        }
        check.stage = Stage::InFlight { seat, syn_at: now };
        let target = check.target;
        let Seat { socket, check, .. } = &mut self.seats[seat as usize];
        *check = Some(Key::of(slot as usize));
        if let Err(errno) = socket.connect(&target) {
            if socket.may_be_stale() {
                return self.start_afresh(slot, seat);
            }
            return self.conclude(slot, seat, &Observation::Unsent { errno });
        }
        // A target on this machine has answered by the time connect returns.
        if target.ip().is_loopback() {
            let observation = socket.look(&target, now);
            if !matches!(observation, Observation::Nothing { .. }) {
                return self.conclude(slot, seat, &observation);
            }
        }
        if let Err(errno) = self.watch(seat) {
            return self.unwatchable(slot, errno);
        }
        if self.checks[slot as usize].timer.is_none() {
            let timer = self.set_deadline(now, self.checks[slot as usize].timeout_ms, slot);
            self.checks[slot as usize].timer = Some(timer);
        }
    }

    /// Puts a check back whose socket may be to blame; those that lie idle are no better.
    fn start_afresh(&mut self, slot: u32, seat: u32) {
        self.drop_idle(FREED_AT_ONCE);
        self.release(seat, false);
        let check = &mut self.checks[slot as usize];
        // A paced one has no deadline yet.
        check.stage = if check.timer.is_some() { Stage::Queued } else { Stage::Paced };
        let generation = check.generation;
        self.queue.push_front((slot, generation));
    }

    /// An event says only that something changed; what, the socket itself says. So a late or doubled event does no
    /// harm.
    pub(super) fn read_answer(&mut self, seat: usize) {
        let Some(&Seat { check: Some(check), ref socket, .. }) = self.seats.get(seat) else { return };
        let Check { target, stage: Stage::InFlight { syn_at, .. }, .. } = &self.checks[check.slot()] else { return };
        let observation = socket.look(target, *syn_at);
        if !matches!(observation, Observation::Nothing { .. }) {
            self.conclude(check.slot() as u32, seat as u32, &observation);
        }
    }

    /// The deadline has passed. An answer that waits in the kernel still counts: only the look came late.
    pub(super) fn check_due(&mut self, slot: u32) {
        let check = &mut self.checks[slot as usize];
        check.timer = None;
        match check.stage {
            Stage::InFlight { seat, syn_at } => {
                let observation = self.seats[seat as usize].socket.look(&check.target, syn_at);
                self.conclude(slot, seat, &observation);
            }
            Stage::Queued | Stage::Paced => self.settle_busy(slot),
        }
    }

    /// The deadline has passed while the check waited for its turn.
    fn settle_busy(&mut self, slot: u32) {
        let errno = if self.handle.is_short_of_descriptors() { os_error::OUT_OF_DESCRIPTORS } else { 0 };
        self.latest = clock::now();
        self.settle(slot, Verdict::without_segments(Status::Busy, errno), self.latest);
    }

    fn conclude(&mut self, slot: u32, seat: u32, observation: &Observation) {
        let check = &self.checks[slot as usize];
        let (target, Stage::InFlight { syn_at, .. }) = (check.target, check.stage) else { return };
        self.unwatch_if_it_closes(seat);
        let conclusion = self.seats[seat as usize].socket.conclude(observation, &target, syn_at);
        self.latest = conclusion.at;
        self.just_concluded = true;
        self.release(seat, conclusion.clean);
        self.settle(slot, conclusion.verdict, conclusion.at);
    }

    /// Ends a check without asking what came of it.
    pub(super) fn abandon(&mut self, slot: u32) -> Check {
        let check = self.checks.remove(slot as usize);
        if let Some(timer) = check.timer {
            self.deadlines.clear(timer);
        }
        if let Stage::InFlight { seat, .. } = check.stage {
            self.unwatch_if_it_closes(seat);
            let clean = self.seats[seat as usize].socket.abandon();
            self.release(seat, clean);
        }
        check
    }

    /// The socket has done its work: back to the idle ones, or closed.
    fn release(&mut self, seat: u32, clean: bool) {
        let Seat { check, lent, socket, .. } = &mut self.seats[seat as usize];
        *check = None;
        // What this loop is short of itself, it uses itself.
        let keep = clean && (self.handle.is_short_of_descriptors() || !self.shared.is_short_of_descriptors());
        if keep && !*lent {
            self.idle[usize::from(socket.is_v6())].push(seat);
            self.handle.leave();
        } else {
            let socket = self.unseat(seat);
            if keep {
                self.handle.keep_spare(socket);
            } else {
                drop(socket);
            }
            self.handle.leave();
            self.shared.feed_the_starved();
        }
        self.expect_sweep();
        self.starved = false;
    }

    pub(super) fn unseat(&mut self, seat: u32) -> Socket {
        self.unwatch(seat);
        self.seats.remove(seat as usize).socket
    }

    /// From now on, whoever closes a socket of this checker wakes this loop.
    fn declare_shortage(&mut self) {
        self.handle.set_starved(true);
        if !self.handle.set_short_of_descriptors(true) {
            self.shared.count_short_loops(1);
        }
        self.shared.have_others_relinquish(&self.handle);
    }

    /// What this loop kept for itself meanwhile goes to those that are still short.
    pub(super) fn end_shortage(&mut self) {
        if self.handle.is_short_of_descriptors() {
            self.handle.set_short_of_descriptors(false);
            self.shared.count_short_loops(-1);
            if self.shared.is_short_of_descriptors() {
                self.relinquish();
            }
        }
    }

    /// Another loop wants a descriptor.
    pub(super) fn relinquish(&mut self) {
        // What a loop that is short itself has idle, it is about to use.
        if !self.handle.is_short_of_descriptors() && (self.drop_idle(FREED_AT_ONCE) | self.handle.drop_spare()) {
            self.shared.feed_the_starved();
        }
    }
}

/// A full slab grows by an eighth, not to twice its size: the memory of a check in flight is a promise.
fn sparing<T>(slots: &mut Slab<T>) -> &mut Slab<T> {
    if slots.len() == slots.capacity() {
        slots.reserve_exact((slots.len() / 8).max(64));
    }
    slots
}
