//! A relay node around its machine: accepts legs, does what the machine commands, and hands paths to their mover.
mod mover;
mod operator;
mod python;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use telerelay_outer::node::{
    AttemptTicket, Command, Greeting, Holder, Identity, Join, Node, RouteRequest, Side,
};
use telerelay_outer::{How, LegKey};
use telerelay_wire::ids::{DeviceId, PathId};
use telerelay_wire::outer::{Features, Frame};
use telerelay_wire::{Moment, limits};

use crate::agenda::{Event, Who};
use crate::invariants;
use crate::ledger::NodeBook;
use crate::leg::{Leg, Told};
use crate::network::{ConnectionId, End, Read};
use crate::scenario::NodePlan;
use crate::scene::{ORGANISATION, Scene, computer, node_address};
use crate::story::What;
use mover::{Mover, Turn};

/// How long a closed connection waits for the other end to close, so that a reset destroys nothing.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// A node, and how often it was started.
#[derive(Debug)]
pub(crate) struct NodeHost {
    number: usize,
    life: u64,
    plan: NodePlan,
    is_up: bool,
    machine: Node,
    book: NodeBook,
    legs: BTreeMap<LegKey, NodeLeg>,
    by_connection: BTreeMap<ConnectionId, LegKey>,
    next_leg: u64,
    paths: BTreeMap<PathId, Mover>,
    /// Agents that are ready here.
    ready: BTreeSet<DeviceId>,
    /// What Python was asked.
    asked: BTreeMap<AttemptTicket, Box<RouteRequest>>,
}

#[derive(Debug)]
struct NodeLeg {
    /// Who dialled.
    peer: Who,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Outer TLS, then frames.
    Framed(Box<Leg>),
    /// Its mover has it.
    Path(PathId),
    /// What is queued leaves, then the other end is waited for.
    Closing(Box<Leg>),
}

impl NodeHost {
    pub(crate) fn new(number: usize, plan: NodePlan, scene: &mut Scene) -> Self {
        let machine = python::machine(number, plan, scene);
        Self {
            number,
            life: 0,
            plan,
            is_up: true,
            machine,
            book: NodeBook::default(),
            legs: BTreeMap::new(),
            by_connection: BTreeMap::new(),
            next_leg: 0,
            paths: BTreeMap::new(),
            ready: BTreeSet::new(),
            asked: BTreeMap::new(),
        }
    }

    fn who(&self) -> Who {
        Who::Node(self.number)
    }

    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        self.machine.next_timeout().filter(|_| self.is_up)
    }

    pub(crate) fn timeout(&mut self, scene: &mut Scene) {
        self.machine.timeout(scene.now);
        scene.check(invariants::timers_move_on(
            self.machine.next_timeout(),
            scene.now,
        ));
        self.obey(scene);
    }

    /// Something happened on a connection.
    pub(crate) fn io(&mut self, connection: ConnectionId, scene: &mut Scene) {
        if !self.is_up {
            let now = scene.now;
            scene
                .network
                .close(connection, End::Node, true, now, &mut scene.agenda);
            return;
        }
        let Some(key) = self.leg_of(connection, scene) else {
            return;
        };
        self.legs_turn(key, scene);
        self.obey(scene);
        self.judge(scene);
    }

    /// The number of a connection's leg; a new one is accepted.
    fn leg_of(&mut self, connection: ConnectionId, scene: &mut Scene) -> Option<LegKey> {
        if let Some(&key) = self.by_connection.get(&connection) {
            return Some(key);
        }
        let peer = scene.network.accept(connection)?;
        let key = LegKey(self.next_leg);
        self.next_leg += 1;
        let leg = Leg::new(connection, End::Node);
        let phase = Phase::Framed(Box::new(leg));
        self.legs.insert(key, NodeLeg { peer, phase });
        self.by_connection.insert(connection, key);
        let node = self.number;
        scene.after(limits::HANDSHAKE, Event::HandshakeOver { node, connection });
        Some(key)
    }

    fn legs_turn(&mut self, key: LegKey, scene: &mut Scene) {
        loop {
            let now = scene.now;
            let Some(NodeLeg { peer, phase }) = self.legs.get_mut(&key) else {
                return;
            };
            let leg = match phase {
                Phase::Framed(leg) => leg,
                Phase::Path(path) => {
                    let path = *path;
                    return self.paths_turn(path, scene);
                }
                Phase::Closing(_) => return self.closing(key, scene),
            };
            match leg.told() {
                Told::Up => {
                    let identity = identity(*peer, scene);
                    let address = format!("{peer:?}").try_into().expect("fits");
                    self.machine.leg_up(key, identity, Side::Both, address, now);
                }
                Told::Frame(frame) => {
                    scene.note_leg(Who::Node(self.number), "←", key, || frame.name().into());
                    self.book.heard(key, scene.device(*peer), &frame, now);
                    self.machine.frame(key, frame, now, &mut scene.dice);
                }
                Told::BadFrame(error) => self.machine.frame_error(key, error, now),
                Told::Closed | Told::Broken => self.lost(key, false, scene),
                Told::Nothing => match leg.fill(&mut scene.network, now, &mut scene.agenda) {
                    Read::Bytes(_) => continue,
                    Read::End => self.lost(key, false, scene),
                    Read::Reset => self.lost(key, true, scene),
                    Read::Nothing => {
                        if !leg.flush(&mut scene.network, now, &mut scene.agenda) {
                            self.lost(key, true, scene);
                        }
                        return;
                    }
                },
            }
            self.obey(scene);
        }
    }

    /// A leg that is no path's has ended by itself.
    fn lost(&mut self, key: LegKey, is_broken: bool, scene: &mut Scene) {
        scene.note_leg(self.who(), "lost", key, String::new);
        self.drop_leg(key, is_broken, scene);
        self.machine.leg_gone(key, scene.now);
    }

    fn drop_leg(&mut self, key: LegKey, abort: bool, scene: &mut Scene) {
        self.book.closed(key, scene.now);
        if let Some(NodeLeg {
            phase: Phase::Framed(leg) | Phase::Closing(leg),
            ..
        }) = self.legs.remove(&key)
        {
            self.by_connection.remove(&leg.connection);
            leg.close(abort, &mut scene.network, scene.now, &mut scene.agenda);
        }
    }

    /// Does what the machine asks for, until it asks for nothing.
    pub(crate) fn obey(&mut self, scene: &mut Scene) {
        while let Some(command) = self.machine.poll_command() {
            match command {
                Command::Send(key, frame) => self.send(key, &frame, scene),
                Command::Close(key, how) => self.close(key, how, scene),
                Command::Ask(request) => self.ask(request, scene),
                Command::Join(join) => self.join(&join, scene),
                Command::AgentReady(agent) => self.presence(agent.device, true, scene),
                Command::AgentGone { device, .. } => self.presence(device, false, scene),
                Command::Terminal(told) => {
                    let verdict = self.book.ends(&told, scene.now);
                    scene.check(verdict);
                    self.terminal(&told, scene);
                }
                // The leg that is turned away is seen in its ERROR.
                Command::Flagged { .. } => {}
                Command::Drained => self.drained(scene),
            }
        }
    }

    fn send(&mut self, key: LegKey, frame: &Frame<'_>, scene: &mut Scene) {
        let Some(NodeLeg {
            peer,
            phase: Phase::Framed(leg),
        }) = self.legs.get_mut(&key)
        else {
            return;
        };
        scene.note_leg(Who::Node(self.number), "→", key, || match frame {
            Frame::Error(error) => format!("ERROR {}", error.code),
            frame => frame.name().to_owned(),
        });
        let verdict = self.book.says(key, scene.device(*peer), frame, scene.now);
        scene.check(verdict);
        scene.saw(Who::Node(self.number), What::Said(frame.name()));
        if let Some(what) = said(*peer, frame) {
            scene.saw(Who::Node(self.number), what);
        }
        leg.send(frame);
        // Should this break the leg, its next turn finds out.
        leg.flush(&mut scene.network, scene.now, &mut scene.agenda);
    }

    fn close(&mut self, key: LegKey, how: How, scene: &mut Scene) {
        let Some(NodeLeg { peer, phase }) = self.legs.get_mut(&key) else {
            return;
        };
        scene.note_leg(Who::Node(self.number), "closes", key, || format!("{how:?}"));
        let verdict = self.book.closes(key, how, scene.now);
        scene.check(verdict);
        match (phase, how) {
            (Phase::Path(path), _) => {
                let path = *path;
                if let Some(mover) = self.paths.get_mut(&path) {
                    mover.stop();
                }
                self.paths_turn(path, scene);
            }
            (Phase::Framed(_), How::AtOnce) => {
                scene.saw(Who::Node(self.number), What::PutOut(*peer));
                self.drop_leg(key, true, scene);
            }
            (phase @ Phase::Framed(_), How::Flushed) => {
                let Phase::Framed(mut leg) = std::mem::replace(phase, Phase::Path(PathId([0; 16])))
                else {
                    return;
                };
                leg.close_notify();
                leg.finish();
                let connection = leg.connection;
                *phase = Phase::Closing(leg);
                scene.after(LINGER, Event::Lingered(Who::Node(self.number), connection));
                self.closing(key, scene);
            }
            (Phase::Closing(_), _) => {}
        }
    }

    /// Writes what is left and reads what nobody wants any more, until the other end closes.
    fn closing(&mut self, key: LegKey, scene: &mut Scene) {
        let now = scene.now;
        let Some(NodeLeg {
            phase: Phase::Closing(leg),
            ..
        }) = self.legs.get_mut(&key)
        else {
            return;
        };
        let is_broken = !leg.flush(&mut scene.network, now, &mut scene.agenda);
        if is_broken || leg.discard(&mut scene.network, now, &mut scene.agenda) {
            self.drop_leg(key, is_broken, scene);
        }
    }

    /// The other end did not close in time, or did not finish outer TLS in time.
    pub(crate) fn lingered(&mut self, connection: ConnectionId, scene: &mut Scene) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        match self.legs.get(&key).map(|leg| &leg.phase) {
            Some(Phase::Closing(_)) => self.drop_leg(key, true, scene),
            Some(&Phase::Path(path)) => {
                if let Some(mover) = self.paths.get_mut(&path) {
                    mover.lingered(scene);
                }
                self.paths_turn(path, scene);
                self.obey(scene);
            }
            Some(Phase::Framed(_)) | None => {}
        }
    }

    pub(crate) fn handshake_over(&mut self, connection: ConnectionId, scene: &mut Scene) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        if let Some(Phase::Framed(leg)) = self.legs.get(&key).map(|leg| &leg.phase)
            && !leg.is_up()
        {
            self.drop_leg(key, true, scene);
        }
    }

    fn join(&mut self, join: &Join, scene: &mut Scene) {
        let verdict = self.book.joins(join);
        scene.check(verdict);
        scene.note_leg(self.who(), "joins", join.agent, || {
            format!("with leg {} as {:?}", join.client.0, join.path)
        });
        let path = join.path;
        let mut take = |key: LegKey| match self.legs.get_mut(&key) {
            Some(NodeLeg { peer, phase }) => match std::mem::replace(phase, Phase::Path(path)) {
                Phase::Framed(leg) => Some((*peer, key, leg)),
                Phase::Path(_) | Phase::Closing(_) => None,
            },
            None => None,
        };
        if let (Some(agent), Some(client)) = (take(join.agent), take(join.client)) {
            if let Some(attempt) = self.book.attempt(path) {
                let (agent, client) = (agent.0, client.0);
                let joined = What::Joined {
                    attempt,
                    agent,
                    client,
                };
                scene.saw(Who::Node(self.number), joined);
            }
            self.paths
                .insert(path, Mover::new(agent, client, self.plan.is_direct));
            self.paths_turn(path, scene);
        }
    }

    /// Moves a path's bytes.
    fn paths_turn(&mut self, path: PathId, scene: &mut Scene) {
        let Some(mover) = self.paths.get_mut(&path) else {
            return;
        };
        let turn = mover.turn(self.number, scene);
        let attempt = self.book.attempt(path);
        for leg in mover.switched() {
            if let Some(attempt) = attempt {
                scene.saw(Who::Node(self.number), What::Switched { attempt, leg });
            }
        }
        match turn {
            Turn::Moving => {}
            Turn::Over(end) => {
                let legs = mover.legs();
                self.paths.remove(&path);
                for key in legs {
                    self.legs.remove(&key);
                    self.by_connection.retain(|_, leg| *leg != key);
                }
                scene.note(self.who(), "path ended", [end.traffic.to_client, 0], || {
                    format!("{path:?} {end:?}")
                });
                if let Some(attempt) = attempt {
                    let kind = end.kind;
                    scene.saw(self.who(), What::PathOver { attempt, kind });
                }
                self.book.path_over(path, scene.now);
                self.machine.path_ended(path, end, scene.now);
            }
        }
    }

    /// What holds for a node at every step.
    pub(crate) fn judge(&self, scene: &mut Scene) {
        if !self.is_up {
            return;
        }
        let is_known = |leg: &&NodeLeg| match &leg.phase {
            Phase::Framed(leg) => leg.is_up(),
            Phase::Path(_) => true,
            Phase::Closing(_) => false,
        };
        scene.check(invariants::the_tables_of_a_node_agree(
            &self.machine.census(),
            self.legs.values().filter(is_known).count(),
        ));
        scene.check(self.book.judge(&self.ready, scene.now));
        for leg in self.legs.values() {
            if let Phase::Framed(leg) | Phase::Closing(leg) = &leg.phase {
                scene.check(leg.judge());
            }
        }
        for mover in self.paths.values() {
            scene.check(mover.judge());
        }
    }
}

/// What a frame means for a dialler, where a test may ask for it.
fn said(whom: Who, frame: &Frame<'_>) -> Option<What> {
    match frame {
        Frame::Welcome(_) => Some(What::Welcomed(whom)),
        Frame::Incoming(incoming) => Some(What::Claimed {
            attempt: incoming.attempt,
            agent: whom,
        }),
        Frame::Error(error) if error.attempt.is_none() => Some(What::TurnedAway {
            whom,
            code: error.code.clone(),
            retry: error.retry,
        }),
        _ => None,
    }
}

/// What a leaf certificate says of a dialler.
fn identity(peer: Who, scene: &Scene) -> Identity {
    let holder = match peer {
        Who::Agent(number) => Holder::Agent(computer(scene.plan.agents[number].device)),
        _ => Holder::Client,
    };
    Identity {
        organisation: ORGANISATION,
        device: scene.device(peer),
        holder,
    }
}

fn greeting(number: usize, plan: NodePlan) -> Greeting {
    let features = if plan.is_direct {
        vec!["direct".try_into().expect("fits")]
    } else {
        Vec::new()
    };
    Greeting {
        node: node_address(number).name,
        features: Features::try_from(features).expect("one feature"),
        return_window: 5,
        banner: None,
    }
}
