//! Agents that come up and stay: each by its own machine, with one desktop behind all of them.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde::Serialize;
use telerelay_endpoint::{
    Agent, AgentConfig, AgentEvent, LocalAddress, Mark, PathChoice, SessionRules, Sink,
};
use telerelay_wire::bounded::List;
use telerelay_wire::ids::{PathId, Service};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::LoadError;
use crate::desktop::Desktop;
use crate::lock;
use crate::play::Models;
use crate::sources::Sources;
use crate::tenant::{Device, Tenant};
use crate::visit::program;

/// How long agents that are told to stop have: what the slowest may take, and a margin.
const FAREWELL: Duration = Duration::from_secs(15);
/// Of a hundred agents, so many are nearly all.
const NEARLY_ALL: usize = 99;
/// Moments that wait for somebody who looks.
const MOMENTS: usize = 64;

/// What is behind all agents.
#[derive(Clone, Debug)]
pub enum Office {
    /// A desktop of this process, which is no RFB, and the screens that viewers may ask it for.
    Own(Models),
    /// Another desktop, without a guard.
    Open(LocalAddress),
    /// Another desktop, which is RFB, and a guard in front of it.
    Guarded(LocalAddress),
    /// The same, and the guard draws its screen anew with a mark over it.
    Marked(LocalAddress),
}

/// One of the two ways in which an agent starts.
type StartAgent = fn(AgentConfig, Handle, Sink<AgentEvent>) -> Result<Agent, rustls::Error>;

/// Agents that run.
pub struct Fleet {
    tenant: Tenant,
    desktop: LocalAddress,
    start: StartAgent,
    agents: Arc<Mutex<Vec<Agent>>>,
    board: Arc<Board>,
    asked: mpsc::UnboundedSender<(usize, PathId)>,
    moments: mpsc::Receiver<Moment>,
    verdicts: JoinHandle<()>,
    _own: Option<Desktop>,
}

/// Something that happened to all of them together.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// What.
    #[serde(skip)]
    pub event: &'static str,
    /// How many of a hundred are online: for `ready` 99, then 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<usize>,
    /// How long it took, since the first left or, at the beginning, since they began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_s: Option<f64>,
    /// For `lost`, why the first one is not online any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How many are online.
    pub online: usize,
}

/// How they stand.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Standing {
    /// How many have their ready connection, or had it when they last told.
    pub online: usize,
    /// Sessions that are open.
    pub sessions: u64,
    /// Sessions and attempts that ended, by their codes.
    pub ended: BTreeMap<String, u64>,
    /// How often an agent lost its ready connection or could not make one, by codes.
    pub offline: BTreeMap<String, u64>,
}

impl Fleet {
    /// Starts them all; each dials at once. `first` is the number of the first, which chooses its source address.
    pub fn start(
        tenant: &Tenant,
        devices: Vec<Device>,
        first: usize,
        sources: Sources,
        office: Office,
    ) -> Result<Self, LoadError> {
        let fleet = Self::new(tenant, devices.len(), office)?;
        for (number, device) in devices.into_iter().enumerate() {
            fleet.add(device, sources.of(first + number))?;
        }
        Ok(fleet)
    }

    /// One that is to have so many agents, and has none yet.
    pub(crate) fn new(tenant: &Tenant, count: usize, office: Office) -> Result<Self, LoadError> {
        let mut watermark = None;
        let (own, desktop, start): (_, _, StartAgent) = match office {
            Office::Own(models) => {
                let own = Desktop::start(models)?;
                let address = own.address();
                (Some(own), address, Agent::start_open)
            }
            Office::Open(desktop) => (None, desktop, Agent::start_open),
            Office::Guarded(desktop) => (None, desktop, Agent::start),
            Office::Marked(desktop) => {
                watermark = Some(bars());
                (None, desktop, Agent::start)
            }
        };
        let (happened, moments) = mpsc::channel(MOMENTS);
        let (asked, questions) = mpsc::unbounded_channel();
        let agents = Arc::default();
        Ok(Self {
            tenant: tenant.clone(),
            desktop,
            start,
            verdicts: tokio::spawn(allow_all(Arc::clone(&agents), watermark, questions)),
            agents,
            board: Arc::new(Board::new(count, happened)),
            asked,
            moments,
            _own: own,
        })
    }

    /// Starts one more, which dials at once.
    pub(crate) fn add(&self, device: Device, source: Option<IpAddr>) -> Result<(), LoadError> {
        let config = AgentConfig {
            credentials: device.credentials,
            pins: self.tenant.cluster.pins,
            nodes: self.tenant.cluster.nodes.clone(),
            source,
            root: self.tenant.root()?,
            revoked: Vec::new(),
            desktop: self.desktop.clone(),
            service: Service::Rfb,
            secret: None,
            program: program(),
            path: PathChoice::Auto,
        };
        // Held until it is in its place: whoever answers a question looks there.
        let mut agents = lock(&self.agents);
        let number = agents.len();
        let (board, asked) = (self.board.clone(), self.asked.clone());
        let sink = move |event| {
            if let AgentEvent::Incoming(incoming) = &event {
                // An agent must not be called from here. A fleet that ends answers nothing.
                let _ending = asked.send((number, incoming.path));
            }
            board.heard(number, &event);
        };
        self.board.lock().here += 1;
        match (self.start)(config, Handle::current(), Arc::new(sink)) {
            Ok(agent) => agents.push(agent),
            Err(error) => {
                self.board.lock().here -= 1;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// How many were started.
    pub(crate) fn started(&self) -> usize {
        lock(&self.agents).len()
    }

    /// The next thing that happens to all of them together. Safe to drop.
    pub async fn moment(&mut self) -> Moment {
        match self.moments.recv().await {
            Some(moment) => moment,
            // The board lives as long as the fleet, and tells.
            None => std::future::pending().await,
        }
    }

    /// How they stand now.
    pub fn standing(&self) -> Standing {
        self.board.lock().standing.clone()
    }

    /// Lets them all leave. How many did not within their time.
    pub async fn stop(&self) -> usize {
        lock(&self.agents).iter().for_each(Agent::stop);
        let left = async {
            loop {
                let changed = self.board.left.notified();
                if self.board.lock().here == 0 {
                    return;
                }
                changed.await;
            }
        };
        // Those that are late are counted.
        let _in_time = timeout(FAREWELL, left).await;
        self.board.lock().here
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.verdicts.abort();
        lock(&self.agents).iter().for_each(Agent::stop);
    }
}

/// The verdict of every agent, at once: whom the node lets through is let in.
async fn allow_all(
    agents: Arc<Mutex<Vec<Agent>>>,
    watermark: Option<Mark>,
    mut questions: mpsc::UnboundedReceiver<(usize, PathId)>,
) {
    let rules = SessionRules {
        sessions: 8,
        resume_limit: 0,
        idle_timeout: 0,
        view_only: false,
        watermark,
        ends: None,
        notices: List::default(),
        shown: Vec::new(),
    };
    while let Some((number, path)) = questions.recv().await {
        lock(&agents)[number].allow(path, rules.clone());
    }
}

/// A mark of slanting bars, dark beside light, that cover as much of the screen as letters do.
fn bars() -> Mark {
    let (width, height) = (480, 300);
    let weight = |at: u32| match (at % width + at / width) % 60 {
        0..3 => -24,
        3..6 => 24,
        _ => 0,
    };
    let weights: Vec<i8> = (0..width * height).map(weight).collect();
    Mark::new(480, &weights).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Where all agents of the process are told of.
#[derive(Debug)]
struct Board {
    state: Mutex<State>,
    moments: mpsc::Sender<Moment>,
    /// One more has left.
    left: Notify,
}

#[derive(Debug)]
struct State {
    online: Box<[bool]>,
    standing: Standing,
    /// Agents that did not stop.
    here: usize,
    /// Since when they are not all online, and whether nearly all were meanwhile.
    away: Option<(Instant, bool)>,
}

impl Board {
    fn new(agents: usize, moments: mpsc::Sender<Moment>) -> Self {
        Self {
            state: Mutex::new(State {
                online: vec![false; agents].into(),
                standing: Standing::default(),
                here: 0,
                away: Some((Instant::now(), false)),
            }),
            moments,
            left: Notify::new(),
        }
    }

    fn heard(&self, number: usize, event: &AgentEvent) {
        let mut state = self.lock();
        match event {
            AgentEvent::Online { .. } => {
                if !std::mem::replace(&mut state.online[number], true) {
                    state.standing.online += 1;
                    state.came(|moment| self.tell(moment));
                }
            }
            AgentEvent::Offline { reason, .. } => {
                let code = reason.to_string();
                *state.standing.offline.entry(code.clone()).or_default() += 1;
                if std::mem::replace(&mut state.online[number], false) {
                    state.standing.online -= 1;
                    state.went(code, |moment| self.tell(moment));
                }
            }
            AgentEvent::Opened(_) => state.standing.sessions += 1,
            AgentEvent::Ended(ended) => {
                state.standing.sessions -= u64::from(ended.session.is_some());
                *state
                    .standing
                    .ended
                    .entry(ended.code.to_string())
                    .or_default() += 1;
            }
            AgentEvent::Stopped => {
                state.here -= 1;
                self.left.notify_waiters();
            }
            AgentEvent::Incoming(_) | AgentEvent::News(_) => {}
        }
    }

    fn tell(&self, moment: Moment) {
        // Nobody listens any more where the fleet is stopping, and nobody did where it is full.
        let _unheard = self.moments.try_send(moment);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn came(&mut self, tell: impl Fn(Moment)) {
        let (online, all) = (self.standing.online, self.online.len());
        let Some((since, told_nearly)) = &mut self.away else {
            return;
        };
        let took_s = Some(since.elapsed().as_secs_f64());
        let ready = |percent| Moment {
            event: "ready",
            percent: Some(percent),
            took_s,
            code: None,
            online,
        };
        if !*told_nearly && online * 100 >= all * NEARLY_ALL {
            *told_nearly = true;
            tell(ready(NEARLY_ALL));
        }
        if online == all {
            self.away = None;
            tell(ready(100));
        }
    }

    fn went(&mut self, code: String, tell: impl Fn(Moment)) {
        if self.away.is_none() {
            self.away = Some((Instant::now(), false));
            tell(Moment {
                event: "lost",
                percent: None,
                took_s: None,
                code: Some(code),
                online: self.standing.online,
            });
        }
    }
}
