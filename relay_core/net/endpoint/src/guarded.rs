//! The guard of a session between the session machine and the desktop's socket (docs/GUARD.md).
//!
//! It stands above the session layer: the stream that is numbered, kept and told again is what the guard let through. What the client
//! said counts as written once the desktop has taken all that became of it, so that the window holds back a client whose desktop
//! does not read.
use std::io::{self, IoSlice};
use std::time::Duration;

use telerelay_guard::redraw::{Mark, Redraw};
use telerelay_guard::rfb::{Guard, OWN, Refusal, Settings};
use telerelay_guard::{Machine, Side, Sink};
use telerelay_session::{Role, Session};
use telerelay_wire::{Code, Moment, limits};

use crate::local::Local;

/// The most that a desktop leaves untaken before it is not read any more: a piece of the client's stream becomes twice as long at most.
const UNHEARD: usize = 2 * limits::LOCAL_READ;

/// A guard, and what it has for the desktop.
#[derive(Debug)]
pub(crate) struct Guarded {
    guard: Box<dyn Machine>,
    /// What the desktop has not taken yet: what became of one piece of the client's stream, and the guard's own.
    for_desktop: Vec<u8>,
    /// The viewer's answers of one call.
    for_client: Vec<u8>,
    /// Bytes of the client's stream that went into `for_desktop` and do not count as written yet.
    taken: usize,
    refused: Option<Refusal>,
    /// When the session was opened.
    opened: Moment,
    /// How long it may be without input, from then on and from each input on.
    idle_timeout: Option<Duration>,
}

impl Guarded {
    /// The session is open and its desktop connected: greets the viewer. With a `mark` the screen is drawn anew.
    pub(crate) fn begin<R: Role>(
        settings: Settings,
        mark: Option<Mark>,
        idle_timeout: Option<Duration>,
        session: &mut Session<R>,
        now: Moment,
    ) -> Self {
        let (mut for_desktop, mut for_client) = (Vec::new(), Vec::new());
        let mut sink = Buffers {
            client: &mut for_client,
            desktop: &mut for_desktop,
        };
        let guard: Box<dyn Machine> = match mark {
            Some(mark) => Box::new(Redraw::begin(settings, Some(mark), now, &mut sink)),
            None => Box::new(Guard::begin(settings, now, &mut sink)),
        };
        put(session, &for_client);
        for_client.clear();
        Self {
            guard,
            for_desktop,
            for_client,
            taken: 0,
            refused: None,
            opened: now,
            idle_timeout,
        }
    }

    /// How many bytes of the desktop may be taken. None of one that writes and does not read: each update that it says has the guard
    /// ask for the next.
    pub(crate) fn room<R: Role>(&self, session: &Session<R>) -> usize {
        if self.for_desktop.len() > UNHEARD {
            0
        } else {
            self.guard.desktop_room(session.room_for_local())
        }
    }

    /// Draws for the viewer as far as there is room: whether anything was drawn.
    pub(crate) fn draw<R: Role>(&mut self, session: &mut Session<R>) -> bool {
        let room = session.room_for_local();
        let mut sink = Through {
            session,
            desktop: &mut self.for_desktop,
        };
        self.guard.draw(room, &mut sink) > 0
    }

    /// Takes what the desktop said.
    pub(crate) fn desktop_bytes<R: Role>(
        &mut self,
        bytes: &[u8],
        session: &mut Session<R>,
        now: Moment,
    ) {
        let mut sink = Through {
            session,
            desktop: &mut self.for_desktop,
        };
        let result = self.guard.desktop_bytes(bytes, now, &mut sink);
        self.heed(result, session);
    }

    /// Whether the desktop is to be written to.
    pub(crate) fn wants_write<R: Role>(&self, session: &Session<R>) -> bool {
        !self.for_desktop.is_empty() || self.may_take(session)
    }

    /// Lets the client's stream through to the desktop: how many bytes of it are written now. Error: the desktop's socket's,
    /// `WouldBlock` where it takes no more.
    pub(crate) fn write<R: Role>(
        &mut self,
        local: &Local,
        session: &mut Session<R>,
        now: Moment,
    ) -> io::Result<usize> {
        self.take(session, now);
        while !self.for_desktop.is_empty() {
            let length = local.try_write(&[IoSlice::new(&self.for_desktop)])?;
            self.for_desktop.drain(..length);
        }
        let written = std::mem::take(&mut self.taken);
        session.written(written, now);
        Ok(written)
    }

    /// When [`timeout`](Self::timeout) is to be called.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        [self.guard.next_timeout(), self.idle_until()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Time has passed.
    pub(crate) fn timeout<R: Role>(&mut self, session: &mut Session<R>, now: Moment) {
        let result = self.guard.timeout(now);
        self.heed(result, session);
        if self.idle_until().is_some_and(|until| until <= now) {
            session.close(Code::PolicyIdle);
        }
    }

    /// Why nothing passes any more.
    pub(crate) fn refused(&self) -> Option<Refusal> {
        self.refused
    }

    /// Until when the session lives without another input.
    fn idle_until(&self) -> Option<Moment> {
        let since = self.guard.last_input().unwrap_or(self.opened);
        self.idle_timeout.map(|timeout| since + timeout)
    }

    /// Whether the next piece of the client's stream may be taken. Only in the handshake is the viewer answered: later its keys do
    /// not wait for room in the other direction.
    fn may_take<R: Role>(&self, session: &Session<R>) -> bool {
        self.refused.is_none()
            && self.taken == 0
            && (self.guard.is_ready() || session.room_for_local() >= OWN)
            && session.poll_deliver().next().is_some()
    }

    /// Takes the next piece of the client's stream.
    fn take<R: Role>(&mut self, session: &mut Session<R>, now: Moment) {
        if !self.may_take(session) {
            return;
        }
        let mut sink = Buffers {
            client: &mut self.for_client,
            desktop: &mut self.for_desktop,
        };
        let mut waiting = session.poll_deliver();
        let piece = waiting.next().unwrap_or_default();
        let piece = &piece[..piece.len().min(limits::LOCAL_READ)];
        let result = self.guard.client_bytes(piece, now, &mut sink);
        self.taken = piece.len();
        drop(waiting);
        put(session, &self.for_client);
        self.for_client.clear();
        self.heed(result, session);
    }

    fn heed<R: Role>(&mut self, result: Result<(), Refusal>, session: &mut Session<R>) {
        if let Err(refusal) = result
            && self.refused.is_none()
        {
            self.refused = Some(refusal);
            session.close(refusal.code());
        }
    }
}

/// Gives the session what there is room for.
fn put<R: Role>(session: &mut Session<R>, bytes: &[u8]) {
    let taken = session.local_bytes(bytes);
    debug_assert_eq!(taken, bytes.len(), "the guard is given no more than fits");
}

/// Own bytes for either side: the session's pages are being read from.
struct Buffers<'a> {
    client: &'a mut Vec<u8>,
    desktop: &'a mut Vec<u8>,
}

impl Sink for Buffers<'_> {
    fn put(&mut self, to: Side, bytes: &[u8]) {
        match to {
            Side::Client => self.client.extend_from_slice(bytes),
            Side::Desktop => self.desktop.extend_from_slice(bytes),
        }
    }
}

/// Pixels go into the session's pages as they were read.
struct Through<'a, R> {
    session: &'a mut Session<R>,
    desktop: &'a mut Vec<u8>,
}

impl<R: Role> Sink for Through<'_, R> {
    fn put(&mut self, to: Side, bytes: &[u8]) {
        match to {
            Side::Client => put(self.session, bytes),
            Side::Desktop => self.desktop.extend_from_slice(bytes),
        }
    }
}
