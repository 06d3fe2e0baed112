//! Where the results of one submitted batch go.

use std::sync::Arc;

use super::CompletionQueue;
use crate::check::verdict::Report;

/// Runs on the loop's thread, so it must not block.
pub(crate) type Callback = Box<dyn FnOnce(&Report) + Send>;

pub(crate) enum Sink {
    /// A queue that outlives the batch: other batches and other loops put results there, too.
    Queue(Arc<CompletionQueue>),
    /// The queue of one blocking call, which waits for the results of its own checks and no others.
    Call(Arc<CompletionQueue>),
    Callback(Callback),
}

impl Sink {
    /// Some results will never come, as the loop that owed them died of a defect. A blocking call must not wait for them for
    /// ever. Whoever reads a queue of many batches goes on with the results of the others.
    pub fn lose_results(&self) {
        if let Sink::Call(queue) = self {
            queue.close();
        }
    }
}
