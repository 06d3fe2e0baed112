//! What this system's handshake lets the tests expect. Linux withholds the last ACK and uses a reset socket again;
//! `TCPSHAKER_HANDSHAKE` has it behave as a system that does not (src/socket/forced.rs), and the same tests run there.

use std::io::Write;

use tcpshaker::{Stats, Status, Verdict};

use super::counters::Rise;
use super::process::sysctl;

/// The last ACK is withheld. Where it is not, checks make the ordinary handshake, and the kernel tells little of it.
pub fn withholds_ack() -> bool {
    tcpshaker::capabilities().half_open
}

/// A reset socket serves the next check. Where it does not, closing is the reset.
pub fn reuses_sockets() -> bool {
    tcpshaker::capabilities().reuse_socket
}

/// Linux as it is, with nothing left aside.
pub fn is_at_its_best() -> bool {
    withholds_ack() && reuses_sockets()
}

/// TCP_DELACK_MAX in microseconds, less what src/socket.rs takes off for the kernel's clock.
const ACK_WITHHELD_US: u32 = 180_000;

/// Whether such a verdict comes with the proof that no ACK was sent. Of an answer that came late only the reset socket
/// has one, and a closed socket cannot be asked.
pub fn proves(verdict: &Verdict) -> bool {
    let late = verdict.syn_retransmits > 0 || verdict.rtt_us >= ACK_WITHHELD_US;
    verdict.status == Status::Up && withholds_ack() && (reuses_sockets() || !late)
}

/// What goes over the wire for a check of a live target, as a capture tells it.
pub fn conversation() -> &'static [&'static str] {
    if withholds_ack() { &[">S", "<S.", ">R."] } else { &[">S", "<S.", ">.", ">R."] }
}

/// How many segments such a check sends.
pub fn segments_sent() -> usize {
    conversation().iter().filter(|segment| segment.starts_with('>')).count()
}

/// The first SYN was lost, and the verdict says so where the kernel tells.
#[track_caller]
pub fn assert_sent_again(verdict: &Verdict) {
    assert_eq!(verdict.syn_retransmits >= 1, withholds_ack(), "{verdict:?}");
}

/// The handshakes that were completed: by the kernel's count of those that its listeners saw.
pub struct Completed {
    by_kernel: Rise,
    sent_again: Rise,
}

impl Completed {
    /// Starts to watch.
    pub fn watch() -> Completed {
        Completed { by_kernel: Rise::of("TcpPassiveOpens"), sent_again: Rise::of("TcpRetransSegs") }
    }

    /// None was, and the checker counts none. Where the ACK cannot be withheld, that of every check was, and the checker
    /// admits it; where there is no proof of a late answer, the checker admits those that were asked twice.
    #[track_caller]
    pub fn assert_none(&self, stats: &Stats) {
        if withholds_ack() {
            assert_eq!(self.by_kernel.now(), 0, "{stats:?}");
            assert!(stats.completed_handshakes <= self.without_proof(), "{stats:?}");
        }
        self.assert_none_in_silence(stats);
    }

    /// The same of more threads or checks than the machine has time for: a thread that gets no processor between the
    /// answer and the reset, for as long as the kernel withholds the ACK, cannot help it. Such checks are few, and the
    /// checker admits each of them.
    #[track_caller]
    pub fn assert_none_in_silence(&self, stats: &Stats) {
        let (completed, admitted) = (self.by_kernel.now(), stats.completed_handshakes);
        if !withholds_ack() {
            return assert_eq!((completed, admitted), (stats.up, stats.up), "{stats:?}");
        }
        assert!(completed <= admitted, "{completed} completed: {stats:?}");
        assert!(admitted <= self.without_proof() + stats.up / 100, "{completed} completed: {stats:?}");
    }

    /// How many checks may be admitted for want of a proof: of a late answer only the reset socket has one.
    fn without_proof(&self) -> u64 {
        if reuses_sockets() { 0 } else { self.sent_again.now() }
    }
}

/// How many of so many sockets are kept for the checks to come.
pub fn kept(sockets: u64) -> u64 {
    if reuses_sockets() { sockets } else { 0 }
}

/// How often to do what tells more the more often it is done: a tenth will do where the same is done on Linux as it is.
pub fn often(count: usize) -> usize {
    if is_at_its_best() { count } else { (count / 10).max(1) }
}

/// Has a listener of this network hold a million connections that nobody accepts: every ordinary check leaves one.
pub fn make_room_for_completed_handshakes() {
    if !withholds_ack() {
        sysctl("net/core/somaxconn", "1000000");
    }
}

/// The first line of a test of something that only some handshakes have: where it does not exist the test is over, and
/// says why. That is no failure in CI either; the same test runs there on Linux as it is.
macro_rules! only_where {
    ($exists:expr, $why:literal) => {
        fn the_test() {}
        if !$exists {
            $crate::support::handshake::not_on_this_path(std::any::type_name_of_val(&the_test), $why);
            return;
        }
    };
}

/// Says that a test has no object here, past the harness that would hide it.
pub fn not_on_this_path(place: &str, why: &str) {
    let test = place.strip_suffix("::the_test").unwrap_or(place);
    let _ = writeln!(std::io::stderr(), "not on this path: {test}: {why}");
}
