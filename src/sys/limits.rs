//! How many sockets this process may have, and which ports the kernel gives them.

use std::ops::Range;

/// The soft limit on open descriptors.
#[cfg(unix)]
pub(crate) fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
    // SAFETY: the kernel writes one rlimit, which `limit` is.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    #[allow(clippy::unnecessary_cast)] // signed on FreeBSD
    let soft = limit.rlim_cur as u64;
    soft
}

/// There is no limit on handles; the dynamic ports end first, 16,384 by default.
#[cfg(windows)]
pub(crate) fn descriptor_limit() -> u64 {
    16_384
}

/// The range from which the kernel chooses ports (ip_local_port_range, ip(7)).
pub(crate) fn ephemeral_ports() -> Range<u32> {
    range_of(&std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default())
}

fn range_of(text: &str) -> Range<u32> {
    let mut numbers = text.split_whitespace().map_while(|number| number.parse::<u16>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) => first.into()..u32::from(last) + 1,
        _ => 32_768..61_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_the_range_are_in_it_and_without_one_it_is_the_kernels_default() {
        assert_eq!(range_of("1024\t65535\n"), 1024..65_536);
        for text in ["", "1024", "1024\tmany", "1024 65536"] {
            assert_eq!(range_of(text), 32_768..61_000, "{text:?}");
        }
    }
}
