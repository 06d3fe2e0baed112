//! No panic crosses into C, and none prints: it becomes a fallback value, and the process goes on.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

use crate::sys::lock::{Once, OnceLock};
use crate::sys::thread;

thread_local! {
    /// How many guarded calls are under way on this thread.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs the body of an exported function; `fallback` is its value if the body panics, which is a defect.
pub(super) fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    // pthread_cancel() unwinds, too, from any system call that may be cancelled: not from within this library.
    let cancellation = thread::disable_cancellation();
    DEPTH.set(DEPTH.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    thread::restore_cancellation(cancellation);
    result.unwrap_or(fallback)
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send>;

/// What prints a panic for everybody else. The default hook and the one below need no heap, so nothing is left behind
/// when the library is unloaded.
static BEFORE: OnceLock<Hook> = OnceLock::new();

/// Keeps Rust's panic message off the host's stderr, for this library's own code only: in a Rust program that uses the
/// C API, the program's own panics look as ever.
pub(super) fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = BEFORE.set(std::panic::take_hook());
        std::panic::set_hook(Box::new(|panic| {
            if DEPTH.get() == 0
                && !thread::is_ours()
                && let Some(before) = BEFORE.get()
            {
                before(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_fallback() {
        silence_panics();
        assert_eq!(guard(-11, || panic!("a defect")), -11);
        assert_eq!(DEPTH.get(), 0);
    }

    #[test]
    fn no_exported_function_lacks_its_guard() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/c_api");
        let mut exports = 0;
        for file in std::fs::read_dir(directory).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            for function in text.split("extern \"C\" fn shaker_").skip(1) {
                let body = &function[function.find("{\n").unwrap() + 2..];
                let first = body.lines().map(str::trim).find(|line| !line.starts_with("//")).unwrap();
                assert!(first.starts_with("guard("), "unguarded: shaker_{}", &function[..40]);
                exports += 1;
            }
            assert_eq!(text.matches("no_mangle").count(), text.matches("extern \"C\" fn shaker_").count());
        }
        assert!(exports > 20);
    }
}
