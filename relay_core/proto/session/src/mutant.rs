//! Errors built in on purpose, so that the simulator can show that it would find them (feature `mutants`, tests only).

/// A rule of PROTOCOL.md §8 that a session breaks on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "mutants"),
    expect(unreachable_pub, reason = "exported with the feature only")
)]
pub enum Mutant {
    /// A receiver keeps bytes that it already has, so that a replay repeats them (§8.2).
    ReplayKept,
    /// ACK counts what was received instead of what was written (§8.2).
    AckBeforeWrite,
    /// The agent takes a generation that is not higher than those seen (§8.4).
    OldGenerationAccepted,
}
