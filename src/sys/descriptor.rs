//! Descriptors that somebody else owns.

use std::os::fd::{BorrowedFd, RawFd};

/// A descriptor that `_owner` holds open for as long as it lives.
pub(crate) fn borrowed<T>(_owner: &T, fd: RawFd) -> BorrowedFd<'_> {
    // SAFETY: the callers' promise: the owner closes the descriptor when it is dropped, and cannot be dropped before.
    unsafe { BorrowedFd::borrow_raw(fd) }
}
