//! What other threads want of the loop, and how it is taken in.

use std::collections::HashSet;

use super::{Addressee, Destination, EventLoop, Owner};
use crate::address::Target;
use crate::clock;
use crate::completion::Sink;
use crate::lane::{Asked, Order};
use crate::verdict::{Status, Verdict};

/// Checks taken in before the loop looks at the poller again.
const INTAKE: usize = 2048;

/// A batch that is taken in bit by bit.
pub(super) struct Arrival {
    destination: u32,
    checks: std::vec::IntoIter<Asked>,
}

impl Arrival {
    pub fn len(&self) -> usize {
        self.checks.len()
    }

    /// Whether a check of this id is still to be taken in. Ids within a batch follow one another.
    fn holds(&self, id: u64) -> bool {
        match self.checks.as_slice() {
            [first, .., last] => (first.id..=last.id).contains(&id),
            [only] => only.id == id,
            [] => false,
        }
    }
}

impl EventLoop {
    /// Applies all orders there are. Returns why they were the last, if so.
    pub(super) fn take_orders(&mut self) -> Option<Status> {
        let (orders, closed) = self.lane.collect();
        // Each round of cancels looks at every check once, so they are gathered while no other order comes between.
        let mut cancelled = HashSet::new();
        for order in orders {
            if !cancelled.is_empty() && !matches!(order, Order::Cancel(_)) {
                self.cancel(&std::mem::take(&mut cancelled));
            }
            match order {
                Order::Batch { sink, checks } => {
                    let destination = self.expect(sink, checks.len());
                    self.arrivals.push_back(Arrival { destination, checks: checks.into_iter() });
                }
                Order::TakeOver { sink, begun } => {
                    let destination = self.expect(sink, 1);
                    self.take_over(Addressee { destination, id: 0, tag: begun.tag }, *begun);
                }
                Order::LookedUp { race, serial } => self.start_the_clock(race, serial),
                Order::Resolved { race, serial, addresses } => self.resolved(race, serial, addresses),
                Order::Cancel(id) => drop(cancelled.insert(id)),
                Order::CancelAll => self.end_all_checks(Status::Cancelled),
                Order::Relinquish => self.relinquish(),
            }
        }
        self.cancel(&cancelled);
        closed
    }

    fn expect(&mut self, sink: Sink, reports: usize) -> u32 {
        self.destinations.insert(Destination { sink: Some(sink), expected: reports }) as u32
    }

    /// Takes in what has arrived, as much as may be done before the next look.
    pub(super) fn take_arrivals(&mut self) {
        let mut room = INTAKE;
        while room > 0
            && let Some(arrival) = self.arrivals.front_mut()
        {
            let destination = arrival.destination;
            let Some(asked) = arrival.checks.next() else {
                self.arrivals.pop_front();
                continue;
            };
            room -= 1;
            self.accept(destination, asked);
        }
    }

    fn accept(&mut self, destination: u32, asked: Asked) {
        let addressee = Addressee { destination, id: asked.id, tag: asked.tag };
        if !self.doomed.is_empty() && self.doomed.remove(&asked.id) {
            return self.finish(addressee, Verdict::without_segments(Status::Cancelled, 0));
        }
        match asked.target {
            Target::Literal(target) if asked.family.allows(&target) => {
                let place = self.admit(Owner::Asker(addressee), target, asked.terms);
                self.queue.push_back(place);
            }
            Target::Name(name) => self.begin_race(addressee, *name, asked.family, asked.terms),
            Target::Literal(_) | Target::Malformed(_) => {
                self.finish(addressee, Verdict::without_segments(Status::BadAddress, 0))
            }
        }
    }

    /// Cancels checks by their ids; ids that are done or were never given are nobody's.
    fn cancel(&mut self, ids: &HashSet<u64>) {
        if ids.is_empty() {
            return;
        }
        let wanted = |owner: &Owner| matches!(owner, Owner::Asker(addressee) if ids.contains(&addressee.id));
        let checks: Vec<u32> =
            self.checks.iter().filter(|(_, check)| wanted(&check.owner)).map(|(slot, _)| slot as u32).collect();
        let races: Vec<u32> = self
            .races
            .iter()
            .filter(|(_, race)| ids.contains(&race.addressee.id))
            .map(|(slot, _)| slot as u32)
            .collect();
        self.end_checks(&checks, &races, Status::Cancelled);
        let arriving = ids.iter().filter(|id| self.arrivals.iter().any(|arrival| arrival.holds(**id)));
        self.doomed.extend(arriving);
    }

    /// Ends every check there is, taken in or not.
    pub(super) fn end_all_checks(&mut self, status: Status) {
        let races: Vec<u32> = self.races.iter().map(|(slot, _)| slot as u32).collect();
        self.end_checks(&[], &races, status); // and with them the checks of their addresses
        let checks: Vec<u32> = self.checks.iter().map(|(slot, _)| slot as u32).collect();
        self.end_checks(&checks, &[], status);
        while let Some(arrival) = self.arrivals.pop_front() {
            for asked in arrival.checks {
                let addressee = Addressee { destination: arrival.destination, id: asked.id, tag: asked.tag };
                self.finish(addressee, Verdict::without_segments(status, 0));
            }
        }
        self.doomed.clear();
    }

    fn end_checks(&mut self, checks: &[u32], races: &[u32], status: Status) {
        let now = clock::now();
        let verdict = |submitted: u64| Verdict {
            elapsed_us: now.saturating_sub(submitted) / 1000,
            ..Verdict::without_segments(status, 0)
        };
        for &slot in checks {
            let check = self.abandon(slot);
            if let Owner::Asker(addressee) = check.owner {
                self.finish(addressee, verdict(check.submitted));
            }
        }
        for &slot in races {
            self.end_race(slot, verdict);
        }
    }
}
