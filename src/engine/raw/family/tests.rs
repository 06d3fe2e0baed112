use super::*;

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
