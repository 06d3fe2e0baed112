//! Lookups that wait for their turn. One that is removed stays in the line until its turn comes, and is then passed
//! over.

use crate::check::pieces::Pieces;

#[derive(Default)]
pub(super) struct Queue {
    line: Pieces<u64>,
    /// How many in the line have not been removed.
    len: usize,
}

/// A line of so many removed ones is not worth clearing.
const SHORT: usize = 64;

impl Queue {
    pub fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub fn line_len(&self) -> usize {
        self.line.len()
    }

    pub fn push(&mut self, id: u64) {
        self.line.push_back(id);
        self.len += 1;
    }

    /// The first that `is_there` still.
    pub fn pop(&mut self, is_there: impl Fn(u64) -> bool) -> Option<u64> {
        while let Some(id) = self.line.pop_front() {
            if is_there(id) {
                self.len -= 1;
                return Some(id);
            }
        }
        None
    }

    /// One of them has been removed. When most have been, the line is cleared of them: each removal pays for two.
    pub fn remove_one(&mut self, is_there: impl Fn(u64) -> bool) {
        self.len -= 1;
        if self.line.len() > 2 * self.len + SHORT {
            let mut line = std::mem::take(&mut self.line);
            self.line.extend(std::iter::from_fn(|| line.pop_front()).filter(|id| is_there(*id)));
        }
    }
}
