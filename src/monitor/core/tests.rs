//! Tests of what a monitor decides, on a clock of their own and with checks that never leave the test.

mod callers;
mod doubt;
mod evenness;
mod held;
mod mapped;
mod memory;
mod moved;
mod names;
mod paused;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::*;

const MS: u64 = NANOSECONDS_PER_MS;
const SECOND: u64 = 1_000 * MS;
const START: u64 = 77 * SECOND;

fn core(configure: impl FnOnce(&mut MonitorConfig)) -> Core {
    let mut config = MonitorConfig::default();
    configure(&mut config);
    Core::new(config, Looks::Thread, START)
}

/// A watch of its own target, which is checked at once and then every second, and changes at each verdict.
fn watch(number: u32) -> Watch {
    let target = SocketAddr::from((Ipv4Addr::from_bits(0x7f00_0001 + number), 80));
    Watch { interval_ms: 1_000, fall: 1, rise: 1, tag: number as usize, ..Watch::new(target) }
}

fn add(core: &mut Core, watch: Watch, now: u64) -> u64 {
    let settings = Settings::of(&watch, 1_000).unwrap();
    core.add(watch, settings, now)
}

fn slot(core: &Core, id: u64) -> u32 {
    core.slot(id).unwrap()
}

fn ended(tag: usize, status: Status) -> Report {
    let elapsed_us = if status == Status::TimedOut { 1_000_000 } else { 50 };
    Report { id: 0, tag, verdict: Verdict { elapsed_us, ..Verdict::without_segments(status, 0) } }
}

/// The checks that are due by then, and no later.
fn due(core: &mut Core, now: u64) -> Vec<usize> {
    std::iter::from_fn(|| core.next_check(now)).map(|check| check.request.tag).collect()
}

/// Has the one watch checked once at this time.
#[track_caller]
fn check_once(core: &mut Core, now: u64, status: Status) {
    let checks = due(core, now);
    assert_eq!(checks.len(), 1);
    core.settle(&ended(checks[0], status), now);
}

fn changes(core: &mut Core) -> Vec<(State, State)> {
    std::iter::from_fn(|| core.take_change()).map(|change| (change.from, change.to)).collect()
}

/// One watch that is up, with the given settings, and the time of its first check.
fn one_up(core: &mut Core, watch: Watch) -> (u64, u64) {
    let id = add(core, watch, START);
    check_once(core, START, Status::Up);
    assert_eq!(changes(core), [(State::Unknown, State::Up)]);
    (id, START)
}

fn at_once(config: &mut MonitorConfig) {
    config.set_max_spread(0).unwrap();
}

#[test]
fn a_check_follows_its_interval_after_the_verdict_and_no_other_is_made_meanwhile() {
    let mut core = core(at_once);
    let id = add(&mut core, watch(0), START);
    let checks = due(&mut core, START);
    assert_eq!(checks.len(), 1);
    assert_eq!(due(&mut core, START + 60 * SECOND), [], "one is in flight");
    let verdict_at = START + 60 * SECOND;
    core.settle(&ended(checks[0], Status::Up), verdict_at);
    assert_eq!(due(&mut core, verdict_at + 999 * MS), []);
    assert_eq!(due(&mut core, verdict_at + 1_001 * MS), checks);
    assert_eq!(core.info(slot(&core, id)).checks, 1);
}

#[test]
fn the_interval_is_that_of_the_pace() {
    let mut core = core(at_once);
    let paced = Watch { falling_ms: 100, rising_ms: 200, down_ms: 300, fall: 2, rise: 2, ..watch(0) };
    let (id, mut now) = one_up(&mut core, paced);
    let steps = [
        (Status::Refused, 1_000, State::Up),
        (Status::Refused, 100, State::Down),
        (Status::Refused, 300, State::Down),
        (Status::Up, 300, State::Down),
        (Status::Busy, 200, State::Down), // no verdict: the same pace
        (Status::Up, 200, State::Up),
        (Status::Up, 1_000, State::Up),
    ];
    for (status, after_ms, state) in steps {
        assert_eq!(due(&mut core, now + (after_ms - 1) * MS), []);
        now += (after_ms + 1) * MS;
        check_once(&mut core, now, status);
        assert_eq!(core.info(slot(&core, id)).state, state);
    }
    assert_eq!(core.info(slot(&core, id)).no_verdict, 1);
    assert_eq!(changes(&mut core), [(State::Up, State::Down), (State::Down, State::Up)]);
}

#[test]
fn the_longest_settings_are_kept_to() {
    for (jitter_percent, max_spread_ms) in [(0, None), (50, None), (50, Some(u32::MAX))] {
        let mut core = core(|config| max_spread_ms.into_iter().for_each(|ms| config.set_max_spread(ms).unwrap()));
        let all = u32::MAX;
        let longest =
            Watch { interval_ms: all, falling_ms: all, rising_ms: all, down_ms: all, jitter_percent, ..watch(0) };
        let longest = Watch { timeout_ms: all, fall: all, rise: all, first_fall: all, first_rise: all, ..longest };
        let id = add(&mut core, longest, START);
        let slot = slot(&core, id);
        let month = u64::from(all) * MS;
        let next = |core: &Core| core.info(slot).next_us.unwrap() * 1_000;
        assert!((START..START + 3 * month / 2 + MS).contains(&next(&core)));
        core.check_now(slot, START);
        for status in [Status::Up, Status::TimedOut, Status::Refused] {
            let now = next(&core).max(START);
            check_once(&mut core, now + MS, status);
            let interval = next(&core) - now;
            assert!((month / 2 - MS..=3 * month / 2 + 2 * MS).contains(&interval), "{interval} ns");
        }
        core.report(slot, false, START + 5 * month).unwrap();
        assert_eq!(core.info(slot).state, State::Unknown);
    }
}

#[test]
fn what_is_no_verdict_changes_nothing() {
    let mut core = core(at_once);
    let (id, mut now) = one_up(&mut core, watch(0));
    for status in Status::ALL.into_iter().filter(|status| !status.is_verdict()) {
        now += 1_001 * MS;
        check_once(&mut core, now, status);
        let info = core.info(slot(&core, id));
        assert_eq!((info.state, info.run, info.last.map(|last| last.status)), (State::Up, 1, Some(status)));
    }
    assert_eq!(changes(&mut core), []);
}

#[test]
fn watches_of_one_target_share_their_checks_and_each_has_its_own_state() {
    let mut core = core(at_once);
    let shared = Watch { fall: 2, first_fall: 2, ..watch(0) };
    let ids = [0, 1].map(|tag| add(&mut core, Watch { tag, ..shared.clone() }, START));
    let other = add(&mut core, Watch { fall: 3, ..shared.clone() }, START);
    core.remove(slot(&core, other));
    core.report(slot(&core, ids[1]), false, START).unwrap();
    check_once(&mut core, START, Status::Refused);
    assert_eq!(ids.map(|id| core.info(slot(&core, id)).state), [State::Unknown, State::Down]);
    assert_eq!(ids.map(|id| core.info(slot(&core, id)).checks), [1, 1]);
}

#[test]
fn a_new_watch_does_not_wait_for_the_interval_of_those_that_it_shares_checks_with() {
    let mut core = core(at_once);
    let (_, now) = one_up(&mut core, watch(0));
    let other = add(&mut core, watch(0), now + 500 * MS);
    check_once(&mut core, now + 501 * MS, Status::Up);
    assert_eq!(core.info(slot(&core, other)).state, State::Up);
    assert_eq!(due(&mut core, now + 1_400 * MS), []);
}

#[test]
fn a_report_brings_the_next_check_forward_and_never_back() {
    let mut core = core(at_once);
    let (id, now) = one_up(&mut core, Watch { falling_ms: 100, fall: 2, ..watch(0) });
    core.report(slot(&core, id), false, now + 200 * MS).unwrap();
    let info = core.info(slot(&core, id));
    assert_eq!(info.next_us, Some((now + 300 * MS) / 1_000));
    core.report(slot(&core, id), true, now + 250 * MS).unwrap();
    assert_eq!(core.info(slot(&core, id)).next_us, info.next_us);
    check_once(&mut core, now + 301 * MS, Status::Up);
}

#[test]
fn nothing_is_told_of_a_watch_that_was_removed() {
    let mut core = core(at_once);
    let (id, _) = one_up(&mut core, watch(0));
    let checks = due(&mut core, START + 1_001 * MS);
    core.report(slot(&core, id), false, START).unwrap();
    core.remove(slot(&core, id));
    assert!(!core.has_changes());
    // Added again while its check is in flight: that one is its check.
    let again = add(&mut core, watch(0), START + 2 * SECOND);
    assert_eq!(due(&mut core, START + 3 * SECOND), []);
    core.settle(&ended(checks[0], Status::Up), START + 3 * SECOND);
    let change = core.take_change().unwrap();
    assert_eq!((change.id, change.from, change.to), (again, State::Unknown, State::Up));
    core.remove(slot(&core, again));
    assert_eq!(core.next_at(), None);
}

#[test]
fn a_watch_is_in_its_first_state_since_it_was_added() {
    let mut core = core(at_once);
    let id = add(&mut core, watch(0), START + 7_654_321);
    assert_eq!(core.info(slot(&core, id)).since_us, START / 1_000 + 7_654);
}

#[test]
fn a_change_is_told_with_its_time_and_a_verdict_that_changes_nothing_is_none() {
    let mut core = core(at_once);
    let id = add(&mut core, watch(0), START);
    assert!(!core.has_changes());
    let since = |core: &Core| (core.info(slot(core, id)).changes, core.info(slot(core, id)).since_us);
    assert_eq!(since(&core), (0, START / 1_000));
    let changed = START + 7_654_321;
    check_once(&mut core, changed, Status::Up);
    assert!(core.has_changes() && core.changes_fd().is_ok_and(|fd| fd > 2));
    let change = core.take_change().unwrap();
    assert_eq!((change.id, change.from, change.to), (id, State::Unknown, State::Up));
    assert_eq!((change.at_us, since(&core).1), (START / 1_000 + 7_654, change.at_us));
    check_once(&mut core, changed + 2 * SECOND, Status::Up);
    assert!(!core.has_changes());
    assert_eq!(since(&core), (1, change.at_us));
}

#[test]
fn every_result_is_told_where_that_is_asked_for() {
    let mut core = core(|config| {
        at_once(config);
        config.set_every_result(true).unwrap();
    });
    let (_, now) = one_up(&mut core, watch(0));
    check_once(&mut core, now + 1_001 * MS, Status::Up);
    check_once(&mut core, now + 2_002 * MS, Status::Busy);
    assert_eq!(changes(&mut core), [(State::Up, State::Up); 2]);
}

/// Ten seconds of 20,000 watches whose answers take a while: none is forgotten, none checked twice at once, and no
/// tenth of a second has more than 1.2 times the mean.
#[test]
fn many_watches_are_checked_evenly() {
    for (jitter_percent, latency_ms) in [(0, 3), (20, 3), (50, 3), (0, 120)] {
        let mut core = core(|_| ());
        for number in 0..20_000 {
            add(&mut core, Watch { interval_ms: 2_000, jitter_percent, ..watch(number) }, START);
        }
        let mut in_flight: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        let mut counts: HashMap<usize, u32> = HashMap::new();
        let mut begun = Vec::new();
        for ms in 0..10_000 {
            let now = START + ms * MS;
            for tag in in_flight.remove(&ms).unwrap_or_default() {
                core.settle(&ended(tag, Status::Up), now);
            }
            let checks = due(&mut core, now);
            checks.iter().for_each(|&tag| *counts.entry(tag).or_default() += 1);
            begun.push(checks.len());
            in_flight.insert(ms + latency_ms, checks);
        }
        assert_eq!(counts.len(), 20_000);
        // The first within an interval, and from then on each after its interval, which has jitter, and its latency.
        let (shortest, longest) = (2_000 - 20 * jitter_percent, 2_000 + 20 * jitter_percent);
        let expected = (10_000 - longest) / (longest + latency_ms as u32)..=10_000 / (shortest + latency_ms as u32) + 1;
        assert!(counts.values().all(|count| expected.contains(count)), "{expected:?} each");
        let mean = 100.0 * 20_000.0 / (2_000 + latency_ms) as f64;
        let most = begun.windows(100).map(|tenth| tenth.iter().sum::<usize>()).max().unwrap();
        assert!(most as f64 <= 1.2 * mean, "{most} in a tenth of a second, and {mean} on the average");
    }
}

/// The answers of 20,000 silent watches take a second, and a third of them are in flight when this program is stopped.
#[test]
fn after_a_stop_there_is_no_burst() {
    let mut core = core(|_| ());
    for number in 0..20_000 {
        add(&mut core, Watch { interval_ms: 2_000, ..watch(number) }, START);
    }
    let mut in_flight: Vec<(u64, usize)> = Vec::new();
    let mut begun = Vec::new();
    for ms in (0..7_000).chain(10_000..20_000) {
        let now = START + ms * MS;
        let is_over = |&mut (since, _): &mut (u64, usize)| now >= since + SECOND;
        for (since, tag) in in_flight.extract_if(.., is_over).collect::<Vec<_>>() {
            let mut report = ended(tag, Status::TimedOut);
            report.verdict.elapsed_us = (now - since) / 1_000;
            core.settle(&report, now);
        }
        let checks = due(&mut core, now);
        begun.push(checks.len());
        in_flight.extend(checks.into_iter().map(|tag| (now, tag)));
    }
    let most = begun[3_000..].windows(100).map(|tenth| tenth.iter().sum::<usize>()).max().unwrap();
    // As many as before: the first checks were spread over the interval, a thousand in each tenth of a second.
    assert!(most <= 1_200, "{most} in a tenth of a second");
}

#[derive(Clone, Debug)]
enum Step {
    Add(u32),
    Remove(usize),
    Pause(usize, bool),
    CheckNow(usize),
    Report(usize, bool),
    Run(u64),
    Settle(usize, u8),
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6u32).prop_map(Step::Add),
        2 => any::<usize>().prop_map(Step::Remove),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, on)| Step::Pause(which, on)),
        1 => any::<usize>().prop_map(Step::CheckNow),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, up)| Step::Report(which, up)),
        6 => (0..2_000u64).prop_map(Step::Run),
        6 => (any::<usize>(), 0..4u8).prop_map(|(which, status)| Step::Settle(which, status)),
        3 => Just(Step::Take),
    ]
}

proptest! {
    /// Whatever is done in whatever order: one check of a target at a time, each change begins where the one before it
    /// ended unless some were skipped, nothing comes of what was removed, and the last change told is the state.
    #[test]
    fn changes_follow_each_other(steps in proptest::collection::vec(step(), 1..300)) {
        let mut core = core(|_| ());
        let mut now = START;
        let mut ids: Vec<u64> = Vec::new();
        let mut in_flight: Vec<usize> = Vec::new();
        let mut told: HashMap<u64, State> = HashMap::new();
        let read = |core: &mut Core, told: &mut HashMap<u64, State>, ids: &[u64], limit: usize| {
            for change in std::iter::from_fn(|| core.take_change()).take(limit) {
                prop_assert!(ids.contains(&change.id), "a change of one that was removed");
                prop_assert_ne!(change.from, change.to);
                let before = told.insert(change.id, change.to).unwrap_or(State::Unknown);
                prop_assert!(change.skipped || before == change.from, "{before:?}, then {change:?}");
            }
            Ok(())
        };
        for step in steps {
            match step {
                Step::Add(number) => ids.push(add(&mut core, Watch { fall: 2, ..watch(number) }, now)),
                Step::Take => read(&mut core, &mut told, &ids, 1)?,
                Step::Run(ms) => {
                    now += ms * MS;
                    for tag in due(&mut core, now) {
                        prop_assert!(!in_flight.contains(&tag), "two checks at once");
                        in_flight.push(tag);
                    }
                }
                Step::Settle(which, status) => {
                    if !in_flight.is_empty() {
                        let tag = in_flight.swap_remove(which % in_flight.len());
                        let status = [Status::Up, Status::Refused, Status::TimedOut, Status::Busy][usize::from(status)];
                        core.settle(&ended(tag, status), now);
                    }
                }
                _ if ids.is_empty() => {}
                Step::Remove(which) => {
                    let id = ids.swap_remove(which % ids.len());
                    core.remove(slot(&core, id));
                }
                Step::Pause(which, on) => core.pause(slot(&core, ids[which % ids.len()]), on, now),
                Step::CheckNow(which) => core.check_now(slot(&core, ids[which % ids.len()]), now),
                Step::Report(which, up) => core.report(slot(&core, ids[which % ids.len()]), up, now).unwrap(),
            }
        }
        read(&mut core, &mut told, &ids, usize::MAX)?;
        for &id in &ids {
            let info = core.info(slot(&core, id));
            prop_assert_eq!(told.get(&id).copied().unwrap_or(State::Unknown), info.state);
        }
        let doubtful = ids.iter().filter(|&&id| {
            let slot = slot(&core, id);
            core.records.watch(slot).hysteresis.may_be_down()
        });
        prop_assert_eq!(core.doubtful, doubtful.count());
        ids.drain(..).for_each(|id| core.remove(slot(&core, id)));
        in_flight.drain(..).for_each(|tag| core.settle(&ended(tag, Status::Up), now));
        prop_assert_eq!(core.next_at(), None);
        prop_assert!(!core.has_changes());
    }
}
