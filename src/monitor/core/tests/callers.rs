//! Tests of monitors that callers drive, who look when they have time.

use super::*;

/// Each has its interval, and as much more as the callers are late.
#[test]
fn callers_who_look_ten_times_a_second_have_all_watches_checked() {
    let mut core = Core::new(MonitorConfig::default(), Looks::Callers, START);
    let ids: Vec<u64> = (0..1_000).map(|number| add(&mut core, watch(number), START)).collect();
    for tenth in 1..=100 {
        let now = START + tenth * 100 * MS;
        for tag in due(&mut core, now) {
            core.settle(&ended(tag, Status::Up), now);
        }
    }
    let checks = ids.iter().map(|&id| core.info(slot(&core, id)).checks);
    let few: Vec<u32> = checks.filter(|checks| !(9..=10).contains(checks)).collect();
    assert_eq!(few, [], "each second, and up to a tenth later");
}

/// A caller who was away for longer has no burst for it either.
#[test]
fn after_a_stop_they_begin_no_more_than_a_quarter_of_a_second_at_once() {
    let mut core = Core::new(MonitorConfig::default(), Looks::Callers, START);
    for number in 0..1_000 {
        add(&mut core, watch(number), START);
    }
    let most = due(&mut core, START + 900 * MS).len();
    assert!(most <= 251, "{most} of a thousand that are spread over a second");
}
