//! What will happen and when: the virtual clock's queue.
use std::collections::BTreeMap;
use std::time::Duration;

use telerelay_outer::agent::Verdict;
use telerelay_outer::node::AttemptTicket;
use telerelay_wire::ids::{DeviceId, PathId};
use telerelay_wire::{Code, Moment};

use crate::dice::Dice;
use crate::network::{ConnectionId, End};
use crate::scenario::Fault;

/// Somebody in a run, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A relay node.
    Node(usize),
    /// An agent.
    Agent(usize),
    /// A client.
    Client(usize),
}

/// Something that happens to one of them. `life` counts how often its owner was started: an answer that was meant for a
/// process that died does not reach the next one.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A program is started.
    Start(Who),
    /// A connection may have something to read or room to write, or has ended.
    Io(ConnectionId, End),
    /// The kernel gives up a connection over which nothing comes.
    KernelTimeout(ConnectionId),
    /// A dialler has not finished outer TLS.
    HandshakeOver {
        node: usize,
        connection: ConnectionId,
    },
    /// Python answers `route`.
    Decide {
        node: usize,
        life: u64,
        ticket: AttemptTicket,
    },
    /// Python says what became of the START record.
    Recorded {
        node: usize,
        life: u64,
        ticket: AttemptTicket,
        written: Result<(), Code>,
    },
    /// Other nodes hear where an agent is, or that it is gone.
    Presence {
        device: DeviceId,
        node: usize,
        here: bool,
    },
    /// Python answers `verdict`.
    Verdict {
        agent: usize,
        life: u64,
        path: PathId,
        verdict: Verdict,
    },
    /// The inner handshake has had its time.
    InnerOver(Who, ConnectionId),
    /// An endpoint puts its outer TLS down.
    Switch(Who, ConnectionId),
    /// A direct leg has had its time to prove itself.
    ProofDue(Who, ConnectionId),
    /// A connection that waits for the other end to close has waited long enough.
    Lingered(Who, ConnectionId),
    /// A desktop or a viewer does something: that of a client, or of an agent's session.
    Program(Who, u64),
    /// A desktop answers, or a viewer arrives.
    ProgramConnects(Who, u64),
    /// A person gives up.
    GivesUp(usize),
    /// Something breaks, or an operator does something.
    Fault(Fault),
    /// What holds at any time is looked at, whatever happens.
    Look,
    /// Every program of this kind is told to stop.
    Stop(Stop),
}

/// The order in which a run is brought to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    Clients,
    Sessions,
    Agents,
    Nodes,
}

/// Events in the order of their time. Events of one moment come in random order: nothing that matters may hang on it.
#[derive(Debug)]
pub(crate) struct Agenda {
    events: BTreeMap<(Moment, u64, u64), Event>,
    added: u64,
    order: Dice,
}

impl Agenda {
    pub(crate) fn new(order: Dice) -> Self {
        Self {
            events: BTreeMap::new(),
            added: 0,
            order,
        }
    }

    pub(crate) fn at(&mut self, moment: Moment, event: Event) {
        let order = self.order.roll();
        self.events.insert((moment, order, self.added), event);
        self.added += 1;
    }

    pub(crate) fn after(&mut self, now: Moment, delay: Duration, event: Event) {
        self.at(now + delay, event);
    }

    pub(crate) fn next(&self) -> Option<Moment> {
        self.events.first_key_value().map(|(&(at, ..), _)| at)
    }

    pub(crate) fn take(&mut self) -> Option<Event> {
        self.events.pop_first().map(|(_, event)| event)
    }
}
