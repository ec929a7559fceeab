//! The virtual network: TCP connections with latency, jitter, segments cut anywhere, bounded buffers, and every way to break.
mod pipe;

use std::collections::BTreeMap;
use std::time::Duration;

use telerelay_wire::Moment;

use crate::agenda::{Agenda, Event, Who};
use crate::dice::Dice;
use crate::scenario::{Break, NetworkPlan};
use pipe::Pipe;

pub(crate) use pipe::Read;

/// A connection; no number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// An end of a connection: who dialled, who listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Endpoint,
    Node,
}

impl End {
    fn other(self) -> Self {
        match self {
            Self::Endpoint => Self::Node,
            Self::Node => Self::Endpoint,
        }
    }
}

/// What became of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialled {
    Pending,
    Up,
    Refused,
}

/// Where a dial goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// A node listens.
    Listens,
    /// The machine is there, the program is not.
    Refuses,
    /// Nothing is there.
    Nowhere,
}

/// The kernels' patience with a connection over which nothing comes: keepalive and `TCP_USER_TIMEOUT`.
const KERNEL_TIMEOUT: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(90));

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) endpoint: Who,
    pub(crate) node: usize,
    dialled: Dialled,
    latency: Duration,
    /// By the end that writes.
    pipes: [Pipe; 2],
    closed: [bool; 2],
    /// When an end learns that the connection is broken.
    reset: [Option<Moment>; 2],
    /// Since then nothing arrives, and nobody is told.
    hole: Option<Moment>,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Network {
    plan: NetworkPlan,
    connections: BTreeMap<ConnectionId, Connection>,
    next: u64,
    dice: Dice,
}

impl Network {
    pub(crate) fn new(plan: NetworkPlan, dice: Dice) -> Self {
        Self {
            plan,
            connections: BTreeMap::new(),
            next: 0,
            dice,
        }
    }

    /// Dials a node; the endpoint is woken when it is known what came of it.
    pub(crate) fn dial(
        &mut self,
        endpoint: Who,
        node: usize,
        listener: Listener,
        now: Moment,
        agenda: &mut Agenda,
    ) -> ConnectionId {
        let id = ConnectionId(self.next);
        self.next += 1;
        let (low, high) = self.plan.latency;
        let latency = self.dice.time(low, high);
        let (low, high) = self.plan.capacity;
        let capacity = usize::try_from(self.dice.between(low, high)).unwrap_or(usize::MAX);
        let dialled = match listener {
            Listener::Listens => Dialled::Up,
            Listener::Refuses => Dialled::Refused,
            Listener::Nowhere => Dialled::Pending,
        };
        let connection = Connection {
            endpoint,
            node,
            dialled,
            latency,
            pipes: [Pipe::new(capacity), Pipe::new(capacity)],
            closed: [false, listener != Listener::Listens],
            reset: [None; 2],
            hole: (listener == Listener::Nowhere).then_some(now),
        };
        self.connections.insert(id, connection);
        if listener != Listener::Nowhere {
            agenda.at(now + latency * 2, Event::Io(id, End::Endpoint));
        }
        id
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id)
    }

    /// Who dials: for a node that has not closed its end.
    pub(crate) fn accept(&self, id: ConnectionId) -> Option<Who> {
        let connection = self.connections.get(&id)?;
        (!connection.closed[End::Node as usize]).then_some(connection.endpoint)
    }

    pub(crate) fn dialled(&self, id: ConnectionId) -> Dialled {
        self.connections
            .get(&id)
            .map_or(Dialled::Refused, |connection| connection.dialled)
    }

    /// Since when nothing arrives over a connection.
    pub(crate) fn hole_since(&self, id: ConnectionId) -> Option<Moment> {
        self.connections.get(&id)?.hole
    }

    /// How many connections there are at some end.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Connections that are up at both ends, in order.
    pub(crate) fn live(&self) -> Vec<ConnectionId> {
        self.connections
            .iter()
            .filter(|(_, connection)| connection.closed == [false; 2] && connection.hole.is_none())
            .map(|(&id, _)| id)
            .collect()
    }

    /// Writes as much as there is room for; `None` where the connection is broken.
    pub(crate) fn write(
        &mut self,
        id: ConnectionId,
        end: End,
        bytes: &[u8],
        now: Moment,
        agenda: &mut Agenda,
    ) -> Option<usize> {
        let connection = self.connections.get_mut(&id)?;
        if connection.is_reset(end, now) {
            return None;
        }
        let (latency, is_hole) = (connection.latency, connection.hole.is_some());
        let reader_is_gone = connection.closed[end.other() as usize];
        let pipe = &mut connection.pipes[end as usize];
        let length = bytes.len().min(pipe.room());
        if length < bytes.len() {
            pipe.blocked = true;
        }
        if is_hole {
            pipe.swallow(length);
        } else if reader_is_gone || pipe.fin {
            // The other kernel answers with RST.
            connection.break_at(id, end, now + latency * 2, agenda);
        } else if length > 0 {
            self.send(id, end, &bytes[..length], now, agenda);
        }
        Some(length)
    }

    /// Cuts what is written into segments and sends each on its way.
    fn send(
        &mut self,
        id: ConnectionId,
        end: End,
        mut bytes: &[u8],
        now: Moment,
        agenda: &mut Agenda,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        while !bytes.is_empty() {
            let whole = bytes.len() as u64;
            let length = if self.dice.percent(self.plan.tiny_percent) {
                self.dice.between(1, 40)
            } else if self.dice.percent(self.plan.split_percent) {
                self.dice.between(1, whole)
            } else {
                whole
            };
            let length = usize::try_from(length.min(whole)).unwrap_or(bytes.len());
            let (segment, rest) = bytes.split_at(length);
            let jitter = self.dice.time(Duration::ZERO, self.plan.jitter);
            let at = connection.pipes[end as usize].put(segment, now + connection.latency + jitter);
            agenda.at(at, Event::Io(id, end.other()));
            bytes = rest;
        }
    }

    /// Reads at most `limit` bytes that have arrived.
    pub(crate) fn read(
        &mut self,
        id: ConnectionId,
        end: End,
        into: &mut Vec<u8>,
        limit: usize,
        now: Moment,
        agenda: &mut Agenda,
    ) -> Read {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Read::Reset;
        };
        if connection.is_reset(end, now) {
            return Read::Reset;
        }
        let pipe = &mut connection.pipes[end.other() as usize];
        let read = pipe.read(into, limit, now);
        if matches!(read, Read::Bytes(_)) && std::mem::take(&mut pipe.blocked) {
            agenda.at(now + connection.latency, Event::Io(id, end.other()));
        }
        read
    }

    /// Sends FIN behind what was written.
    pub(crate) fn shut(&mut self, id: ConnectionId, end: End, now: Moment, agenda: &mut Agenda) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let pipe = &mut connection.pipes[end as usize];
        if !pipe.fin {
            pipe.fin = true;
            if connection.hole.is_none() {
                let at = pipe.put_fin(now + connection.latency);
                agenda.at(at, Event::Io(id, end.other()));
            }
        }
    }

    /// Closes an end. As a kernel does: FIN where everything was read, RST otherwise or where `abort` asks for it.
    pub(crate) fn close(
        &mut self,
        id: ConnectionId,
        end: End,
        abort: bool,
        now: Moment,
        agenda: &mut Agenda,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let unread = connection.pipes[end.other() as usize].held() > 0;
        connection.closed[end as usize] = true;
        connection.pipes[end.other() as usize].clear();
        if connection.closed[end.other() as usize] {
            self.connections.remove(&id);
        } else if (abort || unread) && connection.dialled == Dialled::Up {
            connection.break_at(id, end.other(), now + connection.latency, agenda);
        } else {
            self.shut(id, end, now, agenda);
        }
    }

    /// Breaks a connection in one of the ways that networks have.
    pub(crate) fn damage(
        &mut self,
        id: ConnectionId,
        how: Break,
        now: Moment,
        agenda: &mut Agenda,
    ) {
        let upward = self.dice.percent(50);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match how {
            Break::Reset => {
                for end in [End::Endpoint, End::Node] {
                    let at = now + self.dice.time(Duration::ZERO, connection.latency);
                    connection.break_at(id, end, at, agenda);
                }
            }
            Break::Hole => self.swallow(id, now, agenda),
            Break::HalfClose => {
                let end = if upward { End::Endpoint } else { End::Node };
                let pipe = &mut connection.pipes[end as usize];
                if !pipe.fin {
                    let at = pipe.put_fin(now + connection.latency);
                    agenda.at(at, Event::Io(id, end.other()));
                }
            }
            Break::Stall(time) => {
                for pipe in &mut connection.pipes {
                    pipe.delay(now + time);
                }
            }
        }
    }

    /// From now on nothing arrives, and nobody is told until the kernels lose their patience.
    fn swallow(&mut self, id: ConnectionId, now: Moment, agenda: &mut Agenda) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.hole.get_or_insert(now);
        connection.pipes.iter_mut().for_each(|pipe| pipe.lose(now));
        let (low, high) = KERNEL_TIMEOUT;
        let patience = self.dice.time(low, high);
        agenda.after(now, patience, Event::KernelTimeout(id));
    }

    /// A kernel gives up.
    pub(crate) fn kernel_timeout(&mut self, id: ConnectionId, now: Moment, agenda: &mut Agenda) {
        if let Some(connection) = self.connections.get_mut(&id) {
            for end in [End::Endpoint, End::Node] {
                connection.break_now(id, end, now, agenda);
            }
        }
    }

    /// Every connection of somebody who died: broken at once, or in silence where the machine lost its power.
    pub(crate) fn died(&mut self, who: Who, is_silent: bool, now: Moment, agenda: &mut Agenda) {
        let of = |connection: &Connection| match who {
            Who::Node(node) => (connection.node == node).then_some(End::Node),
            endpoint => (connection.endpoint == endpoint).then_some(End::Endpoint),
        };
        let theirs: Vec<_> = self
            .connections
            .iter()
            .filter_map(|(&id, connection)| Some((id, of(connection)?)))
            .filter(|&(id, end)| !self.connections[&id].closed[end as usize])
            .collect();
        for (id, end) in theirs {
            if is_silent {
                self.swallow(id, now, agenda);
            }
            self.close(id, end, true, now, agenda);
        }
    }
}

impl Connection {
    fn is_reset(&self, end: End, now: Moment) -> bool {
        self.reset[end as usize].is_some_and(|at| at <= now)
    }

    /// RST is on its way to an end, unless nothing arrives there.
    fn break_at(&mut self, id: ConnectionId, end: End, at: Moment, agenda: &mut Agenda) {
        if self.hole.is_none() {
            self.break_now(id, end, at, agenda);
        }
    }

    fn break_now(&mut self, id: ConnectionId, end: End, at: Moment, agenda: &mut Agenda) {
        if !self.closed[end as usize] && self.reset[end as usize].is_none_or(|earlier| at < earlier)
        {
            self.reset[end as usize] = Some(at);
            agenda.at(at, Event::Io(id, end));
        }
    }
}
