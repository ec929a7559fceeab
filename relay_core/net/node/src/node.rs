//! The handle of a relay node: everything that is said to it. No call waits for the network.
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use telerelay_engine::{self as engine, Counts, Engine, WAITS_US, Waits};
use telerelay_leg::config::NodeConfigs;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::socket::listen;
use telerelay_leg::trust::Anchor;
use telerelay_outer::node::{
    AttemptTicket, Decision, Greeting, Node as Machine, Plan, Scope, Side, Snapshot, Standing,
};
use telerelay_outer::{DIRECT, Purpose};
use telerelay_wire::Code;
use telerelay_wire::bounded::{List, Text};
use telerelay_wire::ids::{AttemptId, DeviceId, NodeName, OrganisationId};
use telerelay_wire::limits::{ARRIVALS_PER_WORKER, HANDSHAKES_PER_WORKER};
use telerelay_wire::outer::{Features, Goaway, News};

use crate::connection::Entrance;
use crate::control::Control;
use crate::descriptors::Descriptors;
use crate::door::Door;
use crate::event::{Event, Told};
use crate::timings::Distribution;
use crate::worker;

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name, which its certificate carries.
    pub name: NodeName,
    /// Where it listens, and for whom.
    pub listeners: Vec<(SocketAddr, Side)>,
    /// Its leaf and the cluster CA.
    pub credentials: Credentials,
    /// Threads that move bytes.
    pub workers: usize,
    /// The least of seconds over which agents spread their return (§5.10).
    pub return_window: u16,
    /// A sentence of the operator, for WELCOME.
    pub banner: Option<Text<0, 512>>,
    /// Networks that are not limited by address and have their own share of what is short (§1.3).
    pub trusted_networks: Vec<IpNet>,
    /// Handshakes that begin each second; `None`: what the workers bear.
    pub handshakes_per_s: Option<u32>,
    /// CONNECTs that are asked about each second; `None`: what the workers bear.
    pub arrivals_per_s: Option<u32>,
    /// Bytes of anonymous memory beyond which nobody new is let in and idle connections are closed (§1.3).
    pub memory_budget: u64,
}

/// A node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("{address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The process has too few descriptors.
    #[error("{has} descriptors: a node needs {least} at least")]
    Descriptors {
        /// How many it has.
        has: usize,
        /// How many it needs.
        least: usize,
    },
    /// No thread or no runtime could be made.
    #[error(transparent)]
    Machine(#[from] io::Error),
    /// It was started or stopped before.
    #[error("a node is started once")]
    Twice,
}

impl StartError {
    /// The code of PROTOCOL.md §13.
    pub fn code(&self) -> Code {
        match self {
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Code::AddressInUse
            }
            Self::Listen { .. } | Self::Descriptors { .. } | Self::Machine(_) => Code::Machine,
            Self::Twice => Code::Usage,
        }
    }
}

/// A relay node's data plane: listeners, admission, pairing, paths. Dropped, it stops at once.
pub struct Node {
    control: Arc<Control>,
    configs: NodeConfigs,
    life: Mutex<Life>,
    /// There once it has started.
    engine: OnceLock<Arc<Engine>>,
    workers: usize,
    return_window: u16,
    memory_budget: u64,
    descriptors: Descriptors,
    door: Arc<Door>,
}

/// How far a node has come.
enum Life {
    /// Where it will listen, and for whom.
    New(Vec<(SocketAddr, Side)>),
    /// Its threads tell its end.
    Started,
    /// It was stopped before it was started, and has told so.
    Stopped,
}

impl Node {
    /// A node that listens nowhere yet and admits nobody.
    pub fn new(config: Config, told: Arc<dyn Told>) -> Result<Self, rustls::Error> {
        let greeting = Greeting {
            node: config.name,
            features: direct(),
            return_window: config.return_window,
            banner: config.banner,
        };
        let workers = config.workers.max(1);
        let borne = |set: Option<u32>, per_worker: u32| {
            let workers = u32::try_from(workers).unwrap_or(u32::MAX);
            set.unwrap_or_else(|| per_worker.saturating_mul(workers))
        };
        let plan = Plan {
            arrivals_per_s: borne(config.arrivals_per_s, ARRIVALS_PER_WORKER),
            handshakes_per_s: borne(config.handshakes_per_s, HANDSHAKES_PER_WORKER),
        };
        let control = Arc::new(Control::new(greeting, plan, told));
        let descriptors = Descriptors::of_process(workers);
        let door = Door::new(
            plan.handshakes_per_s,
            config.memory_budget,
            config.trusted_networks,
            descriptors,
            control.clone(),
        );
        Ok(Self {
            configs: NodeConfigs::new(&config.credentials, &control.organisations)?,
            control,
            life: Mutex::new(Life::New(config.listeners)),
            engine: OnceLock::new(),
            workers,
            return_window: config.return_window,
            memory_budget: config.memory_budget,
            descriptors,
            door: Arc::new(door),
        })
    }

    /// Listens; the bound addresses in the order of the configuration. Without its threads ([`StartError::Machine`]) the node is at
    /// its end; where an address cannot be listened on it may be started again.
    pub fn start(&self) -> Result<Vec<SocketAddr>, StartError> {
        let (has, least) = (self.descriptors.all, self.descriptors.least());
        if has < least {
            return Err(StartError::Descriptors { has, least });
        }
        let mut life = self.life();
        let Life::New(listeners) = &*life else {
            return Err(StartError::Twice);
        };
        let mut opened = Vec::new();
        let mut bound = Vec::new();
        for &(address, side) in listeners {
            let open = || {
                let socket = listen(address)?;
                Ok((socket.local_addr()?, socket))
            };
            let (local, socket) =
                open().map_err(|source| StartError::Listen { address, source })?;
            let entrance = Entrance {
                control: self.control.clone(),
                door: self.door.clone(),
                configs: self.configs.clone(),
                side,
            };
            bound.push(local);
            opened.push((socket, entrance));
        }
        *life = Life::Started;
        let engine = engine::Config {
            workers: self.workers,
            pipes: self.descriptors.pipes(),
        };
        let engine =
            worker::start(&self.control, &self.door, opened, engine).inspect_err(|_| self.end())?;
        self.engine.get_or_init(|| engine);
        Ok(bound)
    }

    /// Replaces what handshakes and HELLO are admitted by. Legs that it refuses are closed with its code, their paths cut.
    pub fn set_snapshot(
        &self,
        organisations: Vec<(Anchor, Standing)>,
        revoked: BTreeSet<(OrganisationId, DeviceId)>,
        sessions: BTreeMap<OrganisationId, u32>,
        tests: BTreeSet<OrganisationId>,
        nodes_version: u64,
    ) {
        let snapshot = Snapshot {
            organisations: organisations
                .iter()
                .map(|(anchor, standing)| (anchor.id(), *standing))
                .collect(),
            revoked,
            sessions,
            tests,
            nodes_version,
        };
        // A suspended organisation still comes through the handshake: it is told so by a frame.
        let anchors = organisations
            .into_iter()
            .map(|(anchor, _)| Arc::new(anchor));
        self.control.organisations.replace(anchors);
        let snapshot = Arc::new(snapshot);
        self.control
            .with(|machine, now| machine.set_snapshot(snapshot, now));
    }

    /// Shows another leaf of the same cluster in handshakes that begin from here on. Nobody who is connected notices.
    pub fn show(&self, credentials: Credentials) {
        self.configs.show(credentials);
    }

    /// Whether an attempt still waits for [`decide`](Self::decide): its client may have left meanwhile.
    pub fn is_asked(&self, ticket: AttemptTicket) -> bool {
        self.control.look(|machine| machine.is_asked(ticket))
    }

    /// Answers [`Event::RouteAsked`]. Without effect on an attempt that does not wait for it any more.
    pub fn decide(&self, ticket: AttemptTicket, decision: Decision) {
        self.control
            .with(|machine, now| machine.decide(ticket, decision, now));
    }

    /// The START records of these attempts are durable, or could not be written.
    pub fn recorded(&self, tickets: &[AttemptTicket], written: Result<(), Code>) {
        self.control.with(|machine, now| {
            for &ticket in tickets {
                machine.recorded(ticket, written, now);
            }
        });
    }

    /// Sends NEWS on the ready connections of these devices.
    pub fn news(&self, scope: Scope, news: &News) {
        self.control.with(|machine, _| machine.news(scope, news));
    }

    /// Ends every path and every attempt of these devices. How many there were.
    pub fn cut(&self, scope: Scope, code: Code) -> usize {
        self.control
            .with(|machine, now| machine.cut(scope, code, now))
    }

    /// Ends the attempts of this name. How many there were.
    pub fn cut_named(&self, name: AttemptId, code: Code) -> usize {
        self.control
            .with(|machine, now| machine.cut_named(name, code, now))
    }

    /// Takes nothing new, until [`resume`](Self::resume). Sessions go on for as long as they want.
    pub fn drain(&self) {
        let goaway = self.goaway();
        self.control.with(|machine, _| machine.drain(&goaway));
    }

    /// Takes everybody again, unless it is stopping.
    pub fn resume(&self) {
        self.control.with(|machine, _| machine.resume());
    }

    /// Takes nothing new, lets sessions go on for `grace`, then cuts them (`DRAINED`) and closes. [`Event::Stopped`] follows.
    pub fn stop(&self, grace: Duration) {
        let goaway = self.goaway();
        self.control
            .with(|machine, now| machine.stop(now + grace, &goaway));
        let mut life = self.life();
        if matches!(*life, Life::New(_)) {
            *life = Life::Stopped;
            // No thread was started that could tell it.
            self.control.told.tell(Event::Stopped);
        }
    }

    /// Stops without any grace, whatever was granted before.
    fn end(&self) {
        let goaway = self.goaway();
        self.control.with(|machine, now| {
            machine.stop(now, &goaway);
            machine.cut(Scope::All, Code::Drained, now);
        });
    }

    fn goaway(&self) -> Goaway {
        Goaway {
            nodes: List::default(),
            spread: self.return_window,
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every counter and gauge by its name.
    pub fn statistics(&self) -> Vec<(String, u64)> {
        let look = |machine: &Machine| (machine.census(), machine.throttled());
        let (census, throttled) = self.control.look(look);
        let door = self.door.census();
        let gauges = [
            ("guests", door.guests),
            ("handshakes_waiting", door.waiting),
            ("api_anonymous", door.api),
            ("legs", census.legs),
            ("ready_agents", census.ready),
            ("devices", census.devices),
            ("attempts", census.attempts),
            ("live_paths", census.paths),
            ("connects_waiting", census.waiting),
            ("deadlines", census.deadlines),
            ("events_waiting", self.control.told.waiting()),
            ("pipes_limit", self.descriptors.pipes() * self.workers),
        ];
        let memory = [
            ("memory_budget", self.memory_budget),
            ("memory_used", door.memory),
            ("memory_short", door.short.into()),
        ];
        let gauges = gauges
            .map(|(name, value)| (name, value as u64))
            .into_iter()
            .chain(memory)
            .map(|(name, value)| (name.to_owned(), value));
        let engine = self
            .engine
            .get()
            .map_or_else(Counts::default, |engine| engine.counts());
        self.control
            .counters
            .all(&throttled, &engine)
            .into_iter()
            .chain(gauges)
            .collect()
    }

    /// Every histogram by its name.
    pub fn distributions(&self) -> Vec<(String, Distribution)> {
        let waits = Purpose::ALL.map(|purpose| {
            let waits = self.engine.get().map_or_else(Waits::default, |engine| {
                engine.waits(purpose == Purpose::Test)
            });
            let name = format!("message_wait.{}", purpose.as_str());
            let distribution = Distribution::new(&WAITS_US, waits.counts.into(), waits.sum_us);
            (name, distribution)
        });
        self.control
            .timings
            .all()
            .into_iter()
            .chain(waits)
            .collect()
    }
}

/// What WELCOME lists: SWITCH is answered.
fn direct() -> Features {
    let feature = Text::try_from(DIRECT);
    let features = feature.and_then(|feature| List::try_from(vec![feature]));
    features.unwrap_or_else(|_| unreachable!("one short word"))
}

impl Drop for Node {
    /// Without its handle nobody could end it any more.
    fn drop(&mut self) {
        self.end();
    }
}
