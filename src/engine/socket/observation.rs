//! What a look at a connecting socket found.

/// What a look at a connecting socket found.
pub(crate) enum Observation {
    /// No answer yet.
    Nothing { syn_retransmits: u32 },
    /// SYN-ACK.
    Answered(Answer),
    /// connect() itself failed.
    Unsent { errno: i32 },
    /// Another call of the library's own failed, which says nothing of the target.
    Fault { errno: i32 },
    /// RST, ICMP or the kernel's own ETIMEDOUT.
    Failed { errno: i32, syn_retransmits: u32 },
    /// An ICMP error that the kernel noted on the socket, to go on trying. A reused socket may bear it from an earlier
    /// target.
    #[cfg_attr(not(any(target_os = "linux", target_os = "android")), expect(dead_code, reason = "Linux alone tells"))]
    Noted { errno: i32, syn_retransmits: u32 },
    /// RST, ICMP or the kernel's own ETIMEDOUT, whose errno is still to be collected. An answer may have come first.
    #[cfg_attr(not(any(target_os = "linux", target_os = "android")), expect(dead_code, reason = "Linux alone tells"))]
    Closed(Answer),
}

/// What is known of an answered handshake.
pub(crate) struct Answer {
    pub rtt_us: u32,
    pub syn_retransmits: u32,
    /// More segments left than SYNs: the ACK is out.
    pub acked: bool,
    /// The answer came from a socket that connects, the very one that asked or another check's (RFC 9293, 3.5:
    /// simultaneous open).
    pub met_a_check: bool,
    /// The same, by the kernel's counters.
    pub met_a_syn: bool,
}
