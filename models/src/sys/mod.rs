//! The operating system as the models have it.

pub(crate) mod clock;
#[path = "../../../src/sys/interface.rs"]
pub(crate) mod interface;
pub(crate) mod lock;
#[path = "../../../src/sys/memory.rs"]
pub(crate) mod memory;
#[path = "../../../src/sys/os_error.rs"]
pub(crate) mod os_error;
pub(crate) mod readiness;
#[path = "../../../src/sys/sockaddr.rs"]
pub(crate) mod sockaddr;
pub(crate) mod thread;
pub(crate) mod waker;
