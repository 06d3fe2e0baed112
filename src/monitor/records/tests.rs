//! Tests of the records.

use std::net::Ipv4Addr;

use super::*;
use crate::monitor::watch::Watch;

fn add(records: &mut Records, address: u32, change: impl FnOnce(&mut Watch)) -> u32 {
    let mut watch = Watch::new(SocketAddr::from((Ipv4Addr::from_bits(address), 80)));
    change(&mut watch);
    let settings = Settings::of(&watch, 1_000).unwrap();
    records.add(watch.target, settings, watch.initial, watch.tag, 0)
}

fn watches_of(records: &Records, probe: u32) -> Vec<u32> {
    std::iter::successors(records.next_of(probe, None), |&watch| records.next_of(probe, Some(watch))).collect()
}

#[test]
fn an_id_is_that_of_one_watch_for_ever() {
    let mut records = Records::new();
    let slot = add(&mut records, 1, |_| ());
    let id = records.id(slot);
    assert_ne!(id, 0);
    assert_eq!(records.slot(id), Some(slot));
    records.remove(slot);
    assert_eq!(records.slot(id), None);
    let again = add(&mut records, 1, |_| ());
    assert_eq!(again, slot, "the slot is used again");
    assert_eq!(records.slot(id), None);
    assert_ne!(records.id(again), id);
    assert_eq!(records.slot(0), None);
}

#[test]
fn watches_of_one_target_with_the_same_settings_have_one_probe() {
    let mut records = Records::new();
    let watches = [(); 3].map(|()| add(&mut records, 1, |watch| watch.initial = State::Down));
    let probe = records.watch(watches[0]).probe;
    assert_eq!(watches_of(&records, probe), [watches[2], watches[1], watches[0]]);
    for other in [
        add(&mut records, 2, |_| ()),
        add(&mut records, 1, |watch| watch.mark = 1),
        add(&mut records, 1, |watch| watch.interval_ms = 1),
    ] {
        assert_ne!(records.watch(other).probe, probe);
    }
    records.remove(watches[1]);
    assert_eq!(watches_of(&records, probe), [watches[2], watches[0]]);
    records.remove(watches[2]);
    records.remove(watches[0]);
    assert!(!records.has_watches(probe));
    let back = add(&mut records, 1, |_| ());
    assert_eq!(records.watch(back).probe, probe, "a probe without watches is found again");
}

#[test]
fn nothing_is_left_of_probes_that_are_gone() {
    let mut records = Records::new();
    for round in 0..10u32 {
        let watches: Vec<u32> =
            (0..100).map(|number| add(&mut records, number, |watch| watch.mark = round * 100 + number)).collect();
        for watch in watches {
            let probe = records.watch(watch).probe;
            records.remove(watch);
            records.remove_probe(probe);
        }
    }
    assert_eq!((records.count(), records.probes.len()), (0, 0));
    assert!(records.shared.len() == 0 && records.settings.is_empty());
}

#[test]
fn a_million_watches_cost_what_was_promised() {
    let mut records = Records::new();
    for number in 0..1_000_000 {
        add(&mut records, number, |_| ());
    }
    let timers = 21_250_000; // timer_wheel/tests.rs holds it to that
    let watches = records.watches.capacity() * size_of::<Record>();
    let probes = records.probes.capacity() * (size_of::<Probe>() - size_of::<Target>());
    let bytes = watches + probes + records.shared.allocation_size() + timers;
    assert!(bytes <= 200_000_000, "{bytes} bytes");
}

#[test]
fn the_latest_verdict_is_kept_as_it_was() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let up = Verdict {
        rtt_us: 7,
        syn_retransmits: 2,
        half_open: true,
        elapsed_us: 12_345,
        address: Some(address),
        ..Verdict::without_segments(Status::Up, 0)
    };
    let refused = Verdict { rtt_us: 0, half_open: false, ..up };
    let refused = Verdict { status: Status::Refused, os_error: 111, ..refused };
    let unresolved = Verdict::without_segments(Status::Unresolved, -2);
    for target in [Target::from(address), Target::from("name.test:80")] {
        let mut records = Records::new();
        let settings = Settings::of(&Watch::new(target.clone()), 1_000).unwrap();
        let slot = records.add(target, settings, State::Unknown, 0, 0);
        let (_, probe) = records.both(slot);
        assert_eq!(probe.last(), None);
        for verdict in [up, refused, unresolved, Verdict { zero_window: true, ..up }, up] {
            probe.keep(&verdict);
            assert_eq!(probe.last(), Some(verdict));
        }
    }
}

#[test]
fn round_trips_are_smoothed_as_rfc_6298_says() {
    let mut probe =
        Probe::new(Target::from("127.0.0.1:80"), Arc::new(Settings::of(&Watch::new("127.0.0.1:80"), 1).unwrap()));
    probe.measure(800);
    assert_eq!((probe.smoothed_us, probe.variation_us), (800.0, 400.0));
    probe.measure(1_600);
    assert_eq!((probe.rtt_us, probe.smoothed_us, probe.variation_us), (1_600, 900.0, 500.0));
}

#[test]
fn room_for_more_watches_is_room_for_their_settings_too() {
    let mut records = Records::new();
    for count in [1, 100, 1_000] {
        records.grow_by(count).unwrap();
        let room = records.settings.capacity();
        for number in 0..count as u32 {
            add(&mut records, number, |watch| watch.interval_ms = 1_000 * count as u32 + number);
        }
        assert_eq!(records.settings.capacity(), room, "it grew where nobody can be refused");
    }
}

#[test]
fn what_many_watches_took_is_given_back_when_none_is_left_and_what_few_took_is_kept() {
    for (count, is_kept) in [(ROOM_KEPT as u32 / 2, true), (2 * ROOM_KEPT as u32, false)] {
        let mut records = Records::new();
        let watches: Vec<u32> = (0..count).map(|number| add(&mut records, number, |_| ())).collect();
        for &watch in &watches {
            assert!(!records.shrink());
            let probe = records.watch(watch).probe;
            records.remove(watch);
            assert!(!records.shrink(), "a probe is left");
            records.remove_probe(probe);
        }
        assert_eq!(records.shrink(), !is_kept, "{count} watches");
        assert_eq!(records.watches.capacity() >= count as usize, is_kept);
    }
}
