//! Watches targets, and tells when the state of one changes.
//!
//! The core decides, the rounds have the checker make what is due, and the handle is what a program holds.

mod changes;
mod config;
mod core;
mod gradual;
mod handle;
mod hysteresis;
mod records;
mod rounds;
mod schedule;
mod spread;
mod told;
mod watch;

pub use changes::Change;
pub use config::MonitorConfig;
pub use handle::Monitor;
pub use hysteresis::State;
pub use watch::{Watch, WatchInfo};
