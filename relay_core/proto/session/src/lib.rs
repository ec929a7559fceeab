//! Offsets, window, replay and resume: the session layer inside inner TLS, as pure state machines (PROTOCOL.md §8).
//!
//! One [`Session`] per end: [`AgentSession`] in the office, [`ClientSession`] at home. Above it stands the local socket
//! (desktop or viewer), below it any number of paths, each an inner TLS over one leg. Bytes, time and randomness come in;
//! bytes and [`Event`]s go out. It knows no socket, no clock and no TLS. The same inputs give the same outputs.
//!
//! # How an owner drives it
//!
//! | what happened | call |
//! |---|---|
//! | inner TLS of the first path is up | [`AgentSession::new`] and `authenticated`, [`ClientSession::new`] |
//! | inner TLS of a later path is up | `path_up` |
//! | a path decrypted bytes | [`Session::received`], in pieces of any size; always, whatever waits for the local socket |
//! | a path can take bytes | [`Session::poll_transmit`] until it gives nothing: each [`Record`] is one record of inner TLS |
//! | a path ended | [`Session::path_lost`] |
//! | the local socket can be read | at most [`Session::room_for_local`] bytes to [`Session::local_bytes`]; at its end [`Session::local_eof`] |
//! | the local socket can be written | what [`Session::poll_deliver`] shows, then [`Session::written`] |
//! | [`Session::next_timeout`] has come | [`Session::timeout`] |
//! | the owner wants to end it | [`Session::close`] |
//!
//! After any of them: [`Session::poll_event`] until there is none, `poll_transmit` on each path, `poll_deliver`, and
//! `next_timeout` again. Every event says what it asks for. [`Event::Ended`] comes exactly once, and then
//! `poll_transmit` gives what is left (CLOSE), which the owner sends before inner `close_notify`; it reads its paths for
//! a moment longer, since a reset would destroy a CLOSE in flight. What waits for the local socket can still be
//! written.
//!
//! # What holds
//!
//! - Bytes arrive exactly once and in order, whatever paths are lost and resumed.
//! - ACK counts bytes that the local socket took; nothing else moves the window, and only the window is back-pressure.
//! - A byte of the screen is copied once on the way out (into the replay buffer, from which [`Record`] lends it) and
//!   once on the way in (out of the decrypted record).
//! - What the other end can make a session hold is bounded: a window of bytes each way, one frame that is cut, 16
//!   questions of a kind, one PONG, four paths.
//! - An idle session holds no page of either stream: less than 1 KiB in all; `memory` keeps the numbers.
//!
//! # Where what stands
//!
//! `session` is the owner's view and the end; `receive`, `transmit` and `timeout` are the three ways into it; `agent`
//! and `client` are what differs; `outgoing` and `incoming` are one direction each, on `pages`; `path`, `frames` and
//! `timer` are their parts; `proof` is RESUME's HMAC; `mutant` holds errors that the simulator must find.
#![forbid(unsafe_code)]

mod agent;
mod client;
mod event;
mod frames;
mod incoming;
#[cfg(test)]
mod memory;
mod mutant;
mod outgoing;
mod pages;
mod path;
mod proof;
mod receive;
mod role;
mod session;
mod timeout;
mod timer;
mod transmit;
mod violation;

pub use agent::{Agent, AgentSession, Offer};
pub use client::{Client, ClientSession, Request};
pub use event::{Cause, Ended, Event};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use path::{Pairing, PathKey};
pub use proof::{PathExporter, ResumeSecret};
pub use role::Role;
pub use session::{Offsets, Session};
pub use timer::Timer;
pub use transmit::{RECORD, Record};
pub use violation::Violation;
