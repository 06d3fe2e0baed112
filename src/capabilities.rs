//! What this system lets a check do.

use crate::engine::socket;
use crate::sys::raw_socket;
use crate::sys::readiness::Readiness;

/// What this system lets a check do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The last ACK of the handshake can be withheld. Without it checks make the ordinary handshake.
    pub half_open: bool,
    /// [`Checker::raw_fd`](crate::Checker::raw_fd) gives a descriptor.
    pub poll_fd: bool,
    /// One socket serves many checks.
    pub reuse_socket: bool,
    /// [`Config::set_interface`](crate::Config::set_interface) works.
    pub bind_interface: bool,
    /// [`Config::set_mark`](crate::Config::set_mark) works, given the privilege.
    pub mark: bool,
    /// [`Config::set_tos`](crate::Config::set_tos) works.
    pub tos: bool,
    /// This process may open raw sockets now, as [`EngineKind::Raw`](crate::EngineKind::Raw) does. Asked anew at each
    /// call, since privileges come and go.
    pub raw: bool,
}

/// What this system lets a check do.
pub fn capabilities() -> Capabilities {
    Capabilities {
        half_open: socket::withholds_ack(),
        poll_fd: Readiness::EXISTS,
        reuse_socket: socket::reuses(),
        bind_interface: socket::BINDS_INTERFACE,
        mark: socket::MARKS,
        tos: socket::SETS_TOS,
        raw: raw_socket::probe().is_ok(),
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(feature = "forced-handshake")))]
mod tests {
    use super::*;

    /// Other tests ask what there is, and expect no more.
    #[test]
    fn linux_lets_a_check_do_everything_but_what_needs_a_privilege() {
        let Capabilities { half_open, poll_fd, reuse_socket, bind_interface, mark, tos, raw: _ } = capabilities();
        assert_eq!([half_open, poll_fd, reuse_socket, bind_interface, mark, tos], [true; 6]);
    }
}
