//! The settings that change the segments on the wire.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::check::verdict::{Status, Verdict};
use crate::sys::netns::Home;
use crate::sys::os_error::EADDRNOTAVAIL;
use crate::sys::own_address;

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

    /// That a target is down says nothing of it where this host lacks the source address, to which no answer comes. It may
    /// have left since the check began, and where ip_nonlocal_bind is set a socket is bound to it all the same. A host that
    /// has no address of IPv6 yet asks from that of loopback.
    pub fn doubt(&self, verdict: &mut Verdict, home: Home) {
        if let Status::TimedOut | Status::Unreachable = verdict.status
            && let Some(target) = verdict.address
            && self.lacks_an_address(&target, home)
        {
            (verdict.status, verdict.os_error) = (Status::LocalFault, EADDRNOTAVAIL);
        }
    }

    fn lacks_an_address(&self, target: &SocketAddr, home: Home) -> bool {
        let (v6, interface) = (target.ip().to_canonical().is_ipv6(), self.interface.as_deref());
        let source = self.source(v6);
        source.is_some_and(|source| own_address::is_here(&source, interface, home) == Some(false))
            || v6 && own_address::is_cut_off(target, source, interface, home)
    }
}
