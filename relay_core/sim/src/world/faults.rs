//! What breaks and what operators do, as it happens.
use crate::agenda::{Event, Who};
use crate::network::ConnectionId;
use crate::scenario::{Fault, Target};
use crate::scene::{agent_device, client_device};

use super::World;

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        let scene = &mut self.scene;
        match fault {
            Fault::Break(target, how) => {
                let hit = self.target(target);
                let scene = &mut self.scene;
                if let Some(connection) = hit {
                    let Some(of) = scene.network.get(connection) else {
                        return;
                    };
                    let who = of.endpoint;
                    scene.note(who, "breaks", [connection.0, 0], || {
                        format!("connection {} {how:?}", connection.0)
                    });
                    let now = scene.now;
                    scene
                        .network
                        .damage(connection, how, now, &mut scene.agenda);
                }
            }
            Fault::KillNode {
                node,
                is_silent,
                returns,
            } => {
                self.nodes[node].kill(is_silent, scene);
                if let Some(after) = returns {
                    scene.after(after, Event::Start(Who::Node(node)));
                }
            }
            Fault::DrainNode { node, grace } => self.nodes[node].drain(grace, scene),
            Fault::KillAgent {
                agent,
                is_silent,
                returns,
            } => {
                self.agents[agent].kill(is_silent, scene);
                if let Some(after) = returns {
                    scene.after(after, Event::Start(Who::Agent(agent)));
                }
            }
            Fault::KillClient(client) => self.clients[client].kill(scene),
            Fault::Cut(device) => {
                self.nodes
                    .iter_mut()
                    .for_each(|node| node.cut(agent_device(device), scene));
            }
            Fault::Revoke(device) => {
                self.nodes
                    .iter_mut()
                    .for_each(|node| node.revoke(client_device(device), scene));
            }
            Fault::Migrate(agent) => self.agents[agent].migrate(10, scene),
            Fault::Forge { of, by } => {
                if let Some((session, computer)) = self.clients[of].session_at() {
                    self.clients[by].forge(session, computer, scene);
                }
            }
            Fault::News => self.nodes.iter_mut().for_each(|node| node.news(scene)),
        }
    }

    /// One connection of a kind, if there is any.
    fn target(&mut self, target: Target) -> Option<ConnectionId> {
        let live = self.scene.network.live();
        let mut of: Vec<_> = live
            .into_iter()
            .filter(|&connection| {
                let Some(one) = self.scene.network.get(connection) else {
                    return false;
                };
                let is_path = self.nodes[one.node].is_path(connection);
                let is_agents = matches!(one.endpoint, Who::Agent(_));
                match target {
                    Target::Any => true,
                    Target::Path => is_path,
                    Target::AgentsPath => is_path && is_agents,
                    Target::ClientsPath | Target::OldestPath | Target::NewestPath => {
                        is_path && !is_agents
                    }
                    Target::Dialling => !is_path && !is_agents,
                    Target::Ready => is_agents && !is_path,
                }
            })
            .collect();
        match target {
            Target::OldestPath => of.truncate(1),
            Target::NewestPath => drop(of.drain(..of.len().saturating_sub(1))),
            _ => {}
        }
        self.scene.dice.pick(&of)
    }
}
