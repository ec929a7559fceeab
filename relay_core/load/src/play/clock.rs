//! Moments as numbers: nanoseconds of the system's monotonic clock, which every process of a machine shares.
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Translates between both, from one moment that was read of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    instant: Instant,
    ns: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let since_boot = Duration::try_from(now).unwrap_or_default();
        Self {
            instant: Instant::now(),
            ns: nanoseconds(since_boot),
        }
    }

    pub(super) fn ns(self, at: Instant) -> u64 {
        match at.checked_duration_since(self.instant) {
            Some(behind) => self.ns.saturating_add(nanoseconds(behind)),
            None => self.ns.saturating_sub(nanoseconds(self.instant - at)),
        }
    }

    /// `None`: before the machine began, or behind all time.
    pub(super) fn instant(self, ns: u64) -> Option<Instant> {
        if ns >= self.ns {
            self.instant.checked_add(Duration::from_nanos(ns - self.ns))
        } else {
            self.instant.checked_sub(Duration::from_nanos(self.ns - ns))
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    // 584 years.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_back_as_itself() {
        let clock = Clock::start();
        for ns in [clock.ns - 1_000, clock.ns, clock.ns + 5_000_000_000] {
            let instant = clock.instant(ns).expect("a moment of these days");
            assert_eq!(clock.ns(instant), ns);
        }
    }
}
