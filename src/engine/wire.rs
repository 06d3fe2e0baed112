//! The settings that change the segments on the wire.

use std::net::{SocketAddrV4, SocketAddrV6};

/// The settings that change the segments on the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    pub source_v4: Option<SocketAddrV4>,
    pub source_v6: Option<SocketAddrV6>,
    pub interface: Option<Box<[u8]>>,
    pub mark: Option<u32>,
    pub tos: Option<u8>,
}
