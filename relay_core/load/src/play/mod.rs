//! Visits that were planned: each begins at its moment whatever the others do, shows a screen of its model, and ends when its time is over.
//!
//! Times count from the moment that was meant. How late the play itself was is told beside them: its timers are a millisecond coarse.
mod chance;
mod clock;
mod model;
mod record;
mod screen;
mod session;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use telerelay_queue::Queue;
use telerelay_wire::Reason;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep_until;

pub use model::Model;
pub use record::{Counts, Histograms};
pub use screen::{Message, Screen, Side};

use crate::LoadError;
use crate::exchange::Opening;
use crate::fleet::{Fleet, Office};
use crate::lock;
use crate::machine;
use crate::sources::Sources;
use crate::stop::{Stop, Stopper};
use crate::tenant::{Device, Tenant};
use crate::visit::Clients;
use clock::Clock;
use record::Record;

/// Descriptors of an agent without a session: its leg.
const OF_AGENT: usize = 1;
/// Descriptors of a session: the client's leg, its door with its lock and both ends of the viewer's connection; the agent's path and both ends
/// of the desktop's.
const OF_SESSION: usize = 8;

/// Fails where this process may not have the descriptors of so many agents and sessions, both ends of which it has.
pub fn require_descriptors(agents: usize, sessions: usize) -> Result<(), LoadError> {
    machine::require(
        agents
            .saturating_mul(OF_AGENT)
            .saturating_add(sessions.saturating_mul(OF_SESSION)),
    )
}

/// One session that is to be.
#[derive(Clone, Debug)]
pub struct Visit {
    /// When it begins, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// The number of its client in the tenant's folder, which decides the computer.
    pub client: usize,
    /// How long it stays behind the desktop's first byte.
    pub hold: Duration,
    /// The name of its screen model.
    pub model: String,
}

/// A stage of a visit is over. Moments are nanoseconds of the monotonic clock.
#[derive(Clone, Debug)]
pub struct Event {
    /// The number of the visit.
    pub visit: u64,
    /// Which: those of a set-up, then `session`.
    pub stage: &'static str,
    /// How it ended: always for `session`, else where the visit came no further.
    pub code: Option<Reason>,
    /// When the visit was to begin.
    pub intended_ns: u64,
    /// When the stage began.
    pub began_ns: u64,
    /// When it ended.
    pub ended_ns: u64,
}

/// Screen models by their names; in the order of their names they have numbers.
#[derive(Clone, Debug, Default)]
pub struct Models(Arc<BTreeMap<String, Arc<Model>>>);

/// What a play is of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The screens of its visits.
    pub models: Models,
    /// Where agents dial from.
    pub agents_from: Sources,
    /// Where clients dial from.
    pub clients_from: Sources,
    /// Plays with the same one show the same screens.
    pub seed: u64,
    /// How many events wait for somebody who takes them; others are counted as lost.
    pub events: usize,
}

/// Agents and visits of one organisation.
pub struct Play {
    shared: Arc<Shared>,
    tenant: Tenant,
    agents_from: Sources,
    /// Each brings the agents of a fleet up.
    arrivals: Mutex<Vec<JoinHandle<Result<(), LoadError>>>>,
    /// `None` once it was stopped.
    planned: Mutex<Option<Plans>>,
    conductor: Mutex<Option<JoinHandle<()>>>,
}

/// Where visits are planned.
struct Plans {
    next: u64,
    visits: mpsc::UnboundedSender<Planned>,
}

/// A visit that is understood.
struct Planned {
    number: u64,
    at: Instant,
    client: usize,
    hold: Duration,
    model: u16,
    /// It is to end.
    stop: Stop,
}

/// Everything that a play's visits share.
struct Shared {
    clients: Clients,
    models: Models,
    clock: Clock,
    seed: u64,
    /// What endpoints may have of this machine.
    descriptors: usize,
    fleets: Mutex<Vec<Arc<Fleet>>>,
    record: Mutex<Record>,
    events: Queue<Event>,
    /// Ends visits that are not over.
    stoppers: Mutex<BTreeMap<u64, Stopper>>,
}

impl Play {
    /// A play without agents and visits, whose tasks are of the runtime that this is called in.
    pub fn new(tenant: &Tenant, options: Options) -> Result<Self, LoadError> {
        let Options {
            models,
            agents_from,
            clients_from,
            seed,
            events,
        } = options;
        let shared = Arc::new(Shared {
            clients: Clients::all(tenant, clients_from)?,
            models,
            clock: Clock::start(),
            seed,
            descriptors: machine::room_for(1),
            fleets: Mutex::default(),
            record: Mutex::default(),
            events: Queue::new(events)?,
            stoppers: Mutex::default(),
        });
        let (visits, planned) = mpsc::unbounded_channel();
        Ok(Self {
            conductor: Mutex::new(Some(tokio::spawn(conduct(shared.clone(), planned)))),
            shared,
            tenant: tenant.clone(),
            agents_from,
            arrivals: Mutex::default(),
            planned: Mutex::new(Some(Plans { next: 0, visits })),
        })
    }

    /// Brings so many agents of the folder up, from this number on, evenly over `spread`. To be called in the play's runtime.
    pub fn start_agents(
        &self,
        first: usize,
        count: usize,
        spread: Duration,
    ) -> Result<(), LoadError> {
        require_descriptors(self.shared.agents().saturating_add(count), 0)?;
        let devices = self.tenant.agents(first, count)?;
        let office = Office::Own(self.shared.models.clone());
        let fleet = Arc::new(Fleet::new(&self.tenant, count, office)?);
        let arrival = arrive(fleet.clone(), devices, first, self.agents_from, spread);
        lock(&self.shared.fleets).push(fleet);
        lock(&self.arrivals).push(tokio::spawn(arrival));
        Ok(())
    }

    /// Plans visits; the number of the first, and the others follow in their order. All are planned or none.
    pub fn begin(&self, visits: &[Visit]) -> Result<u64, LoadError> {
        let mut plans = lock(&self.planned);
        let stopped = LoadError::Usage("the play was stopped");
        let plans = plans.as_mut().ok_or(stopped)?;
        let first = plans.next;
        let numbered = (first..).zip(visits);
        let planned: Vec<_> = numbered
            .map(|(number, visit)| self.shared.planned(number, visit))
            .collect::<Result<_, _>>()?;
        plans.next += planned.len() as u64;
        for (visit, stopper) in planned {
            lock(&self.shared.stoppers).insert(visit.number, stopper);
            // The conductor takes them for as long as there is somebody who plans.
            let _taken = plans.visits.send(visit);
        }
        Ok(first)
    }

    /// Ends one visit now; one that is over, or that was never planned, is left alone.
    pub fn end(&self, visit: u64) {
        if let Some(stopper) = lock(&self.shared.stoppers).get(&visit) {
            stopper.stop();
        }
    }

    /// A descriptor that is readable while events wait.
    pub fn event_fd(&self) -> RawFd {
        self.shared.events.descriptor()
    }

    /// Takes up to `limit` events.
    pub fn events(&self, limit: usize) -> Vec<Event> {
        self.shared.events.take(limit)
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        let mut counts = lock(&self.shared.record).counts();
        let fleets = lock(&self.shared.fleets);
        counts.agents = fleets.iter().map(|fleet| fleet.started()).sum();
        counts.online = fleets.iter().map(|fleet| fleet.standing().online).sum();
        counts
    }

    /// All durations so far.
    pub fn histograms(&self) -> Histograms {
        lock(&self.shared.record).histograms()
    }

    /// Ends all visits, then all agents. How many agents did not leave within their time, or an error that kept them from coming.
    pub async fn stop(&self) -> Result<usize, LoadError> {
        // Nobody plans any more, so that the conductor ends with the last visit.
        lock(&self.planned).take();
        lock(&self.shared.stoppers).values().for_each(Stopper::stop);
        let conductor = lock(&self.conductor).take();
        if let Some(conductor) = conductor {
            conductor.await.map_err(io::Error::other)?;
        }
        let arrivals = std::mem::take(&mut *lock(&self.arrivals));
        let mut arrived = Ok(());
        for arrival in arrivals {
            arrival.abort();
            match arrival.await {
                Ok(ended) => arrived = arrived.and(ended),
                Err(error) if error.is_cancelled() => {}
                Err(error) => return Err(io::Error::other(error).into()),
            }
        }
        let fleets = lock(&self.shared.fleets).clone();
        let leaving: JoinSet<_> = fleets
            .into_iter()
            .map(async |fleet| fleet.stop().await)
            .collect();
        let left_behind = leaving.join_all().await.into_iter().sum();
        arrived.map(|()| left_behind)
    }
}

/// Agents come up one after the other.
async fn arrive(
    fleet: Arc<Fleet>,
    devices: Vec<Device>,
    first: usize,
    from: Sources,
    spread: Duration,
) -> Result<(), LoadError> {
    let (began, count) = (tokio::time::Instant::now(), devices.len());
    for (number, device) in devices.into_iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 agents")]
        let share = number as f64 / count as f64;
        sleep_until(began + spread.mul_f64(share)).await;
        fleet.add(device, from.of(first + number))?;
    }
    Ok(())
}

/// Owns all visits, until nobody plans any more and the last one is over.
async fn conduct(shared: Arc<Shared>, mut planned: mpsc::UnboundedReceiver<Planned>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            next = planned.recv() => match next {
                Some(visit) => drop(running.spawn(shared.clone().visit(visit))),
                None => break,
            },
            Some(over) = running.join_next() => broken(over),
        }
    }
    while let Some(over) = running.join_next().await {
        broken(over);
    }
}

/// A visit that panicked is a fault of ours, and missing from every count.
fn broken(over: Result<(), tokio::task::JoinError>) {
    if let Err(error) = over {
        tracing::error!(%error, "a visit broke");
    }
}

impl Shared {
    fn planned(&self, number: u64, visit: &Visit) -> Result<(Planned, Stopper), LoadError> {
        let there = self.clients.count();
        if visit.client >= there {
            return Err(LoadError::TooFew {
                what: "clients",
                first: visit.client,
                wanted: 1,
                there,
            });
        }
        let at = self.clock.instant(visit.at_ns);
        let (stopper, stop) = Stopper::new();
        let planned = Planned {
            number,
            at: at.ok_or(LoadError::Usage("at_ns is no moment"))?,
            client: visit.client,
            hold: visit.hold,
            model: self.models.number(&visit.model)?,
            stop,
        };
        Ok((planned, stopper))
    }

    /// Agents that were started.
    fn agents(&self) -> usize {
        lock(&self.fleets).iter().map(|fleet| fleet.started()).sum()
    }
}

impl Models {
    /// These, by their names. Errors: more than numbers of two bytes.
    pub fn new(models: impl IntoIterator<Item = (String, Model)>) -> Result<Self, LoadError> {
        let models = models
            .into_iter()
            .map(|(name, model)| (name, Arc::new(model)));
        let models: BTreeMap<_, _> = models.collect();
        if models.len() < usize::from(u16::MAX) {
            Ok(Self(Arc::new(models)))
        } else {
            Err(LoadError::Usage("too many screen models"))
        }
    }

    /// What a viewer's opening asks for; `None`: nothing, or a model that is not among these.
    pub(crate) fn screen(&self, opening: Opening, side: Side) -> Option<Screen> {
        let Opening::Screen { model, seed } = opening else {
            return None;
        };
        let model = self.0.values().nth(model.into())?;
        Some(Screen::new(model.clone(), side, seed))
    }

    fn number(&self, name: &str) -> Result<u16, LoadError> {
        let place = self.0.keys().position(|other| other == name);
        let number = place.and_then(|place| u16::try_from(place).ok());
        number.ok_or_else(|| LoadError::Model(format!("there is no {name}")))
    }
}
