//! Networks that misbehave: they lose, double, delay and forge packets, and change while checks are under way. Thousands
//! of checks are made in each, on both engines, by threads of the checker's and by callers that drive it, and no verdict is wrong; nor
//! is a change of a monitor beside.
//!
//! `NETWORK_CHECKS=100000` is the long run: so many checks in each condition on each engine, half of them caller-driven.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;
#[path = "networks/answers.rs"]
mod answers;
#[path = "networks/changes.rs"]
mod changes;
#[path = "networks/errors.rs"]
mod errors;
#[path = "networks/listeners.rs"]
mod listeners;
#[path = "networks/packets.rs"]
mod packets;
#[path = "networks/trial.rs"]
mod trial;
