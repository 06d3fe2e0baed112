//! The process's own limits: on descriptors, and what it is like to have none left.

use std::fs::File;

/// Sets the soft limit on open descriptors.
pub fn set_descriptor_limit(soft: usize) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is this function's own.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit.rlim_cur = (soft as libc::rlim_t).min(limit.rlim_max);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

/// Opens files until the process may open no more; they close when this is dropped.
pub struct NoDescriptorLeft {
    files: Vec<File>,
}

impl NoDescriptorLeft {
    /// Takes every descriptor that the limit leaves.
    pub fn take_all() -> NoDescriptorLeft {
        let mut files = Vec::new();
        loop {
            match File::open("/dev/null") {
                Ok(file) => files.push(file),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                    return NoDescriptorLeft { files };
                }
            }
        }
    }

    /// Leaves so many to be had.
    pub fn give_back(&mut self, count: usize) {
        self.files.truncate(self.files.len() - count);
    }
}
