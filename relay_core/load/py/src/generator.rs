//! A play with a runtime of its own.
use std::collections::{BTreeMap, HashMap};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use telerelay_load::LoadError;
use telerelay_load::play::{self, Histograms, Model, Models, Options, Play};
use telerelay_load::sources::Sources;
use telerelay_load::tenant::Tenant;
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;
use crate::visit::{Event, Visit};

/// Events that are taken at once.
const TAKEN: usize = 4_096;

/// A runtime with agents, clients and desktops of one throw-away organisation.
#[pyclass(frozen, module = "telerelay_generator")]
pub(crate) struct Generator {
    play: Play,
    runtime: Runtime,
}

/// What happened so far.
#[pyclass(frozen, get_all, module = "telerelay_generator")]
pub(crate) struct Counts {
    agents: usize,
    online: usize,
    begun: u64,
    live: u64,
    ended: BTreeMap<String, u64>,
    failed: BTreeMap<(&'static str, String), u64>,
    asked: u64,
    answered: u64,
    messages: u64,
    sent_bytes: u64,
    received_bytes: u64,
    lost_events: u64,
}

#[pymethods]
impl Generator {
    #[new]
    #[pyo3(signature = (tenant, *, models, threads=1, agents_from=None, clients_from=None, seed=0, events=65_536))]
    fn new(
        tenant: PathBuf,
        models: HashMap<String, String>,
        threads: usize,
        agents_from: Option<&str>,
        clients_from: Option<&str>,
        seed: u64,
        events: usize,
    ) -> Result<Self, Failure> {
        if threads == 0 {
            return Err(LoadError::Usage("a generator has a thread or more").into());
        }
        let models = models.into_iter();
        let models = models.map(|(name, text)| Ok((name, Model::parse(&text)?)));
        let options = Options {
            models: Models::new(models.collect::<Result<Vec<_>, LoadError>>()?)?,
            agents_from: network(agents_from)?,
            clients_from: network(clients_from)?,
            seed,
            events,
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("telerelay-load")
            .enable_all()
            .build()?;
        let play = {
            let _entered = runtime.enter();
            Play::new(&Tenant::read(&tenant)?, options)?
        };
        Ok(Self { play, runtime })
    }

    #[getter]
    fn fd(&self) -> RawFd {
        self.play.event_fd()
    }

    #[pyo3(signature = (*, first, count, spread_ms=0))]
    fn start_agents(&self, first: usize, count: usize, spread_ms: u64) -> Result<(), Failure> {
        let _entered = self.runtime.enter();
        Ok(self
            .play
            .start_agents(first, count, Duration::from_millis(spread_ms))?)
    }

    fn begin(&self, visits: Vec<Visit>) -> Result<u64, Failure> {
        let visits: Vec<_> = visits.into_iter().map(play::Visit::from).collect();
        Ok(self.play.begin(&visits)?)
    }

    fn end(&self, visit: u64) {
        self.play.end(visit);
    }

    fn events(&self) -> Vec<Event> {
        let events = self.play.events(TAKEN);
        events.into_iter().map(Into::into).collect()
    }

    fn histograms(&self) -> Histograms {
        self.play.histograms()
    }

    fn counts(&self) -> Counts {
        let play::Counts {
            agents,
            online,
            begun,
            live,
            ended,
            failed,
            asked,
            answered,
            messages,
            sent_bytes,
            received_bytes,
            lost_events,
        } = self.play.counts();
        Counts {
            agents,
            online,
            begun,
            live,
            ended,
            failed,
            asked,
            answered,
            messages,
            sent_bytes,
            received_bytes,
            lost_events,
        }
    }

    fn stop(&self, py: Python<'_>) -> Result<usize, Failure> {
        py.detach(|| Ok(self.runtime.block_on(self.play.stop())?))
    }
}

fn network(text: Option<&str>) -> Result<Sources, LoadError> {
    text.map_or_else(|| Ok(Sources::default()), str::parse)
}
