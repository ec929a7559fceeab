//! A relay node's data plane as Python sees it: told by calls, telling by events.
mod event;

pub(crate) use event::{
    AgentGone, AgentReady, ApiConnection, Asked, AttemptEnded, Distribution, Flagged, Identity,
    RouteAsked,
};

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::trust::Anchor;
use telerelay_node::{self as node, AttemptTicket, Event, Scope, Side, Standing, Told};
use telerelay_queue::Queue;
use telerelay_wire::bounded::{Octets, Text};
use telerelay_wire::ids::{DeviceId, OrganisationId};
use telerelay_wire::outer::News;
use telerelay_wire::{Code, Reason};

use crate::dial::{Named, node_address};
use crate::failure::Failure;
use crate::text::fixed;

/// The answer to `RouteAsked` (§5.3).
#[pyclass(frozen, module = "telerelay_core")]
pub(crate) struct Decision(node::Decision);

#[pymethods]
impl Decision {
    #[staticmethod]
    fn deny(code: &str) -> Result<Self, Failure> {
        Ok(Self(node::Decision::Deny(reason(code)?)))
    }

    #[staticmethod]
    fn here(agent: &[u8]) -> PyResult<Self> {
        Ok(Self(node::Decision::Here(DeviceId(fixed(agent)?))))
    }

    #[staticmethod]
    fn redirect(node: Named) -> Result<Self, Failure> {
        Ok(Self(node::Decision::Redirect(node_address(node)?)))
    }

    #[staticmethod]
    fn later(seconds: u32) -> Self {
        Self(node::Decision::Later(seconds))
    }
}

/// The core tells; Python takes when it can. The node itself keeps the number of events bounded.
struct Post(Queue<Event>);

impl Told for Post {
    fn tell(&self, event: Event) {
        self.0.close(event);
    }

    fn waiting(&self) -> usize {
        self.0.waiting()
    }
}

/// The relay node's data plane: listeners, admission, pairing, wrapped paths (PROTOCOL.md §1, §3.4, §5).
#[pyclass(frozen, module = "telerelay_core")]
pub(crate) struct Node {
    post: Arc<Post>,
    node: node::Node,
}

#[pymethods]
impl Node {
    /// `chain`: node certificate and cluster CA, PEM.
    #[new]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    #[pyo3(signature = (*, name, listeners, chain, key, workers=1, return_window_s=1, banner=None, trusted_networks=Vec::new(), handshakes_per_s=None, arrivals_per_s=None, memory_budget=u64::MAX))]
    fn new(
        name: &str,
        listeners: Vec<(String, String)>,
        chain: PathBuf,
        key: PathBuf,
        workers: usize,
        return_window_s: u16,
        banner: Option<&str>,
        trusted_networks: Vec<String>,
        handshakes_per_s: Option<u32>,
        arrivals_per_s: Option<u32>,
        memory_budget: u64,
    ) -> Result<Self, Failure> {
        let credentials = credentials(&chain, &key)?;
        let config = node::Config {
            name: name.parse().map_err(usage)?,
            listeners: listeners
                .into_iter()
                .map(listener)
                .collect::<Result<_, _>>()?,
            credentials,
            workers,
            return_window: return_window_s,
            banner: banner.map(Text::try_from).transpose().map_err(usage)?,
            trusted_networks: trusted_networks
                .iter()
                .map(|network| network.parse().map_err(usage))
                .collect::<Result<_, _>>()?,
            handshakes_per_s,
            arrivals_per_s,
            memory_budget,
        };
        // Every event has its place already: the node counts them before it lets somebody in.
        let queue = Queue::new(usize::MAX).map_err(|error| Failure::new(Code::Machine, error))?;
        let post = Arc::new(Post(queue));
        let node = node::Node::new(config, post.clone())
            .map_err(|error| Failure::new(Code::Certificate, error))?;
        Ok(Self { post, node })
    }

    /// Listen; the bound addresses in the order of `listeners`.
    fn start(&self) -> Result<Vec<String>, Failure> {
        let bound = self
            .node
            .start()
            .map_err(|error| Failure::new(error.code(), error))?;
        Ok(bound.iter().map(ToString::to_string).collect())
    }

    /// Show this certificate in handshakes that begin from here on.
    fn show(&self, chain: PathBuf, key: PathBuf) -> Result<(), Failure> {
        self.node.show(credentials(&chain, &key)?);
        Ok(())
    }

    fn event_fd(&self) -> RawFd {
        self.post.0.descriptor()
    }

    #[pyo3(signature = (limit=256))]
    fn events(&self, py: Python<'_>, limit: usize) -> PyResult<Vec<Py<PyAny>>> {
        let taken = self.post.0.take(limit).into_iter();
        // A question whose client has left meanwhile is not worth an answer.
        let wanted = taken.filter(|event| match event {
            Event::RouteAsked(request) => self.node.is_asked(request.ticket),
            _ => true,
        });
        wanted.map(|event| event::told(py, event)).collect()
    }

    /// Replace what HELLO is admitted by.
    #[pyo3(signature = (*, organisations, revoked, nodes_version, sessions=Vec::new(), tests=Vec::new()))]
    fn set_snapshot(
        &self,
        py: Python<'_>,
        organisations: Vec<(Vec<u8>, bool)>,
        revoked: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
        nodes_version: u64,
        sessions: Vec<(Vec<u8>, u32)>,
        tests: Vec<Vec<u8>>,
    ) -> PyResult<()> {
        let mut devices = BTreeSet::new();
        for (organisation, revoked) in &revoked {
            let organisation = OrganisationId(fixed(organisation)?);
            for device in revoked {
                devices.insert((organisation, DeviceId(fixed(device)?)));
            }
        }
        let sessions = sessions
            .into_iter()
            .map(|(organisation, sessions)| Ok((OrganisationId(fixed(&organisation)?), sessions)))
            .collect::<PyResult<_>>()?;
        let tests = tests
            .iter()
            .map(|organisation| Ok(OrganisationId(fixed(organisation)?)))
            .collect::<PyResult<_>>()?;
        // Reading 1,700 roots takes longer than Python's other work should wait.
        py.detach(|| {
            let organisations = organisations
                .into_iter()
                .map(organisation)
                .collect::<Result<_, _>>()?;
            self.node
                .set_snapshot(organisations, devices, sessions, tests, nodes_version);
            Ok(())
        })
    }

    /// Answer `RouteAsked`.
    fn decide(&self, ticket: u64, decision: &Decision) {
        self.node.decide(AttemptTicket(ticket), decision.0.clone());
    }

    /// The START records of these tickets are durable, or could not be written.
    #[pyo3(signature = (tickets, code=None))]
    fn recorded(&self, tickets: Vec<u64>, code: Option<&str>) -> Result<(), Failure> {
        let written = match code {
            None => Ok(()),
            Some(code) => Err(code.parse::<Code>().map_err(usage)?),
        };
        let tickets: Vec<_> = tickets.into_iter().map(AttemptTicket).collect();
        self.node.recorded(&tickets, written);
        Ok(())
    }

    /// Send NEWS on the device's ready connection.
    #[pyo3(signature = (organisation, device, kind, version, document=None))]
    fn news(
        &self,
        organisation: &[u8],
        device: &[u8],
        kind: &str,
        version: u64,
        document: Option<&[u8]>,
    ) -> PyResult<()> {
        let document = document.map(Octets::try_from).transpose();
        let news = News {
            kind: kind.parse().map_err(usage)?,
            version,
            document: document.map_err(|error| PyValueError::new_err(error.to_string()))?,
        };
        self.node.news(scope(organisation, Some(device))?, &news);
        Ok(())
    }

    /// End every attempt of the device, of the organisation, or of everybody. How many there were.
    fn cut(
        &self,
        organisation: Option<&[u8]>,
        device: Option<&[u8]>,
        code: &str,
    ) -> PyResult<usize> {
        let code: Code = code.parse().map_err(usage)?;
        let scope = organisation.map_or(Ok(Scope::All), |organisation| scope(organisation, device));
        Ok(self.node.cut(scope?, code))
    }

    /// End the attempts of this name. How many there were.
    fn cut_attempt(&self, attempt: &str, code: &str) -> Result<usize, Failure> {
        let attempt = attempt.parse().map_err(usage)?;
        let code = code.parse().map_err(usage)?;
        Ok(self.node.cut_named(attempt, code))
    }

    /// Take nothing new, until `resume`.
    fn drain(&self) {
        self.node.drain();
    }

    /// Take everybody again, unless it is stopping.
    fn resume(&self) {
        self.node.resume();
    }

    /// Take nothing new, let sessions go on for `grace_s`, cut them, close.
    fn stop(&self, grace_s: f64) -> PyResult<()> {
        let grace = Duration::try_from_secs_f64(grace_s);
        self.node
            .stop(grace.map_err(|error| PyValueError::new_err(error.to_string()))?);
        Ok(())
    }

    /// A snapshot of the core's counters and gauges, by name.
    fn statistics(&self) -> BTreeMap<String, u64> {
        self.node.statistics().into_iter().collect()
    }

    /// A snapshot of the core's histograms, by name.
    fn distributions(&self) -> BTreeMap<String, Distribution> {
        let all = self.node.distributions().into_iter();
        all.map(|(name, distribution)| (name, distribution.into()))
            .collect()
    }
}

fn credentials(chain: &Path, key: &Path) -> Result<Credentials, Failure> {
    Credentials::read(chain, key).map_err(|error| Failure::new(error.code(), error))
}

fn listener((address, side): (String, String)) -> Result<(SocketAddr, Side), Failure> {
    let side = match side.as_str() {
        "inside" => Side::Inside,
        "outside" => Side::Outside,
        "both" => Side::Both,
        other => {
            return Err(usage(format!(
                "'{other}' is not a side: inside, outside or both"
            )));
        }
    };
    Ok((
        address
            .parse()
            .map_err(|error| usage(format!("{address}: {error}")))?,
        side,
    ))
}

fn organisation((root, suspended): (Vec<u8>, bool)) -> Result<(Anchor, Standing), Failure> {
    let anchor = Anchor::from_der(&root).map_err(|error| Failure::new(Code::Certificate, error))?;
    Ok((
        anchor,
        if suspended {
            Standing::Suspended
        } else {
            Standing::Admitted
        },
    ))
}

fn scope(organisation: &[u8], device: Option<&[u8]>) -> PyResult<Scope> {
    let organisation = OrganisationId(fixed(organisation)?);
    Ok(match device {
        Some(device) => Scope::Device(organisation, DeviceId(fixed(device)?)),
        None => Scope::Organisation(organisation),
    })
}

fn reason(code: &str) -> Result<Reason, Failure> {
    code.parse().map_err(usage)
}

fn usage(error: impl ToString) -> Failure {
    Failure::new(Code::Usage, error)
}
