use std::ffi::c_char;

use super::guard::guard;
use crate::capabilities::capabilities;

/// The version of this header, to be compared with shaker_version() of the library that was loaded.
pub const SHAKER_VERSION_MAJOR: u32 = 0;
/// See SHAKER_VERSION_MAJOR.
pub const SHAKER_VERSION_MINOR: u32 = 1;
/// See SHAKER_VERSION_MAJOR.
pub const SHAKER_VERSION_PATCH: u32 = 0;

/// shaker_capabilities: the kernel's last ACK can be withheld. Without it checks make the ordinary handshake.
pub const SHAKER_CAN_HALF_OPEN: u32 = 1;
/// shaker_capabilities: shaker_checker_fd gives a descriptor.
pub const SHAKER_CAN_POLL_FD: u32 = 2;
/// shaker_capabilities: one socket serves many checks.
pub const SHAKER_CAN_REUSE_SOCKET: u32 = 4;
/// shaker_capabilities: shaker_config_set_interface works.
pub const SHAKER_CAN_BIND_INTERFACE: u32 = 8;
/// shaker_capabilities: shaker_config_set_mark works, given the privilege.
pub const SHAKER_CAN_MARK: u32 = 16;
/// shaker_capabilities: shaker_config_set_tos works.
pub const SHAKER_CAN_TOS: u32 = 32;
/// shaker_capabilities: this process may open raw sockets now, as SHAKER_ENGINE_RAW does (CAP_NET_RAW, raw(7)).
pub const SHAKER_CAN_RAW: u32 = 64;

/// The version of the library, as "0.1.0".
///
/// Returns a static text, never NULL. Nothing is to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn shaker_version() -> *const c_char {
    guard(c"".as_ptr(), || concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
}

/// What the library can do on this platform, and SHAKER_CAN_RAW in this process: each call opens a raw socket to see,
/// and closes it.
///
/// Returns SHAKER_CAN_HALF_OPEN, SHAKER_CAN_POLL_FD, SHAKER_CAN_REUSE_SOCKET, SHAKER_CAN_BIND_INTERFACE,
/// SHAKER_CAN_MARK, SHAKER_CAN_TOS and SHAKER_CAN_RAW, or-ed, as far as they hold. A program must expect flags it does
/// not know.
#[unsafe(no_mangle)]
pub extern "C" fn shaker_capabilities() -> u32 {
    guard(0, || {
        let can = capabilities();
        [
            (can.half_open, SHAKER_CAN_HALF_OPEN),
            (can.poll_fd, SHAKER_CAN_POLL_FD),
            (can.reuse_socket, SHAKER_CAN_REUSE_SOCKET),
            (can.bind_interface, SHAKER_CAN_BIND_INTERFACE),
            (can.mark, SHAKER_CAN_MARK),
            (can.tos, SHAKER_CAN_TOS),
            (can.raw, SHAKER_CAN_RAW),
        ]
        .into_iter()
        .fold(0, |flags, (can, flag)| if can { flags | flag } else { flags })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_version_of_the_library() {
        let version = format!("{SHAKER_VERSION_MAJOR}.{SHAKER_VERSION_MINOR}.{SHAKER_VERSION_PATCH}");
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }
}
