//! Facts of the operating system. This layer imports nothing else of the library.

pub(crate) mod clock;
pub(crate) mod dso;
pub(crate) mod fork;
pub(crate) mod readiness;
pub(crate) mod sockaddr;
pub(crate) mod thread;
