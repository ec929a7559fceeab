//! An office PC's program around its machine: dials, answers for its Python, and keeps the sessions that outlive their paths.
mod office;

use std::collections::BTreeMap;
use std::time::Duration;

use telerelay_outer::agent::{Agent, Command, Config, Verdict};
use telerelay_outer::{LegKey, PathChoice};
use telerelay_session::Agent as AgentRole;
use telerelay_wire::ids::{Instance, NodeAddress, PathId, SessionId};
use telerelay_wire::outer::{Features, Frame, Incoming};
use telerelay_wire::{Code, Moment, limits};

use crate::agenda::{Event, Who};
use crate::desk::Desk;
use crate::endpoint::{Heard, Legs};
use crate::invariants;
use crate::ledger::AgentBook;
use crate::leg::path::{EndPath, Peer};
use crate::network::ConnectionId;
use crate::scenario::AgentPlan;
use crate::scene::{EPOCH, Scene, agent_device, computer, local, program};
use crate::story::What;
use office::PathBook;

/// An agent, and how often it was started.
#[derive(Debug)]
pub(crate) struct AgentHost {
    number: usize,
    life: u64,
    plan: AgentPlan,
    machine: Agent,
    legs: Legs<LegKey>,
    /// Legs that sent ACCEPT, and when.
    accepted: BTreeMap<LegKey, Moment>,
    paths: BTreeMap<LegKey, PathBook>,
    sessions: BTreeMap<u64, Desk<AgentRole>>,
    next_session: u64,
    /// Where the ready connection waits.
    standby: Option<NodeAddress>,
    book: AgentBook,
    /// The machine was told that sessions live.
    is_live: bool,
}

impl AgentHost {
    pub(crate) fn new(number: usize, plan: AgentPlan, scene: &mut Scene) -> Self {
        Self {
            number,
            life: 0,
            plan,
            machine: machine(&plan, scene),
            legs: Legs::new(Who::Agent(number)),
            accepted: BTreeMap::new(),
            paths: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_session: 0,
            standby: None,
            book: AgentBook::default(),
            is_live: false,
        }
    }

    fn who(&self) -> Who {
        Who::Agent(self.number)
    }

    fn me(&self) -> Peer {
        Peer {
            device: agent_device(self.plan.device),
            computer: computer(self.plan.device),
        }
    }

    pub(crate) fn start(&mut self, scene: &mut Scene) {
        self.machine.start(scene.now, &mut scene.dice);
        self.obey(scene);
    }

    /// The process dies. Another instance may be started.
    pub(crate) fn kill(&mut self, is_silent: bool, scene: &mut Scene) {
        scene.note(self.who(), "dies", [is_silent.into(), 0], String::new);
        let (who, now) = (self.who(), scene.now);
        scene.network.died(who, is_silent, now, &mut scene.agenda);
        let (life, next_session) = (self.life + 1, self.next_session);
        *self = Self {
            life,
            next_session,
            ..Self::new(self.number, self.plan, scene)
        };
    }

    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        let sessions = self.sessions.values().filter_map(Desk::next_timeout);
        sessions.chain(self.machine.next_timeout()).min()
    }

    pub(crate) fn timeout(&mut self, scene: &mut Scene) {
        self.machine.timeout(scene.now, &mut scene.dice);
        scene.check(invariants::timers_move_on(
            self.machine.next_timeout(),
            scene.now,
        ));
        self.obey(scene);
        let due: Vec<_> = self.due(scene.now).collect();
        for slot in due {
            if let Some(desk) = self.sessions.get_mut(&slot) {
                desk.timeout(scene);
            }
            self.pump(slot, scene);
        }
    }

    /// What holds of an agent at any time.
    pub(crate) fn judge(&mut self, scene: &mut Scene) {
        for &since in self.accepted.values() {
            scene.check(invariants::nobody_waits_too_long(
                "PAIRED",
                since,
                scene.now,
                limits::PAIRED,
            ));
        }
        scene.check(self.book.judge(scene.now));
        for (&key, book) in &self.paths {
            if !self.legs.is_leaving(key) {
                scene.check(book.judge(scene.now));
            }
        }
        for desk in self.sessions.values() {
            desk.judge(scene);
            desk.judge_path(&self.legs, scene);
        }
    }

    /// The desk of a session that lives.
    pub(crate) fn desk_of(&self, session: SessionId) -> Option<&Desk<AgentRole>> {
        self.sessions
            .values()
            .find(|desk| desk.session.id() == Some(session) && !desk.session.is_ended())
    }

    fn due(&self, now: Moment) -> impl Iterator<Item = u64> {
        self.sessions
            .iter()
            .filter(move |(_, desk)| desk.next_timeout().is_some_and(|at| at <= now))
            .map(|(&slot, _)| slot)
    }

    /// Something happened on a connection.
    pub(crate) fn io(&mut self, connection: ConnectionId, scene: &mut Scene) {
        let Some(key) = self.legs.key_of(connection) else {
            return;
        };
        loop {
            let now = scene.now;
            match self.legs.heard(key, scene) {
                Heard::Nothing => break,
                Heard::Up => self.machine.leg_up(key, local(self.who()), now),
                Heard::Frame(frame) => {
                    self.book.hears(key, &frame, now);
                    self.machine.frame(key, frame, now, &mut scene.dice);
                }
                Heard::BadFrame(error) => {
                    self.machine.frame_error(key, error, now, &mut scene.dice);
                }
                Heard::Secured(peer) => self.secured(key, peer, scene),
                Heard::Plaintext(range) => {
                    if let Some(book) = self.paths.get_mut(&key) {
                        book.heard = now;
                    }
                    if let Some(slot) = self.paths.get(&key).and_then(|book| book.slot)
                        && let Some((_, path)) = self.legs.path(key)
                        && let Some(desk) = self.sessions.get_mut(&slot)
                    {
                        desk.session.received(path.key, path.plaintext(range), now);
                    }
                }
                Heard::Gone => {
                    self.gone(key, scene);
                    break;
                }
            }
            self.obey(scene);
        }
        self.obey(scene);
        if let Some(slot) = self.paths.get(&key).and_then(|book| book.slot) {
            self.pump(slot, scene);
        }
    }

    /// A leg ended.
    fn gone(&mut self, key: LegKey, scene: &mut Scene) {
        scene.note_leg(self.who(), "gone", key, String::new);
        if let (Some((_, path)), Some(book)) = (self.legs.path(key), self.paths.get(&key))
            && path.is_on_trial()
        {
            scene.saw(self.who(), What::Unproven);
            self.machine.unproven(book.path, scene.now);
        }
        self.legs.drop_leg(key, false, scene);
        self.accepted.remove(&key);
        self.book.closed(key, scene.now);
        if self.paths.contains_key(&key) {
            self.path_closed(key, scene);
        } else {
            self.machine
                .leg_gone(key, Code::Unreachable, scene.now, &mut scene.dice);
        }
    }

    /// The other end of a leg that is left did not close in time.
    pub(crate) fn lingered(&mut self, connection: ConnectionId, scene: &mut Scene) {
        if let Some(key) = self.legs.key_of(connection)
            && self.legs.is_leaving(key)
        {
            self.gone(key, scene);
            self.obey(scene);
        }
    }

    /// Does what the machine asks for, until it asks for nothing.
    fn obey(&mut self, scene: &mut Scene) {
        let (mut accepts, mut dials) = (false, false);
        while let Some(command) = self.machine.poll_command() {
            match command {
                Command::Dial(key, hop) => {
                    dials = true;
                    let verdict = self.book.dials(key, scene.now);
                    scene.check(verdict);
                    self.legs.dial(key, &hop.node, scene);
                }
                Command::Send(key, frame) => {
                    accepts |= matches!(frame, Frame::Accept(_));
                    self.send(key, &frame, scene);
                }
                Command::Close(key, how) => {
                    self.accepted.remove(&key);
                    self.book.closed(key, scene.now);
                    self.legs.close(key, how, scene);
                }
                Command::Verdict(incoming) => self.ask(&incoming, scene),
                Command::StartPath {
                    leg,
                    incoming,
                    direct,
                } => self.start_path(leg, incoming, direct, scene),
                Command::Online { hop, .. } => {
                    let node = scene.node_of(&hop.node).unwrap_or(0);
                    let standby = crate::scene::node_address(node);
                    self.standby = Some(standby.clone());
                    for slot in self.sessions.keys().copied().collect::<Vec<_>>() {
                        if let Some(desk) = self.sessions.get_mut(&slot) {
                            desk.session.standby(standby.clone());
                        }
                        self.pump(slot, scene);
                    }
                }
                Command::Offline { reason, .. } => {
                    scene.note(self.who(), "offline", [0; 2], || reason.to_string());
                    scene.check(invariants::nobody_breaks_the_protocol(
                        reason.code(),
                        &format!("an agent is offline by {reason}"),
                    ));
                }
                Command::News(_) => {}
                Command::Goaway(goaway) => self.migrate(goaway.spread, scene),
                Command::Cut(cut) => {
                    let of_path = self.paths.values().find(|book| book.path == cut.path);
                    if let Some(slot) = of_path.and_then(|book| book.slot) {
                        self.end(slot, cut.code, scene);
                    }
                }
            }
        }
        scene.check(invariants::an_agent_that_accepts_dials_at_once(
            accepts, dials,
        ));
        scene.check(self.book.judge(scene.now));
        let fresh = |(key, _): &(LegKey, _)| {
            !self.accepted.contains_key(key)
                && !self.paths.contains_key(key)
                && !self.legs.is_leaving(*key)
        };
        scene.check(invariants::one_ready_connection_at_most(
            self.legs.iter().filter(fresh).count(),
        ));
        let live = self
            .sessions
            .values()
            .any(|desk| desk.session.id().is_some() && !desk.session.is_ended());
        if live != self.is_live {
            self.is_live = live;
            self.machine.set_live(live, scene.now);
        }
    }

    fn send(&mut self, key: LegKey, frame: &Frame<'_>, scene: &mut Scene) {
        if let Frame::Accept(_) = frame {
            self.accepted.insert(key, scene.now);
        }
        let verdict = self.book.says(key, frame, scene.now);
        scene.check(verdict);
        self.legs.send(key, frame, scene);
    }

    /// Python is asked for its verdict.
    fn ask(&mut self, incoming: &Incoming, scene: &mut Scene) {
        let plan = self.plan;
        if scene.dice.percent(plan.never_percent) {
            return;
        }
        let is_gone = incoming.resume.is_some_and(|resume| {
            !self
                .sessions
                .values()
                .any(|desk| desk.session.id() == Some(resume.session) && desk.ended.is_none())
        });
        let verdict = if is_gone && scene.dice.percent(50) {
            Verdict::Refuse(Code::SessionGone.into())
        } else if scene.dice.percent(plan.refuses_percent) || self.is_full(incoming) {
            Verdict::Refuse(Code::Busy.into())
        } else {
            Verdict::Allow
        };
        let delay = scene.dice.time(plan.verdict.0, plan.verdict.1);
        let event = Event::Verdict {
            agent: self.number,
            life: self.life,
            path: incoming.path,
            verdict,
        };
        scene.after(delay, event);
    }

    /// Whether the computer has as many sessions as its rules allow, those that are just being made included.
    fn is_full(&self, incoming: &Incoming) -> bool {
        let paths = self.accepted.len() + self.paths.len();
        incoming.resume.is_none() && paths >= self.plan.most_sessions.into()
    }

    pub(crate) fn verdict(&mut self, life: u64, path: PathId, verdict: Verdict, scene: &mut Scene) {
        if life == self.life {
            scene.note(self.who(), "verdict", [0; 2], || {
                format!("{path:?} {verdict:?}")
            });
            self.machine
                .verdict(path, verdict, scene.now, &mut scene.dice);
            self.obey(scene);
        }
    }

    fn start_path(
        &mut self,
        key: LegKey,
        incoming: Box<Incoming>,
        direct: bool,
        scene: &mut Scene,
    ) {
        self.accepted.remove(&key);
        let path_key = telerelay_session::PathKey(key.0);
        let path = EndPath::new(path_key, self.me(), false, direct);
        if let Some((leg, _)) = self.legs.start(key, path) {
            let connection = leg.connection;
            scene.after(
                limits::INNER_HANDSHAKE,
                Event::InnerOver(self.who(), connection),
            );
        }
        self.paths.insert(key, PathBook::new(incoming));
    }

    /// The agent leaves: no dial any more.
    pub(crate) fn stop(&mut self, scene: &mut Scene) {
        self.machine.stop();
        self.obey(scene);
        self.book.stopped();
    }

    /// Everybody has left: nothing is here any more.
    pub(crate) fn judge_end(&self, scene: &mut Scene) {
        for (what, count) in [
            ("legs of an agent", self.legs.len()),
            ("accepted legs", self.accepted.len()),
            ("paths of an agent", self.paths.len()),
            ("sessions of an agent", self.sessions.len()),
            (
                "timers of an agent",
                usize::from(self.next_timeout().is_some()),
            ),
        ] {
            scene.check(invariants::nothing_is_left(what, count));
        }
    }

    /// A path puts its outer TLS down.
    pub(crate) fn switch(&mut self, connection: ConnectionId, scene: &mut Scene) {
        if let Some(key) = self.legs.key_of(connection) {
            let is_first = self.paths.get(&key).is_some_and(|book| book.tries);
            self.legs
                .switch(key, is_first, self.plan.direct_breaks, scene);
        }
    }

    /// A direct leg has had its time to prove itself.
    pub(crate) fn proof_due(&mut self, connection: ConnectionId, scene: &mut Scene) {
        if let Some(key) = self.legs.key_of(connection)
            && let Some((_, path)) = self.legs.path(key)
            && path.is_on_trial()
        {
            self.gone(key, scene);
            self.obey(scene);
        }
    }
}

fn machine(plan: &AgentPlan, scene: &mut Scene) -> Agent {
    let config = Config {
        nodes: scene.nodes(),
        instance: Instance::random(&mut scene.dice),
        features: Features::default(),
        program: program(),
        path: path_choice(plan.switches),
    };
    Agent::new(config, EPOCH, scene.now)
}

/// A leg that switches so soon behind its handshake is one of the product; later ones try the node.
pub(crate) const IN_ONE_FLIGHT: Duration = Duration::from_millis(1);

/// What the machine is set to.
pub(crate) fn path_choice(switches: Option<(Duration, Duration)>) -> PathChoice {
    match switches {
        Some(_) => PathChoice::Auto,
        None => PathChoice::Wrapped,
    }
}

/// When to put the outer TLS down, where the plan wants that.
pub(crate) fn switch_time(
    plan: Option<(Duration, Duration)>,
    scene: &mut Scene,
) -> Option<Duration> {
    plan.map(|(low, high)| scene.dice.time(low, high))
}
