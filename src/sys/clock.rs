//! The clock of every time in the library: nanoseconds of a clock that never steps.

/// CLOCK_MONOTONIC (clock_gettime(2)), read two or three times a check, so without the arithmetic of `Instant`.
#[cfg(unix)]
pub(crate) fn now() -> u64 {
    #[cfg(test)]
    if let Some(now) = by_hand::time() {
        return now;
    }
    let mut time = std::mem::MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the clock exists on every system that has clock_gettime, which then fills `time`.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The performance counter, counted from its first reading.
#[cfg(windows)]
pub(crate) fn now() -> u64 {
    use std::time::Instant;

    use crate::sys::lock::OnceLock;
    #[cfg(test)]
    if let Some(now) = by_hand::time() {
        return now;
    }
    static FIRST: OnceLock<Instant> = OnceLock::new();
    // Not 0, which is before any deadline.
    FIRST.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

/// How far CLOCK_REALTIME, by which the kernel stamps what it receives, is ahead of the library's clock now, modulo 2^64
/// nanoseconds.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn realtime_ahead() -> u64 {
    let realtime = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    (realtime.map_or(0, |since| since.as_nanos() as u64)).wrapping_sub(now())
}

/// A clock that a test sets, for the thread that it runs on.
#[cfg(test)]
pub(crate) mod by_hand {
    use std::cell::Cell;

    thread_local! {
        static TIME: Cell<Option<u64>> = const { Cell::new(None) };
    }

    pub fn time() -> Option<u64> {
        TIME.get()
    }

    pub fn set(time: u64) {
        TIME.set(Some(time));
    }

    pub fn let_go() {
        TIME.set(None);
    }
}
