//! Many items in small pieces of memory: the last thing to need a large one would be the result of a check.

use std::collections::{LinkedList, VecDeque};

/// Items of a piece, where it is not said how many.
const PIECE: usize = 32;

/// First in, first out; `N` items are in a piece.
pub(crate) struct Pieces<T, const N: usize = PIECE> {
    /// None is empty but the last.
    pieces: LinkedList<VecDeque<T>>,
    len: usize,
}

impl<T, const N: usize> Pieces<T, N> {
    pub const fn new() -> Pieces<T, N> {
        Pieces { pieces: LinkedList::new(), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn front(&self) -> Option<&T> {
        self.pieces.front()?.front()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    pub fn push_back(&mut self, item: T) {
        match self.pieces.back_mut() {
            Some(last) if last.len() < N => last.push_back(item),
            _ => {
                let mut piece = VecDeque::with_capacity(N);
                piece.push_back(item);
                self.pieces.push_back(piece);
            }
        }
        self.len += 1;
    }

    /// The item is the next to come out. The first one of all takes memory for no more than itself.
    pub fn push_front(&mut self, item: T) {
        match self.pieces.front_mut() {
            Some(first) if first.len() < N => first.push_front(item),
            _ => self.pieces.push_front(VecDeque::from([item])),
        }
        self.len += 1;
    }

    /// Keeps the items that this is true of, and no memory for the others.
    pub fn retain(&mut self, mut stays: impl FnMut(&T) -> bool) {
        for _ in 0..self.len {
            let Some(item) = self.pop_front() else { return };
            if stays(&item) {
                self.push_back(item);
            }
        }
    }

    pub fn pop_front(&mut self) -> Option<T> {
        let first = self.pieces.front_mut()?;
        let item = first.pop_front()?;
        if first.is_empty() && self.pieces.len() > 1 {
            self.pieces.pop_front();
        }
        self.len -= 1;
        Some(item)
    }

    /// How many there is memory for.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.pieces.iter().map(VecDeque::capacity).sum()
    }

    /// Moves so many of the first items behind those of the other one, whole pieces at a time.
    pub fn move_to(&mut self, other: &mut Pieces<T, N>, count: usize) {
        let (mut left, moved) = (count.min(self.len), count.min(self.len));
        while left > 0
            && let Some(first) = self.pieces.front_mut()
        {
            if first.len() > left {
                other.extend(first.drain(..left));
                left = 0;
            } else if let Some(piece) = self.pieces.pop_front() {
                left -= piece.len();
                other.len += piece.len();
                if other.pieces.back().is_some_and(VecDeque::is_empty) {
                    other.pieces.pop_back();
                }
                other.pieces.push_back(piece);
            }
        }
        self.len -= moved;
    }

    /// Moves all items of the other one behind those here.
    pub fn append(&mut self, other: &mut Pieces<T, N>) {
        if self.is_empty() {
            return std::mem::swap(self, other);
        }
        if !other.is_empty() {
            self.pieces.append(&mut other.pieces);
            self.len += std::mem::take(&mut other.len);
        }
    }

    /// Gives back the memory that an empty one keeps.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            *self = Pieces::new();
        }
    }
}

impl<T, const N: usize> Default for Pieces<T, N> {
    fn default() -> Pieces<T, N> {
        Pieces::new()
    }
}

impl<T, const N: usize> Extend<T> for Pieces<T, N> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            self.push_back(item);
            if let Some(last) = self.pieces.back_mut() {
                let before = last.len();
                last.extend(items.by_ref().take(N - before));
                self.len += last.len() - before;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn items_come_out_as_they_went_in_wherever_a_piece_ends() {
        for count in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE] {
            let (mut one, mut other) = (Pieces::<_>::new(), Pieces::new());
            one.extend(0..count);
            other.extend(count..2 * count);
            one.append(&mut other);
            one.push_back(2 * count);
            assert_eq!((one.len(), other.len(), other.pop_front()), (2 * count + 1, 0, None));
            for part in [0, 1, PIECE, count / 2] {
                let (first, whole) = (part.min(one.len()), one.len());
                one.move_to(&mut other, part);
                assert_eq!((one.len(), other.len()), (whole - first, first));
                other.append(&mut one);
                std::mem::swap(&mut one, &mut other);
            }
            assert_eq!(one.front(), Some(&0));
            assert!(one.iter().copied().eq(0..=2 * count));
            assert!(std::iter::from_fn(|| one.pop_front()).eq(0..=2 * count));
            assert!(one.is_empty());
            one.push_back(7);
            assert_eq!((one.pop_front(), one.pop_front()), (Some(7), None));
            one.shrink();
            assert_eq!(one.room(), 0);
        }
    }

    #[test]
    fn a_piece_is_never_larger_than_it_may_be_and_none_has_room_for_its_neighbour() {
        let pieces = || Pieces::<usize, 4>::new();
        let sizes = |pieces: &Pieces<usize, 4>| pieces.pieces.iter().map(VecDeque::len).collect::<Vec<_>>();
        let (mut behind, mut before) = (pieces(), pieces());
        behind.push_back(0);
        behind.extend(1..10);
        (0..10).for_each(|number| before.push_front(number));
        assert_eq!((sizes(&behind), sizes(&before)), (vec![4, 4, 2], vec![2, 4, 4]));
        let mut one = pieces();
        one.push_front(0);
        assert_eq!(one.room(), 1, "many have one item at most");
    }

    proptest! {
        #[test]
        fn they_hold_what_a_deque_holds(steps in prop::collection::vec(0..9u8, 1..400)) {
            let (mut pieces, mut deque) = (Pieces::<_, 4>::new(), VecDeque::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    0..4 => (pieces.push_back(number), deque.push_back(number)).0,
                    4..6 => (pieces.push_front(number), deque.push_front(number)).0,
                    6..8 => prop_assert_eq!(pieces.pop_front(), deque.pop_front()),
                    _ => (pieces.retain(|item| item % 3 != 0), deque.retain(|item| item % 3 != 0)).0,
                }
                prop_assert_eq!((pieces.len(), pieces.front()), (deque.len(), deque.front()));
                prop_assert!(pieces.iter().eq(&deque));
                prop_assert!(pieces.pieces.iter().rev().skip(1).all(|piece| !piece.is_empty()));
                prop_assert!(pieces.pieces.iter().all(|piece| piece.len() <= 4));
            }
        }
    }
}
