//! What an errno says of the target.

use crate::check::verdict::Status;
use crate::sys::os_error::{
    ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENOPROTOOPT, EPIPE, ETIMEDOUT,
};

/// Where an errno came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// connect() itself, before a segment was sent.
    Connect,
    /// RST or ICMP.
    Network,
}

/// What an errno says of the target.
pub(crate) fn status_of(errno: i32, origin: Origin) -> Status {
    if origin == Origin::Network && is_rare_icmp(errno) {
        return Status::Unreachable;
    }
    match errno {
        ECONNREFUSED => Status::Refused,
        ETIMEDOUT => Status::TimedOut,
        ENETUNREACH | EHOSTUNREACH | EHOSTDOWN | ENETDOWN => Status::Unreachable,
        0 => Status::Internal,
        _ => Status::LocalFault,
    }
}

/// ICMP's rarer answers, "protocol unreachable" among them, which is ENOPROTOOPT (icmp_err_convert in net/ipv4/icmp.c),
/// and ICMPv6's "prohibited" ones, which are EACCES (icmpv6_err_convert in net/ipv6/icmp.c). From connect() itself
/// these are this machine's word: a prohibiting route, a security module, a sandbox.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_rare_icmp(errno: i32) -> bool {
    matches!(errno, ENOPROTOOPT | libc::EACCES | libc::ENONET | libc::EOPNOTSUPP | libc::EPROTO)
}

/// Elsewhere ICMP's other answers become errnos that have no other meaning.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_rare_icmp(errno: i32) -> bool {
    errno == ENOPROTOOPT
}

/// Whether the errno comes of a reset of a connection, so that the SYN-ACK had come.
pub(crate) fn is_reset(errno: i32) -> bool {
    matches!(errno, ECONNRESET | EPIPE)
}

/// Whether only what came back for an earlier SYN can have this errno of a connect().
pub(crate) fn is_left_over(errno: i32) -> bool {
    matches!(errno, ECONNREFUSED | ETIMEDOUT) || is_reset(errno)
}

/// Whether the network can be the cause of an attempt that ended with this errno.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_of_the_network(errno: i32) -> bool {
    is_reset(errno)
        || matches!(status_of(errno, Origin::Network), Status::Refused | Status::TimedOut | Status::Unreachable)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// Every errno of Linux.
    fn those_of(is_meant: fn(i32) -> bool) -> Vec<i32> {
        (0..134).filter(|&errno| is_meant(errno)).collect()
    }

    #[test]
    fn icmps_rarer_answers_are_the_networks_word_and_from_connect_this_machines() {
        let rare = those_of(is_rare_icmp);
        assert_eq!(rare, [libc::EACCES, libc::ENONET, libc::EPROTO, ENOPROTOOPT, libc::EOPNOTSUPP]);
        for errno in rare {
            assert_eq!(status_of(errno, Origin::Network), Status::Unreachable, "{errno}");
            assert_eq!(status_of(errno, Origin::Connect), Status::LocalFault, "{errno}");
        }
    }

    #[test]
    fn other_errnos_mean_the_same_wherever_they_came_from() {
        for origin in [Origin::Connect, Origin::Network] {
            assert_eq!(status_of(0, origin), Status::Internal);
            assert_eq!(status_of(ECONNREFUSED, origin), Status::Refused);
            assert_eq!(status_of(ETIMEDOUT, origin), Status::TimedOut);
            for errno in [ENETUNREACH, EHOSTUNREACH, EHOSTDOWN, ENETDOWN] {
                assert_eq!(status_of(errno, origin), Status::Unreachable, "{errno}");
            }
            for errno in [libc::EMFILE, libc::EADDRNOTAVAIL, libc::EPERM, libc::ENOBUFS] {
                assert_eq!(status_of(errno, origin), Status::LocalFault, "{errno}");
            }
        }
    }

    #[test]
    fn a_reset_is_one_of_a_connection_and_what_is_left_over_is_no_fault_of_this_machine() {
        assert_eq!(those_of(is_reset), [EPIPE, ECONNRESET]);
        assert_eq!(those_of(is_left_over), [EPIPE, ECONNRESET, ETIMEDOUT, ECONNREFUSED]);
    }

    #[test]
    fn the_network_causes_what_is_a_verdict_on_the_target_and_resets() {
        let lesser = [libc::EACCES, EPIPE, libc::ENONET, libc::EPROTO, ENOPROTOOPT, libc::EOPNOTSUPP];
        let greater = [ENETDOWN, ENETUNREACH, ECONNRESET, ETIMEDOUT, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH];
        assert_eq!(those_of(is_of_the_network), [&lesser[..], &greater].concat());
    }
}
