//! Where a state machine gets its random bits from: an argument, so that a seed reproduces a run.

/// A source of random bytes. The product passes the operating system's, the simulator a seeded one.
pub trait Entropy {
    /// Overwrites all of `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);
}
