//! The outer roles of node, agent and client, pairing and SWITCH, as pure state machines.
//!
//! Frames, time and randomness come in; commands go out. None of the machines knows a socket, a clock or a task: whoever
//! drives one hands it what happened, then takes its commands until there are none, and calls `timeout` when
//! `next_timeout` has come. Two runs with the same inputs give the same commands.
//!
//! - [`node::Node`]: a whole relay node with all its legs (PROTOCOL.md §5.1–§5.3, §5.6, §5.8)
//! - [`agent::Agent`]: the office PC and its ready connection (§5.4, §5.7)
//! - [`client::Client`]: one connection request of the home PC (§5.5)
//! - [`door`]: who may wait at a node while nobody knows who it is (§1.3)
//! - [`switch`]: when a leg puts its outer TLS down (§6); [`Networks`]: where an endpoint's legs do
#![forbid(unsafe_code)]

pub mod agent;
pub mod client;
mod deadlines;
mod dial;
pub mod door;
mod leg;
mod networks;
pub mod node;
mod pace;
mod refusal;
pub mod switch;

pub use dial::Hop;
pub use leg::{DIRECT, How, LegKey, PathKind, Purpose, Traffic, VERSION};
pub use networks::{Lesson, Network, Networks, PathChoice};
pub use refusal::Refusal;
