//! The office PC's endpoint: one ready connection, and the sessions of its desktop (PROTOCOL.md §5.4).
mod serve;
mod sessions;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use telerelay_guard::redraw::Mark;
use telerelay_guard::rfb::Secret;
use telerelay_leg::config::Language;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::dial::Dialer;
use telerelay_leg::trust::{Anchor, Pins, Revoked};
use telerelay_outer::agent::{self as machine, Command, PathReport, Verdict};
use telerelay_outer::{How, LegKey, PathChoice};
use telerelay_wire::bounded::{List, Text};
use telerelay_wire::frame::FrameError;
use telerelay_wire::ids::{DeviceId, Instance, NodeAddress, PathId, Program, Service};
use telerelay_wire::outer::{Features, Frame, Incoming};
use telerelay_wire::{Code, Moment, Reason, limits};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::clock::{Clock, OsEntropy};
use crate::connection::{Leg, Legs, Order, Owner};
use crate::event::{AgentEvent, Ended, Sink};
use crate::local::LocalAddress;
use sessions::Sessions;

/// How long the sessions of a stopping agent have to say CLOSE, and then their reports to leave: what either may take, and a margin.
const FAREWELL: Duration = limits::LINGER.saturating_add(Duration::from_secs(1));
/// How long what was allowed waits for its path: the machine gives the leg up first.
const ALLOWED: Duration = limits::PAIRED.saturating_mul(2);

/// What an agent is and serves.
pub struct AgentConfig {
    /// What it proves who it is with, to nodes and to clients.
    pub credentials: Credentials,
    /// The keys of its cluster.
    pub pins: Pins,
    /// The nodes that it knows.
    pub nodes: Vec<NodeAddress>,
    /// The address that it dials from; `None`: the one that the kernel chooses.
    pub source: Option<IpAddr>,
    /// Its organisation.
    pub root: Anchor,
    /// The revocation list in force.
    pub revoked: Vec<DeviceId>,
    /// The desktop, and nothing else.
    pub desktop: LocalAddress,
    /// What the desktop speaks.
    pub service: Service,
    /// What the desktop asks for where it wants a password.
    pub secret: Option<Secret>,
    /// Its program and version.
    pub program: Program,
    /// Whether its legs may put their outer TLS down.
    pub path: PathChoice,
}

/// What the verdict allows for one session (PROTOCOL.md §9, rules).
#[derive(Clone, Debug)]
pub struct SessionRules {
    /// Side by side.
    pub sessions: u16,
    /// Seconds that a session lives without a path.
    pub resume_limit: u32,
    /// Seconds without input after which a guard ends the session; 0 = it does not.
    pub idle_timeout: u32,
    /// The client sees and does not type.
    pub view_only: bool,
    /// What is drawn over the screen.
    pub watermark: Option<Mark>,
    /// How long a session lasts at most, from PAIRED on, and the code that it ends with then.
    pub ends: Option<(Duration, Code)>,
    /// Texts that the person confirms before a session opens.
    pub notices: List<Text<1, 8000>, 0, 16>,
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
    secret: Option<Secret>,
    guarding: Guarding,
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
    /// What was allowed and is not a path yet, with the moment at which it is forgotten.
    allowed: BTreeMap<PathId, (SessionRules, Moment)>,
    /// Paths that began and whose end was not told, by their legs.
    paths: BTreeMap<LegKey, Begun>,
    leaving: Leaving,
}

/// What stands between sessions and the desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guarding {
    Rfb,
    #[cfg(feature = "open")]
    Open,
}

/// How far an agent that stops has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leaving {
    No,
    /// Nobody is let in any more.
    Begun,
    /// `Stopped` was told.
    Over,
}

/// A path that began.
#[derive(Clone)]
struct Begun {
    incoming: Arc<Incoming>,
    at: Moment,
}

/// What a leg needs to become a path.
struct PathStart {
    begun: Begun,
    rules: SessionRules,
    direct: bool,
}

impl Agent {
    /// Dials at once, on tasks of `runtime`.
    pub fn start(
        config: AgentConfig,
        runtime: Handle,
        sink: Sink<AgentEvent>,
    ) -> Result<Self, rustls::Error> {
        Self::start_as(Guarding::Rfb, config, runtime, sink)
    }

    /// The same without a guard: whatever the desktop says goes home, whatever the client says goes to the desktop.
    #[cfg(feature = "open")]
    pub fn start_open(
        config: AgentConfig,
        runtime: Handle,
        sink: Sink<AgentEvent>,
    ) -> Result<Self, rustls::Error> {
        Self::start_as(Guarding::Open, config, runtime, sink)
    }

    fn start_as(
        guarding: Guarding,
        config: AgentConfig,
        runtime: Handle,
        sink: Sink<AgentEvent>,
    ) -> Result<Self, rustls::Error> {
        let clock = Clock::start();
        let AgentConfig {
            credentials,
            pins,
            nodes,
            source,
            root,
            revoked,
            desktop,
            service,
            secret,
            program,
            path,
        } = config;
        let in_force = Revoked::default();
        in_force.replace(revoked);
        let dialer =
            Dialer::new(pins, Some(&credentials), Language::Telerelay)?.from_source(source);
        let instance = Instance::random(&mut OsEntropy);
        let machine = machine::Config {
            nodes,
            instance,
            features: Features::default(),
            program,
            path,
        };
        let office = Arc::new(Office {
            runtime,
            credentials,
            dialer,
            root: Arc::new(root),
            desktop,
            service,
            secret,
            guarding,
            revoked: Arc::new(in_force),
            sessions: Sessions::default(),
            clock,
            state: Mutex::new(State {
                machine: machine::Agent::new(machine, Clock::unix(), clock.now()),
                legs: Legs::default(),
                asked: None,
                allowed: BTreeMap::new(),
                paths: BTreeMap::new(),
                leaving: Leaving::No,
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
            let verdict = if state.leaving > Leaving::No {
                Verdict::Refuse(Code::Absent.into())
            } else if incoming.resume.is_some() {
                // A session lives on one path so far, and has ended with it.
                Verdict::Refuse(Code::SessionGone.into())
            } else if incoming.service != office.service || !office.is_guarded(incoming.service) {
                Verdict::Refuse(Code::Unsupported.into())
            } else {
                state.allowed.retain(|_, (_, overdue)| *overdue > now);
                state.allowed.insert(path, (rules, now + ALLOWED));
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

    /// Ends every session and leaves. `Stopped` follows, once, however often this is called.
    pub fn stop(&self) {
        let mut state = self.0.lock();
        if state.leaving == Leaving::No {
            state.leaving = Leaving::Begun;
            self.0.runtime.spawn(self.0.clone().leave());
        }
    }
}

impl Office {
    /// Whether there is a guard for what this desktop speaks, where one is wanted.
    fn is_guarded(&self, service: Service) -> bool {
        self.guarding != Guarding::Rfb || service == Service::Rfb
    }

    fn drive(self: &Arc<Self>, act: impl FnOnce(&mut machine::Agent, Moment)) {
        self.drive_state(|state, now| act(&mut state.machine, now));
    }

    /// Lets something happen to the machine, and does what it asks for.
    fn drive_state(self: &Arc<Self>, act: impl FnOnce(&mut State, Moment)) {
        let mut state = self.lock();
        let now = self.clock.now();
        act(&mut state, now);
        while let Some(command) = state.machine.poll_command() {
            self.obey(&mut state, command, now);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn obey(self: &Arc<Self>, state: &mut State, command: Command, now: Moment) {
        match command {
            Command::Dial(key, hop) => state.legs.dial(self, key, hop),
            Command::Send(key, frame) => state.legs.order(key, Order::Send(frame)),
            Command::Close(key, how) => state.legs.order(key, Order::Close(how)),
            Command::Verdict(incoming) if state.leaving > Leaving::No => {
                let refused = Verdict::Refuse(Code::Absent.into());
                state
                    .machine
                    .verdict(incoming.path, refused, now, &mut OsEntropy);
            }
            Command::Verdict(incoming) => {
                state.asked = Some(incoming.clone());
                (self.sink)(AgentEvent::Incoming(incoming));
            }
            Command::StartPath {
                leg: key,
                incoming,
                direct,
            } => {
                let path = incoming.path;
                let begun = Begun {
                    incoming: Arc::from(incoming),
                    at: now,
                };
                state.paths.insert(key, begun.clone());
                state.machine.set_live(true, now);
                // Without rules it ends before it began; its leg tells so, like that of a path whose task is gone.
                let order = match state.allowed.remove(&path) {
                    Some((rules, _)) => Order::Start(PathStart {
                        begun,
                        rules,
                        direct,
                    }),
                    None => Order::Close(How::AtOnce),
                };
                state.legs.order(key, order);
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

    /// The path of a leg has ended: told once, whoever comes first.
    fn path_over(
        &self,
        state: &mut State,
        key: LegKey,
        now: Moment,
        end: impl FnOnce(&Begun) -> (Ended, PathReport),
    ) {
        let Some(begun) = state.paths.remove(&key) else {
            return;
        };
        let (ended, report) = end(&begun);
        (self.sink)(AgentEvent::Ended(Box::new(ended)));
        state.machine.path_ended(begun.incoming.path, report, now);
        state.machine.set_live(!state.paths.is_empty(), now);
    }

    /// Calls the machine when its time has come.
    async fn keep_time(self: Arc<Self>) {
        let _watch = Watch(&self);
        loop {
            let changed = self.changed.notified();
            let next = {
                let state = self.lock();
                if state.leaving == Leaving::Over {
                    return;
                }
                state.machine.next_timeout()
            };
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
        self.sessions.close(Code::Absent);
        self.until("sessions", |state| state.paths.is_empty()).await;
        self.drive(|machine, _| machine.stop());
        self.until("legs", |state| state.legs.is_empty()).await;
        // What is left does not end by itself in time. Nothing may follow `Stopped`.
        self.lock().legs.abort();
        self.until("tasks", |state| state.legs.is_empty()).await;
        let mut state = self.lock();
        state.leaving = Leaving::Over;
        (self.sink)(AgentEvent::Stopped);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits for a condition, at most [`FAREWELL`].
    async fn until(&self, what: &str, is_met: impl Fn(&State) -> bool) {
        let met = async {
            loop {
                let changed = self.changed.notified();
                if is_met(&self.lock()) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(FAREWELL, met).await.is_err() {
            tracing::warn!(what, "the agent leaves before everything was said");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without its time an agent is deaf: whoever runs it must learn that.
struct Watch<'a>(&'a Office);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(code = "INTERNAL", "the agent's time panicked");
            (self.0.sink)(AgentEvent::Offline {
                reason: Code::Internal.into(),
                wait: None,
            });
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

    fn leg_up(self: &Arc<Self>, leg: LegKey, local: IpAddr) {
        self.drive(|machine, now| machine.leg_up(leg, local, now));
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
        self.drive_state(|state, now| {
            state.legs.remove(leg);
            let code = match state.leaving {
                Leaving::No => Code::Internal,
                _ => Code::Absent,
            };
            self.path_over(state, leg, now, |begun| {
                serve::broke_off(&begun.incoming, code, now.since(begun.at))
            });
        });
    }

    async fn path(self: &Arc<Self>, key: LegKey, leg: Leg, start: PathStart) {
        let end = serve::run(self, leg, &start).await;
        self.drive_state(|state, now| self.path_over(state, key, now, |_| end));
    }
}

/// A node's code, or what it means where this version does not know it.
fn known(reason: &Reason, otherwise: Code) -> Code {
    match reason {
        Reason::Known(code) => *code,
        Reason::Unknown(_) => otherwise,
    }
}
