//! Facts of the operating system. This layer imports nothing else of the library.

pub(crate) mod clock;
#[cfg(unix)]
pub(crate) mod descriptor;
pub(crate) mod dso;
pub(crate) mod fork;
pub(crate) mod interface;
pub(crate) mod limits;
pub(crate) mod lock;
pub(crate) mod memory;
#[cfg(all(target_env = "musl", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod musl_unwinder;
pub(crate) mod netns;
pub(crate) mod os_error;
pub(crate) mod own_address;
#[cfg(all(any(target_os = "linux", target_os = "android"), feature = "forced-handshake"))]
pub(crate) mod platform;
pub(crate) mod poll_set;
pub(crate) mod poller;
pub(crate) mod raw_socket;
pub(crate) mod readiness;
pub(crate) mod sockaddr;
pub(crate) mod thread;
pub(crate) mod waker;
