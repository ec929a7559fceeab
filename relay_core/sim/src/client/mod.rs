//! A home PC's program around its machines: one request, one more for each path beside the first, and the session that they share.
mod forger;
mod home;

use telerelay_outer::client::{Client, Command, Config, PathEnd};
use telerelay_outer::{LegKey, Networks};
use telerelay_session::{Client as ClientRole, PathKey};
use telerelay_wire::ids::{
    AttemptId, ComputerId, Instance, NodeAddress, PathId, Resume, Service, Stage,
};
use telerelay_wire::inner::Reader;
use telerelay_wire::outer::{Features, Frame};
use telerelay_wire::{Code, Moment, Reason, limits};

use crate::agenda::{Event, Who};
use crate::agent::path_choice;
use crate::desk::Desk;
use crate::endpoint::{Heard, Legs};
use crate::invariants;
use crate::leg::path::{EndPath, Peer};
use crate::network::ConnectionId;
use crate::scenario::ClientPlan;
use crate::scene::{EPOCH, Scene, client_device, computer, local, program};
use crate::story::What;

/// A leg of one of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientLeg {
    request: usize,
    leg: LegKey,
}

impl From<ClientLeg> for LegKey {
    /// One number for both, for the trace and for the session.
    fn from(key: ClientLeg) -> Self {
        Self(key.request as u64 * 1_000 + key.leg.0)
    }
}

impl From<PathKey> for ClientLeg {
    fn from(path: PathKey) -> Self {
        Self {
            request: usize::try_from(path.0 / 1_000).unwrap_or(0),
            leg: LegKey(path.0 % 1_000),
        }
    }
}

/// Requests of one session side by side at most: more than a session has paths.
const REQUESTS: usize = 12;

/// A client.
#[derive(Debug)]
pub(crate) struct ClientHost {
    number: usize,
    plan: ClientPlan,
    instance: Instance,
    requests: Vec<Request>,
    legs: Legs<ClientLeg>,
    desk: Option<Desk<ClientRole>>,
    /// Where the agent's ready connection waits.
    standby: Option<NodeAddress>,
    networks: Networks,
    is_dead: bool,
}

/// One machine, and the path that it has got.
#[derive(Debug)]
struct Request {
    machine: Client,
    path: Option<PathOf>,
    /// When CONNECT left that is not answered.
    connected: Option<Moment>,
    /// REDIRECT that came for this attempt.
    redirects: u32,
    ends: u32,
    /// What a forger hears on it, where it is one's.
    forged: Option<Reader>,
}

/// A path of a request.
#[derive(Clone, Copy, Debug)]
struct PathOf {
    key: ClientLeg,
    path: PathId,
    attempt: AttemptId,
    resume: Option<Resume>,
    /// Why inner TLS did not come up.
    failure: Option<Code>,
    direct: bool,
    /// It puts outer TLS down right behind its handshake.
    tries: bool,
    /// It ended on trial.
    is_unproven: bool,
}

impl ClientHost {
    pub(crate) fn new(number: usize, plan: ClientPlan, scene: &mut Scene) -> Self {
        Self {
            number,
            plan,
            instance: Instance::random(&mut scene.dice),
            requests: Vec::new(),
            legs: Legs::new(Who::Client(number)),
            desk: None,
            standby: None,
            networks: Networks::default(),
            is_dead: false,
        }
    }

    fn who(&self) -> Who {
        Who::Client(self.number)
    }

    fn config(&self, scene: &Scene) -> Config {
        Config {
            nodes: scene.nodes(),
            instance: self.instance,
            features: Features::default(),
            program: program(),
            computer: computer(self.plan.computer),
            service: Service::Rfb,
            path: path_choice(self.plan.switches),
            networks: self.networks.clone(),
        }
    }

    pub(crate) fn start(&mut self, scene: &mut Scene) {
        let config = self.config(scene);
        let machine = Client::new(config, EPOCH, scene.now, &mut scene.dice);
        self.add(machine, None, scene);
        if let Some(after) = self.plan.gives_up {
            scene.after(after, Event::GivesUp(self.number));
        }
    }

    fn add(&mut self, machine: Client, forged: Option<Reader>, scene: &mut Scene) {
        self.requests.push(Request {
            machine,
            path: None,
            connected: None,
            redirects: 0,
            ends: 0,
            forged,
        });
        self.obey(scene);
    }

    /// The process dies.
    pub(crate) fn kill(&mut self, scene: &mut Scene) {
        scene.note(self.who(), "dies", [0; 2], String::new);
        let (who, now) = (self.who(), scene.now);
        scene.network.died(who, false, now, &mut scene.agenda);
        self.is_dead = true;
        self.requests.clear();
        self.legs.forget();
        self.desk = None;
    }

    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        let requests = self
            .requests
            .iter()
            .filter_map(|request| request.machine.next_timeout());
        let session = self.desk.iter().filter_map(Desk::next_timeout);
        requests.chain(session).min()
    }

    pub(crate) fn timeout(&mut self, scene: &mut Scene) {
        for request in &mut self.requests {
            request.machine.timeout(scene.now);
            let next = request.machine.next_timeout();
            scene.check(invariants::timers_move_on(next, scene.now));
        }
        self.obey(scene);
        if let Some(desk) = &mut self.desk {
            desk.timeout(scene);
        }
        self.pump(scene);
    }

    /// Something happened on a connection.
    pub(crate) fn io(&mut self, connection: ConnectionId, scene: &mut Scene) {
        let Some(key) = self.legs.key_of(connection) else {
            return;
        };
        loop {
            let now = scene.now;
            let heard = self.legs.heard(key, scene);
            let Some(Request { machine, .. }) = self.requests.get_mut(key.request) else {
                return;
            };
            match heard {
                Heard::Nothing => break,
                Heard::Up => machine.leg_up(key.leg, local(Who::Client(self.number)), now),
                Heard::Frame(frame) => {
                    let is_redirect = matches!(frame, Frame::Redirect(_));
                    machine.frame(key.leg, frame, now);
                    self.requests[key.request].redirects += u32::from(is_redirect);
                }
                Heard::BadFrame(error) => machine.frame_error(key.leg, error, now),
                Heard::Secured(peer) => self.secured(key, peer, scene),
                Heard::Plaintext(range) if self.requests[key.request].forged.is_some() => {
                    self.forgers_turn(key, range, scene);
                }
                Heard::Plaintext(range) => {
                    if let Some((_, path)) = self.legs.path(key)
                        && let Some(desk) = &mut self.desk
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
        self.pump(scene);
    }

    /// A leg ended.
    fn gone(&mut self, key: ClientLeg, scene: &mut Scene) {
        scene.note_leg(self.who(), "gone", key.into(), String::new);
        let is_unproven = self
            .legs
            .path(key)
            .is_some_and(|(_, path)| path.is_on_trial());
        self.legs.drop_leg(key, false, scene);
        let Some(request) = self.requests.get_mut(key.request) else {
            return;
        };
        if let Some(path) = &mut request.path {
            path.is_unproven |= is_unproven && path.key == key;
        }
        match request.path {
            Some(path) if path.key == key => self.path_closed(path, scene),
            _ => request
                .machine
                .leg_gone(key.leg, Code::Unreachable, scene.now),
        }
    }

    /// The other end of a leg that is left did not close in time.
    pub(crate) fn lingered(&mut self, connection: ConnectionId, scene: &mut Scene) {
        if let Some(key) = self.legs.key_of(connection)
            && self.legs.is_leaving(key)
        {
            self.gone(key, scene);
            self.obey(scene);
            self.pump(scene);
        }
    }

    /// Does what the machines ask for, until they ask for nothing.
    fn obey(&mut self, scene: &mut Scene) {
        while let Some((number, command)) = self.next_command() {
            let of = |leg| ClientLeg {
                request: number,
                leg,
            };
            let has_ended = self.requests[number].ends > 0;
            scene.check(invariants::nothing_follows_the_end(has_ended));
            match command {
                Command::Dial(leg, hop) => {
                    let redirects = self.requests[number].redirects;
                    scene.check(invariants::redirects_end(redirects));
                    self.requests[number].connected = None;
                    self.legs.dial(of(leg), &hop.node, scene);
                }
                Command::Send(leg, frame) => {
                    if let Frame::Connect(connect) = &frame {
                        self.requests[number].connected = Some(scene.now);
                        if self.requests[number].forged.is_none() {
                            let lives = self.living_desk().and_then(|desk| desk.session.id());
                            let verdict = scene.ledger.requests.connects(connect, lives);
                            scene.check(verdict);
                        }
                        let asked = What::Asked {
                            attempt: connect.attempt,
                            resumes: connect.resume.is_some(),
                        };
                        scene.saw(self.who(), asked);
                    }
                    self.legs.send(of(leg), &frame, scene);
                }
                Command::Close(leg, how) => self.legs.close(of(leg), how, scene),
                Command::StartPath {
                    leg,
                    path,
                    attempt,
                    resume,
                    direct,
                } => {
                    scene.ledger.requests.paired(attempt);
                    let key = of(leg);
                    let path = PathOf {
                        key,
                        path,
                        attempt,
                        resume,
                        failure: None,
                        direct,
                        tries: false,
                        is_unproven: false,
                    };
                    self.start_path(path, scene);
                }
                Command::Reached { attempt, stage, .. } => {
                    scene.note(self.who(), "reached", [stage as u64, 0], || {
                        format!("{stage} by {attempt}")
                    });
                }
                Command::Again(attempt) => {
                    scene.note(self.who(), "again", [0; 2], || attempt.to_string());
                    self.requests[number].redirects = 0;
                }
                Command::Learnt(network, lesson) => {
                    self.networks.learn(&network, lesson, scene.now);
                }
                Command::Ended(ended) => {
                    scene.note(self.who(), "request ended", [number as u64, 0], || {
                        format!("{} {} at {}", ended.attempt, ended.code, ended.stage)
                    });
                    self.requests[number].ends += 1;
                    self.requests[number].connected = None;
                    let (attempt, code) = (ended.attempt, ended.code.clone());
                    scene.saw(self.who(), What::RequestEnded { attempt, code });
                    self.request_over(ended.code, scene);
                }
            }
        }
    }

    fn next_command(&mut self) -> Option<(usize, Command)> {
        self.requests
            .iter_mut()
            .enumerate()
            .find_map(|(number, request)| Some((number, request.machine.poll_command()?)))
    }

    fn start_path(&mut self, path: PathOf, scene: &mut Scene) {
        let key = path.key;
        self.requests[key.request].path = Some(path);
        self.requests[key.request].connected = None;
        let me = Peer {
            device: client_device(self.plan.device),
            computer: ComputerId([0; 10]),
        };
        let path_key = PathKey(LegKey::from(key).0);
        let end = EndPath::new(path_key, me, true, path.direct);
        let Some((leg, end)) = self.legs.start(key, end) else {
            return;
        };
        end.begin(leg, &mut scene.dice);
        let connection = leg.connection;
        self.legs.flush(key, scene);
        scene.after(
            limits::INNER_HANDSHAKE,
            Event::InnerOver(self.who(), connection),
        );
    }

    /// The inner handshake has had its time.
    pub(crate) fn inner_over(&mut self, connection: ConnectionId, scene: &mut Scene) {
        let Some(key) = self.legs.key_of(connection) else {
            return;
        };
        if let Some((_, path)) = self.legs.path(key)
            && !path.is_secured()
        {
            if let Some(path) = &mut self.requests[key.request].path {
                path.failure = Some(Code::Identity);
            }
            self.gone(key, scene);
            self.obey(scene);
            self.pump(scene);
        }
    }

    /// A path puts its outer TLS down.
    pub(crate) fn switch(&mut self, connection: ConnectionId, scene: &mut Scene) {
        if let Some(key) = self.legs.key_of(connection) {
            let path = self.requests[key.request].path;
            let is_first = path.is_some_and(|path| path.key == key && path.tries);
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
            self.pump(scene);
        }
    }

    /// A request has ended: the session, where no other request carries it or tries to.
    fn request_over(&mut self, code: Reason, scene: &mut Scene) {
        let is_own = |request: &&Request| request.forged.is_none();
        if self.requests.iter().filter(is_own).all(|one| one.ends > 0)
            && let Some(desk) = &mut self.desk
            && !desk.session.is_ended()
        {
            desk.session.close(code);
            self.pump(scene);
        }
    }

    /// The person gives up, or the program is told to stop.
    pub(crate) fn stop(&mut self, scene: &mut Scene) {
        if let Some(desk) = &mut self.desk {
            desk.session.close(Code::Interrupted);
        }
        self.pump(scene);
        self.cancel_dials(scene);
    }

    /// Ends every request that has no path.
    fn cancel_dials(&mut self, scene: &mut Scene) {
        let is_over = self
            .desk
            .as_ref()
            .is_none_or(|desk| desk.session.is_ended());
        for number in 0..self.requests.len() {
            let request = &mut self.requests[number];
            if request.path.is_none() && request.ends == 0 {
                request.machine.cancel(scene.now);
            } else if is_over
                && let Some(path) = request.path
                && (request.forged.is_some()
                    || !self
                        .legs
                        .path(path.key)
                        .is_some_and(|(_, path)| path.is_secured()))
            {
                // A path without a session yet has none to end.
                self.gone(path.key, scene);
                self.requests[number].machine.cancel(scene.now);
            }
        }
        self.obey(scene);
    }

    /// What holds of a client at any time.
    pub(crate) fn judge(&mut self, scene: &mut Scene) {
        for since in self.requests.iter().filter_map(|request| request.connected) {
            scene.check(invariants::nobody_waits_too_long(
                "the answer to CONNECT",
                since,
                scene.now,
                limits::CONNECT,
            ));
        }
        if let Some(desk) = &self.desk {
            desk.judge(scene);
            desk.judge_path(&self.legs, scene);
        }
    }

    /// The desk of the session, while it lives.
    pub(crate) fn living_desk(&self) -> Option<&Desk<ClientRole>> {
        self.desk.as_ref().filter(|desk| !desk.session.is_ended())
    }

    /// Everybody has left: nothing is here any more.
    pub(crate) fn judge_end(&self, scene: &mut Scene) {
        for request in &self.requests {
            scene.check(invariants::one_end_per_request(request.ends));
        }
        let is_live = |desk: &&Desk<ClientRole>| !desk.session.is_ended();
        for (what, count) in [
            ("legs of a client", self.legs.len()),
            (
                "sessions of a client",
                self.desk.iter().filter(is_live).count(),
            ),
            (
                "timers of a client",
                usize::from(self.next_timeout().is_some()),
            ),
        ] {
            scene.check(invariants::nothing_is_left(what, count));
        }
    }
}

/// How a path ended for its request, where no session says so.
fn without_session(failure: Option<Code>) -> PathEnd {
    match failure {
        Some(code) => PathEnd::Closed {
            code: code.into(),
            stage: Stage::Inner,
        },
        None => PathEnd::Lost {
            stage: Stage::Inner,
            resume: None,
        },
    }
}
