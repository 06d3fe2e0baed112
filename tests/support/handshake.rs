//! What this system's handshake lets the tests expect. Linux withholds the last ACK and uses a reset socket again;
//! `TCPSHAKER_HANDSHAKE` has it behave as a system that does not (src/engine/socket/forced.rs), and the same tests run
//! there.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use tcpshaker::{Stats, Status, Verdict};

use super::counters::Rise;
use super::engine::is_raw;
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

/// TCP_DELACK_MAX in microseconds, less what src/engine/socket/tcp_socket.rs takes off for the kernel's clock.
const ACK_WITHHELD_US: u32 = 180_000;

/// The kernel sends a SYN again after a second, and never sooner than a second after the last.
const SYN_AGAIN_US: u64 = 1_000_000;

/// How many verdicts of this process came without their proof, because the machine held the check up.
static HELD_UP: AtomicU64 = AtomicU64::new(0);

/// Whether such a verdict comes with the proof that no ACK was sent. Of an answer that came late only the reset socket
/// has one, and a closed socket cannot be asked.
///
/// A busy machine may keep a check from its processor, between the answer and the reset, for as long as the kernel
/// withholds the ACK. Then there is no proof, and the time that the check took excuses it.
pub fn proves(verdict: &Verdict) -> bool {
    if is_raw() {
        return verdict.status == Status::Up; // no socket of the kernel's could send the ACK
    }
    let late = verdict.syn_retransmits > 0 || verdict.rtt_us >= ACK_WITHHELD_US;
    let can_be_proven = verdict.status == Status::Up && withholds_ack() && (reuses_sockets() || !late);
    let answered_us = u64::from(verdict.syn_retransmits) * SYN_AGAIN_US;
    let was_held_up = verdict.elapsed_us >= answered_us + u64::from(ACK_WITHHELD_US);
    let is_excused = can_be_proven && !verdict.half_open && was_held_up;
    HELD_UP.fetch_add(u64::from(is_excused), Ordering::SeqCst);
    can_be_proven && !is_excused
}

/// How many of the verdicts that were looked at lacked their proof, excused by the time they took: so many handshakes
/// may have been completed, and the verdicts admit it.
pub fn held_up() -> u64 {
    HELD_UP.load(Ordering::SeqCst)
}

/// Each verdict has the proof that it can have.
#[track_caller]
pub fn assert_proven<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) {
    verdicts.into_iter().for_each(|verdict| assert_eq!(verdict.half_open, proves(verdict), "{verdict:?}"));
}

/// What goes over the wire for a check of a live target, as a capture tells it.
pub fn conversation() -> &'static [&'static str] {
    match () {
        // The kernel knows no connection, so its RST acknowledges nothing (RFC 9293, 3.5.2).
        () if is_raw() => &[">S", "<S.", ">R"],
        () if withholds_ack() => &[">S", "<S.", ">R."],
        () => &[">S", "<S.", ">.", ">R."],
    }
}

/// Each conversation is that of a check; but for those of checks that were held up, which show the ACK as well.
#[track_caller]
pub fn assert_conversations(conversations: &[Vec<String>]) {
    let others: Vec<_> = conversations.iter().filter(|segments| *segments != conversation()).collect();
    assert!(others.len() as u64 <= held_up(), "{others:?}");
    assert!(others.iter().all(|segments| **segments == [">S", "<S.", ">.", ">R."]), "{others:?}");
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

    /// None was, and the checker counts none, but for the checks that were held up, if their verdicts were looked at.
    /// Where the ACK cannot be withheld, that of every check was, and the checker admits it; where there is no proof of
    /// a late answer, the checker admits those that were asked twice.
    #[track_caller]
    pub fn assert_none(&self, stats: &Stats) {
        if withholds_ack() {
            assert!(self.by_kernel.now() <= held_up(), "{} completed: {stats:?}", self.by_kernel.now());
            assert!(stats.completed_handshakes <= self.without_proof() + held_up(), "{stats:?}");
        }
        self.assert_none_in_silence(stats);
    }

    /// The same of more threads or checks than the machine has time for: a thread that gets no processor between the
    /// answer and the reset, for as long as the kernel withholds the ACK, cannot help it. Such checks are few, and the
    /// checker admits each of them.
    #[track_caller]
    pub fn assert_none_in_silence(&self, stats: &Stats) {
        let (completed, admitted) = (self.by_kernel.now(), stats.completed_handshakes);
        assert!(completed <= admitted, "{completed} completed: {stats:?}");
        if !withholds_ack() {
            // Where answers come faster than a busy server's kernel takes them in, the reset may overtake the ACK, or
            // meet a full queue: the server never learns of what the client has completed.
            assert_eq!(admitted, stats.up, "{stats:?}");
            return assert!(completed > 0 || stats.up == 0, "{stats:?}");
        }
        // A machine with five things to do at once had one in a hundred.
        assert!(admitted <= self.without_proof() + stats.up / 20, "{completed} completed: {stats:?}");
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
