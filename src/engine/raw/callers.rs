//! Checks that are made on a caller's own thread: a target on this host has answered by the time that its SYN is sent.
//! Waking the loop's thread, and being woken by it, would cost several times the check.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mio::Poll;

use super::driver::RawEngine;
use crate::check::close_mode::CloseMode;
use crate::check::slot::SlotKey;
use crate::engine::wire::Wire;
use crate::engine::{Conclusion, Engine, Start};
use crate::sys::lock::Mutex;

/// Ports that the callers' engine takes.
const PORTS: u16 = 16;
/// It takes other ones than the first 2^16 loops.
const INDEX: u32 = 1 << 16;

/// An engine without a loop, for one caller at a time.
pub(crate) struct CallersEngine {
    wire: Wire,
    /// What the checker counts: its sockets, and segments that answer no check.
    counts: [Arc<AtomicU64>; 2],
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
}

impl CallersEngine {
    pub fn new(wire: Wire, counts: [Arc<AtomicU64>; 2]) -> CallersEngine {
        CallersEngine { wire, counts, state: Mutex::new(State::default()) }
    }

    /// Makes a check, if its target is on this host and answers at once. Says also whether the loop has to be told that
    /// it will have to sweep here.
    pub fn ask(&self, target: &SocketAddr, mark: u32, syn_at: u64) -> Option<(Conclusion, bool)> {
        let mut engine = self.take()?;
        let conclusion = ask_at_once(&mut engine, target, mark, syn_at);
        let tell_loop = self.put_back(engine);
        conclusion.map(|conclusion| (conclusion, tell_loop))
    }

    fn take(&self) -> Option<Box<RawEngine>> {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.in_use, true) {
            return None; // another caller has it; the loop is as good
        }
        let idle = state.idle.take();
        drop(state);
        let made = idle.or_else(|| {
            let poll = Poll::new().ok()?;
            Some(Box::new(RawEngine::with_ports(poll, self.wire.clone(), INDEX, PORTS, self.counts.clone())))
        });
        if made.is_none() {
            self.state.lock().in_use = false;
        }
        made
    }

    fn put_back(&self, engine: Box<RawEngine>) -> bool {
        let mut state = self.state.lock();
        state.idle = Some(engine);
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
        drop(state);
        drop(unneeded); // system calls, and not under the lock
        is_needed
    }
}

/// Makes a check. `None` if its target is elsewhere, or does not answer before sending returns.
fn ask_at_once(engine: &mut RawEngine, target: &SocketAddr, mark: u32, syn_at: u64) -> Option<Conclusion> {
    if !engine.is_here(target, mark) {
        return None;
    }
    let slot = engine.acquire(target, CloseMode::HALF_OPEN, mark, u32::MAX).ok()?;
    if let Start::Concluded(conclusion) = engine.start(slot, SlotKey::of(0), target, syn_at) {
        return Some(conclusion);
    }
    engine.flush();
    engine.read_now();
    while let Some((_, answered)) = engine.next_event() {
        if answered == slot {
            return engine.look(slot, target, syn_at);
        }
    }
    engine.last_look(slot, target, syn_at);
    None
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::check::verdict::Status;
    use crate::sys::{clock, raw_socket};

    #[test]
    fn it_answers_for_this_host_and_is_closed_when_nobody_needs_it() {
        if raw_socket::probe().is_err() {
            return; // no privilege
        }
        let callers = CallersEngine::new(Wire::default(), Default::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let ask = |target| callers.ask(&target, 0, clock::now());
        let (conclusion, tell_loop) = ask(target).expect("it answers at once");
        assert_eq!((conclusion.verdict.status, conclusion.verdict.half_open), (Status::Up, true));
        assert!(tell_loop && callers.counts[0].load(Ordering::SeqCst) > 0);
        drop(listener);
        let (conclusion, tell_loop) = ask(target).expect("it refuses at once");
        assert_eq!(conclusion.verdict.status, Status::Refused);
        assert!(!tell_loop, "the loop knows");
        assert!(callers.sweep(), "it was used");
        assert!(!callers.sweep());
        assert_eq!(callers.counts[0].load(Ordering::SeqCst), 0);
        assert!(ask(target).is_some_and(|(_, tell_loop)| tell_loop), "the loop has to be told anew");
    }
}
