//! Ending every check there is, bit by bit: answered sockets must not wait for thousands of others to be reset.

use super::checks::Checks;
use super::races::Races;
use super::round_clock::SLICE;
use crate::check::verdict::Status;
use crate::engine::Engine;
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

/// What is in flight first, since some of it is answered; then races, and with them the checks of their addresses;
/// then the rest. Meanwhile a check in flight may become a race's, which is as old as the check: it ends with the
/// races.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PassStage {
    InFlight,
    Races,
    Rest,
}

impl Cancellation {
    /// Has every check end that is there now.
    pub fn begin(&mut self, checks: &mut Checks<impl Engine>, status: Status) {
        let before = checks.table.next_generation();
        self.0 = Some(Pass { status, before, stage: PassStage::InFlight, next_slot: 0 });
    }

    pub fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Goes on for a slice of time.
    pub fn go_on(&mut self, checks: &mut Checks<impl Engine>, races: &mut Races) {
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
    fn go_on(&mut self, checks: &mut Checks<impl Engine>, races: &mut Races) -> bool {
        let slots = if self.stage == PassStage::Races { races.slots() } else { checks.table.slots() };
        let end = slots.min(self.next_slot + SLOTS);
        for slot in self.next_slot..end {
            match self.stage {
                PassStage::Races => races.end_if_older(checks, slot, self.before, self.status),
                PassStage::InFlight if !checks.table.is_in_flight(slot) => {}
                PassStage::InFlight | PassStage::Rest => checks.end_if_older(slot, self.before, self.status),
            }
        }
        self.next_slot = end;
        if end < slots {
            return false;
        }
        self.next_slot = 0;
        match self.stage {
            PassStage::InFlight => self.stage = PassStage::Races,
            PassStage::Races => self.stage = PassStage::Rest,
            PassStage::Rest => return true,
        }
        false
    }
}
