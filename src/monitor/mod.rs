//! Watches targets, and tells when the state of one changes.

mod hysteresis;
