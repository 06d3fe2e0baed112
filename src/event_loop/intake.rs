//! Commands and submitted checks that the loop has taken from its inbox and not applied yet.

use std::collections::{HashSet, VecDeque};

use super::command::{Command, SubmittedCheck};
use super::inbox::Inbox;
use crate::check::slot::SlotKey;
use crate::check::verdict::Status;
use crate::sys::memory::OutOfMemory;

/// A batch that is taken in bit by bit.
struct Arrival {
    sink: SlotKey,
    checks: std::vec::IntoIter<SubmittedCheck>,
}

/// A check of a batch, on its way into the loop.
pub(super) struct Arrived {
    pub sink: SlotKey,
    pub check: SubmittedCheck,
    /// The status that it ended with on the way.
    pub ended: Option<Status>,
}

#[derive(Default)]
pub(super) struct Intake {
    commands: VecDeque<Command>,
    arrivals: VecDeque<Arrival>,
    /// Checks in them.
    arriving: usize,
    /// So many of the first arrivals end as a whole.
    ended: usize,
    ended_as: Option<Status>,
    /// Arrivals that were taken in, all in all.
    taken_in: u64,
    /// Ids that were cancelled, perhaps while still among the arrivals.
    cancelled: CancelledIds,
}

/// Cancelled ids, each kept until the arrivals that were there at its cancel are taken in. Otherwise ids of checks that
/// were done before their cancel would pile up.
#[derive(Default)]
struct CancelledIds {
    older: HashSet<u64>,
    /// Once so many arrivals are taken in, none can have an id of the older set.
    older_until: u64,
    younger: HashSet<u64>,
}

impl CancelledIds {
    /// Makes room for one more.
    fn grow(&mut self) -> Result<(), OutOfMemory> {
        self.older.try_reserve(1)?;
        Ok(self.younger.try_reserve(1)?)
    }

    /// `arrived` is how many arrivals there were so far.
    fn add(&mut self, id: u64, arrived: u64) {
        if self.older.is_empty() {
            self.older_until = arrived;
        }
        let set = if self.older_until == arrived { &mut self.older } else { &mut self.younger };
        set.insert(id);
    }

    fn remove(&mut self, id: u64) -> bool {
        (!self.older.is_empty() && self.older.remove(&id)) || (!self.younger.is_empty() && self.younger.remove(&id))
    }

    fn forget(&mut self, taken_in: u64, arrived: u64) {
        if taken_in >= self.older_until {
            self.older = std::mem::take(&mut self.younger);
            self.older_until = arrived;
        }
    }
}

impl Intake {
    /// Makes room for what the next command leaves here: a batch, or an id that is cancelled before it is taken in.
    /// Where there is none for the id, the check is taken in before its cancel.
    pub fn grow(&mut self) -> Result<(), OutOfMemory> {
        match self.commands.front() {
            Some(Command::Batch { .. }) => Ok(self.arrivals.try_reserve(1)?),
            Some(Command::Cancel(_)) if !self.arrivals.is_empty() => self.cancelled.grow(),
            _ => Ok(()),
        }
    }

    /// Takes what the inbox holds, unless commands are left that came before. Returns its status when it is closed and
    /// these are the last. The memory is that of the inbox: none is needed.
    pub fn collect(&mut self, inbox: &Inbox) -> Option<Status> {
        if !self.commands.is_empty() {
            return None;
        }
        let (commands, closed) = inbox.collect();
        self.commands = commands.into();
        closed
    }

    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    pub fn add_batch(&mut self, sink: SlotKey, checks: Vec<SubmittedCheck>) {
        self.arriving += checks.len();
        self.arrivals.push_back(Arrival { sink, checks: checks.into_iter() });
    }

    pub fn next_check(&mut self) -> Option<Arrived> {
        loop {
            let arrival = self.arrivals.front_mut()?;
            if let Some(check) = arrival.checks.next() {
                self.arriving -= 1;
                let cancelled = self.cancelled.remove(check.id);
                let ended = if self.ended > 0 { self.ended_as } else { cancelled.then_some(Status::Cancelled) };
                return Some(Arrived { sink: arrival.sink, check, ended });
            }
            self.arrivals.pop_front();
            self.ended = self.ended.saturating_sub(1);
            self.taken_in += 1;
            self.cancelled.forget(self.taken_in, self.taken_in + self.arrivals.len() as u64);
        }
    }

    /// A check of this id is to be cancelled, should it be among the arrivals.
    pub fn cancel(&mut self, id: u64) {
        if !self.arrivals.is_empty() {
            self.cancelled.add(id, self.taken_in + self.arrivals.len() as u64);
        }
    }

    /// Every check among the arrivals is to end with this status.
    pub fn end_arrivals(&mut self, status: Status) {
        self.ended = self.arrivals.len();
        self.ended_as = Some(status);
    }

    /// Checks that wait to be taken in.
    pub fn arriving(&self) -> usize {
        self.arriving
    }

    pub fn has_arrivals(&self) -> bool {
        !self.arrivals.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.arrivals.is_empty()
    }

    /// Gives back the memory of a burst.
    pub fn shrink(&mut self) {
        self.commands.shrink_to_fit();
        self.arrivals.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::close_mode::CloseMode;
    use crate::check::request::Family;
    use crate::check::target::Target;
    use crate::completion::Sink;
    use crate::event_loop::command::Terms;

    fn batch(ids: std::ops::Range<u64>) -> Vec<SubmittedCheck> {
        let terms = Terms {
            submitted: 0,
            timeout_ms: 1,
            close_mode: CloseMode::HALF_OPEN,
            mark: 0,
            paced: false,
            has_token: false,
            syns: 0,
        };
        let check = |id| SubmittedCheck {
            id,
            tag: 0,
            target: Target::from("127.0.0.1:80"),
            family: Family::Any,
            name_age_ms: 0,
            terms,
        };
        ids.map(check).collect()
    }

    fn take_all(intake: &mut Intake) -> Vec<(u64, Option<Status>)> {
        std::iter::from_fn(|| intake.next_check()).map(|arrived| (arrived.check.id, arrived.ended)).collect()
    }

    #[test]
    fn a_cancelled_id_is_ended_on_its_way_in_and_no_other_one() {
        let mut intake = Intake::default();
        intake.add_batch(SlotKey::of(0), batch(1..4));
        intake.cancel(2);
        assert_eq!(intake.arriving(), 3);
        assert_eq!(take_all(&mut intake), [(1, None), (2, Some(Status::Cancelled)), (3, None)]);
        assert!(intake.is_empty());
        assert_eq!(intake.arriving(), 0);
    }

    #[test]
    fn a_command_that_is_taken_needs_no_more_memory() {
        let mut intake = Intake::default();
        for number in 1..1_000 {
            intake.commands.push_back(Command::Batch { sink: Sink::Callback(Box::new(|_| ())), checks: Vec::new() });
            intake.grow().unwrap();
            assert!(intake.next_command().is_some() && intake.arrivals.capacity() > intake.arrivals.len());
            intake.add_batch(SlotKey::of(0), batch(2 * number..2 * number + 2));
            intake.commands.push_back(Command::Cancel(number));
            intake.grow().unwrap();
            let CancelledIds { older, younger, .. } = &intake.cancelled;
            assert!(older.capacity() > older.len() && younger.capacity() > younger.len());
            assert!(intake.next_command().is_some());
            intake.cancel(number);
        }
    }

    #[test]
    fn the_memory_of_a_burst_is_given_back() {
        let mut intake = Intake::default();
        for id in 0..1_000 {
            intake.commands.push_back(Command::Cancel(id));
            intake.add_batch(SlotKey::of(0), batch(id..id + 1));
        }
        while intake.next_command().is_some() {}
        assert!(!intake.is_empty() && intake.has_arrivals(), "batches are left");
        assert_eq!(take_all(&mut intake).len(), 1_000);
        assert!(intake.is_empty() && !intake.has_arrivals());
        intake.shrink();
        assert_eq!((intake.commands.capacity(), intake.arrivals.capacity()), (0, 0));
    }

    #[test]
    fn an_id_is_forgotten_when_what_was_there_at_its_cancel_is_taken_in_and_no_sooner() {
        let mut intake = Intake::default();
        intake.add_batch(SlotKey::of(0), batch(1..2));
        intake.cancel(3); // not among them
        intake.add_batch(SlotKey::of(0), batch(2..3));
        intake.cancel(2);
        intake.add_batch(SlotKey::of(0), batch(3..4));
        assert_eq!(take_all(&mut intake), [(1, None), (2, Some(Status::Cancelled)), (3, None)]);
        let CancelledIds { older, younger, .. } = &intake.cancelled;
        assert!(older.is_empty() && younger.is_empty());
    }

    #[test]
    fn each_cancel_is_known_whatever_arrived_between_it_and_the_check() {
        let mut intake = Intake::default();
        intake.add_batch(SlotKey::of(0), batch(1..4));
        intake.cancel(9); // not among them, and kept until they are taken in
        intake.add_batch(SlotKey::of(0), batch(4..5));
        intake.cancel(2);
        assert_eq!(take_all(&mut intake)[..2], [(1, None), (2, Some(Status::Cancelled))]);
    }

    #[test]
    fn a_cancel_is_known_until_all_that_had_arrived_by_then_is_taken_in() {
        let mut intake = Intake::default();
        intake.add_batch(SlotKey::of(0), batch(1..2));
        intake.cancel(9); // not among them
        (2..5).for_each(|id| intake.add_batch(SlotKey::of(0), batch(id..id + 1)));
        intake.cancel(4);
        assert_eq!(take_all(&mut intake), [(1, None), (2, None), (3, None), (4, Some(Status::Cancelled))]);
    }

    #[test]
    fn what_arrives_after_everything_was_ended_is_not_meant() {
        let mut intake = Intake::default();
        intake.add_batch(SlotKey::of(0), batch(1..2));
        intake.add_batch(SlotKey::of(1), batch(2..3));
        intake.end_arrivals(Status::Closed);
        intake.add_batch(SlotKey::of(2), batch(3..4));
        assert_eq!(take_all(&mut intake), [(1, Some(Status::Closed)), (2, Some(Status::Closed)), (3, None)]);
    }

    #[test]
    fn ids_of_checks_that_were_done_before_do_not_pile_up_while_others_keep_arriving() {
        let mut intake = Intake::default();
        for first in 0..100_000 {
            intake.add_batch(SlotKey::of(0), batch(2 * first..2 * first + 2));
            intake.cancel(u64::MAX - first);
            assert!(intake.next_check().is_some() && (first == 0 || intake.next_check().is_some()));
        }
        assert!(intake.arriving() > 0);
        assert!(intake.cancelled.older.len() + intake.cancelled.younger.len() < 10);
    }
}
