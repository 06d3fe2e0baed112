//! How even the checks of many watches are where this program has its processor only now and then.

use super::*;

const WATCHES: u32 = 5_000;
const INTERVAL_MS: u64 = 2_000;

/// When this program looks, in milliseconds: mostly every five, often somewhat later, now and then much later.
fn looks(until_ms: u64) -> impl Iterator<Item = u64> {
    let (mut random, mut at) = (1u64, 0);
    std::iter::from_fn(move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        at += match random >> 57 {
            0 => 20 + (random >> 40) % 60,
            1..=15 => 5 + (random >> 40) % 6,
            _ => 5,
        };
        (at < until_ms).then_some(at)
    })
}

/// Two minutes: whatever a busy moment brings together comes apart again, and does not become more and more.
#[test]
fn checks_that_a_busy_moment_brought_together_do_not_stay_together() {
    let mut core = core(|_| ());
    for number in 0..WATCHES {
        add(&mut core, Watch { interval_ms: INTERVAL_MS as u32, ..watch(number) }, START);
    }
    let mut in_flight = Vec::new();
    let mut begun: Vec<(u64, usize)> = Vec::new();
    for ms in looks(120_000) {
        let now = START + ms * MS;
        in_flight.drain(..).for_each(|tag| core.settle(&ended(tag, Status::Up), now));
        in_flight = due(&mut core, now);
        begun.push((ms, in_flight.len()));
    }
    let total: usize = begun.iter().map(|(_, count)| count).sum();
    let mean = total as f64 * 100.0 / 120_000.0;
    let most = begun.iter().enumerate().map(|(first, &(from, _))| {
        begun[first..].iter().take_while(|(at, _)| *at < from + 100).map(|(_, count)| count).sum::<usize>()
    });
    let most = most.max().unwrap() as f64 / mean;
    assert!(most <= 1.4, "{most:.2} times the mean in a tenth of a second");
    // And none is forgotten: the schedule moved with each long absence, and with nothing else.
    assert!(total as u64 >= u64::from(WATCHES) * (120_000 / INTERVAL_MS) * 8 / 10, "{total}");
}
