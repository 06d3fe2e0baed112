//! What a process may.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::namespace::skip;

/// Whether this process may have raw checkers; if not, the test is skipped.
pub fn may_be_raw(test: &str) -> bool {
    let may = tcpshaker::capabilities().raw;
    if !may {
        skip(test, "this process may not open raw sockets");
    }
    may
}

/// Has a program start without CAP_NET_RAW, even if root starts it.
pub fn without_raw_sockets(command: &mut Command) -> &mut Command {
    const CAP_NET_RAW: libc::c_ulong = 13;
    // SAFETY: between fork and exec, prctl(2) alone is called.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0) {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EPERM) => Ok(()), // who may not drop it does not have it
                error => Err(error),
            },
        })
    }
}

/// Gives up every capability of the calling thread (capset(2)), which a forked child has only one of.
pub fn drop_capabilities() {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    /// _LINUX_CAPABILITY_VERSION_3, which has 64 capabilities, in two structs of three sets.
    const VERSION: u32 = 0x2008_0522;
    let (header, none) = (Header { version: VERSION, pid: 0 }, [0u32; 6]);
    // SAFETY: both structs are as capset(2) wants them.
    let dropped = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    assert_eq!(dropped, 0, "capset: {}", io::Error::last_os_error());
}
