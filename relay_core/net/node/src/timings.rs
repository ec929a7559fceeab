//! How long things take at a node: histograms of atomics, read by metrics, never reset.
use std::time::Duration;

use telerelay_outer::node::SetUp;
use telerelay_outer::{PathKind, Purpose};

use crate::counters::Count;

const MILLISECOND: u64 = 1_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Upper bounds of what somebody waits for, in microseconds: from what nobody notices to where every deadline has passed.
const WAITS: [u64; 16] = [
    100,
    250,
    500,
    MILLISECOND,
    2_500,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    SECOND,
    2_500 * MILLISECOND,
    5 * SECOND,
    10 * SECOND,
];

/// Upper bounds of how long people work, in microseconds.
const WORK: [u64; 10] = [
    SECOND,
    10 * SECOND,
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    8 * HOUR,
    12 * HOUR,
];

/// The steps of a set-up: those that the machine sees, and the joining of both legs.
const STEPS: [&str; 7] = [
    "hello", "connect", "route", "claim", "accept", "recorded", "paired",
];

/// Every histogram of one node.
#[derive(Debug)]
pub(crate) struct Timings {
    handshake: Histogram<16>,
    set_up: [Histogram<16>; Purpose::ALL.len()],
    steps: [Histogram<16>; STEPS.len()],
    sessions: [Histogram<10>; PathKind::ALL.len()],
}

/// What a histogram has counted. `counts` has one number more than `upper`: what was beyond all bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Upper bounds, ascending, in seconds.
    pub upper: Vec<f64>,
    /// How many were at most the bound of their place and above the one before.
    pub counts: Vec<u64>,
    /// All of them together, in seconds.
    pub sum: f64,
}

impl Distribution {
    /// From bounds and a sum in microseconds.
    pub(crate) fn new(upper_us: &[u64], counts: Vec<u64>, sum_us: u64) -> Self {
        Self {
            upper: upper_us.iter().map(|&upper| seconds(upper)).collect(),
            counts,
            sum: seconds(sum_us),
        }
    }
}

impl Timings {
    pub(crate) fn new() -> Self {
        Self {
            handshake: Histogram::new(&WAITS),
            set_up: std::array::from_fn(|_| Histogram::new(&WAITS)),
            steps: std::array::from_fn(|_| Histogram::new(&WAITS)),
            sessions: std::array::from_fn(|_| Histogram::new(&WORK)),
        }
    }

    /// A handshake ended well, so long after its connection was accepted.
    pub(crate) fn handshake(&self, took: Duration) {
        self.handshake.observe(took);
    }

    /// Both ends of a path were told of it, `paired` after both had consented.
    pub(crate) fn set_up(&self, purpose: Purpose, set_up: &SetUp, paired: Duration) {
        let SetUp {
            hello,
            connect,
            route,
            claim,
            accept,
            recorded,
        } = *set_up;
        let took = [hello, connect, route, claim, accept, recorded, paired];
        for (step, took) in self.steps.iter().zip(took) {
            step.observe(took);
        }
        self.set_up[purpose as usize].observe(took.iter().sum());
    }

    /// A session's path ended, so long after its CONNECT.
    pub(crate) fn session(&self, kind: PathKind, took: Duration) {
        let sessions = PathKind::ALL.iter().zip(&self.sessions);
        for (_, session) in sessions.filter(|(other, _)| **other == kind) {
            session.observe(took);
        }
    }

    /// Every histogram by its name, those by purpose, step or kind too.
    pub(crate) fn all(&self) -> Vec<(String, Distribution)> {
        let handshake = [("handshake".to_owned(), self.handshake.read())];
        let whole = Purpose::ALL.iter().zip(&self.set_up);
        let steps = STEPS.iter().zip(&self.steps);
        let kinds = PathKind::ALL.iter().zip(&self.sessions);
        handshake
            .into_iter()
            .chain(whole.map(|(whose, took)| (format!("set_up.{}", whose.as_str()), took.read())))
            .chain(steps.map(|(step, took)| (format!("set_up_step.{step}"), took.read())))
            .chain(kinds.map(|(kind, took)| (format!("session.{}", kind.as_str()), took.read())))
            .collect()
    }
}

/// Counts durations by size.
#[derive(Debug)]
struct Histogram<const N: usize> {
    upper_us: &'static [u64; N],
    within: [Count; N],
    beyond: Count,
    sum_us: Count,
}

impl<const N: usize> Histogram<N> {
    fn new(upper_us: &'static [u64; N]) -> Self {
        Self {
            upper_us,
            within: std::array::from_fn(|_| Count::default()),
            beyond: Count::default(),
            sum_us: Count::default(),
        }
    }

    fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = self.upper_us.partition_point(|&upper| upper < micros);
        self.within.get(place).unwrap_or(&self.beyond).add(1);
        self.sum_us.add(micros);
    }

    fn read(&self) -> Distribution {
        let counts = self.within.iter().chain([&self.beyond]);
        let counts = counts.map(Count::get).collect();
        Distribution::new(self.upper_us, counts, self.sum_us.get())
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_at_the_first_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new(&[10, 20]);
        for micros in [0, 10, 11, 20, 21, 1_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let read = histogram.read();
        assert_eq!(read.upper, [0.000_010, 0.000_020]);
        assert_eq!(read.counts, [2, 2, 2]);
        assert!((read.sum - 0.001_062).abs() < 1e-12);
    }

    #[test]
    fn the_steps_of_a_set_up_are_its_whole() {
        let timings = Timings::new();
        let ms = Duration::from_millis;
        let set_up = SetUp {
            hello: ms(1),
            connect: ms(2),
            route: ms(4),
            claim: ms(8),
            accept: ms(16),
            recorded: ms(32),
        };
        timings.set_up(Purpose::Staff, &set_up, ms(64));
        let all = timings.all();
        let of = |name: &str| all.iter().find(|(other, _)| other == name).unwrap().1.sum;
        assert!((of("set_up.staff") - 0.127).abs() < 1e-9);
        assert!(of("set_up.test") == 0.0);
        assert!((of("set_up_step.paired") - 0.064).abs() < 1e-9);
        assert!((of("set_up_step.hello") - 0.001).abs() < 1e-9);
    }

    #[test]
    fn bounds_ascend() {
        assert!(WAITS.is_sorted() && WORK.is_sorted());
    }
}
