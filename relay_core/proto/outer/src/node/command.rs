//! What a node's machine asks for and tells, and what it is answered.
use telerelay_wire::ids::{
    AttemptId, ClientAddress, ComputerId, DeviceId, NodeAddress, NoticeHash, OrganisationId,
    PathId, Program, Resume, Service, SessionId, Stage,
};
use telerelay_wire::outer::Frame;
use telerelay_wire::{Code, Reason};

use core::time::Duration;

use crate::leg::{How, LegKey, PathKind, Purpose, Traffic};

/// One attempt at this node. Attempt IDs are the clients' choice and may repeat; tickets do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptTicket(pub u64);

/// What the driver is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send a frame on a leg.
    Send(LegKey, Frame<'static>),
    /// Close a leg.
    Close(LegKey, How),
    /// Ask `route`; answered by [`Node::decide`](super::Node::decide).
    Ask(Box<RouteRequest>),
    /// Move PATH bytes between the two legs, from here on without asking; PAIRED is queued on both. Ends with
    /// [`Node::path_ended`](super::Node::path_ended), which is called exactly once for each of these.
    Join(Join),
    /// Told out: a device's ready connection stands.
    AgentReady(Box<AgentReady>),
    /// Told out: a device has no ready connection any more.
    AgentGone {
        /// Whose.
        organisation: OrganisationId,
        /// Which.
        device: DeviceId,
    },
    /// Told out: the one terminal event of an attempt.
    Terminal(Box<Terminal>),
    /// Told out: something that an administrator should look at.
    Flagged {
        /// Whose.
        organisation: OrganisationId,
        /// Which.
        device: DeviceId,
        /// What.
        code: Code,
    },
    /// Told out: the node was stopped, and no attempt is left.
    Drained,
}

/// Everything by which a CONNECT is decided (PROTOCOL.md §5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRequest {
    /// What `decide` and `recorded` name.
    pub ticket: AttemptTicket,
    /// The client's attempt.
    pub attempt: AttemptId,
    /// The path that will be made.
    pub path: PathId,
    /// The client's organisation.
    pub organisation: OrganisationId,
    /// The client's device.
    pub client: DeviceId,
    /// Where it dialled from.
    pub address: ClientAddress,
    /// Its program, self-reported.
    pub program: Program,
    /// The computer that it asks for.
    pub computer: ComputerId,
    /// What for.
    pub service: Service,
    /// The session to go on with.
    pub resume: Option<Resume>,
}

/// The answer to [`Command::Ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Refuse. Leaves `denied_ms` after CONNECT came, whatever the code.
    Deny(Reason),
    /// Pair with this device of the client's organisation. A START record is being written.
    Here(DeviceId),
    /// The agent is at another node.
    Redirect(NodeAddress),
    /// Nobody can say now; try again after so many seconds.
    Later(u32),
}

/// Two legs that are a path from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// The path.
    pub path: PathId,
    /// Its attempt.
    pub ticket: AttemptTicket,
    /// The agent's leg.
    pub agent: LegKey,
    /// The client's leg.
    pub client: LegKey,
    /// What its organisation was admitted for.
    pub purpose: Purpose,
    /// It goes on with an earlier session.
    pub resumes: bool,
    /// How long it took to come here.
    pub set_up: SetUp,
}

/// How long each step from the end of a client's handshake to the consent of both sides took. Each begins where the one before
/// it ended, so that together they are the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetUp {
    /// The client's HELLO came.
    pub hello: Duration,
    /// Its CONNECT came.
    pub connect: Duration,
    /// `route` was answered: *here*.
    pub route: Duration,
    /// The agent's ready connection was claimed.
    pub claim: Duration,
    /// Its ACCEPT came.
    pub accept: Duration,
    /// The START record was durable; zero where it was before.
    pub recorded: Duration,
}

/// An agent that waits for INCOMING.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentReady {
    /// Its organisation.
    pub organisation: OrganisationId,
    /// Its device.
    pub device: DeviceId,
    /// Its computer, as its certificate says.
    pub computer: ComputerId,
    /// Its program, self-reported.
    pub program: Program,
    /// Where it dialled from.
    pub address: ClientAddress,
}

/// Why the driver ended a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A leg ended, broke or fell silent; how the session ended is for the agent to say.
    Leg,
    /// A leg broke the rules; the code is the node's.
    Breach(Code),
}

/// What the driver knows of a path when both of its legs are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathEnd {
    /// The bytes that it carried.
    pub traffic: Traffic,
    /// What it was at its end.
    pub kind: PathKind,
    /// Why it ended.
    pub cause: Cause,
}

/// The end of an attempt: everything that the node knows for the record END (PROTOCOL.md §14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// The attempt at this node.
    pub ticket: AttemptTicket,
    /// The attempt as people see it.
    pub attempt: AttemptId,
    /// The path that was made or would have been.
    pub path: PathId,
    /// The client's organisation.
    pub organisation: OrganisationId,
    /// What it was admitted for.
    pub purpose: Purpose,
    /// The client's device.
    pub client: DeviceId,
    /// The agent's device, where *here* was decided, so that a START record exists or is being written.
    pub agent: Option<DeviceId>,
    /// What was asked for, where no START says it.
    pub asked: Option<Asked>,
    /// What the path was, where one was made.
    pub path_kind: Option<PathKind>,
    /// How it ended: the node's word for what the node ended, else the agent's, else `PATH_LOST`.
    pub code: Reason,
    /// How far it had come: the agent's word, else the last stage that a blind node can see.
    pub stage: Stage,
    /// From CONNECT to the refusal or to the end of the path.
    pub duration: Duration,
    /// The bytes that the path carried.
    pub traffic: Traffic,
    /// The session, in the agent's words.
    pub session: Option<SessionId>,
    /// The notices that were confirmed, in the agent's words.
    pub notices: Vec<NoticeHash>,
}

/// What a client asked for that was not routed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where it dialled from.
    pub address: ClientAddress,
    /// The computer.
    pub computer: ComputerId,
    /// What for.
    pub service: Service,
}
