//! Requests, as the input wants them.

use std::ffi::{CString, c_void};
use std::net::SocketAddr;

use tcpshaker::c_api::*;

use crate::books::{Asked, Way};
use crate::checkers::Checker;
use crate::input::Input;
use crate::targets::{Kind, Targets};

/// What a request points to.
enum Address {
    Text(CString),
    Socket(SocketAddr, libc::sockaddr_storage),
}

/// A request, with what it points to.
pub struct Asking {
    request: shaker_request,
    address: Address,
    kind: Kind,
    is_odd: bool,
}

impl Asking {
    pub fn read(input: &mut Input<'_>, targets: &Targets, checker: Checker) -> Asking {
        let kind = input.of(&[
            Kind::Live,
            Kind::Live,
            Kind::Live,
            Kind::Dead,
            Kind::Silent,
            Kind::Named,
            Kind::Malformed,
            Kind::Any,
        ]);
        let v6 = input.one_in(3);
        let socket = match kind {
            Kind::Live if v6 => Some(targets.live_v6()),
            Kind::Live => Some(targets.live_v4()),
            Kind::Dead => Some(targets.dead()),
            Kind::Silent => Some(targets.silent()),
            _ => None,
        };
        let text = match kind {
            Kind::Named => format!("localhost:{}", targets.live_v4().port()).into_bytes(),
            Kind::Any => input.text().split(|byte| *byte == 0).next().unwrap_or_default().to_vec(),
            Kind::Malformed => b"nowhere".to_vec(),
            _ => socket.map_or_else(Vec::new, |address| address.to_string().into_bytes()),
        };
        let address = match socket {
            Some(address) if input.one_in(2) => Address::Socket(address, storage(&address)),
            _ => Address::Text(CString::new(text).expect("no NUL")),
        };
        let flags = if input.one_in(3) { input.below(16) as u32 } else { 0 };
        // A flag that is not known, now and then.
        let flags = if input.one_in(64) { flags | 1 << 7 } else { flags };
        let is_odd = checker.is_odd || flags & (SHAKER_IPV4 | SHAKER_IPV6) != 0;
        let timeout_ms = input.of(&[0, 1, 5, 20]);
        // SAFETY: all zeroes is a request, as C has it.
        let request = shaker_request { timeout_ms, flags, ..unsafe { std::mem::zeroed() } };
        Asking { request, address, kind, is_odd }
    }

    pub fn is_valid(&self) -> bool {
        const BOTH: u32 = SHAKER_IPV4 | SHAKER_IPV6;
        self.request.flags < 16 && self.request.flags & BOTH != BOTH
    }

    pub fn asked(&self, way: Way, deed: u8, checker: usize, of: Checker) -> Asked {
        let (kind, flags, is_odd) = (self.kind, self.request.flags, self.is_odd);
        Asked { kind, way, flags, checker, deed, is_odd, is_raw: of.is_raw }
    }

    /// It lives as long as this.
    pub fn request(&self, number: usize) -> shaker_request {
        let user_data = (number + 1) as *mut c_void;
        match &self.address {
            Address::Text(text) => shaker_request { addr: text.as_ptr(), user_data, ..self.request },
            Address::Socket(address, storage) => {
                let length =
                    if address.is_ipv4() { size_of::<libc::sockaddr_in>() } else { size_of::<libc::sockaddr_in6>() };
                let sockaddr = (storage as *const libc::sockaddr_storage).cast();
                shaker_request { sockaddr, sockaddr_len: length as libc::socklen_t, user_data, ..self.request }
            }
        }
    }
}

fn storage(address: &SocketAddr) -> libc::sockaddr_storage {
    // SAFETY: all zeroes is one, and it is large and aligned enough for either kind of address.
    unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        match address {
            SocketAddr::V4(v4) => {
                let place = &mut *(&raw mut storage).cast::<libc::sockaddr_in>();
                place.sin_family = libc::AF_INET as libc::sa_family_t;
                place.sin_port = v4.port().to_be();
                place.sin_addr.s_addr = v4.ip().to_bits().to_be();
            }
            SocketAddr::V6(v6) => {
                let place = &mut *(&raw mut storage).cast::<libc::sockaddr_in6>();
                place.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                place.sin6_port = v6.port().to_be();
                place.sin6_addr.s6_addr = v6.ip().octets();
            }
        }
        storage
    }
}
