//! The office PC's endpoint.
use std::os::fd::RawFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pyo3::prelude::*;
use telerelay_endpoint::{
    self as endpoint, AgentConfig, AgentEvent, LocalAddress, Mark, Secret, Sink,
};
use telerelay_leg::trust::Identity;
use telerelay_queue::Queue;
use telerelay_wire::bounded::Text;
use telerelay_wire::ids::{DeviceId, PathId, Program, Service};
use telerelay_wire::limits;
use telerelay_wire::outer::{self, Welcome};
use telerelay_wire::{Code, Reason};
use tokio::runtime::Handle;

use super::event::{SessionEnded, SessionOpened, Stopped};
use super::{Unstarted, anchor, credentials, path_choice, usage};
use crate::dial::{Dial, Named, node_addresses};
use crate::failure::Failure;
use crate::runtime;
use crate::text::{fixed, milliseconds};

/// The ready connection stands: WELCOME came.
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct AgentOnline {
    node: String,
    address: String,
    nodes_version: u64,
    banner: Option<String>,
}

impl AgentOnline {
    fn new(address: String, welcome: &Welcome) -> Self {
        Self {
            node: welcome.node.to_string(),
            address,
            nodes_version: welcome.nodes_version,
            banner: welcome.banner.as_ref().map(ToString::to_string),
        }
    }
}

/// The ready connection is gone or could not be made.
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct AgentOffline {
    code: String,
    /// `None`: the node said not to come back.
    retry_ms: Option<u64>,
}

/// A client asks for this computer (§5.4).
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct Incoming {
    path: [u8; 16],
    attempt: String,
    client: [u8; 32],
    service: String,
    address: String,
    program: String,
    resume: Option<([u8; 16], u32)>,
}

impl From<outer::Incoming> for Incoming {
    fn from(incoming: outer::Incoming) -> Self {
        Self {
            path: incoming.path.0,
            attempt: incoming.attempt.to_string(),
            client: incoming.client.0,
            service: incoming.service.to_string(),
            address: incoming.address.to_string(),
            program: incoming.program.to_string(),
            resume: incoming
                .resume
                .map(|resume| (resume.session.0, resume.generation)),
        }
    }
}

/// NEWS from the node (§4).
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct News {
    kind: String,
    version: u64,
    document: Option<Vec<u8>>,
}

impl From<outer::News> for News {
    fn from(news: outer::News) -> Self {
        Self {
            kind: news.kind.to_string(),
            version: news.version,
            document: news.document.map(telerelay_wire::bounded::Octets::into_vec),
        }
    }
}

/// What the agent's verdict allows for one session.
#[pyclass(frozen, module = "telerelay_core")]
pub(crate) struct SessionRules(endpoint::SessionRules);

#[pymethods]
impl SessionRules {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    #[pyo3(signature = (*, sessions, resume_limit_s, idle_timeout_s, view_only=false, watermark=None, ends=None, notices=Vec::new(), shown))]
    fn new(
        sessions: u16,
        resume_limit_s: u32,
        idle_timeout_s: u32,
        view_only: bool,
        watermark: Option<(u16, &[u8])>,
        ends: Option<(u32, String)>,
        notices: Vec<String>,
        shown: Vec<String>,
    ) -> Result<Self, Failure> {
        let watermark = watermark.map(|(width, weights)| {
            let weights: Vec<i8> = weights.iter().map(|weight| weight.cast_signed()).collect();
            Mark::new(width, &weights).map_err(usage)
        });
        let ends = ends.map(|(after_s, code)| {
            let code = code.parse::<Code>().map_err(usage)?;
            Ok::<_, Failure>((Duration::from_secs(after_s.into()), code))
        });
        let notices = notices
            .into_iter()
            .map(|text| Text::try_from(text).map_err(usage))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self(endpoint::SessionRules {
            sessions,
            resume_limit: resume_limit_s,
            idle_timeout: idle_timeout_s,
            view_only,
            watermark: watermark.transpose()?,
            ends: ends.transpose()?,
            notices: notices.try_into().map_err(usage)?,
            shown,
        }))
    }
}

/// The office PC's endpoint: one ready connection, sessions to one desktop (PROTOCOL.md §5.4, §7, §8).
#[pyclass(frozen, module = "telerelay_core")]
pub(crate) struct Agent {
    unstarted: Unstarted<AgentConfig>,
    queue: Arc<Queue<AgentEvent>>,
    running: OnceLock<endpoint::Agent>,
}

#[pymethods]
impl Agent {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    #[pyo3(signature = (*, dial, root, computer, desktop, service, program, path="auto", password=None))]
    fn new(
        dial: &Dial,
        root: &[u8],
        computer: &str,
        desktop: &str,
        service: &str,
        program: &str,
        path: &str,
        password: Option<&[u8]>,
    ) -> Result<Self, Failure> {
        let credentials = credentials(dial)?;
        let own = Identity::of(credentials.chain())
            .map_err(|error| Failure::new(Code::Certificate, error))?;
        if own.computer != Some(computer.parse().map_err(usage)?) {
            return Err(Failure::new(
                Code::Certificate,
                "the certificate is not of this computer",
            ));
        }
        let config = AgentConfig {
            credentials,
            pins: dial.pins,
            nodes: dial.nodes.clone(),
            source: None,
            root: anchor(root)?,
            revoked: Vec::new(),
            desktop: desktop.parse::<LocalAddress>().map_err(usage)?,
            service: service.parse::<Service>().map_err(usage)?,
            secret: password.map(Secret::new),
            program: Program::try_from(program).map_err(usage)?,
            path: path_choice(path)?,
        };
        let queue = Queue::new(limits::ENDPOINT_EVENTS)
            .map_err(|error| Failure::new(Code::Machine, error))?;
        Ok(Self {
            unstarted: Unstarted::new(config),
            queue: Arc::new(queue),
            running: OnceLock::new(),
        })
    }

    fn start(&self) -> Result<(), Failure> {
        self.start_by(endpoint::Agent::start)
    }

    /// Without a guard, for tests.
    #[cfg(feature = "open")]
    fn start_open(&self) -> Result<(), Failure> {
        self.start_by(endpoint::Agent::start_open)
    }

    fn event_fd(&self) -> RawFd {
        self.queue.descriptor()
    }

    #[pyo3(signature = (limit=256))]
    fn events(&self, py: Python<'_>, limit: usize) -> PyResult<Vec<Py<PyAny>>> {
        self.queue
            .take(limit)
            .into_iter()
            .map(|event| told(py, event))
            .collect()
    }

    fn allow(&self, path: &[u8], rules: &SessionRules) -> PyResult<()> {
        self.running()?.allow(PathId(fixed(path)?), rules.0.clone());
        Ok(())
    }

    fn refuse(&self, path: &[u8], code: &str) -> PyResult<()> {
        let code: Reason = code.parse().map_err(usage)?;
        self.running()?.refuse(PathId(fixed(path)?), code);
        Ok(())
    }

    /// The revocation list in force.
    fn set_revoked(&self, devices: Vec<Vec<u8>>) -> PyResult<()> {
        let devices: Vec<_> = devices
            .iter()
            .map(|device| fixed(device).map(DeviceId))
            .collect::<PyResult<_>>()?;
        match self.running.get() {
            Some(running) => running.set_revoked(devices),
            None => drop(self.unstarted.change(|config| config.revoked = devices)),
        }
        Ok(())
    }

    /// The node list in force, for the next dial.
    fn set_nodes(&self, nodes: Vec<Named>) -> Result<(), Failure> {
        let nodes = node_addresses(nodes)?;
        match self.running.get() {
            Some(running) => running.set_nodes(nodes),
            None => drop(self.unstarted.change(|config| config.nodes = nodes)),
        }
        Ok(())
    }

    /// End every session, leave.
    fn stop(&self) -> Result<(), Failure> {
        self.running()?.stop();
        Ok(())
    }
}

impl Drop for Agent {
    /// Without its handle nobody could end it any more.
    fn drop(&mut self) {
        if let Some(running) = self.running.get() {
            running.stop();
        }
    }
}

impl Agent {
    fn start_by<E: ToString>(
        &self,
        start: impl FnOnce(AgentConfig, Handle, Sink<AgentEvent>) -> Result<endpoint::Agent, E>,
    ) -> Result<(), Failure> {
        let queue = self.queue.clone();
        let sink = move |event: AgentEvent| {
            let begins = matches!(
                event,
                AgentEvent::Online { .. }
                    | AgentEvent::Offline { wait: Some(_), .. }
                    | AgentEvent::Incoming(_)
                    | AgentEvent::News(_)
            );
            if !begins {
                queue.close(event);
            } else if queue.offer(event).is_err() {
                // A request that nobody reads is refused by its own timer.
                tracing::error!("an event is lost: nobody takes them");
            }
        };
        let agent = start(self.unstarted.take()?, runtime::handle()?, Arc::new(sink))
            .map_err(|error| Failure::new(Code::Certificate, error))?;
        // Only one start can have taken the configuration.
        let _first = self.running.set(agent);
        Ok(())
    }

    fn running(&self) -> Result<&endpoint::Agent, Failure> {
        self.running
            .get()
            .ok_or_else(|| Failure::new(Code::Usage, "the agent is not started"))
    }
}

fn told(py: Python<'_>, event: AgentEvent) -> PyResult<Py<PyAny>> {
    Ok(match event {
        AgentEvent::Online { address, welcome } => {
            Py::new(py, AgentOnline::new(address, &welcome))?.into_any()
        }
        AgentEvent::Offline { reason, wait } => Py::new(
            py,
            AgentOffline {
                code: reason.to_string(),
                retry_ms: wait.map(milliseconds),
            },
        )?
        .into_any(),
        AgentEvent::Incoming(incoming) => Py::new(py, Incoming::from(*incoming))?.into_any(),
        AgentEvent::News(news) => Py::new(py, News::from(*news))?.into_any(),
        AgentEvent::Opened(opened) => Py::new(py, SessionOpened::from(opened))?.into_any(),
        AgentEvent::Ended(ended) => Py::new(py, SessionEnded::from(*ended))?.into_any(),
        AgentEvent::Stopped => Py::new(py, Stopped)?.into_any(),
    })
}
