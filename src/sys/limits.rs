//! How many sockets this process may have.

/// The soft limit on open descriptors.
#[cfg(unix)]
pub(crate) fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
    // SAFETY: the kernel writes one rlimit, which `limit` is.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    #[allow(clippy::unnecessary_cast)] // signed on FreeBSD
    let soft = limit.rlim_cur as u64;
    soft
}

/// There is no limit on handles; the dynamic ports end first, 16,384 by default.
#[cfg(windows)]
pub(crate) fn descriptor_limit() -> u64 {
    16_384
}
