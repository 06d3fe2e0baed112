//! Where the results of one submitted batch go.

use std::sync::Arc;

use super::CompletionQueue;
use crate::check::verdict::Report;

/// Runs on the thread that runs the loop, so it must not block.
pub(crate) type Callback = Box<dyn FnOnce(&Report) + Send>;

pub(crate) enum Sink {
    /// A queue that outlives the batch: other batches and other loops put results there, too.
    Queue(Arc<CompletionQueue>),
    /// The queue of one blocking call, which waits for the results of its own checks and no others.
    Call(Arc<CompletionQueue>),
    Callback(Callback),
}

impl Sink {
    /// Some results will never come, as the loop that owed them died of a defect. A blocking call must not wait for
    /// them for ever. Whoever reads a queue of many batches goes on with the results of the others.
    pub fn lose_results(&self) {
        if let Sink::Call(queue) = self {
            queue.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lost_results_end_the_wait_of_a_blocking_call_and_of_nobody_else() {
        let (shared, own) = (Arc::new(CompletionQueue::new()), Arc::new(CompletionQueue::new()));
        std::thread::scope(|scope| {
            let call = scope.spawn(|| own.take(1, 1, None, |_| ()));
            let reaper = scope.spawn(|| shared.take(1, 1, None, |_| ()));
            Sink::Call(own.clone()).lose_results();
            Sink::Queue(shared.clone()).lose_results();
            assert_eq!(call.join().unwrap(), 0);
            std::thread::sleep(Duration::from_millis(20));
            assert!(!reaper.is_finished(), "others may still have results for it");
            shared.close();
            assert_eq!(reaper.join().unwrap(), 0);
        });
    }
}
