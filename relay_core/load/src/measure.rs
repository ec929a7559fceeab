//! Durations as histograms, and what is told of them.
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest that is told apart: more than any timer of the protocol that ends an attempt.
const LONGEST_US: u64 = 120_000_000;
/// Digits that are kept of each duration.
const DIGITS: u8 = 3;

/// Durations, to the microsecond.
#[derive(Debug)]
pub struct Times(Histogram<u64>);

/// What is told of durations; all zero where there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many there were.
    pub count: u64,
    /// Half of them were no longer.
    pub p50_us: u64,
    /// Nine of ten were no longer.
    pub p90_us: u64,
    /// 99 of 100 were no longer.
    pub p99_us: u64,
    /// 999 of 1,000 were no longer.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl Times {
    /// None yet.
    ///
    /// # Panics
    /// Never: the bounds are constants that a histogram takes.
    pub fn new() -> Self {
        let empty = Histogram::new_with_bounds(1, LONGEST_US, DIGITS);
        Self(empty.unwrap_or_else(|_| unreachable!("the bounds are in order")))
    }

    /// One more. What is longer than the longest counts as that.
    pub fn record(&mut self, duration: Duration) {
        self.0
            .saturating_record(u64::try_from(duration.as_micros()).unwrap_or(LONGEST_US));
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// All of them, in rising order: the most that counts as the same, in microseconds, and how many there were of it.
    pub fn rows(&self) -> Vec<(u64, u64)> {
        let recorded = self.0.iter_recorded();
        recorded
            .map(|value| {
                let most = self.0.highest_equivalent(value.value_iterated_to());
                (most, value.count_at_value())
            })
            .collect()
    }

    /// What is told of them.
    pub fn summary(&self) -> Summary {
        if self.0.is_empty() {
            return Summary::default();
        }
        Summary {
            count: self.0.len(),
            p50_us: self.0.value_at_quantile(0.5),
            p90_us: self.0.value_at_quantile(0.9),
            p99_us: self.0.value_at_quantile(0.99),
            p999_us: self.0.value_at_quantile(0.999),
            max_us: self.0.max(),
        }
    }

    /// What is told of them, and none are left.
    pub fn take(&mut self) -> Summary {
        let summary = self.summary();
        self.0.reset();
        summary
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded_and_nothing_is_zero() {
        let mut times = Times::new();
        assert_eq!(times.summary(), Summary::default());
        for millisecond in 1..=1_000 {
            times.record(Duration::from_millis(millisecond));
        }
        times.record(Duration::from_hours(1));
        let Summary {
            count,
            p50_us,
            p99_us,
            max_us,
            ..
        } = times.take();
        assert_eq!(count, 1_001);
        assert!((500_000..=502_000).contains(&p50_us), "{p50_us}");
        assert!((990_000..=993_000).contains(&p99_us), "{p99_us}");
        assert!(
            (LONGEST_US..=LONGEST_US + LONGEST_US / 500).contains(&max_us),
            "{max_us}"
        );
        assert_eq!(times.take(), Summary::default());
    }

    #[test]
    fn rows_are_all_that_was_recorded() {
        let mut times = Times::new();
        assert_eq!(times.rows(), []);
        for microseconds in [7, 7, 1_000_000] {
            times.record(Duration::from_micros(microseconds));
        }
        let rows = times.rows();
        assert_eq!(rows[0], (7, 2));
        assert_eq!(rows[1].1, 1);
        assert!((1_000_000..=1_001_000).contains(&rows[1].0), "{rows:?}");
        assert_eq!(rows.len(), 2);
    }
}
