//! A forked child that is watched: it notes how far it got and what it found, and a stuck one is ended.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

const NOTES: usize = 500;
const NOTHING: i32 = i32::MIN;

/// What a child noted, in memory that it shares with its parent: no call of a sandbox is needed to write there.
pub struct Notes(&'static [[AtomicI32; 2]; NOTES]);

impl Notes {
    fn new() -> Notes {
        let (size, access) = (size_of::<[[AtomicI32; 2]; NOTES]>(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: asks for new memory, which is mapped over nothing else.
        let memory =
            unsafe { libc::mmap(std::ptr::null_mut(), size, access, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0) };
        assert_ne!(memory, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        // SAFETY: the memory is zeroed, as large as the array, aligned to a page, and never unmapped.
        let notes: &'static [[AtomicI32; 2]; NOTES] = unsafe { &*memory.cast() };
        notes.iter().for_each(|note| note[0].store(NOTHING, Ordering::SeqCst));
        Notes(notes)
    }

    /// Notes two numbers in this place.
    pub fn write(&self, place: usize, first: i32, second: i32) {
        self.0[place][1].store(second, Ordering::SeqCst);
        self.0[place][0].store(first, Ordering::SeqCst);
    }

    /// What was noted there, if anything was.
    pub fn read(&self, place: usize) -> Option<(i32, i32)> {
        let first = self.0[place][0].load(Ordering::SeqCst);
        (first != NOTHING).then(|| (first, self.0[place][1].load(Ordering::SeqCst)))
    }

    /// How many places are written.
    pub fn count(&self) -> usize {
        (0..NOTES).filter(|&place| self.read(place).is_some()).count()
    }
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By its own will.
    Done,
    Panicked,
    Killed {
        signal: i32,
    },
    /// It did not, and was ended.
    Stuck,
}

pub struct Watched {
    pid: libc::pid_t,
    deadline: Instant,
    pub notes: Notes,
}

impl Watched {
    /// Forks a child that does `work` and exits, with nothing flushed, dropped or unwound into the test.
    pub fn fork(time_limit: Duration, work: impl FnOnce(&Notes)) -> Watched {
        let notes = Notes::new();
        // SAFETY: the child runs on the one thread that forked; glibc keeps its allocator usable there, and _exit ends
        // it before anything of the parent's could be torn down twice.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&notes)));
                // SAFETY: ends this process at once.
                unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) }
            }
            pid => Watched { pid, deadline: Instant::now() + time_limit, notes },
        }
    }

    /// Waits for the child to end, or ends it when its time is over.
    pub fn wait(&self) -> Ending {
        let mut status = 0;
        let mut stuck = false;
        // SAFETY: the child is this process's own and not waited for yet.
        while unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) } == 0 {
            if !stuck && Instant::now() > self.deadline {
                stuck = true;
                // SAFETY: as above.
                unsafe { libc::kill(self.pid, libc::SIGKILL) };
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        match (stuck, libc::WIFSIGNALED(status)) {
            (true, _) => Ending::Stuck,
            (false, true) => Ending::Killed { signal: libc::WTERMSIG(status) },
            (false, false) if libc::WEXITSTATUS(status) == 0 => Ending::Done,
            (false, false) => Ending::Panicked,
        }
    }
}
