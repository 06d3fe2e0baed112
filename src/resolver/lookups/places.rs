//! How many lookups are under way, and how many more may be.

/// How a lookup under way counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Prompt,
    /// It takes long, or its host was slow of late.
    Slow,
    /// Nobody waits for it any more, and nothing can interrupt it.
    Abandoned,
}

/// Slow lookups count up to half of the places, and those that nobody waits for do not count; but twice as many as
/// there are places is the most.
pub(super) struct Places {
    pub max: usize,
    pub prompt: usize,
    pub slow: usize,
    pub abandoned: usize,
}

impl Places {
    pub fn new(max: usize) -> Places {
        Places { max, prompt: 0, slow: 0, abandoned: 0 }
    }

    pub fn count(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Prompt => &mut self.prompt,
            Kind::Slow => &mut self.slow,
            Kind::Abandoned => &mut self.abandoned,
        }
    }

    /// How many lookups may begin.
    pub fn room(&self) -> usize {
        let counted = self.prompt + self.slow.min(self.half());
        self.max.saturating_sub(counted).min(self.most().saturating_sub(self.all()))
    }

    /// How many of them may be of slow hosts. The abandoned may be slow, too, so that these never take the last places.
    pub fn room_for_slow(&self) -> usize {
        let most = self.most() - self.half();
        self.half().saturating_sub(self.slow).min(most.saturating_sub(self.all()))
    }

    pub fn most(&self) -> usize {
        2 * self.max
    }

    pub fn all(&self) -> usize {
        self.prompt + self.slow + self.abandoned
    }

    fn half(&self) -> usize {
        (self.max / 2).max(1)
    }
}
