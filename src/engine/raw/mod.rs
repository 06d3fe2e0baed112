//! Half a handshake by segments of the library's own, on raw IP sockets of Linux.

mod filter;
mod isn;
mod segment;
