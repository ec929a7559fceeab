//! The session layer from outside: single ends against hand-made frames, pairs on a virtual clock, random runs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(
    clippy::struct_excessive_bools,
    reason = "a program at a socket does many things or does not"
)]

mod alone;
mod ending;
mod flow;
#[cfg(feature = "mutants")]
mod mutants;
mod opening;
mod pair;
mod paths;
mod random;
mod resume;
mod silence;
mod violations;
