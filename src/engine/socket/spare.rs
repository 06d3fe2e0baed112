//! Reset sockets for checks that begin on a caller's thread. The loop's poller does not know them.

use super::tcp_socket::Socket;
use crate::sys::lock::{Mutex, MutexGuard};
use crate::sys::memory::vec_for;

pub(crate) struct SpareSockets {
    state: Mutex<State>,
    /// One for each caller that may come at once.
    limit: usize,
}

struct State {
    /// The socket that was used last is used first, so those at the front are not needed.
    sockets: Vec<Socket>,
    /// How many at the front have not been touched since the last sweep.
    untouched: usize,
    /// The loop will close what nobody needs.
    sweep_expected: bool,
}

impl SpareSockets {
    pub fn new(limit: usize) -> SpareSockets {
        let state = State { sockets: Vec::new(), untouched: 0, sweep_expected: false };
        SpareSockets { state: Mutex::new(state), limit }
    }

    /// An idle socket of this family.
    pub fn take(&self, v6: bool) -> Option<Socket> {
        let mut state = self.lock();
        let last = state.sockets.iter().rposition(|socket| socket.is_v6() == v6)?;
        let socket = state.sockets.remove(last);
        if last < state.untouched {
            state.untouched -= 1;
        }
        Some(socket)
    }

    /// Keeps a reset socket for the next caller; closes it when there are enough, or no memory to keep it. True if the loop
    /// does not know yet that it has to sweep here.
    #[must_use]
    pub fn keep(&self, socket: Socket) -> bool {
        let mut state = self.lock();
        if state.sockets.len() >= self.limit || state.sockets.try_reserve(1).is_err() {
            drop(state);
            drop(socket); // a system call, and not under the lock
            return false;
        }
        state.sockets.push(socket);
        !std::mem::replace(&mut state.sweep_expected, true)
    }

    /// Closes the sockets that nobody has needed since the last time. False if there are none left, and no sweep is
    /// expected any more.
    pub fn sweep(&self) -> bool {
        let mut state = self.lock();
        let untouched = state.untouched;
        // Closed when the lock is released, but for those that there is no memory for meanwhile.
        let mut unneeded = vec_for(untouched).unwrap_or_default();
        for socket in state.sockets.drain(..untouched) {
            if unneeded.len() < unneeded.capacity() {
                unneeded.push(socket);
            }
        }
        state.untouched = state.sockets.len();
        state.sweep_expected = state.untouched > 0;
        let some_left = state.sweep_expected;
        drop(state);
        drop(unneeded);
        some_left
    }

    /// Closes every spare socket. True if there was one.
    pub fn close_all(&self) -> bool {
        let mut state = self.lock();
        state.untouched = 0;
        let sockets = std::mem::take(&mut state.sockets);
        drop(state);
        !sockets.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::close_mode::CloseMode;
    use crate::engine::socket::opener::Opener;
    use crate::engine::wire::Wire;

    fn socket(opener: &Opener, v6: bool) -> Socket {
        opener.open(v6, CloseMode::HALF_OPEN, 0).unwrap()
    }

    #[test]
    fn what_nobody_has_needed_from_one_sweep_to_the_next_is_closed() {
        let opener = Opener::new(Wire::default());
        let spare = SpareSockets::new(4);
        assert!(spare.keep(socket(&opener, false)), "the loop has to be told");
        assert!(!spare.keep(socket(&opener, true)), "it knows");
        assert!(spare.sweep());
        let used = spare.take(false).unwrap();
        assert!(!spare.keep(used));
        assert!(spare.sweep());
        assert_eq!(opener.held(), 1, "one was needed, the other not");
        assert!(!spare.sweep());
        assert_eq!(opener.held(), 0);
        assert!(spare.keep(socket(&opener, false)), "the loop has to be told anew");
    }

    #[test]
    fn no_more_are_kept_than_callers_may_come_at_once() {
        let opener = Opener::new(Wire::default());
        let spare = SpareSockets::new(2);
        for _ in 0..5 {
            let _ = spare.keep(socket(&opener, false));
        }
        assert_eq!(opener.held(), 2);
        assert!(spare.take(true).is_none());
        assert!(spare.close_all() && !spare.close_all());
        assert_eq!(opener.held(), 0);
    }
}
