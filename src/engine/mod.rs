//! What puts segments on the wire for the loop.

pub(crate) mod socket;
pub(crate) mod wire;
