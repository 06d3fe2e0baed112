//! The documentation says what is so: its programs are run, its captures are made again, its pages are all there. It
//! speaks of Linux as it is, and not of a lesser system that Linux was made to behave like.
#![cfg(all(target_os = "linux", not(feature = "forced-handshake")))]

mod c;
mod c_programs;
#[macro_use]
mod support;
#[path = "documentation/engines.rs"]
mod engines;
#[path = "documentation/haproxy.rs"]
mod haproxy;
#[path = "documentation/monitors.rs"]
mod monitors;
#[path = "documentation/page.rs"]
mod page;
#[path = "documentation/pages.rs"]
mod pages;
#[path = "documentation/readme.rs"]
mod readme;
#[path = "documentation/reference.rs"]
mod reference;
#[path = "documentation/reliability.rs"]
mod reliability;
#[path = "documentation/site.rs"]
mod site;
#[path = "documentation/tutorial.rs"]
mod tutorial;
#[path = "documentation/why.rs"]
mod why;
#[path = "documentation/why_not.rs"]
mod why_not;
