//! Checks that are made on a caller's own thread: a target on this host has answered by the time that its SYN is sent.
//! Waking the loop's thread, and being woken by it, would cost several times the check.

use std::collections::HashSet;
use std::net::SocketAddr;

use mio::Poll;

use super::counts::Counts;
use super::driver::RawEngine;
use crate::check::close_mode::CloseMode;
use crate::check::slot::SlotKey;
use crate::engine::wire::Wire;
use crate::engine::{Conclusion, Engine, Start};
use crate::sys::lock::Mutex;
use crate::sys::netns::{ELSEWHERE, Home};

/// Ports that the callers' engine takes.
const PORTS: u16 = 16;
/// Targets remembered that did not answer at once; when there are more, all are forgotten.
const MOST_SLOW: usize = 1 << 10;
/// It takes other ones than the first 2^16 loops.
const INDEX: u32 = 1 << 16;

/// How far a check got on its caller's thread.
pub(crate) struct Asked {
    /// How it ended; or how many SYNs have left for it, and the loop goes on.
    pub concluded: Result<Conclusion, u8>,
    /// The loop does not know yet that it has to sweep the callers' engine.
    pub tell_loop: bool,
}

/// An engine without a loop, for one caller at a time.
pub(crate) struct CallersEngine {
    wire: Wire,
    counts: Counts,
    home: Home,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` while a caller uses it, and before the first one comes.
    idle: Option<Box<RawEngine>>,
    in_use: bool,
    /// It was used since the last sweep.
    touched: bool,
    /// A loop will close it when nobody needs it.
    sweep_expected: bool,
    /// Targets that did not answer at once: the loop asks them, so that their first SYN is no lost one each time.
    slow: HashSet<SocketAddr>,
    /// There was no descriptor for an engine.
    short: bool,
}

impl CallersEngine {
    pub fn new(wire: Wire, counts: Counts, home: Home) -> CallersEngine {
        CallersEngine { wire, counts, home, state: Mutex::new(State::default()) }
    }

    /// Makes a check, if its target is on this host and answers at once; if not, says how many SYNs it has sent.
    pub fn ask(&self, target: &SocketAddr, mark: u32, syn_at: u64) -> Asked {
        let Some(mut engine) = self.take(target) else { return Asked { concluded: Err(0), tell_loop: false } };
        let asked = ask_at_once(&mut engine, target, mark, syn_at);
        let slow = matches!(asked, Err(NotAnswered::Sent)).then_some(*target);
        let keep = (!matches!(asked, Err(NotAnswered::NoRoom))).then_some(engine);
        let concluded = asked.map_err(|why| u8::from(why == NotAnswered::Sent));
        Asked { concluded, tell_loop: self.put_back(keep, slow) }
    }

    fn take(&self, target: &SocketAddr) -> Option<Box<RawEngine>> {
        let mut state = self.state.lock();
        if state.short || state.slow.contains(target) {
            return None;
        }
        if std::mem::replace(&mut state.in_use, true) {
            return None; // another caller has it; the loop is as good
        }
        let idle = state.idle.take();
        drop(state);
        let made = idle.or_else(|| {
            if !self.home.is_here() {
                return None; // its sockets would be of another namespace, and the next caller's, too
            }
            let poll = Poll::new().ok()?;
            Some(Box::new(RawEngine::with_ports(poll, self.wire.clone(), INDEX, PORTS, self.counts.another())))
        });
        if made.is_none() {
            self.state.lock().in_use = false;
        }
        made
    }

    /// The engine is for the next caller; `None`: it had no room for a check, and its descriptors are for others.
    fn put_back(&self, engine: Option<Box<RawEngine>>, slow: Option<SocketAddr>) -> bool {
        let mut state = self.state.lock();
        if state.slow.len() >= MOST_SLOW {
            state.slow.clear();
        }
        // Without memory it is not remembered.
        if state.slow.try_reserve(1).is_ok() {
            state.slow.extend(slow);
        }
        state.short = engine.is_none();
        state.idle = engine;
        state.in_use = false;
        state.touched = true;
        !std::mem::replace(&mut state.sweep_expected, true)
    }

    /// Closes it if nobody has needed it since the last time. False if it is closed, and no sweep is expected any more.
    pub fn sweep(&self) -> bool {
        let mut state = self.state.lock();
        let is_needed = std::mem::take(&mut state.touched) || state.in_use;
        let unneeded = if is_needed { None } else { state.idle.take() };
        state.sweep_expected = is_needed;
        (state.slow, state.short) = (HashSet::new(), false);
        drop(state);
        drop(unneeded); // system calls, and not under the lock
        is_needed
    }
}

/// Why a caller's check has no answer at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NotAnswered {
    /// The target, or the caller, who is in another namespace.
    Elsewhere,
    NoRoom,
    /// Its SYN has left.
    Sent,
}

/// Makes a check, if its target is here and answers before sending returns.
fn ask_at_once(engine: &mut RawEngine, target: &SocketAddr, mark: u32, syn_at: u64) -> Result<Conclusion, NotAnswered> {
    if !engine.is_here(target, mark) {
        return Err(NotAnswered::Elsewhere);
    }
    let is_elsewhere = |errno: i32| errno == ELSEWHERE;
    let slot = engine.acquire(target, CloseMode::HALF_OPEN, mark, u32::MAX).map_err(|none| match none {
        none if is_elsewhere(none.errno) => NotAnswered::Elsewhere,
        _ => NotAnswered::NoRoom,
    })?;
    if let Start::Concluded(conclusion) = engine.start(slot, SlotKey::of(0), target, syn_at) {
        return if is_elsewhere(conclusion.verdict.os_error) { Err(NotAnswered::Elsewhere) } else { Ok(conclusion) };
    }
    // Once more for those of whom another SYN has to ask (`Heard`).
    for _ in 0..2 {
        engine.flush();
        engine.read_now();
        while let Some((_, answered)) = engine.next_event() {
            if answered == slot {
                return engine.look(slot, target, syn_at).ok_or(NotAnswered::Sent);
            }
        }
    }
    engine.last_look(slot, target, syn_at);
    Err(NotAnswered::Sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::verdict::Status;
    use crate::sys::{clock, raw_socket};
    use crate::test_targets::{listening, silent};

    #[test]
    fn it_answers_for_this_host_and_is_closed_when_nobody_needs_it() {
        if raw_socket::probe().is_err() {
            return; // no privilege
        }
        let callers = CallersEngine::new(Wire::default(), Default::default(), Home::new());
        let (listener, target) = listening();
        let ask = |target| callers.ask(&target, 0, clock::now());
        let up = ask(target);
        let verdict = up.concluded.expect("it answers at once").verdict;
        assert_eq!((verdict.status, verdict.half_open), (Status::Up, true));
        assert!(up.tell_loop && callers.counts.sockets() > 0);
        drop(listener);
        let refused = ask(target);
        assert_eq!(refused.concluded.expect("it refuses at once").verdict.status, Status::Refused);
        assert!(!refused.tell_loop, "the loop knows");
        assert!(callers.sweep(), "it was used");
        assert!(!callers.sweep());
        assert_eq!(callers.counts.sockets(), 0);
        assert!(ask(target).tell_loop, "the loop has to be told anew");
    }

    #[test]
    fn a_target_that_did_not_answer_at_once_is_the_loops_until_the_next_sweep() {
        if raw_socket::probe().is_err() {
            return; // no privilege
        }
        let callers = CallersEngine::new(Wire::default(), Default::default(), Home::new());
        let ((_listener, live), (_silent, _taken, silent)) = (listening(), silent());
        let ask = |target: &SocketAddr| callers.ask(target, 0, clock::now()).concluded.map_err(u32::from);
        let answers = |_| {
            callers.sweep();
            ask(&live).is_ok()
        };
        assert!((0..50).any(answers), "it answers at once, unless the host is busy");
        assert_eq!(ask(&silent).err(), Some(1), "its SYN has left");
        assert_eq!(ask(&silent).err(), Some(0));
        callers.sweep();
        assert_eq!(ask(&silent).err(), Some(1));
    }

    #[test]
    fn who_is_elsewhere_is_told_from_who_finds_no_room() {
        if raw_socket::probe().is_err() {
            return; // no privilege
        }
        let (_listener, target) = listening();
        let engine = || RawEngine::with_ports(Poll::new().unwrap(), Wire::default(), INDEX, PORTS, Default::default());
        let ask = |engine: &mut RawEngine| ask_at_once(engine, &target, 0, clock::now()).err();
        assert!((0..50).any(|_| ask(&mut engine()).is_none()), "it answers at once, unless the host is busy");
        let mut elsewhere = engine();
        assert!(!elsewhere.move_elsewhere() || ask(&mut elsewhere) == Some(NotAnswered::Elsewhere));
        let mut full = engine();
        full.fill();
        assert!(ask(&mut full) == Some(NotAnswered::NoRoom));
    }
}
