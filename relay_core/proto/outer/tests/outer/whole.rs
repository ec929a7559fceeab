//! All three roles against each other over a network that is slow, in order, and breaks; every seed is one run.
use std::collections::{BTreeMap, BTreeSet};

use telerelay_outer::agent::{self, Agent, PathReport, Verdict};
use telerelay_outer::client::{self, Client};
use telerelay_outer::node::{self, AttemptTicket, Cause, Census, Decision, Side};
use telerelay_outer::{How, LegKey, Networks, PathChoice};
use telerelay_wire::ids::{
    AttemptId, ComputerId, Instance, PathId, Resume, Service, SessionId, Stage,
};
use telerelay_wire::outer::Frame;
use telerelay_wire::{Code, Entropy, Moment};

use crate::bench::{
    Bench, EPOCH, Seeded, agent_of, client_of, device, ended, local, ms, node, program, secs,
};

const AGENTS: usize = 4;
const CLIENTS: usize = 24;

/// An endpoint's leg: whose and which.
type End = (usize, LegKey);

/// Something that will happen.
enum Event {
    LegUp(End),
    ToNode(LegKey, Frame<'static>),
    NodeSeesEnd(LegKey),
    ToEndpoint(End, Frame<'static>),
    EndpointSeesEnd(End),
    Decide(AttemptTicket, Decision),
    Recorded(AttemptTicket),
    Verdict(usize, PathId, Verdict),
    /// The person closes the viewer.
    Close(usize),
    /// The network drops a leg.
    Break,
    ClientStarts(usize),
}

enum Endpoint {
    Agent(Agent),
    Client(Option<Client>),
}

#[derive(Clone, Copy)]
struct Wire {
    end: End,
    path: Option<PathId>,
    /// The node's driver still has it.
    node: bool,
    /// The last delivery in each direction, so that nothing overtakes.
    last: [Moment; 2],
}

struct World {
    bench: Bench,
    endpoints: Vec<Endpoint>,
    wires: BTreeMap<LegKey, Wire>,
    by_end: BTreeMap<End, LegKey>,
    /// The path of an endpoint's leg, from `StartPath` on.
    started: BTreeMap<End, PathId>,
    dialling: BTreeSet<End>,
    events: BTreeMap<(Moment, u64), Event>,
    sequence: u64,
    entropy: Seeded,
    ended: BTreeMap<usize, Vec<client::Ended>>,
    attempts: BTreeMap<AttemptId, usize>,
    terminals: Vec<node::Terminal>,
    until: Moment,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut endpoints: Vec<_> = (0..AGENTS)
            .map(|number| Endpoint::Agent(agent(number)))
            .collect();
        endpoints.extend((0..CLIENTS).map(|_| Endpoint::Client(None)));
        let mut bench = Bench::new();
        bench.entropy = Seeded(!seed);
        let mut world = Self {
            bench,
            endpoints,
            wires: BTreeMap::new(),
            by_end: BTreeMap::new(),
            started: BTreeMap::new(),
            dialling: BTreeSet::new(),
            events: BTreeMap::new(),
            sequence: 0,
            entropy: Seeded(seed),
            ended: BTreeMap::new(),
            attempts: BTreeMap::new(),
            terminals: Vec::new(),
            until: Moment::ZERO + secs(60),
        };
        for number in 0..AGENTS {
            if let Endpoint::Agent(agent) = &mut world.endpoints[number] {
                agent.start(Moment::ZERO, &mut world.entropy);
            }
            world.drain(number);
        }
        for number in AGENTS..AGENTS + CLIENTS {
            let at = world.random(40_000);
            world.at(Moment::ZERO + ms(at), Event::ClientStarts(number));
        }
        // One run in four is on a network that never breaks.
        for _ in 0..seed % 4 * 10 {
            let at = world.random(50_000);
            world.at(Moment::ZERO + ms(at), Event::Break);
        }
        world
    }

    fn random(&mut self, below: u64) -> u64 {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes) % below
    }

    fn at(&mut self, moment: Moment, event: Event) {
        self.events.insert((moment, self.sequence), event);
        self.sequence += 1;
    }

    fn after(&mut self, milliseconds: u64, event: Event) {
        self.at(self.bench.now + ms(milliseconds), event);
    }

    /// Delivers behind everything that went the same way before.
    fn deliver(&mut self, leg: LegKey, to_node: bool, event: Event) {
        let delay = 1 + self.random(40);
        let now = self.bench.now;
        if let Some(wire) = self.wires.get_mut(&leg) {
            let last = &mut wire.last[usize::from(to_node)];
            *last = (*last).max(now + ms(delay));
            let at = *last;
            self.at(at, event);
        }
    }

    fn run(&mut self) {
        loop {
            let event = self.events.keys().next().map(|key| key.0);
            let timers = self.endpoints.iter().filter_map(Endpoint::next_timeout);
            let timer = timers.chain(self.bench.node.next_timeout()).min();
            let Some(next) = event.into_iter().chain(timer).min() else {
                return;
            };
            if next > self.until {
                return;
            }
            self.bench.now = next;
            if event == Some(next) {
                if let Some((_, event)) = self.events.pop_first() {
                    self.happen(event);
                }
            } else {
                self.bench.node.timeout(next);
                for number in 0..self.endpoints.len() {
                    match &mut self.endpoints[number] {
                        Endpoint::Agent(agent) => agent.timeout(next, &mut self.entropy),
                        Endpoint::Client(Some(client)) => client.timeout(next),
                        Endpoint::Client(None) => {}
                    }
                    self.drain(number);
                }
            }
            self.drain_node();
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.bench.now;
        match event {
            Event::LegUp(end) => self.leg_up(end),
            Event::ToNode(leg, frame) => {
                if self.wires.get(&leg).is_some_and(|wire| wire.node) {
                    self.bench
                        .node
                        .frame(leg, frame, now, &mut self.bench.entropy);
                }
            }
            Event::NodeSeesEnd(leg) => self.node_sees_end(leg),
            Event::ToEndpoint(end, frame) => {
                match &mut self.endpoints[end.0] {
                    Endpoint::Agent(agent) => agent.frame(end.1, frame, now, &mut self.entropy),
                    Endpoint::Client(Some(client)) => client.frame(end.1, frame.clone(), now),
                    Endpoint::Client(None) => {}
                }
                self.drain(end.0);
            }
            Event::EndpointSeesEnd(end) => self.endpoint_sees_end(end),
            Event::Decide(ticket, decision) => self.bench.node.decide(ticket, decision, now),
            Event::Recorded(ticket) => self.bench.node.recorded(ticket, Ok(()), now),
            Event::Verdict(number, path, verdict) => {
                if let Endpoint::Agent(agent) = &mut self.endpoints[number] {
                    agent.verdict(path, verdict, now, &mut self.entropy);
                }
                self.drain(number);
            }
            Event::Close(number) => {
                let end = self.started.keys().copied().find(|end| end.0 == number);
                if let Some(end) = end {
                    self.end_path(
                        end,
                        &client::PathEnd::Closed {
                            code: Code::Done.into(),
                            stage: Stage::Session,
                        },
                    );
                }
            }
            Event::Break => {
                let legs: Vec<_> = self
                    .wires
                    .iter()
                    .filter(|(_, wire)| wire.node)
                    .map(|(&leg, _)| leg)
                    .collect();
                if !legs.is_empty() {
                    let index = self.random(legs.len() as u64);
                    let leg = legs[usize::try_from(index).unwrap_or(0)];
                    let end = self.wires[&leg].end;
                    self.deliver(leg, true, Event::NodeSeesEnd(leg));
                    self.deliver(leg, false, Event::EndpointSeesEnd(end));
                }
            }
            Event::ClientStarts(number) => {
                let config = client::Config {
                    nodes: vec![node("n1", &["n1:1"])],
                    instance: Instance([small(number); 16]),
                    features: Vec::new().try_into().expect("fits"),
                    program: program(),
                    computer: ComputerId([1; 10]),
                    service: Service::Rfb,
                    path: PathChoice::Auto,
                    networks: Networks::default(),
                };
                let client = Client::new(config, EPOCH, now, &mut self.entropy);
                self.endpoints[number] = Endpoint::Client(Some(client));
                self.drain(number);
            }
        }
    }

    fn leg_up(&mut self, end: End) {
        if !self.dialling.remove(&end) {
            return;
        }
        let now = self.bench.now;
        let identity = if end.0 < AGENTS {
            agent_of(1, small(end.0))
        } else {
            client_of(1, 100 + small(end.0))
        };
        let leg = self.bench.leg(identity, Side::Both);
        self.wires.insert(
            leg,
            Wire {
                end,
                path: None,
                node: true,
                last: [now; 2],
            },
        );
        self.by_end.insert(end, leg);
        match &mut self.endpoints[end.0] {
            Endpoint::Agent(agent) => agent.leg_up(end.1, local(), now),
            Endpoint::Client(Some(client)) => client.leg_up(end.1, local(), now),
            Endpoint::Client(None) => {}
        }
        self.drain(end.0);
    }

    fn node_sees_end(&mut self, leg: LegKey) {
        let Some(wire) = self.wires.get_mut(&leg) else {
            return;
        };
        if !core::mem::replace(&mut wire.node, false) {
            return;
        }
        let Some(path) = wire.path else {
            return self.bench.node.leg_gone(leg, self.bench.now);
        };
        let other = self
            .wires
            .iter()
            .find(|(_, wire)| wire.path == Some(path) && wire.node)
            .map(|(&leg, _)| leg);
        match other {
            // The driver closes the other leg behind what is queued for it.
            Some(other) => self.close_at_node(other),
            None => self
                .bench
                .node
                .path_ended(path, ended(Cause::Leg), self.bench.now),
        }
    }

    fn close_at_node(&mut self, leg: LegKey) {
        if let Some(wire) = self.wires.get(&leg).copied().filter(|wire| wire.node) {
            self.deliver(leg, false, Event::EndpointSeesEnd(wire.end));
            if wire.path.is_some() {
                self.node_sees_end(leg);
            } else if let Some(wire) = self.wires.get_mut(&leg) {
                wire.node = false;
            }
        }
    }

    fn endpoint_sees_end(&mut self, end: End) {
        if self.started.contains_key(&end) {
            let resume = Resume {
                session: SessionId([1; 16]),
                generation: 1,
            };
            return self.end_path(
                end,
                &client::PathEnd::Lost {
                    stage: Stage::Session,
                    resume: Some(resume),
                },
            );
        }
        if self.by_end.remove(&end).is_some() {
            let now = self.bench.now;
            match &mut self.endpoints[end.0] {
                Endpoint::Agent(agent) => {
                    agent.leg_gone(end.1, Code::Unreachable, now, &mut self.entropy);
                }
                Endpoint::Client(Some(client)) => client.leg_gone(end.1, Code::Unreachable, now),
                Endpoint::Client(None) => {}
            }
            self.drain(end.0);
        }
    }

    fn end_path(&mut self, end: End, how: &client::PathEnd) {
        let Some(path) = self.started.remove(&end) else {
            return;
        };
        self.close_at_endpoint(end);
        let now = self.bench.now;
        match &mut self.endpoints[end.0] {
            Endpoint::Agent(agent) => {
                let notices = Vec::new().try_into().expect("fits");
                let report = PathReport {
                    code: Code::Done.into(),
                    stage: Stage::Session,
                    session: None,
                    notices,
                };
                agent.path_ended(path, report, now);
            }
            Endpoint::Client(Some(client)) => {
                client.path_ended(how.clone(), now, &mut self.entropy);
            }
            Endpoint::Client(None) => {}
        }
        self.drain(end.0);
    }

    fn close_at_endpoint(&mut self, end: End) {
        self.dialling.remove(&end);
        if let Some(leg) = self.by_end.remove(&end) {
            self.deliver(leg, true, Event::NodeSeesEnd(leg));
        }
    }

    fn drain(&mut self, number: usize) {
        loop {
            match &mut self.endpoints[number] {
                Endpoint::Agent(agent) => match agent.poll_command() {
                    Some(command) => self.agent_does(number, command),
                    None => return,
                },
                Endpoint::Client(client) => match client.as_mut().and_then(Client::poll_command) {
                    Some(command) => self.client_does(number, command),
                    None => return,
                },
            }
        }
    }

    fn agent_does(&mut self, number: usize, command: agent::Command) {
        use agent::Command;
        match command {
            Command::Dial(leg, _) => self.dial((number, leg)),
            Command::Send(leg, frame) => self.send((number, leg), frame),
            Command::Close(leg, _) => self.close_at_endpoint((number, leg)),
            Command::Verdict(incoming) => {
                let verdict = if self.random(8) == 0 {
                    Verdict::Refuse(Code::Sessions.into())
                } else {
                    Verdict::Allow
                };
                let slow = self.random(20) == 0;
                let delay = self.random(if slow { 8_000 } else { 50 });
                self.after(delay, Event::Verdict(number, incoming.path, verdict));
            }
            Command::StartPath { leg, incoming, .. } => {
                self.started.insert((number, leg), incoming.path);
            }
            Command::Online { .. }
            | Command::Offline { .. }
            | Command::News(_)
            | Command::Goaway(_)
            | Command::Cut(_) => {}
        }
    }

    fn client_does(&mut self, number: usize, command: client::Command) {
        use client::Command;
        match command {
            Command::Dial(leg, _) => self.dial((number, leg)),
            Command::Send(leg, frame) => {
                if let Frame::Connect(connect) = &frame {
                    self.attempts.insert(connect.attempt, number);
                }
                self.send((number, leg), frame);
            }
            Command::Close(leg, _) => self.close_at_endpoint((number, leg)),
            Command::StartPath { leg, path, .. } => {
                self.started.insert((number, leg), path);
                let length = self.random(20_000);
                self.after(length, Event::Close(number));
            }
            Command::Ended(end) => self.ended.entry(number).or_default().push(end),
            Command::Reached { .. } | Command::Again(_) | Command::Learnt(..) => {}
        }
    }

    fn dial(&mut self, end: End) {
        self.dialling.insert(end);
        let delay = 5 + self.random(60);
        self.after(delay, Event::LegUp(end));
    }

    fn send(&mut self, end: End, frame: Frame<'static>) {
        if let Some(&leg) = self.by_end.get(&end) {
            self.deliver(leg, true, Event::ToNode(leg, frame));
        }
    }

    fn drain_node(&mut self) {
        while let Some(command) = self.bench.node.poll_command() {
            match command {
                node::Command::Send(leg, frame) => {
                    let end = self.wires[&leg].end;
                    self.deliver(leg, false, Event::ToEndpoint(end, frame));
                }
                node::Command::Close(leg, How::Flushed | How::AtOnce) => self.close_at_node(leg),
                node::Command::Ask(request) => {
                    let agent = small(usize::try_from(self.random(AGENTS as u64)).unwrap_or(0));
                    let decision = match self.random(12) {
                        0 => Decision::Deny(Code::Denied.into()),
                        1 => Decision::Later(1),
                        _ => Decision::Here(device(agent)),
                    };
                    let delay = self.random(300);
                    self.after(delay, Event::Decide(request.ticket, decision));
                    let fsync = delay + self.random(40);
                    self.after(fsync, Event::Recorded(request.ticket));
                }
                node::Command::Join(join) => {
                    for leg in [join.agent, join.client] {
                        if let Some(wire) = self.wires.get_mut(&leg) {
                            wire.path = Some(join.path);
                        }
                    }
                }
                node::Command::Terminal(end) => self.terminals.push(*end),
                node::Command::AgentReady(_)
                | node::Command::AgentGone { .. }
                | node::Command::Flagged { .. }
                | node::Command::Drained => {}
            }
        }
    }
}

impl Endpoint {
    fn next_timeout(&self) -> Option<Moment> {
        match self {
            Self::Agent(agent) => agent.next_timeout(),
            Self::Client(client) => client.as_ref().and_then(Client::next_timeout),
        }
    }
}

fn small(number: usize) -> u8 {
    u8::try_from(number).expect("few")
}

fn agent(number: usize) -> Agent {
    let config = agent::Config {
        nodes: vec![node("n1", &["n1:1"])],
        instance: Instance([small(number); 16]),
        features: Vec::new().try_into().expect("fits"),
        program: program(),
        path: PathChoice::Auto,
    };
    Agent::new(config, EPOCH, Moment::ZERO)
}

#[test]
fn whatever_breaks_every_request_has_one_end_at_both_sides() {
    let (mut done, mut codes) = (0, BTreeMap::<String, usize>::new());
    for seed in 0..300 {
        let mut world = World::new(seed);
        world.run();
        // Clients have 60 s for what takes at most 20 + 15 + 15 s after the last start; then the agents leave.
        world.until += secs(60);
        world.run();
        for number in AGENTS..AGENTS + CLIENTS {
            let ends = world.ended.get(&number).map_or(0, Vec::len);
            assert_eq!(ends, 1, "seed {seed}: client {number} has {ends} ends");
        }
        // An attempt whose CONNECT was lost on its way was never known to the node.
        let mut counted = BTreeMap::<AttemptId, usize>::new();
        for end in &world.terminals {
            *counted.entry(end.attempt).or_default() += 1;
            assert!(
                seed % 4 > 0 || end.code != Code::ClientGone && end.code != Code::PathLost,
                "seed {seed}: nothing broke: {end:?}"
            );
            *codes
                .entry(format!("{} {}", end.code, end.stage))
                .or_default() += 1;
            done += usize::from(end.code == Code::Done);
        }
        for (attempt, count) in counted {
            assert_eq!(count, 1, "seed {seed}: attempt {attempt}");
            assert!(world.attempts.contains_key(&attempt));
        }
        // Every agent is ready again, and nobody else is left.
        let census = world.bench.node.census();
        let expected = Census {
            legs: AGENTS,
            ready: AGENTS,
            devices: AGENTS,
            deadlines: AGENTS,
            ..Census::default()
        };
        assert_eq!(census, expected, "seed {seed}");
    }
    assert!(
        done > 300 * 10,
        "many requests become sessions: {done} of {codes:?}"
    );
    for code in [
        "SESSIONS accept",
        "CLIENT_GONE accept",
        "ABSENT accept",
        "DENIED route",
        "TRY_LATER route",
    ] {
        assert!(codes.contains_key(code), "{code} in {codes:?}");
    }
    assert!(
        !codes
            .keys()
            .any(|code| code.contains("BAD_FRAME") || code.contains("PATH_UNKNOWN")),
        "{codes:?}"
    );
}
