//! Opens a socket with the options that a checker's settings ask for.

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
#[path = "options/bsd.rs"]
mod system;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "options/linux.rs"]
mod system;
#[cfg(windows)]
#[path = "options/windows.rs"]
mod system;

#[cfg(unix)]
mod posix;

use std::io;
use std::time::Duration;

use socket2::{Domain, Socket};

use crate::check::close_mode::CloseMode;
use crate::engine::wire::Wire;

#[cfg_attr(
    all(any(target_os = "linux", target_os = "android"), not(feature = "forced-handshake")),
    expect(unused_imports, reason = "for the ordinary handshake")
)]
pub(super) use system::expect_local_answer;
pub(crate) use system::{BINDS_INTERFACE, MARKS, SETS_TOS};
pub(super) use system::{bound_interface, set_mark};

/// Opens a socket that is non-blocking, close-on-exec and not connected.
pub(super) fn open(v6: bool, close_mode: CloseMode, wire: &Wire) -> io::Result<Socket> {
    let socket = system::open(if v6 { Domain::IPV6 } else { Domain::IPV4 })?;
    if !close_mode.linger {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    if let Some(interface) = &wire.interface {
        system::bind_interface(&socket, v6, interface)?;
    }
    if let Some(mark) = wire.mark {
        set_mark(&socket, mark)?;
    }
    if let Some(tos) = wire.tos {
        system::set_tos(&socket, v6, tos.into())?;
    }
    if let Some(source) = wire.source(v6) {
        system::leave_the_port_to_connect(&socket)?;
        socket.bind(&source.into())?;
    }
    Ok(socket)
}
