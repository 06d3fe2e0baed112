//! Reset sockets that wait for the next check. One that has waited for long is closed, so that a burst does not hold
//! descriptors for ever.

use std::collections::{HashMap, VecDeque};

use slab::Slab;

use super::{EventLoop, SWEEP};
use crate::timer_wheel::TimerWheel;

/// Sockets closed before the loop looks at the poller again; each costs a few microseconds.
const CLOSED_AT_ONCE: usize = 256;

/// Seats of one family. The last used is used first, so those at the bottom are the ones that nobody needs.
#[derive(Default)]
pub(super) struct Idle {
    seats: Vec<u32>,
    /// How many at the bottom have not been touched since the last sweep.
    untouched: usize,
}

impl Idle {
    pub fn push(&mut self, seat: u32) {
        self.seats.push(seat);
    }

    pub fn pop(&mut self) -> Option<u32> {
        let seat = self.seats.pop();
        self.untouched = self.untouched.min(self.seats.len());
        seat
    }

    pub fn len(&self) -> usize {
        self.seats.len()
    }
}

impl EventLoop {
    /// Sees to it that idle sockets and memory are looked at in a while. A loop at rest sets no deadline.
    pub(super) fn expect_sweep(&mut self) {
        if self.sweep.is_none() {
            self.plan_sweep();
        }
    }

    fn plan_sweep(&mut self) {
        self.idle.iter_mut().for_each(|idle| idle.untouched = idle.seats.len());
        self.sweep = Some(self.set_deadline(self.now, self.shared.config.idle_ms, SWEEP));
    }

    /// Closes what nobody has needed since the last sweep.
    pub(super) fn sweep(&mut self) {
        self.sweep = None;
        let at_rest = self.shrink();
        for family in 0..self.idle.len() {
            let idle = &mut self.idle[family];
            let stale = idle.untouched.min(CLOSED_AT_ONCE);
            idle.untouched -= stale;
            let seats: Vec<u32> = idle.seats.drain(..stale).collect();
            seats.into_iter().for_each(|seat| drop(self.unseat(seat)));
        }
        if self.idle.iter().any(|idle| idle.untouched > 0) {
            self.sweep = Some(self.set_deadline(self.now, 1, SWEEP));
        } else if !at_rest || self.idle.iter().any(|idle| idle.len() > 0) {
            self.plan_sweep();
        }
    }

    /// Gives back the memory of a burst that is over. False while there is anything to do.
    fn shrink(&mut self) -> bool {
        if !(self.checks.is_empty() && self.races.is_empty() && self.arrivals.is_empty() && self.commands.is_empty()) {
            return false;
        }
        self.queue = VecDeque::new(); // what it holds was cancelled
        self.checks = Slab::new();
        self.by_id = HashMap::default();
        self.commands = VecDeque::new();
        self.finished.shrink_to_fit();
        self.destinations.shrink_to_fit();
        self.seats.shrink_to_fit();
        // Only checks, races and the sweep set deadlines, and none of them has one now.
        self.deadlines = TimerWheel::new();
        self.deadlines.advance(self.now / 1_000_000);
        true
    }

    /// Closes up to `most` idle sockets. True if there was one.
    pub(super) fn drop_idle(&mut self, most: usize) -> bool {
        let idle = self.idle.iter_mut();
        let seats: Vec<u32> = idle.flat_map(|idle| std::iter::from_fn(|| idle.pop())).take(most).collect();
        let any = !seats.is_empty();
        seats.into_iter().for_each(|seat| drop(self.unseat(seat)));
        any
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use crate::{Checker, Config, Request};

    #[test]
    fn a_burst_does_not_hold_its_sockets_for_ever() {
        // Silent, so that each check needs a socket of its own: the accept queue holds one, and it is taken.
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let target = listener.local_addr().unwrap().as_socket().unwrap();
        let _taken = std::net::TcpStream::connect(target).unwrap();

        let checker = Checker::new(&Config { idle_ms: 50, timeout_ms: 200, ..Config::default() }).unwrap();
        checker.submit(vec![Request::new(target); 40]).unwrap();
        let mut reports = Vec::new();
        while reports.len() < 40 {
            checker.reap(&mut reports, 40, None);
        }
        assert!(reports.iter().all(|report| report.verdict.status == crate::Status::TimedOut));
        let patience = Instant::now() + Duration::from_secs(20);
        while checker.stats().sockets > 0 {
            assert!(Instant::now() < patience, "{} sockets are held still", checker.stats().sockets);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(checker.check(&Request::new(target)).status, crate::Status::TimedOut);
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn a_burst_does_not_hold_its_memory_for_ever() {
        const BURST: usize = 200_000;
        // SAFETY: mallinfo2 only reads.
        let heap = || unsafe { libc::mallinfo2() };
        let in_use = || heap().uordblks + heap().hblkhd;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        // Ordinary handshakes would fill the queue of a program that never accepts.
        std::thread::spawn(move || listener.incoming().for_each(drop));
        let checker = Checker::new(&Config { idle_ms: 50, max_in_flight: Some(1), ..Config::default() }).unwrap();
        checker.check_addr(&target.to_string(), 0);
        let before = in_use();
        checker.submit(vec![Request::new(target); BURST]).unwrap();
        let (mut reports, mut most) = (Vec::new(), 0);
        while reports.len() < BURST {
            checker.reap(&mut reports, BURST, None);
            most = most.max(in_use());
        }
        drop(reports);
        assert!(most - before > BURST * 80, "the burst took {} bytes only", most - before);
        let patience = Instant::now() + Duration::from_secs(20);
        while in_use() > before + BURST * 8 {
            assert!(Instant::now() < patience, "{} bytes are held still", in_use() - before);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(checker.check_addr(&target.to_string(), 0).status, crate::Status::Up);
    }
}
