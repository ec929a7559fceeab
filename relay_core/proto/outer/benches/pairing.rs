//! One attempt in the node's machine, from the client's leg to the end of its path, beside 9,000 agents that are ready.
#![allow(
    missing_docs,
    reason = "criterion's macros make functions of their own"
)]
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use telerelay_outer::node::{
    Cause, Command, Decision, Greeting, Holder, Identity, Node, PathEnd, Plan, RouteRequest, Side,
    Snapshot, Standing,
};
use telerelay_outer::{LegKey, PathKind, Traffic};
use telerelay_wire::ids::{
    AttemptId, ComputerId, DeviceId, Instance, OrganisationId, Program, Role, Service, Stage,
};
use telerelay_wire::outer::{Accept, Connect, Frame, Hello, SessionEnd};
use telerelay_wire::{Code, Entropy, Moment};

const AGENTS: u64 = 9_000;
/// Between two attempts, so that none is one too many.
const APART: Duration = Duration::from_millis(5);
const ORGANISATION: OrganisationId = OrganisationId([1; 32]);

/// Counts where randomness is wanted: no ID comes twice.
struct Counter(u64);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
        self.0 += 1;
        let bytes = self.0.to_be_bytes();
        let length = bytes.len().min(out.len());
        out[..length].copy_from_slice(&bytes[bytes.len() - length..]);
    }
}

/// A node with ready agents, and whoever asks for them in turn.
struct House {
    node: Node,
    now: Moment,
    entropy: Counter,
    legs: u64,
    attempts: u64,
    /// The ready connection of each agent.
    ready: Vec<LegKey>,
}

impl House {
    fn new() -> Self {
        let greeting = Greeting {
            node: "node-1".parse().expect("a name"),
            features: Vec::new().try_into().expect("fits"),
            return_window: 30,
            banner: None,
        };
        let plan = Plan {
            arrivals_per_s: 100_000,
            handshakes_per_s: 100_000,
        };
        let mut node = Node::new(greeting, 1_700_000_000, Moment::ZERO).with_plan(plan);
        let snapshot = Snapshot {
            organisations: [(ORGANISATION, Standing::Admitted)].into(),
            revoked: [].into(),
            sessions: [].into(),
            tests: [].into(),
            nodes_version: 1,
        };
        node.set_snapshot(Arc::new(snapshot), Moment::ZERO);
        let mut house = Self {
            node,
            now: Moment::ZERO,
            entropy: Counter(0),
            legs: 0,
            attempts: 0,
            ready: Vec::new(),
        };
        for number in 0..AGENTS {
            let leg = house.agent(number, 1);
            house.ready.push(leg);
        }
        house.drain();
        house
    }

    fn leg(&mut self, number: u64, holder: Holder) -> LegKey {
        self.legs += 1;
        let (leg, identity) = (
            LegKey(self.legs),
            Identity {
                organisation: ORGANISATION,
                device: device(number),
                holder,
            },
        );
        let address = "192.0.2.1:50000".try_into().expect("fits");
        self.node
            .leg_up(leg, identity, Side::Both, address, self.now);
        leg
    }

    fn say(&mut self, leg: LegKey, frame: impl Into<Frame<'static>>) {
        self.node
            .frame(leg, frame.into(), self.now, &mut self.entropy);
    }

    fn agent(&mut self, number: u64, counter: u64) -> LegKey {
        let leg = self.leg(number, Holder::Agent(computer(number)));
        self.say(leg, hello(Role::Agent, counter));
        leg
    }

    /// Everything that the node wants done; the question, where it has one.
    fn drain(&mut self) -> Option<Box<RouteRequest>> {
        let mut asked = None;
        while let Some(command) = self.node.poll_command() {
            if let Command::Ask(request) = command {
                asked = Some(request);
            }
        }
        asked
    }

    /// An attempt that becomes a path and ends, with everything that is said about it.
    fn attempt(&mut self) {
        self.now += APART;
        self.node.timeout(self.now);
        self.attempts += 1;
        let number = self.attempts % AGENTS;
        // A client has a number that no agent has.
        let client = self.leg(AGENTS + self.attempts, Holder::Client);
        self.say(client, hello(Role::Client, 1));
        let [_, _, _, attempt @ ..] = self.attempts.to_be_bytes();
        self.say(client, connect(number, AttemptId(attempt)));
        let asked = self.drain().expect("a question");
        self.node
            .decide(asked.ticket, Decision::Here(device(number)), self.now);
        let place = usize::try_from(number).expect("few agents");
        let agent = self.ready[place];
        let path = asked.path;
        self.say(agent, Accept { path, early: None });
        self.node.recorded(asked.ticket, Ok(()), self.now);
        self.ready[place] = self.agent(number, 1 + self.attempts);
        let end = PathEnd {
            traffic: Traffic {
                to_client: 7_000,
                to_agent: 300,
            },
            kind: PathKind::Wrapped,
            cause: Cause::Leg,
        };
        self.node.path_ended(path, end, self.now);
        let said = SessionEnd {
            path,
            code: Code::Done.into(),
            stage: Stage::Session,
            session: None,
            notices: Vec::new().try_into().expect("fits"),
        };
        self.say(self.ready[place], said);
        self.node.leg_gone(agent, self.now);
        self.node.leg_gone(client, self.now);
        self.drain();
    }
}

fn device(number: u64) -> DeviceId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    DeviceId(id)
}

fn computer(number: u64) -> ComputerId {
    let mut id = [0; 10];
    id[..8].copy_from_slice(&number.to_be_bytes());
    ComputerId(id)
}

fn hello(role: Role, counter: u64) -> Hello {
    Hello {
        version: 1,
        role,
        features: Vec::new().try_into().expect("fits"),
        instance: Instance([7; 16]),
        counter,
        program: Program::try_from("telerelay-bench/1").expect("fits"),
    }
}

fn connect(number: u64, attempt: AttemptId) -> Connect {
    Connect {
        computer: computer(number),
        service: Service::Rfb,
        attempt,
        resume: None,
        early: None,
    }
}

fn pairing(criterion: &mut Criterion) {
    let mut house = House::new();
    criterion.bench_function("one attempt beside 9,000 ready agents", |bencher| {
        bencher.iter(|| house.attempt());
    });
    let census = house.node.census();
    assert_eq!(census.paths, 0, "{census:?}");
}

criterion_group!(benches, pairing);
criterion_main!(benches);
