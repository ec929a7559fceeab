//! The node's Python: decides `route`, records START, tells other nodes where agents are; prompt, slow, or silent.
use std::time::Duration;

use telerelay_outer::node::{
    AttemptTicket, Decision, Node, RouteRequest, Snapshot, Standing, Terminal,
};
use telerelay_wire::Code;
use telerelay_wire::ids::DeviceId;

use super::{NodeHost, greeting};
use crate::agenda::{Event, Who};
use crate::invariants;
use crate::scenario::{DecisionPlan, NodePlan};
use crate::scene::{EPOCH, ORGANISATION, Scene, agent_device, node_address};
use crate::story::What;

/// How long a slow answer takes at most: longer than anybody waits for it.
const SLOW: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(6));

/// How long it takes until other nodes hear of an agent.
const HEARSAY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// A node's machine as Python starts it.
pub(super) fn machine(number: usize, plan: NodePlan, scene: &Scene) -> Node {
    let mut machine = Node::new(greeting(number, plan), EPOCH, scene.now);
    #[cfg(feature = "mutants")]
    if let Some(mutant) = scene.mutant {
        machine = machine.with_mutant(mutant.of_node());
    }
    let mut snapshot = Snapshot::default();
    snapshot
        .organisations
        .insert(ORGANISATION, Standing::Admitted);
    machine.set_snapshot(std::sync::Arc::new(snapshot), scene.now);
    machine
}

impl NodeHost {
    pub(super) fn ask(&mut self, request: Box<RouteRequest>, scene: &mut Scene) {
        self.book.asked(&request, scene.now);
        let ticket = request.ticket;
        self.asked.insert(ticket, request);
        let (node, life) = (self.number, self.life);
        let python = scene.plan.python;
        if let Some(delay) = answer_time(python.route, scene) {
            scene.after(delay, Event::Decide { node, life, ticket });
        }
    }

    /// Python answers; what it answers it looks up now.
    pub(crate) fn decide(&mut self, life: u64, ticket: AttemptTicket, scene: &mut Scene) {
        if life != self.life || !self.is_up {
            return;
        }
        let Some(request) = self.asked.remove(&ticket) else {
            return;
        };
        let decision = self.decision(&request, scene);
        scene.note(Who::Node(self.number), "decides", [ticket.0, 0], || {
            format!("{ticket:?} {decision:?}")
        });
        if self.machine.is_asked(ticket) {
            self.book.decided(ticket, &decision, scene.now);
            if let Decision::Here(_) = decision {
                scene.saw(Who::Node(self.number), What::Routed(request.attempt));
                self.record(ticket, scene);
            }
        } else if scene.dice.percent(50) {
            // Python may look first whether anybody waits for its answer. It need not.
            return;
        }
        self.machine.decide(ticket, decision, scene.now);
        self.obey(scene);
        self.judge(scene);
    }

    fn decision(&self, request: &RouteRequest, scene: &Scene) -> Decision {
        let plan = scene
            .plan
            .clients
            .iter()
            .find(|plan| crate::scene::client_device(plan.device) == request.client);
        let device = agent_device(request.computer.0[0]);
        match plan.map(|plan| plan.decision) {
            None => Decision::Deny(Code::Denied.into()),
            Some(DecisionPlan::Deny(code)) => Decision::Deny(code.into()),
            Some(DecisionPlan::Later(seconds)) => Decision::Later(seconds),
            Some(DecisionPlan::Here) => Decision::Here(device),
            Some(DecisionPlan::Elsewhere) => {
                let next = (self.number + 1) % scene.plan.nodes.len();
                Decision::Redirect(node_address(next))
            }
            Some(DecisionPlan::Follow) => match scene.presence.get(&device) {
                Some(&node) if node != self.number && !self.ready.contains(&device) => {
                    Decision::Redirect(node_address(node))
                }
                _ => Decision::Here(device),
            },
        }
    }

    /// START is written at the same time as the claim is made.
    fn record(&self, ticket: AttemptTicket, scene: &mut Scene) {
        let python = scene.plan.python;
        let written = if scene.dice.percent(python.failed_percent) {
            Err(Code::AuditUnavailable)
        } else {
            Ok(())
        };
        let (node, life) = (self.number, self.life);
        if let Some(delay) = answer_time(python.recorded, scene) {
            let event = Event::Recorded {
                node,
                life,
                ticket,
                written,
            };
            scene.after(delay, event);
        }
    }

    pub(crate) fn recorded(
        &mut self,
        life: u64,
        ticket: AttemptTicket,
        written: Result<(), Code>,
        scene: &mut Scene,
    ) {
        if life != self.life || !self.is_up {
            return;
        }
        scene.note(Who::Node(self.number), "recorded", [ticket.0, 0], || {
            format!("{ticket:?} {written:?}")
        });
        if written.is_ok() {
            self.book.recorded(ticket);
        }
        self.machine.recorded(ticket, written, scene.now);
        self.obey(scene);
        self.judge(scene);
    }

    /// Other nodes hear of an agent a moment later.
    pub(super) fn presence(&mut self, device: DeviceId, here: bool, scene: &mut Scene) {
        scene.check(invariants::presence_is_told_in_turn(
            self.ready.contains(&device),
            here,
        ));
        if here {
            self.ready.insert(device);
        } else {
            self.ready.remove(&device);
        }
        let node = self.number;
        let delay = scene.dice.time(HEARSAY.0, HEARSAY.1);
        scene.after(delay, Event::Presence { device, node, here });
    }

    pub(super) fn terminal(&mut self, told: &Terminal, scene: &mut Scene) {
        self.asked.remove(&told.ticket);
        scene.note(
            Who::Node(self.number),
            "terminal",
            [told.ticket.0, 0],
            || format!("{} {} at {}", told.attempt, told.code, told.stage),
        );
        let terminal = What::Terminal {
            attempt: told.attempt,
            code: told.code.clone(),
            stage: told.stage,
        };
        scene.saw(Who::Node(self.number), terminal);
    }
}

/// When an answer comes, if it does.
fn answer_time((low, high): (Duration, Duration), scene: &mut Scene) -> Option<Duration> {
    let python = scene.plan.python;
    if scene.dice.percent(python.never_percent) {
        None
    } else if scene.dice.percent(python.slow_percent) {
        Some(scene.dice.time(SLOW.0, SLOW.1))
    } else {
        Some(scene.dice.time(low, high))
    }
}
