//! The settings of a monitor, each validated when it is set.

use crate::check::error::Error;

/// How a monitor goes about its watches.
#[derive(Clone, Debug)]
pub struct MonitorConfig {
    pub(super) max_spread_ms: Option<u32>,
    pub(super) every_result: bool,
    pub(super) max_down_percent: u32,
}

impl Default for MonitorConfig {
    fn default() -> MonitorConfig {
        MonitorConfig { max_spread_ms: None, every_result: false, max_down_percent: 100 }
    }
}

impl MonitorConfig {
    /// Within how many milliseconds the first check of a watch is made: the first checks of many are spread evenly over
    /// this time. Default: the interval of each watch; with `jitter_percent` some come later than that, by up to so many
    /// percent, as its intervals do. 0 makes them at once.
    pub fn set_max_spread(&mut self, spread_ms: u32) -> Result<(), Error> {
        self.max_spread_ms = Some(spread_ms);
        Ok(())
    }

    /// Whether every result is told as a change, from a state to the same one where it changes nothing. Default false.
    pub fn set_every_result(&mut self, on: bool) -> Result<(), Error> {
        self.every_result = on;
        Ok(())
    }

    /// How many percent of the watches may be down at once, or failing: while more are, none of them goes down, as it
    /// is more likely that this host has lost its network. What is held back so is judged by the checks that begin once it
    /// is over, and no failure from before counts then. Default 100: any number may. More than 100 is refused.
    ///
    /// Paused watches count with the state that they have. Where one failure is enough (`fall` 1), those that fail first
    /// go down before the others are known to fail. With a single watch, anything below 100 keeps it from going down.
    pub fn set_max_down_percent(&mut self, percent: u32) -> Result<(), Error> {
        if percent > 100 {
            return Err(Error::Invalid);
        }
        self.max_down_percent = percent;
        Ok(())
    }
}
