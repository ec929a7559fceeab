//! The clock and the randomness that the machines are given.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use telerelay_wire::{Entropy, Moment};
use tokio::time::Instant;

/// The monotonic clock of one endpoint, zero at its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Moment {
        Moment::ZERO + self.0.elapsed()
    }

    pub(crate) fn instant(self, moment: Moment) -> Instant {
        // A moment that never comes is a day away: whoever waits for it looks again.
        let since = moment
            .since(Moment::ZERO)
            .min(self.0.elapsed() + Duration::from_hours(24));
        self.0 + since
    }

    /// Unix seconds of the wall clock.
    pub(crate) fn unix() -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

/// The operating system's randomness, by the library that TLS uses.
#[derive(Debug)]
pub(crate) struct OsEntropy;

impl Entropy for OsEntropy {
    /// # Panics
    /// Where the operating system has no randomness to give: nothing may go on without it.
    fn fill(&mut self, out: &mut [u8]) {
        assert!(
            aws_lc_rs::rand::fill(out).is_ok(),
            "the operating system gives no randomness"
        );
    }
}
