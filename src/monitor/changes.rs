//! Changes on their way to whoever reads them: in order for each watch, and at most two of it.

use std::ffi::c_int;
use std::io;

use super::hysteresis::State;
use crate::check::slab::Slab;
use crate::check::verdict::Verdict;
use crate::sys::readiness::Readiness;

const NONE: u32 = u32::MAX;
/// Room for changes that is kept when none waits; what a burst took beyond that is given back.
const ROOM_KEPT: usize = 4_096;

/// A state was left for another, or where every result is asked for, kept.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Change {
    /// The watch's, from [`Monitor::add`](crate::Monitor::add).
    pub id: u64,
    /// The watch's own tag.
    pub tag: usize,
    /// The state before.
    pub from: State,
    /// The state after; the same only where every result is asked for.
    pub to: State,
    /// Verdicts in a row that led here.
    pub run: u32,
    /// [`Monitor::report`](crate::Monitor::report) led to it, not a check.
    pub reported: bool,
    /// Changes between the one of this watch that was read before and this one were not read in time, and are gone.
    pub skipped: bool,
    /// When, in microseconds of CLOCK_MONOTONIC.
    pub at_us: u64,
    /// What the latest check learned; `None` if none has been made yet.
    pub last: Option<Verdict>,
}

/// The changes of one watch that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    oldest: u32,
    latest: u32,
}

impl Pending {
    pub const NOTHING: Pending = Pending { oldest: NONE, latest: NONE };

    /// Its oldest was taken.
    pub fn shift(&mut self) {
        let is_last = self.oldest == self.latest;
        self.oldest = if is_last { NONE } else { self.latest };
        self.latest = self.oldest;
    }
}

struct Entry {
    change: Change,
    watch: u32,
    previous: u32,
    next: u32,
}

/// All that wait, the oldest first.
pub(super) struct Changes {
    entries: Slab<Entry>,
    oldest: u32,
    latest: u32,
    /// Made when the descriptor is first asked for.
    readiness: Option<Readiness>,
    /// The descriptor is readable.
    is_raised: bool,
}

impl Changes {
    pub fn new() -> Changes {
        Changes { entries: Slab::new(), oldest: NONE, latest: NONE, readiness: None, is_raised: false }
    }

    pub fn is_empty(&self) -> bool {
        self.oldest == NONE
    }

    /// Whether there is memory for one more change of this watch.
    pub fn has_room(&mut self, pending: Pending) -> bool {
        pending.oldest != pending.latest || self.entries.grow().is_ok()
    }

    /// Adds a change of a watch, for which there is room. If two of it wait, it takes the place of the later, and says so.
    pub fn put(&mut self, watch: u32, pending: &mut Pending, mut change: Change) {
        if pending.oldest != pending.latest {
            self.unlink(pending.latest);
            self.entries.remove(pending.latest as usize);
            change.skipped = true;
        }
        let index = self.entries.insert(Entry { change, watch, previous: self.latest, next: NONE }) as u32;
        match self.entries.get_mut(self.latest as usize) {
            Some(latest) => latest.next = index,
            None => self.oldest = index,
        }
        self.latest = index;
        pending.latest = index;
        if pending.oldest == NONE {
            pending.oldest = index;
        }
        self.show_readiness();
    }

    /// Takes the oldest, and the number of its watch, which is to shift what it has pending.
    pub fn take(&mut self) -> Option<(u32, Change)> {
        if self.is_empty() {
            return None;
        }
        let index = self.oldest;
        self.unlink(index);
        let Entry { watch, change, .. } = self.entries.remove(index as usize);
        self.show_readiness();
        Some((watch, change))
    }

    /// No change of this watch comes out.
    pub fn forget(&mut self, pending: Pending) {
        let Pending { oldest, latest } = pending;
        for index in [Some(oldest), (oldest != latest).then_some(latest)].into_iter().flatten() {
            if index != NONE {
                self.unlink(index);
                self.entries.remove(index as usize);
            }
        }
        self.show_readiness();
    }

    /// The descriptor that is readable exactly while changes wait; made when first asked for.
    pub fn raw_fd(&mut self) -> io::Result<c_int> {
        if self.readiness.is_none() {
            self.readiness = Some(Readiness::new()?);
            self.show_readiness();
        }
        Ok(self.readiness.as_ref().map_or(-1, Readiness::raw_fd))
    }

    fn unlink(&mut self, index: u32) {
        let Entry { previous, next, .. } = self.entries[index as usize];
        match self.entries.get_mut(previous as usize) {
            Some(entry) => entry.next = next,
            None => self.oldest = next,
        }
        match self.entries.get_mut(next as usize) {
            Some(entry) => entry.previous = previous,
            None => self.latest = previous,
        }
    }

    /// Makes the descriptor show whether changes wait. If the system refuses, the next change tries again.
    fn show_readiness(&mut self) {
        if self.is_empty() && self.entries.capacity() > ROOM_KEPT {
            self.entries = Slab::new();
        }
        let Some(readiness) = &self.readiness else { return };
        let changed = match (self.is_raised, self.is_empty()) {
            (false, false) => readiness.raise(),
            (true, true) => readiness.clear(),
            _ => return,
        };
        if changed.is_ok() {
            self.is_raised = !self.is_raised;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(watch: u32, run: u32) -> Change {
        Change {
            id: u64::from(watch) + 1,
            tag: 0,
            from: State::Up,
            to: State::Down,
            run,
            reported: false,
            skipped: false,
            at_us: 0,
            last: None,
        }
    }

    #[cfg(unix)]
    fn is_readable(fd: c_int) -> bool {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, which the kernel writes.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    #[test]
    #[cfg(unix)]
    fn the_descriptor_is_readable_exactly_while_changes_wait() {
        let mut changes = Changes::new();
        let mut pending = [Pending::NOTHING; 2];
        changes.put(0, &mut pending[0], change(0, 1));
        let fd = changes.raw_fd().unwrap();
        assert!(is_readable(fd));
        changes.put(1, &mut pending[1], change(1, 1));
        assert_eq!(changes.take().map(|(watch, _)| watch), Some(0));
        assert!(is_readable(fd));
        changes.forget(pending[1]);
        assert!(!is_readable(fd) && changes.take().is_none());
    }

    #[test]
    fn there_is_room_for_a_change_of_each_watch_and_for_more_of_one_that_has_two() {
        let mut changes = Changes::new();
        let mut pending = [Pending::NOTHING; 100];
        for (watch, pending) in (0..).zip(&mut pending) {
            for run in 0..3 {
                assert!(changes.has_room(*pending));
                let room = changes.entries.capacity();
                assert!(room > changes.entries.len() || run == 2, "there is memory for it now");
                changes.put(watch, pending, change(watch, run));
                assert_eq!(changes.entries.capacity(), room);
            }
        }
        let room = changes.entries.capacity();
        assert!(changes.has_room(pending[0]), "it takes the place of the second one");
        assert_eq!((changes.entries.len(), changes.entries.capacity()), (200, room));
    }

    #[test]
    fn what_many_changes_took_is_given_back_when_the_last_has_come_out() {
        for (count, is_kept) in [(ROOM_KEPT / 2, true), (2 * ROOM_KEPT, false)] {
            let mut changes = Changes::new();
            (0..count as u32).for_each(|watch| changes.put(watch, &mut Pending::NOTHING.clone(), change(watch, 1)));
            let room = changes.entries.capacity();
            for _ in 1..count {
                changes.take();
            }
            assert_eq!(changes.entries.capacity(), room, "one is left");
            changes.take();
            assert_eq!(changes.entries.capacity() == room, is_kept, "of {count}");
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u32),
        Take,
        Forget(u32),
    }

    proptest! {
        /// Against a list for each watch.
        #[test]
        fn each_comes_out_once_and_of_many_of_one_watch_the_first_and_the_last(
            steps in proptest::collection::vec(
                prop_oneof![4 => (0..5u32).prop_map(Step::Put), 2 => Just(Step::Take), 1 => (0..5u32).prop_map(Step::Forget)],
                0..200,
            ),
        ) {
            let mut changes = Changes::new();
            let mut pending = [Pending::NOTHING; 5];
            let mut model: Vec<(u32, u32, bool)> = Vec::new(); // watch, run, skipped
            for (run, step) in (0..).zip(steps) {
                match step {
                    Step::Put(watch) => {
                        changes.put(watch, &mut pending[watch as usize], change(watch, run));
                        let own: Vec<usize> = (0..model.len()).filter(|&index| model[index].0 == watch).collect();
                        if let [_, later] = own[..] {
                            model.remove(later);
                        }
                        model.push((watch, run, own.len() == 2));
                    }
                    Step::Take => {
                        let taken = changes.take();
                        let expected = if model.is_empty() { None } else { Some(model.remove(0)) };
                        prop_assert_eq!(taken.map(|(watch, change)| (watch, change.run, change.skipped)), expected);
                        if let Some((watch, _)) = taken {
                            pending[watch as usize].shift();
                        }
                    }
                    Step::Forget(watch) => {
                        changes.forget(pending[watch as usize]);
                        pending[watch as usize] = Pending::NOTHING;
                        model.retain(|(other, ..)| *other != watch);
                    }
                }
                prop_assert_eq!(changes.is_empty(), model.is_empty());
                prop_assert_eq!(changes.entries.len(), model.len());
            }
        }
    }
}
