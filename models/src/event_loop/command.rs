//! A command that is nothing but a number.

pub(crate) struct Command(pub usize);
