//! Everybody in one run, and the loop that lets one thing happen at a time.
mod faults;

use std::time::Duration;

use telerelay_wire::Moment;

use crate::agenda::{Event, Stop, Who};
use crate::agent::AgentHost;
use crate::client::ClientHost;
use crate::invariants;
use crate::mutant::Mutant;
use crate::network::End;
use crate::node::NodeHost;
use crate::run::{Failure, Outcome};
use crate::scenario::Scenario;
use crate::scene::Scene;

/// From the time when everybody is told to stop: clients leave, agents end what is left, agents leave, and when the nodes remember
/// nobody any more they stop.
const STOPS: [(Duration, Stop); 4] = [
    (Duration::ZERO, Stop::Clients),
    (Duration::from_secs(20), Stop::Sessions),
    (Duration::from_secs(30), Stop::Agents),
    (Duration::from_secs(200), Stop::Nodes),
];

/// How long a node has for what runs when everybody has left.
const GRACE: Duration = Duration::from_secs(5);

/// Everything is over by then: the kernels' patience, what a node remembers, and the last of the above.
const OVER: Duration = Duration::from_mins(5);

/// How often what holds at any time is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Steps of one run at most: more would be a loop.
const STEPS: u64 = 3_000_000;

/// One run.
#[derive(Debug)]
pub(crate) struct World {
    scene: Scene,
    nodes: Vec<NodeHost>,
    agents: Vec<AgentHost>,
    clients: Vec<ClientHost>,
}

impl World {
    pub(crate) fn new(plan: &Scenario, mutant: Option<Mutant>, keeps_lines: bool) -> Self {
        let mut scene = Scene::new(plan.clone(), mutant, keeps_lines);
        let numbered = |starts: Duration| Moment::ZERO + starts;
        let nodes = (plan.nodes.iter().enumerate())
            .map(|(number, &node)| NodeHost::new(number, node, &mut scene))
            .collect();
        let agents = (plan.agents.iter().enumerate())
            .map(|(number, &agent)| {
                let start = Event::Start(Who::Agent(number));
                scene.agenda.at(numbered(agent.starts), start);
                AgentHost::new(number, agent, &mut scene)
            })
            .collect();
        let clients = (plan.clients.iter().enumerate())
            .map(|(number, &client)| {
                let start = Event::Start(Who::Client(number));
                scene.agenda.at(numbered(client.starts), start);
                ClientHost::new(number, client, &mut scene)
            })
            .collect();
        for &(at, fault) in &plan.faults {
            scene.agenda.at(numbered(at), Event::Fault(fault));
        }
        scene.agenda.at(Moment::ZERO, Event::Look);
        for (after, stop) in STOPS {
            scene
                .agenda
                .at(numbered(plan.runs_for + after), Event::Stop(stop));
        }
        Self {
            scene,
            nodes,
            agents,
            clients,
        }
    }

    /// Lets everything happen until nothing is left to happen, or a rule is broken.
    pub(crate) fn run(mut self) -> Outcome {
        let over = Moment::ZERO + self.scene.plan.runs_for + OVER;
        let mut steps = 0;
        while self.scene.broken.is_none() && self.step(over) {
            steps += 1;
            if steps == STEPS {
                let steps = usize::try_from(steps).unwrap_or(usize::MAX);
                self.scene
                    .check(invariants::nothing_is_left("steps and no end", steps));
            }
        }
        if self.scene.broken.is_none() {
            self.judge_end();
        }
        let scene = self.scene;
        let failure = scene.broken.map(|(at, broken)| Failure { at, broken });
        Outcome {
            failure,
            hash: scene.trace.hash(),
            steps,
            ended: scene.now,
            story: scene.story,
            sessions: scene.ledger.sessions,
            lines: scene.trace.into_lines(),
        }
    }

    /// The next thing happens. `false`: there is none.
    fn step(&mut self, over: Moment) -> bool {
        let timer = self.next_timer();
        let event = self.scene.agenda.next();
        let Some(next) = [timer.map(|(at, _)| at), event].into_iter().flatten().min() else {
            return false;
        };
        if next > over {
            return false;
        }
        self.scene.now = self.scene.now.max(next);
        let is_tie = event == timer.map(|(at, _)| at) && self.scene.dice.percent(50);
        match timer {
            Some((at, who)) if event.is_none_or(|event| at < event) || is_tie => match who {
                Who::Node(number) => self.nodes[number].timeout(&mut self.scene),
                Who::Agent(number) => self.agents[number].timeout(&mut self.scene),
                Who::Client(number) => self.clients[number].timeout(&mut self.scene),
            },
            _ => {
                if let Some(event) = self.scene.agenda.take() {
                    self.happen(event);
                }
            }
        }
        true
    }

    fn next_timer(&self) -> Option<(Moment, Who)> {
        let nodes = self.nodes.iter().enumerate();
        let agents = self.agents.iter().enumerate();
        let clients = self.clients.iter().enumerate();
        nodes
            .filter_map(|(number, node)| Some((node.next_timeout()?, Who::Node(number))))
            .chain(
                agents.filter_map(|(number, one)| Some((one.next_timeout()?, Who::Agent(number)))),
            )
            .chain(
                clients
                    .filter_map(|(number, one)| Some((one.next_timeout()?, Who::Client(number)))),
            )
            .min()
    }

    fn happen(&mut self, event: Event) {
        let Self {
            scene,
            nodes,
            agents,
            clients,
        } = self;
        match event {
            Event::Start(Who::Agent(number)) => agents[number].start(scene),
            Event::Start(Who::Client(number)) => clients[number].start(scene),
            Event::Start(Who::Node(number)) => nodes[number].start(scene),
            Event::Io(connection, end) => {
                let Some(of) = scene.network.get(connection) else {
                    return;
                };
                match (end, of.endpoint) {
                    (End::Node, _) => nodes[of.node].io(connection, scene),
                    (End::Endpoint, Who::Agent(number)) => agents[number].io(connection, scene),
                    (End::Endpoint, Who::Client(number)) => clients[number].io(connection, scene),
                    (End::Endpoint, Who::Node(_)) => {}
                }
            }
            Event::KernelTimeout(connection) => {
                scene
                    .network
                    .kernel_timeout(connection, scene.now, &mut scene.agenda);
            }
            Event::HandshakeOver { node, connection } => {
                nodes[node].handshake_over(connection, scene);
            }
            Event::Decide { node, life, ticket } => nodes[node].decide(life, ticket, scene),
            Event::Recorded {
                node,
                life,
                ticket,
                written,
            } => nodes[node].recorded(life, ticket, written, scene),
            Event::Presence { device, node, here } => {
                if here {
                    scene.presence.insert(device, node);
                } else if scene.presence.get(&device) == Some(&node) {
                    scene.presence.remove(&device);
                }
            }
            Event::Verdict {
                agent,
                life,
                path,
                verdict,
            } => agents[agent].verdict(life, path, verdict, scene),
            Event::InnerOver(who, connection) => match who {
                Who::Agent(number) => agents[number].inner_over(connection, scene),
                Who::Client(number) => clients[number].inner_over(connection, scene),
                Who::Node(_) => {}
            },
            Event::Switch(who, connection) => match who {
                Who::Agent(number) => agents[number].switch(connection, scene),
                Who::Client(number) => clients[number].switch(connection, scene),
                Who::Node(_) => {}
            },
            Event::ProofDue(who, connection) => match who {
                Who::Agent(number) => agents[number].proof_due(connection, scene),
                Who::Client(number) => clients[number].proof_due(connection, scene),
                Who::Node(_) => {}
            },
            Event::Lingered(who, connection) => match who {
                Who::Node(number) => nodes[number].lingered(connection, scene),
                Who::Agent(number) => agents[number].lingered(connection, scene),
                Who::Client(number) => clients[number].lingered(connection, scene),
            },
            Event::Program(Who::Agent(number), slot) => agents[number].desktop_turn(slot, scene),
            Event::ProgramConnects(Who::Agent(number), slot) => {
                agents[number].desktop_connects(slot, scene);
            }
            Event::Program(Who::Client(number), _) => clients[number].viewer_turn(scene),
            Event::ProgramConnects(Who::Client(number), _) => {
                clients[number].viewer_connects(scene);
            }
            Event::Program(Who::Node(_), _) | Event::ProgramConnects(Who::Node(_), _) => {}
            Event::GivesUp(number) => clients[number].stop(scene),
            Event::Fault(fault) => {
                scene.last_fault = Some(scene.now);
                self.fault(fault);
            }
            Event::Look => self.look(),
            Event::Stop(stop) => self.stop(stop),
        }
    }

    fn stop(&mut self, stop: Stop) {
        let scene = &mut self.scene;
        match stop {
            Stop::Clients => self.clients.iter_mut().for_each(|one| one.stop(scene)),
            Stop::Sessions => {
                self.agents
                    .iter_mut()
                    .for_each(|one| one.end_sessions(scene));
            }
            Stop::Agents => self.agents.iter_mut().for_each(|one| one.stop(scene)),
            Stop::Nodes => self.nodes.iter_mut().for_each(|one| {
                one.judge_end(scene);
                one.drain(GRACE, scene);
            }),
        }
    }

    /// Looks at what holds whatever happens, and comes back while there is anything to look at.
    fn look(&mut self) {
        let scene = &mut self.scene;
        self.nodes.iter().for_each(|node| node.judge(scene));
        self.agents.iter_mut().for_each(|agent| agent.judge(scene));
        self.clients
            .iter_mut()
            .for_each(|client| client.judge(scene));
        for client in &self.clients {
            if let Some(home) = client.living_desk()
                && let Some(id) = home.session.id()
                && let Some(office) = self.agents.iter().find_map(|agent| agent.desk_of(id))
                && home.session.sending_path().is_some()
                && office.session.sending_path().is_some()
                && scene.is_calm()
            {
                let book = *scene.ledger.session(id);
                let has_to_do = home.has_to_do(&book).or_else(|| office.has_to_do(&book));
                if let Some(what) = has_to_do {
                    scene.check(invariants::a_session_moves_on(book.moved, scene.now, what));
                }
            }
        }
        if self.scene.agenda.next().is_some() || self.next_timer().is_some() {
            self.scene.after(LOOK, Event::Look);
        }
    }

    fn judge_end(&mut self) {
        let scene = &mut self.scene;
        scene.check(invariants::nothing_is_left(
            "connections",
            scene.network.len(),
        ));
        self.agents.iter().for_each(|one| one.judge_end(scene));
        self.clients.iter().for_each(|one| one.judge_end(scene));
    }
}
