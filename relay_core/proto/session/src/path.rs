//! One path of a session: what came by it and is not a frame yet, what is to be said on it, how far it has come.
use telerelay_wire::Moment;
use telerelay_wire::ids::{AttemptId, PathId};
use telerelay_wire::inner::Frame;
use telerelay_wire::limits;

use crate::frames::Frames;
use crate::proof::PathExporter;
use crate::timer::Timer;

/// The owner's name for a path, unique within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathKey(pub u64);

/// Under which names a node paired a path. Both ends must say the same, so that a node cannot swap two paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// The attempt of CONNECT and INCOMING.
    pub attempt: AttemptId,
    /// The path ID of PAIRED and INCOMING.
    pub path: PathId,
}

/// How far a path has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// `AUTH_ASK`, `AUTH_ANSWER`, until `AUTH_DONE`.
    Auth,
    /// The session's first path: NOTICE, CONFIRM, OPEN, until OPENED.
    Opening,
    /// A later path: RESUME, until RESUMED.
    Resuming,
    /// It carries both streams, and is the newest that does.
    Carrying,
    /// A newer path took its place: it is read, and nothing is sent on it.
    Older,
    /// Its last word is said; what it brings is not read.
    Closing,
}

/// What a path needs to know until it carries the session.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(crate) pairing: Pairing,
    /// Absent for the first path, which opens the session.
    pub(crate) exporter: Option<PathExporter>,
    /// The client's number of this path; an agent learns it from RESUME.
    pub(crate) generation: u32,
}

#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) key: PathKey,
    pub(crate) progress: Progress,
    pub(crate) claims: Option<Box<Claims>>,
    pub(crate) frames: Frames,
    pub(crate) out: Output,
    /// The token of the last PING: one PONG answers all that came before it, so a flood of PING takes no memory.
    pub(crate) pong: Option<u64>,
    /// `AUTH_ASK` sent or received, and those without an answer.
    pub(crate) asked: u8,
    pub(crate) unanswered: u8,
    /// Of the timer that [`Self::timer`] names.
    pub(crate) deadline: Moment,
}

impl Path {
    pub(crate) fn new(key: PathKey, claims: Claims) -> Self {
        Self {
            key,
            progress: Progress::Auth,
            claims: Some(Box::new(claims)),
            frames: Frames::default(),
            out: Output::default(),
            pong: None,
            asked: 0,
            unanswered: 0,
            deadline: Moment::NEVER,
        }
    }

    /// Whether this path is to resume a session and has not shown yet that it may.
    pub(crate) fn is_unproven(&self) -> bool {
        matches!(self.progress, Progress::Auth | Progress::Resuming) && !self.is_first()
    }

    pub(crate) fn is_first(&self) -> bool {
        self.claims
            .as_ref()
            .is_some_and(|claims| claims.exporter.is_none())
    }

    /// What the path's deadline is about.
    pub(crate) fn timer(&self) -> Timer {
        match self.progress {
            Progress::Older => Timer::Older,
            _ if self.is_unproven() => Timer::Resuming,
            _ => Timer::Opening,
        }
    }

    /// Nothing more is read from this path, and nothing said on it beyond what waits.
    pub(crate) fn close(&mut self) {
        self.progress = Progress::Closing;
        self.deadline = Moment::NEVER;
        self.pong = None;
        self.frames = Frames::default();
        self.claims = None;
    }
}

/// Frames that wait for a path to take them, as bytes: they may span records.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    /// How many of them the owner was given already.
    given: usize,
}

impl Output {
    #[cfg(test)]
    pub(crate) fn heap(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn put<'a>(&mut self, frame: impl Into<Frame<'a>>) {
        frame
            .into()
            .encode(&mut self.bytes)
            .expect("the types of its fields, or the check of OPENED, bound a frame");
    }

    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets what the owner was given.
    pub(crate) fn settle(&mut self) {
        self.bytes.drain(..self.given);
        self.given = 0;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(limits::SESSION_IDLE_OUTPUT);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Marks at most `limit` bytes as given to the owner.
    pub(crate) fn give(&mut self, limit: usize) {
        self.given = self.bytes.len().min(limit);
    }

    pub(crate) fn given(&self) -> &[u8] {
        &self.bytes[..self.given]
    }
}
