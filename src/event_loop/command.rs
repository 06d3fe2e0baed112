//! What other threads ask of a loop.

use std::net::SocketAddr;

use crate::check::close_mode::CloseMode;
use crate::check::request::Family;
use crate::check::target::Target;
use crate::completion::Sink;
use crate::engine::socket::Socket;

/// How a check is to be made, whatever its target.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// When it was submitted, on the library's clock.
    pub submitted: u64,
    pub timeout_ms: u32,
    pub close_mode: CloseMode,
    /// The firewall mark; 0 is none.
    pub mark: u32,
    /// Its time runs from its own start, not from its submission.
    pub paced: bool,
    /// It has its token of the rate already.
    pub has_token: bool,
    /// SYNs that have left for it already.
    pub syns: u8,
}

/// One check as it is handed to a loop.
pub(crate) struct SubmittedCheck {
    pub id: u64,
    pub tag: usize,
    pub target: Target,
    pub family: Family,
    /// How old an answer of the resolver may be; 0: asked for by this check.
    pub name_age_ms: u32,
    pub terms: Terms,
}

/// A check that a caller began on its own thread, socket and all.
pub(crate) struct StartedCheck {
    pub id: u64,
    pub tag: usize,
    pub target: SocketAddr,
    pub terms: Terms,
    pub socket: Socket,
    pub syn_at: u64,
}

pub(crate) enum Command {
    /// Checks with ids that follow one another, or are all 0.
    Batch {
        sink: Sink,
        checks: Vec<SubmittedCheck>,
    },
    TakeOver {
        sink: Sink,
        started: Box<StartedCheck>,
    },
    /// The lookup of a paced check's name began: its time runs from now.
    LookupBegan {
        race: u32,
        generation: u32,
    },
    Resolved {
        race: u32,
        generation: u32,
        addresses: Result<Vec<SocketAddr>, i32>,
    },
    Cancel(u64),
    CancelAll,
    /// Callers left spare sockets, or a raw engine: see in a while whether anybody needs them.
    Sweep,
    /// Another loop wants a descriptor: close what is idle.
    CloseIdle,
}
