//! Reset sockets for checks that begin on a caller's thread. The loop's poller does not know them.

use super::tcp_socket::Socket;
use crate::sys::lock::{Mutex, MutexGuard};

pub(crate) struct SpareSockets {
    sockets: Mutex<Vec<Socket>>,
    /// One for each caller that may come at once.
    limit: usize,
}

impl SpareSockets {
    pub fn new(limit: usize) -> SpareSockets {
        SpareSockets { sockets: Mutex::new(Vec::new()), limit }
    }

    /// A socket of this family that is in nobody's use.
    pub fn take(&self, v6: bool) -> Option<Socket> {
        let mut sockets = self.lock();
        let last = sockets.iter().rposition(|socket| socket.is_v6() == v6)?;
        Some(sockets.swap_remove(last))
    }

    /// Keeps a reset socket for the next caller; closes it when there are enough.
    pub fn keep(&self, socket: Socket) {
        let mut sockets = self.lock();
        if sockets.len() < self.limit {
            sockets.push(socket);
        }
    }

    /// Closes every spare socket. True if there was one.
    pub fn close_all(&self) -> bool {
        let sockets = std::mem::take(&mut *self.lock());
        !sockets.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Socket>> {
        self.sockets.lock()
    }
}
