//! Where a result goes: to a callback, to a caller that waits for it, or to the queue behind the descriptor.

mod queue;
mod sink;

pub(crate) use queue::CompletionQueue;
pub(crate) use sink::{Callback, Sink};
