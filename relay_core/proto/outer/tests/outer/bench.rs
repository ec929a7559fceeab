//! A node with a virtual clock, and everybody who talks to it.
use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use telerelay_outer::node::{
    AttemptTicket, Cause, Command, Decision, Greeting, Holder, Identity, Node, PathEnd, Side,
    Snapshot, Standing,
};
use telerelay_outer::{LegKey, PathKind, Traffic};
use telerelay_wire::ids::{
    Address, AttemptId, ComputerId, DeviceId, Instance, NodeAddress, OrganisationId, PathId,
    Program, Role, Service, Stage,
};
use telerelay_wire::outer::{Accept, Connect, Frame, Hello, Keepalive, Refuse, SessionEnd, Switch};
use telerelay_wire::{Code, Entropy, Moment};

use crate::show;

/// Unix seconds at the clock's zero.
pub(crate) const EPOCH: u64 = 1_700_000_000;

/// A seeded source of random bytes.
pub(crate) struct Seeded(pub(crate) u64);

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        // SplitMix64.
        for byte in out {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z >> 56) as u8;
        }
    }
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A node as a list or a REDIRECT names it.
pub(crate) fn node(name: &str, addresses: &[&str]) -> NodeAddress {
    let addresses: Vec<Address> = addresses
        .iter()
        .map(|&address| address.try_into().expect("fits"))
        .collect();
    NodeAddress {
        name: name.parse().expect("a name"),
        addresses: addresses.try_into().expect("fits"),
    }
}

pub(crate) fn organisation(number: u8) -> OrganisationId {
    OrganisationId([number; 32])
}

pub(crate) fn device(number: u8) -> DeviceId {
    DeviceId([number; 32])
}

pub(crate) fn program() -> Program {
    Program::try_from("telerelay-test/1").expect("fits")
}

/// The address that endpoints dial from.
pub(crate) fn local() -> IpAddr {
    IpAddr::from([192, 0, 2, 7])
}

pub(crate) fn agent_of(org: u8, number: u8) -> Identity {
    let computer = ComputerId([number; 10]);
    Identity {
        organisation: organisation(org),
        device: device(number),
        holder: Holder::Agent(computer),
    }
}

pub(crate) fn client_of(org: u8, number: u8) -> Identity {
    Identity {
        organisation: organisation(org),
        device: device(number),
        holder: Holder::Client,
    }
}

pub(crate) fn hello(role: Role, instance: u8, counter: u64) -> Frame<'static> {
    let features = Vec::new().try_into().expect("fits");
    Frame::Hello(Hello {
        version: 1,
        role,
        features,
        instance: Instance([instance; 16]),
        counter,
        program: program(),
    })
}

pub(crate) fn connect(attempt: u8) -> Frame<'static> {
    let attempt = AttemptId([0, 0, 0, 0, attempt]);
    let computer = ComputerId([1; 10]);
    Frame::Connect(Connect {
        computer,
        service: Service::Rfb,
        attempt,
        resume: None,
        early: None,
    })
}

pub(crate) fn accept(path: PathId) -> Frame<'static> {
    Frame::Accept(Accept { path, early: None })
}

pub(crate) fn refuse(path: PathId, code: Code) -> Frame<'static> {
    Frame::Refuse(Refuse {
        path,
        attempt: AttemptId([0; 5]),
        code: code.into(),
    })
}

pub(crate) fn ask() -> Frame<'static> {
    Frame::Keepalive(Keepalive {
        ask: true,
        return_window: None,
    })
}

pub(crate) fn pong() -> Frame<'static> {
    Frame::Keepalive(Keepalive {
        ask: false,
        return_window: None,
    })
}

pub(crate) fn switch() -> Frame<'static> {
    Frame::Switch(Switch {})
}

pub(crate) fn session_end(path: PathId, code: Code) -> Frame<'static> {
    let notices = Vec::new().try_into().expect("fits");
    Frame::SessionEnd(SessionEnd {
        path,
        code: code.into(),
        stage: Stage::Session,
        session: None,
        notices,
    })
}

pub(crate) fn ended(cause: Cause) -> PathEnd {
    PathEnd {
        traffic: Traffic {
            to_client: 7_000,
            to_agent: 300,
        },
        kind: PathKind::Wrapped,
        cause,
    }
}

pub(crate) fn greeting() -> Greeting {
    Greeting {
        node: "node-1".parse().expect("fits"),
        features: Vec::new().try_into().expect("fits"),
        return_window: 30,
        banner: None,
    }
}

/// Organisations 1 and 2 are admitted, 3 is suspended; device 66 of organisation 1 is revoked.
pub(crate) fn snapshot() -> Snapshot {
    let standing = [
        (1, Standing::Admitted),
        (2, Standing::Admitted),
        (3, Standing::Suspended),
    ];
    Snapshot {
        organisations: standing
            .map(|(number, standing)| (organisation(number), standing))
            .into(),
        revoked: [(organisation(1), device(66))].into(),
        sessions: [].into(),
        tests: [organisation(2)].into(),
        nodes_version: 4,
    }
}

pub(crate) struct Bench {
    pub(crate) node: Node,
    pub(crate) now: Moment,
    pub(crate) entropy: Seeded,
    next_leg: u64,
    /// The commands that were taken, as they are.
    pub(crate) commands: Vec<Command>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Node::new(greeting(), EPOCH, Moment::ZERO))
    }

    pub(crate) fn with(mut node: Node) -> Self {
        node.set_snapshot(Arc::new(snapshot()), Moment::ZERO);
        Self {
            node,
            now: Moment::ZERO,
            entropy: Seeded(1),
            next_leg: 1,
            commands: Vec::new(),
        }
    }

    /// What came out since the last look, as lines.
    pub(crate) fn out(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(command) = self.node.poll_command() {
            lines.push(show::of_node(&command));
            self.commands.push(command);
        }
        lines
    }

    /// Lets time pass, each timer at its moment. What came out, each with the milliseconds since the beginning.
    pub(crate) fn wait(&mut self, duration: Duration) -> Vec<String> {
        let until = self.now + duration;
        let mut lines = Vec::new();
        while let Some(at) = self.node.next_timeout().filter(|&at| at <= until) {
            self.now = at;
            self.node.timeout(at);
            let stamp = at.micros() / 1_000;
            lines.extend(self.out().into_iter().map(|line| format!("{stamp} {line}")));
        }
        self.now = until;
        lines
    }

    pub(crate) fn leg(&mut self, identity: Identity, side: Side) -> LegKey {
        let key = LegKey(self.next_leg);
        self.next_leg += 1;
        self.node.leg_up(
            key,
            identity,
            side,
            "192.0.2.1:50000".try_into().expect("fits"),
            self.now,
        );
        key
    }

    pub(crate) fn frame(&mut self, leg: LegKey, frame: Frame<'_>) -> Vec<String> {
        self.node.frame(leg, frame, self.now, &mut self.entropy);
        self.out()
    }

    pub(crate) fn gone(&mut self, leg: LegKey) -> Vec<String> {
        self.node.leg_gone(leg, self.now);
        self.out()
    }

    pub(crate) fn decide(&mut self, ticket: u64, decision: Decision) -> Vec<String> {
        self.node.decide(AttemptTicket(ticket), decision, self.now);
        self.out()
    }

    pub(crate) fn recorded(&mut self, ticket: u64) -> Vec<String> {
        self.node.recorded(AttemptTicket(ticket), Ok(()), self.now);
        self.out()
    }

    pub(crate) fn path_ended(&mut self, path: PathId, cause: Cause) -> Vec<String> {
        self.node.path_ended(path, ended(cause), self.now);
        self.out()
    }

    /// The same, with the commands left to be taken.
    pub(crate) fn path_ended_quietly(&mut self, path: PathId, cause: Cause) {
        self.node.path_ended(path, ended(cause), self.now);
    }

    /// An agent of organisation 1 that is ready.
    pub(crate) fn agent(&mut self, number: u8) -> LegKey {
        self.agent_hello(number, number, 1)
    }

    /// An agent of organisation 1 that has said HELLO.
    pub(crate) fn agent_hello(&mut self, number: u8, instance: u8, counter: u64) -> LegKey {
        let leg = self.leg(agent_of(1, number), Side::Both);
        self.node.frame(
            leg,
            hello(Role::Agent, instance, counter),
            self.now,
            &mut self.entropy,
        );
        leg
    }

    /// A client of organisation 1 that has asked. Its ticket is the number of CONNECTs before it.
    pub(crate) fn client(&mut self, attempt: u8) -> LegKey {
        let leg = self.leg(client_of(1, 100 + attempt), Side::Both);
        self.node.frame(
            leg,
            hello(Role::Client, attempt, 1),
            self.now,
            &mut self.entropy,
        );
        self.node
            .frame(leg, connect(attempt), self.now, &mut self.entropy);
        leg
    }

    /// The path that was made for the CONNECT with this ticket.
    pub(crate) fn path(&mut self, ticket: u64) -> PathId {
        self.out();
        let asked = self.commands.iter().find_map(|command| match command {
            Command::Ask(request) if request.ticket.0 == ticket => Some(request.path),
            _ => None,
        });
        asked.expect("asked")
    }

    /// A client and device `number` that are claimed for each other: the legs and the path. For the first CONNECT.
    pub(crate) fn claimed(&mut self, number: u8) -> (LegKey, LegKey, PathId) {
        let (agent, client) = (self.agent(number), self.client(1));
        self.decide(0, Decision::Here(device(number)));
        let path = self.path(0);
        (agent, client, path)
    }

    /// The same as a path, with the agent's next ready connection.
    pub(crate) fn paired(&mut self, number: u8) -> (LegKey, LegKey, PathId, LegKey) {
        let (agent, client, path) = self.claimed(number);
        self.frame(agent, accept(path));
        self.recorded(0);
        let ready = self.agent_hello(number, number, 2);
        self.out();
        (agent, client, path, ready)
    }

    /// Everything is closed and enough time passes: nothing may be left.
    pub(crate) fn assert_empties(&mut self) {
        self.wait(secs(200));
        assert_eq!(self.node.census(), telerelay_outer::node::Census::default());
        assert_eq!(self.node.next_timeout(), None);
    }
}
