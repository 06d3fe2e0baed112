//! Am I still the process that made this? Asked before a checker's threads and locks are relied upon, which a
//! forked child does not have.

use std::sync::atomic::{AtomicU32, Ordering};

const ALIVE: u32 = 1;

/// A mark that the kernel itself erases in every child, however it was forked.
///
/// A page under MADV_WIPEONFORK (madvise(2), Linux 4.14) reads as zeroes after fork(), so that asking costs one
/// load, where getpid() is a system call and pthread_atfork() misses a bare clone(). Where there is no such page,
/// getpid() does.
pub(crate) struct ForkMark {
    page: Option<&'static AtomicU32>,
    process: u32,
}

impl ForkMark {
    pub fn new() -> ForkMark {
        ForkMark { page: wiped::map(), process: std::process::id() }
    }

    /// Whether this process is a child of the one that made the mark.
    pub fn is_child(&self) -> bool {
        match self.page {
            Some(page) => page.load(Ordering::Relaxed) != ALIVE,
            None => std::process::id() != self.process,
        }
    }
}

impl Drop for ForkMark {
    fn drop(&mut self) {
        if let Some(page) = self.page {
            wiped::unmap(page);
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod wiped {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::ALIVE;

    /// A number that means nothing to madvise(2).
    const NO_ADVICE: i32 = -1;

    pub(super) fn map() -> Option<&'static AtomicU32> {
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
        // Who takes advice that does not exist takes none (qemu's user mode).
        if !advise(libc::MADV_WIPEONFORK) || advise(NO_ADVICE) {
            // SAFETY: the range is the mapping made above, and nobody refers to it.
            unsafe { libc::munmap(page, size) };
            return None;
        }
        // SAFETY: the page is aligned, zeroed, writable, and stays mapped until the mark is dropped.
        let mark = unsafe { &*page.cast::<AtomicU32>() };
        mark.store(ALIVE, Ordering::Relaxed);
        Some(mark)
    }

    fn page_size() -> usize {
        // SAFETY: sysconf only reads.
        unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
    }

    pub(super) fn unmap(page: &'static AtomicU32) {
        // SAFETY: the page was mapped by `map` for one mark alone, which is being dropped.
        unsafe { libc::munmap((&raw const *page).cast_mut().cast(), page_size()) };
    }
}

/// Elsewhere getpid() is asked, or there is no fork().
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod wiped {
    use std::sync::atomic::AtomicU32;

    pub(super) fn map() -> Option<&'static AtomicU32> {
        None
    }

    pub(super) fn unmap(_page: &'static AtomicU32) {}
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
