//! Who waits for a name, and how the answer gets there.

use std::net::SocketAddr;
use std::sync::Arc;

/// Hears what becomes of names, on the resolver's threads and never under its lock. It must not block.
///
/// A waiter hears that its lookup began before it hears the answer. It may still hear something after it was withdrawn.
pub(crate) trait Listener: Send + Sync {
    /// The name of a waiter without a deadline is being looked up: the waiter's time runs from now.
    fn lookup_began(&self, waiter: WaiterKey);

    /// The addresses, or an EAI_ code (getaddrinfo(3)).
    fn resolved(&self, waiter: WaiterKey, addresses: Result<Vec<SocketAddr>, i32>);
}

/// What a listener calls one of its waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaiterKey {
    pub slot: u32,
    /// Tells this waiter of the slot from earlier ones.
    pub generation: u32,
}

/// One who waits for a name.
pub(crate) struct Waiter {
    pub listener: Arc<dyn Listener>,
    pub key: WaiterKey,
    /// When the answer is of no more use, on the library's clock; `None` until the lookup of a paced check begins.
    pub deadline: Option<u64>,
    /// How long after that it is of no more use.
    pub timeout_ms: u32,
    /// How old an answer it takes; 0: none but one that it waited for.
    pub age_ms: u32,
}

/// What [`Resolver::ask`](super::Resolver::ask) returns.
pub(crate) enum Asked {
    /// The listener will hear the answer.
    Waits(Ticket),
    /// A kept answer that is new enough. The listener hears nothing.
    Known(Vec<SocketAddr>),
}

/// To withdraw a waiter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(super) lookup: u64,
    pub(super) waiter: u64,
    /// The lookup is under way already. The listener hears of this here and nowhere else, so that no answer can
    /// overtake the word.
    pub began: bool,
}

impl Ticket {
    /// Of one who does not wait.
    pub(super) const NOBODY: Ticket = Ticket { lookup: 0, waiter: 0, began: false };
}
