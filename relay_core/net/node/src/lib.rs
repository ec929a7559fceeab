//! The node's sockets: listeners, admission, pairing tasks and what is told to Python.
//!
//! One connection is one task. What a leg may do is decided by the machine [`telerelay_outer::node::Node`], which stands behind one
//! lock in `control` and is asked for frames only; the bytes of a path pass it by. Each leg has a mailbox for what the
//! machine wants of it. When two legs are joined, the agent's leg moves to the client's task, which alone moves the bytes.
//!
//! Who is not known yet is a guest of `door`, where places and handshakes are shared out; nothing there concerns whoever is known.
//!
//! Nothing here waits for whoever is told ([`Told`]): its answers come by [`Node::decide`] and [`Node::recorded`] when they come,
//! and the machine's deadlines run meanwhile.
#![cfg(unix)]
mod api;
mod connection;
mod control;
mod counters;
mod descriptors;
mod door;
mod event;
mod framed;
mod leg;
mod listener;
mod mailbox;
mod memory;
mod node;
mod path;
mod timings;
mod worker;

pub use event::{ApiConnection, Event, Told};
pub use ipnet::IpNet;
pub use node::{Config, Node, StartError};
pub use telerelay_outer::node::{AttemptTicket, Decision, Scope, Side, Standing};
pub use timings::Distribution;
