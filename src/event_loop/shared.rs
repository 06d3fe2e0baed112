//! What the loops of one checker, and those who call it, have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::check::close_mode::CloseMode;
use crate::completion::CompletionQueue;
use crate::config::Config;
use crate::engine::socket::Socket;
use crate::event_loop::handle::{Command, LoopHandle};
use crate::rate::Rate;
use crate::resolver::Resolver;
use crate::stats::Counters;
use crate::sys::fork::ForkMark;

pub(crate) struct Shared {
    pub config: Config,
    pub handles: Vec<Arc<LoopHandle>>,
    pub resolver: Arc<Resolver>,
    pub rate: Rate,
    /// Results that wait to be reaped.
    pub completions: Arc<CompletionQueue>,
    pub counters: Counters,
    /// Loops that still run.
    pub loops: AtomicU32,
    /// Set first in a shutdown, for those who need no handle.
    pub closed: AtomicBool,
    /// How often everything was cancelled; a batch that is being fed looks whether that includes it.
    pub cancels: AtomicU64,
    pub fork_mark: ForkMark,
    /// Sockets that exist, whosever they are.
    sockets: Arc<AtomicU64>,
    /// Loops that found no descriptor left: what they could use is closed, not kept.
    short_loops: AtomicU32,
}

impl Shared {
    pub fn new(config: Config, handles: Vec<Arc<LoopHandle>>) -> Shared {
        Shared {
            resolver: Arc::new(Resolver::new()),
            rate: Rate::new(config.max_rate),
            completions: Arc::new(CompletionQueue::new()),
            counters: Counters::default(),
            loops: AtomicU32::new(handles.len() as u32),
            closed: AtomicBool::new(false),
            cancels: AtomicU64::new(0),
            fork_mark: ForkMark::new(),
            sockets: Arc::new(AtomicU64::new(0)),
            short_loops: AtomicU32::new(0),
            handles,
            config,
        }
    }

    /// Tells this checker from all others that exist now.
    pub fn identity(&self) -> usize {
        &raw const *self as usize
    }

    pub fn open_socket(&self, v6: bool, close_mode: CloseMode) -> Result<Socket, i32> {
        Socket::open(v6, close_mode, &self.config.wire, &self.sockets)
    }

    pub fn sockets(&self) -> u64 {
        self.sockets.load(Ordering::SeqCst)
    }

    /// Counts a loop in (1) or out (-1) of those that are short of descriptors.
    pub fn count_short_loops(&self, by: i32) {
        self.short_loops.fetch_add(by.cast_unsigned(), Ordering::SeqCst);
    }

    pub fn is_short_of_descriptors(&self) -> bool {
        self.short_loops.load(Ordering::SeqCst) > 0
    }

    /// A socket was closed: loops that wait for a descriptor may try again.
    pub fn feed_the_starved(&self) {
        if self.is_short_of_descriptors() {
            self.handles.iter().for_each(|handle| handle.feed());
        }
    }

    /// Asks the other loops to close what lies idle, but for those that are short themselves: they would ask back.
    pub fn have_others_relinquish(&self, own: &Arc<LoopHandle>) {
        let has_some = |handle: &&Arc<LoopHandle>| !handle.is_short_of_descriptors();
        for handle in self.handles.iter().filter(|handle| !Arc::ptr_eq(handle, own)).filter(has_some) {
            let _ = handle.give(Command::Relinquish); // a loop that has ended holds nothing
        }
    }
}
