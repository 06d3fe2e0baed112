//! tcp-checker, the command-line tool: what it prints, and its exit status.
#![cfg(target_os = "linux")]

mod c_programs;
#[macro_use]
mod support;

#[path = "tcp_checker/command_line.rs"]
mod command_line;
#[path = "tcp_checker/endings.rs"]
mod endings;
#[path = "tcp_checker/fping.rs"]
mod fping;
#[path = "tcp_checker/installed.rs"]
mod installed;
#[path = "tcp_checker/metrics.rs"]
mod metrics;
#[path = "tcp_checker/pace.rs"]
mod pace;
#[path = "tcp_checker/records.rs"]
mod records;
#[path = "tcp_checker/repeated.rs"]
mod repeated;
#[path = "tcp_checker/settings.rs"]
mod settings;
#[path = "tcp_checker/summary.rs"]
mod summary;
#[path = "tcp_checker/targets.rs"]
mod targets;
#[path = "tcp_checker/terminal.rs"]
mod terminal;
#[path = "tcp_checker/the_tool.rs"]
mod the_tool;
#[path = "tcp_checker/watch.rs"]
mod watch;
#[path = "tcp_checker/watch_metrics.rs"]
mod watch_metrics;
