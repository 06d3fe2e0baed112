//! One check of one address, in little memory.

use std::net::SocketAddr;

use super::command::Terms;
use super::outbox::ReplyTo;
use crate::check::address::CompactAddress;
use crate::check::close_mode::CloseMode;
use crate::check::slot::SlotKey;
use crate::timer_wheel::Timer;

/// A SYN that left late has so many nanoseconds for its answer: as long as an early SYN is waited for by default.
pub(super) const ANSWER_TIME: u64 = 300_000_000;

/// Whether silence for so many nanoseconds says nothing of a target: of the time of its check this host has used the
/// greater part before it asked, and a live one may have had no time for its answer.
pub(super) fn says_nothing(silence: u64, timeout_ms: u32) -> bool {
    silence < ANSWER_TIME.min(u64::from(timeout_ms) * 500_000)
}

/// One check of one address. There may be a million of them, so it is made small.
pub(super) struct Check {
    owner: Owner,
    target: CompactAddress,
    pub submitted: u64,
    pub timeout_ms: u32,
    /// Tells this check from earlier ones of its slot.
    pub generation: u32,
    /// The firewall mark; 0 is none.
    pub mark: u32,
    in_flight: Option<InFlight>,
    pub timer: Option<Timer>,
    pub close_mode: CloseMode,
    /// It has its token of the rate.
    pub has_token: bool,
    /// Its target gave no answer last time, and it waits in a queue of its own.
    pub silent: bool,
    /// It is one of a list, whose time runs from its own start.
    pub listed: bool,
    /// SYNs sent to its address, those not counted that the engine or the kernel sends by itself.
    pub syns: u8,
    /// SYNs that the loop had no time for by its deadline, the one included that has left since; 0 if there was none.
    pub missed_syns: u8,
    /// It waits until another check of its target has ended.
    pub waits_for_target: bool,
}

/// The memory of a check in flight is a promise, and this is the greatest part of it.
const _: () = assert!(size_of::<Check>() <= 88);

impl Check {
    /// One that waits for its turn.
    pub fn new(owner: Owner, target: SocketAddr, generation: u32, silent: bool, terms: Terms) -> Check {
        let Terms { submitted, timeout_ms, close_mode, mark, paced, has_token, syns } = terms;
        Check {
            owner,
            target: target.into(),
            submitted,
            timeout_ms,
            generation,
            mark,
            in_flight: None,
            timer: None,
            close_mode,
            has_token,
            silent,
            listed: paced,
            syns,
            missed_syns: 0,
            waits_for_target: false,
        }
    }

    pub fn owner(&self) -> Owner {
        self.owner
    }

    pub fn target(&self) -> SocketAddr {
        self.target.into()
    }

    pub fn stage(&self) -> Stage {
        match self.in_flight {
            Some(InFlight { slot, syn_after_us }) => {
                Stage::InFlight { slot: slot.slot() as u32, syn_at: self.submitted + u64::from(syn_after_us) * 1000 }
            }
            None if self.listed => Stage::Paced,
            None => Stage::Queued,
        }
    }

    /// Its SYN is about to leave from this slot of the engine's.
    pub fn starts(&mut self, engine_slot: u32, syn_at: u64) {
        self.in_flight = Some(InFlight::of(engine_slot, self.submitted, syn_at));
        self.syns += 1;
    }

    /// A submitted check becomes one of a race.
    pub fn become_of_race(&mut self, race: u32) {
        self.owner = Owner::Race { race, early: false };
    }

    /// It did not start after all, and waits for its turn again.
    pub fn waits_again(&mut self) {
        self.in_flight = None;
        self.syns -= 1;
    }

    /// Its id, if it has one of its own. A race's checks have none.
    pub fn id(&self) -> u64 {
        match self.owner {
            Owner::Submitter(reply_to) => reply_to.id,
            Owner::Race { .. } => 0,
        }
    }

    pub fn deadline(&self) -> u64 {
        self.submitted + u64::from(self.timeout_ms) * 1_000_000
    }

    /// Whether it was to have its verdict by now. A paced check's time has not begun before its start.
    pub fn is_overdue(&self, now: u64) -> bool {
        self.stage() == Stage::Queued && now >= self.deadline()
    }

    pub fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// From its submission, or if it is paced from its start.
    pub fn elapsed_us(&self, now: u64) -> u64 {
        match self.stage() {
            Stage::Paced => 0,
            Stage::Queued | Stage::InFlight { .. } => now.saturating_sub(self.submitted) / 1000,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Queued,
    /// Queued, and its time runs from its own start.
    Paced,
    InFlight {
        /// The engine's.
        slot: u32,
        /// When its SYN left, or a little earlier.
        syn_at: u64,
    },
}

#[derive(Clone, Copy)]
struct InFlight {
    slot: SlotKey,
    /// How long after its submission its SYN left, rounded down; of one that was queued for more than 71 minutes, the
    /// longest there is. A SYN that is taken for older than it is proves less: what the engine says of half a handshake
    /// stays true.
    syn_after_us: u32,
}

impl InFlight {
    fn of(slot: u32, submitted: u64, syn_at: u64) -> InFlight {
        let syn_after_us = u32::try_from(syn_at.saturating_sub(submitted) / 1000).unwrap_or(u32::MAX);
        InFlight { slot: SlotKey::of(slot as usize), syn_after_us }
    }
}

/// Who gets a check's verdict.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    Submitter(ReplyTo),
    /// A race, of which this is one SYN.
    Race {
        race: u32,
        /// It is an early SYN to an address that gave no answer so far.
        early: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syn_is_never_taken_for_younger_than_it_is() {
        let submitted = 5_000_000_000;
        let close_mode = CloseMode::HALF_OPEN;
        let terms = Terms { submitted, timeout_ms: 1, close_mode, mark: 0, paced: false, has_token: false, syns: 0 };
        let mut check = Check::new(Owner::Race { race: 0, early: false }, ([127, 0, 0, 1], 80).into(), 1, false, terms);
        let mut kept = |syn_at: u64| {
            check.starts(9, syn_at);
            match check.stage() {
                Stage::InFlight { slot: 9, syn_at } => syn_at,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(kept(submitted), submitted);
        assert_eq!(kept(submitted + 1_234_999), submitted + 1_234_000);
        let longest = u64::from(u32::MAX) * 1000;
        assert_eq!(kept(submitted + longest), submitted + longest);
        assert_eq!(kept(submitted + longest + 5_000_000_000), submitted + longest);
    }

    #[test]
    fn a_check_waits_again_as_it_waited_before() {
        for (paced, stage) in [(false, Stage::Queued), (true, Stage::Paced)] {
            let close_mode = CloseMode::HALF_OPEN;
            let terms = Terms { submitted: 0, timeout_ms: 1, close_mode, mark: 0, paced, has_token: false, syns: 0 };
            let owner = Owner::Race { race: 0, early: false };
            let mut check = Check::new(owner, ([127, 0, 0, 1], 80).into(), 1, false, terms);
            check.starts(9, 0);
            assert!(check.is_in_flight());
            check.waits_again();
            assert_eq!((check.stage(), check.syns), (stage, 0));
        }
    }
}
