//! Texts: what is an address, what is a name, and what is neither and costs nothing.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;
use tcpshaker::Target;

/// getaddrinfo's view of a host that must be a number (AI_NUMERICHOST), asked as C asks.
fn numeric(host: &str) -> Option<SocketAddr> {
    let host = std::ffi::CString::new(host).ok()?;
    // SAFETY: all zeroes is a valid addrinfo.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    (hints.ai_flags, hints.ai_socktype) = (libc::AI_NUMERICHOST, libc::SOCK_STREAM);
    let mut list = std::ptr::null_mut();
    // SAFETY: the texts end with NUL, the hints are whole, and the list is freed below.
    if unsafe { libc::getaddrinfo(host.as_ptr(), c"80".as_ptr(), &hints, &mut list) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so there is at least one address, as long as its length says.
    let address = unsafe {
        let storage = |storage: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
            std::ptr::copy_nonoverlapping((*list).ai_addr.cast(), storage.cast::<u8>(), (*list).ai_addrlen as usize);
            *length = (*list).ai_addrlen;
            Ok(())
        };
        socket2::SockAddr::try_init(storage).expect("it fits").1.as_socket()
    };
    // SAFETY: getaddrinfo made the list, and nothing of it is used any more.
    unsafe { libc::freeaddrinfo(list) };
    address
}

/// Almost IPv4 addresses: numbers of all sizes and bases, too many, too few.
fn almost_v4() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        8 => (0..=255u32).prop_map(|number| number.to_string()),
        1 => (0..=300u32).prop_map(|number| number.to_string()),
        1 => (0..=255u32).prop_map(|number| format!("{number:03}")),
        1 => (0..=255u32).prop_map(|number| format!("0x{number:x}")),
        1 => "[0-9a-z]{0,3}",
    ];
    prop_oneof![
        6 => prop::collection::vec(number.clone(), 4),
        1 => prop::collection::vec(number, 1..6),
    ]
    .prop_map(|numbers| numbers.join("."))
}

/// Almost IPv6 addresses: groups that are too long, too many or too few, scopes that exist or do not.
fn almost_v6() -> impl Strategy<Value = String> {
    let group =
        prop_oneof![8 => "[0-9a-fA-F]{1,4}", 2 => Just(String::new()), 1 => "[0-9a-g]{5}", 1 => "1\\.2\\.3\\.4"];
    let address = prop_oneof![
        3 => any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
        1 => any::<u64>().prop_map(|bits| std::net::Ipv6Addr::from(0xfe80u128 << 112 | u128::from(bits)).to_string()),
        3 => prop::collection::vec(group, 1..10).prop_map(|groups| groups.join(":")),
    ];
    let scope = prop_oneof![
        6 => Just(String::new()),
        1 => prop::sample::select(vec!["%lo", "%1", "%", "%0", "%no-such", "%lo%1", "%+1", "%1x"]).prop_map(String::from),
        1 => (0..=1u64 << 33).prop_map(|scope| format!("%{scope}")),
    ];
    (address, scope).prop_map(|(address, scope)| address + &scope)
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[-a-z0-9.:\\[\\]%]{0,24}", 1 => ".{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn literal_without_brackets_is_what_getaddrinfo_reads(host in prop_oneof![almost_v4(), any_text()], port in 1..=u16::MAX) {
        // With the dot of the root it is the same address, and for getaddrinfo a name.
        let view = numeric(host.strip_suffix('.').unwrap_or(&host));
        match Target::from(format!("{host}:{port}").as_str()) {
            Target::Literal(address) => {
                prop_assert_eq!(view.map(|view| view.ip()), Some(address.ip()));
                prop_assert_eq!(address.port(), port);
            }
            // glibc takes a lone asterisk for any address.
            Target::Name(_) => prop_assert!(view.is_none() || host == "*", "{:?}", view),
            // IPv6 without its brackets, and IPv4 as only getaddrinfo reads it (0x7f.1), are numbers and yet no
            // targets.
            Target::Malformed(_) => prop_assert!(host.parse::<Ipv4Addr>().is_err()),
        }
    }

    #[test]
    fn literal_in_brackets_is_what_getaddrinfo_reads(host in prop_oneof![4 => almost_v6(), 1 => almost_v4(), 1 => any_text()], port in 1..=u16::MAX) {
        // glibc takes a lone asterisk for any address; a real one has a colon.
        let view = numeric(&host).filter(|view| view.is_ipv6() && host.contains(':'));
        match (Target::from(format!("[{host}]:{port}").as_str()), view) {
            (Target::Literal(SocketAddr::V6(address)), Some(SocketAddr::V6(view))) => {
                prop_assert_eq!((address.ip(), address.scope_id()), (view.ip(), view.scope_id()));
                prop_assert_eq!(address.port(), port);
            }
            (Target::Malformed(_), None) => {}
            (target, view) => prop_assert!(false, "{:?} where getaddrinfo says {:?}", target, view),
        }
    }

    #[test]
    fn text_of_a_socket_address_is_that_address(address in any::<SocketAddr>()) {
        // The text of a V6 address has no place for its flow label.
        let address = match address {
            SocketAddr::V6(mut address) => { address.set_flowinfo(0); SocketAddr::V6(address) }
            address => address,
        };
        match Target::from(address.to_string().as_str()) {
            Target::Literal(read) => prop_assert_eq!(read, address),
            other => prop_assert!(address.port() == 0, "{:?}", other),
        }
        prop_assert_eq!(Target::from(address), Target::from(address.to_string().as_str()));
    }

    #[test]
    fn no_text_whatever_panics(text in ".{0,300}") {
        let _ = Target::from(text.as_str());
        let _ = Target::parse(text.as_bytes());
    }
}

#[test]
fn each_form_of_the_contract_is_understood() {
    let literal = |text: &str| match Target::from(text) {
        Target::Literal(address) => address,
        other => panic!("{text}: {other:?}"),
    };
    for text in ["127.0.0.1:80", "[::1]:80", "0.0.0.0:1", "[::ffff:127.0.0.1]:65535"] {
        assert_eq!(literal(text), text.parse().unwrap());
    }
    // SAFETY: the text ends with NUL.
    let scope = unsafe { libc::if_nametoindex(c"lo".as_ptr()) };
    assert_eq!(literal("[fe80::1%lo]:80"), format!("[fe80::1%{scope}]:80").parse().unwrap());
    let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    assert_eq!(longest.len(), 253);
    for text in ["example.com:80", "example.com:http", ":80", "localhost:1", "[::1]:http", &format!("{longest}:80")] {
        assert!(matches!(Target::from(text), Target::Name(_)), "{text}: {:?}", Target::from(text));
    }
}

/// What the contract calls no address.
fn malformed() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        ":",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:00",
        "127.0.0.1:65536",
        "127.0.0.1:99999999999999999999",
        "127.0.0.1:-1",
        "127.0.0.1:+80",
        "127.0.0.1: 80",
        "127.0.0.1:80 ",
        "localhost",
        "localhost:",
        "localhost:0",
        "::1",
        "::1:80",
        "fe80::1%lo:80",
        "[::1]",
        "[::1]:",
        "[::1]:0",
        "[::1]80",
        "[::1",
        "[::1:80",
        "[]:80",
        "[::1]]:80",
        "[[::1]]:80",
        "[localhost]:80",
        "[fe80::1%]:80",
        "]:80",
        "local\0host:80",
        "127.0.0.1:80\0",
        "\0",
        "local host:80",
        "http://localhost:80",
    ]
    .map(String::from)
    .into();
    texts.push(format!("{}:80", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".")));
    texts.push(format!("{}:80", "1".repeat(100_000)));
    texts.push(format!("localhost:{}", "1".repeat(100_000)));
    texts
}

#[test]
fn malformed_text_is_no_target() {
    for text in malformed() {
        let shown: String = text.escape_default().take(60).collect();
        assert!(
            matches!(Target::from(text.as_str()), Target::Malformed(_)),
            "{shown}: {:?}",
            Target::from(text.as_str())
        );
    }
}

#[test]
fn malformed_text_is_bad_address_at_once_and_nothing_is_sent() {
    use support::counters::Rise;
    use tcpshaker::{Checker, Config, Request, Status};

    namespaced!();
    support::etc::replace();
    // No check and no question: neither TCP nor UDP sends, and no thread has come to resolve anything.
    let silent = [Rise::of("TcpActiveOpens"), Rise::of("TcpOutSegs"), Rise::of("UdpOutDatagrams")];
    let checker = Checker::new(&Config::default()).unwrap();
    let threads = support::process::threads();
    let texts = malformed();
    for text in &texts {
        for verdict in [checker.check_addr(text, 0), checker.check(&Request::new(text.as_str()))] {
            let shown: String = text.escape_default().take(60).collect();
            assert_eq!((verdict.status, verdict.os_error), (Status::BadAddress, 0), "{shown}");
            assert_eq!((verdict.address, verdict.half_open), (None, false), "{shown}");
        }
    }
    let sent = || silent.iter().map(Rise::now).collect::<Vec<_>>();
    assert_eq!(sent(), [0, 0, 0]);
    assert_eq!(support::process::threads(), threads);
    assert_eq!((checker.stats().sockets, checker.stats().bad_address), (0, 2 * texts.len() as u64));
    // A name that is one does show in the counters.
    assert_eq!(checker.check_addr("nobody.test:80", 0).status, Status::Unresolved);
    assert!(sent()[2] > 0);
}
