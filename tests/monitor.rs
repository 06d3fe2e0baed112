//! Monitors: which changes of a target they tell, of listeners that come and go, and what happens to the changes.
//! On checkers with threads and on caller-driven ones, with the kernel's sockets and with segments of the library's own.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;
#[path = "monitor/a_checker.rs"]
mod a_checker;
#[path = "monitor/a_host.rs"]
mod a_host;
#[path = "monitor/a_name.rs"]
mod a_name;
#[path = "monitor/a_target.rs"]
mod a_target;
#[path = "monitor/a_watch.rs"]
mod a_watch;
#[path = "monitor/changes.rs"]
mod changes;
#[path = "monitor/storm.rs"]
mod storm;
