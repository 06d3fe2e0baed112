//! How much of an attack a test makes: enough to notice, or with `FULL_SIZE` set all of it.

/// Whether tests are of the full size of the attacks that they come from.
pub fn is_full() -> bool {
    std::env::var_os("FULL_SIZE").is_some_and(|value| !value.is_empty())
}

/// The one number, or at full size the other.
pub fn sized(short: usize, full: usize) -> usize {
    if is_full() { full } else { short }
}
