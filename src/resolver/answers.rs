//! Answers that are kept for those who take one that is not quite new: a bounded table.
//!
//! getaddrinfo(3) tells no TTL, so each of them says how old an answer it takes.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use super::query::Query;

/// An older answer is taken by nobody, in nanoseconds.
const KEPT: u64 = 30_000_000_000;
/// More answers than this are not kept: the oldest are forgotten.
const ANSWERS: usize = 4_096;

#[derive(Default)]
pub(super) struct Answers {
    kept: HashMap<Arc<Query>, Answer>,
    /// When each came, the oldest first; also of those that newer ones have replaced.
    came: VecDeque<(u64, Arc<Query>)>,
}

struct Answer {
    came: u64,
    addresses: Vec<SocketAddr>,
}

impl Answers {
    /// Without memory for it, an answer is not kept.
    pub fn keep(&mut self, query: Arc<Query>, addresses: Vec<SocketAddr>, now: u64) {
        if self.came.try_reserve(1).is_ok() && self.kept.try_reserve(1).is_ok() {
            self.came.push_back((now, query.clone()));
            self.kept.insert(query, Answer { came: now, addresses });
        }
        while let Some((came, query)) = self.came.front()
            && (now - came > KEPT || self.came.len() > ANSWERS)
        {
            if self.kept.get(query).is_some_and(|answer| answer.came == *came) {
                self.kept.remove(query);
            }
            self.came.pop_front();
        }
    }

    /// Whether an answer to this question is kept. A newer one is to take its place, whoever asked for that.
    pub fn has(&self, query: &Query) -> bool {
        self.kept.contains_key(query)
    }

    /// The answer to this question, if it is no older than `age_ms` milliseconds.
    pub fn find(&self, query: &Query, age_ms: u32, now: u64) -> Option<&[SocketAddr]> {
        let answer = self.kept.get(query)?;
        let age = now.saturating_sub(answer.came);
        (age <= KEPT.min(u64::from(age_ms) * 1_000_000)).then_some(&answer.addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;
    use crate::check::request::Family;
    use crate::check::target::Name;

    const SECOND: u64 = 1_000_000_000;

    fn query(host: &str) -> Arc<Query> {
        let name = Name { host: CString::new(host).unwrap(), service: c"80".into() };
        Arc::new(Query { name, family: Family::Any })
    }

    fn address(last: u8) -> SocketAddr {
        ([127, 0, 0, last], 80).into()
    }

    #[test]
    fn an_answer_is_taken_while_it_is_no_older_than_asked_for_and_at_most_half_a_minute() {
        let mut answers = Answers::default();
        answers.keep(query("a"), vec![address(1)], SECOND);
        let known = Some(&[address(1)][..]);
        assert_eq!(answers.find(&query("a"), 2_000, 3 * SECOND), known);
        assert_eq!(answers.find(&query("a"), 2_000, 3 * SECOND + 1), None);
        assert_eq!(answers.find(&query("a"), u32::MAX, 31 * SECOND), known);
        assert_eq!(answers.find(&query("a"), u32::MAX, 31 * SECOND + 1), None);
        assert_eq!(answers.find(&query("b"), u32::MAX, SECOND), None);
        let v4 = Query { family: Family::V4, ..Query::clone(&query("a")) };
        assert_eq!(answers.find(&v4, u32::MAX, SECOND), None);
    }

    #[test]
    fn a_newer_answer_stands() {
        let mut answers = Answers::default();
        answers.keep(query("a"), vec![address(1)], SECOND);
        assert!(answers.has(&query("a")) && !answers.has(&query("b")));
        answers.keep(query("a"), vec![address(2)], 31 * SECOND);
        answers.keep(query("b"), vec![address(3)], 32 * SECOND); // the first answer is forgotten
        assert_eq!(answers.find(&query("a"), 2_000, 32 * SECOND), Some(&[address(2)][..]));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_latest() {
        let mut answers = Answers::default();
        for number in 0..3 * ANSWERS {
            answers.keep(query(&number.to_string()), vec![address(1)], SECOND);
        }
        assert_eq!((answers.kept.len(), answers.came.len()), (ANSWERS, ANSWERS));
        assert!(answers.find(&query("0"), 1, SECOND).is_none());
        assert!(answers.find(&query(&(3 * ANSWERS - 1).to_string()), 1, SECOND).is_some());
        for number in 0..3 * ANSWERS {
            answers.keep(query("same"), vec![address(1)], SECOND + number as u64);
        }
        assert_eq!((answers.kept.len(), answers.came.len()), (1, ANSWERS));
        answers.keep(query("later"), vec![address(1)], 32 * SECOND);
        assert_eq!((answers.kept.len(), answers.came.len()), (1, 1));
    }
}
