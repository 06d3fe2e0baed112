//! What a process may.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::namespace::skip;

const CAP_NET_RAW: u32 = 13;

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
    // SAFETY: between fork and exec, prctl(2) alone is called.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, CAP_NET_RAW as libc::c_ulong, 0, 0, 0) {
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
    keep_capabilities(0);
}

/// Makes a forked child somebody who is not root, and who may open raw sockets and nothing else: limits hold for him that
/// do not for root (RLIMIT_NPROC, RLIMIT_MEMLOCK; getrlimit(2)).
pub fn be_nobody_with_raw_sockets() {
    const NOBODY: libc::uid_t = 54_321;
    // SAFETY: numbers only.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0), 0, "{}", io::Error::last_os_error());
            assert_eq!(libc::setresuid(NOBODY, NOBODY, NOBODY), 0, "{}", io::Error::last_os_error());
            // Whoever changes has no right to his own /proc otherwise.
            assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0), 0, "{}", io::Error::last_os_error());
        }
    }
    keep_capabilities(1 << CAP_NET_RAW);
}

/// Gives up every capability of the calling thread but these.
fn keep_capabilities(kept: u32) {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    /// _LINUX_CAPABILITY_VERSION_3, which has 64 capabilities, in two structs of three sets: those in effect, those that
    /// may be, those that are inherited.
    const VERSION: u32 = 0x2008_0522;
    let (header, sets) = (Header { version: VERSION, pid: 0 }, [kept, kept, 0, 0, 0, 0]);
    // SAFETY: both structs are as capset(2) wants them.
    let dropped = unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) };
    assert_eq!(dropped, 0, "capset: {}", io::Error::last_os_error());
}
