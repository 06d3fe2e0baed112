//! When verdicts change the state of a watch, and at which pace it is checked next. A pure function of verdicts.

/// What is held to be true of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum State {
    /// Too few verdicts yet.
    #[default]
    Unknown = 0,
    /// It answers.
    Up = 1,
    /// It does not.
    Down = 2,
}

/// How many verdicts in a row change the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Thresholds {
    pub fall: u32,
    pub rise: u32,
    /// The same until the initial state was left or confirmed.
    pub first_fall: u32,
    pub first_rise: u32,
}

/// Which of its intervals a watch is checked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Up and well; or unknown, and no success yet.
    Steady,
    /// Up, after a failure that was not the last straw.
    Falling,
    /// Down or unknown, after a success that was not yet enough.
    Rising,
    /// Down.
    Down,
}

/// A state, and the verdicts that may lead out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hysteresis {
    state: State,
    /// Whether the latest verdict was up.
    latest: Option<bool>,
    /// No run of verdicts has been long enough yet to leave the initial state, or to confirm it.
    is_first: bool,
    /// Verdicts in a row that agree with the latest, since the failures were doubted.
    run: u32,
}

impl Hysteresis {
    pub fn new(initial: State) -> Hysteresis {
        Hysteresis { state: initial, latest: None, is_first: true, run: 0 }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn run(&self) -> u32 {
        self.run
    }

    /// What one more verdict makes of it. The state has changed if it differs.
    pub fn after(self, is_up: bool, thresholds: &Thresholds) -> Hysteresis {
        let run = if self.latest == Some(is_up) { self.run.saturating_add(1) } else { 1 };
        let needed = match (is_up, self.is_first) {
            (true, true) => thresholds.first_rise,
            (true, false) => thresholds.rise,
            (false, true) => thresholds.first_fall,
            (false, false) => thresholds.fall,
        };
        let is_enough = run >= needed;
        let state = match is_up {
            _ if !is_enough => self.state,
            true => State::Up,
            false => State::Down,
        };
        Hysteresis { state, latest: Some(is_up), is_first: self.is_first && !is_enough, run }
    }

    /// A failure that is not believed: neither it nor those before it count, and those from now on are to decide.
    pub fn doubted(self) -> Hysteresis {
        Hysteresis { latest: Some(false), run: 0, ..self }
    }

    /// Whether it is down, or the latest verdict says that it may soon be.
    pub fn may_be_down(&self) -> bool {
        self.state == State::Down || self.latest == Some(false)
    }

    pub fn pace(&self) -> Pace {
        match (self.state, self.latest) {
            (State::Up, Some(false)) => Pace::Falling,
            (State::Down | State::Unknown, Some(true)) => Pace::Rising,
            (State::Down, _) => Pace::Down,
            (State::Up | State::Unknown, _) => Pace::Steady,
        }
    }
}

#[cfg(test)]
mod tests;
