//! What the simulator saw with its own eyes: who consented to what, which bytes were given and written, what has ended. The
//! invariants judge by it.
mod agent_book;
mod node_book;
mod request_book;
mod waits;

use std::collections::BTreeMap;
use std::time::Duration;

use telerelay_wire::Moment;
use telerelay_wire::ids::SessionId;

pub(crate) use agent_book::AgentBook;
pub(crate) use node_book::NodeBook;
pub(crate) use request_book::RequestBook;
pub(crate) use waits::Waits;

/// One direction of a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamBook {
    /// Whose bytes these are.
    pub(crate) pattern: u64,
    /// Read from the local socket at one end.
    pub given: u64,
    /// That local socket gave its last byte.
    pub(crate) is_over: bool,
    /// Written to the local socket at the other.
    pub written: u64,
    /// Given and not yet written, at most.
    pub most_under_way: u64,
}

impl StreamBook {
    /// The local socket gave so many bytes more.
    pub(crate) fn gives(&mut self, bytes: u64) {
        self.given += bytes;
        self.most_under_way = self.most_under_way.max(self.given - self.written);
    }
}

/// One session, whose two ends never see this.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionBook {
    /// Agent to client.
    pub screen: StreamBook,
    /// Client to agent.
    pub input: StreamBook,
    /// How long it may live without a path.
    pub(crate) limit: Duration,
    /// When something last moved.
    pub(crate) moved: Moment,
}

impl SessionBook {
    /// Both sides have said and got everything.
    pub fn is_complete(&self) -> bool {
        [self.screen, self.input]
            .iter()
            .all(|stream| stream.is_over && stream.given == stream.written)
    }
}

/// What concerns no single node.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) sessions: BTreeMap<SessionId, SessionBook>,
    pub(crate) requests: RequestBook,
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
}
