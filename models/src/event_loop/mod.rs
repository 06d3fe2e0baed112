//! What of the loop hands over.

pub(crate) mod command;
#[path = "../../../src/event_loop/inbox.rs"]
pub(crate) mod inbox;
