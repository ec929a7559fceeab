//! What agent and client share: a leg that becomes a path, inner TLS, the session and the local socket (PROTOCOL.md §5, §7, §8).
//!
//! An outer machine (`telerelay_outer`) stands behind a lock; each leg is a task that carries frames to it and orders from it
//! (`connection`). A leg that was paired becomes a path: `stack` holds its layers without a socket, `path_socket` the socket beside
//! them, `pump` moves bytes between the path, the session machine and the local socket, at the agent with the guard (`guarded`) in
//! front of the desktop. `agent` and `client` add what only they do.
mod agent;
mod attached;
mod client;
mod clock;
mod connection;
mod event;
mod guarded;
mod local;
mod path_socket;
mod pump;
mod stack;

pub use agent::{Agent, AgentConfig, SessionRules};
pub use client::{Client, ClientConfig};
pub use event::{AgentEvent, ClientEvent, Ended, Notice, Opened, Sink};
pub use local::{InvalidLocal, LocalAddress};
pub use telerelay_guard::redraw::Mark;
pub use telerelay_guard::rfb::Secret;
pub use telerelay_outer::{PathChoice, PathKind};
