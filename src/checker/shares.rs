//! How many checks a checker may have in flight, and what of it each of its loops may.

use super::{Checker, IN_FLIGHT_MAX, RAW_IDLE_MS, RAW_IN_FLIGHT, share};
use crate::Request;
use crate::config::{Config, EngineKind};
use crate::sys::limits;

/// What each loop of a checker with these settings may have in flight.
fn shares(config: &Config) -> Vec<u32> {
    let checker = Checker::new(config).unwrap();
    checker.shared.handles.iter().map(|handle| handle.permits.limit()).collect()
}

#[test]
fn of_any_number_are_as_even_as_can_be_the_larger_ones_first() {
    let shares = |all, loops| (0..loops).map(|index| share(all, loops, index)).collect::<Vec<_>>();
    assert_eq!(shares(10, 4), [3, 3, 2, 2]);
    assert_eq!(shares(8, 4), [2, 2, 2, 2]);
    assert_eq!(shares(2, 3), [1, 1, 0]);
    assert_eq!(shares(5, 1), [5]);
}

#[test]
fn they_are_all_that_there_are_and_none_has_two_more_than_another() {
    for (max_in_flight, loops) in [(10, 4), (7, 3), (8, 2), (3, 8), (1, 1), (1, 5)] {
        let shares = shares(&Config { max_in_flight: Some(max_in_flight), loops, ..Config::default() });
        assert_eq!(shares.iter().sum::<u32>(), max_in_flight, "{shares:?}");
        assert_eq!(shares.len() as u32, loops.min(max_in_flight), "a loop without a share would be no use");
        assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
    }
}

#[test]
fn without_a_limit_half_of_the_descriptors_are_shared_out() {
    let all = (limits::descriptor_limit() / 2).clamp(1, IN_FLIGHT_MAX);
    assert_eq!(shares(&Config::default()), [all as u32]);
}

#[test]
fn of_a_raw_engine_are_those_that_hold_no_descriptor_and_it_is_idle_sooner() {
    let config = Config { engine: EngineKind::Raw, idle_ms: 60_000, ..Config::default() };
    let Ok(checker) = Checker::new(&config) else { return }; // without the privilege
    assert_eq!(shares(&config), [RAW_IN_FLIGHT]);
    assert_eq!(checker.shared.config.idle_ms, RAW_IDLE_MS);
    let sooner = Checker::new(&Config { idle_ms: 50, ..config.clone() }).unwrap();
    assert_eq!(sooner.shared.config.idle_ms, 50);
    let sockets = Checker::new(&Config { engine: EngineKind::Socket, ..config }).unwrap();
    assert_eq!(sockets.shared.config.idle_ms, 60_000);
}

#[test]
fn every_check_of_a_long_list_that_is_submitted_has_its_result_whichever_loop_makes_it() {
    let (_bound, target) = crate::test_targets::refusing();
    let checker = Checker::new(&Config { loops: 3, ..Config::default() }).unwrap();
    for count in [2, super::submit::WORTH_SPLITTING, 500] {
        let request = |tag| Request { tag, ..Request::new(target) };
        checker.submit((0..count).map(request).collect()).unwrap();
        let mut reports = Vec::new();
        while reports.len() < count {
            checker.reap(&mut reports, count, None);
        }
        let tags: std::collections::HashSet<usize> = reports.iter().map(|report| report.tag).collect();
        assert_eq!(tags.len(), count);
    }
}
