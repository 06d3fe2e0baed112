//! What was learned: the verdict on one target, and the report that carries it to whoever asked.

use std::net::SocketAddr;

use super::target::Target;
use crate::sys::memory::OutOfMemory;
use crate::sys::os_error;

/// The answer to a check. Zero is up; positive is down, and how; negative is no verdict: nothing was
/// learned about the target, so nobody may mark it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum Status {
    /// A SYN-ACK came back.
    Up = 0,
    /// No answer before the deadline, or the kernel's own ETIMEDOUT.
    TimedOut = 1,
    /// A RST came back (ECONNREFUSED), or the socket met itself or another check's on this host.
    Refused = 2,
    /// No way there: ENETUNREACH, EHOSTUNREACH, EHOSTDOWN, ENETDOWN, or ICMP's "protocol unreachable".
    Unreachable = 3,
    /// A bad argument.
    Invalid = -1,
    /// Not an address; "host:port" was expected.
    BadAddress = -2,
    /// The name could not be resolved, or not early enough before the deadline. `os_error` is getaddrinfo's EAI_ code.
    Unresolved = -3,
    /// This machine could not make the check (no descriptor, no port, no permission). `os_error` says why.
    LocalFault = -4,
    /// Cancelled by [`Checker::cancel`](crate::Checker::cancel).
    Cancelled = -5,
    /// The checker was shut down.
    Closed = -6,
    /// The checker belongs to the parent process.
    Forked = -7,
    /// A blocking call made from one of the checker's own callbacks.
    Deadlock = -8,
    /// The deadline passed while the check still waited for its turn, or before there was time for an answer.
    Busy = -9,
    /// Not on this platform, or not with these privileges.
    Unsupported = -10,
    /// A defect of the library; the process goes on.
    Internal = -11,
}

impl Status {
    /// Every status there is.
    pub const ALL: [Status; 15] = [
        Status::Up,
        Status::TimedOut,
        Status::Refused,
        Status::Unreachable,
        Status::Invalid,
        Status::BadAddress,
        Status::Unresolved,
        Status::LocalFault,
        Status::Cancelled,
        Status::Closed,
        Status::Forked,
        Status::Deadlock,
        Status::Busy,
        Status::Unsupported,
        Status::Internal,
    ];

    /// The status in words, with a NUL at the end for C.
    pub(crate) const fn c_text(self) -> &'static str {
        match self {
            Status::Up => "up\0",
            Status::TimedOut => "timed out\0",
            Status::Refused => "refused\0",
            Status::Unreachable => "unreachable\0",
            Status::Invalid => {
                "bad argument: a NULL, an unknown flag, a reserved field that is not zero or a value out of range\0"
            }
            Status::BadAddress => {
                "not an address: expected host:port with a port from 1 to 65535, IPv6 as [address]:port, of an allowed family\0"
            }
            Status::Unresolved => "name not resolved\0",
            Status::LocalFault => "this machine could not make the check\0",
            Status::Cancelled => "cancelled\0",
            Status::Closed => "the checker was shut down\0",
            Status::Forked => "the checker belongs to the parent process\0",
            Status::Deadlock => "a blocking call from a callback of the same checker\0",
            Status::Busy => "the deadline passed while the check waited for its turn\0",
            Status::Unsupported => "not on this platform, or not with these privileges\0",
            Status::Internal => "internal error of libtcpshaker\0",
        }
    }

    /// The status in words.
    pub const fn text(self) -> &'static str {
        self.c_text().split_at(self.c_text().len() - 1).0
    }

    /// Whether anything was learned about the target: up or down.
    pub const fn is_verdict(self) -> bool {
        self as i32 >= 0
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.text())
    }
}

/// What one check learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Up, down, or why there is no verdict.
    pub status: Status,
    /// The errno (or EAI_ code) behind the status; 0 if there is none.
    pub os_error: i32,
    /// From SYN to SYN-ACK in microseconds, as the kernel measured it, or where it does not tell as the library saw it;
    /// 0 unless up.
    pub rtt_us: u32,
    /// SYNs beyond the first: early ones, and those that the kernel sent again, where it tells. `rtt_us` is that of the
    /// SYN which was answered.
    pub syn_retransmits: u32,
    /// Proven on this very check that the kernel sent no ACK until the answer was seen, and none of its own accord
    /// until the reset a few microseconds later. Another segment of the peer's in between may have drawn one.
    pub half_open: bool,
    /// The SYN-ACK offered a window of 0, as SYN proxies do. [`EngineKind::Raw`](crate::EngineKind::Raw) alone sees it.
    pub zero_window: bool,
    /// From submission to verdict, in microseconds.
    pub elapsed_us: u64,
    /// The address the verdict is about; `None` if none was tried.
    pub address: Option<SocketAddr>,
}

impl Verdict {
    /// A verdict that no segment led to.
    pub(crate) fn without_segments(status: Status, os_error: i32) -> Verdict {
        Verdict {
            status,
            os_error,
            rtt_us: 0,
            syn_retransmits: 0,
            half_open: false,
            zero_window: false,
            elapsed_us: 0,
            address: None,
        }
    }

    /// The verdict on a check that no loop takes.
    pub(crate) fn refused_by_loop(status: Status) -> Verdict {
        match status {
            Status::LocalFault => Verdict::out_of_memory(),
            _ => Verdict::without_segments(status, 0),
        }
    }

    /// There was no memory for the check.
    pub(crate) fn out_of_memory() -> Verdict {
        Verdict::without_segments(Status::LocalFault, os_error::ENOMEM)
    }

    /// The verdict on a check whose target is none, or none that it may have.
    pub(crate) fn without_address(target: &Target) -> Verdict {
        match target.is_out_of_memory() {
            true => Verdict::out_of_memory(),
            false => Verdict::without_segments(Status::BadAddress, 0),
        }
    }
}

impl From<OutOfMemory> for Status {
    fn from(_: OutOfMemory) -> Status {
        Status::LocalFault
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(address) = self.address {
            write!(formatter, "{address} ")?;
        }
        write!(formatter, "{}", self.status)?;
        if self.status == Status::Up {
            write!(formatter, ", rtt {}.{:03} ms", self.rtt_us / 1000, self.rtt_us % 1000)?;
            formatter.write_str(if self.half_open { ", half-open" } else { ", not proven half-open" })?;
            formatter.write_str(if self.zero_window { ", zero window" } else { "" })?;
        } else if self.address.is_some() || self.elapsed_us > 0 {
            write!(formatter, " after {}.{:03} ms", self.elapsed_us / 1000, self.elapsed_us % 1000)?;
        }
        match self.syn_retransmits {
            0 => {}
            1 => formatter.write_str(", 1 SYN sent again")?,
            many => write!(formatter, ", {many} SYNs sent again")?,
        }
        if self.os_error != 0 {
            write!(formatter, " ({})", os_error_text(self.status, self.os_error))?;
        }
        Ok(())
    }
}

/// What the errno behind a status means, or with [`Status::Unresolved`] the EAI_ code; empty for 0.
pub(crate) fn os_error_text(status: Status, os_error: i32) -> String {
    match status {
        _ if os_error == 0 => String::new(),
        Status::Unresolved => os_error::name_error_text(os_error),
        _ => os_error::error_text(os_error),
    }
}

/// A verdict on its way to whoever asked.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The check's id, from [`Checker::submit`](crate::Checker::submit); 0 for blocking checks.
    pub id: u64,
    /// The request's own tag.
    pub tag: usize,
    /// What was learned.
    pub verdict: Verdict,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written of a verdict without an answer.
    fn text(elapsed_us: u64, address: Option<SocketAddr>) -> String {
        Verdict { elapsed_us, address, ..Verdict::without_segments(Status::TimedOut, 0) }.to_string()
    }

    #[test]
    fn how_long_it_took_is_said_where_there_was_a_check() {
        let status = Status::TimedOut.to_string();
        let address: SocketAddr = ([127, 0, 0, 1], 80).into();
        assert_eq!(text(0, None), status);
        assert_eq!(text(1_500, None), format!("{status} after 1.500 ms"));
        assert_eq!(text(0, Some(address)), format!("{address} {status} after 0.000 ms"));
    }
}
