//! Checks whether a TCP port would accept a connection, by half a handshake: SYN, SYN-ACK, RST.
//!
//! The last ACK of the handshake is never sent, so the server's application never sees a connection. This is the safe
//! Rust API; the C API over it is declared in `include/tcpshaker.h` and lives in [`c_api`].
//!
//! ```
//! use std::time::Duration;
//! use tcpshaker::{Checker, Request, Status};
//!
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let address = listener.local_addr()?.to_string();
//! let checker = Checker::builder().timeout(Duration::from_secs(1)).build()?;
//! let verdict = checker.check(&Request::new(address.as_str()));
//! match verdict.status {
//!     Status::Up => println!("up, {} us", verdict.rtt_us),
//!     status if status.is_verdict() => println!("down: {status}"),
//!     status => println!("no verdict: {status}"), // nothing was learned: nobody may mark it down
//! }
//! # assert_eq!(verdict.status, Status::Up);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Data flows one way: request, (resolver,) loop, engine, verdict, completion. A [`Checker`] is a handle over one or
//! more loop threads; each owns its checks, their sockets and their timers, and no other thread touches them.
//! ARCHITECTURE.md has the layers, and the life of a check.

#![warn(missing_docs)]
// A library says nothing by itself.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod c_api;
mod capabilities;
mod check;
mod checker;
mod completion;
mod config;
mod engine;
mod event_loop;
mod monitor;
mod permits;
mod rate;
mod resolver;
mod stats;
mod sys;
#[cfg(test)]
mod test_targets;
mod timer_wheel;

pub use capabilities::{Capabilities, capabilities};
pub use check::error::Error;
pub use check::request::{Family, Handshake, Request};
pub use check::target::{Name, Target};
pub use check::verdict::{Report, Status, Verdict};
pub use checker::{Checker, CheckerBuilder};
pub use config::{Config, EngineKind};
pub use monitor::{Change, Monitor, MonitorConfig, State, Watch, WatchInfo};
pub use stats::Stats;

/// What the fuzzer of `fuzz/` calls.
#[cfg(all(feature = "fuzzing", any(target_os = "linux", target_os = "android")))]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::engine::raw::fuzzing::{icmp, segment};
}

/// What a registry's page shows is compiled, too.
#[cfg(doctest)]
#[doc = include_str!("../docs/crate.md")]
struct Readme;
