//! What the simulator saw with its own eyes: who consented to what, which bytes were given and written, what has ended. The
//! invariants judge by it.
mod node_book;
mod request_book;
mod waits;

use std::collections::BTreeMap;
use std::time::Duration;

use telerelay_wire::Moment;
use telerelay_wire::ids::SessionId;

pub(crate) use node_book::NodeBook;
pub(crate) use request_book::RequestBook;
pub(crate) use waits::Waits;

/// One direction of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamBook {
    /// Whose bytes these are.
    pub(crate) pattern: u64,
    /// Read from the local socket at one end.
    pub(crate) given: u64,
    /// That local socket gave its last byte.
    pub(crate) is_over: bool,
    /// Written to the local socket at the other.
    pub(crate) written: u64,
}

/// One session, whose two ends never see this.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SessionBook {
    /// Agent to client.
    pub(crate) screen: StreamBook,
    /// Client to agent.
    pub(crate) input: StreamBook,
    /// How long it may live without a path.
    pub(crate) limit: Duration,
    /// When something last moved.
    pub(crate) moved: Moment,
}

impl SessionBook {
    /// Both sides have said and got everything.
    pub(crate) fn is_complete(&self) -> bool {
        [self.screen, self.input]
            .iter()
            .all(|stream| stream.is_over && stream.given == stream.written)
    }
}

/// How often something happened, by what it is called: so that a test can tell that the seeds reach it.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// What concerns no single node.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sessions: BTreeMap<SessionId, SessionBook>,
    pub(crate) requests: RequestBook,
    pub(crate) counts: Counts,
}

impl Ledger {
    /// A session is opened.
    pub(crate) fn opened(
        &mut self,
        session: SessionId,
        is_echo: bool,
        limit: Duration,
        now: Moment,
    ) {
        let number = u64::from_le_bytes(*session.0.first_chunk().expect("16 bytes"));
        let mut book = SessionBook {
            limit,
            moved: now,
            ..SessionBook::default()
        };
        book.input.pattern = number;
        book.screen.pattern = if is_echo { number } else { !number };
        self.sessions.insert(session, book);
    }

    pub(crate) fn session(&mut self, session: SessionId) -> &mut SessionBook {
        self.sessions.entry(session).or_default()
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}
