//! What the process's descriptors are for (PROTOCOL.md §1.3, step 4).
use rustix::process::{Resource, getrlimit};
use telerelay_wire::limits;
use telerelay_wire::limits::{
    DESCRIPTORS_KEPT, DESCRIPTORS_PER_WORKER, ENGINE_PIPES, GUESTS_LEAST, GUESTS_PERCENT,
    PIPES_PERCENT,
};

/// How many descriptors the process may have open, and how many workers there are to share them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptors {
    pub(crate) all: usize,
    workers: usize,
}

impl Descriptors {
    /// What this process has.
    pub(crate) fn of_process(workers: usize) -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        let all = limit.map_or(limits::DESCRIPTORS_MOST, |limit| {
            usize::try_from(limit).unwrap_or(limits::DESCRIPTORS_MOST)
        });
        Self { all, workers }
    }

    /// The fewest that a node with so many workers can be run with.
    pub(crate) fn least(self) -> usize {
        DESCRIPTORS_KEPT + self.workers * DESCRIPTORS_PER_WORKER + GUESTS_LEAST
    }

    /// Pipes of a worker, two descriptors each: fewer where they would cost too many connections.
    pub(crate) fn pipes(self) -> usize {
        let spare = self.all.saturating_sub(self.least());
        (spare * PIPES_PERCENT / 100 / (2 * self.workers)).min(ENGINE_PIPES)
    }

    /// Those for connections.
    pub(crate) fn for_connections(self) -> usize {
        let of_workers = self.workers * (DESCRIPTORS_PER_WORKER + 2 * self.pipes());
        self.all.saturating_sub(DESCRIPTORS_KEPT + of_workers)
    }

    /// Those for connections of nobody known, at most.
    pub(crate) fn for_guests(self) -> usize {
        (self.all / 100 * GUESTS_PERCENT).max(GUESTS_LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of(all: usize, workers: usize) -> Descriptors {
        Descriptors { all, workers }
    }

    #[test]
    fn whatever_pipes_there_are_connections_have_what_they_do_not_take() {
        for (all, workers) in [(20_000, 2), (1_024, 8), (1_024, 1), (500, 4)] {
            let descriptors = of(all, workers);
            let taken =
                DESCRIPTORS_KEPT + workers * (DESCRIPTORS_PER_WORKER + 2 * descriptors.pipes());
            assert_eq!(descriptors.for_connections() + taken, all);
        }
        assert_eq!(of(20_000, 2).pipes(), ENGINE_PIPES);
    }

    #[test]
    fn few_descriptors_make_few_pipes_and_keep_nobody_out() {
        let few = of(1_024, 8);
        assert!((1..ENGINE_PIPES).contains(&few.pipes()), "{}", few.pipes());
        assert!(few.for_connections() >= 1_024 / 2);
        let fewest = of(few.least(), 8);
        assert_eq!(fewest.pipes(), 0, "everything is copied");
        assert_eq!(fewest.for_connections(), GUESTS_LEAST);
    }
}
