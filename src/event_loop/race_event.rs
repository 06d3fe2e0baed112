//! What a race hears of its checks.

use crate::check::verdict::Verdict;

pub(super) enum RaceEvent {
    /// The SYN of a check leaves, after the check waited its turn for `waited` ns.
    Started { race: u32, waited: u64 },
    /// A check has its verdict, and its slot is free.
    Concluded { race: u32, check: u32, verdict: Verdict, at: u64 },
    /// An early SYN was given up for a check that waited for its turn, and its slot is free. The kernel had sent it
    /// again so many times.
    GivenUp { race: u32, check: u32, retransmits: u32 },
    /// A submitted check, which is no race's so far, has had no answer for as long as the interval of SYNs.
    Unanswered { check: u32, generation: u32 },
    /// There is room for the early SYN that a race could not send.
    Room { race: u32, generation: u32 },
}
