//! The C API, declared in `include/tcpshaker.h`, which is generated from this module. No logic: each function is guard,
//! check pointers, call the core, convert.
//!
//! # Safety
//! Of every function here: pointers are NULL or point to what the header says, and handles are not freed yet.

#![allow(non_camel_case_types)] // the names are C's
#![allow(clippy::missing_safety_doc)] // said once, above; the functions' own comments become the C header

mod about;
mod check;
mod checker;
mod config;
mod growing;
mod guard;
mod monitor;
mod request;
mod result;
mod status;
mod submit;
mod watch;

pub use about::*;
pub use check::*;
pub use checker::*;
pub use config::*;
pub use monitor::*;
pub use request::*;
pub use result::*;
pub use status::*;
pub use submit::*;
pub use watch::*;
