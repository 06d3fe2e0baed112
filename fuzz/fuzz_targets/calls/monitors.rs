//! Calls on monitors.

use std::ffi::{CString, c_void};
use std::ptr::{null, null_mut};

use tcpshaker::c_api::*;

use crate::books::CHECKERS;
use crate::checkers::{Checkers, OK};
use crate::input::Input;
use crate::targets::{Kind, Targets};

const MONITORS: usize = 2;
const UP: i32 = shaker_state::SHAKER_STATE_UP as i32;
const DOWN: i32 = shaker_state::SHAKER_STATE_DOWN as i32;

struct Watch {
    id: u64,
    kind: Kind,
    /// What the latest change led to, or what it began with.
    state: i32,
    /// The program has reported something else than the truth, perhaps.
    is_reported: bool,
    is_removed: bool,
}

struct Monitor {
    handle: *mut shaker_monitor,
    /// The checker's place, and its number.
    place: usize,
    checker: u64,
    tells_every_result: bool,
    watches: Vec<Watch>,
}

#[derive(Default)]
pub struct Monitors([Option<Monitor>; MONITORS]);

impl Monitors {
    pub fn call(&mut self, input: &mut Input<'_>, targets: &Targets, checkers: &mut Checkers) {
        let place = input.below(MONITORS);
        let Some(monitor) = &mut self.0[place] else {
            self.0[place] = make(input, checkers);
            return;
        };
        let is_there = checkers.all[monitor.place].is_some_and(|checker| checker.number == monitor.checker);
        // Its checker was freed: what is left to do is to free it.
        if !is_there || input.one_in(16) {
            return self.free(place);
        }
        monitor.call(input, targets, checkers);
    }

    fn free(&mut self, place: usize) {
        let Some(monitor) = self.0[place].take() else { return };
        // SAFETY: a monitor that is not freed, and that nobody else has.
        assert_eq!(unsafe { shaker_monitor_free(monitor.handle) }, OK);
    }

    pub fn free_those_of(&mut self, checker: u64) {
        for place in 0..MONITORS {
            if self.0[place].as_ref().is_some_and(|monitor| monitor.checker == checker) {
                self.free(place);
            }
        }
    }

    pub fn free_all(&mut self) {
        (0..MONITORS).for_each(|place| self.free(place));
    }
}

fn make(input: &mut Input<'_>, checkers: &Checkers) -> Option<Monitor> {
    let place = input.below(CHECKERS);
    let checker = checkers.all[place]?;
    let config = shaker_monitor_config_new();
    let tells_every_result = input.one_in(2);
    let percent = u32::from(input.byte());
    let mut handle = null_mut();
    // SAFETY: a configuration and a checker that are not freed.
    let status = unsafe {
        assert_eq!(shaker_monitor_config_set_max_spread(config, input.of(&[0, 0, 3])), OK);
        assert_eq!(shaker_monitor_config_set_every_result(config, tells_every_result), OK);
        assert_eq!(shaker_monitor_config_set_max_down_percent(config, percent) == OK, percent <= 100);
        let status = shaker_monitor_new(checker.handle, config, &mut handle);
        shaker_monitor_config_free(config);
        status
    };
    match status {
        OK => Some(Monitor { handle, place, checker: checker.number, tells_every_result, watches: Vec::new() }),
        shaker_status::SHAKER_ERR_CLOSED => {
            assert!(handle.is_null());
            None
        }
        other => panic!("{other:?}"),
    }
}

impl Monitor {
    fn call(&mut self, input: &mut Input<'_>, targets: &Targets, checkers: &Checkers) {
        let index = input.below(self.watches.len().max(1));
        let watch = self.watches.get_mut(index);
        let (id, is_there) = watch.as_ref().map_or((77, false), |watch| (watch.id, !watch.is_removed));
        let is_known = |status: shaker_status| match status {
            OK => assert!(is_there),
            shaker_status::SHAKER_ERR_INVALID => assert!(!is_there),
            shaker_status::SHAKER_ERR_CLOSED => {}
            other => panic!("{other:?}"),
        };
        // SAFETY: a monitor that is not freed, and arrays of the sizes that are given.
        unsafe {
            match input.below(12) {
                0..3 => self.add(input, targets, checkers),
                3 => {
                    is_known(shaker_monitor_remove(self.handle, &id, 1));
                    watch.into_iter().for_each(|watch| watch.is_removed = true);
                }
                4 => is_known(shaker_monitor_pause(self.handle, id, input.one_in(2))),
                5 => is_known(shaker_monitor_check_now(self.handle, id)),
                6 => {
                    watch.into_iter().for_each(|watch| watch.is_reported = true);
                    is_known(shaker_monitor_report(self.handle, id, input.one_in(2)));
                }
                7 => {
                    let mut info: shaker_watch_info = std::mem::zeroed();
                    let size = input.below(size_of::<shaker_watch_info>() + 1);
                    let status = shaker_monitor_get(self.handle, id, &mut info, size);
                    assert_eq!(status == OK, is_there && size > 0, "{status:?}");
                    assert!(info.changes <= info.up + info.down);
                }
                8 => assert!(shaker_monitor_fd(self.handle) >= 0),
                9 => drop(shaker_monitor_held(self.handle)),
                _ => self.reap(input.below(9), input.of(&[0, 1, 3])),
            }
        }
    }

    fn add(&mut self, input: &mut Input<'_>, targets: &Targets, checkers: &Checkers) {
        let is_raw = checkers.all[self.place].is_some_and(|checker| checker.is_raw);
        let mut kinds = Vec::new();
        let mut texts = Vec::new();
        for _ in 0..1 + input.below(4) {
            let kind = input.of(&[Kind::Live, Kind::Live, Kind::Dead, Kind::Silent, Kind::Named, Kind::Malformed]);
            texts.push(match kind {
                Kind::Live => targets.live_v4().to_string(),
                Kind::Dead => targets.dead().to_string(),
                Kind::Silent => targets.silent().to_string(),
                Kind::Named => format!("localhost:{}", targets.live_v4().port()),
                _ => "nowhere".to_owned(),
            });
            kinds.push(kind);
        }
        let texts: Vec<CString> = texts.into_iter().map(|text| CString::new(text).expect("no NUL")).collect();
        let first = self.watches.len();
        let mut watches: Vec<shaker_watch> = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            watches.push(shaker_watch {
                addr: text.as_ptr(),
                timeout_ms: input.of(&[0, 5, 20]),
                interval_ms: 1 + input.below(8) as u32,
                falling_ms: input.below(3) as u32,
                down_ms: input.below(3) as u32,
                fall: input.below(4) as u32,
                rise: input.below(4) as u32,
                first_fall: input.below(3) as u32,
                first_rise: input.below(3) as u32,
                jitter_percent: input.below(60) as u32,
                initial: input.below(4) as i32,
                flags: if input.one_in(4) { input.below(4) as u32 } else { 0 },
                user_data: (first + index + 1) as *mut c_void,
                // SAFETY: all zeroes is a watch, as C has it.
                ..unsafe { std::mem::zeroed() }
            });
        }
        let is_valid = watches.iter().all(|watch| watch.jitter_percent <= 50 && watch.initial <= 2);
        let is_address = !kinds.contains(&Kind::Malformed);
        let is_supported = !is_raw || watches.iter().all(|watch| watch.flags & 3 == 0);
        let mut ids = vec![0; watches.len()];
        // SAFETY: a monitor that is not freed, and arrays of so many.
        let status = unsafe { shaker_monitor_add(self.handle, watches.as_ptr(), watches.len(), ids.as_mut_ptr()) };
        match status {
            OK => assert!(is_valid && is_address && is_supported),
            shaker_status::SHAKER_ERR_INVALID => assert!(!is_valid),
            shaker_status::SHAKER_ERR_ADDRESS => assert!(!is_address),
            shaker_status::SHAKER_ERR_UNSUPPORTED => assert!(!is_supported),
            shaker_status::SHAKER_ERR_CLOSED => {}
            other => panic!("{other:?}"),
        }
        if status != OK {
            return assert!(ids.iter().all(|id| *id == 0), "ids of watches that were refused");
        }
        for ((id, kind), watch) in ids.into_iter().zip(kinds).zip(watches) {
            assert!(id != 0 && self.watches.iter().all(|other| other.id != id));
            self.watches.push(Watch { id, kind, state: watch.initial, is_reported: false, is_removed: false });
        }
    }

    /// Each change goes on where the one before it ended, and none is untrue.
    fn reap(&mut self, capacity: usize, wait_ms: u32) {
        let mut changes: Vec<shaker_change> = Vec::with_capacity(capacity);
        // SAFETY: a monitor that is not freed, and an array of this capacity, so many of which are written.
        unsafe {
            let count = shaker_monitor_reap(self.handle, changes.as_mut_ptr(), capacity, wait_ms);
            assert!(count <= capacity);
            changes.set_len(count);
            assert_eq!(shaker_monitor_reap(self.handle, null_mut(), 0, 0), 0);
        }
        for change in changes {
            let index = (change.user_data as usize).wrapping_sub(1);
            let watch = self.watches.get_mut(index).expect("a change of a watch");
            let said = (change.from, change.to, change.run, change.flags, change.last.status);
            assert_eq!(change.id, watch.id);
            assert!(!watch.is_removed, "a change of a watch that was removed: {said:?}");
            let is_next = change.from == watch.state || change.flags & SHAKER_CHANGE_SKIPPED != 0;
            assert!(is_next, "{:?} was {}: {said:?}", watch.kind, watch.state);
            let is_change = change.from != change.to;
            assert!(is_change || self.tells_every_result, "{said:?}");
            let is_false = match watch.kind {
                Kind::Live | Kind::Named => is_change && change.to == DOWN,
                _ => is_change && change.to == UP,
            };
            assert!(!is_false || watch.is_reported, "{:?}: {said:?}", watch.kind);
            assert!(change.last.status != shaker_status::SHAKER_ERR_INTERNAL as i32);
            watch.state = change.to;
        }
        // SAFETY: NULL is refused.
        unsafe { assert_eq!(shaker_monitor_add(null_mut(), null(), 0, null_mut()), shaker_status::SHAKER_ERR_INVALID) };
    }
}
