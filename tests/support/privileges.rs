//! What a process may.

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
    assert_eq!(dropped, 0, "capset: {}", std::io::Error::last_os_error());
}
