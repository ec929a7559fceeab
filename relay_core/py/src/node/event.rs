//! What a node tells.
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use telerelay_leg::trust;
use telerelay_node::{self as node, Event};
use telerelay_outer::node as machine;

use crate::endpoint::Stopped;
use crate::text::milliseconds;

/// Who is at the other end of a connection, as its certificate says (§3.1).
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct Identity {
    organisation: [u8; 32],
    device: [u8; 32],
    role: &'static str,
    computer: Option<String>,
}

impl From<trust::Identity> for Identity {
    fn from(identity: trust::Identity) -> Self {
        Self {
            organisation: identity.organisation.0,
            device: identity.device.0,
            role: identity.role.as_str(),
            computer: identity.computer.map(|computer| computer.to_string()),
        }
    }
}

/// A device's ready connection stands (told again after each path).
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct AgentReady {
    organisation: [u8; 32],
    device: [u8; 32],
    computer: String,
    program: String,
    address: String,
}

impl From<machine::AgentReady> for AgentReady {
    fn from(ready: machine::AgentReady) -> Self {
        Self {
            organisation: ready.organisation.0,
            device: ready.device.0,
            computer: ready.computer.to_string(),
            program: ready.program.to_string(),
            address: ready.address.to_string(),
        }
    }
}

/// A device has no ready connection any more, for whatever reason.
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct AgentGone {
    organisation: [u8; 32],
    device: [u8; 32],
}

/// One CONNECT waits for `Node.decide` (§5.3).
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct RouteAsked {
    ticket: u64,
    attempt: String,
    path: [u8; 16],
    organisation: [u8; 32],
    client: [u8; 32],
    address: String,
    program: String,
    computer: String,
    service: &'static str,
    resume: Option<([u8; 16], u32)>,
}

impl From<machine::RouteRequest> for RouteAsked {
    fn from(request: machine::RouteRequest) -> Self {
        Self {
            ticket: request.ticket.0,
            attempt: request.attempt.to_string(),
            path: request.path.0,
            organisation: request.organisation.0,
            client: request.client.0,
            address: request.address.to_string(),
            program: request.program.to_string(),
            computer: request.computer.to_string(),
            service: request.service.as_str(),
            resume: request
                .resume
                .map(|resume| (resume.session.0, resume.generation)),
        }
    }
}

/// The one terminal event of an attempt (§5.6, §14).
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct AttemptEnded {
    ticket: u64,
    attempt: String,
    path: [u8; 16],
    organisation: [u8; 32],
    client: [u8; 32],
    agent: Option<[u8; 32]>,
    asked: Option<Py<Asked>>,
    path_kind: &'static str,
    code: String,
    stage: &'static str,
    duration_ms: u64,
    bytes_to_client: u64,
    bytes_to_agent: u64,
    session: Option<[u8; 16]>,
    notices: Vec<[u8; 32]>,
}

/// What a client asked for that was not routed.
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct Asked {
    address: String,
    computer: String,
    service: &'static str,
}

impl From<machine::Asked> for Asked {
    fn from(asked: machine::Asked) -> Self {
        Self {
            address: asked.address.to_string(),
            computer: asked.computer.to_string(),
            service: asked.service.as_str(),
        }
    }
}

impl AttemptEnded {
    fn new(py: Python<'_>, terminal: machine::Terminal) -> PyResult<Self> {
        let asked = terminal
            .asked
            .map(|asked| Py::new(py, Asked::from(asked)))
            .transpose()?;
        Ok(Self {
            ticket: terminal.ticket.0,
            attempt: terminal.attempt.to_string(),
            path: terminal.path.0,
            organisation: terminal.organisation.0,
            client: terminal.client.0,
            agent: terminal.agent.map(|agent| agent.0),
            asked,
            path_kind: terminal
                .path_kind
                .map_or("none", telerelay_outer::PathKind::as_str),
            code: terminal.code.to_string(),
            stage: terminal.stage.as_str(),
            duration_ms: milliseconds(terminal.duration),
            bytes_to_client: terminal.traffic.to_client,
            bytes_to_agent: terminal.traffic.to_agent,
            session: terminal.session.map(|session| session.0),
            notices: terminal
                .notices
                .into_iter()
                .map(|notice| notice.0)
                .collect(),
        })
    }
}

/// A connection with ALPN http/1.1: `fd` is a stream socket with the plaintext, owned by whoever reads it (§11).
#[pyclass(frozen, module = "telerelay_core")]
pub(crate) struct ApiConnection {
    fd: RawFd,
    /// Until `fd` is read: a connection that nobody takes is closed with this.
    untaken: Mutex<Option<OwnedFd>>,
    #[pyo3(get)]
    identity: Option<Py<Identity>>,
    #[pyo3(get)]
    address: String,
}

#[pymethods]
impl ApiConnection {
    #[getter]
    fn fd(&self) -> RawFd {
        let untaken = self
            .untaken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Whoever reads it again is told the same number.
        untaken.map_or(self.fd, IntoRawFd::into_raw_fd)
    }
}

impl ApiConnection {
    fn new(py: Python<'_>, connection: node::ApiConnection) -> PyResult<Self> {
        let identity = connection
            .identity
            .map(|identity| Py::new(py, Identity::from(identity)))
            .transpose()?;
        Ok(Self {
            fd: connection.stream.as_raw_fd(),
            untaken: Mutex::new(Some(connection.stream)),
            identity,
            address: connection.address.to_string(),
        })
    }
}

/// What a histogram has counted: `counts[i]` were above `upper[i - 1]` and at most `upper[i]`, the last beyond all.
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct Distribution {
    upper: Vec<f64>,
    counts: Vec<u64>,
    sum: f64,
}

impl From<node::Distribution> for Distribution {
    fn from(distribution: node::Distribution) -> Self {
        Self {
            upper: distribution.upper,
            counts: distribution.counts,
            sum: distribution.sum,
        }
    }
}

/// Something that an administrator should look at (§5.8).
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct Flagged {
    organisation: [u8; 32],
    device: [u8; 32],
    code: &'static str,
}

/// The event as Python sees it.
pub(crate) fn told(py: Python<'_>, event: Event) -> PyResult<Py<PyAny>> {
    Ok(match event {
        Event::AgentReady(ready) => Py::new(py, AgentReady::from(*ready))?.into_any(),
        Event::AgentGone {
            organisation,
            device,
        } => Py::new(
            py,
            AgentGone {
                organisation: organisation.0,
                device: device.0,
            },
        )?
        .into_any(),
        Event::RouteAsked(request) => Py::new(py, RouteAsked::from(*request))?.into_any(),
        Event::AttemptEnded(terminal) => Py::new(py, AttemptEnded::new(py, *terminal)?)?.into_any(),
        Event::Api(connection) => Py::new(py, ApiConnection::new(py, *connection)?)?.into_any(),
        Event::Flagged {
            organisation,
            device,
            code,
        } => Py::new(
            py,
            Flagged {
                organisation: organisation.0,
                device: device.0,
                code: code.as_str(),
            },
        )?
        .into_any(),
        Event::Stopped => Py::new(py, Stopped)?.into_any(),
    })
}
