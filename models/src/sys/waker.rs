//! Wakes a thread that sleeps in its poller, which is a signal here.

use std::io;
use std::sync::Arc;

use super::lock::Signal;

pub(crate) struct Waker {
    poller: Arc<Signal>,
    is_refused: bool,
}

impl Waker {
    /// Of a thread that sleeps until this signal is raised.
    pub fn of(poller: &Arc<Signal>) -> Waker {
        Waker { poller: poller.clone(), is_refused: false }
    }

    /// The system refuses each of its wake-ups.
    pub fn refused() -> Waker {
        Waker { poller: Arc::new(Signal::new()), is_refused: true }
    }

    pub fn wake(&self) -> io::Result<()> {
        if self.is_refused {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.poller.set(true);
        Ok(())
    }
}
