use super::*;
use crate::sys::raw_socket;

/// One of IPv4 and the poller that knows it, unless this process may have none.
fn family() -> Option<(mio::Poll, Family)> {
    raw_socket::probe().ok()?;
    let poll = mio::Poll::new().unwrap();
    let family = Family::open(false, &Wire::default(), 0, poll.registry(), &mut None).unwrap();
    Some((poll, family))
}

#[test]
fn whatever_icmp_says_of_one_segment_is_no_verdict_on_another() {
    // icmp_err_convert and icmp_unreach in net/ipv4, icmpv6_err_convert in net/ipv6, EMSGSIZE apart.
    for errno in [
        libc::ENETUNREACH,
        libc::EHOSTUNREACH,
        libc::ENOPROTOOPT,
        libc::ECONNREFUSED,
        libc::EMSGSIZE,
        libc::EOPNOTSUPP,
        libc::EHOSTDOWN,
        libc::ENONET,
        libc::EPROTO,
        libc::EACCES,
    ] {
        assert!(is_told_by_icmp(errno), "{errno}");
    }
    assert!(!is_told_by_icmp(libc::EINVAL));
}

#[test]
fn a_segment_that_was_told_of_and_cannot_be_read_is_lost_on_this_host() {
    let Some((_poll, mut family)) = family() else { return };
    let stamps = Stamps::new().look();
    let mut is_lost = |told| {
        (family.readable, family.told) = (true, told);
        family.read(clock::now(), stamps, false, |_| ())
    };
    assert_eq!([false, true, false].map(&mut is_lost), [false, true, false]);
}

#[test]
fn there_is_more_while_segments_or_errors_may_wait() {
    let Some((_poll, mut family)) = family() else { return };
    let mut has_more = |readable, has_errors| {
        (family.readable, family.unread) = (readable, UnreadErrors::default());
        if has_errors {
            family.unread.told();
        }
        family.has_more()
    };
    assert!(has_more(true, false) && has_more(false, true) && !has_more(false, false));
}
