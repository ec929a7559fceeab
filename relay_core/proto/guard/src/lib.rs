//! The guard: what passes between a viewer and the office desktop, as pure state machines (docs/GUARD.md).
//!
//! A protocol break in the agent, above the session layer: bytes and time come in, bytes go out to two sinks. It knows no
//! socket, no clock, no session and allocates nothing. The same inputs give the same outputs, however they are cut.
//!
//! # How an owner drives it
//!
//! | what happened | call |
//! |---|---|
//! | the desktop is connected | [`rfb::Guard::begin`] |
//! | the session delivers bytes of the client | [`rfb::Guard::client_bytes`] |
//! | the desktop's socket gave bytes | [`rfb::Guard::desktop_bytes`], at most the room that both sinks have, less [`rfb::OWN`] |
//! | [`rfb::Guard::next_timeout`] has come | [`rfb::Guard::timeout`] |
//! | a call gives a [`rfb::Refusal`] | close the session with its code; what was put before it is still to be sent |
//!
//! [`rfb::Guard::last_input`] is where the idle timeout counts from.
#![forbid(unsafe_code)]

mod feed;
pub mod rfb;

pub use feed::{Side, Sink};
