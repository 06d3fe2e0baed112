//! The watches, and the checks that they share: what is kept of each, in little memory.
//!
//! A million of each cost at most 200 bytes of heap together, besides the target.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;

use super::changes::Pending;
use super::gradual::GradualTable;
use super::hysteresis::{Hysteresis, State};
use super::watch::Settings;
use crate::check::slab::Slab;
use crate::check::target::Target;
use crate::check::verdict::{Status, Verdict};
use crate::sys::memory::OutOfMemory;
use crate::timer_wheel::Timer;

const NONE: u32 = u32::MAX;
/// Room for watches that is kept when there is none; what many took beyond that is given back.
const ROOM_KEPT: usize = 4_096;

/// What is kept of a watch.
pub(super) struct Record {
    /// Whose checks it has.
    pub probe: u32,
    /// Its neighbours among the watches of the same probe.
    previous: u32,
    next: u32,
    /// Tells it from others that have had its slot.
    serial: u32,
    pub tag: usize,
    pub hysteresis: Hysteresis,
    /// Since when it has been in this state, in microseconds.
    pub since_us: u64,
    pub checks: u32,
    pub up: u32,
    pub down: u32,
    pub no_verdict: u32,
    pub changes: u32,
    /// How many verdicts had come while too many watches failed when its latest came; if that was a failure made before it
    /// was over, one less.
    pub failed_in: u32,
    pub is_paused: bool,
    /// It is paused, and has been asked for a check.
    pub asked: Asked,
    pub pending: Pending,
}

/// Which checks of its probe a paused watch was asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked {
    /// The one in flight, or while none is, the next.
    is_current: bool,
    /// The one after the one in flight.
    is_next: bool,
}

impl Asked {
    /// For a check that begins from now on.
    pub fn ask(&mut self, is_in_flight: bool) {
        *if is_in_flight { &mut self.is_next } else { &mut self.is_current } = true;
    }

    /// A check has ended. Returns whether it was asked for.
    pub fn shift(&mut self) -> bool {
        let is_next = std::mem::take(&mut self.is_next);
        std::mem::replace(&mut self.is_current, is_next)
    }

    pub fn is_any(&self) -> bool {
        self.is_current || self.is_next
    }

    pub fn is_current(&self) -> bool {
        self.is_current
    }
}

impl Record {
    /// Checks are to be made for it.
    pub fn wants_checks(&self) -> bool {
        !self.is_paused || self.asked.is_any()
    }
}

/// A target that is checked again and again for all watches of it that have the same settings.
pub(super) struct Probe {
    pub target: Target,
    pub settings: Arc<Settings>,
    /// The first of its watches.
    first: u32,
    /// How many of its watches want checks.
    pub wanted: u32,
    /// Set while it waits for its next check.
    pub timer: Option<Timer>,
    /// When the timer expires, on the schedule's clock; or since when the check has been in flight.
    pub at: u64,
    /// How far the schedule's clock was behind then, in milliseconds modulo 2^32.
    pub behind_ms: u32,
    /// How late the check in flight began; at most 255.
    pub late_ms: u8,
    pub is_in_flight: bool,
    /// A check was asked for that has not begun yet: it begins at once, or as soon as the one in flight ends.
    pub again: bool,
    /// Its latest check was up, no failure was reported since, and the next check was not asked for. That one takes an
    /// answer that the resolver has kept: it may lead to where a name led that has moved.
    pub is_well: bool,
    last: Last,
    /// Round trips in microseconds: the latest, and as RFC 6298 smooths them.
    pub rtt_us: u32,
    pub smoothed_us: f32,
    pub variation_us: f32,
}

/// The latest verdict, without what is known of the probe anyway.
struct Last {
    status: Option<Status>,
    os_error: i32,
    /// At most 71 minutes.
    elapsed_us: u32,
    syn_retransmits: u16,
    half_open: bool,
    zero_window: bool,
    /// It is about an address: of a literal target that one.
    has_address: bool,
    /// Which address of the name.
    address: Option<Box<SocketAddr>>,
}

impl Probe {
    fn new(target: Target, settings: Arc<Settings>) -> Probe {
        let last = Last {
            status: None,
            os_error: 0,
            elapsed_us: 0,
            syn_retransmits: 0,
            half_open: false,
            zero_window: false,
            has_address: false,
            address: None,
        };
        Probe {
            target,
            settings,
            first: NONE,
            wanted: 0,
            timer: None,
            at: 0,
            behind_ms: 0,
            late_ms: 0,
            is_in_flight: false,
            again: false,
            is_well: false,
            last,
            rtt_us: 0,
            smoothed_us: 0.0,
            variation_us: 0.0,
        }
    }

    pub fn keep(&mut self, verdict: &Verdict) {
        let address = match (&self.target, verdict.address) {
            (Target::Name(_), Some(address)) => Some(match self.last.address.take() {
                Some(mut kept) => {
                    *kept = address;
                    kept
                }
                None => Box::new(address),
            }),
            _ => None,
        };
        self.last = Last {
            status: Some(verdict.status),
            os_error: verdict.os_error,
            elapsed_us: u32::try_from(verdict.elapsed_us).unwrap_or(u32::MAX),
            syn_retransmits: verdict.syn_retransmits.min(u16::MAX.into()) as u16,
            half_open: verdict.half_open,
            zero_window: verdict.zero_window,
            has_address: verdict.address.is_some(),
            address,
        };
        if verdict.status == Status::Up {
            self.measure(verdict.rtt_us);
        }
    }

    /// RFC 6298, 2.2 and 2.3.
    fn measure(&mut self, rtt_us: u32) {
        let rtt = rtt_us as f32;
        if self.smoothed_us == 0.0 {
            (self.smoothed_us, self.variation_us) = (rtt, rtt / 2.0);
        } else {
            self.variation_us += ((self.smoothed_us - rtt).abs() - self.variation_us) / 4.0;
            self.smoothed_us += (rtt - self.smoothed_us) / 8.0;
        }
        self.rtt_us = rtt_us;
    }

    /// The latest verdict; `None` before the first.
    pub fn last(&self) -> Option<Verdict> {
        let status = self.last.status?;
        let address = match &self.target {
            Target::Literal(address) => self.last.has_address.then_some(*address),
            _ => self.last.address.as_deref().copied(),
        };
        Some(Verdict {
            os_error: self.last.os_error,
            rtt_us: if status == Status::Up { self.rtt_us } else { 0 },
            syn_retransmits: self.last.syn_retransmits.into(),
            half_open: self.last.half_open,
            zero_window: self.last.zero_window,
            elapsed_us: self.last.elapsed_us.into(),
            address,
            ..Verdict::without_segments(status, 0)
        })
    }
}

pub(super) struct Records {
    watches: Slab<Record>,
    probes: Slab<Probe>,
    /// The number of the probe of each target and settings.
    shared: GradualTable,
    hasher: RandomState,
    /// The settings of all probes, each once.
    settings: HashSet<Arc<Settings>>,
    latest_serial: u32,
}

impl Records {
    pub fn new() -> Records {
        Records {
            watches: Slab::new(),
            probes: Slab::new(),
            shared: GradualTable::new(),
            hasher: RandomState::new(),
            settings: HashSet::new(),
            latest_serial: 0,
        }
    }

    /// How many watches there are.
    pub fn count(&self) -> usize {
        self.watches.len()
    }

    /// How many probes there are.
    pub fn probes(&self) -> usize {
        self.probes.len()
    }

    /// Makes room for so many more.
    pub fn grow_by(&mut self, count: usize) -> Result<(), OutOfMemory> {
        self.watches.grow_by(count)?;
        self.probes.grow_by(count)?;
        self.settings.try_reserve(count)?;
        self.shared.grow_by(count, hashes(&self.hasher, &self.probes))
    }

    /// Adds a watch, paused, to the probe of its target and settings. Returns its slot.
    pub fn add(&mut self, target: Target, settings: Settings, initial: State, tag: usize, now_us: u64) -> u32 {
        let probe = self.probe_of(target, settings);
        self.latest_serial = self.latest_serial.wrapping_add(1).max(1);
        let next = self.probes[probe as usize].first;
        let slot = self.watches.insert(Record {
            probe,
            previous: NONE,
            next,
            serial: self.latest_serial,
            tag,
            hysteresis: Hysteresis::new(initial),
            since_us: now_us,
            checks: 0,
            up: 0,
            down: 0,
            no_verdict: 0,
            changes: 0,
            failed_in: 0,
            is_paused: true,
            asked: Asked::default(),
            pending: Pending::NOTHING,
        }) as u32;
        if let Some(neighbour) = self.watches.get_mut(next as usize) {
            neighbour.previous = slot;
        }
        self.probes[probe as usize].first = slot;
        slot
    }

    fn probe_of(&mut self, target: Target, settings: Settings) -> u32 {
        let settings = match self.settings.get(&settings) {
            Some(known) => known.clone(),
            None => {
                let settings = Arc::new(settings);
                self.settings.insert(settings.clone());
                settings
            }
        };
        let hash = hash_of(&self.hasher, &target, &settings);
        let is_same = |slot: u32| {
            let probe = &self.probes[slot as usize];
            probe.target == target && Arc::ptr_eq(&probe.settings, &settings)
        };
        if let Some(slot) = self.shared.find(hash, is_same) {
            return slot;
        }
        let slot = self.probes.insert(Probe::new(target, settings)) as u32;
        self.shared.insert(slot, hashes(&self.hasher, &self.probes));
        slot
    }

    /// Removes a watch. Its probe stays, if only without watches.
    pub fn remove(&mut self, slot: u32) -> Record {
        let record = self.watches.remove(slot as usize);
        match self.watches.get_mut(record.previous as usize) {
            Some(neighbour) => neighbour.next = record.next,
            None => self.probes[record.probe as usize].first = record.next,
        }
        if let Some(neighbour) = self.watches.get_mut(record.next as usize) {
            neighbour.previous = record.previous;
        }
        record
    }

    pub fn has_watches(&self, probe: u32) -> bool {
        self.probes[probe as usize].first != NONE
    }

    /// Removes a probe without watches, whose timer is clear and whose check is not in flight.
    pub fn remove_probe(&mut self, slot: u32) {
        let probe = self.probes.remove(slot as usize);
        let hash = hash_of(&self.hasher, &probe.target, &probe.settings);
        self.shared.remove(hash, slot);
        // One here, and one in the set.
        if Arc::strong_count(&probe.settings) == 2 {
            self.settings.remove(&probe.settings);
        }
    }

    /// Gives back what many watches took, when none is left. Returns whether there was anything to give back.
    pub fn shrink(&mut self) -> bool {
        let is_empty = self.watches.is_empty() && self.probes.is_empty();
        let is_large = self.watches.capacity().max(self.probes.capacity()) > ROOM_KEPT;
        if is_empty && is_large {
            *self = Records { latest_serial: self.latest_serial, ..Records::new() };
        }
        is_empty && is_large
    }

    /// The id of a watch; never 0.
    pub fn id(&self, slot: u32) -> u64 {
        u64::from(self.watches[slot as usize].serial) << 32 | u64::from(slot)
    }

    /// The slot of the watch of this id, if it is still there.
    pub fn slot(&self, id: u64) -> Option<u32> {
        let slot = id as u32;
        self.watches.get(slot as usize).filter(|record| u64::from(record.serial) == id >> 32).map(|_| slot)
    }

    /// A watch and its probe.
    pub fn both(&mut self, slot: u32) -> (&mut Record, &mut Probe) {
        let record = &mut self.watches[slot as usize];
        let probe = record.probe as usize;
        (record, &mut self.probes[probe])
    }

    pub fn watch(&self, slot: u32) -> &Record {
        &self.watches[slot as usize]
    }

    pub fn probe(&self, slot: u32) -> &Probe {
        &self.probes[slot as usize]
    }

    pub fn probe_mut(&mut self, slot: u32) -> &mut Probe {
        &mut self.probes[slot as usize]
    }

    /// The watch after this one, or with `None` the first, of a probe.
    pub fn next_of(&self, probe: u32, watch: Option<u32>) -> Option<u32> {
        let next = watch.map_or(self.probes[probe as usize].first, |watch| self.watches[watch as usize].next);
        (next != NONE).then_some(next)
    }
}

fn hash_of(hasher: &RandomState, target: &Target, settings: &Arc<Settings>) -> u64 {
    hasher.hash_one((target, Arc::as_ptr(settings)))
}

/// Tells the hash of the probe in a slot.
fn hashes(hasher: &RandomState, probes: &Slab<Probe>) -> impl Fn(u32) -> Option<u64> {
    move |slot| probes.get(slot as usize).map(|probe| hash_of(hasher, &probe.target, &probe.settings))
}

#[cfg(test)]
mod tests;
