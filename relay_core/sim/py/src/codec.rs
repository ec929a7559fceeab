//! The codecs of `telerelay-wire` as Python functions: bytes to the named values of the vectors and back.
use std::fmt::Display;

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::Value;
use telerelay_wire::crockford::Mistyped;
use telerelay_wire::frame::{FrameError, Layer, Reader};
use telerelay_wire::ids::{AttemptId, ComputerId};
use telerelay_wire::inner::{self, Inner};
use telerelay_wire::outer::{self, Outer};
use telerelay_wire::record::{self, ContentType};

pyo3::create_exception!(
    telerelay_sim._sim,
    BrokenError,
    PyException,
    "Bytes that break PROTOCOL.md; the argument is the name that the vectors use for it."
);
pyo3::create_exception!(
    telerelay_sim._sim,
    MistypedError,
    PyException,
    "A text that is no ID: `foreign` with position and character, `length` with the number found, or `check`."
);

/// All frames of a stream that comes in these pieces, and how many bytes of an unfinished one are held at its end.
#[pyfunction]
pub(crate) fn read_outer(
    py: Python<'_>,
    pieces: Vec<Vec<u8>>,
) -> PyResult<(Bound<'_, PyAny>, usize)> {
    read::<Outer>(py, pieces, |frame| serde_json::to_value(frame))
}

/// As `read_outer`, for the frames inside inner TLS.
#[pyfunction]
pub(crate) fn read_inner(
    py: Python<'_>,
    pieces: Vec<Vec<u8>>,
) -> PyResult<(Bound<'_, PyAny>, usize)> {
    read::<Inner>(py, pieces, |frame| serde_json::to_value(frame))
}

/// The frame that `data` is, as `{"frame": NAME, "fields": {…}}`.
#[pyfunction]
pub(crate) fn decode_outer<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    only(read_outer(py, vec![data.to_vec()])?)
}

/// As `decode_outer`, for a frame inside inner TLS.
#[pyfunction]
pub(crate) fn decode_inner<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    only(read_inner(py, vec![data.to_vec()])?)
}

/// The bytes of a frame that is given as `decode_outer` gives it.
#[pyfunction]
pub(crate) fn encode_outer<'py>(frame: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let (py, value) = (frame.py(), from_python(frame)?);
    if value["frame"] == "PATH" {
        let bytes = raw(py, &value)?;
        return written(py, |out| {
            outer::Frame::from(outer::Path { bytes: &bytes }).encode(out)
        });
    }
    let frame: outer::Frame<'_> = serde_json::from_value(value).map_err(|error| unfit(&error))?;
    written(py, |out| frame.encode(out))
}

/// As `encode_outer`, for a frame inside inner TLS.
#[pyfunction]
pub(crate) fn encode_inner<'py>(frame: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let (py, value) = (frame.py(), from_python(frame)?);
    if value["frame"] == "DATA" {
        let offset = value["fields"]["offset"]
            .as_u64()
            .ok_or_else(|| unfit("DATA has an offset"))?;
        let bytes = raw(py, &value)?;
        return written(py, |out| {
            inner::Frame::from(inner::Data {
                offset,
                bytes: &bytes,
            })
            .encode(out)
        });
    }
    let frame: inner::Frame<'_> = serde_json::from_value(value).map_err(|error| unfit(&error))?;
    written(py, |out| frame.encode(out))
}

/// The 10 bytes of a computer ID, typing errors corrected.
#[pyfunction]
pub(crate) fn parse_computer_id(text: &str) -> PyResult<[u8; 10]> {
    text.parse::<ComputerId>().map(|id| id.0).map_err(mistyped)
}

/// A computer ID as it is shown.
#[pyfunction]
pub(crate) fn format_computer_id(value: [u8; 10]) -> String {
    ComputerId(value).to_string()
}

/// The 5 bytes of an attempt ID, typing errors corrected.
#[pyfunction]
pub(crate) fn parse_attempt_id(text: &str) -> PyResult<[u8; 5]> {
    text.parse::<AttemptId>().map(|id| id.0).map_err(mistyped)
}

/// An attempt ID as it is shown.
#[pyfunction]
pub(crate) fn format_attempt_id(value: [u8; 5]) -> String {
    AttemptId(value).to_string()
}

/// The whole TLS records of a stream: what each says it holds, where it begins and where it ends.
#[pyfunction]
pub(crate) fn scan_records(stream: &[u8]) -> PyResult<Vec<(&'static str, usize, usize)>> {
    let (mut records, mut offset) = (Vec::new(), 0);
    while let Some(found) =
        record::scan(stream, offset).map_err(|error| BrokenError::new_err(error.name()))?
    {
        let content = match found.content {
            ContentType::ChangeCipherSpec => "change_cipher_spec",
            ContentType::Alert => "alert",
            ContentType::Handshake => "handshake",
            ContentType::ApplicationData => "application_data",
        };
        records.push((content, found.range.start, found.range.end));
        offset = found.range.end;
    }
    Ok(records)
}

fn read<L: Layer>(
    py: Python<'_>,
    pieces: Vec<Vec<u8>>,
    named: impl Fn(&L::Frame<'_>) -> serde_json::Result<Value>,
) -> PyResult<(Bound<'_, PyAny>, usize)> {
    let mut reader = Reader::<L>::new();
    let mut frames = Vec::new();
    for piece in pieces {
        reader.push(&piece);
        while let Some(frame) = reader.next().map_err(broken)? {
            frames.push(named(&frame).map_err(|error| unfit(&error))?);
        }
    }
    let text = serde_json::to_string(&frames).map_err(|error| unfit(&error))?;
    Ok((
        py.import("json")?.call_method1("loads", (text,))?,
        reader.held(),
    ))
}

fn only((frames, held): (Bound<'_, PyAny>, usize)) -> PyResult<Bound<'_, PyAny>> {
    if frames.len()? == 1 && held == 0 {
        frames.get_item(0)
    } else {
        Err(unfit("not exactly one frame"))
    }
}

fn written(
    py: Python<'_>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), FrameError>,
) -> PyResult<Bound<'_, PyBytes>> {
    let mut out = Vec::new();
    encode(&mut out).map_err(broken)?;
    Ok(PyBytes::new(py, &out))
}

fn from_python(frame: &Bound<'_, PyAny>) -> PyResult<Value> {
    let text: String = frame
        .py()
        .import("json")?
        .call_method1("dumps", (frame,))?
        .extract()?;
    serde_json::from_str(&text).map_err(|error| unfit(&error))
}

/// The bytes of a raw body, which are hexadecimal digits in the vectors.
fn raw(py: Python<'_>, frame: &Value) -> PyResult<Vec<u8>> {
    let digits = frame["fields"]["bytes"]
        .as_str()
        .ok_or_else(|| unfit("a raw body has bytes"))?;
    py.get_type::<PyBytes>()
        .call_method1("fromhex", (digits,))?
        .extract()
}

fn broken(error: FrameError) -> PyErr {
    BrokenError::new_err(error.name())
}

fn mistyped(error: Mistyped) -> PyErr {
    match error {
        Mistyped::Foreign {
            character,
            position,
        } => MistypedError::new_err(("foreign", position, character)),
        Mistyped::Length { found, .. } => MistypedError::new_err(("length", found)),
        Mistyped::Check => MistypedError::new_err(("check",)),
    }
}

fn unfit(reason: &(impl Display + ?Sized)) -> PyErr {
    PyValueError::new_err(reason.to_string())
}
