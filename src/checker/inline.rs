//! The start of a check on the caller's own thread.

use super::Checker;
use crate::check::target::Target;
use crate::check::verdict::{Status, Verdict};
use crate::completion::Sink;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::config::EngineKind;
use crate::engine::Conclusion;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::engine::raw::callers::Asked;
use crate::engine::socket::inline::{self, InlineStart};
use crate::event_loop::command::{Command, StartedCheck, SubmittedCheck, Terms};
use crate::event_loop::handle::LoopHandle;
use crate::event_loop::shared::Shared;
use crate::sys::clock;
use crate::sys::memory::{OutOfMemory, boxed, vec_of};

impl Checker {
    /// Makes the check on the calling thread, where a target on this machine has answered by the time connect
    /// returns: waking the loop's thread, and being woken by it, would cost several times the check. What has no
    /// answer yet is for the loop to go on with.
    pub(super) fn start_inline(&self, handle: &LoopHandle, mut check: SubmittedCheck) -> Result<Verdict, Pending> {
        let Target::Literal(target) = check.target else { return Err(Pending::Submitted(check)) };
        if self.shared.config.network_namespace.is_some() {
            return Err(Pending::Submitted(check)); // a socket belongs to the namespace of the thread that opens it
        }
        let Terms { close_mode, mark, submitted, .. } = check.terms;
        let engine = self.engine();
        if engine.refusal(close_mode).is_some() {
            return Err(Pending::Submitted(check)); // the loop refuses it
        }
        if !handle.permits.take_as_caller() {
            return Err(Pending::Submitted(check));
        }
        let permit = CallersPermit { shared: &self.shared, handle };
        if self.shared.rate.take(clock::now).is_err() {
            return Err(Pending::Submitted(check));
        }
        check.terms.has_token = true;
        // A little early, which the proof can bear, and one reading of the clock saved.
        let syn_at = submitted;
        let started = match engine {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            EngineKind::Raw => {
                let Asked { concluded, tell_loop } = self.shared.callers_engine.ask(&target, mark, syn_at);
                match concluded {
                    Ok(conclusion) => InlineStart::Concluded { conclusion, tell_loop },
                    Err(syns) => {
                        check.terms.syns = syns;
                        if tell_loop {
                            let _ = handle.inbox.give(Command::Sweep);
                        }
                        InlineStart::NotStarted
                    }
                }
            }
            _ => inline::start(&self.shared.opener, &handle.spare, &target, close_mode, mark, syn_at),
        };
        match started {
            InlineStart::Concluded { conclusion: Conclusion { mut verdict, at, .. }, tell_loop } => {
                drop(permit);
                if tell_loop {
                    let _ = handle.inbox.give(Command::Sweep); // a loop that has ended closes them all
                }
                verdict.elapsed_us = (at - submitted) / 1000;
                self.shared.counters.add_submitted(1);
                self.shared.counters.add_one(verdict.status, close_mode.was_thwarted(&verdict));
                Ok(verdict)
            }
            InlineStart::Waiting(socket) => {
                let SubmittedCheck { id, tag, terms, .. } = check;
                match boxed(StartedCheck { id, tag, target, terms, socket, syn_at }) {
                    Ok(started) => {
                        permit.hand_over();
                        Err(Pending::Started(started))
                    }
                    Err(OutOfMemory) => Err(Pending::Submitted(check)), // the loop begins it anew, if it has memory
                }
            }
            InlineStart::NotStarted => Err(Pending::Submitted(check)),
        }
    }

    /// Has the loop go on with a check, unless `refusal` says why not.
    pub(super) fn hand_over(
        &self,
        handle: &LoopHandle,
        pending: Pending,
        sink: Sink,
        refusal: impl FnOnce() -> Option<Status>,
    ) -> Result<(), Status> {
        let is_started = matches!(pending, Pending::Started(_));
        let command = match pending {
            Pending::Submitted(check) => Command::Batch { sink, checks: vec_of(check)? },
            Pending::Started(started) => Command::TakeOver { sink, started },
        };
        handle.inbox.give_unless(command, refusal).inspect_err(|_| {
            if is_started {
                handle.permits.give_back();
                handle.tell_of_room();
                self.shared.tell_of_descriptor();
            }
        })
    }
}

/// What the loop is to go on with.
pub(super) enum Pending {
    Submitted(SubmittedCheck),
    Started(Box<StartedCheck>),
}

/// A permit for a check on the caller's thread, given back when dropped.
struct CallersPermit<'a> {
    shared: &'a Shared,
    handle: &'a LoopHandle,
}

impl CallersPermit<'_> {
    /// The check goes on in the loop, which gives the permit back.
    fn hand_over(self) {
        self.handle.permits.hand_over();
        std::mem::forget(self);
    }
}

impl Drop for CallersPermit<'_> {
    fn drop(&mut self) {
        self.handle.permits.give_back_as_caller();
        self.handle.tell_of_room();
        self.shared.tell_of_descriptor();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use crate::check::verdict::Status;
    use crate::test_targets::listening;
    use crate::{Checker, Config};

    #[test]
    fn a_check_on_its_callers_thread_says_how_long_it_took() {
        let (_listener, target) = listening();
        let address = target.to_string();
        let checker = Checker::new(&Config::default()).unwrap();
        for _ in 0..50 {
            let begun = Instant::now();
            let verdict = checker.check_addr(&address, 0);
            let most = begun.elapsed();
            assert_eq!(verdict.status, Status::Up);
            // The kernel rounds the round trip to whole microseconds.
            assert!(verdict.elapsed_us + 1 >= verdict.rtt_us.into(), "{verdict:?}");
            assert!(Duration::from_micros(verdict.elapsed_us) <= most, "{verdict:?} in {most:?}");
        }
    }
}
