//! The home PC's endpoint.
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use telerelay_endpoint::{self as endpoint, ClientConfig, ClientEvent, LocalAddress, Notice};
use telerelay_queue::Queue;
use telerelay_wire::Code;
use telerelay_wire::ids::{Program, Service};
use telerelay_wire::limits;

use super::event::{SessionEnded, SessionOpened, Stopped};
use super::{Unstarted, anchor, credentials, path_choice, usage};
use crate::dial::Dial;
use crate::failure::Failure;
use crate::runtime;
use crate::text::milliseconds;

/// An attempt got to this stage.
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct StageReached {
    attempt: String,
    stage: String,
    elapsed_ms: u64,
    detail: String,
}

/// The path was lost and is asked for again.
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct AskedAgain {
    attempt: String,
}

/// A text that the person confirms before the session opens.
#[pyclass(frozen, module = "telerelay_core")]
pub(crate) struct NoticeAsked(Notice);

#[pymethods]
impl NoticeAsked {
    #[getter]
    fn attempt(&self) -> String {
        self.0.attempt.to_string()
    }

    #[getter]
    fn hash(&self) -> [u8; 32] {
        self.0.hash.0
    }

    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    fn answer(&self, confirmed: bool) {
        self.0.answer(confirmed);
    }
}

/// The local door listens.
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct DoorOpen {
    address: String,
}

/// A local connection was refused: it belongs to another user of this machine.
#[pyclass(frozen, module = "telerelay_core")]
pub(crate) struct DoorRefused;

/// No session is left.
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct Finished {
    code: String,
    attempt: String,
}

/// The home PC's endpoint: sessions to one computer behind a local door (PROTOCOL.md §5.5, §7, §8).
#[pyclass(frozen, module = "telerelay_core")]
pub(crate) struct Client {
    unstarted: Unstarted<ClientConfig>,
    queue: Arc<Queue<ClientEvent>>,
    running: OnceLock<endpoint::Client>,
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (*, dial, root, computer, service, door, program, path="auto"))]
    fn new(
        dial: &Dial,
        root: &[u8],
        computer: &str,
        service: &str,
        door: &str,
        program: &str,
        path: &str,
    ) -> Result<Self, Failure> {
        let config = ClientConfig {
            credentials: credentials(dial)?,
            pins: dial.pins,
            nodes: dial.nodes.clone(),
            source: None,
            root: anchor(root)?,
            computer: computer.parse().map_err(usage)?,
            service: service.parse::<Service>().map_err(usage)?,
            door: door.parse::<LocalAddress>().map_err(usage)?,
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

    /// Open the first session at once; the door listens when it is open.
    fn start(&self) -> Result<(), Failure> {
        let queue = self.queue.clone();
        let sink = move |event: ClientEvent| {
            if matches!(
                event,
                ClientEvent::Reached { .. } | ClientEvent::DoorRefused
            ) {
                // A stage is for the eyes of somebody who looks.
                let _full = queue.offer(event);
            } else {
                queue.close(event);
            }
        };
        let config = self.unstarted.take()?;
        let door = config.door.to_string();
        let client = endpoint::Client::start(config, &runtime::handle()?, Arc::new(sink)).map_err(
            |error| {
                let code = match error.kind() {
                    io::ErrorKind::AddrInUse => Code::AddressInUse,
                    _ => Code::Machine,
                };
                Failure::new(code, format!("{door}: {error}"))
            },
        )?;
        // Only one start can have taken the configuration.
        let _first = self.running.set(client);
        Ok(())
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

    /// End every session, close the door.
    fn stop(&self) -> Result<(), Failure> {
        let running = self
            .running
            .get()
            .ok_or_else(|| Failure::new(Code::Usage, "the client is not started"))?;
        running.stop();
        Ok(())
    }
}

impl Drop for Client {
    /// Without its handle nobody could end it any more.
    fn drop(&mut self) {
        if let Some(running) = self.running.get() {
            running.stop();
        }
    }
}

fn told(py: Python<'_>, event: ClientEvent) -> PyResult<Py<PyAny>> {
    Ok(match event {
        ClientEvent::Reached {
            attempt,
            stage,
            elapsed,
            detail,
        } => {
            let (attempt, stage, elapsed_ms) = (
                attempt.to_string(),
                stage.to_string(),
                milliseconds(elapsed),
            );
            Py::new(
                py,
                StageReached {
                    attempt,
                    stage,
                    elapsed_ms,
                    detail,
                },
            )?
            .into_any()
        }
        ClientEvent::Again { attempt } => Py::new(
            py,
            AskedAgain {
                attempt: attempt.to_string(),
            },
        )?
        .into_any(),
        ClientEvent::Notice(notice) => Py::new(py, NoticeAsked(notice))?.into_any(),
        ClientEvent::Opened(opened) => Py::new(py, SessionOpened::from(opened))?.into_any(),
        ClientEvent::Ended(ended) => Py::new(py, SessionEnded::from(*ended))?.into_any(),
        ClientEvent::DoorOpen(address) => Py::new(
            py,
            DoorOpen {
                address: address.to_string(),
            },
        )?
        .into_any(),
        ClientEvent::DoorRefused => Py::new(py, DoorRefused)?.into_any(),
        ClientEvent::Finished { code, attempt } => Py::new(
            py,
            Finished {
                code: code.to_string(),
                attempt: attempt.to_string(),
            },
        )?
        .into_any(),
        ClientEvent::Stopped => Py::new(py, Stopped)?.into_any(),
    })
}
