//! Two ends, the paths between them and the programs at their local sockets, on a virtual clock.
//!
//! A path delivers records in order after its latency, holds so many bytes in flight as a socket does, can break (both
//! ends learn it) and can go silent (nobody does). A program reads and writes its socket like a real one, through a
//! bounded buffer, and checks every byte.
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use telerelay_session::{
    AgentSession, ClientSession, Ended, Event, Offsets, PathKey, Role, Session,
};
use telerelay_wire::{Code, Moment};

use crate::alone::{CLIENT, Counting, FIRST, START, exporter, new_agent, new_client, pairing};

/// What a kernel buffers in each direction of a socket.
const SOCKET: usize = 65_536;
/// What a path holds in flight in each direction.
const IN_FLIGHT: usize = 262_144;

/// The byte at `offset` of the stream that a program with this seed writes.
pub(crate) fn pattern(seed: u8, offset: u64) -> u8 {
    let [low, .., high] = (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes();
    low ^ high ^ seed
}

/// A program at a local socket: writes so many bytes of its pattern, or echoes what it reads.
pub(crate) struct Program {
    pub(crate) seed: u8,
    /// Bytes that it writes in all; `None` echoes.
    pub(crate) writes: Option<u64>,
    /// Whether it ends its stream behind its last byte.
    pub(crate) ends: bool,
    /// Reads and writes nothing: a window that is dragged.
    pub(crate) frozen: bool,
    pub(crate) written: u64,
    pub(crate) read: u64,
    /// The seed of what it expects to read.
    pub(crate) expects: u8,
    /// The session shut its reading side down.
    pub(crate) shut: bool,
    ended: bool,
    to_read: VecDeque<u8>,
    to_write: VecDeque<u8>,
}

impl Program {
    pub(crate) fn new(seed: u8, expects: u8) -> Self {
        Self {
            seed,
            writes: Some(0),
            ends: false,
            frozen: false,
            written: 0,
            read: 0,
            expects,
            shut: false,
            ended: false,
            to_read: VecDeque::new(),
            to_write: VecDeque::new(),
        }
    }

    /// Its turn: reads what its socket holds, writes what fits. Says whether anything moved.
    fn run(&mut self) -> bool {
        if self.frozen {
            return false;
        }
        let before = (self.read, self.written);
        let echo = self.writes.is_none();
        while !self.to_read.is_empty() && (!echo || self.to_write.len() < SOCKET) {
            let byte = self.to_read.pop_front().unwrap();
            assert_eq!(
                byte,
                pattern(self.expects, self.read),
                "byte {} of the stream",
                self.read
            );
            self.read += 1;
            if echo {
                self.to_write.push_back(byte);
                self.written += 1;
            }
        }
        if let Some(writes) = self.writes {
            while self.written < writes && self.to_write.len() < SOCKET {
                self.to_write.push_back(pattern(self.seed, self.written));
                self.written += 1;
            }
        }
        before != (self.read, self.written)
    }

    fn is_at_end(&self) -> bool {
        let echoed = self.shut && self.to_read.is_empty();
        self.ends
            && self.to_write.is_empty()
            && self.writes.map_or(echoed, |writes| self.written == writes)
    }
}

/// One connection between the two ends.
pub(crate) struct Wire {
    pub(crate) latency: Duration,
    /// Takes everything and delivers nothing.
    pub(crate) silent: bool,
    /// Bytes of a piece in which the ends are fed; 0 = whole records.
    pub(crate) piece: usize,
    to_agent: VecDeque<(Moment, Vec<u8>)>,
    to_client: VecDeque<(Moment, Vec<u8>)>,
    agent_holds: bool,
    client_holds: bool,
    /// One end says no more: the connection is over once everything in flight has come.
    finishing: bool,
}

pub(crate) struct Pair {
    pub(crate) now: Moment,
    pub(crate) agent: AgentSession,
    pub(crate) client: ClientSession,
    pub(crate) desktop: Program,
    pub(crate) viewer: Program,
    pub(crate) wires: BTreeMap<PathKey, Wire>,
    pub(crate) agent_events: Vec<Event>,
    pub(crate) client_events: Vec<Event>,
    /// Dial as soon as the client is told to.
    pub(crate) dials: bool,
    pub(crate) latency: Duration,
    pub(crate) piece: usize,
    /// Records that travelled, and how many may.
    pub(crate) records: u64,
    pub(crate) records_limit: u64,
    entropy: Counting,
    next_key: u64,
}

impl Pair {
    /// A pair whose session is open.
    pub(crate) fn open(resume_limit: u32) -> Self {
        Self::with(new_agent(resume_limit, &[]), new_client())
    }

    pub(crate) fn with(agent: AgentSession, client: ClientSession) -> Self {
        let mut pair = Self {
            now: START,
            agent,
            client,
            desktop: Program::new(0xd0, 0x01),
            viewer: Program::new(0x01, 0xd0),
            wires: BTreeMap::new(),
            agent_events: Vec::new(),
            client_events: Vec::new(),
            dials: true,
            latency: Duration::from_millis(10),
            piece: 0,
            records: 0,
            records_limit: u64::MAX,
            entropy: Counting(1),
            next_key: 1,
        };
        pair.lay(FIRST);
        pair.agent.authenticated(FIRST, START);
        pair.run_until(Duration::from_secs(1), |pair| pair.client.id().is_some());
        pair
    }

    /// Dials one more path; `None` where the session is over.
    pub(crate) fn dial(&mut self) -> Option<PathKey> {
        let generation = self.client.next_resume()?.generation;
        let key = PathKey(self.next_key);
        self.next_key += 1;
        self.lay(key);
        self.agent.path_up(key, pairing(key), exporter(key), CLIENT);
        self.agent.authenticated(key, self.now);
        self.client
            .path_up(key, generation, pairing(key), exporter(key), self.now);
        Some(key)
    }

    /// Breaks a path: what is in flight is gone, and both ends learn it.
    pub(crate) fn break_path(&mut self, key: PathKey) {
        if let Some(wire) = self.wires.remove(&key) {
            if wire.agent_holds {
                self.agent.path_lost(key, self.now);
            }
            if wire.client_holds {
                self.client.path_lost(key, self.now);
            }
        }
    }

    /// From now on a path delivers nothing, and nobody is told.
    pub(crate) fn silence(&mut self, key: PathKey) {
        let wire = self.wires.get_mut(&key).unwrap();
        wire.silent = true;
        wire.to_agent.clear();
        wire.to_client.clear();
    }

    /// Does everything that can be done now, then moves the clock to the next thing that happens, until the condition
    /// holds. Fails where it does not within `limit`, or where nothing is going to happen any more.
    pub(crate) fn run_until(&mut self, limit: Duration, condition: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        loop {
            self.settle();
            if condition(self) {
                return;
            }
            let next = self
                .next_happening()
                .unwrap_or_else(|| panic!("stalled: {}", self.state()));
            assert!(next <= end, "not within {limit:?}: {}", self.state());
            self.now = next;
        }
    }

    /// Runs for so long, whatever happens.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            match self.next_happening() {
                Some(next) if next <= end => self.now = next,
                _ => break,
            }
        }
        self.now = end;
        self.settle();
    }

    /// Whether both programs have read all that the other wrote.
    pub(crate) fn is_delivered(&self) -> bool {
        let all =
            |from: &Program, to: &Program| from.writes.is_some_and(|writes| to.read == writes);
        all(&self.viewer, &self.desktop) && all(&self.desktop, &self.viewer)
    }

    pub(crate) fn agent_end(&self) -> Option<&Ended> {
        only_end(&self.agent_events)
    }

    pub(crate) fn client_end(&self) -> Option<&Ended> {
        only_end(&self.client_events)
    }

    /// Both ends told the same end.
    pub(crate) fn both_ended(&self) -> Option<Code> {
        let (agent, client) = (self.agent_end()?, self.client_end()?);
        assert_eq!((&agent.code, agent.stage), (&client.code, client.stage));
        agent.code.code()
    }

    fn lay(&mut self, key: PathKey) {
        let wire = Wire {
            latency: self.latency,
            silent: false,
            piece: self.piece,
            to_agent: VecDeque::new(),
            to_client: VecDeque::new(),
            agent_holds: true,
            client_holds: true,
            finishing: false,
        };
        self.wires.insert(key, wire);
    }

    fn state(&self) -> String {
        let (agent, client) = (self.agent.offsets(), self.client.offsets());
        let wires: Vec<_> = self.wires.keys().collect();
        format!(
            "at {}, paths {wires:?}\nagent {agent:?}, {:?}\nclient {client:?}, {:?}",
            self.now, self.agent_events, self.client_events
        )
    }

    fn next_happening(&self) -> Option<Moment> {
        let timers = [self.agent.next_timeout(), self.client.next_timeout()]
            .into_iter()
            .flatten();
        let arrivals = self.wires.values().flat_map(|wire| {
            wire.to_agent
                .front()
                .into_iter()
                .chain(wire.to_client.front())
        });
        timers.chain(arrivals.map(|(at, _)| *at)).min()
    }

    fn settle(&mut self) {
        loop {
            self.agent.timeout(self.now);
            self.client.timeout(self.now);
            let moved = self.deliver()
                | self.desktop.run()
                | self.viewer.run()
                | attend(
                    &mut self.agent,
                    &mut self.desktop,
                    &mut self.wires,
                    self.now,
                    &mut self.records,
                    self.records_limit,
                    |wire| (&mut wire.to_client, wire.agent_holds),
                )
                | attend(
                    &mut self.client,
                    &mut self.viewer,
                    &mut self.wires,
                    self.now,
                    &mut self.records,
                    self.records_limit,
                    |wire| (&mut wire.to_agent, wire.client_holds),
                )
                | self.take_events()
                | self.finish()
                | self.redial();
            self.check();
            if !moved {
                return;
            }
        }
    }

    /// Hands over every record whose time has come.
    fn deliver(&mut self) -> bool {
        let mut moved = false;
        for (key, wire) in &mut self.wires {
            let piece = if wire.piece == 0 {
                usize::MAX
            } else {
                wire.piece
            };
            while wire.to_agent.front().is_some_and(|(at, _)| *at <= self.now) {
                let (_, record) = wire.to_agent.pop_front().unwrap();
                record
                    .chunks(piece)
                    .for_each(|bytes| self.agent.received(*key, bytes, self.now));
                moved = true;
            }
            while wire
                .to_client
                .front()
                .is_some_and(|(at, _)| *at <= self.now)
            {
                let (_, record) = wire.to_client.pop_front().unwrap();
                record
                    .chunks(piece)
                    .for_each(|bytes| self.client.received(*key, bytes, self.now));
                moved = true;
            }
        }
        moved
    }

    fn take_events(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.agent.poll_event() {
            moved = true;
            match &event {
                Event::Ended(_) => self.finish_all(),
                Event::ConnectDesktop { .. } => self.agent.desktop_connected(&mut self.entropy),
                Event::LocalShutdown => self.desktop.shut = true,
                Event::PathLost { path } => self.let_go(*path, true),
                Event::PathDone { path } => {
                    if let Some(wire) = self.wires.get_mut(path) {
                        wire.finishing = true;
                    }
                }
                _ => {}
            }
            self.agent_events.push(event);
        }
        while let Some(event) = self.client.poll_event() {
            moved = true;
            match &event {
                Event::LocalShutdown => self.viewer.shut = true,
                Event::PathLost { path } => self.let_go(*path, false),
                Event::PathDone { path } => {
                    if let Some(wire) = self.wires.get_mut(path) {
                        wire.finishing = true;
                    }
                }
                Event::Ended(_) => self.finish_all(),
                Event::DialParallel if self.dials => {
                    self.dial();
                }
                _ => {}
            }
            self.client_events.push(event);
        }
        moved
    }

    /// One end dropped a path that it counts as lost. The other learns it unless the path is silent.
    fn let_go(&mut self, key: PathKey, agent: bool) {
        let Some(wire) = self.wires.get_mut(&key) else {
            return;
        };
        if agent {
            wire.agent_holds = false;
        } else {
            wire.client_holds = false;
        }
        if !wire.silent {
            self.break_path(key);
        } else if !wire.agent_holds && !wire.client_holds {
            self.wires.remove(&key);
        }
    }

    fn finish_all(&mut self) {
        self.wires
            .values_mut()
            .for_each(|wire| wire.finishing = true);
    }

    /// Connections that were ended in order are over once everything in flight has come.
    fn finish(&mut self) -> bool {
        let over =
            |wire: &Wire| wire.finishing && wire.to_agent.is_empty() && wire.to_client.is_empty();
        let over: Vec<_> = self
            .wires
            .iter()
            .filter(|(_, wire)| over(wire))
            .map(|(key, _)| *key)
            .collect();
        for key in &over {
            self.break_path(*key);
        }
        !over.is_empty()
    }

    /// A client without a path and without a dial under way dials.
    fn redial(&mut self) -> bool {
        let dialling = self.wires.values().any(|wire| wire.client_holds);
        self.dials && self.client.sending_path().is_none() && !dialling && self.dial().is_some()
    }

    /// What holds at every step.
    fn check(&self) {
        let resumes = self.agent_events.iter().filter_map(|event| match event {
            Event::Resumed { generation, .. } => Some(*generation),
            _ => None,
        });
        assert!(
            resumes.is_sorted_by(|one, next| one < next),
            "an old generation was accepted"
        );
        check_direction(self.agent.offsets(), self.client.offsets(), 4_194_304);
        check_direction(self.client.offsets(), self.agent.offsets(), 262_144);
        only_end(&self.agent_events);
        only_end(&self.client_events);
    }
}

/// Serves the local socket and the paths of one end.
fn attend<R: Role>(
    session: &mut Session<R>,
    program: &mut Program,
    wires: &mut BTreeMap<PathKey, Wire>,
    now: Moment,
    records: &mut u64,
    records_limit: u64,
    direction: impl Fn(&mut Wire) -> (&mut VecDeque<(Moment, Vec<u8>)>, bool),
) -> bool {
    let mut moved = false;
    let room = SOCKET - program.to_read.len();
    if room > 0 {
        let mut taken = Vec::new();
        session.poll_deliver().for_each(|bytes| {
            taken.extend_from_slice(&bytes[..bytes.len().min(room - taken.len())]);
        });
        if !taken.is_empty() {
            session.written(taken.len(), now);
            program.to_read.extend(taken);
            moved = true;
        }
    }
    let room = session.room_for_local().min(program.to_write.len());
    if room > 0 {
        let bytes: Vec<u8> = program.to_write.drain(..room).collect();
        assert_eq!(session.local_bytes(&bytes), room);
        moved = true;
    }
    if program.is_at_end() && !program.ended {
        program.ended = true;
        session.local_eof();
    }
    for (key, wire) in wires {
        let (latency, silent) = (wire.latency, wire.silent);
        let (queue, holds) = direction(wire);
        let mut in_flight: usize = queue.iter().map(|(_, record)| record.len()).sum();
        while holds && in_flight < IN_FLIGHT && *records < records_limit {
            let Some(record) = session.poll_transmit(*key, now) else {
                break;
            };
            let mut bytes = Vec::with_capacity(record.len());
            record.append_to(&mut bytes);
            in_flight += bytes.len();
            *records += 1;
            if !silent {
                queue.push_back((now + latency, bytes));
            }
            moved = true;
        }
    }
    moved
}

/// One direction, seen from both ends: nobody knows more than happened, and nobody holds more than a window.
fn check_direction(from: Offsets, to: Offsets, window: u64) {
    let holds = |condition: bool, what: &str| assert!(condition, "{what}: {from:?} {to:?}");
    holds(to.written_told <= to.written, "told before it was written");
    holds(
        from.acked <= to.written,
        "acknowledged before it was written",
    );
    holds(to.received <= from.read, "more arrived than was sent");
    holds(
        to.written <= to.received && from.acked <= from.sent && from.sent <= from.read,
        "out of order",
    );
    holds(
        from.read - from.acked <= window && to.received - to.written <= window,
        "beyond the window",
    );
}

fn only_end(events: &[Event]) -> Option<&Ended> {
    let mut ends = events.iter().filter_map(|event| match event {
        Event::Ended(ended) => Some(ended),
        _ => None,
    });
    let first = ends.next();
    assert!(ends.next().is_none(), "two ends: {events:?}");
    first
}
