//! Tests of watches that do what servers of HAProxy, hosts of Envoy and real servers of keepalived do: each of their
//! settings as a field of a watch, and step by step what their manuals say of state and next check.

use super::*;

/// What a check saw, the state that follows, and in how many milliseconds the next check begins.
type Row = (Status, State, u64);

const SUCCESS: Status = Status::Up;
const FAILURE: Status = Status::Refused;
/// This machine could not make the check: for all three that would be a failure, and here it is none.
const FAULT: Status = Status::LocalFault;

#[track_caller]
fn assert_steps(watch: &Watch, rows: &[Row]) {
    let mut core = core(at_once);
    let id = add(&mut core, watch.clone(), START);
    let mut now = START;
    for (number, &(status, state, next_ms)) in (1..).zip(rows) {
        check_once(&mut core, now, status);
        let info = core.info(slot(&core, id));
        let next_ms_is = info.next_us.map(|next_us| (next_us - now / 1_000) / 1_000);
        assert_eq!((info.state, next_ms_is), (state, Some(next_ms)), "after check {number}");
        now += (next_ms + 1) * MS;
    }
}

/// When the first check of each of many watches begins that are added at once, and how long after its end the second,
/// in milliseconds.
fn first_two(watch: &Watch, max_spread_ms: Option<u32>) -> Vec<(u64, u64)> {
    let mut core = core(|config| {
        if let Some(ms) = max_spread_ms {
            config.set_max_spread(ms).unwrap();
        }
    });
    let watches = (0..500).map(|tag| Watch { target: super::watch(tag).target, tag: tag as usize, ..watch.clone() });
    let ids: Vec<u64> = watches.map(|watch| add(&mut core, watch, START)).collect();
    let mut both = HashMap::new();
    for ms in 0..10_000 {
        let now = START + ms * MS;
        for probe in due(&mut core, now) {
            core.settle(&ended(probe, SUCCESS), now);
            let next = core.info(slot(&core, ids[probe])).next_us.unwrap();
            both.entry(probe).or_insert((ms, (next - now / 1_000) / 1_000));
        }
    }
    assert_eq!(both.len(), 500);
    both.into_values().collect()
}

mod haproxy {
    use super::State::{Down, Up};
    use super::*;

    /// `inter 2s fastinter 500ms downinter 5s rise 2 fall 3 init-state …`
    fn server(init_state: &str) -> Watch {
        let (initial, first_fall, first_rise) = match init_state {
            "fully-up" => (Up, 3, 1),
            "up" => (Up, 1, 1),
            "down" => (Down, 1, 1),
            "fully-down" => (Down, 1, 2),
            other => panic!("no init-state {other}"),
        };
        Watch {
            interval_ms: 2_000,
            falling_ms: 500,
            rising_ms: 500,
            down_ms: 5_000,
            rise: 2,
            fall: 3,
            initial,
            first_fall,
            first_rise,
            ..watch(0)
        }
    }

    #[test]
    fn a_server_that_is_up_goes_down_and_comes_back() {
        let rows = [
            (SUCCESS, Up, 2_000),
            (FAILURE, Up, 500),
            (FAILURE, Up, 500),
            (SUCCESS, Up, 2_000),
            (FAILURE, Up, 500),
            (FAILURE, Up, 500),
            (FAILURE, Down, 5_000),
            (FAILURE, Down, 5_000),
            (SUCCESS, Down, 500),
            (FAILURE, Down, 5_000),
            (SUCCESS, Down, 500),
            (SUCCESS, Up, 2_000),
        ];
        assert_steps(&server("up"), &rows);
    }

    #[test]
    fn init_state_says_how_many_of_the_first_results_are_needed() {
        assert_steps(&server("up"), &[(FAILURE, Down, 5_000), (SUCCESS, Down, 500), (SUCCESS, Up, 2_000)]);
        assert_steps(&server("fully-up"), &[(FAILURE, Up, 500), (FAILURE, Up, 500), (FAILURE, Down, 5_000)]);
        assert_steps(&server("down"), &[(SUCCESS, Up, 2_000), (FAILURE, Up, 500)]);
        assert_steps(&server("fully-down"), &[(SUCCESS, Down, 500), (SUCCESS, Up, 2_000), (FAILURE, Up, 500)]);
        assert_steps(&server("fully-down"), &[(FAILURE, Down, 5_000), (SUCCESS, Down, 500), (SUCCESS, Up, 2_000)]);
    }

    #[test]
    fn what_is_not_set_is_inter_rise_2_and_fall_3() {
        let plain = Watch { interval_ms: 0, rise: 0, fall: 0, initial: Up, ..watch(0) };
        let rows = [
            (SUCCESS, Up, 2_000),
            (FAILURE, Up, 2_000),
            (FAILURE, Up, 2_000),
            (FAILURE, Down, 2_000),
            (SUCCESS, Down, 2_000),
            (SUCCESS, Up, 2_000),
        ];
        assert_steps(&plain, &rows);
    }

    #[test]
    fn a_fault_of_this_machine_is_no_result() {
        let rows =
            [(SUCCESS, Up, 2_000), (FAULT, Up, 2_000), (FAILURE, Up, 500), (FAULT, Up, 500), (SUCCESS, Up, 2_000)];
        assert_steps(&server("up"), &rows);
    }

    #[test]
    fn spread_checks_makes_each_interval_longer_or_shorter() {
        let seconds = first_two(&Watch { jitter_percent: 50, ..server("up") }, None);
        assert!(seconds.iter().all(|(_, second)| (1_000..=3_000).contains(second)));
        assert!(seconds.iter().any(|(_, second)| *second < 1_200) && seconds.iter().any(|(_, second)| *second > 2_800));
    }
}

mod envoy {
    use super::State::{Down, Up};
    use super::*;

    /// `interval: 10s`, `unhealthy_edge_interval: 1s`, `healthy_edge_interval: 2s`, `unhealthy_interval: 30s`,
    /// `unhealthy_threshold: 2`, `healthy_threshold: 3`. A host begins as one that has failed.
    fn host() -> Watch {
        Watch {
            interval_ms: 10_000,
            falling_ms: 1_000,
            rising_ms: 2_000,
            down_ms: 30_000,
            fall: 2,
            rise: 3,
            initial: Down,
            ..watch(0)
        }
    }

    #[test]
    fn a_first_success_is_enough_and_later_ones_are_counted() {
        let rows = [
            (SUCCESS, Up, 10_000),
            (SUCCESS, Up, 10_000),
            (FAILURE, Up, 1_000),
            (SUCCESS, Up, 10_000),
            (FAILURE, Up, 1_000),
            (FAILURE, Down, 30_000),
            (FAILURE, Down, 30_000),
            (SUCCESS, Down, 2_000),
            (SUCCESS, Down, 2_000),
            (FAILURE, Down, 30_000),
            (SUCCESS, Down, 2_000),
            (SUCCESS, Down, 2_000),
            (SUCCESS, Up, 10_000),
            (SUCCESS, Up, 10_000),
        ];
        assert_steps(&host(), &rows);
    }

    #[test]
    fn a_host_whose_first_check_fails_needs_all_successes() {
        let rows = [
            (FAILURE, Down, 30_000),
            (SUCCESS, Down, 2_000),
            (SUCCESS, Down, 2_000),
            (SUCCESS, Up, 10_000),
            (FAILURE, Up, 1_000),
        ];
        assert_steps(&host(), &rows);
    }

    #[test]
    fn initial_jitter_spreads_the_first_checks_and_no_others() {
        let both = first_two(&host(), Some(3_000));
        assert!(both.iter().all(|(first, second)| *first < 3_000 && *second == 10_000));
        assert!(both.iter().any(|(first, _)| *first < 300) && both.iter().any(|(first, _)| *first > 2_700));
    }
}

mod keepalived {
    use super::State::{Down, Up};
    use super::*;

    /// `delay_loop 60`, `delay_before_retry 1`, `retry 2`. Without `alpha` a real server begins as one that is up.
    fn real_server(alpha: bool) -> Watch {
        Watch {
            interval_ms: 60_000,
            falling_ms: 1_000,
            fall: 3,
            first_fall: 3,
            rise: 1,
            initial: if alpha { Down } else { Up },
            ..watch(0)
        }
    }

    #[test]
    fn a_real_server_is_removed_after_its_retries_and_comes_back_with_one_success() {
        let rows = [
            (FAILURE, Up, 1_000),
            (FAILURE, Up, 1_000),
            (FAILURE, Down, 60_000),
            (FAILURE, Down, 60_000),
            (SUCCESS, Up, 60_000),
            (FAILURE, Up, 1_000),
            (SUCCESS, Up, 60_000),
            (FAILURE, Up, 1_000),
            (FAILURE, Up, 1_000),
            (FAILURE, Down, 60_000),
        ];
        assert_steps(&real_server(false), &rows);
    }

    #[test]
    fn with_alpha_it_is_down_until_its_first_success() {
        let rows = [(FAILURE, Down, 60_000), (FAILURE, Down, 60_000), (SUCCESS, Up, 60_000), (FAILURE, Up, 1_000)];
        assert_steps(&real_server(true), &rows);
    }

    #[test]
    fn without_retries_the_first_failure_removes_it() {
        let watch = Watch { fall: 1, first_fall: 1, ..real_server(false) };
        assert_steps(&watch, &[(FAILURE, Down, 60_000), (SUCCESS, Up, 60_000), (FAILURE, Down, 60_000)]);
    }

    #[test]
    fn warmup_spreads_the_first_checks() {
        let both = first_two(&real_server(false), Some(5_000));
        assert!(both.iter().all(|(first, second)| *first < 5_000 && *second == 60_000));
        assert!(both.iter().any(|(first, _)| *first > 4_500));
    }
}
