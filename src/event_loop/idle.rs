//! Reset sockets that wait for the next check. One that has waited for long is closed, so that a burst does not hold
//! descriptors for ever.

use super::{EventLoop, SWEEP};

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
    /// Sees to it that idle sockets are looked at in a while; an idle loop with none of them sets no deadline.
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
        for family in 0..self.idle.len() {
            let idle = &mut self.idle[family];
            let stale = idle.untouched.min(CLOSED_AT_ONCE);
            idle.untouched -= stale;
            let seats: Vec<u32> = idle.seats.drain(..stale).collect();
            seats.into_iter().for_each(|seat| drop(self.unseat(seat)));
        }
        if self.idle.iter().any(|idle| idle.untouched > 0) {
            self.sweep = Some(self.set_deadline(self.now, 1, SWEEP));
        } else if self.idle.iter().any(|idle| idle.len() > 0) {
            self.plan_sweep();
        }
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
}
