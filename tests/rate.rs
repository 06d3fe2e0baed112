//! The budget of SYNs per second, as the wire sees it: never above it by more than a burst of 10 ms, nor much below it.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use support::capture::tcpdump;
use support::driven::{self};
use support::handshake::{assert_proven, often};
use support::process::until;
use support::targets::{Listener, at};
use tcpshaker::{Checker, Request, Status};

const PORT: u16 = 8080;
/// Modest, so that a slow machine reaches it too.
const RATE: usize = 2_000;
const WINDOW: Duration = Duration::from_millis(100);
/// What may start at once after a pause: 10 ms' worth.
const BURST: usize = RATE / 100;

/// Five seconds' worth, or two.
fn checks() -> usize {
    often(5 * RATE).max(2 * RATE)
}

/// When each SYN to the listener left, by the kernel's own clock; from tcpdump, in its binary format
/// (pcap-savefile(5)).
struct Syns {
    tcpdump: Child,
    bytes: Arc<Mutex<Vec<u8>>>,
}

/// The sizes of the file's header and of each packet's.
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

impl Syns {
    fn watch() -> Syns {
        let filter = format!("tcp dst port {PORT} and tcp[tcpflags] & (tcp-syn | tcp-ack) == tcp-syn");
        let arguments = ["-n", "-U", "-s", "96", "--time-stamp-precision=nano", "-w", "-", &filter];
        let (tcpdump, mut output, mut errors) = tcpdump(&arguments);
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = bytes.clone();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut chunk) {
                shared.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        std::thread::spawn(move || errors.read_to_string(&mut String::new()));
        Syns { tcpdump, bytes }
    }

    /// Waits for `count` SYNs, and returns the time of each.
    fn finish(mut self, count: usize) -> Vec<Duration> {
        until("tcpdump has seen every SYN", || self.times().len() >= count);
        std::thread::sleep(Duration::from_millis(50)); // for one too many
        let times = self.times();
        self.tcpdump.kill().expect("it still runs");
        self.tcpdump.wait().expect("it can be waited for");
        assert_eq!(times.len(), count, "one SYN for each check");
        times
    }

    fn times(&self) -> Vec<Duration> {
        let bytes = self.bytes.lock().unwrap();
        let field = |place: usize| u32::from_ne_bytes(bytes[place..place + 4].try_into().expect("four bytes"));
        let mut times = Vec::new();
        let mut next = FILE_HEADER;
        while next + PACKET_HEADER <= bytes.len() {
            times.push(Duration::new(field(next).into(), field(next + 4)));
            next += PACKET_HEADER + field(next + 8) as usize;
        }
        times
    }
}

fn checker(threads: u32) -> Checker {
    let mut config = driven::config();
    config.set_threads(threads).unwrap();
    config.set_max_rate(RATE as u32).unwrap();
    config.set_timeout(60_000).unwrap();
    Checker::new(&config).expect("a checker")
}

fn request(number: usize) -> Request {
    Request::new(at(IpAddr::V4(Ipv4Addr::from_bits(0x7f01_0000 + number as u32)), PORT))
}

/// How long this machine keeps a thread waiting that should run: a loop that is kept for longer than the burst lasts
/// loses what it might have started meanwhile, by no fault of its own.
struct Stalls {
    over: Arc<AtomicBool>,
    sleeper: JoinHandle<Duration>,
}

impl Stalls {
    fn watch() -> Stalls {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let sleeper = std::thread::spawn(move || {
            let mut stalled = Duration::ZERO;
            while !seen.load(Ordering::Relaxed) {
                let asleep = Instant::now();
                std::thread::sleep(Duration::from_millis(1));
                stalled += asleep.elapsed().saturating_sub(Duration::from_millis(3));
            }
            stalled
        });
        Stalls { over, sleeper }
    }

    fn finish(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.sleeper.join().expect("the sleeper")
    }
}

/// Judges the SYNs of all checks. Each of `hands` threads may be kept from its CPU between taking its turn and
/// sending its SYN, so one SYN each may be late, in the next one's company.
fn judge(mut times: Vec<Duration>, hands: usize, stalls: Stalls) {
    let stalled = stalls.finish();
    times.sort_unstable();
    let most = (0..times.len()).map(|first| {
        let after = times[first..].partition_point(|time| *time < times[first] + WINDOW);
        (after, times[first] - times[0])
    });
    let (most, when) = most.max().expect("there are SYNs");
    let budget = RATE / 10;
    let span = times[times.len() - 1] - times[0];
    // A pause longer than the burst is excused as far as the machine itself was seen to stall.
    let pauses: Duration =
        times.windows(2).map(|pair| (pair[1] - pair[0]).saturating_sub(Duration::from_millis(10))).sum();
    let excused = pauses.min(stalled * 3);
    let reached = (times.len() - 1) as f64 / (span - excused).as_secs_f64();
    println!(
        "{reached:.0} SYNs per second over {span:?} less {excused:?}; the fullest 100 ms, {when:?} in, hold {most}"
    );
    assert!(
        most <= budget + BURST + hands,
        "{most} SYNs within 100 ms, {when:?} after the first; {budget} are allowed"
    );
    assert!(reached >= 0.95 * RATE as f64, "only {reached:.0} SYNs per second of {RATE}");
}

fn list_keeps_to_it(threads: u32) {
    let listener = Listener::on(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
    let checker = checker(threads);
    let syns = Syns::watch();
    let stalls = Stalls::watch();
    let verdicts = checker.check_many(&(0..checks()).map(request).collect::<Vec<_>>());
    assert!(verdicts.iter().all(|verdict| verdict.status == Status::Up));
    assert_proven(&verdicts);
    judge(syns.finish(checks()), threads as usize, stalls);
    listener.assert_untouched();
}

fn submitted_checks_keep_to_it(threads: u32) {
    let listener = Listener::on(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
    let checker = checker(threads);
    let syns = Syns::watch();
    let stalls = Stalls::watch();
    checker.submit((0..checks()).map(request).collect()).expect("a live checker");
    let mut reports = Vec::new();
    while reports.len() < checks() {
        assert_ne!(checker.reap(&mut reports, checks(), Some(Duration::from_secs(60))), 0);
    }
    assert!(reports.iter().all(|report| report.verdict.status == Status::Up));
    assert_proven(reports.iter().map(|report| &report.verdict));
    judge(syns.finish(checks()), threads as usize, stalls);
    listener.assert_untouched();
}

fn blocking_callers_keep_to_it(threads: u32) {
    const CALLERS: usize = 16;
    let listener = Listener::on(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
    let checker = checker(threads);
    let syns = Syns::watch();
    let stalls = Stalls::watch();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= checks() {
                        break;
                    }
                    let verdict = checker.check(&request(number));
                    assert_eq!(verdict.status, Status::Up);
                    assert_proven(&[verdict]);
                }
            });
        }
    });
    judge(syns.finish(checks()), threads as usize + CALLERS, stalls);
    listener.assert_untouched();
}

#[test]
fn list_checked_by_one_loop_keeps_to_its_rate_and_reaches_it() {
    namespaced!(alone, "tcpdump");
    list_keeps_to_it(1);
}

#[test]
fn list_checked_by_two_loops_keeps_to_one_rate_and_reaches_it() {
    namespaced!(alone, "tcpdump");
    list_keeps_to_it(2);
}

#[test]
fn submitted_checks_of_two_loops_keep_to_one_rate_and_reach_it() {
    namespaced!(alone, "tcpdump");
    submitted_checks_keep_to_it(2);
}

#[test]
fn blocking_callers_of_one_loop_keep_to_one_rate_and_reach_it() {
    namespaced!(alone, "tcpdump");
    blocking_callers_keep_to_it(1);
}

#[test]
fn blocking_callers_of_two_loops_keep_to_one_rate_and_reach_it() {
    namespaced!(alone, "tcpdump");
    blocking_callers_keep_to_it(2);
}

#[test]
fn rate_below_one_per_burst_lets_single_checks_through_at_their_pace() {
    namespaced!(alone, "tcpdump");
    let _listener = Listener::on(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
    let mut config = driven::config();
    config.set_max_rate(20).unwrap();
    let checker = Checker::new(&config).expect("a checker");
    let syns = Syns::watch();
    let verdicts = checker.check_many(&(0..40).map(request).collect::<Vec<_>>());
    assert!(verdicts.iter().all(|verdict| verdict.status == Status::Up));
    let times = syns.finish(40);
    // Each at its own time, 50 ms after the one before; a late one may leave the next less.
    for pair in times.windows(3) {
        assert!(pair[2] - pair[0] >= Duration::from_millis(50), "{:?} between three SYNs", pair[2] - pair[0]);
    }
    let span = times[39] - times[0];
    assert!(span >= Duration::from_millis(39 * 50 - 50), "40 checks at 20 per second within {span:?}");
}
