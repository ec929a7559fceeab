//! Time as an argument: microseconds of a monotonic clock whose zero means nothing (PROTOCOL.md §12).
use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point of a monotonic clock, in microseconds. Arithmetic saturates: a deadline beyond the end of time never comes,
/// and the time since something in the future is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// The clock's zero.
    pub const ZERO: Self = Self(0);
    /// A moment that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Microseconds since the clock's zero.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero where it is still to come.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

fn micros_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros_of(duration)))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros_of(duration)))
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_durations_and_sums_are_moments() {
        let start = Moment(1_500_000);
        let later = start + Duration::from_millis(250);
        assert_eq!(later, Moment(1_750_000));
        assert_eq!(later - start, Duration::from_millis(250));
        assert_eq!(later - Duration::from_secs(1), Moment(750_000));
        assert_eq!(later.to_string(), "1.750000 s");
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Moment::ZERO - Duration::from_secs(1), Moment::ZERO);
        assert_eq!(Moment::ZERO - Moment(5), Duration::ZERO);
        assert_eq!(Moment(1) + Duration::MAX, Moment::NEVER);
    }
}
