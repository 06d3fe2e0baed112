//! The clock of every time in the library: nanoseconds of CLOCK_MONOTONIC, which never steps (clock_gettime(2)).

use std::mem::MaybeUninit;

/// Read two or three times a check, so without the arithmetic of `Instant`.
pub(crate) fn now() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the clock exists on every system that has clock_gettime, which then fills `time`.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
