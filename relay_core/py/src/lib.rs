//! The Rust core as the Python module `telerelay_core._core`: conversion only, no decision.
#![allow(
    clippy::needless_pass_by_value,
    reason = "arguments come from Python by value"
)]

mod dial;
mod endpoint;
mod failure;
mod log;
mod node;
mod runtime;
mod text;

use pyo3::prelude::*;

/// Rust core of telerelay: protocol codecs, sockets and TLS. Use the names of `telerelay_core`.
#[pymodule]
mod _core {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use super::dial::Dial;
    #[pymodule_export]
    use super::endpoint::{
        Agent, AgentOffline, AgentOnline, AskedAgain, Client, DoorOpen, DoorRefused, Finished,
        Incoming, News, NoticeAsked, SessionEnded, SessionOpened, SessionRules, StageReached,
        Stopped,
    };
    #[pymodule_export]
    use super::failure::CoreError;
    #[pymodule_export]
    use super::log::log_to_stderr;
    #[pymodule_export]
    use super::node::{
        AgentGone, AgentReady, ApiConnection, Asked, AttemptEnded, Decision, Distribution, Flagged,
        Identity, Node, RouteAsked,
    };
    #[pymodule_export]
    use super::text::{format_attempt_id, format_computer_id, parse_attempt_id, parse_computer_id};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Carried here, so that every Python package reads the files that the enum and the constants were checked against.
        module.add("ERRORS_TOML", include_str!("../../spec/errors.toml"))?;
        module.add("LIMITS_TOML", include_str!("../../spec/limits.toml"))?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
