//! A loop that falls asleep, and those who leave commands for it: `src/event_loop/inbox.rs`.

use std::sync::Arc;

use loom::thread;

use crate::Model;
use crate::check::verdict::Status;
use crate::event_loop::command::Command;
use crate::event_loop::inbox::Inbox;
use crate::sys::lock::Signal;
use crate::sys::waker::Waker;

pub(crate) const MODELS: &[Model] = &[
    ("sleep_and_wake: no command is overlooked", no_command_is_overlooked),
    ("sleep_and_wake: the end is heard", the_end_is_heard),
    ("sleep_and_wake: a command that is refused is not carried out", a_command_that_is_refused_is_not_carried_out),
];

fn no_command_is_overlooked() {
    let poller = Arc::new(Signal::new());
    let inbox = Arc::new(Inbox::new(Waker::of(&poller)));
    let (one, other) = (inbox.clone(), inbox.clone());
    let givers = [thread::spawn(move || one.give(Command(1)).unwrap()), thread::spawn(move || other.leave(Command(2)))];
    let mut collected = Vec::new();
    while collected.len() < 2 {
        if inbox.fall_asleep() {
            poller.take();
        }
        inbox.awake();
        collected.extend(inbox.collect().0.into_iter().map(|command| command.0));
    }
    givers.into_iter().for_each(|giver| giver.join().unwrap());
    collected.sort_unstable();
    assert_eq!(collected, [1, 2]);
}

fn the_end_is_heard() {
    let poller = Arc::new(Signal::new());
    let inbox = Arc::new(Inbox::new(Waker::of(&poller)));
    let (one, other) = (inbox.clone(), inbox.clone());
    let giver = thread::spawn(move || one.give(Command(1)));
    let closer = thread::spawn(move || other.close(Status::Closed));
    let mut collected = 0;
    loop {
        if inbox.fall_asleep() {
            poller.take();
        }
        inbox.awake();
        let (commands, closed) = inbox.collect();
        collected += commands.len();
        if closed.is_some() {
            break;
        }
    }
    let accepted = giver.join().unwrap().is_ok();
    closer.join().unwrap();
    // What was accepted came before the end, and so before the loop saw it.
    assert_eq!(collected, usize::from(accepted));
    assert_eq!(inbox.give(Command(2)), Err(Status::Closed));
}

/// The system refuses every wake-up. A loop that wakes by itself finds what was accepted, and nothing else.
fn a_command_that_is_refused_is_not_carried_out() {
    let inbox = Arc::new(Inbox::new(Waker::refused()));
    assert!(inbox.fall_asleep());
    let givers = [1, 2].map(|number| {
        let inbox = inbox.clone();
        thread::spawn(move || inbox.give(Command(number)).is_ok())
    });
    inbox.awake();
    let mut collected = inbox.collect().0;
    let accepted: Vec<bool> = givers.into_iter().map(|giver| giver.join().unwrap()).collect();
    collected.extend(inbox.collect().0);
    for number in [1, 2] {
        let times = collected.iter().filter(|command| command.0 == number).count();
        assert_eq!(times, usize::from(accepted[number - 1]), "command {number}: accepted {accepted:?}");
    }
}
