//! Frames, identities, computer ID and the TLS record scanner: how bytes become words.
//!
//! The bottom of the protocol (docs/PROTOCOL.md §2, §4, §8, §12, §13). Everything here is a function of its
//! arguments: no I/O, no clock, no randomness of its own. `outer`, `session` and everything above speak in these types.
#![forbid(unsafe_code)]

pub mod bounded;
mod cbor;
pub mod code;
pub mod crockford;
pub mod entropy;
pub mod frame;
pub mod ids;
pub mod inner;
pub mod limits;
pub mod outer;
pub mod record;
pub mod time;

pub use code::{Code, Reason};
pub use entropy::Entropy;
pub use frame::FrameError;
pub use time::Moment;
