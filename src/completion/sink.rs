//! Where the results of one submitted batch go.

use std::sync::Arc;

use super::CompletionQueue;
use crate::check::verdict::Report;

/// Runs on the loop thread, so it must not block.
pub(crate) type Callback = Box<dyn FnOnce(&Report) + Send>;

/// Where the results of a batch go.
pub(crate) enum Sink {
    Queue(Arc<CompletionQueue>),
    Callback(Callback),
}
