//! How other threads reach a loop: commands under a short lock, and a wake-up if the loop sleeps.
//!
//! Nobody holds the lock while waiting or calling out.

use std::sync::atomic::{AtomicBool, Ordering};

use super::command::Command;
use crate::check::verdict::Status;
use crate::sys::lock::{Mutex, MutexGuard};
use crate::sys::waker::Waker;

pub(crate) struct Inbox {
    state: Mutex<State>,
    waker: Waker,
    /// The loop is asleep or about to be: whoever leaves a command must wake it.
    asleep: AtomicBool,
}

struct State {
    commands: Vec<Command>,
    /// How many were collected, all in all.
    collected: u64,
    /// Set once, when the loop ends: why no more commands are taken.
    closed: Option<Status>,
}

impl Inbox {
    pub fn new(waker: Waker) -> Inbox {
        let state = State { commands: Vec::new(), collected: 0, closed: None };
        Inbox { state: Mutex::new(state), waker, asleep: AtomicBool::new(false) }
    }

    /// Leaves a command: one lock, at most one wake-up. Refused when the loop has ended.
    pub fn give(&self, command: Command) -> Result<(), Status> {
        self.give_unless(command, || None)
    }

    /// The same, but refused if `refusal` says so once nobody else can leave a command in between.
    pub fn give_unless(&self, command: Command, refusal: impl FnOnce() -> Option<Status>) -> Result<(), Status> {
        let mut state = self.lock();
        if let Some(status) = state.closed.or_else(refusal) {
            return Err(status);
        }
        state.commands.push(command);
        let number = state.collected + state.commands.len() as u64;
        drop(state);
        if self.wake_if_asleep() || !self.take_back(number) {
            return Ok(());
        }
        Err(Status::LocalFault)
    }

    /// Takes back the command of this number, which the loop would not hear of. False if the loop has collected it, or if
    /// there is a later one, which may have woken the loop for both.
    fn take_back(&self, number: u64) -> bool {
        let mut state = self.lock();
        let is_last = !state.commands.is_empty() && number == state.collected + state.commands.len() as u64;
        if is_last {
            state.commands.pop();
        }
        is_last
    }

    /// Leaves commands for several loops, all of them or none: one lock and at most one wake-up each.
    pub fn give_all(shares: Vec<(&Inbox, Vec<Command>)>) -> Result<(), Status> {
        // Locked in the order of the loops, as everybody does who holds more than one.
        let mut states: Vec<_> = shares.iter().map(|(inbox, _)| inbox.lock()).collect();
        if let Some(status) = states.iter().find_map(|state| state.closed) {
            return Err(status);
        }
        let mut inboxes = Vec::with_capacity(shares.len());
        for (state, (inbox, commands)) in states.iter_mut().zip(shares) {
            state.commands.extend(commands);
            inboxes.push(inbox);
        }
        drop(states);
        for inbox in inboxes {
            inbox.wake_if_asleep();
        }
        Ok(())
    }

    /// Takes no more commands, and has the loop end every check with this status.
    pub fn close(&self, status: Status) {
        self.lock().closed.get_or_insert(status);
        self.wake_if_asleep();
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// The loop's side: all commands, in the order they were left, and whether they were the last.
    pub fn collect(&self) -> (Vec<Command>, Option<Status>) {
        let mut state = self.lock();
        state.collected += state.commands.len() as u64;
        (std::mem::take(&mut state.commands), state.closed)
    }

    /// The loop's side: declares that it is about to sleep. False if a command is there already.
    ///
    /// The flag goes up before the commands are read, and a giver reads the flag after it has left its command, so one
    /// of the two sees the other; both are sequentially consistent, and the lock orders the rest.
    pub fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let state = self.lock();
        let nothing = state.commands.is_empty() && state.closed.is_none();
        drop(state);
        if !nothing {
            self.asleep.store(false, Ordering::SeqCst);
        }
        nothing
    }

    /// The loop's side: it is up again.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// False if the loop sleeps and cannot be woken. The next who leaves a command tries again.
    fn wake_if_asleep(&self) -> bool {
        !self.asleep.swap(false, Ordering::SeqCst) || self.wake()
    }

    /// Wakes the loop, asleep or not. False if it cannot be woken.
    pub fn wake(&self) -> bool {
        self.asleep.store(false, Ordering::SeqCst);
        let woken = self.waker.wake().is_ok();
        if !woken {
            self.asleep.store(true, Ordering::SeqCst);
        }
        woken
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
