//! What the process's descriptors are for (PROTOCOL.md §1.3, step 4).
use rustix::process::{Resource, getrlimit};
use telerelay_wire::limits;
use telerelay_wire::limits::{DESCRIPTORS_KEPT, GUESTS_LEAST, GUESTS_PERCENT};

/// How many descriptors the process may have open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptors(pub(crate) usize);

impl Descriptors {
    /// The fewest that a node can be run with.
    pub(crate) const LEAST: Self = Self(DESCRIPTORS_KEPT + GUESTS_LEAST);

    /// What this process has.
    pub(crate) fn of_process() -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        Self(limit.map_or(limits::DESCRIPTORS_MOST, |limit| {
            usize::try_from(limit).unwrap_or(limits::DESCRIPTORS_MOST)
        }))
    }

    /// Those for connections.
    pub(crate) fn for_connections(self) -> usize {
        self.0.saturating_sub(DESCRIPTORS_KEPT)
    }

    /// Those for connections of nobody known, at most.
    pub(crate) fn for_guests(self) -> usize {
        (self.0 / 100 * GUESTS_PERCENT).max(GUESTS_LEAST)
    }
}
