//! What an agent's machine asks for and tells, and what it is answered.
use core::time::Duration;

use telerelay_wire::Reason;
use telerelay_wire::bounded::List;
use telerelay_wire::ids::{Instance, NodeAddress, NoticeHash, Program, SessionId, Stage};
use telerelay_wire::outer::{Cut, Features, Frame, Goaway, Incoming, News, Welcome};

use crate::dial::Hop;
use crate::leg::{How, LegKey};
use crate::networks::PathChoice;

/// What an agent says of itself and whom it may dial.
#[derive(Clone, Debug)]
pub struct Config {
    /// The nodes that it knows.
    pub nodes: Vec<NodeAddress>,
    /// Its process.
    pub instance: Instance,
    /// What it can do beyond version 1.
    pub features: Features,
    /// Its program and version.
    pub program: Program,
    /// Whether its legs may put their outer TLS down.
    pub path: PathChoice,
}

/// What the driver is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Dial this address, outer TLS included; answered by [`Agent::leg_up`](super::Agent::leg_up) or
    /// [`Agent::leg_gone`](super::Agent::leg_gone).
    Dial(LegKey, Hop),
    /// Send a frame on a leg.
    Send(LegKey, Frame<'static>),
    /// Close a leg, or stop dialling it.
    Close(LegKey, How),
    /// Ask `verdict`; answered by [`Agent::verdict`](super::Agent::verdict).
    Verdict(Box<Incoming>),
    /// The leg is a path: start inner TLS as server, expecting the device of INCOMING. Ends with
    /// [`Agent::path_ended`](super::Agent::path_ended).
    StartPath {
        /// The leg.
        leg: LegKey,
        /// What was accepted.
        incoming: Box<Incoming>,
        /// Put outer TLS down behind the last flight of the inner handshake.
        direct: bool,
    },
    /// Told out: the ready connection stands.
    Online {
        /// Which node and address.
        hop: Hop,
        /// What the node said.
        welcome: Box<Welcome>,
    },
    /// Told out: the ready connection is gone or could not be made.
    Offline {
        /// Why.
        reason: Reason,
        /// Until the next dial; `None`: the node said not to try again, and the machine does not.
        wait: Option<Duration>,
    },
    /// Told out: a document has a new version.
    News(Box<News>),
    /// Told out: the node is about to stop.
    Goaway(Goaway),
    /// Told out: end this path's session with inner CLOSE, the node closes its legs in a second.
    Cut(Cut),
}

/// The answer to [`Command::Verdict`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Accept.
    Allow,
    /// Refuse.
    Refuse(Reason),
}

/// How a path ended, as the agent reports it (PROTOCOL.md §5.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// How.
    pub code: Reason,
    /// How far it had come.
    pub stage: Stage,
    /// The session, where one was opened.
    pub session: Option<SessionId>,
    /// The notices that were confirmed.
    pub notices: List<NoticeHash, 0, 16>,
}
