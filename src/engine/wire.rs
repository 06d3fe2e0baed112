//! The settings that change the segments on the wire.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// The settings that change the segments on the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    pub source_v4: Option<SocketAddrV4>,
    pub source_v6: Option<SocketAddrV6>,
    pub interface: Option<Box<[u8]>>,
    pub mark: Option<u32>,
    pub tos: Option<u8>,
}

impl Wire {
    /// The source address of a family.
    pub fn source(&self, v6: bool) -> Option<SocketAddr> {
        if v6 { self.source_v6.map(SocketAddr::V6) } else { self.source_v4.map(SocketAddr::V4) }
    }
}
