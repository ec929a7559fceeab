//! One engine over real sockets: what arrives, how directions end, and what an error of one leg does to the other.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#[path = "../kit/mod.rs"]
mod kit;

mod bulk;
mod closing;
mod halves;
mod orders;
