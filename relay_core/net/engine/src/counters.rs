//! What a worker counts, readable while it runs.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of how long messages wait, in microseconds: 1, 2, 5, from what a copy takes to where every deadline has passed.
pub const WAITS_US: [u64; 19] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// One number. Only its worker writes it, so that counting needs no locked instruction; anybody may read it.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, number: usize) {
        self.set(self.get().wrapping_add(number as u64));
    }

    pub(crate) fn subtract(&self, number: usize) {
        self.set(self.get().wrapping_sub(number as u64));
    }

    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many messages waited how long.
#[derive(Debug, Default)]
pub(crate) struct WaitCounters {
    counts: [Count; WAITS_US.len() + 1],
    sum_us: Count,
}

impl WaitCounters {
    /// So many messages waited so long.
    pub(crate) fn add(&self, wait: Duration, messages: usize) {
        let micros = usize::try_from(wait.as_micros()).unwrap_or(usize::MAX);
        let place = WAITS_US.partition_point(|&upper| upper < micros as u64);
        self.counts[place].add(messages);
        self.sum_us.add(micros.saturating_mul(messages));
    }
}

/// How many messages waited how long, in all workers since the engine was started. `counts` has one number more than [`WAITS_US`]:
/// what was beyond all bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// How many waited at most the bound of their place and longer than the one before.
    pub counts: [u64; WAITS_US.len() + 1],
    /// All waits together, in microseconds.
    pub sum_us: u64,
}

impl Waits {
    /// Adds those of one worker.
    pub(crate) fn add(&mut self, worker: &WaitCounters) {
        for (all, count) in self.counts.iter_mut().zip(&worker.counts) {
            *all += count.get();
        }
        self.sum_us += worker.sum_us.get();
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The numbers of one worker. Its own cache lines: another worker's would slow both down.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Counters {
            $($(#[$doc])+ pub(crate) $name: Count,)+
            /// How long messages waited that were copied; those of tests behind those of others.
            pub(crate) waits: [WaitCounters; 2],
        }

        /// What the workers of an engine have counted since it was started, and how many there are of something now.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[$doc])+ pub $name: u64,)+
        }

        impl Counts {
            /// Adds the numbers of one worker.
            pub(crate) fn add(&mut self, worker: &Counters) {
                $(self.$name = self.$name.wrapping_add(worker.$name.get());)+
            }

            /// Every number with its name.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Paths that are carried now, those that linger included.
    paths,
    /// Paths now that only wait for their last bytes to be read.
    lingering,
    /// Bytes read from agents.
    bytes_to_client,
    /// Bytes read from clients.
    bytes_to_agent,
    /// Bytes of both that went through a buffer.
    bytes_copied,
    /// Bytes of both that went through a pipe.
    bytes_spliced,
    /// Messages that were copied: reads into a buffer.
    copies,
    /// Pipes that were filled.
    splices,
    /// Messages that the other leg did not take at once: they wait for its line, not for this node.
    held,
    /// Pipes now with bytes in them, or in use this very moment.
    pipes_used,
    /// Pipes now that wait for a borrower.
    pipes_free,
    /// Pipes that were destroyed with bytes in them.
    pipes_destroyed,
    /// Pipes that the kernel refused or made smaller than wanted.
    pipes_small,
    /// Times that bulk was copied because there was no pipe.
    pipes_missed,
    /// Times that a worker asked for events: once a turn.
    wake_ups,
    /// Times that a path was cut off for the sake of others.
    turns_cut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_at_the_first_bound_that_it_does_not_exceed() {
        assert!(WAITS_US.is_sorted());
        let counters = WaitCounters::default();
        for (micros, messages) in [(0, 1), (10, 2), (11, 4), (10_000_000, 8), (10_000_001, 16)] {
            counters.add(Duration::from_micros(micros), messages);
        }
        let mut waits = Waits::default();
        waits.add(&counters);
        assert_eq!((waits.counts[0], waits.counts[1]), (3, 4));
        assert_eq!((waits.counts[18], waits.counts[19]), (8, 16));
        assert_eq!(
            waits.sum_us,
            2 * 10 + 4 * 11 + 8 * 10_000_000 + 16 * 10_000_001
        );
    }
}
