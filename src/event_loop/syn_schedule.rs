//! When a check has another SYN, on an engine where that is no check of its own.

/// SYNs of a check that leave early. A socket's are sent again by the kernel after that, and so are these: a network may
/// be gone for longer than the first four take, and a check may have minutes.
const EARLY: u8 = 4;
/// SYNs of a check that follows the schedule of Linux: tcp_syn_retries in tcp(7) is 6.
const SYNS_OF_THE_KERNEL: u8 = 7;
/// How long Linux waits for an answer to its first SYN, in nanoseconds (TCP_TIMEOUT_INIT in include/net/tcp.h). It
/// waits twice as long with each further one.
const KERNEL_WAITS: u64 = 1_000_000_000;

/// How many nanoseconds after the last SYN another one is sent, of a check that has sent so many, in this interval; 0
/// is the kernel's schedule. `None` if no other is.
pub(super) fn delay_of_next(syns: u8, interval_ms: u32) -> Option<u64> {
    match interval_ms {
        0 => (1..SYNS_OF_THE_KERNEL).contains(&syns).then(|| KERNEL_WAITS << (syns - 1)),
        _ if syns < EARLY => Some(u64::from(interval_ms) * 1_000_000),
        _ => delay_of_next(syns - EARLY + 1, 0),
    }
}

/// A SYN that would leave so late before the deadline is not missed if it does not, in milliseconds.
const MARGIN_MS: u32 = 50;

/// How many SYNs a check with this timeout has sent by its deadline in this interval, if the loop had time for all of them.
pub(super) fn early_within(timeout_ms: u32, interval_ms: u32) -> u8 {
    match timeout_ms.saturating_sub(MARGIN_MS).checked_div(interval_ms) {
        Some(further) => (1 + further).min(EARLY.into()) as u8,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syns_that_fit_before_the_deadline_are_expected() {
        let expected = |timeout_ms| early_within(timeout_ms, 300);
        assert_eq!([0, 1, 349, 350, 649, 650, 950, 1_000, 9_000].map(expected), [1, 1, 1, 2, 2, 3, 4, 4, 4]);
        assert_eq!(early_within(60_000, 0), 1);
    }

    /// After how many milliseconds SYNs are sent.
    fn sent_after(interval_ms: u32) -> Vec<u64> {
        let mut sent = vec![0];
        while let Some(delay) = delay_of_next(sent.len() as u8, interval_ms) {
            sent.push(sent.last().unwrap() + delay / 1_000_000);
        }
        sent
    }

    #[test]
    fn four_syns_leave_in_the_interval_and_what_follows_as_the_kernels_would() {
        assert_eq!(sent_after(300), [0, 300, 600, 900, 1900, 3900, 7900, 15_900, 31_900, 63_900]);
        assert_eq!(sent_after(0), [0, 1000, 3000, 7000, 15_000, 31_000, 63_000]);
    }
}
