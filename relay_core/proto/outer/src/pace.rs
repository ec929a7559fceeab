//! A pace: steps that come evenly, with some that may come ahead of their time.
use core::time::Duration;

use telerelay_wire::Moment;

/// A token bucket, kept as the moment at which the next step is due if all come evenly (GCRA, ITU-T I.371). That moment is
/// the owner's, so that thousands of owners share one pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    every: Duration,
    ahead: Duration,
}

impl Pace {
    /// A step `every` so often; whoever took none for a while takes those of `ahead` at once.
    pub(crate) const fn new(every: Duration, ahead: Duration) -> Self {
        Self { every, ahead }
    }

    /// So many steps a second.
    pub(crate) fn per_second(steps: u32, ahead: Duration) -> Self {
        Self::new(Duration::from_secs(1) / steps.max(1), ahead)
    }

    /// When the next step may be taken.
    pub(crate) fn ready_at(&self, due: Moment) -> Moment {
        due - self.ahead
    }

    /// Takes a step, if one may be taken now.
    pub(crate) fn step(&self, due: &mut Moment, now: Moment) -> bool {
        if now < self.ready_at(*due) {
            return false;
        }
        *due = (*due).max(now) + self.every;
        true
    }
}
