use std::ffi::c_int;
use std::sync::Arc;
use std::time::Duration;

use super::checker::shaker_checker;
use super::growing::write_growing;
use super::guard::guard;
use super::status::shaker_status;
use super::watch::{shaker_change, shaker_watch, shaker_watch_info, watches};
use crate::check::error::Error;
use crate::monitor::{Monitor, MonitorConfig};

/// The settings of a monitor. Opaque; belongs to one thread at a time. A monitor copies them when it is made.
pub struct shaker_monitor_config(MonitorConfig);

/// Makes a configuration with every setting at its default.
///
/// Returns it, to be freed with shaker_monitor_config_free; NULL only if the library is at fault.
#[unsafe(no_mangle)]
pub extern "C" fn shaker_monitor_config_new() -> *mut shaker_monitor_config {
    guard(std::ptr::null_mut(), || Box::into_raw(Box::new(shaker_monitor_config(MonitorConfig::default()))))
}

/// Frees a configuration; NULL is fine. Monitors made from it are not affected.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_config_free(config: *mut shaker_monitor_config) {
    guard((), || {
        if !config.is_null() {
            // SAFETY: the caller got it from shaker_monitor_config_new, and gives it up.
            drop(unsafe { Box::from_raw(config) });
        }
    })
}

/// Within how many milliseconds the first check of a watch is made: the first checks of many are spread evenly over this
/// time. Default: the interval of each watch; with jitter_percent some come later than that, by up to so many percent,
/// as its intervals do. 0 makes them at once.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_config_set_max_spread(
    config: *mut shaker_monitor_config,
    ms: u32,
) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_max_spread(ms)) })
}

/// Whether every result is told as a change, also one that changes nothing: from and to are the same then. Default false.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_config_set_every_result(
    config: *mut shaker_monitor_config,
    on: bool,
) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_every_result(on)) })
}

/// How many percent of the watches may be down at once, or failing. While more would be, none of them goes down: it is
/// more likely that this host has lost its network. What is held back so (shaker_monitor_held) is judged by the checks
/// that begin once it is over, and no failure from before counts then. Default 100: any number may.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or more than 100.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_config_set_max_down_percent(
    config: *mut shaker_monitor_config,
    percent: u32,
) -> shaker_status {
    // SAFETY: as `set` asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || unsafe { set(config, |config| config.set_max_down_percent(percent)) })
}

/// # Safety
/// `config` is NULL or came from shaker_monitor_config_new, and no other thread uses it.
unsafe fn set(
    config: *mut shaker_monitor_config,
    setter: impl FnOnce(&mut MonitorConfig) -> Result<(), Error>,
) -> shaker_status {
    // SAFETY: the caller's promise.
    match unsafe { config.as_mut() } {
        Some(config) => setter(&mut config.0).into(),
        None => shaker_status::SHAKER_ERR_INVALID,
    }
}

/// Checks targets again and again, and tells when the state of one changes. Opaque, thread-safe, and meant to be shared.
pub struct shaker_monitor(Monitor);

/// Makes a monitor of a checker, without any watch, with these settings; NULL means the defaults.
///
/// It has one thread; on a caller-driven checker (shaker_config_set_caller_driven) none: there it gets on, as the checker
/// does, inside shaker_monitor_reap, which is to be called when shaker_monitor_fd is readable, or every 200 ms. Whoever is
/// later than that may have missed an answer: a check that timed out takes no target down if, while it was in flight, a call
/// came more than 200 ms after this check was to end or another to begin, or none came for more than 450 ms.
///
/// A checker may have several monitors beside its other checks, with which they share its limits
/// (shaker_config_set_max_in_flight, shaker_config_set_max_rate).
///
/// Returns SHAKER_OK, and in *monitor the monitor, to be freed with shaker_monitor_free before its checker. Otherwise
/// *monitor is NULL, and the status is SHAKER_ERR_INVALID (checker or monitor is NULL), SHAKER_ERR_LOCAL (no thread or
/// memory for it), SHAKER_ERR_CLOSED or SHAKER_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_new(
    checker: *mut shaker_checker,
    config: *const shaker_monitor_config,
    monitor: *mut *mut shaker_monitor,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        if monitor.is_null() {
            return shaker_status::SHAKER_ERR_INVALID;
        }
        // SAFETY: NULL, or a checker that is not freed; NULL, or settings that are in nobody else's use.
        let (checker, settings) = unsafe { (checker.as_ref(), config.as_ref()) };
        let settings = settings.map(|settings| settings.0.clone()).unwrap_or_default();
        let made = match checker {
            Some(checker) => Monitor::new(Arc::clone(checker.shared()), &settings),
            None => Err(Error::Invalid),
        };
        let (status, handle) = match made {
            Ok(made) => (shaker_status::SHAKER_OK, Box::into_raw(Box::new(shaker_monitor(made)))),
            Err(status) => (status.into(), std::ptr::null_mut()),
        };
        // SAFETY: the caller's pointer, which is not NULL.
        unsafe { monitor.write(handle) };
        status
    })
}

/// Ends a monitor's checks, waits for its thread, and frees it with the changes that wait; NULL is fine. No other call on
/// it may be under way or follow. A monitor that is freed after its checker keeps what the checker holds until then, and
/// callbacks of the checker may come until then. A check of a watch that has begun or waits for its turn ends in the
/// checker, and nobody is told of it.
///
/// Returns SHAKER_OK; SHAKER_ERR_DEADLOCK from one of the checker's own callbacks: then nothing was freed. In a forked
/// child only the handle's memory is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_free(monitor: *mut shaker_monitor) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        // SAFETY: NULL, or a monitor that is not freed.
        match unsafe { monitor.as_ref() } {
            None => return shaker_status::SHAKER_OK,
            Some(monitor) if monitor.0.is_called_by_checker() => return shaker_status::SHAKER_ERR_DEADLOCK,
            Some(_) => {}
        }
        // SAFETY: it came from shaker_monitor_new, and the caller gives it up.
        drop(unsafe { Box::from_raw(monitor) });
        shaker_status::SHAKER_OK
    })
}

/// Adds watches. Their first checks are spread (shaker_monitor_config_set_max_spread).
///
/// If ids is not NULL, it is an array of count, and receives each watch's id: unique for the monitor's life, never 0.
///
/// Returns SHAKER_OK: every watch was added. SHAKER_ERR_INVALID if monitor is NULL, watches is NULL while count is not 0,
/// or any watch has no target or two, an unknown flag, a setting out of range, or reserved fields that are not 0;
/// SHAKER_ERR_ADDRESS if the target of one is malformed; SHAKER_ERR_UNSUPPORTED for a flag that the engine cannot do
/// (SHAKER_FULL_HANDSHAKE and SHAKER_LINGER on SHAKER_ENGINE_RAW); SHAKER_ERR_LOCAL without the memory;
/// SHAKER_ERR_CLOSED or SHAKER_ERR_FORKED. Then none was added, and ids is not written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_add(
    monitor: *mut shaker_monitor,
    watches: *const shaker_watch,
    count: usize,
    ids: *mut u64,
) -> shaker_status {
    // SAFETY: as the header asks.
    guard(shaker_status::SHAKER_ERR_INTERNAL, || with(monitor, |monitor| unsafe { add(monitor, watches, count, ids) }))
}

/// # Safety
/// As shaker_monitor_add asks.
unsafe fn add(monitor: &Monitor, array: *const shaker_watch, count: usize, ids: *mut u64) -> shaker_status {
    // SAFETY: the caller's array of `count` watches.
    let watches = match unsafe { watches(array, count) } {
        Ok(watches) => watches,
        Err(status) => return status,
    };
    match monitor.add(&watches) {
        Ok(added) => {
            if !ids.is_null() {
                // SAFETY: the caller's array of `count` ids, which is nobody else's now.
                unsafe { std::ptr::copy_nonoverlapping(added.as_ptr(), ids, added.len()) };
            }
            shaker_status::SHAKER_OK
        }
        Err(status) => status.into(),
    }
}

/// Removes watches. No change of theirs comes out of a call of shaker_monitor_reap that begins afterwards.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID if monitor is NULL, ids is NULL while count is not 0, or one of the ids is no
/// watch's: then the others are removed all the same; SHAKER_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_remove(
    monitor: *mut shaker_monitor,
    ids: *const u64,
    count: usize,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        with(monitor, |monitor| {
            if count == 0 {
                return monitor.remove(&[]).into();
            }
            if ids.is_null() || count > isize::MAX as usize / size_of::<u64>() {
                return shaker_status::SHAKER_ERR_INVALID;
            }
            // SAFETY: the caller's array of `count` ids.
            monitor.remove(unsafe { std::slice::from_raw_parts(ids, count) }).into()
        })
    })
}

/// Makes no checks of a watch (true), or goes on with them (false). Meanwhile it keeps its state, and can be reported.
///
/// Returns SHAKER_OK, also if that is so already; SHAKER_ERR_INVALID if monitor is NULL or the id is no watch's;
/// SHAKER_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_pause(monitor: *mut shaker_monitor, id: u64, paused: bool) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || with(monitor, |monitor| monitor.pause(id, paused).into()))
}

/// Has a check of a watch begin at once, or if one is in flight, when that has ended. Also of one that is paused.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID if monitor is NULL or the id is no watch's; SHAKER_ERR_CLOSED or
/// SHAKER_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_check_now(monitor: *mut shaker_monitor, id: u64) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || with(monitor, |monitor| monitor.check_now(id).into()))
}

/// Tells what the program's own traffic saw of a target: a request that was answered, a connection that was refused. It
/// counts as one verdict. A change that it leads to has SHAKER_CHANGE_REPORTED.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID if monitor is NULL or the id is no watch's; SHAKER_ERR_LOCAL without memory for
/// the change, and then it does not count; SHAKER_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_report(monitor: *mut shaker_monitor, id: u64, up: bool) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || with(monitor, |monitor| monitor.report(id, up).into()))
}

/// Reads what is known of a watch.
///
/// size is sizeof *info as the program knows it: fields that the library does not know are set to 0, and it writes no
/// more than size bytes.
///
/// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL, size 0 or an id that is no watch's; SHAKER_ERR_FORKED. Then nothing
/// was written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_get(
    monitor: *const shaker_monitor,
    id: u64,
    info: *mut shaker_watch_info,
    size: usize,
) -> shaker_status {
    guard(shaker_status::SHAKER_ERR_INTERNAL, || {
        with(monitor, |monitor| {
            if info.is_null() || size == 0 {
                return shaker_status::SHAKER_ERR_INVALID;
            }
            match monitor.get(id) {
                Ok(known) => {
                    // SAFETY: the caller's `size` bytes.
                    unsafe { write_growing(&shaker_watch_info::from(&known), info, size) };
                    shaker_status::SHAKER_OK
                }
                Err(status) => status.into(),
            }
        })
    })
}

/// Moves changes into an array, waiting up to wait_ms milliseconds for the first: 0 does not wait, UINT32_MAX waits for
/// ever. Several threads may reap at once; each change comes out once, those of one watch in their order.
///
/// Of a watch that changes faster than it is reaped, two changes wait: the first that was not reaped, and the latest,
/// which has SHAKER_CHANGE_SKIPPED if there were others in between.
///
/// Returns how many changes were written, at most capacity. 0: none came in time, an argument was NULL, the checker was
/// shut down and all changes were reaped, or it belongs to the parent process. From one of the checker's own callbacks it
/// does not wait, nor with a capacity of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_reap(
    monitor: *mut shaker_monitor,
    changes: *mut shaker_change,
    capacity: usize,
    wait_ms: u32,
) -> usize {
    guard(0, || {
        // SAFETY: NULL, or a monitor that is not freed.
        let Some(monitor) = (unsafe { monitor.as_ref() }) else { return 0 };
        if changes.is_null() {
            return 0;
        }
        let wait = (wait_ms != u32::MAX).then(|| Duration::from_millis(wait_ms.into()));
        let mut next = changes;
        monitor.0.reap_each(capacity, wait, |change| {
            // SAFETY: the caller's array of `capacity` changes, of which `reap_each` fills no more.
            unsafe {
                next.write(shaker_change::from(&change));
                next = next.add(1);
            }
        })
    })
}

/// A descriptor that is readable exactly while changes wait to be reaped (of a caller-driven checker: while
/// shaker_monitor_reap has anything to do), for poll, epoll, select, io_uring and event loops over them; level- or
/// edge-triggered (then reap until shaker_monitor_reap returns less than was asked for).
///
/// Returns the descriptor, which stays the same, belongs to the monitor, and is closed with it: never read, write or close
/// it. -1 if monitor is NULL, in a forked child, where the platform has none (SHAKER_CAN_POLL_FD), or if the process has
/// none left or no memory, in which case a later call tries again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_fd(monitor: *const shaker_monitor) -> c_int {
    guard(-1, || {
        // SAFETY: NULL, or a monitor that is not freed.
        unsafe { monitor.as_ref() }.and_then(|monitor| monitor.0.raw_fd()).unwrap_or(-1)
    })
}

/// How many changes to SHAKER_STATE_DOWN were held back since the monitor was made, as this program was late itself, or too
/// many watches would have been down (shaker_monitor_config_set_max_down_percent).
///
/// Returns that number; 0 if monitor is NULL, and in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shaker_monitor_held(monitor: *const shaker_monitor) -> u64 {
    guard(0, || {
        // SAFETY: NULL, or a monitor that is not freed.
        unsafe { monitor.as_ref() }.map_or(0, |monitor| monitor.0.held())
    })
}

/// Runs the body of a function of a monitor, unless that is NULL.
fn with(monitor: *const shaker_monitor, body: impl FnOnce(&Monitor) -> shaker_status) -> shaker_status {
    // SAFETY: NULL, or a monitor that is not freed.
    match unsafe { monitor.as_ref() } {
        Some(monitor) => body(&monitor.0),
        None => shaker_status::SHAKER_ERR_INVALID,
    }
}
