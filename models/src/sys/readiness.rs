//! A descriptor that is readable while something waits, and that a model can wait for.

use std::ffi::c_int;
use std::io;
use std::sync::Arc;

use super::lock::Signal;

/// What poll(2) would look at.
static LATEST: std::sync::Mutex<Option<Arc<Signal>>> = std::sync::Mutex::new(None);

pub(crate) struct Readiness(Arc<Signal>);

impl Readiness {
    pub fn new() -> io::Result<Readiness> {
        let signal = Arc::new(Signal::new());
        *LATEST.lock().expect("no model panics here") = Some(signal.clone());
        Ok(Readiness(signal))
    }

    pub fn raise(&self) -> io::Result<()> {
        self.0.set(true);
        Ok(())
    }

    pub fn clear(&self) -> io::Result<()> {
        self.0.set(false);
        Ok(())
    }

    pub fn raw_fd(&self) -> c_int {
        3
    }
}

/// The descriptor that was made last.
pub(crate) fn latest() -> Arc<Signal> {
    LATEST.lock().expect("no model panics here").clone().expect("a queue was asked for its descriptor")
}
