//! Which names are to be looked up, which are under way, and who waits for each. It has no threads, no lock and no
//! clock of its own: it is told what happened and when.

mod places;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::query::Query;
use super::slow_hosts::SlowHosts;
use super::waiter::{Listener, Ticket, Waiter, WaiterKey};
use crate::check::pieces::Pieces;
use crate::sys::memory::OutOfMemory;
use places::{Kind, Places};
use queue::Queue;

/// A lookup that takes this long is slow, in nanoseconds.
pub(super) const SLOW: u64 = 500_000_000;
/// How long after its last waiter left a lookup still counts, in nanoseconds: who cancels one cancels many, and what is
/// queued now would not be wanted either. Who checks a name each second is back by then.
pub(super) const LINGERS: u64 = 100_000_000;
/// How many waiters are dealt with at once: nobody else gets at the state meanwhile.
pub(super) const GROUP: usize = 64;

pub(super) struct Lookups {
    lookups: HashMap<u64, Lookup>,
    /// The lookup that is joined by whoever asks for the same.
    by_query: HashMap<Arc<Query>, u64>,
    /// Who waits, by lookup and in the order they came.
    waiters: BTreeMap<(u64, u64), Waiter>,
    /// Lookups that have not begun.
    prompt: Queue,
    slow: Queue,
    places: Places,
    /// Lookups in the order they began, and when that was: those that are not slow yet.
    begun: Pieces<(u64, u64)>,
    /// Lookups under way whose last waiter left, and when that was: those that count still.
    left: Pieces<(u64, u64)>,
    slow_hosts: SlowHosts,
    /// The latest number of a lookup or a waiter.
    latest: u64,
}

struct Lookup {
    query: Arc<Query>,
    stage: Stage,
    waiting: usize,
    /// The latest deadline of those who wait, or have waited.
    deadline: u64,
    /// The longest timeout of those whose time has not begun.
    longest_ms: u32,
    began: u64,
    /// When the last waiter left, if none has come since.
    left: Option<u64>,
    /// Some of those who wait, or have waited, would have taken an answer that was kept.
    is_to_be_kept: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued { slow: bool },
    UnderWay(Kind),
}

/// A lookup that begins.
pub(super) struct Begun {
    pub id: u64,
    pub query: Arc<Query>,
    /// Until when anybody wants the answer. That may be over.
    pub until: u64,
    /// There are waiters whose time begins now: see [`Lookups::start_clocks`].
    pub starts_clocks: bool,
}

/// How a lookup ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Answered,
    /// It was given up for want of time, sooner than the system would have.
    CutShort,
}

impl Lookups {
    pub fn new(max: usize) -> Lookups {
        Lookups {
            lookups: HashMap::new(),
            by_query: HashMap::new(),
            waiters: BTreeMap::new(),
            prompt: Queue::default(),
            slow: Queue::default(),
            places: Places::new(max),
            begun: Pieces::new(),
            left: Pieces::new(),
            slow_hosts: SlowHosts::default(),
            latest: 0,
        }
    }

    /// How many lookups may be under way at most, those included that do not count.
    pub fn most(&self) -> usize {
        self.places.most()
    }

    /// Makes room for one more lookup.
    pub fn grow(&mut self) -> Result<(), OutOfMemory> {
        self.lookups.try_reserve(1)?;
        Ok(self.by_query.try_reserve(1)?)
    }

    /// Adds a waiter, to the lookup of the same name if there is one.
    pub fn join(&mut self, query: Query, mut waiter: Waiter, now: u64) -> Ticket {
        let id = match self.by_query.get(&query) {
            Some(&id) => id,
            None => self.add(query, now),
        };
        let is_slow = self.is_slow(id, now);
        let number = self.next_number();
        let Some(lookup) = self.lookups.get_mut(&id) else { return Ticket::NOBODY };
        lookup.waiting += 1;
        lookup.left = None;
        lookup.is_to_be_kept |= waiter.age_ms > 0;
        let began = matches!(lookup.stage, Stage::UnderWay(_));
        if began && waiter.deadline.is_none() {
            waiter.deadline = Some(deadline(now, waiter.timeout_ms));
        }
        match waiter.deadline {
            Some(deadline) => lookup.deadline = lookup.deadline.max(deadline),
            None => lookup.longest_ms = lookup.longest_ms.max(waiter.timeout_ms),
        }
        if lookup.stage == Stage::UnderWay(Kind::Abandoned) {
            self.count_as(id, if is_slow { Kind::Slow } else { Kind::Prompt });
        }
        self.waiters.insert((id, number), waiter);
        Ticket { lookup: id, waiter: number, began }
    }

    /// Removes a waiter, and a lookup that nobody waits for and that has not begun. Returns the waiter, unless its
    /// answer is there or on its way.
    pub fn withdraw(&mut self, ticket: Ticket, now: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&(ticket.lookup, ticket.waiter))?;
        if let Some(lookup) = self.lookups.get_mut(&ticket.lookup) {
            lookup.waiting -= 1;
            match lookup.stage {
                _ if lookup.waiting > 0 => {}
                Stage::Queued { .. } => self.remove(ticket.lookup),
                Stage::UnderWay(_) => {
                    lookup.left = Some(now);
                    self.left.push_back((now, ticket.lookup));
                }
            }
        }
        Some(waiter)
    }

    /// How many queued lookups may begin now.
    pub fn may_begin(&mut self, now: u64) -> usize {
        self.notice_time(now);
        self.places.room().min(self.prompt.len() + self.slow.len().min(self.places.room_for_slow()))
    }

    /// When the passing of time alone may make room for what is queued.
    pub fn next_change(&self) -> Option<u64> {
        if self.prompt.len() + self.slow.len() == 0 {
            return None;
        }
        let slow = self.begun.front().map(|(began, _)| began + SLOW);
        let left = self.left.front().map(|(left, _)| left + LINGERS);
        slow.into_iter().chain(left).min()
    }

    /// Begins the next lookup, if there is room for one.
    pub fn begin(&mut self, now: u64) -> Option<Begun> {
        self.notice_time(now);
        let (id, kind) = self.next(now)?;
        let lookup = self.lookups.get_mut(&id)?;
        lookup.stage = Stage::UnderWay(kind);
        *self.places.count(kind) += 1;
        lookup.began = now;
        let starts_clocks = lookup.longest_ms > 0;
        if starts_clocks {
            lookup.deadline = lookup.deadline.max(deadline(now, lookup.longest_ms));
            lookup.longest_ms = 0;
        }
        self.begun.push_back((now, id));
        Some(Begun { id, query: lookup.query.clone(), until: lookup.deadline, starts_clocks })
    }

    /// Starts the clocks of paced checks, a group at a time: those after `last`, which moves on. Returns whom to tell;
    /// `None` when all have been told.
    pub fn start_clocks(&mut self, id: u64, now: u64, last: &mut u64) -> Option<Vec<(Arc<dyn Listener>, WaiterKey)>> {
        let mut seen = false;
        let mut group = Vec::new();
        for ((_, number), waiter) in self.waiters.range_mut((id, *last + 1)..=(id, u64::MAX)).take(GROUP) {
            (*last, seen) = (*number, true);
            if waiter.deadline.is_none() {
                waiter.deadline = Some(deadline(now, waiter.timeout_ms));
                group.push((waiter.listener.clone(), waiter.key));
            }
        }
        seen.then_some(group)
    }

    /// Whether its answer will be of use to others who ask.
    pub fn is_to_be_kept(&self, id: u64) -> bool {
        self.lookups.get(&id).is_some_and(|lookup| lookup.is_to_be_kept)
    }

    /// Ends a lookup. Returns whether its waiters get its answer ([`Lookups::take_group`]): after one that was cut
    /// short, those who came later and have more time get another, and the others wait with them.
    pub fn end(&mut self, begun: &Begun, now: u64, ending: Ending) -> bool {
        let Some(lookup) = self.lookups.get_mut(&begun.id) else { return false };
        if let Stage::UnderWay(kind) = lookup.stage {
            *self.places.count(kind) -= 1;
        }
        let host = &lookup.query.name.host;
        match ending {
            _ if now - lookup.began >= SLOW => self.slow_hosts.note(host, now),
            Ending::Answered => self.slow_hosts.forget(host),
            Ending::CutShort => {}
        }
        if ending == Ending::CutShort && lookup.waiting > 0 && lookup.deadline > begun.until {
            self.queue(begun.id, now);
            return false;
        }
        let is_wanted = lookup.waiting > 0;
        self.by_query.remove(&begun.query);
        self.lookups.remove(&begun.id);
        is_wanted
    }

    /// Takes some of the waiters of a lookup that has ended; none when there are no more.
    pub fn take_group(&mut self, id: u64) -> Vec<Waiter> {
        let keys: Vec<_> = self.waiters.range((id, 0)..=(id, u64::MAX)).take(GROUP).map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| self.waiters.remove(key)).collect()
    }

    /// Gives some of the queued lookups up. Returns them, for [`Lookups::take_group`]; none when there are no more.
    pub fn give_up_queued(&mut self) -> Vec<u64> {
        let mut given_up = Vec::new();
        while given_up.len() < GROUP
            && let Some(id) = self.next_queued()
        {
            if let Some(lookup) = self.lookups.remove(&id) {
                self.by_query.remove(&lookup.query);
            }
            given_up.push(id);
        }
        given_up
    }

    fn next_queued(&mut self) -> Option<u64> {
        let is_there = |id| self.lookups.contains_key(&id);
        self.prompt.pop(is_there).or_else(|| self.slow.pop(is_there))
    }

    fn add(&mut self, query: Query, now: u64) -> u64 {
        let id = self.next_number();
        let query = Arc::new(query);
        self.by_query.insert(query.clone(), id);
        let stage = Stage::Queued { slow: false };
        let lookup =
            Lookup { query, stage, waiting: 0, deadline: 0, longest_ms: 0, began: 0, left: None, is_to_be_kept: false };
        self.lookups.insert(id, lookup);
        self.queue(id, now);
        id
    }

    fn queue(&mut self, id: u64, now: u64) {
        let slow = self.is_slow(id, now);
        if let Some(lookup) = self.lookups.get_mut(&id) {
            lookup.stage = Stage::Queued { slow };
            if slow { self.slow.push(id) } else { self.prompt.push(id) }
        }
    }

    /// Removes a queued lookup.
    fn remove(&mut self, id: u64) {
        let Some(lookup) = self.lookups.remove(&id) else { return };
        self.by_query.remove(&lookup.query);
        let queue = if lookup.stage == (Stage::Queued { slow: true }) { &mut self.slow } else { &mut self.prompt };
        queue.remove_one(|id| self.lookups.contains_key(&id));
    }

    /// The queued lookup whose turn it is, and how it counts.
    fn next(&mut self, now: u64) -> Option<(u64, Kind)> {
        if self.places.room() == 0 {
            return None;
        }
        // Of the slow ones one is always under way, or they would wait for ever while there are others.
        if self.places.max > 1
            && self.places.slow == 0
            && let Some(id) = self.next_slow_one()
        {
            return Some((id, Kind::Slow));
        }
        while let Some(id) = self.prompt.pop(|id| self.lookups.contains_key(&id)) {
            if !self.is_slow(id, now) {
                return Some((id, Kind::Prompt));
            }
            self.queue(id, now); // it has become slow while it waited
        }
        self.next_slow_one().map(|id| (id, Kind::Slow))
    }

    fn next_slow_one(&mut self) -> Option<u64> {
        if self.places.room_for_slow() == 0 {
            return None;
        }
        self.slow.pop(|id| self.lookups.contains_key(&id))
    }

    fn notice_time(&mut self, now: u64) {
        self.notice_slow_ones(now);
        while let Some(&(left, id)) = self.left.front() {
            let is_abandoned = self.lookups.get(&id).is_some_and(|lookup| lookup.left == Some(left));
            if is_abandoned && now < left + LINGERS {
                return;
            }
            self.left.pop_front();
            if is_abandoned {
                self.count_as(id, Kind::Abandoned);
            }
        }
    }

    /// Has those lookups count as slow that have been under way for long.
    fn notice_slow_ones(&mut self, now: u64) {
        while let Some(&(began, id)) = self.begun.front() {
            let under_way = match self.lookups.get(&id) {
                Some(Lookup { stage: Stage::UnderWay(kind), began: latest, .. }) if *latest == began => Some(*kind),
                _ => None, // it has ended
            };
            if under_way.is_some() && now < began + SLOW {
                return;
            }
            self.begun.pop_front();
            if let (Some(kind), Some(lookup)) = (under_way, self.lookups.get(&id)) {
                self.slow_hosts.note(&lookup.query.name.host, now);
                if kind == Kind::Prompt {
                    self.count_as(id, Kind::Slow);
                }
            }
        }
    }

    fn count_as(&mut self, id: u64, kind: Kind) {
        if let Some(lookup) = self.lookups.get_mut(&id)
            && let Stage::UnderWay(before) = lookup.stage
        {
            *self.places.count(before) -= 1;
            *self.places.count(kind) += 1;
            lookup.stage = Stage::UnderWay(kind);
        }
    }

    fn is_slow(&self, id: u64, now: u64) -> bool {
        self.lookups.get(&id).is_some_and(|lookup| self.slow_hosts.contains(&lookup.query.name.host, now))
    }

    fn next_number(&mut self) -> u64 {
        self.latest += 1;
        self.latest
    }
}

fn deadline(now: u64, timeout_ms: u32) -> u64 {
    now + u64::from(timeout_ms) * 1_000_000
}
