//! One thread of a checker is suspended, the whole process is stopped, or a callback sleeps while checks are under way: no
//! live target is timed out for it, no silent one is up, and `SHAKER_HALF_OPEN` claims of no check what a capture of the same run refutes.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::capture::{Capture, Segment, conversations};
use support::firewall::{self, Hook};
use support::handshake::withholds_ack;
use support::lists::{PORT, SILENT_PORT, assert_each_once, listen_everywhere, nth, silence, tagged, with_timeout};
use support::monitors::{add, assert_quiet, monitor, next, of_kind, quick};
use support::process::{Forked, sh, stop_parent_during, threads, until};
use support::targets::{DEAD_PORT, Listener, V4, at};
use tcpshaker::{Checker, EngineKind, Monitor, Report, Request, State, Status};

/// Its first SYN is lost, so that the answer comes after a second, when the kernel has sent the SYN again.
const SLOW_PORT: u16 = 8082;
/// The deadline of most checks, which passes while the checker is held up.
const DEADLINE_MS: u32 = 1_400;
/// For how long it is held up, in turn. The kernel withholds an ACK for 200 ms.
const HOLDS_MS: [u64; 4] = [150, 2_000, 400, 900];
const AT_ONCE: usize = 200;

/// What is checked in the place of this number: each check has an address of its own, by which the capture tells it.
fn target(number: usize) -> SocketAddr {
    let port = [DEAD_PORT, SILENT_PORT, SLOW_PORT, SLOW_PORT, PORT, PORT, PORT, PORT][number % 8];
    at(nth(number), port)
}

fn request(number: usize) -> Request {
    let target = target(number);
    let timeout_ms = if target.port() == SILENT_PORT { 300 } else { DEADLINE_MS };
    tagged(number, with_timeout(timeout_ms, target))
}

/// Whether a check may say so, of which there was an answer on the wire or none. One whose turn did not come in time says
/// nothing; of one that began late, the second SYN may not leave in time either.
fn is_right(said: Status, number: usize, is_answered: bool) -> bool {
    match (target(number).port(), said) {
        (_, Status::Busy) => true,
        (DEAD_PORT, said) => said == Status::Refused,
        (SILENT_PORT, said) => said == Status::TimedOut,
        (SLOW_PORT, Status::TimedOut) => !is_answered,
        (_, said) => said == Status::Up,
    }
}

/// A listener for the slow port, which loses the first SYN to each address.
fn slow_listener() -> Listener {
    sh("nft add table inet tests; nft 'add set inet tests seen { type ipv4_addr; flags dynamic; timeout 60s; }'");
    let syn = format!("tcp dport {SLOW_PORT} tcp flags & (syn | ack) == syn");
    let rules = [format!("{syn} ip daddr @seen accept"), format!("{syn} add @seen {{ ip daddr }} drop")];
    firewall::add(Hook::Input, &rules.each_ref().map(String::as_str));
    Listener::on(Ipv4Addr::UNSPECIFIED.into(), SLOW_PORT)
}

/// The segments of the check of each address.
fn by_target(segments: Vec<Segment>) -> HashMap<SocketAddr, Vec<Segment>> {
    let mut all: HashMap<SocketAddr, Vec<Segment>> = HashMap::new();
    let is_server = |end: &SocketAddr| [PORT, SILENT_PORT, SLOW_PORT, DEAD_PORT].contains(&end.port());
    for segment in segments {
        let server = if is_server(&segment.destination) { segment.destination } else { segment.source };
        all.entry(server).or_default().push(segment);
    }
    all
}

/// Submits checks without a pause until it is over, beside a monitor that tells nothing; returns what each learned.
fn check_until(checker: &Checker, monitor: &Monitor, is_over: impl Fn() -> bool) -> Vec<Report> {
    let (mut reports, mut submitted, mut changes) = (Vec::new(), 0, Vec::new());
    let mut latest = Instant::now();
    while !is_over() || reports.len() < submitted {
        if submitted - reports.len() < AT_ONCE && !is_over() {
            let more = submitted..submitted + AT_ONCE / 2;
            checker.submit(more.map(request).collect()).expect("a live checker");
            submitted += AT_ONCE / 2;
        }
        if checker.reap(&mut reports, AT_ONCE, Some(Duration::from_millis(20))) > 0 {
            latest = Instant::now();
        }
        assert!(latest.elapsed() < Duration::from_secs(60), "only {} of {submitted} reports came", reports.len());
        monitor.reap(&mut changes, 9, Some(Duration::ZERO));
    }
    assert!(changes.is_empty(), "{changes:?}");
    assert_each_once(reports.iter().map(|report| report.tag).collect(), submitted);
    reports
}

/// Checks while somebody holds the checker up again and again, and judges what they say by what was on the wire.
fn assert_true_while(checker: &Arc<Checker>, hold_up: impl FnOnce() + Send) {
    let _listeners = [listen_everywhere(), slow_listener()];
    silence(SILENT_PORT);
    let is_raw = checker.engine() == EngineKind::Raw;
    let monitor = monitor(checker);
    let watched = [PORT, DEAD_PORT].map(|port| add(&monitor, quick(port)));
    for change in [next(&monitor), next(&monitor)] {
        assert_eq!(change.to, if change.id == watched[0] { State::Up } else { State::Down });
    }
    let capture = Capture::start();
    let reports = std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(700)); // until there is load
            hold_up();
        });
        check_until(checker, &monitor, || holder.is_finished())
    });
    let segments = by_target(capture.finish());
    let (mut completed, mut admitted, mut late) = (0, 0, 0);
    for report in &reports {
        let verdict = &report.verdict;
        late += usize::from(verdict.status == Status::Busy);
        let seen = segments.get(&target(report.tag)).map_or(&[][..], Vec::as_slice);
        let wire = conversations(seen, target(report.tag));
        let has = |what: &str| wire.iter().any(|one| one.segments.iter().any(|segment| segment == what));
        assert!(is_right(verdict.status, report.tag, has("<S.")), "{verdict:?}, and on the wire: {wire:?}");
        let ack = has(">.");
        assert!(!(ack && verdict.half_open), "{verdict:?}, and on the wire: {wire:?}");
        completed += usize::from(ack);
        admitted += usize::from(verdict.status == Status::Up && !verdict.half_open);
    }
    println!("{} checks, {late} without a verdict, {completed} ACKs sent, {admitted} admitted", reports.len());
    assert!(reports.len() > 4 * AT_ONCE && late < reports.len() / 2);
    assert!(completed <= admitted);
    // With sockets somebody's ACK goes out while the answers wait, or this proves little.
    assert!(completed > 0 || is_raw || !withholds_ack());
    assert!(!is_raw || (completed, admitted) == (0, 0), "{completed} ACKs on the raw engine");
    assert_quiet(&monitor, 20);
    let state = |id| monitor.get(id).expect("a watch").state;
    assert_eq!(watched.map(state), [State::Up, State::Down]);
}

/// The threads of this process that bear this name.
fn threads_named(name: &str) -> Vec<u32> {
    let bears = |thread: &u32| {
        std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).is_ok_and(|text| text.trim_end() == name)
    };
    threads().into_iter().filter(bears).collect()
}

/// Suspends one thread of another process for so long, while all its others go on (ptrace(2)).
fn suspend(thread: u32, time: Duration) {
    let null = std::ptr::null_mut::<libc::c_void>();
    let trace = |request, what: &str| {
        // SAFETY: these requests of ptrace(2) read and write no memory of this process.
        let done = unsafe { libc::ptrace(request, thread as libc::pid_t, null, null) };
        assert_eq!(done, 0, "{what}: {}", std::io::Error::last_os_error());
    };
    trace(libc::PTRACE_SEIZE, "PTRACE_SEIZE");
    trace(libc::PTRACE_INTERRUPT, "PTRACE_INTERRUPT");
    let mut status = 0;
    // SAFETY: the kernel writes the integer.
    let stopped = unsafe { libc::waitpid(thread as libc::pid_t, &mut status, libc::__WALL) };
    assert_eq!(stopped, thread as libc::pid_t, "{}", std::io::Error::last_os_error());
    std::thread::sleep(time);
    trace(libc::PTRACE_DETACH, "PTRACE_DETACH");
}

/// Who may trace this process, where that is restricted (Yama).
fn let_everybody_trace_this_process() {
    // SAFETY: numbers only; it fails where nothing is restricted.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0) };
}

/// Holds somebody up for so long, again and again, with pauses in which answers come in.
fn again_and_again(mut hold: impl FnMut(Duration)) {
    for time in HOLDS_MS.map(Duration::from_millis) {
        hold(time);
        std::thread::sleep(Duration::from_millis(230));
    }
}

/// The same in a child, which alone can hold up a thread of this process, or all of it.
fn in_a_child(hold: impl FnMut(Duration)) {
    let child = Forked::new(|| {
        again_and_again(hold);
        0
    });
    assert_eq!(child.wait(), 0);
}

/// Each of two loops in turn, at any point of its work.
fn suspend_one_loop(engine: EngineKind) {
    let checker = of_kind(engine, false, |config| config.set_threads(2).unwrap());
    let_everybody_trace_this_process();
    until("both loops have their names", || threads_named("shaker-loop").len() == 2);
    let loops = threads_named("shaker-loop");
    assert_true_while(&checker, || {
        let mut turns = loops.iter().cycle();
        in_a_child(|time| suspend(*turns.next().expect("a loop"), time));
    });
}

fn stop_the_process(engine: EngineKind, is_driven: bool) {
    let checker = of_kind(engine, is_driven, |_| ());
    assert_true_while(&checker, || in_a_child(|time| stop_parent_during(|| std::thread::sleep(time))));
}

fn sleep_in_callbacks(engine: EngineKind, is_driven: bool) {
    let checker = of_kind(engine, is_driven, |_| ());
    let request = with_timeout(60_000, at(V4, PORT));
    assert_true_while(&checker, || {
        again_and_again(|time| {
            let (sender, slept) = channel();
            let callback = move |_: &Report| {
                std::thread::sleep(time);
                sender.send(()).unwrap();
            };
            checker.submit_with(request.clone(), Box::new(callback)).expect("a live checker");
            slept.recv().expect("it is called");
        });
    });
}

mod one_loop_that_is_suspended_makes_no_verdict_wrong {
    use super::*;

    #[test]
    fn on_the_socket_engine() {
        namespaced!("nft", "tcpdump");
        suspend_one_loop(EngineKind::Socket);
    }

    #[test]
    fn on_the_raw_engine() {
        namespaced!("nft", "tcpdump");
        suspend_one_loop(EngineKind::Raw);
    }
}

mod process_that_is_stopped_for_seconds_under_load_has_no_wrong_verdict {
    use super::*;

    #[test]
    fn on_the_socket_engine() {
        namespaced!("nft", "tcpdump");
        stop_the_process(EngineKind::Socket, false);
    }

    #[test]
    fn on_the_raw_engine() {
        namespaced!("nft", "tcpdump");
        stop_the_process(EngineKind::Raw, false);
    }

    #[test]
    fn where_callers_drive() {
        namespaced!("nft", "tcpdump");
        stop_the_process(EngineKind::Socket, true);
    }
}

mod callback_that_sleeps_makes_no_verdict_wrong {
    use super::*;

    #[test]
    fn on_the_socket_engine() {
        namespaced!("nft", "tcpdump");
        sleep_in_callbacks(EngineKind::Socket, false);
    }

    #[test]
    fn on_the_raw_engine() {
        namespaced!("nft", "tcpdump");
        sleep_in_callbacks(EngineKind::Raw, false);
    }

    #[test]
    fn where_callers_drive() {
        namespaced!("nft", "tcpdump");
        sleep_in_callbacks(EngineKind::Socket, true);
    }
}
