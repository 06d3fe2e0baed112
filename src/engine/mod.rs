//! The seam between the loop and the wire.
//!
//! An engine starts a check, tells which checks are answered, looks at one a last time when its deadline has passed,
//! and cancels one. The connection is reset before the loop hears of a conclusion.
//!
//! The loop is generic over the engine, and compiled once for each.

pub(crate) mod errno;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) mod raw;
pub(crate) mod socket;
pub(crate) mod wire;

use std::ffi::c_int;
use std::net::SocketAddr;
use std::time::Duration;

use mio::Token;

use crate::check::close_mode::CloseMode;
use crate::check::slot::SlotKey;
use crate::check::verdict::{Status, Verdict};
use crate::sys::memory::OutOfMemory;
use crate::sys::os_error::{self, EADDRINUSE};

/// The token of the waker in an engine's poller.
pub(crate) const WAKE: Token = Token(usize::MAX);

/// What the loop asks of an engine. The engine keeps no deadline and no permit. It names a check by the loop's slot
/// (`SlotKey`), and the loop names the engine's slot.
pub(crate) trait Engine {
    /// Another SYN to an address that gives no answer is one more of the same check, in the same slot
    /// ([`Engine::repeat_syn`]), and not a check of its own.
    const REPEATS_SYN: bool;

    /// A descriptor that is readable while an answer or a wake-up waits; `None` where the poller has none.
    fn poller_fd(&self) -> Option<c_int>;

    /// Waits for answers or a wake-up (`None`: for ever). It does not wait while the last poll left answers unread.
    fn poll(&mut self, wait: Option<Duration>);

    /// The next check that the last poll told of, and the engine's slot of it.
    fn next_event(&mut self) -> Option<(SlotKey, u32)>;

    /// A slot for one more check; `limit` is how many the loop may have in flight.
    fn acquire(&mut self, target: &SocketAddr, close_mode: CloseMode, mark: u32, limit: u32) -> Result<u32, NoSocket>;

    /// A number of where a check of this target goes, however that is spelled. Where there is no slot for one, the end of
    /// another check with the same number may leave one ([`NoSocket::NOT_FOR_THIS_TARGET`]).
    fn destination(&self, target: &SocketAddr) -> u32;

    /// Sends the SYN of a check from an acquired slot, or leaves it to [`Engine::flush`].
    fn start(&mut self, slot: u32, check: SlotKey, target: &SocketAddr, now: u64) -> Start;

    /// Concludes the check of this slot if there is an answer.
    fn look(&mut self, slot: u32, target: &SocketAddr, syn_at: u64) -> Option<Conclusion>;

    /// Concludes the check of this slot in any case: deadline, cancel, shutdown.
    fn last_look(&mut self, slot: u32, target: &SocketAddr, syn_at: u64) -> Conclusion;

    /// Sends another SYN of a check in flight, or leaves it to [`Engine::flush`]. The engine chooses its port and its
    /// ISN, and an answer to any SYN of the check counts. Only where [`Engine::REPEATS_SYN`]. False if there is no room
    /// for it now.
    fn repeat_syn(&mut self, slot: u32, target: &SocketAddr) -> bool;

    /// Sends what [`Engine::start`] and [`Engine::repeat_syn`] have left to be sent together.
    fn flush(&mut self);

    /// Every answer that came before this time has been handed out: no deadline after it may be acted on yet.
    /// `u64::MAX` for an engine that asks each check by itself, or has none in flight. A poll that leaves no answer
    /// unread moves it to the beginning of that poll, at least.
    fn answers_read_until(&self) -> u64;

    /// When it wants to be polled again even if nothing comes in, as after a pause in sending.
    fn wants_poll_at(&self) -> Option<u64>;

    /// Whether this loop has no descriptor left, and needs what lies idle itself.
    fn set_short_of_descriptors(&mut self, _short: bool) {}

    fn has_idle(&self) -> bool;

    /// Closes up to `most` idle sockets, or all that lies idle. True if there was anything.
    fn close_idle(&mut self, most: usize) -> bool;

    /// From now on, what lies idle and is not used counts as not needed.
    fn mark_unneeded(&mut self);

    /// Closes what nobody has needed since it was marked. False if there is more.
    fn close_unneeded(&mut self) -> bool;

    /// Gives back the memory that a burst took.
    fn shrink(&mut self);
}

/// How a check ended. Its connection is reset already.
pub(crate) struct Conclusion {
    pub verdict: Verdict,
    /// When, on the library's clock.
    pub at: u64,
    /// A descriptor was given back.
    pub closed: bool,
}

/// Why there is no slot for a check: no socket, or no port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoSocket {
    /// The check's own, if it is to be told.
    pub status: Status,
    pub errno: i32,
}

impl From<OutOfMemory> for NoSocket {
    fn from(_: OutOfMemory) -> NoSocket {
        NoSocket { status: Status::LocalFault, errno: os_error::ENOMEM }
    }
}

impl NoSocket {
    /// The engine has no room for any check before the time at which it wants to be polled.
    #[cfg_attr(not(any(test, target_os = "linux", target_os = "android")), expect(dead_code, reason = "for raw"))]
    pub const NOT_NOW: NoSocket = NoSocket { status: Status::Busy, errno: 0 };
    /// There is none for this target before another check with the same destination has ended.
    #[cfg_attr(not(any(test, target_os = "linux", target_os = "android")), expect(dead_code, reason = "for raw"))]
    pub const NOT_FOR_THIS_TARGET: NoSocket = NoSocket { status: Status::Busy, errno: EADDRINUSE };

    pub fn is_not_now(self) -> bool {
        self.status == Status::Busy && self.errno == 0
    }

    pub fn is_not_for_this_target(self) -> bool {
        self.status == Status::Busy && self.errno == EADDRINUSE
    }

    pub fn is_out_of_descriptors(self) -> bool {
        os_error::is_out_of_descriptors(self.errno)
    }
}

/// What became of a check that was to start.
pub(crate) enum Start {
    /// The SYN is on its way.
    InFlight,
    /// It was over at once.
    Concluded(Conclusion),
    /// Nothing was sent, and the socket is to blame. It is closed, and the check needs another one.
    Stale,
    /// The poller refused the socket, so the answer would go unnoticed. The socket is reset: idle again, or closed.
    Unwatchable { errno: i32, closed: bool },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_for_having_no_socket_is_known_from_the_others() {
        let out_of_descriptors = NoSocket { status: Status::LocalFault, errno: os_error::OUT_OF_DESCRIPTORS };
        let address_in_use = NoSocket { status: Status::LocalFault, errno: EADDRINUSE };
        let no_errno = NoSocket { status: Status::LocalFault, errno: 0 };
        let all = [
            NoSocket::NOT_NOW,
            NoSocket::NOT_FOR_THIS_TARGET,
            out_of_descriptors,
            address_in_use,
            no_errno,
            NoSocket::from(OutOfMemory),
        ];
        let whichever = |is_it: fn(NoSocket) -> bool| all.map(is_it);
        assert_eq!(whichever(NoSocket::is_not_now), [true, false, false, false, false, false]);
        assert_eq!(whichever(NoSocket::is_not_for_this_target), [false, true, false, false, false, false]);
        assert_eq!(whichever(NoSocket::is_out_of_descriptors), [false, false, true, false, false, false]);
    }
}
