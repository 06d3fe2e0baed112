//! The thread that owns every check in flight, its sockets and timers. Nobody else touches them.

mod address_race;
mod cancellation;
mod check;
mod check_table;
mod checks;
pub(crate) mod command;
mod due;
mod early_syns;
#[cfg(test)]
mod fake_engine;
mod gate;
pub(crate) mod handle;
mod ids;
pub(crate) mod inbox;
mod intake;
mod outbox;
mod race_event;
mod races;
mod room;
mod round_clock;
mod rounds;
pub(crate) mod shared;
mod shortage;
mod silent;
mod starts;
mod syn_schedule;
mod take_over;
mod timers;
mod turns;

#[cfg(test)]
pub(crate) use rounds::DEADLY_TAG;
pub(crate) use rounds::EventLoop;
pub(crate) use take_over::LoopEngine;
