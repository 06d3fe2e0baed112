//! Half a handshake by segments of the library's own, on raw IP sockets of Linux.

mod bound_interface;
pub(crate) mod callers;
mod checksum;
pub(crate) mod counts;
mod driver;
mod family;
mod filter;
mod flows;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod in_flight;
mod isn;
mod lately_up;
mod ports;
mod raw_socket;
mod receiving;
mod resets;
mod routes;
mod segment;
mod sending;
mod unread_errors;

pub(crate) use driver::RawEngine;
