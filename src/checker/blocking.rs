//! Blocking checks of one target, begun on the caller's own thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Checker;
use super::inline::Pending;
use crate::check::request::Request;
use crate::check::target::Target;
use crate::check::verdict::Verdict;
use crate::completion::{CompletionQueue, Sink};
use crate::sys::clock;

impl Checker {
    /// Checks one target, and returns when there is a verdict.
    pub fn check(&self, request: &Request) -> Verdict {
        if let Err(status) = self.may_block() {
            return Verdict::without_segments(status, 0);
        }
        match self.begin(request) {
            Progress::Done(verdict) => verdict,
            Progress::Pending(queue) => {
                let mut verdict = None;
                self.take(&queue, None, 1, 1, None, |report| verdict = Some(report.verdict));
                verdict.unwrap_or_else(|| Verdict::without_segments(self.why_no_verdict(), 0))
            }
        }
    }

    /// Checks one `"host:port"`; `timeout_ms` 0 means the checker's default.
    pub fn check_addr(&self, addr: &str, timeout_ms: u32) -> Verdict {
        self.check(&Request { timeout_ms, ..Request::new(addr) })
    }

    /// Starts a blocking check: done if the target answers at once or never will, else pending with a loop.
    fn begin(&self, request: &Request) -> Progress {
        let handle = &self.shared.handles[self.turn()];
        let cancels = self.shared.cancels.load(Ordering::SeqCst);
        let check = self.submitted_check(request.clone(), 0, clock::now(), false);
        let pending = match &check.target {
            Target::Malformed(_) => return Progress::Done(self.without_address(&check.target)),
            Target::Literal(target) if !check.family.allows(target) => {
                return Progress::Done(self.without_address(&check.target));
            }
            Target::Literal(_) => match self.start_inline(handle, check) {
                Ok(verdict) => return Progress::Done(verdict),
                Err(pending) => pending,
            },
            Target::Name(_) => Pending::Submitted(check),
        };
        let queue = Arc::new(CompletionQueue::new());
        self.shared.counters.add_submitted(1);
        match self.hand_over(handle, pending, Sink::Call(queue.clone()), || self.cancelled_since(cancels)) {
            Ok(()) => Progress::Pending(queue),
            Err(status) => {
                self.shared.counters.add_one(status, false);
                Progress::Done(Verdict::refused_by_loop(status))
            }
        }
    }

    /// An accepted check that needs no loop.
    fn without_address(&self, target: &Target) -> Verdict {
        let verdict = Verdict::without_address(target);
        self.shared.counters.add_submitted(1);
        self.shared.counters.add_one(verdict.status, false);
        verdict
    }
}

/// How far a blocking check got on the caller's thread.
enum Progress {
    Done(Verdict),
    Pending(Arc<CompletionQueue>),
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use crate::check::verdict::Status;
    use crate::test_targets::silent;
    use crate::{Checker, Config};

    #[test]
    fn a_check_of_a_text_has_the_time_that_it_names_and_not_the_checkers() {
        let (_listener, _taken, target) = silent();
        let checker = Checker::new(&Config { timeout_ms: 600_000, ..Config::default() }).unwrap();
        let begun = Instant::now();
        let verdict = checker.check_addr(&target.to_string(), 300);
        assert!(matches!(verdict.status, Status::TimedOut | Status::Busy), "{verdict:?}");
        assert!(begun.elapsed() < Duration::from_secs(300));
    }
}
