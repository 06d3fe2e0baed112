//! Ending every check there is, bit by bit: answered sockets must not wait for thousands of others to be reset.

use super::checks::Checks;
use super::races::Races;
use super::round_clock::SLICE;
use crate::check::verdict::Status;
use crate::sys::clock;

/// Slots gone through between two looks at the clock.
const SLOTS: u32 = 64;

/// How far the ending of every check has come.
#[derive(Default)]
pub(super) struct Cancellation(Option<Pass>);

struct Pass {
    status: Status,
    /// Only checks of an earlier generation end.
    before: u32,
    stage: PassStage,
    next_slot: u32,
}

/// Races first, and with them the checks of their addresses; then what is in flight, since some of it is answered; then
/// the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PassStage {
    Races,
    InFlight,
    Rest,
}

impl Cancellation {
    /// Has every check end that is there now.
    pub fn begin(&mut self, checks: &mut Checks, status: Status) {
        let before = checks.table.next_generation();
        self.0 = Some(Pass { status, before, stage: PassStage::Races, next_slot: 0 });
    }

    pub fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Ends checks at the head of the queue that are to end, so that none of them starts.
    pub fn clear_head(&self, checks: &mut Checks) {
        let Some(pass) = &self.0 else { return };
        while let Some(slot) = checks.table.first_queued(true)
            && checks.end_if_older(slot, pass.before, pass.status)
        {}
    }

    /// Goes on for a slice of time.
    pub fn go_on(&mut self, checks: &mut Checks, races: &mut Races) {
        if self.0.is_none() {
            return;
        }
        let slice_ends = clock::now() + SLICE;
        while let Some(pass) = &mut self.0 {
            if pass.go_on(checks, races) {
                self.0 = None;
            }
            if clock::now() > slice_ends {
                break;
            }
        }
    }
}

impl Pass {
    /// Goes through a few slots. True when it has come to the end.
    fn go_on(&mut self, checks: &mut Checks, races: &mut Races) -> bool {
        let slots = if self.stage == PassStage::Races { races.slots() } else { checks.table.slots() };
        let end = slots.min(self.next_slot + SLOTS);
        for slot in self.next_slot..end {
            match self.stage {
                PassStage::Races => races.end_if_older(checks, slot, self.before, self.status),
                PassStage::InFlight if !checks.is_in_flight(slot) => {}
                PassStage::InFlight | PassStage::Rest => {
                    checks.end_if_older(slot, self.before, self.status);
                }
            }
        }
        self.next_slot = end;
        if end < slots {
            return false;
        }
        self.next_slot = 0;
        match self.stage {
            PassStage::Races => self.stage = PassStage::InFlight,
            PassStage::InFlight => self.stage = PassStage::Rest,
            PassStage::Rest => return true,
        }
        false
    }
}
