//! Agent and client on real sockets, through a node that is honest unless it is told otherwise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bytes;
mod ending;
mod guarded;
mod notices;
mod peers;
mod relay;
mod stopping;
mod stranger;
mod switching;
mod world;
