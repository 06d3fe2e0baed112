use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::config::{shaker_config, shaker_engine};
use super::growing::write_growing;
use super::guard::{guard, silence_panics};
use super::status::shaker_status;
use crate::check::error::Error;
use crate::checker::Checker;
use crate::config::Config;
use crate::sys::dso;

/// Checks TCP ports. Opaque, thread-safe, and meant to be shared: one is enough for a process.
pub struct shaker_checker(Arc<Checker>);

impl shaker_checker {
    pub(super) fn core(&self) -> &Checker {
        &self.0
    }

    /// For a monitor of it.
    pub(super) fn shared(&self) -> &Arc<Checker> {
        &self.0
    }
}

/// Makes a checker with these settings; NULL means the defaults. It is ready for use when this returns.
///
/// Returns SHAKER_OK, and in *checker the checker, to be freed with shaker_checker_free. Otherwise *checker is
/// NULL, and the status is SHAKER_ERR_INVALID (checker is NULL), SHAKER_ERR_LOCAL (no descriptors, threads or
/// memory for the loops, or no network namespace at the path that was set) or SHAKER_ERR_UNSUPPORTED (a setting, such as
/// SHAKER_ENGINE_RAW, needs privileges that this process does not have, or does not go together with another one).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_checker_new(
    config: *const shaker_config,
    checker: *mut *mut shaker_checker,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        if checker.is_null() {
            return shaker_status::SHAKER_ERR_INVALID;
        }
        // SAFETY: NULL, or from shaker_config_new and in nobody else's use.
        let settings = unsafe { config.as_ref() };
        let made = make(settings.map(shaker_config::settings));
        let (status, handle) = match made {
            Ok(made) => (shaker_status::SHAKER_OK, Box::into_raw(made)),
            Err(status) => (status.into(), std::ptr::null_mut()),
        };
        // SAFETY: the caller's pointer, which is not NULL.
        unsafe { checker.write(handle) };
        status
    })
}

fn make(settings: Option<&Config>) -> Result<Box<shaker_checker>, Error> {
    silence_panics();
    let checker = Checker::new(settings.unwrap_or(&Config::default()))?;
    Ok(Box::new(shaker_checker(Arc::new(checker))))
}

static DEFAULT: AtomicPtr<shaker_checker> = AtomicPtr::new(std::ptr::null_mut());

/// The checker of the process, made with default settings when first asked for. In a forked child it is a new one.
///
/// Returns it; it is never freed (shaker_checker_free refuses it), and keeps the library loaded. NULL if there are
/// no descriptors, threads or memory for it; a later call tries again.
#[unsafe(no_mangle)]
pub extern "C" fn shaker_checker_default() -> *mut shaker_checker {
    guard(std::ptr::null_mut(), || {
        let there = DEFAULT.load(Ordering::Acquire);
        // SAFETY: a default checker is never freed.
        if let Some(checker) = unsafe { there.as_ref() }
            && !checker.0.is_forked()
        {
            return there;
        }
        let Ok(made) = make(None) else { return std::ptr::null_mut() };
        // Its threads live as long as the process, so their code must.
        dso::stay_loaded();
        let made = Box::into_raw(made);
        match DEFAULT.compare_exchange(there, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            Err(others) => {
                // SAFETY: made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                others
            }
        }
    })
}

/// Which engine a checker has, as it was decided when it was made (shaker_config_set_engine).
///
/// Returns SHAKER_ENGINE_SOCKET or SHAKER_ENGINE_RAW; or a status, which is negative: SHAKER_ERR_INVALID for NULL,
/// SHAKER_ERR_FORKED in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_checker_engine(checker: *const shaker_checker) -> i32 {
    guard(shaker_status::SHAKER_ERR_INTERNAL as i32, || {
        // SAFETY: NULL, or a checker that is not freed.
        match unsafe { checker.as_ref() } {
            None => shaker_status::SHAKER_ERR_INVALID as i32,
            Some(checker) if checker.0.is_forked() => shaker_status::SHAKER_ERR_FORKED as i32,
            Some(checker) => shaker_engine::from(checker.0.engine()) as i32,
        }
    })
}

/// Shuts a checker down, from any thread, callbacks included: every check ends with SHAKER_ERR_CLOSED, every waiter
/// wakes, and calls from now on return SHAKER_ERR_CLOSED. Results can still be reaped. Returns at once; NULL is
/// fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_checker_shutdown(checker: *mut shaker_checker) {
    guard((), || {
        // SAFETY: NULL, or a checker that is not freed.
        if let Some(checker) = unsafe { checker.as_ref() } {
            checker.0.shutdown();
        }
    })
}

/// Shuts a checker down, waits for its threads, and frees it; NULL is fine. No other call on it may be under way or
/// follow.
///
/// The wait is short, but for a name that is being looked up: that takes until the name server answers, or for
/// about as many seconds as the longest timeout of the checks that asked for it.
///
/// Returns SHAKER_OK; SHAKER_ERR_DEADLOCK from one of the checker's own callbacks and SHAKER_ERR_INVALID for the
/// default checker: then nothing was freed. In a forked child only the handle's memory is freed: whatever the
/// parent's threads were at is theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_checker_free(checker: *mut shaker_checker) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        if checker.is_null() {
            return shaker_status::SHAKER_OK;
        }
        if checker == DEFAULT.load(Ordering::Acquire) {
            return shaker_status::SHAKER_ERR_INVALID;
        }
        // SAFETY: a checker that is not freed.
        let core = unsafe { &(*checker).0 };
        if !core.is_forked() {
            if core.is_own_thread() {
                return shaker_status::SHAKER_ERR_DEADLOCK;
            }
            core.shutdown(); // a monitor that is not freed yet holds it, too
        }
        // SAFETY: it came from shaker_checker_new, and the caller gives it up.
        drop(unsafe { Box::from_raw(checker) });
        shaker_status::SHAKER_OK
    })
}

/// What a checker has done since it was made, and what it is doing. The struct may grow at its end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct shaker_stats {
    /// Checks accepted, blocking ones included.
    pub submitted: u64,
    /// Results with SHAKER_OK.
    pub up: u64,
    /// Results with SHAKER_TIMEOUT.
    pub timed_out: u64,
    /// Results with SHAKER_REFUSED.
    pub refused: u64,
    /// Results with SHAKER_UNREACHABLE.
    pub unreachable: u64,
    /// Results with SHAKER_ERR_INVALID.
    pub err_invalid: u64,
    /// Results with SHAKER_ERR_ADDRESS.
    pub err_address: u64,
    /// Results with SHAKER_ERR_RESOLVE.
    pub err_resolve: u64,
    /// Results with SHAKER_ERR_LOCAL.
    pub err_local: u64,
    /// Results with SHAKER_ERR_CANCELLED.
    pub err_cancelled: u64,
    /// Results with SHAKER_ERR_CLOSED.
    pub err_closed: u64,
    /// Results with SHAKER_ERR_BUSY.
    pub err_busy: u64,
    /// Results with SHAKER_ERR_UNSUPPORTED.
    pub err_unsupported: u64,
    /// Results with SHAKER_ERR_INTERNAL.
    pub err_internal: u64,
    /// Checks in flight now. Each holds a socket, but not on SHAKER_ENGINE_RAW.
    pub in_flight: u64,
    /// Checks that wait now, for their turn or for their name.
    pub queued: u64,
    /// Half-open checks whose target was up but whose last ACK the kernel sent of its own accord, or may have: at
    /// most so many handshakes did it complete against our will. An ACK that another segment of the peer's drew
    /// between the look and the reset (SHAKER_HALF_OPEN) is not among them. Always 0 on SHAKER_ENGINE_RAW.
    pub completed_handshakes: u64,
    /// Sockets held now, idle ones included, and on SHAKER_ENGINE_RAW those that hold its ports.
    pub sockets: u64,
    /// Segments that came to the ports of a raw engine (SHAKER_ENGINE_RAW) and answered no check: late ones, forged
    /// ones, or such as other programs drew. None of them changes a verdict.
    pub unsolicited: u64,
}

/// Reads a checker's counters. They are read one by one, while checks go on.
///
/// size is sizeof *stats as the program knows it: fields that the library does not know are set to 0, and it writes
/// no more than size bytes.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or size 0; SHAKER_ERR_FORKED in a forked child, with nothing written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_checker_stats(
    checker: *const shaker_checker,
    stats: *mut shaker_stats,
    size: usize,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        // SAFETY: NULL, or a checker that is not freed.
        let Some(checker) = (unsafe { checker.as_ref() }) else { return shaker_status::SHAKER_ERR_INVALID };
        if stats.is_null() || size == 0 {
            return shaker_status::SHAKER_ERR_INVALID;
        }
        if checker.0.is_forked() {
            return shaker_status::SHAKER_ERR_FORKED;
        }
        let core = checker.0.stats();
        let known = shaker_stats {
            submitted: core.submitted,
            up: core.up,
            timed_out: core.timed_out,
            refused: core.refused,
            unreachable: core.unreachable,
            err_invalid: core.invalid,
            err_address: core.bad_address,
            err_resolve: core.unresolved,
            err_local: core.local_fault,
            err_cancelled: core.cancelled,
            err_closed: core.closed,
            err_busy: core.busy,
            err_unsupported: core.unsupported,
            err_internal: core.internal,
            in_flight: core.in_flight,
            queued: core.queued,
            completed_handshakes: core.completed_handshakes,
            sockets: core.sockets,
            unsolicited: core.unsolicited,
        };
        // SAFETY: the caller's `size` bytes.
        unsafe { write_growing(&known, stats, size) };
        shaker_status::SHAKER_OK
    })
}
