//! The checks in flight: each is a flow, from one of our ports to its target.
//!
//! A flow has a number, its slot and its generation, which its ISN carries to the target and back. And it has a pair,
//! the port and the target: no two flows have the same one, so that a SYN never meets what is left of another check.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use hashbrown::HashTable;

use crate::check::slot::SlotKey;
use crate::sys::memory::{OutOfMemory, vec_for};

/// Bits of a flow's number that are its slot; the rest is its generation.
const SLOT_BITS: u32 = 22;
/// The most flows of one engine.
pub(super) const MOST: usize = 1 << SLOT_BITS;
/// Which port of a target's has its turn is remembered for so many targets; those that share an entry take turns.
const TURNS: usize = 1 << 12;
/// Unused slots rest while there are fewer: a number comes again after so many checks for each of its generations.
const RESTING: usize = 1 << 12;
/// A unit of a flow's times is so many nanoseconds, 2 to this power: they are 32 bits, which wrap after an hour.
const UNIT_BITS: u32 = 10;

/// A target's address and port, hashed with a key of this engine's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Destination(u32);

impl Destination {
    /// Its place in a table of so many entries.
    pub fn index(self, entries: usize) -> usize {
        self.0 as usize % entries
    }

    pub fn number(self) -> u32 {
        self.0
    }
}

/// Tells a flow from all others, earlier ones in its slot too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FlowNumber(u32);

impl FlowNumber {
    pub fn of(number: u32) -> FlowNumber {
        FlowNumber(number)
    }

    pub fn get(self) -> u32 {
        self.0
    }

    pub fn slot(self) -> u32 {
        self.0 & (MOST as u32 - 1)
    }
}

/// A time, to be compared with others of the last half hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct CoarseTime(u32);

impl CoarseTime {
    pub fn of(nanoseconds: u64) -> CoarseTime {
        CoarseTime((nanoseconds >> UNIT_BITS) as u32)
    }

    pub fn is_before(self, other: CoarseTime) -> bool {
        (self.0.wrapping_sub(other.0)).cast_signed() < 0
    }

    /// The nanoseconds from an earlier time to this one; 0 if it was not earlier.
    pub fn since(self, earlier: u64) -> u64 {
        (self.0.wrapping_sub(CoarseTime::of(earlier).0).cast_signed().max(0) as u64) << UNIT_BITS
    }

    /// The nanoseconds from this time to a later one.
    pub fn until(self, later: u64) -> u64 {
        u64::from(CoarseTime::of(later).0.wrapping_sub(self.0)) << UNIT_BITS
    }
}

pub(super) struct Flow {
    /// The loop's check. In an unused slot the one that was left next.
    check: Option<SlotKey>,
    pub destination: Destination,
    /// When its last SYN left.
    pub sent_at: CoarseTime,
    /// The number of its port.
    pub port: u16,
    generation: u16,
    /// SYNs that left this host; none of them did if 0, and a full queue or its own firewall is to blame.
    pub sent: u8,
    /// The errno of the last ICMP error, if that was not enough for a verdict; or of this host's own refusal.
    pub errno: u8,
    /// How often a bare ACK had its SYN sent again.
    pub acks: u8,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unused,
    Open,
    /// It was refused by a target that had been up lately, and asks once more.
    RefusedOnce,
    /// Its answer is on the way to the loop.
    Answered,
}

/// The memory of a check in flight is a promise, and this is a part of it.
const _: () = assert!(size_of::<Flow>() == 20);

impl Flow {
    pub fn is_answered(&self) -> bool {
        self.state == State::Answered
    }

    pub fn set_answered(&mut self) {
        self.state = State::Answered;
    }

    pub fn is_refused_once(&self) -> bool {
        self.state == State::RefusedOnce
    }

    pub fn set_refused_once(&mut self) {
        self.state = State::RefusedOnce;
    }
}

#[derive(Default)]
pub(super) struct Flows {
    flows: Vec<Flow>,
    /// The flow of each pair that is in use.
    pairs: HashTable<u32>,
    /// The unused slots that were left first and last, and how many there are.
    unused: Option<(SlotKey, SlotKey)>,
    resting: usize,
    turns: Vec<u16>,
    /// The port that a destination without a turn has: another one after each rest.
    first_turn: u16,
    /// Each port carries a check to this destination, or did when the last one was opened: of the flows that have ended
    /// since, none went there.
    full: Option<(Destination, u16)>,
    hasher: RandomState,
}

impl Flows {
    pub fn destination(&self, ip: IpAddr, port: u16) -> Destination {
        Destination(self.hasher.hash_one((ip, port)) as u32)
    }

    /// What lies over the ISN of a flow.
    pub fn mask(&self, slot: u32) -> u32 {
        let Flow { destination, port, .. } = self.flows[slot as usize];
        self.mask_of(destination, port)
    }

    pub fn mask_of(&self, destination: Destination, port: u16) -> u32 {
        self.hasher.hash_one((destination.0, port)) as u32
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Makes room for one more flow.
    pub fn grow(&mut self) -> Result<(), OutOfMemory> {
        if self.turns.is_empty() {
            self.turns = vec_for(TURNS)?;
            self.turns.resize(TURNS, self.first_turn);
        }
        if self.flows.len() == self.flows.capacity() {
            // A sixteenth more, not twice as much: the memory of a check in flight is a promise.
            let more = (self.flows.len() / 16).max(64);
            self.flows.try_reserve_exact(more).or_else(|_| self.flows.try_reserve_exact(1))?;
        }
        self.reserve_pair()
    }

    fn reserve_pair(&mut self) -> Result<(), OutOfMemory> {
        let flows = &self.flows;
        let hash = |slot: &u32| hash_of(flows[*slot as usize].destination, flows[*slot as usize].port);
        self.pairs.try_reserve(1, hash).map_err(|_| OutOfMemory)
    }

    /// Opens a flow to a destination, from that of `ports` ports which has rested longest for it. `None` if each of them
    /// carries a check to it already.
    pub fn open(&mut self, destination: Destination, ports: u16) -> Option<u32> {
        if self.full == Some((destination, ports)) {
            return None;
        }
        let Some(port) = self.next_port(destination, ports) else {
            self.full = Some((destination, ports));
            return None;
        };
        let slot = self.take_slot()?;
        let flow = &mut self.flows[slot as usize];
        *flow = Flow { state: State::Open, destination, port, ..unused_flow(flow.generation) };
        self.insert_pair(slot);
        Some(slot)
    }

    /// Has a flow go on from another port, if there is one that carries no check to its destination.
    pub fn change_port(&mut self, slot: u32, ports: u16) {
        let destination = self.flows[slot as usize].destination;
        // A pair that is removed leaves its place, but not always room for another one.
        if self.reserve_pair().is_ok()
            && let Some(port) = self.next_port(destination, ports)
        {
            self.remove_pair(slot);
            self.flows[slot as usize].port = port;
            self.insert_pair(slot);
        }
    }

    /// The port that has rested longest for a destination, of those that carry no check to it.
    fn next_port(&mut self, destination: Destination, ports: u16) -> Option<u16> {
        if self.turns.is_empty() {
            self.turns = vec![self.first_turn; TURNS]; // who did not ask for room first
        }
        let turn = &mut self.turns[destination.index(TURNS)];
        let first = *turn % ports.max(1);
        let is_free = |port: &u16| find(&self.pairs, &self.flows, destination, *port).is_none();
        let port = (first..ports).chain(0..first).find(is_free)?;
        *turn = port + 1;
        Some(port)
    }

    fn insert_pair(&mut self, slot: u32) {
        let flows = &self.flows;
        let hash = |slot: &u32| hash_of(flows[*slot as usize].destination, flows[*slot as usize].port);
        self.pairs.insert_unique(hash(&slot), slot, hash);
    }

    fn remove_pair(&mut self, slot: u32) {
        let Flow { destination, port, .. } = self.flows[slot as usize];
        if let Ok(entry) = self.pairs.find_entry(hash_of(destination, port), |other| *other == slot) {
            entry.remove();
        }
        self.full = self.full.filter(|(full, _)| *full != destination);
    }

    fn take_slot(&mut self) -> Option<u32> {
        if self.resting >= RESTING || self.flows.len() == MOST {
            let (first, last) = self.unused?;
            self.unused = self.flows[first.slot()].check.map(|next| (next, last));
            self.resting -= 1;
            return Some(first.slot() as u32);
        }
        self.flows.push(unused_flow(0));
        Some(self.flows.len() as u32 - 1)
    }

    /// The flow belongs to this check.
    pub fn begin(&mut self, slot: u32, check: SlotKey) {
        self.flow(slot).check = Some(check);
    }

    pub fn close(&mut self, slot: u32) {
        self.remove_pair(slot);
        let generation = self.flows[slot as usize].generation;
        let generation = generation.wrapping_add(1) & ((1 << (32 - SLOT_BITS)) - 1);
        self.flows[slot as usize] = unused_flow(generation);
        let left = SlotKey::of(slot as usize);
        if let Some((_, last)) = self.unused {
            self.flows[last.slot()].check = Some(left);
        }
        self.unused = Some((self.unused.map_or(left, |(first, _)| first), left));
        self.resting += 1;
    }

    pub fn flow(&mut self, slot: u32) -> &mut Flow {
        &mut self.flows[slot as usize]
    }

    pub fn number(&self, slot: u32) -> FlowNumber {
        FlowNumber(slot | u32::from(self.flows[slot as usize].generation) << SLOT_BITS)
    }

    /// The check and the flow of a number, if it has not ended.
    pub fn get(&mut self, number: FlowNumber) -> Option<(SlotKey, &mut Flow)> {
        let generation = (number.0 >> SLOT_BITS) as u16;
        let flow = self.flows.get_mut(number.slot() as usize)?;
        let check = flow.check.filter(|_| flow.state != State::Unused && flow.generation == generation)?;
        Some((check, flow))
    }

    /// The flow of a pair.
    pub fn find(&self, destination: Destination, port: u16) -> Option<u32> {
        find(&self.pairs, &self.flows, destination, port)
    }

    /// Gives back the memory of a burst. Only when there is no flow.
    pub fn shrink(&mut self) {
        let first_turn = self.first_turn.wrapping_add(1);
        *self = Flows { hasher: self.hasher.clone(), first_turn, ..Flows::default() };
    }
}

fn find(pairs: &HashTable<u32>, flows: &[Flow], destination: Destination, port: u16) -> Option<u32> {
    let is_it = |slot: &u32| {
        let flow = &flows[*slot as usize];
        flow.port == port && flow.destination == destination
    };
    pairs.find(hash_of(destination, port), is_it).copied()
}

/// The destination is a hash already; the port spreads its flows.
fn hash_of(destination: Destination, port: u16) -> u64 {
    (u64::from(destination.0) << 16 | u64::from(port)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20)
}

fn unused_flow(generation: u16) -> Flow {
    Flow {
        check: None,
        destination: Destination(0),
        sent_at: CoarseTime(0),
        port: 0,
        generation,
        sent: 0,
        errno: 0,
        acks: 0,
        state: State::Unused,
    }
}

#[cfg(test)]
mod tests;
