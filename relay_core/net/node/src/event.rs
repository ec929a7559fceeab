//! What a node tells.
use std::os::fd::OwnedFd;

use telerelay_leg::trust::Identity;
use telerelay_outer::node::{AgentReady, RouteRequest, Terminal};
use telerelay_wire::Code;
use telerelay_wire::ids::{ClientAddress, DeviceId, OrganisationId};

/// Something that happened, or a question.
#[derive(Debug)]
pub enum Event {
    /// A device's ready connection stands; told again after each path.
    AgentReady(Box<AgentReady>),
    /// A device has no ready connection any more.
    AgentGone {
        /// Whose.
        organisation: OrganisationId,
        /// Which.
        device: DeviceId,
    },
    /// One CONNECT waits for [`Node::decide`](crate::Node::decide). The only question.
    RouteAsked(Box<RouteRequest>),
    /// The one terminal event of an attempt.
    AttemptEnded(Box<Terminal>),
    /// A connection of the API.
    Api(Box<ApiConnection>),
    /// Something that an administrator should look at.
    Flagged {
        /// Whose.
        organisation: OrganisationId,
        /// Which.
        device: DeviceId,
        /// What.
        code: Code,
    },
    /// The node has ended; no event follows.
    Stopped,
}

/// A connection with ALPN `http/1.1`, its TLS ended here.
#[derive(Debug)]
pub struct ApiConnection {
    /// A stream socket with the plaintext.
    pub stream: OwnedFd,
    /// Who is there; nobody that we know where no certificate was sent.
    pub identity: Option<Identity>,
    /// Where it dialled from.
    pub address: ClientAddress,
}

/// Whoever is told. Both are called from the node's threads with its lock held: they must neither wait nor call the node.
pub trait Told: Send + Sync {
    /// Takes an event. There is always room: see [`Told::waiting`].
    fn tell(&self, event: Event);

    /// Events that were told and not yet taken. New connections wait while this and what the present ones may still tell come
    /// to more than `limits::EVENT_PLACES`.
    fn waiting(&self) -> usize;
}
