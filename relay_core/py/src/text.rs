//! Values as Python has them: identifiers as people read them (PROTOCOL.md §2), bytes of a fixed length, milliseconds.
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use telerelay_wire::Code;
use telerelay_wire::ids::{AttemptId, ComputerId};

use crate::failure::Failure;

/// The 10 bytes of a computer ID, typing errors corrected.
#[pyfunction]
pub(crate) fn parse_computer_id(text: &str) -> Result<[u8; 10], Failure> {
    let id: ComputerId = text
        .parse()
        .map_err(|error| Failure::new(Code::Usage, error))?;
    Ok(*id.as_bytes())
}

/// A computer ID as it is shown, with its check character.
#[pyfunction]
pub(crate) fn format_computer_id(value: &[u8]) -> PyResult<String> {
    Ok(ComputerId(fixed(value)?).to_string())
}

/// The 5 bytes of an attempt ID.
#[pyfunction]
pub(crate) fn parse_attempt_id(text: &str) -> Result<[u8; 5], Failure> {
    let id: AttemptId = text
        .parse()
        .map_err(|error| Failure::new(Code::Usage, error))?;
    Ok(id.0)
}

/// An attempt ID as it is shown.
#[pyfunction]
pub(crate) fn format_attempt_id(value: &[u8]) -> PyResult<String> {
    Ok(AttemptId(fixed(value)?).to_string())
}

/// An identifier of exactly `N` bytes.
pub(crate) fn fixed<const N: usize>(value: &[u8]) -> PyResult<[u8; N]> {
    value
        .try_into()
        .map_err(|_| PyValueError::new_err(format!("{N} bytes expected, {} given", value.len())))
}

/// Whole milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
