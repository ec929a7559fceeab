//! Scenarios out of a number: calm ones and stormy ones, small ones and crowded ones.
use std::time::Duration;

use telerelay_wire::{Code, limits};

use super::{
    AgentPlan, Break, ClientPlan, DecisionPlan, Ends, Fault, NetworkPlan, NodePlan, Produces,
    ProgramPlan, PythonPlan, Scenario, Target,
};
use crate::dice::Dice;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Scenario {
    /// The scenario of a seed.
    pub fn from_seed(seed: u64) -> Self {
        // The run's own dice begin with the seed; these do not.
        let dice = &mut Dice::new(!seed);
        let mut nodes = nodes(dice);
        let mut agents = agents(dice);
        let runs_for = secs(dice.between(20, 180));
        let mut clients = clients(&agents, dice);
        let is_stormy = dice.percent(75);
        let mut faults = if is_stormy {
            faults(nodes.len(), &agents, clients.len(), runs_for, dice)
        } else {
            Vec::new()
        };
        let mut network = network(is_stormy, dice);
        // Corners that chance alone seldom finds.
        faults.extend(match dice.below(100) {
            0..25 => race(&mut agents, &mut clients[0], dice),
            25..35 => overtaken(&mut agents, &mut clients, &mut network, dice),
            35..43 => broken_early(&clients[0], dice),
            43..51 => parting(&mut agents, &mut clients, &mut nodes, &mut network, dice),
            51..59 => forgery(&mut agents, &mut clients, dice),
            _ => Vec::new(),
        });
        faults.extend(contest(&agents, dice));
        let mut scenario = Self {
            seed,
            network,
            python: python(dice),
            nodes,
            agents,
            clients,
            faults,
            runs_for,
        };
        match dice.below(10) {
            0 => scenario.absence(dice),
            1 => scenario.brief_clone(dice),
            2 => scenario.slow_refusals(dice),
            _ => {}
        }
        scenario
    }

    /// An agent's machine is off, for longer or shorter than a node remembers it, and somebody asks for it meanwhile.
    fn absence(&mut self, dice: &mut Dice) {
        let agent = dice.index(self.agents.len());
        let off = dice.between(3_000, 20_000);
        let returns = ms(dice.between(2_000, 100_000));
        let client = &mut self.clients[0];
        client.computer = self.agents[agent].device;
        client.starts = ms(off + dice.between(500, 90_000));
        client.decision = DecisionPlan::Here;
        self.faults.push((
            ms(off),
            Fault::KillAgent {
                agent,
                is_silent: dice.percent(50),
                returns: Some(returns),
            },
        ));
        // It is back before everybody is told to stop.
        let back = ms(off) + returns + secs(30);
        self.runs_for = self.runs_for.max(client.starts).max(back);
    }

    /// An agent takes its time to refuse somebody, and the session of somebody else ends meanwhile.
    fn slow_refusals(&mut self, dice: &mut Dice) {
        let agent = &mut self.agents[0];
        agent.verdict = (ms(200), ms(3_000));
        agent.refuses_percent = 50;
        for client in &mut self.clients {
            client.computer = agent.device;
            client.decision = DecisionPlan::Follow;
            client.starts = ms(dice.between(1_500, 8_000));
            client.viewer.ends = Ends::Abruptly(ms(dice.between(1, 4_000)));
        }
    }

    /// A cloned disk: its agent comes while the first one's line is dead for a moment, and dies while it waits to be told
    /// which of them stays. Somebody asks for them meanwhile.
    fn brief_clone(&mut self, dice: &mut Dice) {
        let stalls = dice.between(3_000, 20_000);
        let comes = stalls + dice.between(10, 1_000);
        let clone = AgentPlan {
            starts: ms(comes),
            ..self.agents[0]
        };
        let client = &mut self.clients[0];
        client.computer = clone.device;
        client.starts = ms(comes + dice.below(1_500));
        client.decision = DecisionPlan::Here;
        let stall = Break::Stall(ms(dice.between(2_000, 5_000)));
        let dies = Fault::KillAgent {
            agent: self.agents.len(),
            is_silent: dice.percent(20),
            returns: Some(ms(dice.below(5_000))),
        };
        self.agents.push(clone);
        self.faults
            .push((ms(stalls), Fault::Break(Target::Ready, stall)));
        self.faults
            .push((ms(comes + dice.between(300, 2_800)), dies));
        self.runs_for = self.runs_for.max(ms(comes) + secs(20));
    }
}

fn nodes(dice: &mut Dice) -> Vec<NodePlan> {
    let count = dice.between(1, 3);
    (0..count)
        .map(|_| NodePlan {
            is_direct: dice.percent(75),
        })
        .collect()
}

fn agents(dice: &mut Dice) -> Vec<AgentPlan> {
    let count = dice.between(1, 3);
    let mut agents: Vec<_> = (0..count)
        .map(|number| agent(u8::try_from(number).unwrap_or(0) + 1, dice))
        .collect();
    if dice.percent(15) {
        // A cloned disk: the same device, another instance.
        let clone = AgentPlan {
            starts: ms(dice.below(30_000)),
            ..agents[0]
        };
        agents.push(clone);
    }
    agents
}

/// A ready connection falls silent just before a clone comes: the old agent's, more often than not.
fn contest(agents: &[AgentPlan], dice: &mut Dice) -> Option<(Duration, Fault)> {
    let (clone, others) = agents.split_last()?;
    let is_clone = others.iter().any(|other| other.device == clone.device);
    let before = ms(dice.between(1, 1_000));
    let at = clone.starts.saturating_sub(before);
    (is_clone && dice.percent(50)).then_some((at, Fault::Break(Target::Ready, Break::Hole)))
}

fn agent(device: u8, dice: &mut Dice) -> AgentPlan {
    let is_slow = dice.percent(15);
    AgentPlan {
        device,
        starts: ms(dice.below(1_500)),
        resume_limit: resume_limit(dice),
        notices: if dice.percent(15) { 2 } else { 0 },
        factors: if dice.percent(15) { 2 } else { 0 },
        verdict: if is_slow {
            (ms(500), ms(4_500))
        } else {
            (ms(1), ms(60))
        },
        most_sessions: limits::SESSIONS_DEFAULT,
        refuses_percent: if dice.percent(20) { 30 } else { 0 },
        never_percent: if dice.percent(5) { 30 } else { 0 },
        desktop: desktop(dice),
        desktop_answers: match dice.below(20) {
            0 => None,
            1 => dice.pick(&[secs(8), secs(60)]),
            _ => Some(ms(dice.between(1, 200))),
        },
        switches: switches(dice),
        direct_breaks: direct_breaks(dice),
    }
}

fn resume_limit(dice: &mut Dice) -> u32 {
    let limits = [0, 0, 5, 20, 60];
    dice.pick(&limits).unwrap_or(0)
}

fn switches(dice: &mut Dice) -> Option<(Duration, Duration)> {
    match dice.below(3) {
        0 => None,
        // In one flight with the end of the handshake.
        1 => Some((Duration::ZERO, ms(1))),
        _ => Some((Duration::ZERO, secs(15))),
    }
}

fn direct_breaks(dice: &mut Dice) -> Option<Break> {
    dice.percent(10)
        .then(|| dice.pick(&[Break::Reset, Break::Hole]))
        .flatten()
}

/// How many bytes a program sends: mostly little, sometimes more than every buffer holds.
fn amount(dice: &mut Dice) -> u64 {
    match dice.below(20) {
        0..4 => 0,
        4..12 => dice.between(1, 2_000),
        12..17 => dice.between(2_000, 200_000),
        17..19 => dice.between(200_000, 1_000_000),
        _ => dice.between(1_000_000, 5_000_000),
    }
}

fn pace(dice: &mut Dice) -> (u64, (Duration, Duration)) {
    match dice.below(3) {
        0 => (65_536, crate::local::EAGER),
        1 => (dice.between(100, 20_000), (ms(1), ms(50))),
        _ => (dice.between(10, 2_000), (ms(10), ms(900))),
    }
}

fn desktop(dice: &mut Dice) -> ProgramPlan {
    let (piece, pause) = pace(dice);
    let (produces, ends) = match dice.below(10) {
        0..3 => (Produces::Echo, Ends::BehindTheOther),
        3 => (Produces::Bytes(amount(dice)), Ends::WhenDone),
        4 => (
            Produces::Bytes(amount(dice)),
            Ends::Abruptly(ms(dice.between(1, 40_000))),
        ),
        5 => (Produces::Bytes(0), Ends::Never),
        _ => (Produces::Bytes(amount(dice)), Ends::BehindTheOther),
    };
    let freezes = dice
        .percent(10)
        .then(|| (ms(dice.below(5_000)), secs(dice.between(1, 30))));
    ProgramPlan {
        produces,
        reads: piece,
        writes: piece,
        pause,
        freezes,
        ends,
    }
}

fn viewer(dice: &mut Dice) -> ProgramPlan {
    let (piece, pause) = pace(dice);
    let (bytes, ends) = match dice.below(10) {
        // A port scan, a readiness check.
        0 => (0, Ends::Abruptly(ms(dice.between(1, 100)))),
        1 | 2 => (amount(dice), Ends::Abruptly(ms(dice.between(1, 60_000)))),
        3 => (amount(dice), Ends::Never),
        _ => (amount(dice), Ends::WhenDone),
    };
    let freezes = dice
        .percent(20)
        .then(|| (ms(dice.below(5_000)), secs(dice.between(1, 60))));
    ProgramPlan {
        produces: Produces::Bytes(bytes),
        reads: piece,
        writes: piece,
        pause,
        freezes,
        ends,
    }
}

fn clients(agents: &[AgentPlan], dice: &mut Dice) -> Vec<ClientPlan> {
    let count = dice.between(1, 5);
    // Half of the time all of them come at once: they race for what there is.
    let rush = dice.percent(50).then(|| dice.between(1_000, 6_000));
    (0..count)
        .map(|number| {
            let agent = dice.index(agents.len());
            let starts = match rush {
                Some(at) => at + dice.below(300),
                None => dice.below(20_000),
            };
            ClientPlan {
                device: u8::try_from(number).unwrap_or(0) + 1,
                computer: agents[agent].device,
                starts: ms(starts),
                decision: decision(dice),
                viewer: viewer(dice),
                viewer_arrives: if dice.percent(20) {
                    secs(dice.below(10))
                } else {
                    Duration::ZERO
                },
                switches: switches(dice),
                direct_breaks: direct_breaks(dice),
                gives_up: dice.percent(10).then(|| ms(dice.below(30_000))),
            }
        })
        .collect()
}

fn decision(dice: &mut Dice) -> DecisionPlan {
    match dice.below(20) {
        0 => DecisionPlan::Deny(Code::Denied),
        1 => DecisionPlan::Later(7),
        2 => DecisionPlan::Here,
        3 => DecisionPlan::Elsewhere,
        _ => DecisionPlan::Follow,
    }
}

fn network(is_stormy: bool, dice: &mut Dice) -> NetworkPlan {
    if !is_stormy {
        return NetworkPlan::CALM;
    }
    let latency = dice.between(1, 150);
    let smallest = dice.between(4_096, 65_536);
    NetworkPlan {
        latency: (ms(latency / 2), ms(latency)),
        jitter: ms(dice.below(latency / 2 + 1)),
        capacity: (smallest, smallest * 4),
        split_percent: dice.below(60),
        tiny_percent: dice.below(5),
        nowhere_percent: if dice.percent(20) { 10 } else { 0 },
    }
}

fn python(dice: &mut Dice) -> PythonPlan {
    if dice.percent(60) {
        return PythonPlan::PROMPT;
    }
    PythonPlan {
        route: (ms(1), ms(400)),
        recorded: (ms(1), ms(200)),
        slow_percent: dice.below(40),
        never_percent: dice.below(5),
        failed_percent: dice.below(5),
    }
}

fn faults(
    nodes: usize,
    agents: &[AgentPlan],
    clients: usize,
    runs_for: Duration,
    dice: &mut Dice,
) -> Vec<(Duration, Fault)> {
    // The rest of the run is calm, so that what is left has to come to rest.
    let last = u64::try_from(runs_for.as_millis()).unwrap_or(0) * 6 / 10;
    (0..dice.between(1, 14))
        .map(|_| {
            let at = ms(dice.between(500, last));
            (at, fault(nodes, agents, clients, dice))
        })
        .collect()
}

/// A client is called to the standby; its way there is slow, and its path breaks meanwhile: two requests resume one session, and
/// the one that was made first may come second.
fn race(
    agents: &mut [AgentPlan],
    client: &mut ClientPlan,
    dice: &mut Dice,
) -> Vec<(Duration, Fault)> {
    let called = lasting(agents, client, dice);
    let at = dice.between(5_000, 9_000);
    let stalls = at + dice.between(10, 600);
    let breaks = at + dice.between(10, 1_200);
    let stall = Break::Stall(ms(dice.between(500, 4_000)));
    vec![
        (ms(at), Fault::Migrate(called)),
        (ms(stalls), Fault::Break(Target::Dialling, stall)),
        (ms(breaks), Fault::Break(Target::ClientsPath, broken(dice))),
    ]
}

/// A session that opens early and that neither side ends. Which agent it is at.
fn lasting(agents: &mut [AgentPlan], client: &mut ClientPlan, dice: &mut Dice) -> usize {
    client.starts = ms(2_500);
    client.decision = DecisionPlan::Follow;
    client.gives_up = None;
    client.viewer.ends = Ends::Never;
    client.viewer.produces = Produces::Bytes(dice.between(1_000, 1_000_000));
    let mut called = 0;
    for (number, agent) in agents.iter_mut().enumerate() {
        if agent.device == client.computer {
            agent.resume_limit = 60;
            agent.refuses_percent = 0;
            agent.never_percent = 0;
            agent.desktop_answers = Some(ms(1));
            agent.desktop.ends = Ends::Never;
            called = number;
        }
    }
    called
}

/// The same, and the other clients come later.
fn alone(agents: &mut [AgentPlan], clients: &mut [ClientPlan], dice: &mut Dice) -> usize {
    for other in &mut clients[1..] {
        other.starts += secs(20);
    }
    lasting(agents, &mut clients[0], dice)
}

/// A client is called to the standby, its path there stalls while RESUMED is on its way, and the one before it breaks: the answer on
/// the third path is there before that on the second.
fn overtaken(
    agents: &mut [AgentPlan],
    clients: &mut [ClientPlan],
    network: &mut NetworkPlan,
    dice: &mut Dice,
) -> Vec<(Duration, Fault)> {
    let called = alone(agents, clients, dice);
    network.latency = (ms(20), ms(20));
    network.jitter = Duration::ZERO;
    let at = dice.between(5_000, 9_000);
    let stalls = at + dice.between(420, 560);
    let breaks = stalls + dice.between(10, 1_000);
    let stall = Break::Stall(ms(dice.between(3_000, 8_000)));
    vec![
        (ms(at), Fault::Migrate(called)),
        (ms(stalls), Fault::Break(Target::NewestPath, stall)),
        (ms(breaks), Fault::Break(Target::OldestPath, Break::Reset)),
    ]
}

/// A path breaks while its session opens.
fn broken_early(client: &ClientPlan, dice: &mut Dice) -> Vec<(Duration, Fault)> {
    let at = client.starts + ms(dice.between(50, 2_000));
    vec![(at, Fault::Break(Target::NewestPath, broken(dice)))]
}

/// An agent puts its outer TLS down and the viewer closes while both legs stall for the same time: the node reads both at once.
fn parting(
    agents: &mut [AgentPlan],
    clients: &mut [ClientPlan],
    nodes: &mut [NodePlan],
    network: &mut NetworkPlan,
    dice: &mut Dice,
) -> Vec<(Duration, Fault)> {
    *network = NetworkPlan::CALM;
    let called = alone(agents, clients, dice);
    agents[called].switches = Some((ms(600), ms(2_500)));
    clients[0].viewer.produces = Produces::Bytes(0);
    clients[0].viewer.ends = Ends::Abruptly(ms(dice.between(600, 2_500)));
    clients[0].viewer_arrives = Duration::ZERO;
    for node in nodes {
        node.is_direct = true;
    }
    let stall = Break::Stall(secs(3));
    [Target::AgentsPath, Target::ClientsPath]
        .map(|target| (ms(3_400), Fault::Break(target, stall)))
        .into()
}

/// Somebody asks for the session of a client, at that client or at another one.
fn forgery(
    agents: &mut [AgentPlan],
    clients: &mut [ClientPlan],
    dice: &mut Dice,
) -> Vec<(Duration, Fault)> {
    lasting(agents, &mut clients[0], dice);
    let by = dice.index(clients.len());
    let at = ms(dice.between(5_000, 12_000));
    vec![(at, Fault::Forge { of: 0, by })]
}

fn fault(nodes: usize, agents: &[AgentPlan], clients: usize, dice: &mut Dice) -> Fault {
    let node = dice.index(nodes);
    let agent = dice.index(agents.len());
    match dice.below(20) {
        0..9 => {
            let targets = [Target::Any, Target::Path, Target::Path, Target::Ready];
            let target = dice.pick(&targets).unwrap_or(Target::Any);
            Fault::Break(target, broken(dice))
        }
        9..12 => Fault::KillNode {
            node,
            is_silent: dice.percent(40),
            returns: dice.percent(80).then(|| ms(dice.below(15_000))),
        },
        12 => Fault::DrainNode {
            node,
            grace: ms(dice.below(20_000)),
        },
        13..15 => Fault::KillAgent {
            agent,
            is_silent: dice.percent(50),
            returns: Some(Duration::ZERO),
        },
        15 => Fault::KillClient(dice.index(clients)),
        16 => Fault::Cut(agents[agent].device),
        17 => Fault::Revoke(u8::try_from(dice.index(clients)).unwrap_or(0) + 1),
        18 => Fault::Migrate(agent),
        _ => Fault::News,
    }
}

fn broken(dice: &mut Dice) -> Break {
    match dice.below(8) {
        0..3 => Break::Reset,
        3..5 => Break::Hole,
        5 => Break::HalfClose,
        _ => Break::Stall(ms(dice.between(500, 14_000))),
    }
}
