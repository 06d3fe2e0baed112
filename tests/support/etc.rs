//! An /etc of the test's own, in its private mount namespace: who resolves names, and how.

use std::ffi::CString;
use std::path::Path;

/// Hides /etc and /run behind empty ones; only what names of programs and users need is kept. The run directory may
/// hold the socket of a name cache that lives outside the namespace.
pub fn replace() {
    let kept: Vec<_> = ["passwd", "group", "ld.so.cache", "protocols"]
        .iter()
        .filter_map(|name| Some((*name, std::fs::read(Path::new("/etc").join(name)).ok()?)))
        .collect();
    mount_empty("/run");
    mount_empty("/etc");
    for (name, content) in kept {
        std::fs::write(Path::new("/etc").join(name), content).expect("a file in the new /etc");
    }
    write("hosts", "127.0.0.1 localhost four.test\n::1 localhost six.test\n127.0.0.1 both.test\n::1 both.test\n");
    write("nsswitch.conf", "hosts: files dns\nservices: files\npasswd: files\ngroup: files\n");
    write("services", "http 80/tcp\ncheckme 8080/tcp\n");
    use_name_server(1, 1);
}

/// Says where the name server is, and how patient the C library is with it: seconds for an answer, and how often.
pub fn use_name_server(timeout: u32, attempts: u32) {
    // An empty search list, or the domain of this host's name would be asked too.
    write("resolv.conf", &format!("nameserver 127.0.0.1\nsearch .\noptions timeout:{timeout} attempts:{attempts}\n"));
}

fn write(name: &str, content: &str) {
    std::fs::write(Path::new("/etc").join(name), content).expect("a file in the new /etc");
}

/// Mounts an empty file system over a directory, for this namespace only.
pub fn mount_empty(directory: &str) {
    let target = CString::new(directory).expect("a path");
    let options = c"mode=755".as_ptr().cast();
    // SAFETY: all texts end with NUL and outlive the call.
    let mounted = unsafe { libc::mount(c"none".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, options) };
    assert_eq!(mounted, 0, "mount over {directory}: {}", std::io::Error::last_os_error());
}
