//! What a node holds for each leg, device and attempt, and what each of them waits for.
use std::collections::VecDeque;

use telerelay_wire::ids::{
    AttemptId, ClientAddress, DeviceId, Instance, OrganisationId, Program, Stage,
};
use telerelay_wire::outer::Early;
use telerelay_wire::{Moment, Reason};

use core::time::Duration;

use super::admission::{Identity, Side};
use super::command::{AttemptTicket, RouteRequest, SetUp};
use crate::deadlines::Due;
use crate::leg::LegKey;

/// Every timer of a node; each owner has one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// HELLO, or a client's CONNECT, has not come.
    FirstFrame(LegKey),
    /// A ready connection has been silent for so long that nobody is there.
    ReadySilence(LegKey),
    /// The older leg has not answered the ping that this leg, another instance of its device, caused.
    ClonePing(LegKey),
    /// The next CONNECT's turn has come.
    Arrivals,
    /// Devices that are gone are forgotten, with what they used.
    Usage,
    /// `route` has not been answered.
    Route(AttemptTicket),
    /// A denial leaves.
    Denied(AttemptTicket),
    /// The agent has not come back.
    GapWait(AttemptTicket),
    /// The agent has neither accepted nor refused.
    Accept(AttemptTicket),
    /// The agent has accepted, the START record is not durable.
    Recorded(AttemptTicket),
    /// The agent's CLOSE has had its time to cross.
    Cut(AttemptTicket),
    /// The agent has not reported how the session ended.
    SessionEnd(AttemptTicket),
    /// A device whose ready connection was claimed has not come back; told out as gone. The leg was the claimed one.
    Redial(LegKey),
    /// A device that left does not count as 'just re-dialling' any more. The leg was its last.
    GapMemory(LegKey),
    /// The node was stopped and sessions have had their time.
    Grace,
}

/// A device within its organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeviceKey {
    pub(super) organisation: OrganisationId,
    pub(super) device: DeviceId,
}

/// One leg that speaks to the node; a few hundred bytes, because there are thousands. Those of a path say nothing to it.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) identity: Identity,
    pub(super) side: Side,
    pub(super) address: ClientAddress,
    /// Of HELLO.
    pub(super) program: Option<Program>,
    pub(super) state: State,
    /// When its handshake, and then a client's HELLO, was through.
    pub(super) since: Moment,
    pub(super) due: Due<Timer>,
}

impl Leg {
    pub(super) fn device(&self) -> DeviceKey {
        DeviceKey {
            organisation: self.identity.organisation,
            device: self.identity.device,
        }
    }
}

/// The state of a leg (PROTOCOL.md §5.2). 'Closed' is not here: a closed leg is forgotten. Nor is 'path': a session has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// HELLO has not come.
    Hello,
    /// A client was admitted, CONNECT has not come. Its HELLO took `hello`.
    Client { hello: Duration },
    /// A client waits for the end of its attempt's first half: Asked … Accepted.
    Asking(AttemptTicket),
    /// An agent's ready connection.
    Ready(Process),
    /// Another instance of a device that has a ready connection: it waits for the older one's answer (§5.8).
    Challenger(Process),
    /// An agent's leg was taken for an attempt and waits for ACCEPT or REFUSE.
    Claimed(Process, AttemptTicket),
    /// ACCEPT came.
    Accepted(AttemptTicket),
}

impl State {
    /// The process behind an agent's leg that is or may become ready.
    pub(super) fn process(self) -> Option<Process> {
        match self {
            Self::Ready(process) | Self::Challenger(process) | Self::Claimed(process, _) => {
                Some(process)
            }
            Self::Hello | Self::Client { .. } | Self::Asking(_) | Self::Accepted(_) => None,
        }
    }
}

/// Which process of a device a leg belongs to, and its place in the order of that process's dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) instance: Instance,
    pub(super) counter: u64,
}

/// An agent's device at this node: its ready connection and who waits for it. Forgotten `gap_memory_s` after its last leg.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// The table of ready connections: what a CONNECT claims.
    pub(super) ready: Option<LegKey>,
    /// A leg of another instance; while it waits, the ready connection is in doubt and is not claimed.
    pub(super) challenger: Option<LegKey>,
    /// CONNECTs that wait for the next ready connection, in order of arrival.
    pub(super) waiting: VecDeque<AttemptTicket>,
    /// Legs of the device that were admitted and are not closed, paths included.
    pub(super) legs: u32,
    /// Whether the device was last told out as ready.
    pub(super) announced: bool,
    pub(super) due: Due<Timer>,
}

impl Presence {
    /// The ready connection, unless it is in doubt.
    pub(super) fn claimable(&self) -> Option<LegKey> {
        self.ready.filter(|_| self.challenger.is_none())
    }
}

/// One CONNECT, until it is a path or has its terminal event.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) request: RouteRequest,
    /// Reserved first flight, for INCOMING.
    pub(super) early: Option<Early>,
    /// The client's leg.
    pub(super) client: LegKey,
    /// When CONNECT came.
    pub(super) began: Moment,
    /// Where *here* was decided: the agent's device.
    pub(super) agent: Option<DeviceId>,
    /// The START record is durable.
    pub(super) recorded: bool,
    /// The steps that it has taken, and when the last of them was through.
    pub(super) set_up: SetUp,
    pub(super) stepped: Moment,
    pub(super) phase: Phase,
    pub(super) due: Due<Timer>,
}

impl Attempt {
    /// A step is through; how long it took.
    pub(super) fn step(&mut self, now: Moment) -> Duration {
        now.since(core::mem::replace(&mut self.stepped, now))
    }

    /// The device that *here* named, in the client's organisation: a node never pairs across two.
    pub(super) fn agent(&self) -> Option<DeviceKey> {
        self.agent.map(|device| self.device(device))
    }

    fn device(&self, device: DeviceId) -> DeviceKey {
        DeviceKey {
            organisation: self.request.organisation,
            device,
        }
    }

    /// Whom ending it concerns.
    pub(super) fn concerned(&self) -> Concerned {
        Concerned {
            attempt: self.request.attempt,
            client: self.device(self.request.client),
            agent: self.agent(),
        }
    }
}

/// Whom the end of an attempt or of a session concerns.
pub(super) struct Concerned {
    pub(super) attempt: AttemptId,
    pub(super) client: DeviceKey,
    /// Where *here* was decided.
    pub(super) agent: Option<DeviceKey>,
}

/// How far an attempt has come (PROTOCOL.md §5.3).
#[derive(Debug)]
pub(super) enum Phase {
    /// It waits for its turn.
    InLine,
    /// `route` was asked.
    Asked { since: Moment },
    /// Denied; ERROR leaves at its time.
    Denied(Reason),
    /// Routed here; waits for the agent's next ready connection.
    Waiting,
    /// INCOMING was sent on this leg.
    Claimed { leg: LegKey, since: Moment },
    /// ACCEPT came on this leg.
    Accepted { leg: LegKey },
}

impl Phase {
    /// The last stage that the node can see.
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::InLine | Self::Asked { .. } | Self::Denied(_) => Stage::Route,
            Self::Waiting => Stage::Claim,
            Self::Claimed { .. } | Self::Accepted { .. } => Stage::Accept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_ready_legs_are_a_few_megabytes() {
        // 10,000 ready legs hold a Leg, a Presence and one deadline each; the texts of address and program are on the
        // heap, at most 72 and 64 bytes.
        assert!(size_of::<Leg>() <= 256, "{}", size_of::<Leg>());
        assert!(
            size_of::<Presence>() + size_of::<DeviceKey>() <= 192,
            "{}",
            size_of::<Presence>()
        );
        assert!(size_of::<(Moment, Timer)>() <= 24);
    }
}
