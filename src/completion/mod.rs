//! Where results go: to a callback, to a blocking call that waits for them, or to a queue with a descriptor.

mod queue;
mod sink;

use crate::check::verdict::Report;

pub(crate) use queue::Queue;
pub(crate) use sink::{Callback, Sink};

/// Results on their way from the loops to whoever reads them.
pub(crate) type CompletionQueue = Queue<Report>;
