//! Calls on checkers.

use std::ffi::{CString, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tcpshaker::c_api::*;

use crate::asking::Asking;
use crate::books::{self, Asked, CHECKER, CHECKERS, REAPED_BY_CALLBACK, SHUT_DOWN, Way};
use crate::input::Input;
use crate::monitors::Monitors;
use crate::targets::{Kind, Targets};

pub const OK: shaker_status = shaker_status::SHAKER_OK;
/// Longer than any check takes, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A checker, and what the input has chosen for it.
#[derive(Clone, Copy)]
pub struct Checker {
    pub handle: *mut shaker_checker,
    /// Its checks, too, may be refused for what they are.
    pub is_odd: bool,
    pub is_raw: bool,
    is_driven: bool,
    is_shut_down: bool,
    /// Tells it from others that had its place.
    pub number: u64,
}

#[derive(Default)]
pub struct Checkers {
    pub all: [Option<Checker>; CHECKERS],
    last: Option<shaker_result>,
    ids: Vec<u64>,
    latest: u64,
}

impl Checkers {
    pub fn call(&mut self, input: &mut Input<'_>, targets: &Targets, monitors: &mut Monitors) {
        let place = input.below(CHECKERS);
        let Some(checker) = self.all[place] else { return self.make(input, place) };
        let handle = checker.handle;
        match input.below(13) {
            0..3 => self.submit(input, targets, place, checker),
            3 => check(input, targets, place, checker),
            4 => check_many(input, targets, place, checker),
            5 | 6 => self.reap(input, place, handle),
            7 => {
                let id = if input.one_in(4) { 0 } else { self.ids.get(input.below(64)).copied().unwrap_or(u64::MAX) };
                // SAFETY: a checker that is not freed, here and below.
                let status = unsafe { shaker_cancel(handle, id) };
                match status {
                    OK => assert!(!checker.is_shut_down),
                    shaker_status::SHAKER_ERR_CLOSED => assert!(checker.is_shut_down || SHUT_DOWN[place].load(SeqCst)),
                    other => panic!("{other:?}"),
                }
            }
            8 if input.one_in(4) => {
                self.all[place] = Some(Checker { is_shut_down: true, ..checker });
                // SAFETY: as above.
                unsafe { shaker_checker_shutdown(handle) };
            }
            9 if input.one_in(4) => {
                monitors.free_those_of(checker.number);
                self.free(place);
                books::close(place);
            }
            10 => self.look_at_descriptor(place, checker),
            11 => stats(input, handle),
            _ => self.describe(input),
        }
    }

    fn make(&mut self, input: &mut Input<'_>, place: usize) {
        let config = shaker_config_new();
        let (mut is_odd, mut is_driven) = (false, false);
        let engine = input.of(&[0, 0, 1, 2]);
        // SAFETY: a configuration that is not freed, and texts that end with NUL.
        unsafe {
            assert_eq!(shaker_config_set_engine(config, engine), OK);
            assert_eq!(shaker_config_set_timeout(config, 30), OK);
            assert_eq!(shaker_config_set_threads(config, input.of(&[1, 1, 2])), OK);
            for _ in 0..input.below(4) {
                let value = u32::from(input.byte());
                match input.below(11) {
                    0 => assert_eq!(shaker_config_set_max_in_flight(config, value) == OK, value != 0),
                    1 => assert_eq!(shaker_config_set_max_rate(config, value * 100), OK),
                    2 => assert_eq!(shaker_config_set_max_lookups(config, value) == OK, value != 0),
                    3 => assert_eq!(shaker_config_set_syn_interval(config, value % 32), OK),
                    4 | 5 => {
                        is_driven = true;
                        assert_eq!(shaker_config_set_caller_driven(config, true), OK);
                    }
                    6 => {
                        is_odd = true;
                        let family = [libc::AF_INET, libc::AF_INET6][value as usize % 2];
                        assert_eq!(shaker_config_set_family(config, family), OK);
                    }
                    7 => assert_eq!(shaker_config_set_zero_linger(config, engine == 1 || value % 2 == 0), OK),
                    8 => assert_eq!(shaker_config_set_source(config, c"127.0.0.1".as_ptr()), OK),
                    9 => {
                        is_odd |= value % 2 == 1;
                        let name = [c"lo", c"none"][value as usize % 2];
                        assert_eq!(shaker_config_set_interface(config, name.as_ptr()), OK);
                    }
                    _ => assert_eq!(shaker_config_set_tos(config, value as u8), OK),
                }
            }
            let mut handle = null_mut();
            let status = shaker_checker_new(config, &mut handle);
            shaker_config_free(config);
            assert_eq!(status, OK);
            let is_raw = shaker_checker_engine(handle) == shaker_engine::SHAKER_ENGINE_RAW as i32;
            assert!(is_raw || engine != 1);
            CHECKER[place].store(handle, SeqCst);
            SHUT_DOWN[place].store(false, SeqCst);
            self.latest += 1;
            let number = self.latest;
            self.all[place] = Some(Checker { handle, is_odd, is_raw, is_driven, is_shut_down: false, number });
        }
    }

    fn submit(&mut self, input: &mut Input<'_>, targets: &Targets, place: usize, checker: Checker) {
        let askings: Vec<Asking> = (0..1 + input.below(6)).map(|_| Asking::read(input, targets, checker)).collect();
        let mut requests = Vec::new();
        let mut numbers = Vec::new();
        for asking in &askings {
            let (way, deed) = if input.one_in(3) { (Way::CalledBack, input.byte()) } else { (Way::Reaped, 0) };
            let Some(number) = books::enter(asking.asked(way, deed, place, checker)) else { break };
            let callback: shaker_callback = if way == Way::CalledBack { Some(called_back) } else { None };
            requests.push(shaker_request { callback, ..asking.request(number) });
            numbers.push(number);
        }
        let is_valid = askings[..requests.len()].iter().all(Asking::is_valid);
        let mut ids = vec![0; requests.len()];
        let wants_ids = !input.one_in(4);
        // SAFETY: a checker that is not freed, and arrays of so many.
        let status = unsafe {
            let ids = if wants_ids { ids.as_mut_ptr() } else { null_mut() };
            shaker_submit(checker.handle, requests.as_ptr(), requests.len(), ids)
        };
        if status != OK {
            numbers.into_iter().for_each(books::refuse);
            assert!(ids.iter().all(|id| *id == 0), "ids of checks that were refused");
        }
        match status {
            OK => assert!(is_valid && (!wants_ids || ids.iter().all(|id| *id != 0))),
            shaker_status::SHAKER_ERR_INVALID => assert!(!is_valid),
            // A callback may have shut it down.
            shaker_status::SHAKER_ERR_CLOSED => self.all[place] = Some(Checker { is_shut_down: true, ..checker }),
            other => panic!("{other:?}"),
        }
        self.ids.extend(ids);
    }

    fn reap(&mut self, input: &mut Input<'_>, place: usize, handle: *mut shaker_checker) {
        let (capacity, wait_ms) = (input.below(8), input.of(&[0, 0, 1, 3]));
        self.reap_some(place, handle, capacity, wait_ms);
    }

    fn reap_some(&mut self, place: usize, handle: *mut shaker_checker, capacity: usize, wait_ms: u32) -> usize {
        let results = reaped(handle, capacity, wait_ms);
        results.iter().for_each(|result| books::note(result, place));
        self.last = results.last().copied().or(self.last);
        results.len()
    }

    /// Waits for the results of all checks that were submitted: each comes.
    pub fn reap_all(&mut self) {
        let begun = Instant::now();
        for place in 0..CHECKERS {
            let Some(Checker { handle, .. }) = self.all[place] else { continue };
            loop {
                let missing = books::missing(place, &[Way::Reaped, Way::CalledBack]);
                if missing.is_empty() {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "results that never come: {missing:?}");
                self.reap_some(place, handle, 16, 5);
            }
        }
    }

    /// It is readable exactly while results wait.
    fn look_at_descriptor(&mut self, place: usize, checker: Checker) {
        // SAFETY: a checker that is not freed, and one descriptor that lives through the call.
        let readable = unsafe {
            let fd = shaker_checker_fd(checker.handle);
            assert!(fd >= 0);
            let mut watched = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            libc::poll(&mut watched, 1, 1) == 1
        };
        let reaped = self.reap_some(place, checker.handle, 16, 0);
        let is_alone = !checker.is_driven && !REAPED_BY_CALLBACK.load(SeqCst);
        assert!(!readable || !is_alone || reaped > 0, "readable, and nothing is there");
    }

    fn describe(&self, input: &mut Input<'_>) {
        let mut buffer = [1; 64];
        let capacity = input.below(65);
        let result = self.last.as_ref().map_or(null(), |result| result as *const shaker_result);
        let text = CString::new(input.text().split(|byte| *byte == 0).next().unwrap_or_default()).expect("no NUL");
        // SAFETY: NULL or a result, a text that ends with NUL, and a buffer of at least this capacity.
        let length = unsafe {
            match input.below(3) {
                0 => shaker_result_str(result, buffer.as_mut_ptr(), capacity),
                1 => shaker_result_describe(result, text.as_ptr(), buffer.as_mut_ptr(), capacity),
                _ => shaker_result_error_str(result, buffer.as_mut_ptr(), capacity),
            }
        };
        let end = buffer[..capacity].iter().position(|byte| *byte == 0);
        let is_whole = end == Some(length);
        // It is cut before a character that does not fit as a whole, which has four bytes at most.
        let is_cut = length >= capacity && end.is_some_and(|end| end + 4 >= capacity);
        assert!(capacity == 0 || is_whole || is_cut, "a text without its end");
        assert!(buffer[capacity..].iter().all(|byte| *byte == 1), "it wrote beyond its buffer");
    }

    fn free(&mut self, place: usize) {
        let Some(checker) = self.all[place].take() else { return };
        // SAFETY: a checker that is not freed; nobody has it but its callbacks, for which this waits.
        assert_eq!(unsafe { shaker_checker_free(checker.handle) }, OK);
        CHECKER[place].store(null_mut(), SeqCst);
    }

    /// As is right: nothing of them goes on.
    pub fn free_all(&mut self) {
        (0..CHECKERS).for_each(|place| self.free(place));
    }

    /// Their monitors keep what they hold, and their callbacks come until those are freed.
    pub fn free_all_before_their_monitors(&mut self) {
        CHECKER.iter().for_each(|checker| checker.store(null_mut(), SeqCst));
        // A callback that has seen a checker before that is done with it.
        while CALLBACKS.load(SeqCst) > 0 {
            std::thread::yield_now();
        }
        self.free_all();
    }
}

fn reaped(handle: *mut shaker_checker, capacity: usize, wait_ms: u32) -> Vec<shaker_result> {
    let mut results = Vec::with_capacity(capacity);
    // SAFETY: a checker that is not freed, and an array of this capacity, so many of which are written.
    unsafe {
        let count = shaker_reap(handle, results.as_mut_ptr(), capacity, wait_ms);
        assert!(count <= capacity);
        results.set_len(count);
    }
    results
}

fn check(input: &mut Input<'_>, targets: &Targets, place: usize, checker: Checker) {
    let asking = Asking::read(input, targets, checker);
    let Some(number) = books::enter(asking.asked(Way::Returned, 0, place, checker)) else { return };
    // SAFETY: all zeroes is a result, as C has it; then a checker that is not freed, and a request.
    let (status, result) = unsafe {
        let mut result = std::mem::zeroed();
        (shaker_check(checker.handle, &asking.request(number), &mut result), result)
    };
    assert_eq!(status as i32, result.status);
    match asking.is_valid() {
        true => books::note(&result, place),
        false => {
            books::refuse(number);
            assert_eq!(status, shaker_status::SHAKER_ERR_INVALID);
        }
    }
}

fn check_many(input: &mut Input<'_>, targets: &Targets, place: usize, checker: Checker) {
    let askings: Vec<Asking> = (0..input.below(7)).map(|_| Asking::read(input, targets, checker)).collect();
    let enter = |asking: &Asking| books::enter(asking.asked(Way::OfAList, 0, place, checker));
    let numbers: Vec<usize> = askings.iter().map_while(enter).collect();
    let requests: Vec<_> = askings.iter().zip(&numbers).map(|(asking, number)| asking.request(*number)).collect();
    let is_valid = askings[..requests.len()].iter().all(Asking::is_valid);
    let mut results = Vec::with_capacity(requests.len());
    // SAFETY: a checker that is not freed, an array of requests and room for as many results.
    let status = unsafe { shaker_check_many(checker.handle, requests.as_ptr(), requests.len(), results.as_mut_ptr()) };
    match status {
        OK => {
            assert!(is_valid);
            // SAFETY: with SHAKER_OK every result is written.
            unsafe { results.set_len(requests.len()) };
            for (result, number) in results.iter().zip(&numbers) {
                assert_eq!(result.user_data as usize, number + 1, "results in another order");
                books::note(result, place);
            }
        }
        shaker_status::SHAKER_ERR_INVALID => assert!(!is_valid),
        shaker_status::SHAKER_ERR_CLOSED => {}
        other => panic!("{other:?}"),
    }
    if status != OK {
        numbers.into_iter().for_each(books::refuse);
    }
}

fn stats(input: &mut Input<'_>, handle: *mut shaker_checker) {
    let size = input.below(size_of::<shaker_stats>() + 1);
    // SAFETY: all zeroes are stats; a checker that is not freed, and no more than there is room for.
    unsafe {
        let mut stats: shaker_stats = std::mem::zeroed();
        assert_eq!(shaker_checker_stats(handle, &mut stats, size) == OK, size > 0);
    }
}

/// Callbacks that are under way.
static CALLBACKS: AtomicUsize = AtomicUsize::new(0);

/// Notes the result, and does what the request says.
unsafe extern "C" fn called_back(result: *const shaker_result, user_data: *mut c_void) {
    // SAFETY: the library's result, valid until this returns.
    let result = unsafe { *result };
    assert_eq!(result.user_data, user_data);
    let asked = books::asked(user_data as usize - 1);
    assert_eq!(asked.way, Way::CalledBack);
    books::note(&result, asked.checker);
    CALLBACKS.fetch_add(1, SeqCst);
    let handle = CHECKER[asked.checker].load(SeqCst);
    if !handle.is_null() {
        act(handle, asked);
    }
    CALLBACKS.fetch_sub(1, SeqCst);
}

fn act(handle: *mut shaker_checker, asked: Asked) {
    // SAFETY: the checker waits for its callbacks before it is freed.
    unsafe {
        match asked.deed % 16 {
            0 => assert_ne!(shaker_cancel(handle, 0), shaker_status::SHAKER_ERR_INVALID),
            1 => {
                REAPED_BY_CALLBACK.store(true, SeqCst);
                reaped(handle, 4, u32::MAX).iter().for_each(|result| books::note(result, asked.checker));
            }
            2 => submit_again(handle, asked),
            3 => {
                let status = shaker_check_addr(handle, c"127.0.0.1:8080".as_ptr(), 5, null_mut());
                let refused = [shaker_status::SHAKER_ERR_DEADLOCK, shaker_status::SHAKER_ERR_CLOSED];
                assert!(refused.contains(&status), "{status:?}");
            }
            4 => assert_eq!(shaker_checker_free(handle), shaker_status::SHAKER_ERR_DEADLOCK),
            5 if asked.deed >= 128 => {
                SHUT_DOWN[asked.checker].store(true, SeqCst);
                shaker_checker_shutdown(handle);
            }
            _ => {}
        }
    }
}

fn submit_again(handle: *mut shaker_checker, asked: Asked) {
    let again = Asked { kind: Kind::Malformed, way: Way::Reaped, deed: 0, flags: 0, ..asked };
    let Some(number) = books::enter(again) else { return };
    // SAFETY: all zeroes is a request; the text ends with NUL, and the checker is not freed.
    unsafe {
        let user_data = (number + 1) as *mut c_void;
        let request = shaker_request { addr: c"nowhere".as_ptr(), user_data, ..std::mem::zeroed() };
        match shaker_submit(handle, &request, 1, null_mut()) {
            OK => {}
            shaker_status::SHAKER_ERR_CLOSED => books::refuse(number),
            other => panic!("{other:?}"),
        }
    }
}
