//! Agents, nodes and clients driven against each other on a virtual clock: does it hold when everything goes wrong?
//!
//! A [`Scenario`] says who is there and what breaks; [`run`] lets it happen and says which rule was broken, if any. The same
//! scenario gives the same run to the last byte, and [`Scenario::from_seed`] makes one out of a number. The rules stand in
//! `invariants`, one function each, with the section of PROTOCOL.md; they are judged at every step by what the simulator
//! saw, never by what a machine says of itself alone.
//!
//! # What is real and what is not
//!
//! Real: the three machines of `telerelay-outer` and its table of SWITCH, the sessions of `telerelay-session`, every frame
//! and record as bytes, cut where the network likes. Not real: time, chance, sockets, and TLS. Both layers of TLS are
//! records with a header that the product's scanner reads, plaintext, and a tag that says whose record it is and which one;
//! that gives what the protocol stands on (whole, authentic, in order, an end that cannot be forged, an exporter that only
//! two ends have) and no secrecy, which no machine can see. Handshakes are flights of about the real size that carry who
//! somebody is.
//!
//! # Where what stands
//!
//! `scenario` is what a run is made of; `world` lets one thing happen at a time; `node`, `agent` and `client` are the drivers
//! around the machines, `endpoint`, `desk`, `leg` and `local` their parts; `network` is what lies between; `scene` is what all
//! of them stand in, `ledger` what was seen there, `invariants` what must hold of it,
//! `story` what a test may ask for.

mod agenda;
mod agent;
mod client;
mod desk;
mod dice;
mod endpoint;
mod invariants;
mod ledger;
mod leg;
mod local;
mod mutant;
mod network;
mod node;
mod run;
mod scenario;
mod scene;
mod story;
mod stream;
mod trace;
mod world;

pub use agenda::Who;
pub use dice::Dice;
pub use invariants::Broken;
pub use ledger::{SessionBook, StreamBook};
pub use mutant::{Mutant, UnknownMutant};
pub use run::{Failure, Outcome, command, run};
pub use scenario::{
    AgentPlan, Break, ClientPlan, DecisionPlan, Ends, Fault, NetworkPlan, NodePlan, Produces,
    ProgramPlan, PythonPlan, Scenario, Target,
};
pub use story::{Fact, What, corners};
