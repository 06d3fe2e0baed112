//! The plain values of a check: what is asked, and what was learned.

pub(crate) mod address;
pub(crate) mod close_mode;
pub(crate) mod error;
pub(crate) mod pieces;
pub(crate) mod request;
pub(crate) mod slab;
pub(crate) mod slot;
pub(crate) mod target;
pub(crate) mod verdict;
