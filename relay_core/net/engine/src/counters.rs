//! What a worker counts, readable while it runs.
use std::sync::atomic::{AtomicU64, Ordering};

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

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The numbers of one worker. Its own cache lines: another worker's would slow both down.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Counters {
            $($(#[$doc])+ pub(crate) $name: Count,)+
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
