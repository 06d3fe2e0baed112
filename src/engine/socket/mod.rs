//! Half-open sockets. All kernel lore lives here: `linux.rs` withholds the last ACK of the handshake, `ordinary.rs` is
//! for systems that offer no way to.

mod connecting;
mod driver;
#[cfg(all(any(target_os = "linux", target_os = "android"), feature = "forced-handshake"))]
mod forced;
mod handshake;
pub(crate) mod inline;
mod lately_up;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
mod meeting;
mod observation;
pub(crate) mod opener;
mod options;
#[cfg(any(not(any(target_os = "linux", target_os = "android")), feature = "forced-handshake"))]
mod ordinary;
mod peer;
mod pool;
pub(crate) mod spare;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod tcp_info;
mod tcp_socket;

pub(crate) use driver::SocketEngine;
pub(crate) use handshake::{reuses, withholds_ack};
pub(crate) use opener::probe;
pub(crate) use options::{BINDS_INTERFACE, MARKS, SETS_TOS};
pub(crate) use tcp_socket::Socket;
