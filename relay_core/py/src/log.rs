//! The core's log lines, on standard error like Python's own.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tracing::Level;

/// Send the core's log lines to standard error. Once per process; later calls change nothing.
#[pyfunction]
pub(crate) fn log_to_stderr(level: &str, json: bool) -> PyResult<()> {
    let level = match level {
        "debug" => Level::DEBUG,
        "info" => Level::INFO,
        "warning" => Level::WARN,
        "error" => Level::ERROR,
        other => {
            return Err(PyValueError::new_err(format!(
                "'{other}' is not a log level"
            )));
        }
    };
    telerelay_log::to_stderr(level, json);
    Ok(())
}
