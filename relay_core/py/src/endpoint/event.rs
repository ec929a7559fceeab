//! What both endpoints tell.
use pyo3::prelude::*;
use telerelay_endpoint::{Ended, Opened, PathKind};

use crate::text::milliseconds;

/// A session is open (§8.1).
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct SessionOpened {
    attempt: String,
    session: [u8; 16],
    client: Vec<u8>,
    path_kind: &'static str,
    rules: Vec<String>,
}

impl From<Opened> for SessionOpened {
    fn from(opened: Opened) -> Self {
        Self {
            attempt: opened.attempt.to_string(),
            session: opened.session.0,
            client: opened
                .client
                .map_or_else(Vec::new, |client| client.0.to_vec()),
            path_kind: opened.path_kind.as_str(),
            rules: opened.rules,
        }
    }
}

/// A session, or an attempt that did not become one, has ended.
#[pyclass(frozen, get_all, module = "telerelay_core")]
pub(crate) struct SessionEnded {
    attempt: String,
    session: Option<[u8; 16]>,
    client: Vec<u8>,
    path_kind: &'static str,
    code: String,
    stage: String,
    duration_ms: u64,
    bytes_sent: u64,
    bytes_received: u64,
    retry_after_s: Option<u32>,
    place: Option<u32>,
    detail: String,
}

impl From<Ended> for SessionEnded {
    fn from(ended: Ended) -> Self {
        Self {
            attempt: ended.attempt.to_string(),
            session: ended.session.map(|session| session.0),
            client: ended
                .client
                .map_or_else(Vec::new, |client| client.0.to_vec()),
            path_kind: ended.path_kind.map_or("none", PathKind::as_str),
            code: ended.code.to_string(),
            stage: ended.stage.to_string(),
            duration_ms: milliseconds(ended.duration),
            bytes_sent: ended.sent,
            bytes_received: ended.received,
            retry_after_s: ended.retry,
            place: ended.place,
            detail: ended.detail,
        }
    }
}

/// The handle has ended; no event follows.
#[pyclass(frozen, module = "telerelay_core")]
pub(crate) struct Stopped;
