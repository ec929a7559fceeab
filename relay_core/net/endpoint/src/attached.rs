//! A session's local side, the desktop at an agent and the viewer at a client, and the guard that stands between it and the session.
use std::io::{self, IoSlice};

use telerelay_guard::rfb::Refusal;
use telerelay_session::{Role, Session};
use telerelay_wire::{Moment, limits};

use crate::guarded::Guarded;
use crate::local::Local;

/// How many pages of a session are written at once: what a turn moves, which may begin and end within a page.
const PIECES: usize = limits::TURN_BYTES / limits::SESSION_PAGE + 1;

/// The local side, once it is there.
pub(crate) struct Attached {
    local: Local,
    /// At an agent always, at a client never.
    guarded: Option<Guarded>,
    /// It has given its last byte, or broke: it is not read any more.
    is_over: bool,
    /// It takes no more bytes.
    is_shut: bool,
}

impl Attached {
    pub(crate) fn new(local: Local, guarded: Option<Guarded>) -> Self {
        Self {
            local,
            guarded,
            is_over: false,
            is_shut: false,
        }
    }

    pub(crate) fn into_local(self) -> Local {
        self.local
    }

    /// What the guard refused.
    pub(crate) fn refused(&self) -> Option<Refusal> {
        self.guarded.as_ref().and_then(Guarded::refused)
    }

    /// When [`timeout`](Self::timeout) is to be called.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        self.guarded.as_ref().and_then(Guarded::next_timeout)
    }

    /// Time has passed.
    pub(crate) fn timeout<R: Role>(&mut self, session: &mut Session<R>, now: Moment) {
        if let Some(guarded) = &mut self.guarded {
            guarded.timeout(session, now);
        }
    }

    /// Lets the guard draw what the viewer waits for: whether anything was drawn.
    pub(crate) fn draw<R: Role>(&mut self, session: &mut Session<R>) -> bool {
        self.guarded
            .as_mut()
            .is_some_and(|guarded| guarded.draw(session))
    }

    /// Whether there is room for what it says.
    pub(crate) fn wants_read<R: Role>(&self, session: &Session<R>) -> bool {
        !self.is_over && self.room(session) > 0
    }

    /// Reads once, for the session: how many bytes, 0 where it has given its last. The error is the socket's, `WouldBlock` where it
    /// says nothing now.
    pub(crate) fn read<R: Role>(
        &mut self,
        buffer: &mut [u8],
        session: &mut Session<R>,
        now: Moment,
    ) -> io::Result<usize> {
        let room = self.room(session).min(buffer.len());
        let read = self.local.try_read(&mut buffer[..room]);
        match &read {
            Ok(0) => self.is_over = true,
            Ok(length) => {
                self.take(&buffer[..*length], session, now);
                self.is_over = self.refused().is_some();
            }
            Err(error) => self.is_over = error.kind() != io::ErrorKind::WouldBlock,
        }
        read
    }

    /// Whether something of the other end is to be written to it.
    pub(crate) fn wants_write<R: Role>(&self, session: &Session<R>) -> bool {
        !self.is_shut
            && match &self.guarded {
                Some(guarded) => guarded.wants_write(session),
                None => session.poll_deliver().next().is_some(),
            }
    }

    /// Writes some of what the other end said: how many bytes of it. The error is the socket's, `WouldBlock` where it takes no more.
    pub(crate) fn write<R: Role>(
        &mut self,
        session: &mut Session<R>,
        now: Moment,
    ) -> io::Result<usize> {
        if let Some(guarded) = &mut self.guarded {
            return guarded.write(&self.local, session, now);
        }
        let mut pieces = [IoSlice::new(&[]); PIECES];
        for (piece, waiting) in pieces.iter_mut().zip(session.poll_deliver()) {
            *piece = IoSlice::new(waiting);
        }
        let length = self.local.try_write(&pieces)?;
        session.written(length, now);
        Ok(length)
    }

    /// Its socket, unless nothing is left to be learnt of it.
    pub(crate) fn watched(&self) -> Option<&Local> {
        (!self.is_over || !self.is_shut).then_some(&self.local)
    }

    /// The other end's stream was written to its end.
    pub(crate) fn shut_writing(&mut self) {
        self.is_shut = true;
        // One that is gone already needs no telling.
        let _gone = self.local.shut_writing();
    }

    /// It is gone with whatever it was owed.
    pub(crate) fn broke(&mut self) {
        self.is_over = true;
        self.is_shut = true;
    }

    fn room<R: Role>(&self, session: &Session<R>) -> usize {
        match &self.guarded {
            Some(guarded) => guarded.room(session),
            None => session.room_for_local(),
        }
    }

    fn take<R: Role>(&mut self, bytes: &[u8], session: &mut Session<R>, now: Moment) {
        match &mut self.guarded {
            Some(guarded) => guarded.desktop_bytes(bytes, session, now),
            None => {
                session.local_bytes(bytes);
            }
        }
    }
}
