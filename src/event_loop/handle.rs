//! What other threads may touch of a loop: its inbox, its count of checks in flight, and sockets it has to spare.
//!
//! Orders are left under a short lock, and the loop is woken only if it sleeps; it applies them when it next looks.
//! Nobody holds a lock while waiting or calling out.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::Waker;

use crate::check::close_mode::CloseMode;
use crate::check::request::Family;
use crate::check::target::{Name, Target};
use crate::check::verdict::Status;
use crate::completion::Sink;
use crate::engine::socket::Socket;

/// How a check is to be made, whatever its target.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// When it was submitted, on the library's clock.
    pub submitted: u64,
    pub timeout_ms: u32,
    pub close_mode: CloseMode,
    /// Its time runs from its own start, not from its submission.
    pub paced: bool,
}

/// One check as it is handed to a loop.
pub(crate) struct SubmittedCheck {
    pub id: u64,
    pub tag: usize,
    pub target: Target,
    pub family: Family,
    pub terms: Terms,
}

/// A check that a caller began on its own thread, socket and all.
pub(crate) struct StartedCheck {
    pub tag: usize,
    pub target: SocketAddr,
    pub terms: Terms,
    pub socket: Socket,
    pub syn_at: u64,
}

/// What other threads want of a loop.
pub(crate) enum Command {
    /// Checks with ids that follow one another, or are all 0.
    Batch {
        sink: Sink,
        checks: Vec<SubmittedCheck>,
    },
    TakeOver {
        sink: Sink,
        begun: Box<StartedCheck>,
    },
    /// The resolver took up the name of a paced check: its time runs from now.
    LookupBegan {
        race: u32,
        generation: u32,
    },
    Resolved {
        race: u32,
        generation: u32,
        addresses: Result<Vec<SocketAddr>, i32>,
    },
    Cancel(u64),
    CancelAll,
    /// Another loop wants a descriptor: close what is idle.
    Relinquish,
}

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

pub(crate) struct LoopHandle {
    inbox: Mutex<Inbox>,
    waker: Waker,
    /// The loop is asleep or about to be: whoever leaves a command must wake it.
    asleep: AtomicBool,
    /// Checks in flight, the callers' own included, and how many there may be.
    in_flight: AtomicU32,
    max_in_flight: u32,
    /// Those of them that callers make on their own threads, and how many may.
    callers: AtomicU32,
    max_callers: u32,
    /// The loop has checks queued and could not start one: whoever gives up a place must wake it.
    starved: AtomicBool,
    /// The loop has no descriptor left, and nothing idle to give.
    short_of_descriptors: AtomicBool,
    /// Checks that wait for their turn.
    pub queued: AtomicU64,
    /// Idle sockets for callers, which the loop's poller does not know.
    spare: Mutex<Vec<Socket>>,
}

struct Inbox {
    commands: Vec<Command>,
    /// Set once, when the loop ends: why no more commands are taken.
    closed: Option<Status>,
}

impl LoopHandle {
    pub fn new(waker: Waker, max_in_flight: u32, max_callers: u32) -> LoopHandle {
        LoopHandle {
            inbox: Mutex::new(Inbox { commands: Vec::new(), closed: None }),
            waker,
            asleep: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            max_in_flight,
            callers: AtomicU32::new(0),
            max_callers,
            starved: AtomicBool::new(false),
            short_of_descriptors: AtomicBool::new(false),
            queued: AtomicU64::new(0),
            spare: Mutex::new(Vec::new()),
        }
    }

    /// Leaves a command for the loop: one lock, at most one wake-up. Refused when the loop has ended.
    pub fn give(&self, command: Command) -> Result<(), Status> {
        self.give_unless(command, || None)
    }

    /// The same, but refused if `refusal` says so once nobody else can leave a command in between.
    pub fn give_unless(&self, command: Command, refusal: impl FnOnce() -> Option<Status>) -> Result<(), Status> {
        let mut inbox = self.inbox();
        if let Some(status) = inbox.closed.or_else(refusal) {
            return Err(status);
        }
        inbox.commands.push(command);
        drop(inbox);
        self.wake_if_asleep();
        Ok(())
    }

    /// Leaves commands for several loops, all of them or none: each handle one lock, at most one wake-up.
    pub fn give_all(shares: Vec<(&LoopHandle, Vec<Command>)>) -> Result<(), Status> {
        // Locked in the order of the handles, as everybody does who holds more than one.
        let mut inboxes: Vec<_> = shares.iter().map(|(handle, _)| handle.inbox()).collect();
        if let Some(status) = inboxes.iter().find_map(|inbox| inbox.closed) {
            return Err(status);
        }
        let mut handles = Vec::with_capacity(shares.len());
        for (inbox, (handle, commands)) in inboxes.iter_mut().zip(shares) {
            inbox.commands.extend(commands);
            handles.push(handle);
        }
        drop(inboxes);
        handles.into_iter().for_each(LoopHandle::wake_if_asleep);
        Ok(())
    }

    /// Takes no more commands, and has the loop end every check with this status.
    pub fn close(&self, status: Status) {
        self.inbox().closed.get_or_insert(status);
        self.wake_if_asleep();
    }

    /// The loop's side: all commands, in the order they were left, and whether they were the last.
    pub fn collect(&self) -> (Vec<Command>, Option<Status>) {
        let mut inbox = self.inbox();
        (std::mem::take(&mut inbox.commands), inbox.closed)
    }

    /// The loop's side: declares that it is about to sleep. False if a command is there already.
    ///
    /// The flag goes up before the inbox is read, and a giver reads the flag after it has filled the inbox, so one
    /// of the two sees the other; both are sequentially consistent, and the lock commands the rest.
    pub fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let inbox = self.inbox();
        let nothing = inbox.commands.is_empty() && inbox.closed.is_none();
        drop(inbox);
        if !nothing {
            self.asleep.store(false, Ordering::SeqCst);
        }
        nothing
    }

    /// The loop's side: it is up again.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn wake_if_asleep(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            // An eventfd write fails only on a counter of 2^64, which mio resets itself.
            let _ = self.waker.wake();
        }
    }

    /// Takes one of the places for checks in flight. False when all are taken.
    pub fn enter(&self) -> bool {
        take_place(&self.in_flight, self.max_in_flight)
    }

    /// Takes a place for a check on the caller's own thread, of which there may be only a few at once: a thread that is
    /// kept from its CPU by thousands of others leaves its answered socket alone, and the ACK gets out.
    pub fn enter_as_caller(&self) -> bool {
        take_place(&self.callers, self.max_callers) && {
            let entered = self.enter();
            if !entered {
                self.callers.fetch_sub(1, Ordering::Relaxed);
            }
            entered
        }
    }

    /// The caller's check is over, or the loop's business from now on.
    pub fn leave_as_caller(&self) {
        self.callers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Gives a place back. Whoever does so on another thread than the loop's calls [`LoopHandle::feed`] next.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    pub fn max_in_flight(&self) -> u32 {
        self.max_in_flight
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// The loop's side: whether it needs to hear of places and descriptors that others give up. It must try once more
    /// after it has said so.
    pub fn set_starved(&self, starved: bool) {
        self.starved.store(starved, Ordering::SeqCst);
    }

    /// Wakes the loop if it waits for a place or a descriptor.
    pub fn feed(&self) {
        if self.starved.load(Ordering::SeqCst) && self.starved.swap(false, Ordering::SeqCst) {
            self.asleep.store(false, Ordering::SeqCst);
            let _ = self.waker.wake();
        }
    }

    /// The loop's side: whether it is short of descriptors. Returns whether it was.
    pub fn set_short_of_descriptors(&self, short: bool) -> bool {
        self.short_of_descriptors.swap(short, Ordering::SeqCst)
    }

    pub fn is_short_of_descriptors(&self) -> bool {
        self.short_of_descriptors.load(Ordering::SeqCst)
    }

    /// A reset socket of this family that is in nobody's use.
    pub fn take_spare(&self, v6: bool) -> Option<Socket> {
        let mut spare = self.spare();
        let last = spare.iter().rposition(|socket| socket.is_v6() == v6)?;
        Some(spare.swap_remove(last))
    }

    /// Keeps a reset socket for the next caller; closes it when there is one for each that may come at once.
    pub fn keep_spare(&self, socket: Socket) {
        let mut spare = self.spare();
        if spare.len() < self.max_callers as usize {
            spare.push(socket);
        }
    }

    /// Closes every spare socket. True if there was one.
    pub fn drop_spare(&self) -> bool {
        let spare = std::mem::take(&mut *self.spare());
        !spare.is_empty()
    }

    // A panic under these locks leaves whole commands and sockets behind, so there is nothing to be wary of.

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Socket>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_place(taken: &AtomicU32, limit: u32) -> bool {
    taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |taken| (taken < limit).then_some(taken + 1)).is_ok()
}
