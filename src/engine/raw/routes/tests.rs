use super::*;
use crate::sys::netns::ELSEWHERE;

/// Addresses for documentation (RFC 5737): nobody has them, and nothing is sent to them here.
const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 8);
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The broadcast address of the loopback network.
const BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

fn with_source() -> Routes {
    Routes::new(Wire { source_v4: Some(SocketAddrV4::new(OURS, 0)), ..Wire::default() })
}

fn by_loopback_device() -> Routes {
    Routes::new(Wire { interface: Some(b"lo".as_slice().into()), ..Wire::default() })
}

fn may_mark() -> bool {
    asker(Domain::IPV4).is_ok_and(|socket| socket.set_mark(5).is_ok())
}

fn v6(address: &str, zone: u32) -> SocketAddr {
    SocketAddrV6::new(address.parse().unwrap(), 80, 0, zone).into()
}

#[test]
fn a_check_without_a_mark_is_not_asked_for_with_the_mark_of_the_one_before() {
    if !may_mark() {
        return; // no privilege
    }
    let mut routes = Routes::new(Wire::default());
    assert_eq!(routes.source(LOOPBACK, 5, 1), Ok(LOOPBACK));
    // Whether there is a way there does not matter.
    let _ = routes.source(OTHER, 0, 1);
    assert_eq!(routes.mark_kept(), 0);
    assert_eq!(routes.source(LOOPBACK, 7, 1), Ok(LOOPBACK));
    assert_eq!(routes.mark_kept(), 7);
}

#[test]
fn the_kernel_is_not_asked_about_loopback_unless_a_mark_or_an_interface_may_lead_elsewhere() {
    let mut routes = Routes::new(Wire::default());
    assert_eq!(routes.source(Ipv4Addr::new(127, 1, 2, 3), 0, 1), Ok(LOOPBACK));
    assert!(routes.v4.is_none() && routes.kept.is_empty());
    let mut routes = by_loopback_device();
    assert_eq!(routes.source(LOOPBACK, 0, 1), Ok(LOOPBACK));
    assert!(routes.v4.is_some() && !routes.kept.is_empty());
    if may_mark() {
        let mut routes = Routes::new(Wire::default());
        assert_eq!(routes.source(LOOPBACK, 5, 1), Ok(LOOPBACK));
        assert!(routes.v4.is_some() && !routes.kept.is_empty());
    }
}

#[test]
fn what_the_kernel_said_is_believed_until_its_time_is_over_and_for_the_same_target_alone() {
    let mut routes = by_loopback_device();
    let key = (LOOPBACK, 0);
    let kept = Kept { source: OTHER, until: 100 };
    for is_latest in [true, false] {
        let latest = if is_latest { key } else { (OURS, 0) };
        routes.latest = Some((latest, kept));
        routes.kept = [(if is_latest { (OURS, 0) } else { key }, kept)].into();
        assert_eq!(routes.source(LOOPBACK, 0, 99), Ok(OTHER));
        assert_eq!(routes.source(LOOPBACK, 0, 100), Ok(LOOPBACK), "its time is over");
        // What was found then is kept, too.
        routes.latest = None;
        routes.kept.values_mut().for_each(|kept| kept.source = OTHER);
        assert_eq!(routes.source(LOOPBACK, 0, 99 + LIFE), Ok(OTHER));
        assert_eq!(routes.source(LOOPBACK, 0, 100 + LIFE), Ok(LOOPBACK));
    }
    routes.kept.clear();
    routes.latest = Some(((OURS, 0), kept));
    assert_eq!(routes.source(LOOPBACK, 0, 99), Ok(LOOPBACK), "another one's");
}

#[test]
fn what_is_forgotten_is_asked_for_anew_and_nothing_else() {
    let mut routes = by_loopback_device();
    let kept = Kept { source: OTHER, until: 100 };
    routes.kept = [((LOOPBACK, 0), kept), ((OURS, 0), kept)].into();
    routes.latest = Some(((LOOPBACK, 0), kept));
    routes.forget(LOOPBACK.into(), 0);
    assert_eq!(routes.source(LOOPBACK, 0, 1), Ok(LOOPBACK));
    assert_eq!(routes.source(OURS, 0, 1), Ok(OTHER));
}

#[test]
fn a_configured_source_is_that_of_every_target_and_no_socket_asks_for_it() {
    let mut routes = with_source();
    routes.open_v4().unwrap();
    assert_eq!((routes.source(OTHER, 0, 1), routes.source(LOOPBACK, 5, 1)), (Ok(OURS), Ok(OURS)));
    assert!(routes.v4.is_none());
    // This host does not have it.
    assert_eq!(routes.ask(LOOPBACK.into(), 0, 0), Err(libc::EADDRNOTAVAIL));
    assert_eq!(Routes::new(Wire::default()).ask(LOOPBACK.into(), 0, 0), Ok(()));
}

#[test]
fn tcp_knows_no_way_to_a_broadcast_address() {
    let mut routes = Routes::new(Wire::default());
    assert_eq!(routes.ask(BROADCAST.into(), 0, 0), Err(libc::ENETUNREACH));
    assert_eq!(routes.ask(LOOPBACK.into(), 0, 0), Ok(()), "the socket is not spoilt for others");
}

#[test]
fn a_socket_to_ask_with_is_opened_once_and_has_the_mark_of_the_checker() {
    let mark = if may_mark() { 9 } else { 0 };
    let mut routes = Routes::new(Wire { mark: Some(mark), ..Wire::default() });
    routes.open_v4().unwrap();
    assert_eq!(routes.mark_kept(), mark);
    let fd = |routes: &Routes| routes.v4.as_ref().map(|(socket, _)| socket.as_raw_fd());
    let first = fd(&routes);
    routes.open_v4().unwrap();
    assert!(first.is_some() && fd(&routes) == first);
    routes.clear();
    assert!(routes.v4.is_none());
}

#[test]
fn a_target_is_here_that_is_asked_from_its_own_address() {
    let mut routes = with_source();
    let is_here = |routes: &mut Routes, ip: Ipv4Addr| routes.is_here(&(ip, 80).into(), 0, 1);
    assert!(is_here(&mut routes, OURS) && !is_here(&mut routes, OTHER));
    assert!(is_here(&mut routes, LOOPBACK), "from whatever address");
    let routes = &mut Routes::new(Wire::default());
    assert!(is_here(routes, LOOPBACK) && is_here(routes, Ipv4Addr::new(127, 1, 2, 3)));
    assert!(routes.is_here(&v6("::1", 0), 0, 1) && !routes.is_here(&v6("2001:db8::1", 0), 0, 1));
}

#[test]
fn a_group_has_no_way_and_an_address_of_a_link_needs_its_zone() {
    let plain = Routes::new(Wire::default());
    assert_eq!(plain.may_ask(&"224.0.0.1:80".parse().unwrap()), Err(libc::ENETUNREACH));
    assert_eq!(plain.may_ask(&v6("ff02::1", 1)), Err(libc::ENETUNREACH));
    for elsewhere in ["192.0.2.8:80", "[2001:db8::1]:80"] {
        assert_eq!(plain.may_ask(&elsewhere.parse().unwrap()), Ok(()));
    }
    assert_eq!(plain.may_ask(&v6("fe80::1", 0)), Err(libc::EINVAL));
    assert_eq!(plain.may_ask(&v6("fe80::1", 7)), Ok(()));
    let SocketAddr::V6(source) = v6("fe80::2", 7) else { unreachable!() };
    let zoned = Routes::new(Wire { source_v6: Some(source), ..Wire::default() });
    assert_eq!(zoned.may_ask(&v6("fe80::1", 7)), Ok(()));
    assert_eq!(zoned.may_ask(&v6("fe80::1", 8)), Err(libc::EINVAL), "the source is of another zone");
    let bound = by_loopback_device();
    assert_eq!(bound.may_ask(&v6("fe80::1", 0)), Ok(()), "it is that of the interface");
    // No interface has this number, and the socket is bound to another one.
    assert!(bound.may_ask(&v6("fe80::1", 9_999)).is_err());
}

#[test]
fn nothing_is_opened_in_another_network_namespace() {
    let Some(mut routes) = Routes::elsewhere() else { return };
    assert_eq!(routes.may_open(false, false), Err(ELSEWHERE));
    assert_eq!(routes.may_open(false, true), Ok(()), "one that is there already does not matter");
    assert_eq!(routes.open_v4(), Err(ELSEWHERE));
    assert_eq!(routes.ask(LOOPBACK.into(), 0, 0), Err(ELSEWHERE));
    assert_eq!(Routes::new(Wire::default()).may_open(false, false), Ok(()));
}
