//! The ISN of a check says which check it is: a keyed permutation of its number.

use std::hash::{BuildHasher, RandomState};

/// A Feistel network of two halves of 16 bits, whatever the round function is, is a permutation.
const ROUNDS: usize = 6;

/// Turns the number of a check into its ISN and back.
///
/// It is a Feistel network, keyed at random, with a cheap round function: a multiplication of 64 bits whose halves are
/// folded. So all numbers have different ISNs, and who does not know the key cannot tell from a number its ISN: an
/// answer that is made up meets the ISN of a given check once in 2^32 tries.
///
/// It is not a cipher. Whoever sees many ISNs and knows the numbers may find the key by analysis, and 32 bits are few
/// for any cipher. The ISNs are in clear on the wire, and are nobody's secret there. Their only use is that an attacker
/// who does not see the SYN cannot make up an answer to it, which is what the kernel's own ISNs promise.
pub(super) struct IsnKey {
    rounds: [Round; ROUNDS],
}

struct Round {
    summand: u64,
    /// Odd.
    factor: u64,
}

impl IsnKey {
    /// The keys are values of SipHash, the hash of the standard library, whose own key the system has chosen at random.
    pub fn random() -> IsnKey {
        let random = RandomState::new();
        let mut place = 0u32;
        IsnKey::of(|| {
            place += 1;
            random.hash_one(place)
        })
    }

    /// The key that is made of these numbers.
    fn of(mut number: impl FnMut() -> u64) -> IsnKey {
        IsnKey { rounds: std::array::from_fn(|_| Round { summand: number(), factor: number() | 1 }) }
    }

    /// The ISN of the check with this number.
    #[inline]
    pub fn isn(&self, number: u32) -> u32 {
        let (mut left, mut right) = halves(number);
        for round in &self.rounds {
            (left, right) = (right, left ^ round.of(right));
        }
        whole(left, right)
    }

    /// The number of the check with this ISN.
    #[inline]
    pub fn number(&self, isn: u32) -> u32 {
        let (mut left, mut right) = halves(isn);
        for round in self.rounds.iter().rev() {
            (left, right) = (right ^ round.of(left), left);
        }
        whole(left, right)
    }
}

impl Round {
    #[inline]
    fn of(&self, half: u16) -> u16 {
        let product = u128::from(self.summand ^ u64::from(half)) * u128::from(self.factor);
        let folded = (product >> 64) as u64 ^ product as u64;
        (folded >> 24) as u16
    }
}

fn halves(whole: u32) -> (u16, u16) {
    ((whole >> 16) as u16, whole as u16)
}

fn whole(left: u16, right: u16) -> u32 {
    u32::from(left) << 16 | u32::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// A key that is the same in each run, so that a test of odds cannot fail by chance.
    fn key(seed: u64) -> IsnKey {
        let mut state = seed;
        IsnKey::of(|| {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        })
    }

    /// Numbers as a table has them (small ones with few generations), and some from everywhere.
    fn sample() -> impl Iterator<Item = u32> {
        let scattered = (0..1 << 16).map(|number: u32| number.wrapping_mul(0x9e37_79b1) | 1 << 31);
        (0..1 << 16).chain((0..1 << 10).map(|slot| slot | 5 << 24)).chain(scattered)
    }

    #[test]
    fn edge_values_come_back() {
        let key = IsnKey::random();
        for number in [0, 1, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_0000, u32::MAX] {
            assert_eq!(key.number(key.isn(number)), number);
            assert_eq!(key.isn(key.number(number)), number);
        }
    }

    #[test]
    fn no_two_numbers_have_the_same_isn() {
        let key = IsnKey::random();
        let numbers: HashSet<u32> = sample().collect();
        let isns: HashSet<u32> = numbers.iter().map(|number| key.isn(*number)).collect();
        assert_eq!(isns.len(), numbers.len());
    }

    #[test]
    fn two_keys_give_different_isns() {
        let (one, other) = (IsnKey::random(), IsnKey::random());
        // Of 2^16 numbers each would have the same ISN once in 2^32.
        let same = (0..1 << 16).filter(|number| one.isn(*number) == other.isn(*number)).count();
        assert!(same < 16, "{same} numbers have the same ISN");
    }

    #[test]
    fn every_bit_of_the_number_changes_each_bit_of_the_isn_half_of_the_time() {
        const TRIES: u32 = 4_096;
        for seed in 0..4 {
            let key = key(seed);
            for flipped in 0..32 {
                let mut changed = [0; 32];
                for number in sample().step_by(32).take(TRIES as usize) {
                    let difference = key.isn(number) ^ key.isn(number ^ 1 << flipped);
                    for (bit, count) in changed.iter_mut().enumerate() {
                        *count += difference >> bit & 1;
                    }
                }
                for (bit, count) in changed.into_iter().enumerate() {
                    // 4,096 throws of a coin: 2,048, give or take six times 32.
                    assert!(count.abs_diff(TRIES / 2) < 192, "key {seed}, bit {flipped} to bit {bit}: {count}");
                }
            }
        }
    }

    #[test]
    fn isns_of_numbers_in_a_row_are_spread_evenly() {
        for seed in 0..4 {
            let key = key(seed);
            let mut buckets = [0u32; 256];
            (0..1 << 16).for_each(|number| buckets[(key.isn(number) >> 24) as usize] += 1);
            // 256 in each, give or take six times 16.
            assert!(buckets.iter().all(|count| count.abs_diff(256) < 96), "key {seed}: {buckets:?}");
        }
    }

    proptest! {
        #[test]
        fn every_number_comes_back(number: u32, seed: u64) {
            let key = key(seed);
            prop_assert_eq!(key.number(key.isn(number)), number);
            prop_assert_eq!(key.isn(key.number(number)), number);
        }
    }
}
