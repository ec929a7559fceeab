//! What a run is made of: who is there, what each of them does, what breaks and when.
mod from_seed;

use std::time::Duration;

use telerelay_wire::{Code, limits};

use crate::local::EAGER;

/// A run. The same scenario gives the same run, to the last byte.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides everything that the plans leave open.
    pub seed: u64,
    /// Relay nodes, `n0`, `n1`, …
    pub nodes: Vec<NodePlan>,
    /// Agents. Two with one device are clones.
    pub agents: Vec<AgentPlan>,
    /// Clients, one request each.
    pub clients: Vec<ClientPlan>,
    /// What lies between.
    pub network: NetworkPlan,
    /// How the nodes' Python answers.
    pub python: PythonPlan,
    /// What breaks or is done, and when.
    pub faults: Vec<(Duration, Fault)>,
    /// When everybody is told to stop.
    pub runs_for: Duration,
}

/// A relay node.
#[derive(Clone, Copy, Debug)]
pub struct NodePlan {
    /// Its WELCOME lists `direct` (PROTOCOL.md §6).
    pub is_direct: bool,
}

/// An agent.
#[derive(Clone, Copy, Debug)]
pub struct AgentPlan {
    /// Its device, and the number of its computer.
    pub device: u8,
    /// When its program is started.
    pub starts: Duration,
    /// Seconds that its sessions live without a path.
    pub resume_limit: u32,
    /// Texts that the person confirms.
    pub notices: u8,
    /// Factors that it asks for.
    pub factors: u8,
    /// How long `verdict` takes, at least and at most.
    pub verdict: (Duration, Duration),
    /// Sessions side by side; one more is refused with `BUSY`.
    pub most_sessions: u16,
    /// In so many of a hundred cases it refuses.
    pub refuses_percent: u64,
    /// In so many of a hundred cases nobody answers.
    pub never_percent: u64,
    /// The desktop in front of it.
    pub desktop: ProgramPlan,
    /// How long a desktop takes to answer; `None`: it refuses.
    pub desktop_answers: Option<Duration>,
    /// When it puts its outer TLS down after inner TLS is up, at least and at most; `None`: never, by configuration.
    pub switches: Option<(Duration, Duration)>,
    /// What its network does to a connection that puts outer TLS down; `None`: nothing.
    pub direct_breaks: Option<Break>,
}

/// A client and its one request.
#[derive(Clone, Copy, Debug)]
pub struct ClientPlan {
    /// Its device.
    pub device: u8,
    /// The computer that it asks for, by the agent's device.
    pub computer: u8,
    /// When it is started.
    pub starts: Duration,
    /// What the node's Python decides.
    pub decision: DecisionPlan,
    /// The viewer in front of it.
    pub viewer: ProgramPlan,
    /// When the viewer connects after the session is open.
    pub viewer_arrives: Duration,
    /// When it puts its outer TLS down after inner TLS is up, at least and at most; `None`: never, by configuration.
    pub switches: Option<(Duration, Duration)>,
    /// What its network does to a connection that puts outer TLS down; `None`: nothing.
    pub direct_breaks: Option<Break>,
    /// The person gives up this long after the start.
    pub gives_up: Option<Duration>,
}

/// What `route` decides for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionPlan {
    /// Where the agent is, as far as the node knows: *here* or *redirect*.
    Follow,
    /// *here*, whatever the node knows.
    Here,
    /// *redirect*, to the next node, whoever is there.
    Elsewhere,
    /// *deny*.
    Deny(Code),
    /// *later*, in so many seconds.
    Later(u32),
}

/// How the nodes' Python answers.
#[derive(Clone, Copy, Debug)]
pub struct PythonPlan {
    /// How long `route` takes, at least and at most.
    pub route: (Duration, Duration),
    /// How long START takes to be durable, at least and at most.
    pub recorded: (Duration, Duration),
    /// In so many of a hundred cases an answer takes up to six seconds.
    pub slow_percent: u64,
    /// In so many of a hundred cases there is none.
    pub never_percent: u64,
    /// In so many of a hundred cases START cannot be written.
    pub failed_percent: u64,
}

/// The network between endpoints and nodes.
#[derive(Clone, Copy, Debug)]
pub struct NetworkPlan {
    /// Of one direction of a connection, at least and at most.
    pub latency: (Duration, Duration),
    /// Added to each segment, at most.
    pub jitter: Duration,
    /// Bytes that a direction holds, at least and at most.
    pub capacity: (u64, u64),
    /// In so many of a hundred cases a segment is cut at a random place.
    pub split_percent: u64,
    /// In so many of a hundred cases it is cut to a few bytes.
    pub tiny_percent: u64,
    /// In so many of a hundred cases a dial finds nothing.
    pub nowhere_percent: u64,
}

/// A desktop or a viewer.
#[derive(Clone, Copy, Debug)]
pub struct ProgramPlan {
    /// What it sends.
    pub produces: Produces,
    /// Bytes that it reads at once, at most.
    pub reads: u64,
    /// Bytes that it writes at once, at most.
    pub writes: u64,
    /// Between two turns, at least and at most.
    pub pause: (Duration, Duration),
    /// So long after it connected, for so long, it does nothing.
    pub freezes: Option<(Duration, Duration)>,
    /// How it ends.
    pub ends: Ends,
}

/// What a program sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Produces {
    /// So many bytes of its own.
    Bytes(u64),
    /// What it got.
    Echo,
}

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Shuts its side when it has said everything, and reads on.
    WhenDone,
    /// Shuts its side when the other's is over and it has said everything.
    BehindTheOther,
    /// Closes its socket this long after it connected.
    Abruptly(Duration),
    /// Stays.
    Never,
}

/// Something that breaks, or that an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A connection breaks.
    Break(Target, Break),
    /// A node dies: at once, or in silence; and is started again.
    KillNode {
        /// Which.
        node: usize,
        /// Its connections break in silence.
        is_silent: bool,
        /// When it is started again.
        returns: Option<Duration>,
    },
    /// A node is stopped by its operator, with so much time for what runs.
    DrainNode {
        /// Which.
        node: usize,
        /// The time.
        grace: Duration,
    },
    /// An agent's process dies: at once, or in silence; and is started again, as another instance.
    KillAgent {
        /// Which.
        agent: usize,
        /// Its connections break in silence.
        is_silent: bool,
        /// When it is started again.
        returns: Option<Duration>,
    },
    /// A client's process dies.
    KillClient(usize),
    /// `node cut` of a device, at every node.
    Cut(u8),
    /// A device is revoked, at every node.
    Revoke(u8),
    /// An agent tells its clients to come to its standby.
    Migrate(usize),
    /// Somebody asks for a session that is not his: he knows its name, and has not the secret of its first inner TLS.
    Forge {
        /// Whose session.
        of: usize,
        /// The client that he is at: the same, with a copy of its device's key, or another one.
        by: usize,
    },
    /// A document has a new version.
    News,
}

/// Which connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Any.
    Any,
    /// A leg of a path.
    Path,
    /// An agent's leg of a path.
    AgentsPath,
    /// A client's leg of a path.
    ClientsPath,
    /// A client's leg that is no path yet.
    Dialling,
    /// The client's leg of the path that was dialled first.
    OldestPath,
    /// The client's leg of the path that was dialled last.
    NewestPath,
    /// An agent's leg that is no path's.
    Ready,
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// RST to both ends.
    Reset,
    /// Nothing arrives, nobody is told.
    Hole,
    /// FIN in one direction, in the middle of whatever was said.
    HalfClose,
    /// Nothing arrives for so long, then everything.
    Stall(Duration),
}

impl Scenario {
    /// A run in which nothing breaks: so many nodes; agents, clients and faults are added by whoever asks.
    pub fn calm(seed: u64, nodes: usize) -> Self {
        Self {
            seed,
            nodes: vec![NodePlan { is_direct: false }; nodes],
            agents: Vec::new(),
            clients: Vec::new(),
            network: NetworkPlan::CALM,
            python: PythonPlan::PROMPT,
            faults: Vec::new(),
            runs_for: Duration::from_mins(1),
        }
    }
}

impl NetworkPlan {
    /// A network that does not break.
    pub const CALM: Self = Self {
        latency: (Duration::from_millis(5), Duration::from_millis(15)),
        jitter: Duration::from_millis(2),
        capacity: (65_536, 262_144),
        split_percent: 20,
        tiny_percent: 2,
        nowhere_percent: 0,
    };
}

impl PythonPlan {
    /// Python that answers at once and never fails.
    pub const PROMPT: Self = Self {
        route: (Duration::from_millis(1), Duration::from_millis(10)),
        recorded: (Duration::from_millis(1), Duration::from_millis(25)),
        slow_percent: 0,
        never_percent: 0,
        failed_percent: 0,
    };
}

impl AgentPlan {
    /// An agent that is there from the beginning, allows everybody and has this desktop.
    pub const fn of(device: u8, desktop: ProgramPlan) -> Self {
        Self {
            device,
            starts: Duration::ZERO,
            resume_limit: 0,
            notices: 0,
            factors: 0,
            verdict: (Duration::from_millis(1), Duration::from_millis(20)),
            most_sessions: limits::SESSIONS_DEFAULT,
            refuses_percent: 0,
            never_percent: 0,
            desktop,
            desktop_answers: Some(Duration::from_millis(1)),
            switches: None,
            direct_breaks: None,
        }
    }
}

impl ClientPlan {
    /// A client that asks for a computer two seconds after the beginning and has this viewer.
    pub const fn of(device: u8, computer: u8, viewer: ProgramPlan) -> Self {
        Self {
            device,
            computer,
            starts: Duration::from_secs(2),
            decision: DecisionPlan::Follow,
            viewer,
            viewer_arrives: Duration::ZERO,
            switches: None,
            direct_breaks: None,
            gives_up: None,
        }
    }
}

impl ProgramPlan {
    /// A program that is as fast as it can be.
    pub const fn eager(produces: Produces, ends: Ends) -> Self {
        Self {
            produces,
            reads: 65_536,
            writes: 65_536,
            pause: EAGER,
            freezes: None,
            ends,
        }
    }
}
