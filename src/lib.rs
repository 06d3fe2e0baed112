//! Checks whether a TCP port would accept a connection, by half a handshake: SYN, SYN-ACK, RST.
//!
//! The last ACK of the handshake is never sent, so the server's application never sees a connection. This is the safe
//! Rust API; the C API over it is declared in `include/tcpshaker.h` and lives in [`c_api`].
//!
//! Data flows one way: request, (resolver,) loop, verdict, completion. A [`Checker`] is a handle over one or more loop
//! threads; each owns its checks, their sockets and their deadlines, and nobody else touches them.

#![warn(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]

mod address;
pub mod c_api;
mod checker;
mod clock;
mod completion;
mod config;
mod deadlines;
mod event_loop;
mod fork;
mod lane;
mod loaded;
mod rate;
mod readiness;
mod request;
mod resolver;
mod shared;
mod socket;
mod stats;
mod thread;
mod verdict;

pub use address::{Name, Target};
pub use checker::Checker;
pub use config::Config;
pub use request::{Family, Handshake, Request};
pub use socket::{Capabilities, capabilities};
pub use stats::Stats;
pub use verdict::{Report, Status, Verdict};
