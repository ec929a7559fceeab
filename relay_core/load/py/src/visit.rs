//! What is planned, and what is told of it.
use std::time::Duration;

use pyo3::prelude::*;
use telerelay_load::play;

/// One employee's session that is to be.
#[pyclass(frozen, get_all, from_py_object, module = "telerelay_generator")]
#[derive(Clone)]
pub(crate) struct Visit {
    at_ns: u64,
    client: usize,
    hold_ms: u64,
    model: String,
}

#[pymethods]
impl Visit {
    #[new]
    #[pyo3(signature = (*, at_ns, client, hold_ms, model))]
    fn new(at_ns: u64, client: usize, hold_ms: u64, model: String) -> Self {
        Self {
            at_ns,
            client,
            hold_ms,
            model,
        }
    }
}

impl From<Visit> for play::Visit {
    fn from(visit: Visit) -> Self {
        Self {
            at_ns: visit.at_ns,
            client: visit.client,
            hold: Duration::from_millis(visit.hold_ms),
            model: visit.model,
        }
    }
}

/// A stage of a visit is over.
#[pyclass(frozen, get_all, module = "telerelay_generator")]
pub(crate) struct Event {
    visit: u64,
    stage: &'static str,
    code: String,
    intended_ns: u64,
    began_ns: u64,
    ended_ns: u64,
}

impl From<play::Event> for Event {
    fn from(event: play::Event) -> Self {
        Self {
            visit: event.visit,
            stage: event.stage,
            code: event.code.map_or_else(String::new, |code| code.to_string()),
            intended_ns: event.intended_ns,
            began_ns: event.began_ns,
            ended_ns: event.ended_ns,
        }
    }
}
