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
use crate::stop::Stop;
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
    ending: Ending,
    /// The viewer's end.
    pub(crate) viewer: UnixStream,
    /// When each stage ended; the last is the desktop's first byte.
    pub(crate) marks: Marks,
}

/// A set-up that came to nothing.
#[derive(Debug)]
pub(crate) struct Failed {
    /// When each stage ended that it came through.
    pub(crate) marks: Marks,
    /// When it ended.
    pub(crate) at: Instant,
    /// What it ended with.
    pub(crate) code: Reason,
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
        Self::new(tenant, tenant.clients(first, count)?, first, sources)
    }

    /// All clients of the tenant.
    pub(crate) fn all(tenant: &Tenant, sources: Sources) -> Result<Self, LoadError> {
        Self::new(tenant, tenant.all_clients()?, 0, sources)
    }

    fn new(
        tenant: &Tenant,
        devices: Vec<Device>,
        first: usize,
        sources: Sources,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            devices,
            tenant: tenant.clone(),
            sources,
            first,
            doors: tempfile::tempdir()?,
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.devices.len()
    }

    /// Whose turn it is where they take turns.
    pub(crate) fn turn(&self, number: u64) -> usize {
        usize::try_from(number).unwrap_or_default() % self.devices.len()
    }

    /// Sets up the session with this number of the run, by this client; told to stop, it ends as a client does that is told to.
    pub(crate) async fn visit(
        &self,
        number: u64,
        client: usize,
        stop: Stop,
    ) -> Result<Session, Failed> {
        let door = self.doors.path().join(number.to_string());
        let marks = Marks::begin();
        let (told, events) = mpsc::unbounded_channel();
        // Whoever has seen enough takes no more.
        let sink = Arc::new(move |event| drop(told.send(event)));
        let started = self
            .config(client, &door)
            .and_then(|config| Ok(Client::start(config, &Handle::current(), sink)?));
        match started {
            Ok(client) => {
                let ending = Ending { client, events };
                Arrival { ending, marks }
                    .until_first_byte(&door, stop)
                    .await
            }
            Err(error) => {
                tracing::error!(%error, "a client could not be started");
                Err(marks.failed(Code::Machine.into()))
            }
        }
    }

    fn config(&self, client: usize, door: &Path) -> Result<ClientConfig, LoadError> {
        let device = &self.devices[client];
        Ok(ClientConfig {
            credentials: device.credentials.clone(),
            pins: self.tenant.cluster.pins,
            nodes: self.tenant.cluster.nodes.clone(),
            source: self.sources.of(self.first + client),
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

/// When each stage of a set-up ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    began: Instant,
    /// Since it began; zero where it did not end.
    ended: [Duration; STAGES.len()],
}

impl Marks {
    /// A set-up begins.
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
            ended: [Duration::ZERO; STAGES.len()],
        }
    }

    /// It came to nothing.
    pub(crate) fn failed(self, code: Reason) -> Failed {
        Failed {
            marks: self,
            at: Instant::now(),
            code,
        }
    }

    /// The stages that it came through: which, and its two ends.
    pub(crate) fn stages(&self) -> impl Iterator<Item = (usize, Instant, Instant)> {
        let mut before = Duration::ZERO;
        self.ended[..self.next()]
            .iter()
            .enumerate()
            .map(move |(stage, &mark)| {
                let began = before;
                before = before.max(mark);
                (stage, self.began + began, self.began + before)
            })
    }

    /// The stage that it is in; the last one once the desktop has spoken, as before.
    pub(crate) fn stage(&self) -> usize {
        self.next().min(STAGES.len() - 1)
    }

    /// When the last of them ended.
    pub(crate) fn at(&self) -> Instant {
        self.began + self.ended.iter().max().copied().unwrap_or_default()
    }

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
        self.ended[ended] = elapsed;
    }

    /// The desktop has spoken.
    fn spoken(&mut self) {
        self.ended[STAGES.len() - 1] = self.began.elapsed();
    }

    /// The first stage behind those that ended.
    fn next(&self) -> usize {
        let last = self.ended.iter().rposition(|mark| !mark.is_zero());
        last.map_or(0, |last| last + 1)
    }
}

/// A client that is on its way.
struct Arrival {
    ending: Ending,
    marks: Marks,
}

impl Arrival {
    async fn until_first_byte(mut self, door: &Path, mut stop: Stop) -> Result<Session, Failed> {
        let mut is_stopping = false;
        loop {
            let event = tokio::select! {
                event = self.ending.events.recv() => event,
                () = stop.heard(None), if !is_stopping => {
                    is_stopping = true;
                    self.ending.client.stop();
                    continue;
                }
            };
            match event {
                Some(ClientEvent::Reached { stage, elapsed, .. }) => {
                    self.marks.reached(stage, elapsed);
                }
                Some(ClientEvent::DoorOpen(_)) => {
                    // One that does not speak has ended; the client says why.
                    if let Some(viewer) = greeted(door).await {
                        self.marks.spoken();
                        return Ok(Session {
                            ending: self.ending,
                            viewer,
                            marks: self.marks,
                        });
                    }
                }
                Some(ClientEvent::Ended(ended)) => return Err(self.marks.failed(ended.code)),
                Some(_) => {}
                None => return Err(self.marks.failed(Code::Internal.into())),
            }
        }
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
        (self.viewer, self.ending)
    }

    /// Ends it as a client does that is told to stop.
    pub(crate) async fn close(self) -> Reason {
        let (viewer, mut ending) = self.split();
        let code = ending.close().await;
        drop(viewer);
        code
    }
}

/// A client whose end is waited for; dropped, it is told to stop.
pub(crate) struct Ending {
    client: Client,
    events: mpsc::UnboundedReceiver<ClientEvent>,
}

impl Ending {
    /// How its session ends by itself. Safe to drop.
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

impl Drop for Ending {
    fn drop(&mut self) {
        self.client.stop();
    }
}

/// What set-ups came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) total: Times,
    pub(crate) stages: [Times; STAGES.len()],
    /// By stage and code.
    pub(crate) failed: BTreeMap<(usize, String), u64>,
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
    pub(crate) fn count(&mut self, at: Instant, visit: Result<&Session, &Failed>) {
        let marks = match visit {
            Ok(session) => {
                self.total.record(session.marks.at() - at);
                session.marks
            }
            Err(failed) => {
                let stage = failed.marks.stage();
                *self
                    .failed
                    .entry((stage, failed.code.to_string()))
                    .or_default() += 1;
                failed.marks
            }
        };
        for (stage, began, ended) in marks.stages() {
            self.stages[stage].record(ended - began);
        }
    }

    /// How many are over: those that came to their end, and the others.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.total.count(), self.failed.values().sum())
    }

    pub(crate) fn told(&self) -> Visits {
        let stages = self.stages.iter().map(Times::summary);
        let mut failed = BTreeMap::new();
        for ((_, code), count) in &self.failed {
            *failed.entry(code.clone()).or_default() += count;
        }
        Visits {
            done: self.total.count(),
            failed,
            total: self.total.summary(),
            stages: STAGES.into_iter().zip(stages).collect(),
        }
    }
}
