//! Which check times out next: a hierarchical timing wheel.
//!
//! Five levels of 256 buckets; a bucket of level `n` spans `256^n` ms. The kernel's own timers once worked like this
//! (kernel/time/timer.c before Linux 4.8). Setting and clearing a timer cost the same however many there are, which
//! matters because nearly every check is answered, and its timer cleared, long before it expires.
//! No timer expires early; none expires later than the tick to which the wheel is advanced.
//!
//! When its time comes, all timers of a coarse bucket move to a finer level at once. With so many buckets the first
//! coarse ones span a quarter of a second: of a hundred thousand timers a second that is a few milliseconds of work. With
//! 64 buckets it was four seconds of timers, and 50 ms. And a timer lies in the finest level that reaches so far: the time
//! that is left until it expires decides, and not whether a round number lies between.

use std::num::NonZeroU32;

use crate::sys::memory::OutOfMemory;

const BITS: u32 = 8;
const BUCKETS: usize = 1 << BITS;
const LEVELS: usize = 5;
/// Timers beyond the wheel's span (256^5 ms, 35 years) wait in its last bucket.
const SPAN: u64 = 1 << (BITS * LEVELS as u32);
const NONE: u32 = u32::MAX;

/// A timer that was set, to clear it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer(NonZeroU32);

impl Timer {
    fn of(index: u32) -> Timer {
        Timer(NonZeroU32::MIN.saturating_add(index))
    }

    fn index(self) -> u32 {
        self.0.get() - 1
    }
}

/// A timer. A check in flight has one, so it is made small: a tick has 48 bits.
struct Node {
    at_low: u32,
    at_high: u16,
    bucket: u16,
    owner: u32,
    previous: u32,
    next: u32,
}

/// Timers beyond this tick (9,000 years after the clock's beginning) expire at it.
const LAST: u64 = (1 << 48) - 1;

impl Node {
    fn of(at: u64, owner: u32) -> Node {
        let at = at.min(LAST);
        Node { at_low: at as u32, at_high: (at >> 32) as u16, bucket: 0, owner, previous: NONE, next: NONE }
    }

    fn at(&self) -> u64 {
        u64::from(self.at_high) << 32 | u64::from(self.at_low)
    }
}

/// One bit per bucket of a level that holds anything.
#[derive(Clone, Copy)]
struct Occupied([u64; BUCKETS / 64]);

impl Occupied {
    fn set(&mut self, bucket: usize) {
        self.0[bucket / 64] |= 1 << (bucket % 64);
    }

    fn clear(&mut self, bucket: usize) {
        self.0[bucket / 64] &= !(1 << (bucket % 64));
    }

    /// The first occupied bucket from this one on, around the wheel.
    fn first_from(&self, bucket: usize) -> Option<usize> {
        let begin = bucket / 64;
        let from_bucket = self.0[begin] & (u64::MAX << (bucket % 64));
        if from_bucket != 0 {
            return Some(begin * 64 + from_bucket.trailing_zeros() as usize);
        }
        // The word that it began in comes last.
        let mut words = (begin + 1..self.0.len()).chain(0..=begin);
        words.find(|&word| self.0[word] != 0).map(|word| word * 64 + self.0[word].trailing_zeros() as usize)
    }
}

pub(crate) struct TimerWheel {
    nodes: Vec<Node>,
    /// Head of the list of unused nodes, linked through `next`.
    unused: u32,
    /// Of each level by itself: the library promises that it can do without more than 4 KiB at once.
    heads: [Box<[u32; BUCKETS]>; LEVELS],
    occupied: [Occupied; LEVELS],
    /// All timers before this tick have expired.
    now: u64,
    /// Timers that were reached and wait to be handed out, the earliest first: when there are more than the loop has
    /// time for, none waits for ever.
    due: u32,
    last_due: u32,
}

const DUE: u16 = u16::MAX;

impl TimerWheel {
    pub fn new() -> TimerWheel {
        TimerWheel {
            nodes: Vec::new(),
            unused: NONE,
            heads: std::array::from_fn(|_| Box::new([NONE; BUCKETS])),
            occupied: [Occupied([0; BUCKETS / 64]); LEVELS],
            now: 0,
            due: NONE,
            last_due: NONE,
        }
    }

    /// Makes room for so many timers, all in all.
    pub fn grow_to(&mut self, count: usize) -> Result<(), OutOfMemory> {
        let missing = count.saturating_sub(self.nodes.len());
        if missing > self.nodes.capacity() - self.nodes.len() {
            // A sixteenth more, not twice as much: the memory of a check in flight is a promise.
            let more = missing + (self.nodes.capacity() / 16).max(64);
            self.nodes.try_reserve_exact(more).or_else(|_| self.nodes.try_reserve_exact(missing))?;
        }
        Ok(())
    }

    /// How many timers there is memory for.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.nodes.capacity()
    }

    /// Sets a timer that expires at tick `at` (milliseconds on the caller's clock).
    pub fn set(&mut self, at: u64, owner: u32) -> Timer {
        let node = Node::of(at, owner);
        let index = if self.unused != NONE {
            let index = self.unused;
            self.unused = self.nodes[index as usize].next;
            self.nodes[index as usize] = node;
            index
        } else {
            let _ = self.grow_to(self.nodes.len() + 1);
            self.nodes.push(node);
            self.nodes.len() as u32 - 1
        };
        self.place(index);
        Timer::of(index)
    }

    /// Clears a timer that has not been handed out by [`TimerWheel::expired`].
    pub fn clear(&mut self, timer: Timer) {
        self.unlink(timer.index());
        self.release(timer.index());
    }

    /// Moves time on to `now`; what has passed by then is handed out by [`TimerWheel::expired`].
    pub fn advance(&mut self, now: u64) {
        while let Some((start, level, bucket)) = self.first().filter(|&(start, ..)| start <= now) {
            self.now = self.now.max(start);
            // Empty the bucket: what is due goes to the due list, the rest to a finer level.
            let mut index = std::mem::replace(&mut self.heads[level][bucket], NONE);
            self.occupied[level].clear(bucket);
            while index != NONE {
                let next = self.nodes[index as usize].next;
                self.place(index);
                index = next;
            }
        }
        self.now = self.now.max(now);
    }

    /// The next timer that has expired: in the order of their ticks, but for those that were late when they were set.
    pub fn expired(&mut self) -> Option<u32> {
        if self.due == NONE {
            return None;
        }
        let index = self.due;
        self.unlink(index);
        let owner = self.nodes[index as usize].owner;
        self.release(index);
        Some(owner)
    }

    /// Whether [`TimerWheel::expired`] would hand out a timer now.
    pub fn has_expired(&self) -> bool {
        self.due != NONE
    }

    /// The tick to which the wheel is to be advanced next; `None` while no timer is set.
    pub fn next(&self) -> Option<u64> {
        if self.due != NONE {
            return Some(self.now);
        }
        self.first().map(|(start, ..)| start.max(self.now))
    }

    /// The occupied bucket that begins first: its first tick, its level, and its place there.
    fn first(&self) -> Option<(u64, usize, usize)> {
        let of_level = |level: usize| {
            let current = (self.now >> (BITS * level as u32)) as usize % BUCKETS;
            let bucket = self.occupied[level].first_from(current)?;
            Some((self.bucket_start(level, bucket), level, bucket))
        };
        (0..LEVELS).filter_map(of_level).min()
    }

    /// The first tick of a bucket, which lies less than one turn ahead of now.
    fn bucket_start(&self, level: usize, bucket: usize) -> u64 {
        let shift = BITS * level as u32;
        let current = self.now >> shift;
        let ahead = (bucket as u64).wrapping_sub(current) % BUCKETS as u64;
        (current + ahead) << shift
    }

    fn place(&mut self, index: u32) {
        let at = self.nodes[index as usize].at();
        if at <= self.now {
            self.append_due(index);
            return;
        }
        // Beyond the span, which no timeout reaches: the latest bucket that differs from the current one.
        let at = at.min(self.now + SPAN - (SPAN >> BITS));
        // The finest level on which it lies less than a turn ahead. It is not the current bucket there, or a finer one would do.
        let ahead = |level: usize| (at >> (BITS * level as u32)) - (self.now >> (BITS * level as u32));
        let level = (0..LEVELS).find(|&level| ahead(level) < BUCKETS as u64).unwrap_or(LEVELS - 1);
        let bucket = (at >> (BITS * level as u32)) as usize % BUCKETS;
        self.link(index, (level * BUCKETS + bucket) as u16);
    }

    fn head(&mut self, bucket: u16) -> &mut u32 {
        match bucket {
            DUE => &mut self.due,
            bucket => &mut self.heads[bucket as usize / BUCKETS][bucket as usize % BUCKETS],
        }
    }

    fn append_due(&mut self, index: u32) {
        let last = std::mem::replace(&mut self.last_due, index);
        let node = &mut self.nodes[index as usize];
        (node.bucket, node.previous, node.next) = (DUE, last, NONE);
        match last {
            NONE => self.due = index,
            last => self.nodes[last as usize].next = index,
        }
    }

    /// Puts a timer into a bucket of the wheel.
    fn link(&mut self, index: u32, bucket: u16) {
        let head = std::mem::replace(self.head(bucket), index);
        let node = &mut self.nodes[index as usize];
        node.bucket = bucket;
        node.previous = NONE;
        node.next = head;
        if head != NONE {
            self.nodes[head as usize].previous = index;
        }
        self.occupied[bucket as usize / BUCKETS].set(bucket as usize % BUCKETS);
    }

    fn unlink(&mut self, index: u32) {
        let Node { previous, next, bucket, .. } = self.nodes[index as usize];
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        } else if bucket == DUE {
            self.last_due = previous;
        }
        if previous != NONE {
            self.nodes[previous as usize].next = next;
        } else {
            *self.head(bucket) = next;
            if next == NONE && bucket != DUE {
                self.occupied[bucket as usize / BUCKETS].clear(bucket as usize % BUCKETS);
            }
        }
    }

    fn release(&mut self, index: u32) {
        self.nodes[index as usize].next = self.unused;
        self.unused = index;
    }
}

#[cfg(test)]
mod tests;
