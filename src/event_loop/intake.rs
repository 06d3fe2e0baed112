//! What other threads want of the loop, and how it is taken in.

use super::{Destination, EventLoop, Key, Owner, RACE, ReplyTo};
use crate::check::target::Target;
use crate::check::verdict::{Status, Verdict};
use crate::completion::Sink;
use crate::event_loop::handle::{Command, SubmittedCheck};
use crate::sys::clock;

/// Checks taken in before the loop looks at the poller again.
const INTAKE: usize = 2048;
/// Orders applied before the loop looks at the poller again.
const ORDERS: usize = 2048;

/// A batch that is taken in bit by bit.
pub(super) struct Arrival {
    destination: Key,
    checks: std::vec::IntoIter<SubmittedCheck>,
}

impl EventLoop {
    /// Applies what other threads want, in their command. Returns why nothing more will come, once all is applied.
    pub(super) fn take_commands(&mut self) -> Option<Status> {
        let (commands, closed) = self.handle.collect();
        self.commands.extend(commands);
        for _ in 0..ORDERS {
            let Some(command) = self.commands.pop_front() else { return closed };
            match command {
                Command::Batch { sink, checks } => {
                    let destination = self.expect(sink, checks.len());
                    self.arriving += checks.len();
                    self.arrivals.push_back(Arrival { destination, checks: checks.into_iter() });
                }
                Command::TakeOver { sink, begun } => {
                    let destination = self.expect(sink, 1);
                    self.take_over(ReplyTo { destination, id: 0, tag: begun.tag }, *begun);
                }
                Command::LookupBegan { race, generation } => self.start_the_clock(race, generation),
                Command::Resolved { race, generation, addresses } => self.resolved(race, generation, addresses),
                Command::Cancel(id) => self.cancel(id),
                Command::CancelAll => self.end_all_checks(Status::Cancelled),
                Command::Relinquish => self.relinquish(),
            }
        }
        None
    }

    fn expect(&mut self, sink: Sink, reports: usize) -> Key {
        Key::of(self.destinations.insert(Destination { sink: Some(sink), expected: reports }))
    }

    /// Takes in what has arrived, as much as may be done before the next look.
    pub(super) fn take_arrivals(&mut self) {
        for _ in 0..INTAKE {
            let Some(arrival) = self.arrivals.front_mut() else {
                self.cancelled_early.clear(); // whom they meant was done before, or never was
                return;
            };
            let destination = arrival.destination;
            match arrival.checks.next() {
                Some(asked) => {
                    self.arriving -= 1;
                    self.accept(destination, asked);
                }
                None => drop(self.arrivals.pop_front()),
            }
        }
    }

    fn accept(&mut self, destination: Key, asked: SubmittedCheck) {
        let reply_to = ReplyTo { destination, id: asked.id, tag: asked.tag };
        if !self.cancelled_early.is_empty() && self.cancelled_early.remove(&asked.id) {
            return self.finish(reply_to, Verdict::without_segments(Status::Cancelled, 0));
        }
        match asked.target {
            Target::Literal(target) if asked.family.allows(&target) => {
                let place = self.admit(Owner::Asker(reply_to), target, asked.terms);
                self.remember(asked.id, place.0);
                self.queue.push_back(place);
            }
            Target::Name(name) => self.begin_race(reply_to, *name, asked.family, asked.terms),
            Target::Literal(_) | Target::Malformed(_) => {
                self.finish(reply_to, Verdict::without_segments(Status::BadAddress, 0))
            }
        }
    }

    /// Where a submitted check is, for a cancel.
    pub(super) fn remember(&mut self, id: u64, place: u32) {
        if id != 0 {
            self.by_id.insert(id, place);
        }
    }

    /// Cancels a check by its id; one that is done or was never given is nobody's.
    fn cancel(&mut self, id: u64) {
        match self.by_id.get(&id) {
            Some(&race) if race & RACE != 0 => self.end_checks(&[], &[race & !RACE], Status::Cancelled),
            Some(&check) => self.end_checks(&[check], &[], Status::Cancelled),
            None if self.arrivals.is_empty() => {}
            None => drop(self.cancelled_early.insert(id)),
        }
    }

    /// Ends every check there is, taken in or not; those in flight first, since some are answered.
    pub(super) fn end_all_checks(&mut self, status: Status) {
        let races: Vec<u32> = self.races.iter().map(|(slot, _)| slot as u32).collect();
        self.end_checks(&[], &races, status); // and with them the checks of their addresses
        for in_flight in [true, false] {
            let checks = self.checks.iter().filter(|(_, check)| check.is_in_flight() == in_flight);
            let checks: Vec<u32> = checks.map(|(slot, _)| slot as u32).collect();
            self.end_checks(&checks, &[], status);
        }
        while let Some(arrival) = self.arrivals.pop_front() {
            for asked in arrival.checks {
                let reply_to = ReplyTo { destination: arrival.destination, id: asked.id, tag: asked.tag };
                self.finish(reply_to, Verdict::without_segments(status, 0));
            }
        }
        self.arriving = 0;
        self.cancelled_early.clear();
    }

    fn end_checks(&mut self, checks: &[u32], races: &[u32], status: Status) {
        let now = clock::now();
        for &slot in checks {
            let elapsed_us = self.checks[slot as usize].elapsed_us(now);
            let check = self.abandon(slot);
            if let Owner::Asker(reply_to) = check.owner {
                self.finish(reply_to, Verdict { elapsed_us, ..Verdict::without_segments(status, 0) });
            }
        }
        for &slot in races {
            self.end_race(slot, Verdict::without_segments(status, 0), now);
        }
    }
}
