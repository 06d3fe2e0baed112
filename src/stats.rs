//! What a checker has done so far, in numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::check::verdict::Status;

/// Counts since the checker was made, and what it is doing now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Checks accepted, blocking ones included.
    pub submitted: u64,
    /// Results by status; each is named as its [`Status`].
    pub up: u64,
    #[allow(missing_docs)]
    pub timed_out: u64,
    #[allow(missing_docs)]
    pub refused: u64,
    #[allow(missing_docs)]
    pub unreachable: u64,
    #[allow(missing_docs)]
    pub invalid: u64,
    #[allow(missing_docs)]
    pub bad_address: u64,
    #[allow(missing_docs)]
    pub unresolved: u64,
    #[allow(missing_docs)]
    pub local_fault: u64,
    #[allow(missing_docs)]
    pub cancelled: u64,
    #[allow(missing_docs)]
    pub closed: u64,
    #[allow(missing_docs)]
    pub busy: u64,
    #[allow(missing_docs)]
    pub unsupported: u64,
    #[allow(missing_docs)]
    pub internal: u64,
    /// Checks in flight now. Each holds a socket, but not on a raw engine.
    pub in_flight: u64,
    /// Checks that wait for their turn, or for their name, now.
    pub queued: u64,
    /// Half-open checks whose target was up but whose last ACK the kernel sent of its own accord, or may have. An ACK
    /// that another segment of the peer's drew in the last microseconds of a check is not among them.
    pub completed_handshakes: u64,
    /// Sockets held now, idle ones included, and those that hold a raw engine's ports.
    pub sockets: u64,
    /// Segments that came to the ports of a raw engine and answered no check: late ones, or forged ones.
    pub unsolicited: u64,
}

/// Results by status, in the order of [`Status::ALL`].
const KINDS: usize = Status::ALL.len();

fn kind(status: Status) -> usize {
    match status as i32 {
        down @ 0.. => down as usize,
        fault => (3 - fault) as usize,
    }
}

/// The counters that loops and callers share.
#[derive(Default)]
pub(crate) struct Counters {
    submitted: AtomicU64,
    results: [AtomicU64; KINDS],
    completed_handshakes: AtomicU64,
    unsolicited: Arc<AtomicU64>,
}

/// A thread's own counts, added to the shared ones now and then.
#[derive(Default)]
pub(crate) struct Tally {
    results: [u64; KINDS],
    pub completed_handshakes: u64,
}

impl Tally {
    pub fn count(&mut self, status: Status) {
        self.results[kind(status)] += 1;
    }
}

impl Counters {
    pub fn add_submitted(&self, checks: u64) {
        self.submitted.fetch_add(checks, Ordering::Relaxed);
    }

    /// Where engines count segments that answer no check.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn unsolicited(&self) -> Arc<AtomicU64> {
        self.unsolicited.clone()
    }

    /// They were refused after all.
    pub fn take_back(&self, checks: u64) {
        self.submitted.fetch_sub(checks, Ordering::Relaxed);
    }

    pub fn add(&self, tally: &mut Tally) {
        for (shared, own) in self.results.iter().zip(&mut tally.results) {
            if *own > 0 {
                shared.fetch_add(std::mem::take(own), Ordering::Relaxed);
            }
        }
        if tally.completed_handshakes > 0 {
            self.completed_handshakes.fetch_add(std::mem::take(&mut tally.completed_handshakes), Ordering::Relaxed);
        }
    }

    /// One result of a check that no loop had to do with.
    pub fn add_one(&self, status: Status, completed_handshake: bool) {
        self.results[kind(status)].fetch_add(1, Ordering::Relaxed);
        if completed_handshake {
            self.completed_handshakes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts so far; what a checker is doing now is filled in by itself.
    pub fn read(&self) -> Stats {
        let result = |status| self.results[kind(status)].load(Ordering::Relaxed);
        Stats {
            submitted: self.submitted.load(Ordering::Relaxed),
            up: result(Status::Up),
            timed_out: result(Status::TimedOut),
            refused: result(Status::Refused),
            unreachable: result(Status::Unreachable),
            invalid: result(Status::Invalid),
            bad_address: result(Status::BadAddress),
            unresolved: result(Status::Unresolved),
            local_fault: result(Status::LocalFault),
            cancelled: result(Status::Cancelled),
            closed: result(Status::Closed),
            busy: result(Status::Busy),
            unsupported: result(Status::Unsupported),
            internal: result(Status::Internal),
            completed_handshakes: self.completed_handshakes.load(Ordering::Relaxed),
            unsolicited: self.unsolicited.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_counter_of_its_own() {
        let kinds: Vec<usize> = Status::ALL.into_iter().map(kind).collect();
        assert_eq!(kinds, (0..KINDS).collect::<Vec<_>>());
    }

    #[test]
    fn each_status_is_counted_where_its_name_stands() {
        let counters = Counters::default();
        for (times, status) in (1..).zip(Status::ALL) {
            let mut tally = Tally::default();
            for _ in 0..times {
                tally.count(status);
                counters.add_one(status, false);
            }
            counters.add(&mut tally);
            counters.add(&mut tally); // it was added, and is empty
        }
        let Stats { up, timed_out, refused, unreachable, invalid, bad_address, .. } = counters.read();
        let Stats { unresolved, local_fault, cancelled, closed, busy, unsupported, internal, .. } = counters.read();
        let read = [
            (Status::Up, up),
            (Status::TimedOut, timed_out),
            (Status::Refused, refused),
            (Status::Unreachable, unreachable),
            (Status::Invalid, invalid),
            (Status::BadAddress, bad_address),
            (Status::Unresolved, unresolved),
            (Status::LocalFault, local_fault),
            (Status::Cancelled, cancelled),
            (Status::Closed, closed),
            (Status::Busy, busy),
            (Status::Unsupported, unsupported),
            (Status::Internal, internal),
        ];
        for (status, count) in read {
            assert_eq!(count, 2 * (1 + kind(status) as u64), "{status:?}");
        }
    }

    #[test]
    fn handshakes_that_were_completed_are_counted_once_each() {
        let counters = Counters::default();
        let mut tally = Tally { completed_handshakes: 2, ..Tally::default() };
        counters.add(&mut tally);
        counters.add(&mut tally);
        counters.add_one(Status::Up, true);
        counters.add_one(Status::Up, false);
        assert_eq!(counters.read().completed_handshakes, 3);
    }

    #[test]
    fn what_was_refused_after_all_was_not_submitted() {
        let counters = Counters::default();
        counters.add_submitted(5);
        counters.take_back(2);
        assert_eq!(counters.read().submitted, 3);
    }
}
