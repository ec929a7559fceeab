//! The driver's lines: one JSON object each, `telerelay.load/1`.
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

/// The schema that every line names.
pub const SCHEMA: &str = "telerelay.load/1";

/// Where lines go.
pub struct Output {
    began: Instant,
    sink: Mutex<Box<dyn Write + Send>>,
}

/// What every line begins with. `event` is its kind: `second` comes each second, `summary` is the last.
#[derive(Serialize)]
struct Line<'a, T> {
    schema: &'static str,
    event: &'static str,
    /// Since the driver began.
    elapsed_s: f64,
    #[serde(flatten)]
    what: &'a T,
}

impl Output {
    /// Lines for `sink`; their clock begins now.
    pub fn new(sink: impl Write + Send + 'static) -> Self {
        Self {
            began: Instant::now(),
            sink: Mutex::new(Box::new(sink)),
        }
    }

    /// Tells one line at once. `what` is a struct: its fields are the line's.
    pub fn line(&self, event: &'static str, what: &impl Serialize) -> io::Result<()> {
        let line = Line {
            schema: SCHEMA,
            event,
            elapsed_s: self.began.elapsed().as_secs_f64(),
            what,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.write_all(&text)?;
        sink.flush()
    }
}
