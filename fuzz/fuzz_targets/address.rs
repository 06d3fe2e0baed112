//! Texts that may be addresses: what is one, what is a name, and what is neither and costs nothing.

#![no_main]

use std::ffi::{CStr, CString};
use std::net::{IpAddr, SocketAddr};

use tcpshaker::c_api::{shaker_config_free, shaker_config_new, shaker_config_set_source, shaker_status};
use tcpshaker::{Name, Target};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    target(bytes);
    source(bytes);
});

fn target(bytes: &[u8]) {
    let target = Target::parse(bytes);
    let text = std::str::from_utf8(bytes).ok();
    let known = text.and_then(|text| text.parse::<SocketAddr>().ok()).filter(|address| address.port() != 0);
    match &target {
        Target::Literal(address) => {
            assert_ne!(address.port(), 0);
            // Its text is the same address.
            assert_eq!(Target::from(address.to_string().as_str()), target);
            assert_eq!(Target::from(*address), target);
        }
        Target::Name(name) => name_is_none(bytes, name),
        Target::Malformed(why) => assert!(!why.is_empty()),
    }
    // What the standard library reads as an address is this address.
    if let Some(address) = known {
        assert_eq!(target, Target::Literal(address));
    }
}

/// A name with a port in numbers is no address for getaddrinfo(3), which would take "127.1" and "0x7f000001" for one: so
/// what is meant as a name is never sent anywhere without having been looked up.
fn name_is_none(bytes: &[u8], _: &Name) {
    let colon = bytes.iter().rposition(|byte| *byte == b':').expect("a name has a port");
    let (host, port) = (&bytes[..colon], &bytes[colon + 1..]);
    assert!(!bytes.contains(&0) && !port.is_empty());
    let is_name = !host.is_empty() && !host.starts_with(b"[") && port.iter().all(u8::is_ascii_digit);
    // glibc takes a lone asterisk for any address.
    if is_name && host != b"*" {
        assert!(!is_number(&CString::new(host).expect("no NUL")), "{}", String::from_utf8_lossy(host));
    }
}

/// Whether getaddrinfo(3) reads the host as an address. It asks nobody (AI_NUMERICHOST).
fn is_number(host: &CStr) -> bool {
    // SAFETY: all zeroes is a valid addrinfo.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    (hints.ai_flags, hints.ai_socktype) = (libc::AI_NUMERICHOST, libc::SOCK_STREAM);
    let mut list = std::ptr::null_mut();
    // SAFETY: the texts end with NUL, the hints are whole, and what is written to `list` is freed.
    unsafe {
        let found = libc::getaddrinfo(host.as_ptr(), c"80".as_ptr(), &hints, &mut list) == 0;
        if found {
            libc::freeaddrinfo(list);
        }
        found
    }
}

/// The source address of a checker, as C gives it.
fn source(bytes: &[u8]) {
    let Ok(text) = CString::new(bytes) else { return };
    let config = shaker_config_new();
    // SAFETY: the configuration was made above, and the text ends with NUL.
    let status = unsafe { shaker_config_set_source(config, text.as_ptr()) };
    // SAFETY: nobody else has it.
    unsafe { shaker_config_free(config) };
    let ip = text.to_str().ok().and_then(|text| text.split('%').next()?.parse::<IpAddr>().ok());
    match status {
        shaker_status::SHAKER_OK => assert!(ip.is_some_and(|ip| !ip.is_multicast())),
        shaker_status::SHAKER_ERR_INVALID => {
            let can_be_had = ip.is_some_and(|ip| !ip.is_multicast() && ip != IpAddr::from([255; 4]));
            assert!(!can_be_had || bytes.contains(&b'%'));
        }
        other => panic!("{other:?}"),
    }
}
