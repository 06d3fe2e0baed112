//! Hosts whose lookups were slow of late: a bounded table.

use std::collections::{HashMap, VecDeque};
use std::ffi::CStr;
use std::sync::Arc;

/// How long a host counts as slow after a slow lookup, in nanoseconds.
const REMEMBERED: u64 = 60_000_000_000;
/// More hosts than this are not remembered: the oldest are forgotten.
const HOSTS: usize = 1024;

#[derive(Default)]
pub(super) struct SlowHosts {
    /// Until when each counts as slow.
    until: HashMap<Arc<CStr>, u64>,
    /// The same in the order of their times, with those that were noted again or forgotten since.
    noted: VecDeque<(Arc<CStr>, u64)>,
}

impl SlowHosts {
    /// Without memory for it, a host is not remembered.
    pub fn note(&mut self, host: &CStr, now: u64) {
        if self.until.try_reserve(1).is_ok() && self.noted.try_reserve(1).is_ok() {
            let host: Arc<CStr> = host.into();
            self.until.insert(host.clone(), now + REMEMBERED);
            self.noted.push_back((host, now + REMEMBERED));
        }
        while let Some((host, until)) = self.noted.front()
            && (*until <= now || self.noted.len() > HOSTS)
        {
            if self.until.get(host) == Some(until) {
                self.until.remove(host);
            }
            self.noted.pop_front();
        }
    }

    pub fn forget(&mut self, host: &CStr) {
        self.until.remove(host);
    }

    pub fn contains(&self, host: &CStr, now: u64) -> bool {
        self.until.get(host).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    #[test]
    fn a_slow_host_is_forgotten_when_it_was_not_slow_again_for_a_minute() {
        let mut hosts = SlowHosts::default();
        hosts.note(c"a", 1);
        hosts.note(c"b", 1);
        hosts.note(c"a", 2);
        assert!(hosts.contains(c"a", REMEMBERED + 1) && !hosts.contains(c"b", REMEMBERED + 1));
        assert!(!hosts.contains(c"a", REMEMBERED + 2));
        hosts.note(c"b", REMEMBERED + 3);
        hosts.forget(c"b");
        assert!(!hosts.contains(c"b", REMEMBERED + 3));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_latest() {
        let mut hosts = SlowHosts::default();
        for number in 0..10 * HOSTS {
            hosts.note(&CString::new(format!("host{number}")).unwrap(), number as u64);
        }
        assert_eq!((hosts.until.len(), hosts.noted.len()), (HOSTS, HOSTS));
        assert!(!hosts.contains(c"host0", 0));
        assert!(hosts.contains(&CString::new(format!("host{}", 10 * HOSTS - 1)).unwrap(), 0));
        for round in 0..10 * HOSTS {
            hosts.note(c"same", round as u64);
        }
        assert_eq!((hosts.until.len(), hosts.noted.len()), (1, HOSTS));
    }
}
