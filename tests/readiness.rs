//! The descriptor behind the queue of results: readable exactly while results wait, for whoever watches it and however.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::driven::{self, stats};
use support::firewall::{self, Hook};
use support::process::until;
use support::targets::{DEAD_PORT, Listener, V4, at};
use tcpshaker::{Checker, Monitor, MonitorConfig, Report, Request, Status};

const PORT: u16 = 8080;
const SILENT_PORT: u16 = 8081;
/// Nothing here takes a hundredth of this. Whoever waits so long has missed a wake-up.
const FOR_EVER: Duration = Duration::from_secs(60);

/// The ways to wait for a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Poll,
    Select,
    Epoll,
    EdgeTriggeredEpoll,
}

const WAYS: [Way; 4] = [Way::Poll, Way::Select, Way::Epoll, Way::EdgeTriggeredEpoll];

/// Somebody who waits for descriptors in one way.
struct Watcher {
    way: Way,
    fds: Vec<RawFd>,
    epoll: Option<OwnedFd>,
}

impl Watcher {
    fn new(way: Way, fds: &[RawFd]) -> Watcher {
        let epoll = matches!(way, Way::Epoll | Way::EdgeTriggeredEpoll).then(|| {
            // SAFETY: makes a descriptor that nobody else owns.
            let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
            let edge = if way == Way::Epoll { 0 } else { libc::EPOLLET };
            for &fd in fds {
                let mut event = libc::epoll_event { events: (libc::EPOLLIN | edge) as u32, u64: fd as u64 };
                // SAFETY: the event lives through the call.
                let added = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
                assert_eq!(added, 0, "{}", std::io::Error::last_os_error());
            }
            epoll
        });
        Watcher { way, fds: fds.to_vec(), epoll }
    }

    /// Waits until one of the descriptors is readable; false when none is in time.
    fn wait(&self, patience: Duration) -> bool {
        let milliseconds = patience.as_millis() as i32;
        let ready = match self.way {
            Way::Poll => {
                let entry = |&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
                let mut fds: Vec<libc::pollfd> = self.fds.iter().map(entry).collect();
                // SAFETY: the array lives through the call, with its true length.
                let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, milliseconds) };
                assert!(fds.iter().all(|fd| fd.revents & !libc::POLLIN == 0), "only ever readable");
                ready
            }
            Way::Select => {
                // SAFETY: a set of bits, all of which may be zero.
                let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
                let highest = self.fds.iter().max().expect("a descriptor");
                let mut timeout = libc::timeval {
                    tv_sec: patience.as_secs() as libc::time_t,
                    tv_usec: patience.subsec_micros().into(),
                };
                // SAFETY: the descriptors are below FD_SETSIZE, and what select writes to lives through the call.
                unsafe {
                    for &fd in &self.fds {
                        assert!((fd as usize) < libc::FD_SETSIZE);
                        libc::FD_SET(fd, &mut set);
                    }
                    let null = std::ptr::null_mut();
                    libc::select(highest + 1, &mut set, null, null, &mut timeout)
                }
            }
            Way::Epoll | Way::EdgeTriggeredEpoll => {
                let mut events: [libc::epoll_event; 4] = [libc::epoll_event { events: 0, u64: 0 }; 4];
                let epoll = self.epoll.as_ref().expect("an epoll").as_raw_fd();
                // SAFETY: the array lives through the call, with its true length.
                unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 4, milliseconds) }
            }
        };
        assert!(ready >= 0, "{:?}: {}", self.way, std::io::Error::last_os_error());
        ready > 0
    }

    fn is_ready(&self) -> bool {
        self.wait(Duration::ZERO)
    }
}

fn checker(threads: u32) -> Checker {
    let mut config = driven::config();
    config.set_threads(threads).unwrap();
    config.set_timeout(60_000).unwrap();
    Checker::new(&config).expect("a checker")
}

fn fd_of(checker: &Checker) -> RawFd {
    checker.raw_fd().expect("a descriptor")
}

fn submit(checker: &Checker, count: usize) {
    submit_tagged(checker, 0..count);
}

/// Live and dead targets in turn, whose answers come at once.
fn submit_tagged(checker: &Checker, tags: std::ops::Range<usize>) {
    let request = |tag| Request { tag, ..Request::new(at(V4, if tag % 2 == 0 { PORT } else { DEAD_PORT })) };
    checker.submit(tags.map(request).collect()).expect("a live checker");
}

fn reap_now(checker: &Checker, capacity: usize) -> usize {
    checker.reap(&mut Vec::new(), capacity, Some(Duration::ZERO))
}

/// Nothing is told for so long. What a caller-driven checker's descriptor tells of it may be no result: then it gets
/// on.
fn is_quiet(watcher: &Watcher, checker: &Checker, time: Duration) -> bool {
    let tries = if driven::is_driven() { 10 } else { 1 };
    (0..tries).any(|_| {
        let is_quiet = !watcher.wait(time);
        driven::drive(checker);
        is_quiet
    })
}

/// Whether so many results are what a watcher may find that is told of something.
fn is_reason(taken: usize) -> bool {
    taken > 0 || driven::is_driven()
}

/// Waits until every submitted check has its result.
fn settle(checker: &Checker) {
    until("all results are there", || {
        let stats = stats(checker);
        stats.up + stats.refused + stats.cancelled + stats.closed == stats.submitted
    });
}

#[test]
fn what_a_rust_program_borrows_is_the_descriptor_that_has_the_number() {
    let checker = Arc::new(checker(1));
    let monitor = Monitor::new(checker.clone(), &MonitorConfig::default()).expect("a monitor");
    let number = |borrowed: Option<BorrowedFd<'_>>| borrowed.expect("a descriptor").as_raw_fd();
    assert_eq!(Some(number(checker.fd())), checker.raw_fd());
    assert_eq!(Some(number(monitor.fd())), monitor.raw_fd());
}

mod one_watcher {
    use super::*;

    #[test]
    fn finds_it_readable_from_the_first_result_until_the_last_is_reaped() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        for way in WAYS.into_iter().filter(|way| *way != Way::EdgeTriggeredEpoll) {
            let checker = checker(1);
            let watcher = Watcher::new(way, &[fd_of(&checker)]);
            assert!(is_quiet(&watcher, &checker, Duration::ZERO), "{way:?}: nothing was submitted yet");
            for count in (1..40).chain([300, 600]) {
                submit(&checker, count);
                assert!(watcher.wait(FOR_EVER), "{way:?}: no wake-up for {count} results");
                let mut left = count;
                while left > 0 {
                    assert!(watcher.wait(FOR_EVER), "{way:?}: {left} results are to come, or wait already");
                    let taken = reap_now(&checker, 7);
                    assert!(is_reason(taken), "{way:?}: readable, but nothing waits");
                    left -= taken;
                }
                assert!(is_quiet(&watcher, &checker, Duration::ZERO), "{way:?}: readable, but everything was reaped");
            }
        }
    }

    #[test]
    fn of_edges_sees_one_for_results_that_come_after_everything_was_reaped() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        let checker = checker(1);
        let watcher = Watcher::new(Way::EdgeTriggeredEpoll, &[fd_of(&checker)]);
        assert!(is_quiet(&watcher, &checker, Duration::ZERO));
        for count in (1..40).chain([300, 600]) {
            submit(&checker, count);
            let mut left = count;
            while left > 0 {
                assert!(watcher.wait(FOR_EVER), "no edge, and {left} results are to come");
                // Until there are fewer than asked for, as the header says.
                loop {
                    let taken = reap_now(&checker, 7);
                    left -= taken;
                    if taken < 7 {
                        break;
                    }
                }
            }
            assert!(is_quiet(&watcher, &checker, Duration::ZERO), "an edge, but everything was reaped");
        }
    }

    #[test]
    fn that_comes_when_results_wait_already_sees_them_whenever_the_descriptor_was_made() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        for way in WAYS {
            for made_early in [true, false] {
                let checker = checker(2);
                let early = made_early.then(|| fd_of(&checker));
                submit(&checker, 10);
                settle(&checker);
                until("the results are queued", || checker.reap(&mut Vec::new(), 1, Some(Duration::ZERO)) == 1);
                let fd = fd_of(&checker);
                assert!(early.is_none_or(|early| early == fd), "it stays the same");
                let watcher = Watcher::new(way, &[fd]);
                assert!(watcher.wait(FOR_EVER), "{way:?}, made early: {made_early}");
                let mut left = 9;
                until("the rest", || {
                    left -= reap_now(&checker, 100);
                    left == 0
                });
                assert!(
                    is_quiet(&watcher, &checker, Duration::ZERO),
                    "{way:?}, made early: {made_early}: everything was reaped"
                );
                submit(&checker, 1);
                assert!(watcher.wait(FOR_EVER), "{way:?}, made early: {made_early}: the next result");
            }
        }
    }

    #[test]
    fn is_not_woken_by_blocking_checks_lists_and_callbacks() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        let checker = checker(2);
        let watchers = WAYS.map(|way| Watcher::new(way, &[fd_of(&checker)]));
        let live = Request::new(at(V4, PORT));
        assert_eq!(checker.check(&live).status, Status::Up);
        assert!(checker.check_many(&vec![live.clone(); 100]).iter().all(|verdict| verdict.status == Status::Up));
        for _ in 0..100 {
            checker.submit_with(live.clone(), Box::new(|_| ())).expect("a live checker");
        }
        settle(&checker);
        for watcher in &watchers {
            assert!(
                is_quiet(watcher, &checker, Duration::from_millis(20)),
                "{:?}: no result is to be reaped",
                watcher.way
            );
        }
        submit(&checker, 1);
        for watcher in &watchers {
            assert!(watcher.wait(FOR_EVER), "{:?}: one is", watcher.way);
        }
    }

    #[test]
    fn sees_the_results_of_a_cancel_and_of_the_shutdown_and_then_nothing_more() {
        namespaced!("nft");
        firewall::add(Hook::Input, &[&format!("tcp dport {SILENT_PORT} drop")]);
        for way in WAYS {
            for status in [Status::Cancelled, Status::Closed] {
                let checker = checker(2);
                let watcher = Watcher::new(way, &[fd_of(&checker)]);
                checker.submit(vec![Request::new(at(V4, SILENT_PORT)); 100]).expect("a live checker");
                assert!(is_quiet(&watcher, &checker, Duration::from_millis(20)), "{way:?}: none of them has ended");
                match status {
                    Status::Cancelled => assert_eq!(checker.cancel(0), Ok(())),
                    _ => checker.shutdown(),
                }
                let mut reports: Vec<Report> = Vec::new();
                while reports.len() < 100 {
                    assert!(watcher.wait(FOR_EVER), "{way:?}: {} of 100 came", reports.len());
                    while checker.reap(&mut reports, 100, Some(Duration::ZERO)) > 0 {}
                }
                assert!(reports.iter().all(|report| report.verdict.status == status));
                assert!(
                    is_quiet(&watcher, &checker, Duration::from_millis(20)),
                    "{way:?}: readable, but everything was reaped"
                );
            }
        }
    }
}

mod under_load {
    use super::*;

    /// Threads submit `count` checks while one thread waits in one way, and reaps: readable means that something
    /// waits, and whatever waits is readable.
    fn one_reaper(way: Way, count: usize) {
        let checker = checker(2);
        let watcher = Watcher::new(way, &[fd_of(&checker)]);
        let submitters = 3;
        std::thread::scope(|scope| {
            for submitter in 0..submitters {
                let checker = &checker;
                scope.spawn(move || {
                    let mut submitted = 0;
                    while submitted < count {
                        // Bursts and pauses, so that the queue runs empty again and again.
                        let size = [1, 1, 2, 30][(submitted / 3 + submitter) % 4].min(count - submitted);
                        submit(checker, size);
                        submitted += size;
                        if submitted % 5 == 0 {
                            std::thread::sleep(Duration::from_micros(50));
                        }
                    }
                });
            }
            let (mut left, mut wakeups) = (submitters * count, 0);
            while left > 0 {
                assert!(watcher.wait(FOR_EVER), "{way:?}: no wake-up, and {left} results are to come");
                wakeups += 1;
                let capacity = [1, 5, 100][wakeups % 3];
                let mut taken = reap_now(&checker, capacity);
                assert!(is_reason(taken), "{way:?}: readable, but nothing waits");
                left -= taken;
                while way == Way::EdgeTriggeredEpoll && taken == capacity {
                    taken = reap_now(&checker, capacity);
                    left -= taken;
                }
            }
            println!("{way:?}: {wakeups} wake-ups for {} results", submitters * count);
        });
        assert!(is_quiet(&watcher, &checker, Duration::ZERO), "{way:?}: readable, but everything was reaped");
    }

    #[test]
    fn one_reaper_is_woken_for_every_result_and_never_in_vain() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        WAYS.into_iter().for_each(|way| one_reaper(way, 5_000));
    }

    #[test]
    fn single_results_one_after_the_other_wake_every_kind_of_watcher_each_time() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        let checker = checker(2);
        let watchers = WAYS.map(|way| Watcher::new(way, &[fd_of(&checker)]));
        for turn in 0..2_000 {
            submit_tagged(&checker, turn..turn + 1);
            for watcher in &watchers {
                assert!(watcher.wait(FOR_EVER), "turn {turn}: {:?} is not woken", watcher.way);
            }
            assert_eq!(reap_now(&checker, 10), 1, "turn {turn}");
            for watcher in &watchers {
                assert!(is_quiet(watcher, &checker, Duration::ZERO), "turn {turn}: {:?} is woken in vain", watcher.way);
            }
        }
    }

    /// A descriptor that tells every watcher to go home.
    fn bell() -> OwnedFd {
        // SAFETY: makes a descriptor that nobody else owns.
        unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) }
    }

    fn ring(bell: &OwnedFd) {
        let one = 1u64;
        // SAFETY: the number lives through the call, with its true size.
        let written = unsafe { libc::write(bell.as_raw_fd(), (&raw const one).cast(), size_of_val(&one)) };
        assert_eq!(written, 8);
    }

    #[test]
    fn many_threads_that_wait_in_every_way_get_every_result_once_between_them() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        let (checker, bell, count) = (checker(2), bell(), 30_000);
        let (taken, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let tags = Mutex::new(Vec::with_capacity(count));
        let take_in = |reports: &mut Vec<Report>| {
            let before = taken.fetch_add(reports.len(), Ordering::SeqCst);
            tags.lock().unwrap().extend(reports.iter().map(|report| report.tag));
            if before + reports.len() == count && !reports.is_empty() {
                over.store(true, Ordering::SeqCst);
                ring(&bell);
                checker.shutdown(); // for those who wait within reap
            }
            reports.clear();
        };
        std::thread::scope(|scope| {
            for (number, way) in WAYS.into_iter().chain(WAYS).enumerate() {
                let (checker, bell, over, take_in) = (&checker, &bell, &over, &take_in);
                scope.spawn(move || {
                    let watcher = Watcher::new(way, &[fd_of(checker), bell.as_raw_fd()]);
                    let capacity = 1 + number * 9;
                    let mut reports = Vec::new();
                    while !over.load(Ordering::SeqCst) {
                        assert!(watcher.wait(FOR_EVER), "{way:?} was left asleep");
                        // Another may have been quicker; then there is nothing.
                        while checker.reap(&mut reports, capacity, Some(Duration::ZERO)) == capacity {
                            take_in(&mut reports);
                        }
                        take_in(&mut reports);
                    }
                });
            }
            for capacity in [1, 50] {
                let (checker, take_in) = (&checker, &take_in);
                scope.spawn(move || {
                    let mut reports = Vec::new();
                    while checker.reap(&mut reports, capacity, None) > 0 {
                        take_in(&mut reports);
                    }
                });
            }
            for submitter in 0..3 {
                let (checker, taken) = (&checker, &taken);
                scope.spawn(move || {
                    let all = submitter * count / 3..(submitter + 1) * count / 3;
                    let mut next = all.start;
                    while next < all.end {
                        let size = [1, 1, 1, 64][next % 4].min(all.end - next);
                        submit_tagged(checker, next..next + size);
                        next += size;
                        // Now and then everybody falls asleep.
                        if next % 64 == 0 {
                            let seen = taken.load(Ordering::SeqCst);
                            until("some result", || taken.load(Ordering::SeqCst) > seen || seen + 64 > next);
                        }
                    }
                });
            }
        });
        let mut tags = tags.into_inner().unwrap();
        tags.sort_unstable();
        assert!(tags.into_iter().eq(0..count), "a result was lost or doubled");
        for way in WAYS {
            assert!(!Watcher::new(way, &[fd_of(&checker)]).is_ready(), "{way:?}: everything was reaped");
        }
    }

    #[test]
    fn one_result_at_a_time_always_finds_one_of_many_sleepers() {
        namespaced!();
        let _listener = Listener::on(V4, PORT);
        let (checker, bell, count) = (checker(1), bell(), 2_000);
        let (taken, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for way in WAYS {
                let (checker, bell, over, taken) = (&checker, &bell, &over, &taken);
                scope.spawn(move || {
                    let watcher = Watcher::new(way, &[fd_of(checker), bell.as_raw_fd()]);
                    while !over.load(Ordering::SeqCst) {
                        assert!(watcher.wait(FOR_EVER), "{way:?} was left asleep");
                        taken.fetch_add(reap_now(checker, 10), Ordering::SeqCst);
                    }
                });
                scope.spawn(|| {
                    while checker.reap(&mut Vec::new(), 10, None) > 0 {
                        taken.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for turn in 0..count {
                submit_tagged(&checker, turn..turn + 1);
                until("somebody takes the result", || taken.load(Ordering::SeqCst) == turn + 1);
            }
            over.store(true, Ordering::SeqCst);
            ring(&bell);
            checker.shutdown();
        });
    }
}
