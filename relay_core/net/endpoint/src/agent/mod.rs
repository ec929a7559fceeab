//! The office PC's endpoint: one ready connection, and the sessions of its desktop (PROTOCOL.md §5.4).
mod serve;
mod sessions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use telerelay_leg::config::Language;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::dial::Dialer;
use telerelay_leg::trust::{Anchor, Pins, Revoked};
use telerelay_outer::agent::{self as machine, Command, Verdict};
use telerelay_outer::{How, LegKey};
use telerelay_wire::frame::FrameError;
use telerelay_wire::ids::{DeviceId, Instance, NodeAddress, PathId, Program, Service};
use telerelay_wire::outer::{Features, Frame, Incoming};
use telerelay_wire::{Code, Moment, Reason, limits};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::clock::{Clock, OsEntropy};
use crate::connection::{Leg, Legs, Order, Owner};
use crate::event::{AgentEvent, Sink};
use crate::local::LocalAddress;
use sessions::Sessions;

/// How long the sessions of a stopping agent have to say CLOSE, and their reports to leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// What an agent is and serves.
pub struct AgentConfig {
    /// What it proves who it is with, to nodes and to clients.
    pub credentials: Credentials,
    /// The keys of its cluster.
    pub pins: Pins,
    /// The nodes that it knows.
    pub nodes: Vec<NodeAddress>,
    /// Its organisation.
    pub root: Anchor,
    /// The revocation list in force.
    pub revoked: Vec<DeviceId>,
    /// The desktop, and nothing else.
    pub desktop: LocalAddress,
    /// What the desktop speaks.
    pub service: Service,
    /// Its program and version.
    pub program: Program,
}

/// What the verdict allows for one session (PROTOCOL.md §9, rules).
#[derive(Clone, Debug)]
pub struct SessionRules {
    /// Side by side.
    pub sessions: u16,
    /// Seconds that a session lives without a path.
    pub resume_limit: u32,
    /// Seconds without input.
    pub idle_timeout: u32,
    /// What the person is shown.
    pub shown: Vec<String>,
}

/// A running agent.
#[derive(Clone)]
pub struct Agent(Arc<Office>);

/// Everything that the agent's tasks share.
struct Office {
    runtime: Handle,
    credentials: Credentials,
    dialer: Dialer,
    root: Arc<Anchor>,
    desktop: LocalAddress,
    service: Service,
    revoked: Arc<Revoked>,
    sessions: Sessions,
    clock: Clock,
    state: Mutex<State>,
    /// The machine's next timeout, or the set of legs, has changed.
    changed: Notify,
    sink: Sink<AgentEvent>,
}

struct State {
    machine: machine::Agent,
    legs: Legs<PathStart>,
    /// INCOMING that waits for its verdict.
    asked: Option<Box<Incoming>>,
    /// What was allowed and is not a path yet, with the moment at which PAIRED is overdue.
    allowed: BTreeMap<PathId, (SessionRules, Moment)>,
    /// Paths that run.
    paths: usize,
}

/// What a leg needs to become a path.
struct PathStart {
    incoming: Box<Incoming>,
    rules: SessionRules,
}

impl Agent {
    /// Dials at once, on tasks of `runtime`.
    pub fn start(
        config: AgentConfig,
        runtime: Handle,
        sink: Sink<AgentEvent>,
    ) -> Result<Self, rustls::Error> {
        let clock = Clock::start();
        let AgentConfig {
            credentials,
            pins,
            nodes,
            root,
            revoked,
            desktop,
            service,
            program,
        } = config;
        let in_force = Revoked::default();
        in_force.replace(revoked);
        let dialer = Dialer::new(pins, Some(&credentials), Language::Telerelay)?;
        let instance = Instance::random(&mut OsEntropy);
        let machine = machine::Config {
            nodes,
            instance,
            features: Features::default(),
            program,
        };
        let office = Arc::new(Office {
            runtime,
            credentials,
            dialer,
            root: Arc::new(root),
            desktop,
            service,
            revoked: Arc::new(in_force),
            sessions: Sessions::default(),
            clock,
            state: Mutex::new(State {
                machine: machine::Agent::new(machine, Clock::unix(), clock.now()),
                legs: Legs::default(),
                asked: None,
                allowed: BTreeMap::new(),
                paths: 0,
            }),
            changed: Notify::new(),
            sink,
        });
        office.drive(|machine, now| machine.start(now, &mut OsEntropy));
        office.runtime.spawn(office.clone().keep_time());
        Ok(Self(office))
    }

    /// The answer to `Incoming`: accept. A late one is ignored.
    pub fn allow(&self, path: PathId, rules: SessionRules) {
        let office = &self.0;
        office.drive_state(|state, now| {
            let Some(incoming) = state.asked.take_if(|incoming| incoming.path == path) else {
                return;
            };
            let verdict = if incoming.resume.is_some() {
                // A session lives on one path so far, and has ended with it.
                Verdict::Refuse(Code::SessionGone.into())
            } else if incoming.service != office.service {
                Verdict::Refuse(Code::Unsupported.into())
            } else {
                state.allowed.retain(|_, (_, overdue)| *overdue > now);
                state.allowed.insert(path, (rules, now + limits::PAIRED));
                Verdict::Allow
            };
            state.machine.verdict(path, verdict, now, &mut OsEntropy);
        });
    }

    /// The answer to `Incoming`: refuse. A late one is ignored.
    pub fn refuse(&self, path: PathId, code: Reason) {
        self.0.drive_state(|state, now| {
            if state
                .asked
                .take_if(|incoming| incoming.path == path)
                .is_some()
            {
                state
                    .machine
                    .verdict(path, Verdict::Refuse(code), now, &mut OsEntropy);
            }
        });
    }

    /// The revocation list in force: no inner handshake with these, their sessions end.
    pub fn set_revoked(&self, devices: Vec<DeviceId>) {
        self.0.revoked.replace(devices);
        self.0
            .sessions
            .end_devices(Code::Revoked, |device| self.0.revoked.contains(device));
    }

    /// The node list in force, for the next dial.
    pub fn set_nodes(&self, nodes: Vec<NodeAddress>) {
        self.0.drive(|machine, _| machine.set_nodes(nodes));
    }

    /// Ends every session and leaves. `Stopped` follows.
    pub fn stop(&self) {
        self.0.runtime.spawn(self.0.clone().leave());
    }
}

impl Office {
    fn drive(self: &Arc<Self>, act: impl FnOnce(&mut machine::Agent, Moment)) {
        self.drive_state(|state, now| act(&mut state.machine, now));
    }

    /// Lets something happen to the machine, and does what it asks for.
    fn drive_state(self: &Arc<Self>, act: impl FnOnce(&mut State, Moment)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut state, self.clock.now());
        while let Some(command) = state.machine.poll_command() {
            self.obey(&mut state, command);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn obey(self: &Arc<Self>, state: &mut State, command: Command) {
        match command {
            Command::Dial(key, hop) => state.legs.dial(self, key, hop),
            Command::Send(key, frame) => state.legs.order(key, Order::Send(frame)),
            Command::Close(key, how) => state.legs.order(key, Order::Close(how)),
            Command::Verdict(incoming) => {
                state.asked = Some(incoming.clone());
                (self.sink)(AgentEvent::Incoming(incoming));
            }
            Command::StartPath(key, incoming) => {
                let Some((rules, _)) = state.allowed.remove(&incoming.path) else {
                    return state.legs.order(key, Order::Close(How::AtOnce));
                };
                state.paths += 1;
                state
                    .legs
                    .order(key, Order::Start(PathStart { incoming, rules }));
            }
            Command::Online { hop, welcome } => {
                (self.sink)(AgentEvent::Online {
                    address: hop.address.to_string(),
                    welcome,
                });
            }
            Command::Offline { reason, wait } => (self.sink)(AgentEvent::Offline { reason, wait }),
            Command::News(news) => (self.sink)(AgentEvent::News(news)),
            Command::Goaway(goaway) => {
                tracing::info!(spread_s = goaway.spread, "the relay node is about to stop");
            }
            Command::Cut(cut) => self
                .sessions
                .end_path(cut.path, known(&cut.code, Code::Cut)),
        }
    }

    /// Calls the machine when its time has come.
    async fn keep_time(self: Arc<Self>) {
        loop {
            let changed = self.changed.notified();
            let next = self
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .machine
                .next_timeout();
            let due = async {
                match next {
                    Some(moment) => tokio::time::sleep_until(self.clock.instant(moment)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.drive(|machine, now| machine.timeout(now, &mut OsEntropy)),
                () = changed => {}
            }
        }
    }

    async fn leave(self: Arc<Self>) {
        self.sessions.end_all(Code::Absent);
        self.until(|state| state.paths == 0).await;
        self.drive(|machine, _| machine.stop());
        self.until(|state| state.legs.is_empty()).await;
        (self.sink)(AgentEvent::Stopped);
    }

    /// Waits for a condition, at most [`FAREWELL`].
    async fn until(&self, is_met: impl Fn(&State) -> bool) {
        let met = async {
            loop {
                let changed = self.changed.notified();
                if is_met(&self.state.lock().unwrap_or_else(PoisonError::into_inner)) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(FAREWELL, met).await.is_err() {
            tracing::warn!("the agent leaves before everything was said");
        }
    }
}

impl Owner for Office {
    type Start = PathStart;

    fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    fn runtime(&self) -> &Handle {
        &self.runtime
    }

    fn leg_up(self: &Arc<Self>, leg: LegKey) {
        self.drive(|machine, now| machine.leg_up(leg, now));
    }

    fn frame(self: &Arc<Self>, leg: LegKey, frame: Frame<'_>) {
        self.drive(|machine, now| machine.frame(leg, frame, now, &mut OsEntropy));
    }

    fn frame_error(self: &Arc<Self>, leg: LegKey, error: FrameError) {
        self.drive(|machine, now| machine.frame_error(leg, error, now, &mut OsEntropy));
    }

    fn leg_gone(self: &Arc<Self>, leg: LegKey, code: Code) {
        self.drive(|machine, now| machine.leg_gone(leg, code, now, &mut OsEntropy));
    }

    fn leg_over(self: &Arc<Self>, leg: LegKey) {
        self.drive_state(|state, _| state.legs.remove(leg));
    }

    async fn path(self: &Arc<Self>, leg: Leg, start: PathStart) {
        let (path, report) = serve::run(self, leg, start).await;
        self.drive_state(|state, now| {
            state.paths -= 1;
            state.machine.path_ended(path, report);
            state.machine.set_live(state.paths > 0, now);
        });
    }
}

/// A node's code, or what it means where this version does not know it.
fn known(reason: &Reason, otherwise: Code) -> Code {
    match reason {
        Reason::Known(code) => *code,
        Reason::Unknown(_) => otherwise,
    }
}
