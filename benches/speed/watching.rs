//! Monitors at work, each in a process of its own: this program again, as the rows of `monitors.rs` start it. Prints
//! `name=value`.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::Socket;
use tcpshaker::{Change, Checker, Config, EngineKind, Monitor, MonitorConfig, Request, Watch, WatchInfo};

use crate::course::{listener_at, tcp_counter};

/// The first argument of a process that is one of these.
pub const WATCHING: &str = "watching";

const LISTENERS: usize = 1_000;
const FIRST_PORT: u16 = 20_000;
/// An hour: what is added is not checked meanwhile.
const HOUR_MS: u32 = 3_600_000;

/// Runs one of them: its name, how many watches, their interval in milliseconds, and for how many seconds.
pub fn run(arguments: &[String]) -> ExitCode {
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(0usize);
    let (count, interval_ms, time) = (number(1), number(2) as u32, Duration::from_secs(number(3) as u64));
    let outcome = match arguments.first().map_or("", String::as_str) {
        "even" => even(count, interval_ms, time),
        "many" => many(count, interval_ms, time),
        "memory" => memory(count),
        "paused" => paused(count, time),
        other => Err(format!("nothing is called {other:?}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// A checker with so many loops and the raw engine, and a monitor of it; 0 is a loop for each processor.
fn raw(loops: u32, configure: impl FnOnce(&mut MonitorConfig)) -> Result<(Arc<Checker>, Monitor), String> {
    let mut config = Config::default();
    config.set_engine(EngineKind::Raw).and_then(|()| config.set_threads(loops)).map_err(|status| status.text())?;
    let checker = Arc::new(Checker::new(&config).map_err(|status| status.text())?);
    let mut config = MonitorConfig::default();
    configure(&mut config);
    let monitor = Monitor::new(checker.clone(), &config).map_err(|status| status.text())?;
    Ok((checker, monitor))
}

/// Listeners on all of 127.0.0.0/8, a port for each.
fn listen() -> Result<Vec<Socket>, String> {
    (0..LISTENERS as u16).map(|number| listener_at([0, 0, 0, 0], FIRST_PORT + number)).collect()
}

/// The target of this number: one of the listeners, by an address of its own.
fn target(number: usize) -> SocketAddr {
    let address = Ipv4Addr::from_bits(0x7f02_0000 + (number / LISTENERS) as u32);
    SocketAddr::from((address, FIRST_PORT + (number % LISTENERS) as u16))
}

/// Adds so many watches, a few at a time, as a program with little memory would.
fn add(monitor: &Monitor, count: usize, watch: impl Fn(usize) -> Watch) -> Result<Vec<u64>, String> {
    let mut ids = Vec::with_capacity(count);
    while ids.len() < count {
        let batch: Vec<Watch> = (ids.len()..count.min(ids.len() + 1_000)).map(&watch).collect();
        ids.extend(monitor.add(&batch).map_err(|status| status.text())?);
    }
    Ok(ids)
}

/// What this process has cost so far, the answering side included, in nanoseconds of CPU; or this thread.
fn cpu_ns(whose: libc::c_int) -> f64 {
    // SAFETY: integers, for all of which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is this function's own.
    unsafe { libc::getrusage(whose, &mut usage) };
    let ns = |time: libc::timeval| time.tv_sec as f64 * 1e9 + time.tv_usec as f64 * 1e3;
    ns(usage.ru_utime) + ns(usage.ru_stime)
}

/// The fewest and the most checks of a watch.
fn checks(monitor: &Monitor, ids: &[u64]) -> (u32, u32) {
    let all = ids.iter().filter_map(|&id| monitor.get(id).ok()).map(|info| info.checks);
    all.fold((u32::MAX, 0), |(least, most), checks| (least.min(checks), most.max(checks)))
}

/// The cost of checks by a monitor and by check_many, how often each watch was checked, and how even they were.
fn even(count: usize, interval_ms: u32, time: Duration) -> Result<(), String> {
    let _listeners = listen()?;
    let (checker, monitor) = raw(1, |_| ())?;
    let requests: Vec<Request> = (0..count).map(|number| Request::new(target(number))).collect();
    let rounds = time.as_millis() as usize / interval_ms as usize;
    let up =
        |verdicts: Vec<tcpshaker::Verdict>| verdicts.iter().filter(|verdict| verdict.status.text() == "up").count();
    up(checker.check_many(&requests)); // memory is touched for the first time
    let begun = cpu_ns(libc::RUSAGE_SELF);
    let ups: usize = (0..rounds).map(|_| up(checker.check_many(&requests))).sum();
    println!("many_up={ups} many_checks={}", rounds * count);
    println!("many_cpu_ns={}", (cpu_ns(libc::RUSAGE_SELF) - begun) / (rounds * count) as f64);
    let paced_before = paced(&checker, &requests, interval_ms);

    let begun = Instant::now();
    let ids = add(&monitor, count, |number| Watch { interval_ms, ..Watch::new(target(number)) })?;
    // Without this thread, which only looks.
    let library_ns = || cpu_ns(libc::RUSAGE_SELF) - cpu_ns(libc::RUSAGE_THREAD);
    let (submitted, cpu) = (checker.stats().submitted, library_ns());
    let mut samples = Vec::new();
    while begun.elapsed() < time {
        std::thread::sleep(Duration::from_millis(5));
        samples.push((begun.elapsed().as_secs_f64(), tcp_counter("InSegs")? as f64));
    }
    let (least, most) = checks(&monitor, &ids);
    println!("cpu_ns={}", (library_ns() - cpu) / (checker.stats().submitted - submitted) as f64);
    let sum = |of: fn(WatchInfo) -> u32| {
        ids.iter().filter_map(|&id| monitor.get(id).ok()).map(of).map(u64::from).sum::<u64>()
    };
    println!("down={} no_verdict={}", sum(|info| info.down), sum(|info| info.no_verdict));
    println!("least={least} most={most}");
    // From the first interval on, in which the first checks are spread, each check is three segments that arrive.
    samples.retain(|(at, _)| *at > f64::from(interval_ms) / 1e3);
    println!("burst={}", burst(&samples));
    drop(monitor);
    // Before and after, for a machine whose neighbours come and go.
    println!("paced_cpu_ns={}", (paced_before + paced(&checker, &requests, interval_ms)) / 2.0);
    Ok(())
}

/// What a check by check_many costs at the pace of the watches, two rounds of them.
fn paced(checker: &Checker, requests: &[Request], interval_ms: u32) -> f64 {
    /// As long as check_many lets verdicts gather.
    const STEP_MS: usize = 10;
    let share = (requests.len() * STEP_MS).div_ceil(interval_ms as usize);
    let (begun, cpu) = (Instant::now(), cpu_ns(libc::RUSAGE_SELF));
    let all = requests.iter().cloned().cycle().take(2 * requests.len()).collect::<Vec<_>>();
    for (share, next) in all.chunks(share).zip((STEP_MS as u64..).step_by(STEP_MS)) {
        checker.check_many(share);
        std::thread::sleep(Duration::from_millis(next).saturating_sub(begun.elapsed()));
    }
    (cpu_ns(libc::RUSAGE_SELF) - cpu) / all.len() as f64
}

/// The most that came in a tenth of a second, by the mean. Of a look that came late the time that has passed counts.
fn burst(samples: &[(f64, f64)]) -> f64 {
    let pace = |from: (f64, f64), to: (f64, f64)| (to.1 - from.1) / (to.0 - from.0);
    let mean = pace(samples[0], samples[samples.len() - 1]);
    let mut most = 0f64;
    for (place, &from) in samples.iter().enumerate() {
        if let Some(&to) = samples[place..].iter().find(|to| to.0 - from.0 >= 0.1) {
            most = most.max(pace(from, to) / mean);
        }
    }
    most
}

/// Every result of many watches, each held against the one before it.
fn many(count: usize, interval_ms: u32, time: Duration) -> Result<(), String> {
    let _listeners = listen()?;
    let (checker, monitor) = raw(0, |config| {
        let _ = config.set_every_result(true);
    })?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(&monitor, count, interval_ms, &is_over));
        let begun = Instant::now();
        let watch = |tag| Watch { interval_ms, tag, ..Watch::new(target(tag)) };
        let ids = add(&monitor, count, watch);
        println!("add_s={}", begun.elapsed().as_secs_f64());
        std::thread::sleep(time.saturating_sub(begun.elapsed()));
        is_over.store(true, Ordering::Relaxed);
        let (least, most) = checks(&monitor, &ids?);
        println!("least={least} most={most} submitted={}", checker.stats().submitted);
        reader.join().map_err(|_| "the reader panicked".to_owned())
    })
}

/// Reads until it is over. A check is late by what is between the result before it and its own, less the interval and
/// what it took itself.
fn read(monitor: &Monitor, count: usize, interval_ms: u32, is_over: &AtomicBool) {
    let mut before = vec![0u64; count];
    let (mut late_us, mut doubled, mut unread, mut not_up) = (Vec::new(), 0, 0, 0);
    let mut changes: Vec<Change> = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        changes.clear();
        monitor.reap(&mut changes, 4_096, Some(Duration::from_millis(100)));
        for change in &changes {
            let Some(last) = change.last else { continue };
            let before = std::mem::replace(&mut before[change.tag], change.at_us);
            not_up += u32::from(last.rtt_us == 0);
            if change.skipped || before == 0 {
                unread += u32::from(change.skipped);
                continue;
            }
            let passed = (change.at_us - before) as i64 - last.elapsed_us as i64 - i64::from(interval_ms) * 1_000;
            // The interval after a check that began late is shorter by as much, at most by a tenth.
            doubled += u32::from(passed < -i64::from(interval_ms) * 100 - 1_000);
            late_us.push(passed.max(0) as u32);
        }
    }
    late_us.sort_unstable();
    let quantile =
        |part: f64| late_us.get((late_us.len() as f64 * part) as usize).map_or(f64::NAN, |us| f64::from(*us));
    println!("p50_us={} p99_us={} most_us={}", quantile(0.5), quantile(0.99), quantile(0.999_999));
    println!("results={} doubled={doubled} unread={unread} not_up={not_up}", late_us.len());
}

/// All of the process's heap.
fn heap() -> f64 {
    // SAFETY: only reads the allocator's own figures.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as f64
}

/// What a watch costs in memory, and how long it takes to add and to remove one of few and of many.
fn memory(count: usize) -> Result<(), String> {
    let hourly = |target: SocketAddr| Watch { interval_ms: HOUR_MS, ..Watch::new(target) };
    let (_checker, monitor) = raw(1, |_| ())?;
    let few = add(&monitor, count / 100, |number| hourly(target(number)))?;
    println!("few_remove_ns={}", remove(&monitor, &few)?);
    let mut own = Vec::with_capacity(count);
    let before = heap();
    let begun = Instant::now();
    own.extend(add(&monitor, count, |number| hourly(target(number)))?);
    println!("add_ns={}", begun.elapsed().as_nanos() as f64 / count as f64);
    println!("bytes={}", (heap() - before) / count as f64);
    println!("many_remove_ns={}", remove(&monitor, &own)?);
    std::thread::sleep(Duration::from_secs(1)); // checks that are in flight keep what was removed
    println!("left_bytes={}", (heap() - before) / count as f64);
    drop(monitor);
    let (_checker, monitor) = raw(1, |_| ())?;
    let before = heap();
    own.clear();
    own.extend(add(&monitor, count, |number| Watch { timeout_ms: 1_000 + number as u32, ..hourly(target(number)) })?);
    println!("own_settings_bytes={}", (heap() - before) / count as f64);
    Ok(())
}

/// Removes them in an order that is not theirs. Returns how many nanoseconds each took.
fn remove(monitor: &Monitor, ids: &[u64]) -> Result<f64, String> {
    let order: Vec<u64> = (0..ids.len()).map(|place| ids[place.wrapping_mul(7_919) % ids.len()]).collect();
    let begun = Instant::now();
    monitor.remove(&order).map_err(|status| status.text())?;
    Ok(begun.elapsed().as_nanos() as f64 / ids.len() as f64)
}

/// What the library's threads do while every watch is paused: the line that the scheduler keeps of each.
fn paused(count: usize, time: Duration) -> Result<(), String> {
    let _listeners = listen()?;
    let (checker, monitor) = raw(1, |_| ())?;
    let ids = add(&monitor, count, |number| Watch { interval_ms: 1_000, ..Watch::new(target(number)) })?;
    std::thread::sleep(Duration::from_secs(2));
    for &id in &ids {
        monitor.pause(id, true).map_err(|status| status.text())?;
    }
    std::thread::sleep(Duration::from_secs(10)); // what lies idle is given back
    let before = runs()?;
    std::thread::sleep(time);
    let after = runs()?;
    println!("checks={} runs={} cpu_ns={}", checker.stats().submitted, after.1 - before.1, after.0 - before.0);
    Ok(())
}

/// Nanoseconds that the library's threads have run, and how often they were given a processor.
fn runs() -> Result<(u64, u64), String> {
    let error = |error: std::io::Error| format!("/proc/self/task: {error}");
    let mut sum = (0, 0);
    for task in std::fs::read_dir("/proc/self/task").map_err(error)? {
        let path = task.map_err(error)?.path();
        if std::fs::read_to_string(path.join("comm")).map_err(error)?.starts_with("shaker-") {
            let line = std::fs::read_to_string(path.join("schedstat")).map_err(error)?;
            let mut words = line.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
            sum.0 += words.next().unwrap_or(0);
            sum.1 += words.nth(1).unwrap_or(0);
        }
    }
    Ok(sum)
}
