//! One set-up: a client's way from its first dial to the first byte of the desktop.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use telerelay_endpoint::{Client, ClientConfig, ClientEvent, LocalAddress, PathChoice};
use telerelay_wire::ids::{Program, Service, Stage};
use telerelay_wire::{Code, Reason};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::LoadError;
use crate::exchange::GREETING;
use crate::measure::{Summary, Times};
use crate::sources::Sources;
use crate::tenant::{Device, Tenant};

/// Descriptors of one set-up or session: its leg, its door with its lock, and both ends of the viewer's connection.
pub(crate) const DESCRIPTORS: usize = 5;

/// The stages that are told, in their order; each ends where the next begins, and the first begins with the client.
pub(crate) const STAGES: [&str; 7] = [
    "dial",
    "hello",
    "accept",
    "inner",
    "auth",
    "open",
    "first_byte",
];

/// Clients that take turns.
#[derive(Debug)]
pub(crate) struct Clients {
    tenant: Tenant,
    devices: Vec<Device>,
    sources: Sources,
    first: usize,
    doors: TempDir,
}

/// A session whose desktop has spoken.
pub(crate) struct Session {
    client: Client,
    events: mpsc::UnboundedReceiver<ClientEvent>,
    /// The viewer's end.
    pub(crate) viewer: UnixStream,
    /// When the desktop had spoken.
    pub(crate) at: Instant,
    /// How long each stage took.
    pub(crate) stages: [Duration; STAGES.len()],
}

impl Clients {
    /// So many clients of the tenant, from this number on.
    pub(crate) fn read(
        tenant: &Tenant,
        first: usize,
        count: usize,
        sources: Sources,
    ) -> Result<Self, LoadError> {
        if count == 0 {
            return Err(LoadError::Usage("no client"));
        }
        Ok(Self {
            devices: tenant.clients(first, count)?,
            tenant: tenant.clone(),
            sources,
            first,
            doors: tempfile::tempdir()?,
        })
    }

    /// Sets up the session with this number of the run, by the client whose turn it is. An error is what the client ended with.
    pub(crate) async fn visit(&self, number: u64) -> Result<Session, Reason> {
        let broken = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "a client could not be started");
            Reason::from(Code::Machine)
        };
        let door = self.doors.path().join(number.to_string());
        let began = Instant::now();
        let (told, events) = mpsc::unbounded_channel();
        // Whoever has seen enough takes no more.
        let sink = Arc::new(move |event| drop(told.send(event)));
        let config = self.config(number, &door).map_err(|error| broken(&error))?;
        let client =
            Client::start(config, &Handle::current(), sink).map_err(|error| broken(&error))?;
        Arrival {
            client,
            events,
            began,
            marks: Marks::default(),
        }
        .until_first_byte(&door)
        .await
    }

    fn config(&self, number: u64, door: &Path) -> Result<ClientConfig, LoadError> {
        let turn = usize::try_from(number).unwrap_or_default() % self.devices.len();
        let device = &self.devices[turn];
        Ok(ClientConfig {
            credentials: device.credentials.clone(),
            pins: self.tenant.cluster.pins,
            nodes: self.tenant.cluster.nodes.clone(),
            source: self.sources.of(self.first + turn),
            root: self.tenant.root()?,
            computer: device.computer,
            service: Service::Rfb,
            door: LocalAddress::Unix(door.to_owned()),
            program: program(),
            path: PathChoice::Auto,
        })
    }
}

/// What the driver's endpoints call themselves.
pub(crate) fn program() -> Program {
    Program::try_from("telerelay-load/1").unwrap_or_else(|_| unreachable!("a short text"))
}

/// When each stage ended, since the client began.
#[derive(Debug, Default)]
struct Marks([Duration; STAGES.len()]);

impl Marks {
    fn reached(&mut self, stage: Stage, elapsed: Duration) {
        let ended = match stage {
            Stage::Dial => 0,
            Stage::Hello => 1,
            Stage::Accept => 2,
            Stage::Inner => 3,
            // The session says which stage it has entered.
            Stage::Open => 4,
            Stage::Session => 5,
            Stage::Route | Stage::Claim | Stage::Auth => return,
        };
        self.0[ended] = elapsed;
    }

    fn stages(self) -> [Duration; STAGES.len()] {
        let mut before = Duration::ZERO;
        self.0.map(|mark| {
            let took = mark.saturating_sub(before);
            before = before.max(mark);
            took
        })
    }
}

/// A client that is on its way.
struct Arrival {
    client: Client,
    events: mpsc::UnboundedReceiver<ClientEvent>,
    began: Instant,
    marks: Marks,
}

impl Arrival {
    async fn until_first_byte(mut self, door: &Path) -> Result<Session, Reason> {
        while let Some(event) = self.events.recv().await {
            match event {
                ClientEvent::Reached { stage, elapsed, .. } => self.marks.reached(stage, elapsed),
                ClientEvent::DoorOpen(_) => {
                    // One that does not speak has ended; the client says why.
                    if let Some(viewer) = greeted(door).await {
                        let at = Instant::now();
                        self.marks.0[STAGES.len() - 1] = at - self.began;
                        return Ok(Session {
                            client: self.client,
                            events: self.events,
                            viewer,
                            at,
                            stages: self.marks.stages(),
                        });
                    }
                }
                ClientEvent::Ended(ended) => {
                    self.client.stop();
                    return Err(ended.code);
                }
                _ => {}
            }
        }
        Err(Code::Internal.into())
    }
}

/// A viewer that has read the desktop's first words.
async fn greeted(door: &Path) -> Option<UnixStream> {
    let mut viewer = UnixStream::connect(door).await.ok()?;
    let mut greeting = [0; GREETING.len()];
    viewer.read_exact(&mut greeting).await.ok()?;
    (greeting == *GREETING).then_some(viewer)
}

impl Session {
    /// The viewer's end, and what waits for the session's.
    pub(crate) fn split(self) -> (UnixStream, Ending) {
        let Self {
            client,
            events,
            viewer,
            ..
        } = self;
        (viewer, Ending { client, events })
    }

    /// Ends it as a client does that is told to stop.
    pub(crate) async fn close(self) -> Reason {
        let (viewer, mut ending) = self.split();
        let code = ending.close().await;
        drop(viewer);
        code
    }
}

/// The end of a session that runs.
pub(crate) struct Ending {
    client: Client,
    events: mpsc::UnboundedReceiver<ClientEvent>,
}

impl Ending {
    /// How it ends by itself. Safe to drop.
    pub(crate) async fn ended(&mut self) -> Reason {
        loop {
            match self.events.recv().await {
                Some(ClientEvent::Ended(ended)) => return ended.code,
                Some(_) => {}
                None => return Code::Internal.into(),
            }
        }
    }

    /// Ends it now.
    pub(crate) async fn close(&mut self) -> Reason {
        self.client.stop();
        let code = self.ended().await;
        // The door and its lock are gone behind it.
        while !matches!(self.events.recv().await, Some(ClientEvent::Stopped) | None) {}
        code
    }
}

/// What set-ups came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    total: Times,
    stages: [Times; STAGES.len()],
    failed: BTreeMap<String, u64>,
}

/// What is told of set-ups.
#[derive(Clone, Debug, Serialize)]
pub struct Visits {
    /// Those that got to the desktop's first byte.
    pub done: u64,
    /// The others, by what they ended with.
    pub failed: BTreeMap<String, u64>,
    /// From the moment that was meant to the first byte.
    pub total: Summary,
    /// By stage: each ends where the next begins, and the first begins with the client.
    pub stages: BTreeMap<&'static str, Summary>,
}

impl Tally {
    /// One set-up that was to begin at `at` is over.
    pub(crate) fn count(&mut self, at: Instant, visit: Result<&Session, &Reason>) {
        match visit {
            Ok(session) => {
                self.total.record(session.at - at);
                for (times, took) in self.stages.iter_mut().zip(session.stages) {
                    times.record(took);
                }
            }
            Err(code) => *self.failed.entry(code.to_string()).or_default() += 1,
        }
    }

    /// How many are over: those that came to their end, and the others.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.total.count(), self.failed.values().sum())
    }

    pub(crate) fn told(&self) -> Visits {
        let stages = self.stages.iter().map(Times::summary);
        Visits {
            done: self.total.count(),
            failed: self.failed.clone(),
            total: self.total.summary(),
            stages: STAGES.into_iter().zip(stages).collect(),
        }
    }
}
