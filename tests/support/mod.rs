//! What the tests share: a network of their own, targets whose behaviour is known, and the kernel's own account of
//! what happened. Nothing here ever talks to an address outside loopback or such a network.

// Each test file uses a part of this.
#![allow(dead_code, unused_macros, unused_imports)]

#[macro_use]
pub mod driven;
#[macro_use]
pub mod engine;
#[macro_use]
pub mod handshake;
#[macro_use]
pub mod namespace;
pub mod capture;
pub mod counters;
pub mod debians_cargo;
pub mod descriptor;
pub mod dice;
pub mod etc;
pub mod far_host;
pub mod firewall;
pub mod icmp6;
pub mod lists;
pub mod monitors;
pub mod name_server;
pub mod network;
pub mod peer;
pub mod privileges;
pub mod process;
pub mod relay;
pub mod rlimit;
pub mod sandbox;
pub mod seccomp;
pub mod sized;
pub mod skipped;
pub mod targets;
pub mod watched;
