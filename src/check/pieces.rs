//! Many items in small pieces of memory: the last thing to need a large one would be the result of a check.

use std::collections::{LinkedList, VecDeque};

/// Items of a piece.
const PIECE: usize = 32;

/// First in, first out.
pub(crate) struct Pieces<T> {
    /// None is empty but the last.
    pieces: LinkedList<VecDeque<T>>,
    len: usize,
}

impl<T> Pieces<T> {
    pub const fn new() -> Pieces<T> {
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
            Some(last) if last.len() < PIECE => last.push_back(item),
            _ => {
                let mut piece = VecDeque::with_capacity(PIECE);
                piece.push_back(item);
                self.pieces.push_back(piece);
            }
        }
        self.len += 1;
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

    /// Moves so many of the first items behind those of the other one, whole pieces at a time.
    pub fn move_to(&mut self, other: &mut Pieces<T>, count: usize) {
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
    pub fn append(&mut self, other: &mut Pieces<T>) {
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

impl<T> Default for Pieces<T> {
    fn default() -> Pieces<T> {
        Pieces::new()
    }
}

impl<T> Extend<T> for Pieces<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            self.push_back(item);
            if let Some(last) = self.pieces.back_mut() {
                let before = last.len();
                last.extend(items.by_ref().take(PIECE - before));
                self.len += last.len() - before;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_as_they_went_in_wherever_a_piece_ends() {
        for count in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE] {
            let (mut one, mut other) = (Pieces::new(), Pieces::new());
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
        }
    }
}
