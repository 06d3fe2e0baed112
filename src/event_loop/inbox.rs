//! How other threads reach a loop: commands under a short lock, and a wake-up if the loop sleeps.
//!
//! Nobody holds the lock while waiting or calling out.

use std::collections::LinkedList;

use super::command::Command;
use crate::check::verdict::Status;
use crate::sys::lock::{AtomicBool, Mutex, MutexGuard, Ordering};
use crate::sys::memory::vec_for;
use crate::sys::waker::Waker;

pub(crate) struct Inbox {
    state: Mutex<State>,
    waker: Waker,
    /// The loop is asleep or about to be: whoever leaves a command must wake it.
    asleep: AtomicBool,
}

struct State {
    commands: Vec<Command>,
    /// Those that nobody can take back and that there was no memory for among the others. A list needs little at a time.
    late: LinkedList<Command>,
    /// How many were collected, all in all.
    collected: u64,
    /// Set once, when the loop ends: why no more commands are taken.
    closed: Option<Status>,
}

impl State {
    fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.late.is_empty()
    }

    fn find_room_for_late(&mut self) {
        while !self.late.is_empty() && self.commands.try_reserve(1).is_ok() {
            self.commands.extend(self.late.pop_front());
        }
    }
}

impl Inbox {
    pub fn new(waker: Waker) -> Inbox {
        let state = State { commands: Vec::new(), late: LinkedList::new(), collected: 0, closed: None };
        Inbox { state: Mutex::new(state), waker, asleep: AtomicBool::new(false) }
    }

    /// Leaves a command: one lock, at most one wake-up. Refused when the loop has ended.
    pub fn give(&self, command: Command) -> Result<(), Status> {
        self.give_unless(command, || None)
    }

    /// Leaves a command that nobody can take back: if the loop cannot be woken, it finds the command when it wakes by
    /// itself. A loop that has ended has ended its checks, too.
    pub fn leave(&self, command: Command) {
        let mut state = self.lock();
        if state.closed.is_none() {
            state.late.push_back(command);
            state.find_room_for_late();
            drop(state);
            self.wake_if_asleep();
        }
    }

    /// As [`Inbox::give`], but refused if `refusal` says so once nobody else can leave a command in between.
    pub fn give_unless(&self, command: Command, refusal: impl FnOnce() -> Option<Status>) -> Result<(), Status> {
        let mut state = self.lock();
        if let Some(status) = state.closed.or_else(refusal) {
            return Err(status);
        }
        state.commands.try_reserve(1).map_err(|_| Status::LocalFault)?;
        state.commands.push(command);
        let number = state.collected + state.commands.len() as u64;
        drop(state);
        if self.wake_if_asleep() || !self.take_back(number) {
            return Ok(());
        }
        Err(Status::LocalFault)
    }

    /// Takes back the command of this number, which the loop would not hear of. False if the loop has collected it, or
    /// if there is a later one, which may have woken the loop for both.
    fn take_back(&self, number: u64) -> bool {
        let mut state = self.lock();
        let is_last = !state.commands.is_empty() && number == state.collected + state.commands.len() as u64;
        let command = if is_last { state.commands.pop() } else { None };
        drop(state);
        drop(command); // it may hold a socket, and a callback of the host's
        is_last
    }

    /// Leaves commands for several loops, all of them or none: one lock and at most one wake-up each.
    pub fn give_all(shares: Vec<(&Inbox, Vec<Command>)>) -> Result<(), Status> {
        let (mut states, mut inboxes) = (vec_for(shares.len())?, vec_for(shares.len())?);
        // Locked in the order of the loops, as everybody does who holds more than one.
        states.extend(shares.iter().map(|(inbox, _)| inbox.lock()));
        if let Some(status) = states.iter().find_map(|state: &MutexGuard<'_, State>| state.closed) {
            return Err(status);
        }
        for (state, (_, commands)) in states.iter_mut().zip(&shares) {
            state.commands.try_reserve(commands.len()).map_err(|_| Status::LocalFault)?;
        }
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

    /// Whether the loop has not come yet to what was left for it.
    pub fn is_waited_for(&self) -> bool {
        !self.lock().is_empty()
    }

    /// The loop's side: the commands that there was memory for, in the order they were left, and whether they were the
    /// last. The rest comes the next time; a loop that ends needs none of it.
    pub fn collect(&self) -> (Vec<Command>, Option<Status>) {
        let mut state = self.lock();
        state.collected += state.commands.len() as u64;
        let commands = std::mem::take(&mut state.commands);
        state.find_room_for_late();
        (commands, state.closed)
    }

    /// The loop's side: declares that it is about to sleep. False if a command is there already.
    ///
    /// The flag goes up before the commands are read, and a giver reads the flag after it has left its command, so one
    /// of the two sees the other; both are sequentially consistent, and the lock orders the rest.
    pub fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        #[cfg(test)]
        tests::dawdle();
        let state = self.lock();
        let nothing = state.is_empty() && state.closed.is_none();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    use mio::{Events, Poll, Token};

    use super::*;

    const COMMANDS: usize = 5_000;

    /// Between the two steps of falling asleep, so that givers come in there.
    pub(super) fn dawdle() {
        std::thread::sleep(Duration::from_micros(1));
    }

    /// Gives a command at a time, and waits until it is collected: each meets the loop at another moment of its
    /// falling asleep.
    #[test]
    fn no_command_is_overlooked_by_a_loop_that_falls_asleep() {
        let mut poll = Poll::new().unwrap();
        let inbox = Arc::new(Inbox::new(Waker::new(&poll, Token(0)).unwrap()));
        let collected = Arc::new(AtomicUsize::new(0));
        let (given, seen) = (inbox.clone(), collected.clone());
        let giver = std::thread::spawn(move || {
            for number in 1..=COMMANDS {
                given.give(Command::Sweep).unwrap();
                let begun = Instant::now();
                while seen.load(Ordering::SeqCst) < number {
                    assert!(begun.elapsed() < Duration::from_secs(20), "command {number} was overlooked");
                    std::hint::spin_loop();
                }
                (0..number % 1_000).for_each(|_| std::hint::spin_loop());
            }
        });
        let mut events = Events::with_capacity(4);
        while collected.load(Ordering::SeqCst) < COMMANDS && !giver.is_finished() {
            let wait = if inbox.fall_asleep() { Duration::from_secs(60) } else { Duration::ZERO };
            let begun = Instant::now();
            poll.poll(&mut events, Some(wait)).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(30), "nobody woke the loop");
            inbox.awake();
            collected.fetch_add(inbox.collect().0.len(), Ordering::SeqCst);
        }
        giver.join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_loop_would_not_hear_of_is_refused_and_not_left_there() {
        let poll = Poll::new().unwrap();
        let inbox = Inbox::new(Waker::broken(&poll));
        (1..=2).for_each(|id| inbox.give(Command::Cancel(id)).unwrap()); // it is awake
        assert_eq!(inbox.collect().0.len(), 2);
        assert!(inbox.fall_asleep());
        for _ in 0..2 {
            assert_eq!(inbox.give(Command::Cancel(3)), Err(Status::LocalFault));
            assert!(!inbox.is_waited_for());
        }
        inbox.awake();
        inbox.give(Command::Cancel(4)).unwrap();
        assert_eq!(inbox.collect().0.len(), 1);
    }

    #[test]
    fn what_there_was_no_memory_for_at_first_comes_later_and_in_its_order() {
        let poll = Poll::new().unwrap();
        let inbox = Inbox::new(Waker::new(&poll, Token(0)).unwrap());
        inbox.give(Command::Cancel(1)).unwrap();
        inbox.lock().late.extend([Command::Cancel(3), Command::Cancel(4)]);
        inbox.give(Command::Cancel(2)).unwrap();
        assert!(!inbox.fall_asleep());
        let mut ids = Vec::new();
        while inbox.is_waited_for() {
            ids.extend(inbox.collect().0.into_iter().map(|command| match command {
                Command::Cancel(id) => id,
                _ => 0,
            }));
            if ids.len() == 2 {
                inbox.leave(Command::Cancel(5));
            }
        }
        assert_eq!(ids, [1, 2, 3, 4, 5]);
        assert!(inbox.fall_asleep());
    }

    /// Finds out when it is dropped whether others could take the lock meanwhile.
    struct Witness(Arc<Inbox>, std::sync::mpsc::Sender<bool>);

    impl Drop for Witness {
        fn drop(&mut self) {
            let (inbox, (took, taken)) = (self.0.clone(), std::sync::mpsc::channel());
            std::thread::spawn(move || took.send(inbox.is_closed()));
            let _ = self.1.send(taken.recv_timeout(Duration::from_secs(5)).is_ok());
        }
    }

    #[test]
    fn what_is_taken_back_is_dropped_under_no_lock() {
        let poll = Poll::new().unwrap();
        let inbox = Arc::new(Inbox::new(Waker::new(&poll, Token(0)).unwrap()));
        let (said, witnessed) = std::sync::mpsc::channel();
        let witness = Witness(inbox.clone(), said);
        let callback = move |_: &crate::check::verdict::Report| _ = &witness;
        let sink = crate::completion::Sink::Callback(Box::new(callback));
        inbox.give(Command::Batch { sink, checks: Vec::new() }).unwrap();
        assert!(inbox.take_back(1) && !inbox.take_back(1));
        assert_eq!(witnessed.try_recv(), Ok(true));
    }

    #[test]
    fn only_the_last_command_is_taken_back_and_only_until_it_is_collected() {
        let poll = Poll::new().unwrap();
        let inbox = Inbox::new(Waker::new(&poll, Token(0)).unwrap());
        (1..=2).for_each(|id| inbox.give(Command::Cancel(id)).unwrap());
        assert_eq!(inbox.collect().0.len(), 2);
        assert!(!inbox.take_back(2), "it was collected");
        (3..=4).for_each(|id| inbox.give(Command::Cancel(id)).unwrap());
        assert!(!inbox.take_back(2) && !inbox.take_back(3), "there is a later one");
        assert!(inbox.take_back(4));
        assert_eq!(inbox.collect().0.len(), 1);
    }

    #[test]
    fn a_closed_inbox_takes_no_command_and_tells_why() {
        let poll = Poll::new().unwrap();
        let inbox = Inbox::new(Waker::new(&poll, Token(0)).unwrap());
        inbox.give(Command::Cancel(1)).unwrap();
        assert!(!inbox.is_closed());
        inbox.close(Status::Closed);
        assert!(inbox.is_closed());
        inbox.close(Status::Internal);
        assert_eq!(inbox.give(Command::CancelAll), Err(Status::Closed));
        let (commands, closed) = inbox.collect();
        assert_eq!((commands.len(), closed), (1, Some(Status::Closed)));
    }

    #[test]
    fn a_loop_is_waited_for_until_it_has_collected_what_was_left() {
        let poll = Poll::new().unwrap();
        let inbox = Inbox::new(Waker::new(&poll, Token(0)).unwrap());
        assert!(!inbox.is_waited_for());
        inbox.give(Command::Sweep).unwrap();
        assert!(inbox.is_waited_for());
        inbox.collect();
        assert!(!inbox.is_waited_for());
    }

    #[test]
    fn what_is_meant_for_several_loops_is_given_to_all_of_them_or_to_none() {
        let polls = [Poll::new().unwrap(), Poll::new().unwrap()];
        let [open, closed] = polls.each_ref().map(|poll| Inbox::new(Waker::new(poll, Token(0)).unwrap()));
        closed.close(Status::Closed);
        let shares = vec![(&open, vec![Command::CancelAll]), (&closed, vec![Command::CancelAll])];
        assert_eq!(Inbox::give_all(shares), Err(Status::Closed));
        assert!(open.collect().0.is_empty());
    }
}
