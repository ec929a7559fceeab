//! The load generator as the Python module `telerelay_generator._generator`: conversion only, no decision.
#![allow(
    clippy::needless_pass_by_value,
    reason = "arguments come from Python by value"
)]

mod failure;
mod generator;
mod visit;

use std::sync::Arc;

use pyo3::prelude::*;
use telerelay_load::LoadError;
use telerelay_load::play::{self, Model, Screen, Side};

use failure::Failure;

/// Raise the soft limit of descriptors; fail where so many agents and sessions need more.
#[pyfunction]
#[pyo3(signature = (*, agents, sessions))]
fn require_descriptors(agents: usize, sessions: usize) -> Result<(), Failure> {
    Ok(play::require_descriptors(agents, sessions)?)
}

/// The first messages of one end of a session.
#[pyfunction]
#[pyo3(signature = (model, *, seed, side, count))]
fn draw_messages(
    model: &str,
    seed: u64,
    side: &str,
    count: usize,
) -> Result<Vec<(u64, u32)>, Failure> {
    let side = match side {
        "up" => Side::Up,
        "down" => Side::Down,
        _ => return Err(LoadError::Usage("a side is up or down").into()),
    };
    let screen = Screen::new(Arc::new(Model::parse(model)?), side, seed);
    let messages = screen.take(count);
    Ok(messages
        .map(|message| (message.at_us, message.bytes))
        .collect())
}

/// Thousands of agents and clients in one process. Use the names of `telerelay_generator`.
#[pymodule]
mod _generator {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use super::failure::GeneratorError;
    #[pymodule_export]
    use super::generator::{Counts, Generator};
    #[pymodule_export]
    use super::visit::{Event, Visit};
    #[pymodule_export]
    use super::{draw_messages, require_descriptors};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
