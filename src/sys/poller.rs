//! Waiting in a poller.

use std::io::ErrorKind;
use std::time::Duration;

use mio::{Events, Poll};

use super::thread;

/// How long a thread sleeps whose poller does not wait: far less than the 200 ms for which the kernel withholds an ACK.
const BROKEN: Duration = Duration::from_millis(5);

/// As [`Poll::poll`]. False if nothing is known of events: interrupted by a debugger or SIGCONT, or by any signal on a
/// caller's own thread; or the poller is broken, as where a host has closed all descriptors. A broken one returns at
/// once, and the thread sleeps a while instead, or it would spin.
pub(crate) fn wait(poll: &mut Poll, events: &mut Events, wait: Option<Duration>) -> bool {
    match poll.poll(events, wait) {
        Ok(()) => true,
        Err(error) => {
            if error.kind() != ErrorKind::Interrupted {
                thread::pause(wait.map_or(BROKEN, |wait| wait.min(BROKEN)));
            }
            false
        }
    }
}
