//! Whether this process is the one that made a checker. A forked child has neither its threads nor usable locks.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

const ALIVE: u32 = 1;

/// A mark that the kernel itself erases in every child, however it was forked.
///
/// A page under MADV_WIPEONFORK (madvise(2), Linux 4.14) reads as zeroes after fork(), so that asking costs one
/// load, where getpid() is a system call and pthread_atfork() misses a bare clone(). Where there is no such page,
/// getpid() is called.
pub(crate) struct ForkMark {
    /// Mapped for this mark alone, until it is dropped.
    page: Option<NonNull<AtomicU32>>,
    process: u32,
}

// SAFETY: the page is one atomic integer, and any thread may unmap it.
unsafe impl Send for ForkMark {}
// SAFETY: by reference the integer is only read, atomically.
unsafe impl Sync for ForkMark {}

impl ForkMark {
    pub fn new() -> ForkMark {
        ForkMark { page: wiped::map(), process: std::process::id() }
    }

    /// Whether this process is a child of the one that made the mark.
    pub fn is_child(&self) -> bool {
        match self.page {
            // SAFETY: the page stays mapped while the mark exists.
            Some(page) => unsafe { page.as_ref() }.load(Ordering::Relaxed) != ALIVE,
            None => std::process::id() != self.process,
        }
    }
}

impl Drop for ForkMark {
    fn drop(&mut self) {
        if let Some(page) = self.page {
            // SAFETY: `map` made the page for this mark, and nobody can use it after this.
            unsafe { wiped::unmap(page) };
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod wiped {
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::ALIVE;

    /// A number that means nothing to madvise(2).
    const NO_ADVICE: i32 = -1;

    /// A page that reads as zeroes in every child; `None` if the kernel does not offer that.
    pub(super) fn map() -> Option<NonNull<AtomicU32>> {
        let size = page_size();
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the range is the mapping made above.
        let advise = |advice| unsafe { libc::madvise(page, size, advice) } == 0;
        // A kernel that accepts an unknown advice number ignores all advice (qemu user mode).
        if !advise(libc::MADV_WIPEONFORK) || advise(NO_ADVICE) {
            // SAFETY: the range is the mapping made above, and nothing refers to it.
            unsafe { libc::munmap(page, size) };
            return None;
        }
        let mark = NonNull::new(page.cast::<AtomicU32>())?;
        // SAFETY: the page is aligned, zeroed, writable, and mapped.
        unsafe { mark.as_ref() }.store(ALIVE, Ordering::Relaxed);
        Some(mark)
    }

    fn page_size() -> usize {
        // SAFETY: sysconf only reads.
        unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
    }

    /// # Safety
    /// The page came from `map`, and nobody uses it any more.
    pub(super) unsafe fn unmap(page: NonNull<AtomicU32>) {
        // SAFETY: the caller's promise.
        unsafe { libc::munmap(page.as_ptr().cast(), page_size()) };
    }
}

/// Other systems have no such page, or no fork().
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod wiped {
    use std::ptr::NonNull;
    use std::sync::atomic::AtomicU32;

    pub(super) fn map() -> Option<NonNull<AtomicU32>> {
        None
    }

    /// # Safety
    /// None is needed: nobody has a page.
    pub(super) unsafe fn unmap(_page: NonNull<AtomicU32>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_knows_that_it_is_one_and_the_parent_that_it_is_not() {
        for mark in [ForkMark::new(), ForkMark { page: None, process: std::process::id() }] {
            assert!(!mark.is_child());
            // SAFETY: the child calls nothing but is_child and _exit.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let code = i32::from(!mark.is_child());
                // SAFETY: _exit ends the child at once.
                unsafe { libc::_exit(code) };
            }
            let mut status = 0;
            // SAFETY: `status` is an int for the kernel to write.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(status, 0);
            assert!(!mark.is_child());
        }
    }
}
