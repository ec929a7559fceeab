//! Moves the bytes of direct paths: one epoll thread a core, copying what is small, splicing what is not.
//!
//! Once both legs of a path carry raw inner records (PROTOCOL.md §6), the node has nothing to say about their bytes any more, and
//! its only cost is moving them. That is done here, apart from TLS and tokio:
//!
//! * A worker owns its paths; nothing is shared but its queue of orders ([`Handle`]) and its counters ([`Counts`]).
//! * Sockets are registered once, edge-triggered. An event only notes what a leg is ready for and puts its path on the run
//!   queue; each path runs once a turn, moves at most a turn's bytes each way, and is queued again where that was not all.
//! * A direction copies through the worker's one buffer: a `recv` and a `send` for a message, and a short read means that there
//!   is no more. A direction that reads much again and again splices through a pipe until it has moved little for a while.
//! * Nothing is read for a leg that does not take what was read before: back-pressure is not reading. What was read and not taken
//!   is held by the direction, at most one buffer or one pipe of it.
//! * A pipe is lent to a direction only while bytes are in it. It goes back to its pool when it is empty; with bytes in it it is
//!   destroyed, because the next borrower would send them to somebody else. The types say so: see `pipes`.
//! * What has ended is freed after the turn, and every event and order names a path by place and number, so that a place which was
//!   given to another path is never mistaken.
//!
//! There is no `unsafe` here: `rustix` has safe forms of all these calls.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
mod counters;
mod end;
mod engine;
mod flow;
mod live;
mod orders;
mod path;
mod pipes;
mod slots;
pub mod wheel;
mod worker;

pub use counters::{Counts, WAITS_US, Waits};
pub use engine::{Config, Engine};
pub use orders::{Handle, PathKey};
pub use path::{Close, Done, Endpoint, Leg, Moved, Outcome, Path, Reason};
