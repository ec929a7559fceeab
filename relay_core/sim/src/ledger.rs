//! What the simulator saw with its own eyes: who consented to what, which bytes were given and written, what has ended. The
//! invariants judge by it.
use std::collections::BTreeMap;

use telerelay_outer::LegKey;
use telerelay_outer::node::{AttemptTicket, Decision, Join, RouteRequest};
use telerelay_wire::ids::{AttemptId, DeviceId, PathId, SessionId};
use telerelay_wire::outer::Frame;
use telerelay_wire::{Code, Moment};

use crate::invariants::{self, Verdict};

/// One attempt at one node.
#[derive(Debug, Default)]
struct AttemptBook {
    attempt: Option<AttemptId>,
    path: Option<PathId>,
    began: Moment,
    decided: Moment,
    denied: Option<Code>,
    agent: Option<DeviceId>,
    recorded: bool,
    accepted_on: Option<LegKey>,
    ends: u32,
}

/// Everything about one life of one node.
#[derive(Debug, Default)]
pub(crate) struct NodeBook {
    attempts: BTreeMap<AttemptTicket, AttemptBook>,
    tickets: BTreeMap<PathId, AttemptTicket>,
    /// Legs with an INCOMING that is not answered.
    claims: BTreeMap<LegKey, PathId>,
    joined: BTreeMap<LegKey, PathId>,
}

impl NodeBook {
    /// Python is asked about a CONNECT that came now.
    pub(crate) fn asked(&mut self, request: &RouteRequest, now: Moment) {
        let book = self.attempts.entry(request.ticket).or_default();
        book.began = now;
        book.attempt = Some(request.attempt);
        book.path = Some(request.path);
        self.tickets.insert(request.path, request.ticket);
    }

    /// Python decided, while the attempt was still waiting for it.
    pub(crate) fn decided(&mut self, ticket: AttemptTicket, decision: &Decision, now: Moment) {
        if let Some(book) = self.attempts.get_mut(&ticket) {
            book.decided = now;
            match decision {
                Decision::Here(device) => book.agent = Some(*device),
                Decision::Deny(reason) => book.denied = reason.code(),
                // The attempt goes on at another node and ends here.
                Decision::Redirect(_) => book.ends += 1,
                Decision::Later(_) => {}
            }
        }
    }

    /// The record is durable.
    pub(crate) fn recorded(&mut self, ticket: AttemptTicket) {
        if let Some(book) = self.attempts.get_mut(&ticket) {
            book.recorded = true;
        }
    }

    /// A frame came from an endpoint.
    pub(crate) fn heard(&mut self, leg: LegKey, frame: &Frame<'_>) {
        match frame {
            Frame::Accept(accept) => {
                if let Some(book) = self.of_path(accept.path) {
                    book.accepted_on = Some(leg);
                }
            }
            Frame::Refuse(refuse) if self.claims.get(&leg) == Some(&refuse.path) => {
                self.claims.remove(&leg);
            }
            _ => {}
        }
    }

    /// A frame leaves for an endpoint; `device` is the leg's.
    pub(crate) fn says(
        &mut self,
        leg: LegKey,
        device: DeviceId,
        frame: &Frame<'_>,
        now: Moment,
    ) -> Verdict {
        match frame {
            Frame::Incoming(incoming) => {
                let is_claimed = self.claims.insert(leg, incoming.path).is_some()
                    || self.joined.contains_key(&leg);
                invariants::a_ready_connection_is_claimed_once(leg.0, is_claimed)?;
                let is_named = self
                    .of_path(incoming.path)
                    .is_some_and(|book| book.agent == Some(device));
                invariants::incoming_goes_to_whom_route_named(is_named)
            }
            Frame::Error(error) => {
                let of_this = |book: &&AttemptBook| {
                    error.attempt.is_some()
                        && book.attempt == error.attempt
                        && book.denied.is_some()
                        && book.denied == error.code.code()
                };
                if let Some(book) = self.attempts.values().find(of_this) {
                    invariants::a_denial_leaves_at_its_time(book.began, book.decided, now)?;
                }
                invariants::nobody_breaks_the_protocol(
                    error.code.code(),
                    &format!("a node says {}", error.code),
                )
            }
            _ => Ok(()),
        }
    }

    /// Two legs become a path.
    pub(crate) fn joins(&mut self, join: &Join) -> Verdict {
        for leg in [join.agent, join.client] {
            let is_joined = self.joined.insert(leg, join.path).is_some();
            invariants::no_leg_in_two_paths(leg.0, is_joined)?;
        }
        self.claims.remove(&join.agent);
        let (accepted, recorded) = self.of_path(join.path).map_or((false, false), |book| {
            (book.accepted_on == Some(join.agent), book.recorded)
        });
        invariants::no_path_without_consent(accepted, recorded)
    }

    /// A leg is closed.
    pub(crate) fn closed(&mut self, leg: LegKey) {
        self.claims.remove(&leg);
    }

    /// The terminal event of an attempt.
    pub(crate) fn ends(&mut self, ticket: AttemptTicket) -> Verdict {
        let book = self.attempts.entry(ticket).or_default();
        book.ends += 1;
        invariants::one_terminal_event_per_attempt(ticket.0, book.ends)
    }

    /// The node has stopped: every attempt has ended.
    pub(crate) fn all_ended(&self) -> Verdict {
        self.attempts.iter().try_for_each(|(ticket, book)| {
            invariants::one_terminal_event_per_attempt(ticket.0, book.ends)
        })
    }

    fn of_path(&mut self, path: PathId) -> Option<&mut AttemptBook> {
        let ticket = self.tickets.get(&path)?;
        self.attempts.get_mut(ticket)
    }
}

/// One direction of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamBook {
    /// Whose bytes these are.
    pub(crate) pattern: u64,
    /// Read from the local socket at one end.
    pub(crate) given: u64,
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
}

/// How often something happened, by what it is called: so that a test can tell that the seeds reach it.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// The whole.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sessions: BTreeMap<SessionId, SessionBook>,
    pub(crate) counts: Counts,
}

impl Ledger {
    /// A session is opened.
    pub(crate) fn opened(&mut self, session: SessionId, is_echo: bool) {
        let number = u64::from_le_bytes(*session.0.first_chunk().expect("16 bytes"));
        let mut book = SessionBook::default();
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
